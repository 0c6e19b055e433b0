"""Reads a table as it was at one exact moment: without a long snapshot, and without stopping writers.

The moment is a position in the change log, from which on all changes of the table are logged (`begin`). Slices are
read one after another in key order, each in a short snapshot of its own, in which the log is read to its end, too.
For a key that has not been changed between the moment and the snapshot, the row that is read is the row of the
moment; for one that has, the first change after the moment says what it was before (`Change.old`). So each slice
is exact, whenever it is read; the proof is docs/decisions/0015-copies-at-a-moment.md.

While a copy is being made, trimming keeps the log from the moment on, and a deleted table stays DELETING, with its
items (`Table.is_being_copied`). A copy that was interrupted continues after any key.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple, Protocol

import orjson
from msgspec.structs import replace
from sortedcontainers import SortedDict

from blotter.database.model.size import item_size
from blotter.database.model.table import COPY_READER, Table
from blotter.database.storage.change_log import add_reader, find_reader
from blotter.database.storage.protocol import Change, ReadTransaction, Row, Storage, WriteTransaction

SLICE_SECONDS: Final = 0.004
"""A slice of the log takes no further entries after this long."""
ROWS_AT_ONCE: Final = 1024
BYTES_AT_ONCE: Final = 1024 * 1024
LOG_AT_ONCE: Final = 2048

_BUCKET_BITS = 12
_BUCKETS = 1 << _BUCKET_BITS


class Moment(NamedTuple):
    position: int
    """The last entry of the change log whose effect the copy has."""
    time: float
    """Seconds since the epoch."""


class CopyImpossible(Exception):
    """The table or the part of the change log that a copy needs is gone."""


def begin(tx: WriteTransaction, table: Table, name: str, now: float) -> Moment:
    """Fixes the moment of a copy: that of this transaction. From now on the table's changes are logged, and the
    log is kept, until `end`. `name` is the copy's own. Raises CopyImpossible."""
    reader = COPY_READER + name
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id:
        raise CopyImpossible(f"table {table.arn} is gone")
    tx.save_table(replace(current, log_readers=(*current.log_readers, reader)))
    add_reader(tx, reader, now)  # after the entry that `save_table` has made
    return Moment(tx.last_change(), now)


def end(tx: WriteTransaction, table: Table, name: str) -> None:
    """Lets go of what `begin` holds; does nothing if that was done before."""
    reader = COPY_READER + name
    tx.remove_log_reader(reader)
    current = tx.find_table(table.account, table.region, table.name)
    if current is not None and current.id == table.id and reader in current.log_readers:
        kept = tuple(other for other in current.log_readers if other != reader)
        tx.save_table(replace(current, log_readers=kept))


def check_possible(tx: ReadTransaction, table: Table, name: str) -> None:
    """Raises CopyImpossible if what `begin` fixed is lost: the table was removed, or trimming no longer waits."""
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id:
        raise CopyImpossible(f"table {table.arn} is gone")
    reader = find_reader(tx, COPY_READER + name)
    if reader is None or reader.lost_at is not None:
        raise CopyImpossible(f"the change log of table {table.arn} does not go back to the moment of the copy")


class Undo(Protocol):
    """What was changed after the moment, and what it was before."""

    def note(self, sequence: int, key: bytes) -> None:
        """A change of an item after the moment; called in the order of the log, only for keys not passed yet."""

    def take(self, tx: ReadTransaction, start: bytes, end: bytes | None) -> dict[bytes, bytes | None]:
        """For every key with start <= key < end that was changed: its body at the moment, None for no item. Called
        once for every range, in order; the ranges cover all keys."""


