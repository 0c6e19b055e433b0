"""The metrics of a server: shared memory before it forks, and what each process has of it.

    slot 0 … n-1    the workers
    slot n          the background process; a single process counts all in slot 0

With `--metrics off` nothing is made and nothing counted; what is stored can still be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from blotter.database.admission.refusals import Limit
from blotter.database.admission.stage import Throttle
from blotter.database.background.metrics import MetricsKeeper
from blotter.database.http.server import ConnectionCounts
from blotter.database.metrics.collector import Collector
from blotter.database.metrics.counting import Counters
from blotter.database.metrics.series import MetricReader
from blotter.database.metrics.shared import SharedCounters
from blotter.database.model.arns import parse_arn
from blotter.database.operations.context import Context
from blotter.database.settings import Settings
from blotter.database.storage.protocol import Storage, Store

# After the end of a minute, so that it has ended by every clock.
_JUST_AFTER = 0.005


class RunningMetrics(NamedTuple):
    """The metrics of one process: what it counts with, None if nothing is counted, and what reads them."""

    counters: Counters | None
    reader: MetricReader

    @property
    def on_throttle(self) -> Throttle | None:
        """Counts the events of throttled requests."""
        counters = self.counters
        if counters is None:
            return None

        def count(context: Context, table: str, limits: Sequence[Limit]) -> None:
            for limit in limits:
                arn = parse_arn(limit.resource)
                account = context.account if arn is None else arn.account
                counters.throttled(account, context.region, table, limit.index or None, limit.reason["reason"])

        return count


class MetricsSetup:
    """What the processes of a server share. Made before the fork. `connections` are the workers' counts."""

    def __init__(self, settings: Settings, store: Store, connections: memoryview[int]) -> None:
        self._settings = settings
        self._store = store
        self._connections = connections
        self._shared: SharedCounters | None = None
        if settings.metrics == "on":
            slots = settings.workers if store.single_process else settings.workers + 1
            self._shared = SharedCounters(slots, settings.account, settings.region)

    def start(self, slot: int, storage: Storage) -> RunningMetrics:
        """Begins to count in this process, on its event loop."""
        if self._shared is None:
            return RunningMetrics(None, MetricReader())
        settings = self._settings
        counters = Counters(self._shared.slot(slot), settings.account, settings.region)
        storage.watch_commits(counters.committed)
        _finish_minutes(counters)
        return RunningMetrics(counters, MetricReader(self._shared))

    def keeper(self, storage: Storage, counters: Counters | None) -> MetricsKeeper | None:
        """What stores the metrics of all processes; for one of them."""
        if self._shared is None or counters is None:
            return None
        collector = Collector(storage, self._shared, self._settings.metrics_storage)
        return MetricsKeeper(storage, self._shared, counters, collector, self._own_levels)

    def note_restart(self) -> None:
        """A process ended by itself and is replaced. For the supervisor."""
        if self._shared is not None:
            self._shared.note_restart()

    def finish(self) -> None:
        """Stores what is left, when every process has ended."""
        shared = self._shared
        if shared is None or self._store.single_process:
            return
        shared.close_all()
        if shared.has_samples():
            self._store.run_apart(lambda storage: _finish(storage, shared, self._settings.metrics_storage))

    def _own_levels(self) -> Iterable[tuple[str, float]]:
        open_now = [count for count in self._connections if count != ConnectionCounts.GONE]
        yield "Connections", sum(open_now)
        log_bytes = self._store.log_bytes()
        if log_bytes is not None:
            yield "WriteAheadLogSize", log_bytes


async def _finish(storage: Storage, shared: SharedCounters, most_bytes: int) -> None:
    await Collector(storage, shared, most_bytes).collect()


def _finish_minutes(counters: Counters) -> None:
    """Ends each minute when it is over, whether or not requests come."""
    loop = asyncio.get_running_loop()

    def finish() -> None:
        counters.finish_minute()
        loop.call_later(counters.seconds_left + _JUST_AFTER, finish)

    loop.call_later(counters.seconds_left + _JUST_AFTER, finish)
