"""The memory that the processes of a server count in, as a whole: made before the fork, read by anyone.

A `Slot` is what one process writes (`cells`); here is how the arenas of all slots are read and given free again.
The memory takes room only where something was counted: some 100 bytes a minute for a table and an operation, and
16 for each cell.
"""

from __future__ import annotations

import mmap
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import orjson

from blotter.database.metrics import cells
from blotter.database.metrics.buckets import middle_of
from blotter.database.metrics.cells import Slot
from blotter.database.metrics.names import BLOTTER, Metric, declared
from blotter.database.metrics.points import Point, point, values_of

ARENA_BYTES: Final = 16 << 20
"""Room for some 60,000 tables with an operation each, in one minute and process. It is reserved, not taken."""
_ALL_BYTES: Final = 2 << 30
_SMALLEST: Final = 1 << 20
_WORD: Final = 8
# Words of the memory's own.
_RESTARTS: Final = 0
"""Processes that were replaced, and how many of them were taken for a metric."""
_RESTARTS_TAKEN: Final = 1
_OWN_WORDS: Final = 64


class ArenaId(NamedTuple):
    """An arena with what was counted in one minute; generations of a slot rise."""

    slot: int
    generation: int


class Counted(NamedTuple):
    """What an arena holds: metrics with their units and the point of its minute."""

    id: ArenaId
    points: list[tuple[Metric, str, Point]]


