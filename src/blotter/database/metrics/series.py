"""START HERE to read metrics: which there are, and the points of one between two times.

    reader = MetricReader(shared)
    reader.points(tx, Metric(account, region, DYNAMODB, "SuccessfulRequestLatency", where), start, end, 60)
    → [("Milliseconds", [Point(time=1796000040, count=812, total=97.2, low=0.03, high=1.9, …), …])]

What was counted and is not stored yet is read from shared memory, so that points are there at once and are the
same before and after they are stored. Many are read through one `MetricReader.snapshot(tx)`. A series is a metric
in one unit: `PutMetricData` may give it several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Final

from blotter.database.metrics.names import DYNAMODB, INDEX, TABLE, Metric, dimensions
from blotter.database.metrics.point_store import (
    PERIODS,
    RETENTION,
    Listed,
    add_points,
    known_metrics,
    read_points,
)
from blotter.database.metrics.points import Point, added
from blotter.database.metrics.shared import SharedCounters
from blotter.database.metrics.stored import is_stored, stored_mark
from blotter.database.model.table import Table
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

__all__ = ["Listed", "Metric", "MetricReader", "MetricSnapshot", "Point", "period_of", "put_points"]

_CONSUMED: Final = ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
"""Metrics that have samples even while nothing happens: of 0, one a minute for each table and global index."""


def period_of(period: int, start: float, now: float) -> int:
    """The period of the stored points that a longer one is made of: the longest that it is a multiple of, or, for
    times of which that is not kept any more, the shortest that is."""
    fitting = max(each for each in PERIODS if period % each == 0) if period % PERIODS[0] == 0 else PERIODS[0]
    kept = [each for each in PERIODS if each >= fitting and start >= now - RETENTION[each]]
    return kept[0] if kept else PERIODS[-1]


def put_points(tx: WriteTransaction, metric: Metric, unit: str, points: Iterable[Point], now: float) -> None:
    """Adds points of a client's own metric. Times are floored to the minute, the shortest period that is kept."""
    add_points(tx, [(metric, unit, [point.copy(int(point.time) // 60 * 60) for point in points])], now)


class MetricReader:
    """Reads the metrics of a server. `shared` is what its processes count in; None: only what is stored. `clock`
    gives seconds since the epoch."""

    def __init__(self, shared: SharedCounters | None = None, clock: Callable[[], float] = time.time) -> None:
        self._shared = shared
        self._clock = clock

    def snapshot(self, tx: ReadTransaction) -> MetricSnapshot:
        """The metrics as they are now, to read many of them."""
        return MetricSnapshot(tx, self._shared, self._clock())

    def points(
        self,
        tx: ReadTransaction,
        metric: Metric,
        start: float,
        end: float,
        period: int,
        unit: str | None = None,
    ) -> list[tuple[str, list[Point]]]:
        """See `MetricSnapshot.points`."""
        return self.snapshot(tx).points(metric, start, end, period, unit)

    def metrics(
        self,
        tx: ReadTransaction,
        account: str,
        region: str,
        namespace: str | None = None,
        name: str | None = None,
        since: float | None = None,
    ) -> Iterator[Listed]:
        """See `MetricSnapshot.metrics`."""
        return self.snapshot(tx).metrics(account, region, namespace, name, since)


class MetricSnapshot:
    """The metrics at one moment. Shared memory is read once, when it is first needed."""

    def __init__(self, tx: ReadTransaction, shared: SharedCounters | None, now: float) -> None:
        self._tx = tx
        self._shared = shared
        self._now = now

    def points(
        self, metric: Metric, start: float, end: float, period: int, unit: str | None = None
    ) -> list[tuple[str, list[Point]]]:
        """The points of each unit that the metric has, or of one unit: of periods of `period` seconds that begin
        with start <= time < end, ascending. `period` is a multiple of 60, and points begin at multiples of it; of
        times of which such points are not kept any more there are those of the next longer period."""
        first, last = -(-int(start) // period) * period, -(-int(end) // period) * period
        finest = period_of(period, start, self._now)
        found: dict[str, list[Point]] = {}
        for name, point in read_points(self._tx, metric, finest, first, last, unit):
            found.setdefault(name, []).append(point)
        for name, point in self._counted.get(metric, ()):
            if first <= point.time < last and unit in (None, name):
                found.setdefault(name, []).append(point)
        if metric.namespace == DYNAMODB and metric.name in _CONSUMED and unit in (None, "Count"):
            self._add_idle(metric, found, first, last, finest)
        return [(name, added(points, max(period, finest))) for name, points in sorted(found.items()) if points]

    def metrics(
        self,
        account: str,
        region: str,
        namespace: str | None = None,
        name: str | None = None,
        since: float | None = None,
    ) -> Iterator[Listed]:
        """Every series that has points, or those that had one after `since`. In no order."""
        seen: set[tuple[Metric, str]] = set()
        for listed in self._listed(account, region, namespace):
            wanted = name in (None, listed.metric.name) and (since is None or listed.last + 600 >= since)
            if wanted and (listed.metric, listed.unit) not in seen:
                seen.add((listed.metric, listed.unit))
                yield listed

    @cached_property
    def _counted(self) -> dict[Metric, list[tuple[str, Point]]]:
        """What was counted and is not stored in this snapshot."""
        found: dict[Metric, list[tuple[str, Point]]] = {}
        if self._shared is None:
            return found
        mark = stored_mark(self._tx, self._shared.run)
        for arena in self._shared.ids():
            counted = None if mark.has(arena) else self._shared.read(arena)
            for metric, unit, point in [] if counted is None else counted.points:
                if not is_stored(mark, arena, metric):
                    found.setdefault(metric, []).append((unit, point))
        return found

    def _listed(self, account: str, region: str, namespace: str | None) -> Iterator[Listed]:
        for metric, points in self._counted.items():
            if (metric.account, metric.region) == (account, region) and namespace in (None, metric.namespace):
                for unit, point in points:
                    yield Listed(metric, unit, point.time, point.time)
        if namespace in (None, DYNAMODB):
            yield from self._idle_tables(account, region)
        yield from known_metrics(self._tx, account, region, namespace)

    def _idle_tables(self, account: str, region: str) -> Iterator[Listed]:
        now, after = int(self._now), ""
        while names := self._tx.table_names(account, region, after, 100):
            for each in names:
                table = self._tx.find_table(account, region, each)
                if table is None or table.is_gone_at(now):
                    continue
                indexes = [index.name for index in table.indexes if index.is_global]
                for index in [None, *indexes]:
                    where = dimensions(TableName=each, GlobalSecondaryIndexName=index)
                    for name in _CONSUMED:
                        metric = Metric(account, region, DYNAMODB, name, where)
                        yield Listed(metric, "Count", int(table.created_at), now)
            after = names[-1]

    def _add_idle(self, metric: Metric, found: dict[str, list[Point]], first: int, last: int, period: int) -> None:
        """Adds samples of 0 where a table that exists had none. Minutes that are not over have none yet."""
        since = _exists_since(self._tx, metric, self._now)
        if since is None:
            return
        points = found.setdefault("Count", [])
        counted = {point.time - point.time % period for point in points}
        begin, end = max(first, since), min(last, int(self._now))
        for begins in range(-(-begin // period) * period, end - period + 1, period):
            if begins not in counted:
                points.append(Point(begins, period / 60, 0.0, 0.0, 0.0))


def _exists_since(tx: ReadTransaction, metric: Metric, now: float) -> int | None:
    """Since when there has been the table or index that a metric is about; None if there is none, and for other
    dimensions."""
    name, index = metric.value_of(TABLE), metric.value_of(INDEX)
    if name is None or len(metric.dimensions) != (1 if index is None else 2):
        return None
    table: Table | None = tx.find_table(metric.account, metric.region, name)
    if table is None or table.is_gone_at(now):
        return None
    found = None if index is None else table.index(index)
    if index is not None and (found is None or not found.is_global):
        return None
    return int(table.created_at)
