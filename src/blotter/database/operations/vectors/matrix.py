"""The vectors of an index, or of one partition of it, in memory: rows of blocks of 32-bit floats.

Everything here is done on one thread, the one that does the work of long reads (`execution.long_reads`), so
nothing is locked. A row that goes is replaced by the last one. INLINE_FILTER values are numbered, and each row has
the numbers of its values, so that a filter is a comparison of whole columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from blotter.database.model.table import VectorSettings
from blotter.database.model.vectors import FLOAT_BYTES, filter_values, floats_of
from blotter.database.operations.vectors.arrays import Doubles, Flags, Floats, np, npt
from blotter.database.operations.vectors.scoring import Search, squared_lengths
from blotter.database.storage.protocol import Row

Filters: TypeAlias = Sequence[tuple[int, bytes]]
"""(place among the INLINE_FILTER attributes, canonical value) of each condition."""

BLOCK_ROWS: Final = 16_384
_ROW_BYTES: Final = 320
"""What a row takes beside its vector: its key and its place, in a list and in a dict."""
_VALUE_BYTES: Final = 200
SPARE_VALUES: Final = 4096
_NO_VALUE: Final = -1


class _Block:
    """Room for `BLOCK_ROWS` rows, or for fewer in the only block of a small matrix."""

    __slots__ = ("filters", "sizes", "squares", "vectors")

    def __init__(self, rows: int, vector: VectorSettings) -> None:
        self.vectors: Floats = np.empty((rows, vector.dimensions), np.float32)
        self.squares: Doubles = np.empty(rows)
        self.sizes: npt.NDArray[np.int64] = np.zeros(rows, np.int64)
        self.filters: list[npt.NDArray[np.int32]] = [np.full(rows, _NO_VALUE, np.int32) for _ in vector.filters]

    def copy_row(self, place: int, other: _Block, other_place: int) -> None:
        self.vectors[place] = other.vectors[other_place]
        self.squares[place] = other.squares[other_place]
        self.sizes[place] = other.sizes[other_place]
        for mine, theirs in zip(self.filters, other.filters, strict=True):
            mine[place] = theirs[other_place]


class Matrix:
    """The entries of an index by their keys. `examined` is what a search of all of them is metered by."""

    def __init__(self, vector: VectorSettings) -> None:
        self._vector = vector
        self._keys: list[bytes] = []
        self._rows: dict[bytes, int] = {}
        self._blocks: list[_Block] = []
        self._numbers: list[dict[bytes, int]] = [{} for _ in vector.filters]
        self.examined = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        floats = sum(len(block.squares) for block in self._blocks) * (
            FLOAT_BYTES * self._vector.dimensions + 16 + 4 * len(self._numbers)
        )
        return floats + len(self._keys) * _ROW_BYTES + sum(map(len, self._numbers)) * _VALUE_BYTES

    @property
    def is_wasteful(self) -> bool:
        """Whether it keeps many INLINE_FILTER values that no row has any more: it is to be made anew."""
        return sum(map(len, self._numbers)) > len(self._numbers) * (2 * len(self._keys) + SPARE_VALUES)

    def emptied(self) -> Matrix:
        return Matrix(self._vector)

    def put(self, entries: Sequence[Row]) -> None:
        """Adds entries, or replaces those with their keys."""
        new: list[Row] = []
        for entry in entries:
            row = self._rows.get(entry[0])
            if row is None:
                self._rows[entry[0]] = len(self._keys)
                self._keys.append(entry[0])
                new.append(entry)
            else:
                self._write(row, [entry])
        if new:
            self._write(len(self._keys) - len(new), new)

    def remove(self, keys: Iterable[bytes]) -> None:
        """Removes the entries with these keys, as far as there are any."""
        for key in keys:
            row = self._rows.pop(key, None)
            if row is None:
                continue
            block, place = self._place(row)
            self.examined -= int(block.sizes[place])
            last = len(self._keys) - 1
            moved = self._keys.pop()
            other, other_place = self._place(last)
            if row != last:
                block.copy_row(place, other, other_place)
                self._keys[row] = moved
                self._rows[moved] = row
            other.sizes[other_place] = 0
            if len(self._blocks) > 1 and last == (len(self._blocks) - 1) * BLOCK_ROWS:
                self._blocks.pop()

    def offer_all(self, search: Search, filters: Filters) -> None:
        """Offers all entries that pass the filters."""
        numbers = [(place, self._numbers[place].get(value)) for place, value in filters]
        if any(number is None for _, number in numbers):
            return
        for start, block, rows in self._filled():
            allowed: Flags | None = None
            for place, number in numbers:
                equal = block.filters[place][:rows] == number
                allowed = equal if allowed is None else allowed & equal
            keys = self._keys if start == 0 and rows == len(self._keys) else self._keys[start : start + rows]
            search.offer(block.vectors[:rows], block.squares[:rows], keys, allowed)

    def _filled(self) -> Iterator[tuple[int, _Block, int]]:
        for number, block in enumerate(self._blocks):
            start = number * BLOCK_ROWS
            rows = min(len(self._keys) - start, BLOCK_ROWS)
            if rows > 0:
                yield start, block, rows

    def _place(self, row: int) -> tuple[_Block, int]:
        number, place = divmod(row, BLOCK_ROWS)
        return self._blocks[number], place

    def _write(self, row: int, entries: Sequence[Row]) -> None:
        """Writes entries to consecutive rows."""
        self._make_room(row + len(entries))
        while entries:
            block, place = self._place(row)
            here, entries = entries[: BLOCK_ROWS - place], entries[BLOCK_ROWS - place :]
            end = place + len(here)
            block.vectors[place:end] = vectors_of(here, self._vector)
            block.squares[place:end] = squared_lengths(block.vectors[place:end])
            self.examined -= int(block.sizes[place:end].sum())
            block.sizes[place:end] = [entry[1] for entry in here]
            self.examined += int(block.sizes[place:end].sum())
            if self._numbers:
                for offset, entry in enumerate(here, place):
                    for column, numbers, value in zip(
                        block.filters, self._numbers, filter_values(entry[2], self._vector), strict=True
                    ):
                        column[offset] = _NO_VALUE if value is None else numbers.setdefault(value, len(numbers))
            row += len(here)

    def _make_room(self, rows: int) -> None:
        if len(self._blocks) <= 1 and rows <= BLOCK_ROWS:
            room = len(self._blocks[0].squares) if self._blocks else 0
            if room < rows:
                larger = _Block(min(max(rows, 2 * room, 256), BLOCK_ROWS), self._vector)
                for place in range(room):
                    larger.copy_row(place, self._blocks[0], place)
                self._blocks = [larger]
            return
        if self._blocks and len(self._blocks[0].squares) < BLOCK_ROWS:
            self._make_room(BLOCK_ROWS)
        while len(self._blocks) * BLOCK_ROWS < rows:
            self._blocks.append(_Block(BLOCK_ROWS, self._vector))


def vectors_of(entries: Sequence[Row], vector: VectorSettings) -> Floats:
    floats = np.frombuffer(b"".join([floats_of(entry[2], vector) for entry in entries]), "<f4")
    return floats.reshape(len(entries), vector.dimensions)


def offer_entries(search: Search, entries: Sequence[Row], vector: VectorSettings, filters: Filters) -> None:
    """Offers entries that were just read."""
    if filters:
        entries = [entry for entry in entries if _passes(entry[2], vector, filters)]
    if entries:
        vectors = vectors_of(entries, vector)
        search.offer(vectors, squared_lengths(vectors), [entry[0] for entry in entries])


def _passes(body: bytes, vector: VectorSettings, filters: Filters) -> bool:
    values = list(filter_values(body, vector))
    return all(values[place] == value for place, value in filters)