class SharedCounters:
    """`run` is another for every server that is started: what is stored of an arena names it."""

    def __init__(self, slots: int, account: str, region: str, arena_bytes: int | None = None) -> None:
        if arena_bytes is None:
            arena_bytes = max(_SMALLEST, min(ARENA_BYTES, _ALL_BYTES // (cells.RING * slots)))
        self.run = secrets.token_hex(8)
        self.account = account
        self.region = region
        self.slots = slots
        self._arena_words = arena_bytes // _WORD
        self._slot_words = cells.SLOT_HEADER_WORDS + cells.RING * self._arena_words
        size = _WORD * (_OWN_WORDS + slots * self._slot_words)
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._memory = mmap.mmap(-1, size, flags=flags)
        self._raw = memoryview(self._memory)
        self._words = self._raw.cast("q")

    def slot(self, number: int) -> Slot:
        """The slot of one process, to be opened after the fork. Slots have numbers from 0."""
        return Slot(self._words, self._raw, self._base(number), self._arena_words)

    def note_restart(self) -> None:
        """Counts a process that ended by itself. Called by one process only."""
        self._words[_RESTARTS] += 1

    def take_restarts(self) -> int:
        """How many restarts there were since the last call. For one process."""
        restarts = self._words[_RESTARTS]
        taken, self._words[_RESTARTS_TAKEN] = self._words[_RESTARTS_TAKEN], restarts
        return restarts - taken

    def has_open(self) -> bool:
        """Whether a process still counts."""
        return any(
            self._words[header + cells.STATE] == cells.OPEN
            for slot in range(self.slots)
            for header in self._headers(slot)
        )

    def has_samples(self) -> bool:
        """Whether anything is counted and not given back as stored."""
        return any(
            self._words[header + cells.STATE] != cells.FREE and self._words[header + cells.CELLS]
            for slot in range(self.slots)
            for header in self._headers(slot)
        )

    def ids(self, state: int | None = None) -> list[ArenaId]:
        """The arenas in a state, or all that were ever used."""
        return [
            ArenaId(slot, self._words[header + cells.GENERATION])
            for slot in range(self.slots)
            for header in self._headers(slot)
            if self._words[header + cells.GENERATION]
            and (state is None or self._words[header + cells.STATE] == state)
        ]

    def late(self, minute: int) -> bool:
        """Whether an arena of an earlier minute with samples is still open."""
        return any(
            self._words[header + cells.STATE] == cells.OPEN
            and self._words[header + cells.MINUTE] < minute
            and self._words[header + cells.CELLS] > 0
            for slot in range(self.slots)
            for header in self._headers(slot)
        )

    def forget(self) -> None:
        """Gives everything back as if it were stored."""
        self.close_all()
        self.free(self.ids(cells.CLOSED))

    def close_all(self) -> None:
        """Closes what is open. For when every process that counts has ended."""
        for slot in range(self.slots):
            for header in self._headers(slot):
                if self._words[header + cells.STATE] == cells.OPEN:
                    self._words[header + cells.STATE] = cells.CLOSED

    def free(self, ids: Iterable[ArenaId]) -> None:
        """Gives closed arenas back to their processes: their points are stored."""
        wanted = set(ids)
        for slot in range(self.slots):
            for header in self._headers(slot):
                found = ArenaId(slot, self._words[header + cells.GENERATION])
                if found in wanted and self._words[header + cells.STATE] == cells.CLOSED:
                    self._words[header + cells.STATE] = cells.FREE

    def read(self, wanted: ArenaId) -> Counted | None:
        """What an arena holds; None if it is used for another minute by now."""
        for number, header in enumerate(self._headers(wanted.slot)):
            if self._words[header + cells.GENERATION] == wanted.generation:
                body = self._base(wanted.slot) + cells.SLOT_HEADER_WORDS + number * self._arena_words
                points = list(self._points(header, body))
                if self._words[header + cells.GENERATION] == wanted.generation:
                    return Counted(wanted, points)
        return None

    def _points(self, header: int, body: int) -> Iterator[tuple[Metric, str, Point]]:
        words = self._words
        count, lost = words[header + cells.CELLS], words[header + cells.LOST]
        time = 60 * words[header + cells.MINUTE]
        found: dict[int, list[tuple[int, int]]] = {}
        for at in range(body, body + 2 * count, 2):
            tag = words[at]
            cell = tag & ((1 << cells.KIND_BITS) - 1), words[at + 1]
            found.setdefault(tag >> cells.KIND_BITS, []).append(cell)
        names = self._names(body + self._arena_words, words[header + cells.SERIES])
        for number, values in sorted(found.items()):
            metric = _metric(names[number])
            known = declared(metric.namespace, metric.name)
            yield (
                metric,
                "None" if known is None else known.unit,
                _point(time, values, 1.0 if known is None else known.scale),
            )
        if lost:
            own = Metric(self.account, self.region, BLOTTER, "UncountedSamples")
            yield own, "Count", point(time, [(1.0, float(lost))])

    def _names(self, end: int, count: int) -> list[bytes]:
        names = []
        for _ in range(count):
            size = self._words[end - 1]
            start = end - 1 - (size + _WORD - 1) // _WORD
            names.append(bytes(self._raw[_WORD * start : _WORD * start + size]))
            end = start
        return names

    def _base(self, slot: int) -> int:
        if not 0 <= slot < self.slots:
            raise IndexError(f"there is no slot {slot}")
        return _OWN_WORDS + slot * self._slot_words

    def _headers(self, slot: int) -> range:
        base = self._base(slot)
        return range(base, base + cells.SLOT_HEADER_WORDS, cells.HEADER_WORDS)


def _metric(name: bytes) -> Metric:
    account, region, namespace, metric, where = orjson.loads(name)
    pairs: list[Any] = where
    return Metric(account, region, namespace, metric, tuple((key, value) for key, value in pairs))


def _point(time: int, values: list[tuple[int, int]], scale: float) -> Point:
    """The point of a series' cells."""
    exact = [(kind, count) for kind, count in values if kind < cells.EXACT]
    buckets = [(kind - cells.BUCKETS, count) for kind, count in values if kind >= cells.BUCKETS]
    if not buckets:
        return point(time, [(kind * scale, float(count)) for kind, count in exact])
    known = dict(values)
    # A process that died between two cells has counted in one of them.
    middles = [(middle_of(bucket), float(count)) for bucket, count in buckets]
    large = known.get(cells.SUM, round(sum(value * count for value, count in middles)))
    low = min([known.get(cells.LOW, int(middles[0][0])), *(kind for kind, _ in exact)])
    high = known.get(cells.HIGH, int(middles[-1][0]))
    total = large + sum(kind * count for kind, count in exact)
    samples = sum(count for _, count in exact) + sum(count for _, count in buckets)
    clamped = [(min(max(value, low), high) * scale, count) for value, count in middles]
    all_values = [*((kind * scale, float(count)) for kind, count in exact), *clamped]
    shown = {} if low == high else values_of(all_values)
    return Point(time, float(samples), total * scale, low * scale, high * scale, shown)
