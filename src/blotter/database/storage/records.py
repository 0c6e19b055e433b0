"""The database's own records: written so that an archive has them too.

A record is what the database keeps about itself under a key of RECORDS_SPACE: users and policies, streams,
backups. Changes of records are rare, and are logged only while an archive reads the log (`storage.change_log`).
What is of no use elsewhere, or soon of none, is written without this: tokens, the use of keys, the index of a
history.
"""

from __future__ import annotations

from collections.abc import Iterator

from blotter.database.storage.change_log import is_archived
from blotter.database.storage.protocol import (
    ANY_SIZE,
    RECORDS_SPACE,
    ReadTransaction,
    Row,
    StoredItem,
    WriteTransaction,
)

_AT_ONCE = 256


def records_in(
    tx: ReadTransaction, start: bytes, end: bytes | None, at_once: int = _AT_ONCE, *, reverse: bool = False
) -> Iterator[Row]:
    """The records with start <= key < end, in key order or in reverse, read so many at a time as they are asked
    for."""
    while rows := tx.items(RECORDS_SPACE, start, end, at_once, ANY_SIZE, reverse=reverse):
        yield from rows
        if len(rows) < at_once:
            return
        if reverse:
            end = rows[-1][0]
        else:
            start = rows[-1][0] + b"\x00"


def save_record(tx: WriteTransaction, key: bytes, body: bytes) -> None:
    """Adds a record, or replaces the one under its key."""
    previous = tx.get(RECORDS_SPACE, key)
    tx.put(RECORDS_SPACE, StoredItem(key, 0, body), previous)
    if is_archived(tx):
        tx.log_record(key, None if previous is None else previous.body, body)


def delete_record(tx: WriteTransaction, key: bytes) -> bool:
    """Removes a record; returns whether it was there."""
    previous = tx.get(RECORDS_SPACE, key)
    if previous is None:
        return False
    tx.delete(RECORDS_SPACE, previous)
    if is_archived(tx):
        tx.log_record(key, previous.body, None)
    return True
