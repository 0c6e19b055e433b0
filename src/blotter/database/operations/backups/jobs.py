"""What requests hand over to the jobs of backups and restores: kinds and states."""

from __future__ import annotations

from typing import Final

import msgspec

from blotter.database.copies.format import Part
from blotter.database.operations.backups.records import Backup

CREATE: Final = "create-backup"
DELETE: Final = "delete-backup"
RESTORE: Final = "restore"
RESTORE_TO_TIME: Final = "restore-to-time"


class CreateState(msgspec.Struct, frozen=True):
    """A backup that is being made: which one, and the parts that are written."""

    account: str
    region: str
    backup_id: str
    position: int
    """The moment, in the change log."""
    parts: tuple[Part, ...] = ()


class DeleteState(msgspec.Struct, frozen=True):
    """Objects that are to be removed: all under this place."""

    place: str


class Progress(msgspec.Struct, frozen=True):
    """How far the load of a new table has come (`backups.loading`)."""

    after: bytes = b""
    """Rows up to this key are stored; b"" for none."""
    has_all_items: bool = False
    indexes: tuple[str, ...] = ()
    """Names of the indexes that are filled."""


class RestoreState(msgspec.Struct, frozen=True):
    """A table that is being restored from a backup."""

    account: str
    region: str
    backup_id: str
    target_region: str
    target: str
    """The name of the table,"""
    target_id: str
    """and its id."""
    progress: Progress = Progress()


class RestoreToTimeState(msgspec.Struct, frozen=True):
    """A table that gets the items that another had at a time."""

    account: str
    region: str
    source: str
    """The name of the other table,"""
    source_id: str
    """and its id."""
    time: float
    target_region: str
    target: str
    target_id: str
    position: int | None = None
    """The position of the time in the change log, once it is known."""
    progress: Progress = Progress()


def job_id(kind: str, backup: Backup) -> str:
    return f"{kind}/{backup.table.account}/{backup.table.region}/{backup.id}"
