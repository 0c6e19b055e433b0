"""All objects of a source, read one after another in slices of bounded work, and where to go on after each.

Nothing here waits for a store or knows a loop: the caller takes the next slice on a thread, deals with it, and
saves its position together with what came of it. Reading again from a position gives the same records, if the
objects are still the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from blotter.database.importing.compression import Compression, MalformedObject, unpacked
from blotter.database.importing.formats import Format, Put
from blotter.database.model.errors import DynamoDBError

T = TypeVar("T")

SLICE_RECORDS: Final = 1000
SLICE_BYTES: Final = 1024 * 1024
"""A slice takes no further records after so many, or so many bytes of content."""


class Position(msgspec.Struct, frozen=True):
    """How far a source was read. Objects are read in the order of their names."""

    name: str = ""
    """The object that was read last; empty for none."""
    records: int = 0
    """How many of its records were dealt with."""
    finished: bool = True
    """Whether the whole object was."""
    stored: int = 0
    """How many of its bytes were read, and"""
    content: int = 0
    """how many there were once they were unpacked."""


class Fault(NamedTuple):
    """What is wrong with a record or, from there on, with an object."""

    name: str
    number: int
    """The number of the record in the object, from 0."""
    line: int | None
    """The line on which it begins, from 1; None where there are none."""
    message: str
    put: Put | None
    """What the record says, if that much could be read."""


class Slice(NamedTuple, Generic[T]):
    """What a piece of the source consists of: what was made of its records, and what is wrong with others."""

    made: list[T]
    numbers: list[int]
    """For each of them, the number of its record in the object."""
    faults: list[Fault]
    stored: int
    """Bytes of objects, as they are stored."""
    content: int
    """Bytes of objects, unpacked."""
    position: Position


class Source(NamedTuple):
    """Where objects are: their names, ascending, from one on; and their bytes by name. `gone` is what `open`
    raises for an object that is not there any more."""

    names: Callable[[str], Iterable[str]]
    open: Callable[[str], Iterator[bytes]]
    gone: type[Exception]


class _Counted:
    """Passes pieces on and counts them."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.bytes += len(piece)
            yield piece


class Reader(Generic[T]):
    """Reads a source from a position on. `make` turns a record into what the caller writes, or raises
    DynamoDBError."""

    def __init__(
        self, source: Source, format_: Format, compression: Compression, make: Callable[[Put], T]
    ) -> None:
        self._source = source
        self._format = format_
        self._compression = compression
        self._make = make

    def slices(self, after: Position) -> Iterator[Slice[T]]:
        """What errors the source raises, other than `gone`, pass through; the source is then as it was."""
        for name in self._source.names(after.name):
            if name == after.name:
                if not after.finished:
                    yield from self._object(name, after)
            else:
                yield from self._object(name, Position(name, finished=False))

    def _object(self, name: str, after: Position) -> Iterator[Slice[T]]:
        stored = _Counted(self._source.open(name))
        content = _Counted(unpacked(stored, self._compression))
        work = _Cutter[T](after, stored, content)
        line: int | None = None
        try:
            for index, (number, record) in enumerate(self._format.records(content)):
                if index < after.records:
                    continue
                line = number
                self._record(work, line, record)
                line = None
                if work.is_full:
                    yield work.cut(finished=False)
        except MalformedObject as fault:
            work.add_fault(line, str(fault))
        except self._source.gone:
            work.add_fault(None, "The object is not there any more")
        yield work.cut(finished=True)

    def _record(self, work: _Cutter[T], line: int, record: object) -> None:
        put: Put | None = None
        try:
            put = self._format.parse(record)
            work.made.append(self._make(put))
            work.numbers.append(work.records)
        except DynamoDBError as error:
            work.add_fault(line, error.message, put)
        work.records += 1


class _Cutter(Generic[T]):
    """Collects what becomes of the records of one object, and cuts it into slices."""

    def __init__(self, after: Position, stored: _Counted, content: _Counted) -> None:
        self.made: list[T] = []
        self.numbers: list[int] = []
        self.records = after.records
        self._faults: list[Fault] = []
        self._start = after
        self._stored = stored
        self._content = content

    @property
    def is_full(self) -> bool:
        start = self._start
        return self.records - start.records >= SLICE_RECORDS or self._content.bytes - start.content >= SLICE_BYTES

    def add_fault(self, line: int | None, message: str, put: Put | None = None) -> None:
        self._faults.append(Fault(self._start.name, self.records, line, message, put))

    def cut(self, *, finished: bool) -> Slice[T]:
        """Ends a slice. What was read again on the way to its start was counted before."""
        start = self._start
        stored = max(self._stored.bytes, start.stored)
        content = max(self._content.bytes, start.content)
        end = Position(start.name, self.records, finished, stored, content)
        slice_ = Slice(self.made, self.numbers, self._faults, stored - start.stored, content - start.content, end)
        self.made, self.numbers, self._faults, self._start = [], [], [], end
        return slice_
