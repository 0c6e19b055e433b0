"""What the store knows about its archive: one record, saved with the position of the log's reader.

archive/state  →  State as JSON
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from msgspec.structs import replace

from blotter.database.storage.change_log import ARCHIVE, find_reader
from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    ReadTransaction,
    Storage,
    StoredItem,
    WriteTransaction,
)

log = logging.getLogger(__name__)

_KEY: Final = b"archive/state"


class State(msgspec.Struct, frozen=True):
    epoch: str
    place: str
    """The URL of the archive."""
    started_at: float
    position: int
    """Where the epoch begins."""
    key_id: str = ""
    directory: str = ""
    """What this data directory is called in its archives."""
    shipped_bytes: int = 0
    """Of segments of this epoch."""
    loaded: tuple[str, ...] = ()
    """The ids of tables that a restore or an import has filled, and that are still to be copied: what it put is
    not in the log."""
    base: int | None = None
    """The position of its last complete base."""
    base_size: int = 0
    """Bytes of items in it."""
    base_shipped_bytes: int = 0
    """`shipped_bytes` when it was begun."""
    base_time: float = 0.0
    """When it was complete."""


def find_state(tx: ReadTransaction) -> State | None:
    found = tx.get(RECORDS_SPACE, _KEY)
    return None if found is None else msgspec.json.decode(found.body, type=State)


def save_state(tx: WriteTransaction, state: State) -> None:
    tx.put(RECORDS_SPACE, StoredItem(_KEY, 0, msgspec.json.encode(state)), tx.get(RECORDS_SPACE, _KEY))


async def stop_archiving(storage: Storage) -> None:
    """For a server without an archive: changes are no longer logged and kept for one."""
    if await storage.fetch(lambda tx: find_reader(tx, ARCHIVE)) is not None:
        await storage.write(_release)
        log.warning("the server runs without --archive: the archive that it had before goes no further")


def _release(tx: WriteTransaction) -> None:
    tx.remove_log_reader(ARCHIVE)
    for table in list(tx.tables()):
        if ARCHIVE in table.log_readers:
            kept = tuple(reader for reader in table.log_readers if reader != ARCHIVE)
            tx.save_table(replace(table, log_readers=kept))
