"""Counters in memory that the processes of a server share: what a killed process has counted is still there.

Each process has a slot, and a slot a ring of arenas, each of which holds the samples of one minute. An arena is
words of 64 bits. Cells grow from its front, two words each; names of series from its end:

    tag value tag value …                                   … name length name length

    tag: number of the series << 16 | kind of the cell

A series is a metric with its dimensions; its samples are whole numbers. A sample below EXACT is counted in the
cell of its value. Greater ones are counted in buckets of 2 % (`buckets`), beside cells for their sum, least and
greatest. So an arena is as large as what was counted in it. Only its process writes to a slot, and a cell is
complete before the header counts it; so nothing is torn, whenever the process dies, and its successor goes on
behind it.

    FREE → OPEN (being counted in) → CLOSED (its minute is over) → FREE (its points are stored)

What is in a FREE arena stays until it is used again. Compiled: counting is part of every request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from blotter.database.metrics.buckets import bucket_of

FREE: Final = 0
OPEN: Final = 1
CLOSED: Final = 2

RING: Final = 4
"""Arenas of a slot: so many minutes may pass before what was counted has to be stored."""
HEADER_WORDS: Final = 8
SLOT_HEADER_WORDS: Final = RING * HEADER_WORDS
# Words of an arena's header.
STATE: Final = 0
MINUTE: Final = 1
GENERATION: Final = 2
CELLS: Final = 3
SERIES: Final = 4
NAME_WORDS: Final = 5
LOST: Final = 6
"""Samples that found no room."""

EXACT: Final = 1024
"""Samples below this are counted by value."""
# Kinds of cells beside those of values.
SUM: Final = 1024
LOW: Final = 1025
HIGH: Final = 1026
BUCKETS: Final = 2048
KIND_BITS: Final = 16


def _nothing() -> None:
    """Nobody has to flush."""


class Slot:
    """The slot of this process. `words` and `raw` are the whole shared memory as 64-bit words and as bytes; the
    slot begins at the word `base`."""

    __slots__ = (
        "_arena_words",
        "_base",
        "_body",
        "_closed",
        "_header",
        "_raw",
        "_room",
        "_touched",
        "on_touch",
        "words",
    )

    def __init__(self, words: memoryview, raw: memoryview, base: int, arena_words: int) -> None:
        self.words = words
        self._raw = raw
        self._base = base
        self._arena_words = arena_words
        self._header = base
        self._body = base
        self._room = 0
        self._closed = False
        self._touched: list[_Cell] = []
        self.on_touch: Callable[[], object] = _nothing
        """Called when `flush` has something to do for the first time since the last one."""

    def open(self, minute: int) -> None:
        """Goes on in the arena that is open, or takes another. To be called first."""
        newest = -1
        for number in range(RING):
            header = self._base + number * HEADER_WORDS
            if self.words[header + STATE] != OPEN:
                continue
            if newest >= 0:  # its process died while it went on to the next
                older = min(newest, header, key=self._generation)
                self.words[older + STATE] = CLOSED
                newest = max(newest, header, key=self._generation)
            else:
                newest = header
        if newest >= 0:
            self._use(newest)
        self.turn(minute)

    def turn(self, minute: int) -> bool:
        """Goes on to another minute; whether what was counted before is in another arena now. If no arena is free,
        because nothing was stored for long, it stays in the one it has, and the minute lasts longer."""
        if self._closed:
            return False
        self.flush()
        words = self.words
        header, in_use = self._header, self._room > 0
        if in_use and words[header + MINUTE] == minute:
            return False
        if in_use and words[header + CELLS] == 0 and words[header + LOST] == 0:
            words[header + MINUTE] = minute
            return False
        following = self._free()
        if following < 0:
            return False
        generation = 1 + max([self._generation(self._base + n * HEADER_WORDS) for n in range(RING)])
        for word, value in ((CELLS, 0), (SERIES, 0), (NAME_WORDS, 0), (LOST, 0), (MINUTE, minute)):
            words[following + word] = value
        words[following + GENERATION] = generation
        words[following + STATE] = OPEN
        if in_use:
            words[header + STATE] = CLOSED
        self._use(following)
        return True

    def close(self) -> None:
        """Ends counting: nothing more will come from this process. What is counted after this is lost."""
        self.flush()
        if self._room:
            header = self._header
            used = self.words[header + CELLS] > 0 or self.words[header + LOST] > 0
            self.words[header + STATE] = CLOSED if used else FREE
            self._room = 0
        self._closed = True

    def series(self, name: bytes) -> int:
        """Enters a series; returns its number, -1 if there is no room."""
        words, header = self.words, self._header
        length = (len(name) + 7) // 8
        taken = int(words[header + NAME_WORDS]) + length + 1
        number = int(words[header + SERIES])
        if self._room == 0 or 2 * int(words[header + CELLS]) + taken > self._room:
            return -1
        start = self._body + self._room - taken
        self._raw[8 * start : 8 * start + len(name)] = name
        words[start + length] = len(name)
        words[header + NAME_WORDS] = taken
        words[header + SERIES] = number + 1
        return number

    def cell(self, number: int, kind: int, value: int) -> int:
        """Enters a cell; returns the place of its value among the words, -1 if there is no room."""
        words, header = self.words, self._header
        cells = int(words[header + CELLS])
        if number < 0 or 2 * cells + 2 + int(words[header + NAME_WORDS]) > self._room:
            return -1
        at = self._body + 2 * cells
        words[at] = (number << KIND_BITS) | kind
        words[at + 1] = value
        words[header + CELLS] = cells + 1
        return at + 1

    def touch(self, cell: _Cell) -> None:
        """Notes that a cell has another value than shared memory."""
        if cell.touched:
            return
        cell.touched = True
        self._touched.append(cell)
        if len(self._touched) == 1:
            self.on_touch()

    def flush(self) -> None:
        """Writes what was counted with `add_soon` to shared memory."""
        for cell in self._touched:
            self.words[cell.at] = cell.value
            cell.touched = False
        self._touched.clear()

    def lose(self) -> None:
        """Counts a sample that found no room."""
        if self._room:
            self.words[self._header + LOST] += 1

    def _generation(self, header: int) -> int:
        return int(self.words[header + GENERATION])

    def _free(self) -> int:
        """The free arena that was used longest ago, so that readers find what was stored last for long; -1 for
        none."""
        found = -1
        for number in range(RING):
            header = self._base + number * HEADER_WORDS
            if self.words[header + STATE] == FREE and (
                found < 0 or self._generation(header) < self._generation(found)
            ):
                found = header
        return found

    def _use(self, header: int) -> None:
        number = (header - self._base) // HEADER_WORDS
        self._header = header
        self._body = self._base + SLOT_HEADER_WORDS + number * self._arena_words
        self._room = self._arena_words


class _Cell:
    __slots__ = ("at", "touched", "value")

    def __init__(self, at: int, value: int) -> None:
        self.at = at
        self.value = value
        self.touched = False


class Series:
    """The samples of one metric in this minute. It is made anew for each minute."""

    __slots__ = ("_counts", "_high", "_last", "_last_kind", "_low", "_number", "_slot", "_sum", "_words")

    def __init__(self, slot: Slot, name: bytes) -> None:
        self._slot = slot
        self._words = slot.words
        self._number = slot.series(name)
        self._counts: dict[int, _Cell] = {}
        self._last_kind = -1
        self._last: _Cell | None = None
        self._sum: _Cell | None = None
        self._low: _Cell | None = None
        self._high: _Cell | None = None

    def add(self, sample: int) -> None:
        """Counts a sample, which is not negative, in shared memory."""
        cell = self._counted(sample)
        if cell is None:
            return
        self._words[cell.at] = cell.value
        if sample >= EXACT:
            self._sum_up(sample)
            for each in (self._sum, self._low, self._high):
                if each is not None:
                    self._words[each.at] = each.value

    def add_soon(self, sample: int) -> None:
        """Counts a sample, in shared memory by the next `Slot.flush`: for what is counted often."""
        cell = self._counted(sample)
        if cell is None:
            return
        if not cell.touched and cell.value > 1:
            self._slot.touch(cell)
        if sample >= EXACT:
            self._sum_up(sample)

    def _counted(self, sample: int) -> _Cell | None:
        """The cell of a sample, after the sample; None if there is no room. A new one is in shared memory."""
        kind = sample if sample < EXACT else BUCKETS + bucket_of(float(sample))
        cell = self._last if kind == self._last_kind else self._counts.get(kind)
        if cell is None:
            cell = self._new(kind, 1)
            if cell is None:
                self._slot.lose()
                return None
            self._counts[kind] = cell
        else:
            cell.value += 1
        self._last_kind, self._last = kind, cell
        return cell

    def _sum_up(self, sample: int) -> None:
        total, low, high = self._sum, self._low, self._high
        if total is None or low is None or high is None:
            self._sum = self._new(SUM, sample)
            self._low = self._new(LOW, sample)
            self._high = self._new(HIGH, sample)
            return
        total.value += sample
        if not total.touched:
            self._slot.touch(total)
        if sample < low.value:
            low.value = sample
            self._slot.touch(low)
        if sample > high.value:
            high.value = sample
            self._slot.touch(high)

    def _new(self, kind: int, value: int) -> _Cell | None:
        at = self._slot.cell(self._number, kind, value)
        return None if at < 0 else _Cell(at, value)
