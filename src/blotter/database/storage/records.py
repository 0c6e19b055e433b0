"""The database's own records: written so that an archive has them too.

A record is what the database keeps about itself under a key of RECORDS_SPACE: users and policies, streams,
backups. Changes of records are rare, and are logged only while an archive reads the log (`storage.change_log`).
What is of no use elsewhere, or soon of none, is written without this: tokens, the use of keys, the index of a
history.
"""

from __future__ import annotations

from blotter.database.storage.change_log import is_archived
from blotter.database.storage.protocol import RECORDS_SPACE, StoredItem, WriteTransaction


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
