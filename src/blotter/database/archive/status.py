"""How far the archive of a data directory or a store in PostgreSQL is: what `blotter archive status` shows. Reads
only, beside running servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from blotter.database.archive.archiver import seconds_behind
from blotter.database.archive.state import find_state
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.change_log import ARCHIVE, find_reader
from blotter.database.storage.protocol import ReadTransaction, Storage, Store
from blotter.database.storage.sqlite.read_only import ReadOnlyFile


class Status(msgspec.Struct, frozen=True):
    archive: str
    """Its URL."""
    epoch: str
    shipped_through: int
    """The last entry of the change log that the archive has."""
    shipped_at: float
    """When it was shipped, in seconds since the epoch."""
    entries_behind: int
    seconds_behind: float
    """The age of the oldest entry that is not shipped: what would be lost with the machine."""
    is_lost: bool
    """Whether the change log no longer waits for the archive; the server begins a new epoch."""
    base_at: float | None
    """When the last base was complete; None until then, when nothing of this epoch can be recovered."""
    tables_waiting: int
    """Tables that were restored or imported and are still to be copied."""


def read_status(
    directory: Path, master_key: MasterKey | None = None, clock: Callable[[], float] = time.time
) -> Status | None:
    """None if the directory has no archive. Raises DataDirectoryError, DamagedFile, and apsw's errors."""
    file = ReadOnlyFile(directory, master_key)
    try:
        with file.snapshot() as tx:
            return _status(tx, clock())
    finally:
        file.close()


def read_store_status(store: Store, clock: Callable[[], float] = time.time) -> Status | None:
    """The same of a store that servers use. Raises DataDirectoryError and StorageUnavailable."""

    async def read(storage: Storage) -> Status | None:
        return await storage.fetch(lambda tx: _status(tx, clock()))

    return store.run_apart(read)


def _status(tx: ReadTransaction, now: float) -> Status | None:
    state, reader = find_state(tx), find_reader(tx, ARCHIVE)
    if state is None or reader is None:
        return None
    return Status(
        archive=state.place,
        epoch=state.epoch,
        shipped_through=reader.position,
        shipped_at=reader.progressed_at,
        entries_behind=tx.last_change() - reader.position,
        seconds_behind=seconds_behind(tx, now),
        is_lost=reader.lost_at is not None,
        base_at=None if state.base is None else state.base_time,
        tables_waiting=len(state.loaded),
    )
