"""What was counted since this process began, for Prometheus: sums that only rise, and the last levels.

Minutes that are over are added once and kept; those that are open are added to a copy for each look. Bounded:
beyond MOST_SERIES, further series are left out, and how many is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from blotter.database.metrics import cells
from blotter.database.metrics.names import Declared, Metric, declared
from blotter.database.metrics.points import Point
from blotter.database.metrics.shared import ArenaId, SharedCounters

MOST_SERIES: Final = 100_000
BOUNDS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
"""Upper bounds of the buckets of times, in milliseconds."""


def is_level(known: Declared) -> bool:
    """Whether samples of a metric are levels, the last of which counts, and not events that add up."""
    return known.statistics == ("Minimum", "Maximum", "Average") or known.name == "OnlineIndexPercentageProgress"


def is_time(known: Declared) -> bool:
    """Whether a metric is a distribution of times."""
    return "Percentile" in known.statistics


class Total(NamedTuple):
    """`total` is the sum of all samples; of a level, its average in the last minute that had one. `counts` are
    samples in the buckets of BOUNDS and above, of times only."""

    time: int
    samples: float
    total: float
    counts: tuple[float, ...] = ()


class Totals:
    """The totals of all processes."""

    def __init__(self, shared: SharedCounters, most_series: int = MOST_SERIES) -> None:
        self._shared = shared
        self._most_series = most_series
        self._kept: dict[Metric, Total] = {}
        self._through = [0] * shared.slots
        """The generation of each slot up to which everything is kept."""
        self.left_out = 0
        """Series without room."""

    def keep(self) -> None:
        """Adds the minutes that are over. To be called more often than shared memory has arenas for minutes."""
        for arena in self._over():
            self._add(self._kept, arena)
            self._through[arena.slot] = arena.generation

    def now(self) -> dict[Metric, Total]:
        """The totals, with what was counted in this minute."""
        self.keep()
        found = dict(self._kept)
        for arena in self._shared.ids(cells.OPEN):
            self._add(found, arena)
        return found

    def _over(self) -> list[ArenaId]:
        """In the order in which they were counted in."""
        open_now = set(self._shared.ids(cells.OPEN))
        return sorted(
            arena
            for arena in self._shared.ids()
            if arena not in open_now and arena.generation > self._through[arena.slot]
        )

    def _add(self, totals: dict[Metric, Total], arena: ArenaId) -> None:
        counted = self._shared.read(arena)
        for metric, _, point in [] if counted is None else counted.points:
            known = declared(metric.namespace, metric.name)
            if known is None:
                continue
            before = totals.get(metric)
            if before is None and len(totals) >= self._most_series:
                self.left_out += 1
                continue
            totals[metric] = _sum(known, before, point)


def _sum(known: Declared, before: Total | None, point: Point) -> Total:
    if is_level(known):
        if before is not None and before.time > point.time:
            return before
        return Total(point.time, 1.0, point.average)
    counts: tuple[float, ...] = ()
    if is_time(known):
        counts = tuple(_counts(point))
        if before is not None:
            counts = tuple(map(sum, zip(before.counts, counts, strict=True)))
    if before is None:
        return Total(point.time, point.count, point.total, counts)
    return Total(point.time, before.samples + point.count, before.total + point.total, counts)


def _counts(point: Point) -> Iterator[float]:
    """Samples in the buckets of BOUNDS, and above."""
    left = point.distribution() or []
    at = 0
    for bound in BOUNDS:
        count = 0.0
        while at < len(left) and left[at][0] <= bound:
            count += left[at][1]
            at += 1
        yield count
    yield sum(count for _, count in left[at:])