class LogUndo:
    """An `Undo` that keeps only the sequences of changes, 8 bytes each, by the beginning of the key, which is a
    hash; what an item was before is read from the log when its turn comes."""

    def __init__(self) -> None:
        self._later: list[array[int] | None] = [None] * _BUCKETS
        self._bucket = -1
        self._open: Any = SortedDict()
        """Key → sequence of its first change, of the bucket that is being read."""

    def note(self, sequence: int, key: bytes) -> None:
        bucket = _bucket(key)
        if bucket <= self._bucket:
            self._open.setdefault(key, sequence)
            return
        sequences = self._later[bucket]
        if sequences is None:
            sequences = self._later[bucket] = array("q")
        sequences.append(sequence)

    def take(self, tx: ReadTransaction, start: bytes, end: bytes | None) -> dict[bytes, bytes | None]:
        last = _BUCKETS - 1 if end is None else _bucket(end)
        taken: dict[bytes, bytes | None] = {}
        while self._bucket < last:
            self._close(tx, start, end, taken)
            self._bucket += 1
            self._fill(tx)
        self._close(tx, start, end, taken)
        return taken

    def _fill(self, tx: ReadTransaction) -> None:
        sequences, self._later[self._bucket] = self._later[self._bucket], None
        for sequence in sequences or ():
            self._open.setdefault(_entry(tx, sequence).key, sequence)

    def _close(
        self, tx: ReadTransaction, start: bytes, end: bytes | None, taken: dict[bytes, bytes | None]
    ) -> None:
        """Moves what lies in the range from the open bucket."""
        if self._open:
            for key in list(self._open.irange(start, end, inclusive=(True, False))):
                taken[key] = _entry(tx, self._open.pop(key)).old


class TableCopier:
    """The rows of a table at a moment, in key order, after `start`. `monotonic` measures slices."""

    def __init__(
        self,
        storage: Storage,
        table: Table,
        position: int,
        start: bytes = b"",
        undo: Undo | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._table = table
        self._read_through = position
        self._next = start
        self._undo = LogUndo() if undo is None else undo
        self._monotonic = monotonic
        self._ended = False

    async def slices(self) -> AsyncIterator[list[Row]]:
        """Slices of some 1 MB. The table must be as `begin` left it: see `check_possible`."""
        while not self._ended:
            rows = await self._storage.fetch(self._slice)
            if rows:
                yield rows

    def _slice(self, tx: ReadTransaction) -> list[Row]:
        if not self._catch_up(tx):
            return []
        rows = tx.items(self._table.space, self._next, None, ROWS_AT_ONCE, BYTES_AT_ONCE)
        size = sum([row[1] for row in rows])
        self._ended = len(rows) < ROWS_AT_ONCE and size < BYTES_AT_ONCE
        end = None if self._ended else rows[-1][0] + b"\x00"
        changed = self._undo.take(tx, self._next, end)
        if end is not None:
            self._next = end
        return _undone(rows, changed) if changed else rows

    def _catch_up(self, tx: ReadTransaction) -> bool:
        """Reads the log to its end in this snapshot; False if that would take too long for one slice."""
        deadline = self._monotonic() + SLICE_SECONDS
        table_id, start = self._table.id, self._next
        while entries := tx.log_keys(table_id, self._read_through, LOG_AT_ONCE):
            for sequence, key in entries:
                if key is not None and key >= start:
                    self._undo.note(sequence, key)
            self._read_through = entries[-1][0]
            if len(entries) < LOG_AT_ONCE:
                return True
            if self._monotonic() > deadline:
                return False
        return True


def _undone(rows: list[Row], changed: dict[bytes, bytes | None]) -> list[Row]:
    """The rows with what was changed as it was before."""
    kept = [row for row in rows if row[0] not in changed]
    kept += [(key, item_size(orjson.loads(old)), old) for key, old in changed.items() if old is not None]
    kept.sort()
    return kept


def _entry(tx: ReadTransaction, sequence: int) -> Change:
    found = tx.log(sequence - 1, 1)
    if not found or found[0].sequence != sequence:
        raise CopyImpossible(f"entry {sequence} of the change log is gone, which a copy needs")
    return found[0]


def _bucket(key: bytes) -> int:
    return int.from_bytes(key[:2].ljust(2, b"\x00"), "big") >> (16 - _BUCKET_BITS)
