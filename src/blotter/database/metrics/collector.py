"""Counted minutes into stored points: once a minute, by one process of the server.

What several processes counted in a minute is added up first, so that each row of the store is written once. Rows
are written in slices that hold the write lock for some milliseconds; the mark of what is stored (`stored`) is
written with each, so that a collector that is killed is followed by one that goes on where it stopped. A minute
whose process is late, because it is stopped or its loop is busy, is collected when it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from blotter.database.metrics import cells
from blotter.database.metrics.names import Metric
from blotter.database.metrics.point_store import add_points, group_of, trim, trim_groups
from blotter.database.metrics.points import Point
from blotter.database.metrics.shared import ArenaId, SharedCounters
from blotter.database.metrics.stored import Mark, save_mark, stored_mark, trim_marks
from blotter.database.storage.protocol import Storage, WriteTransaction

SLICE_SECONDS: Final = 0.003
"""A transaction takes no further group after this long."""
TRIMMED_AT_ONCE: Final = 50

Series = tuple[Metric, str]
_Group = tuple[bytes, dict[Series, dict[int, Point]]]


class Collector:
    """`most_bytes`: what points may take in the store. `clock` gives seconds since the epoch, `monotonic` measures
    slices. `collected` is called with every point that was counted, once in the life of this collector."""

    def __init__(
        self,
        storage: Storage,
        shared: SharedCounters,
        most_bytes: int,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        collected: Callable[[Metric, Point], None] | None = None,
    ) -> None:
        self._storage = storage
        self._shared = shared
        self._most_bytes = most_bytes
        self._clock = clock
        self._monotonic = monotonic
        self._collected = collected
        self._groups_position: bytes | None = b""

    async def collect(self) -> int:
        """Stores every minute that is over; returns how many arenas that were. Raises StorageUnavailable: what was
        not stored is stored next time."""
        mark = await self._storage.fetch(lambda tx: stored_mark(tx, self._shared.run))
        if not mark.storing:
            mark.storing = [each for each in self._shared.ids(cells.CLOSED) if not mark.has(each)]
            mark.position = b""
        arenas = mark.storing
        if arenas:
            groups = self._added_up(arenas)
            left = [group for group in groups if group[0] > mark.position]
            while left:
                written = await self._storage.write(partial(self._write_slice, mark=mark, groups=left))
                mark.position = left[written - 1][0]
                left = left[written:]
                await asyncio.sleep(SLICE_SECONDS if left else 0)
            await self._storage.write(partial(_finish, mark=mark, now=self._clock()))
        # Those that a killed collector had stored and not given back, too.
        self._shared.free(each for each in self._shared.ids(cells.CLOSED) if mark.has(each) or each in arenas)
        return len(arenas)

    async def trim(self) -> int:
        """Removes points that need not be kept any longer, and more if they take too much room; returns how many
        rows."""
        removed = 0
        while count := await self._storage.write(self._trim_slice):
            removed += count
            await asyncio.sleep(SLICE_SECONDS)
        await self._storage.write(partial(trim_marks, now=self._clock(), limit=TRIMMED_AT_ONCE))
        position = self._groups_position
        if position is not None:
            look = partial(trim_groups, now=self._clock(), start=position, limit=TRIMMED_AT_ONCE)
            _, position = await self._storage.write(look)
        self._groups_position = position or b""
        return removed

    def _trim_slice(self, tx: WriteTransaction) -> int:
        return trim(tx, self._clock(), self._most_bytes, TRIMMED_AT_ONCE)

    def _added_up(self, arenas: list[ArenaId]) -> list[_Group]:
        """What arenas hold, by group, series and minute, in the order of the groups."""
        groups: dict[bytes, dict[Series, dict[int, Point]]] = {}
        for arena in arenas:
            counted = self._shared.read(arena)
            for metric, unit, point in [] if counted is None else counted.points:
                minutes = groups.setdefault(group_of(metric), {}).setdefault((metric, unit), {})
                if point.time in minutes:
                    minutes[point.time].add(point)
                else:
                    minutes[point.time] = point.copy(point.time)
        return sorted(groups.items())

    def _write_slice(self, tx: WriteTransaction, mark: Mark, groups: list[_Group]) -> int:
        """Stores some of the groups; returns how many."""
        now = self._clock()
        deadline = self._monotonic() + SLICE_SECONDS
        written = 0
        for _, series in groups:
            add_points(tx, [(metric, unit, minutes.values()) for (metric, unit), minutes in series.items()], now)
            written += 1
            if self._monotonic() > deadline:
                break
        save_mark(tx, Mark(mark.run, mark.through, mark.storing, groups[written - 1][0], now))
        return written


def _finish(tx: WriteTransaction, mark: Mark, now: float) -> None:
    through = dict(mark.through)
    for arena in mark.storing:
        through[arena.slot] = max(through.get(arena.slot, 0), arena.generation)
    save_mark(tx, Mark(mark.run, through, at=now))
