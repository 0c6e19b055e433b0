"""Which segments hold the history of a table: one record of the store for each.

    history/<table id>/<last sequence, 16 hexadecimal digits>  →  HistoryPart as JSON

The records are written in the transaction that confirms the segment to the change log, so they and the log
together hold every change exactly once, whatever crashes: an object without a record was never confirmed, and is
written again or removed. `RECOVERY` is the reader of the log for all tables with recovery.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    ReadTransaction,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.records import records_in

RECOVERY: Final = "recovery"
"""Its name among the readers of the change log, and in `Table.log_readers`."""
_AT_ONCE: Final = 256


class HistoryPart(msgspec.Struct, frozen=True):
    """A segment: it holds the changes of the table after one sequence of the log up to another."""

    table_id: str
    after: int
    last: int
    latest: float
    """The latest time of its changes."""
    count: int
    size: int
    """Bytes of the object."""
    object: str
    """The object's name in the database's own objects."""


_decode = msgspec.json.Decoder(HistoryPart).decode


def add_part(tx: WriteTransaction, part: HistoryPart) -> None:
    key = _key(part.table_id, part.last)
    tx.put(RECORDS_SPACE, StoredItem(key, 0, msgspec.json.encode(part)), tx.get(RECORDS_SPACE, key))


def remove_parts(tx: WriteTransaction, parts: list[HistoryPart]) -> None:
    for part in parts:
        stored = tx.get(RECORDS_SPACE, _key(part.table_id, part.last))
        if stored is not None:
            tx.delete(RECORDS_SPACE, stored)


def first_part(tx: ReadTransaction, table_id: str, after: int) -> HistoryPart | None:
    """The first segment that holds changes after a sequence."""
    rows = tx.items(RECORDS_SPACE, _key(table_id, after + 1), _end(table_id), 1)
    return _decode(rows[0][2]) if rows else None


def parts(tx: ReadTransaction, table_id: str) -> Iterator[HistoryPart]:
    """The segments of a table, in order."""
    for _, _, body in records_in(tx, _key(table_id, 0), _end(table_id), _AT_ONCE):
        yield _decode(body)


def tables_with_parts(tx: ReadTransaction) -> list[str]:
    """The ids of the tables that have segments."""
    found: list[str] = []
    start, end = b"history/", b"history0"  # "0" follows "/" in ASCII
    while rows := tx.items(RECORDS_SPACE, start, end, 1):
        table_id = rows[0][0].split(b"/")[1].decode()
        found.append(table_id)
        start = _end(table_id)
    return found


def _key(table_id: str, last: int) -> bytes:
    return f"history/{table_id}/{last:016x}".encode()


def _end(table_id: str) -> bytes:
    return f"history/{table_id}0".encode()
