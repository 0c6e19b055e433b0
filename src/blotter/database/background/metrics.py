"""The minutes of metrics: levels are sampled, counted minutes are stored, old points removed.

A minute is stored a second after its end, when every process has gone on to the next one; one that is late is
looked for again a few seconds later. Levels (provisioned units and other maxima, every five minutes; the server's
own, every minute) are counted like everything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from blotter.database.metrics.collector import Collector
from blotter.database.metrics.counting import Counters
from blotter.database.metrics.names import BLOTTER, DYNAMODB, Dimensions, declared, dimensions
from blotter.database.metrics.shared import SharedCounters
from blotter.database.metrics.totals import Totals
from blotter.database.model.table import Index, Table
from blotter.database.operations.service import ACCOUNT_UNITS, TABLE_UNITS
from blotter.database.storage.protocol import ReadTransaction, Storage

AFTER_MINUTE: Final = 1.0
"""Seconds after the end of a minute at which it is stored."""
AGAIN: Final = 5.0
"""Seconds after which a minute that a process had not ended is looked for again."""
LEVELS_EVERY: Final = 5
"""Minutes between samples of levels of tables and accounts."""
TRIM_EVERY: Final = 60
TABLES_AT_ONCE: Final = 100

OwnLevels = Callable[[], Iterable[tuple[str, float]]]
"""Gives the server's own levels: names of metrics and their values in the metric's unit."""


class MetricsKeeper:
    """`clock` gives seconds since the epoch. `totals` are kept up to date, if Prometheus asks for them. `leads`:
    whether it also does what one server does for all, as long as it is set."""

    def __init__(
        self,
        storage: Storage,
        shared: SharedCounters,
        counters: Counters,
        collector: Collector,
        own_levels: OwnLevels = tuple,
        totals: Totals | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._shared = shared
        self._counters = counters
        self._collector = collector
        self._own_levels = own_levels
        self._totals = totals
        self._clock = clock
        self.leads = True
        self._levels_at = 0
        self._trimmed_at = int(clock() // 60)

    def pause(self) -> float:
        """Seconds until `run_once` has something to do."""
        now = self._clock()
        minute = int(now // 60)
        if self._shared.late(minute):
            return AGAIN
        return (minute + 1) * 60 + AFTER_MINUTE - now

    async def run_once(self) -> None:
        """Does what is due at the end of a minute. Raises StorageUnavailable: nothing is lost then."""
        minute = int(self._clock() // 60)
        self._counters.finish_minute()
        if self._totals is not None:
            self._totals.keep()
        await self._collector.collect()
        for name, value in self._own_levels():
            self._sample(BLOTTER, name, "", "", (), value)
        restarts = self._shared.take_restarts()
        if restarts:
            self._sample(BLOTTER, "WorkerRestarts", "", "", (), restarts)
        if not self.leads:
            return
        if minute // LEVELS_EVERY != self._levels_at:
            self._levels_at = minute // LEVELS_EVERY
            await self.sample_levels()
        if minute >= self._trimmed_at + TRIM_EVERY:
            self._trimmed_at = minute
            await self._collector.trim()

    async def sample_levels(self) -> None:
        """Samples the levels of every table and account, some tables at a time."""
        tables = await self._storage.fetch(_all_tables)
        now = self._clock()
        used: dict[tuple[str, str], _Provisioned] = {}
        for number, table in enumerate(tables):
            if table.is_gone_at(now):
                continue
            provisioned = used.setdefault((table.account, table.region), _Provisioned())
            for name, where, value in _levels(table):
                provisioned.note(name, value)
                self._sample(DYNAMODB, name, table.account, table.region, where, value)
            if number % TABLES_AT_ONCE == TABLES_AT_ONCE - 1:
                await asyncio.sleep(0)
        for (account, region), provisioned in used.items():
            for name, value in provisioned.levels():
                self._sample(DYNAMODB, name, account, region, (), value)

    def _sample(
        self, namespace: str, name: str, account: str, region: str, where: Dimensions, value: float
    ) -> None:
        known = declared(namespace, name)
        assert known is not None
        self._counters.add(name, account, region, where, round(value / known.scale), namespace)


class _Provisioned:
    """The provisioned units of an account in a region."""

    def __init__(self) -> None:
        self._sums = {"Read": 0.0, "Write": 0.0}
        self._most = {"Read": 0.0, "Write": 0.0}

    def note(self, name: str, value: float) -> None:
        for kind in self._sums:
            if name == f"Provisioned{kind}CapacityUnits":
                self._sums[kind] += value
                self._most[kind] = max(self._most[kind], value)

    def levels(self) -> Iterator[tuple[str, float]]:
        for kind in self._sums:
            yield f"AccountMax{kind}s", ACCOUNT_UNITS
            yield f"AccountMaxTableLevel{kind}s", TABLE_UNITS
            if self._sums[kind]:
                yield f"AccountProvisioned{kind}CapacityUtilization", 100 * self._sums[kind] / ACCOUNT_UNITS
                yield f"MaxProvisionedTable{kind}CapacityUtilization", 100 * self._most[kind] / TABLE_UNITS


def _levels(table: Table) -> Iterator[tuple[str, Dimensions, float]]:
    """The provisioned units, or the maxima, of a table and its global indexes."""
    sources: list[Table | Index] = [table, *(index for index in table.indexes if index.is_global)]
    for source in sources:
        index = source.name if isinstance(source, Index) else None
        where = dimensions(TableName=table.name, GlobalSecondaryIndexName=index)
        if table.billing_mode == "PROVISIONED":
            yield "ProvisionedReadCapacityUnits", where, source.throughput.read
            yield "ProvisionedWriteCapacityUnits", where, source.throughput.write
        elif source.on_demand_maxima is not None:
            if source.on_demand_maxima.read is not None:
                yield "OnDemandMaxReadRequestUnits", where, source.on_demand_maxima.read
            if source.on_demand_maxima.write is not None:
                yield "OnDemandMaxWriteRequestUnits", where, source.on_demand_maxima.write


def _all_tables(tx: ReadTransaction) -> list[Table]:
    return list(tx.tables())


def progress_of(counters: Counters, table: Table, index: Index, position: bytes) -> None:
    """Samples how far an index is filled: positions are in the order of a hash, which spreads items evenly."""
    done = int.from_bytes(position[:8].ljust(8, b"\0"), "big") * 100 >> 64
    where = dimensions(TableName=table.name, GlobalSecondaryIndexName=index.name)
    counters.add("OnlineIndexPercentageProgress", table.account, table.region, where, done)


def count_expired(counters: Counters, table: Table, items: int) -> None:
    """Counts items that were deleted because they had expired."""
    where = dimensions(TableName=table.name)
    counters.add("TimeToLiveDeletedItemCount", table.account, table.region, where, items)
