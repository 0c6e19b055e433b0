"""Copies a table as it is at one exact moment: without a long snapshot, and without stopping writers.

The moment is a position in the change log, from which on all changes of the table are logged (`begin`). The rows
are read afterwards, slice by slice, and what was changed since is put back (`history`). So each slice is exact,
whenever it is read; the proof is docs/decisions/0015-copies-at-a-moment.md.

While a copy is being made, trimming keeps the log from the moment on, and a deleted table stays DELETING, with its
items (`Table.is_being_copied`). A copy that was interrupted continues after any key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from msgspec.structs import replace

from blotter.database.copies.history import TableHistory
from blotter.database.copies.jobs import Tools
from blotter.database.copies.objects import INTERNAL
from blotter.database.model.table import COPY_READER, Table
from blotter.database.storage.change_log import add_reader, find_reader
from blotter.database.storage.protocol import ReadTransaction, Row, WriteTransaction


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


def release(tx: WriteTransaction, name: str) -> None:
    """`end` for a copy whose table is not known any more."""
    for table in tx.tables():
        if COPY_READER + name in table.log_readers:
            end(tx, table, name)
            return
    tx.remove_log_reader(COPY_READER + name)


def check_possible(tx: ReadTransaction, table: Table, name: str) -> None:
    """Raises CopyImpossible if what `begin` fixed is lost: the table was removed, or trimming no longer waits."""
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id:
        raise CopyImpossible(f"table {table.arn} is gone")
    reader = find_reader(tx, COPY_READER + name)
    if reader is None or reader.lost_at is not None:
        raise CopyImpossible(f"the change log of table {table.arn} does not go back to the moment of the copy")


def rows(tools: Tools, table: Table, name: str, position: int, start: bytes = b"") -> AsyncIterator[list[Row]]:
    """The rows of the table at the moment of the copy `name`, from a key on, in key order, some at a time. Raises
    HistoryLost when what `begin` has fixed is lost, and ObjectsUnavailable."""
    objects = tools.objects.within(INTERNAL)
    history = TableHistory(tools.storage, objects, tools.cipher, table.id, COPY_READER + name)
    return history.rows_at(table, position, start)
