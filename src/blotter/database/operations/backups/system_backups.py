"""The backup that the service makes of a deleted table that had point-in-time recovery.

The deletion waits until its job has copied the table, and nobody can delete the backup: it expires after 35 days.
Recovery that is switched off while the table is DELETING calls it off, as on AWS (ack-api-quirks, DDB-TABLE-088,
-167, -453; 2026-10), which is also the way to get rid of a table when there is no room for its backup.
"""

from __future__ import annotations

from typing import Final

from blotter.database.copies import copier
from blotter.database.copies.recovery import without_recovery
from blotter.database.model.recovery import DAY_SECONDS
from blotter.database.model.table import Table
from blotter.database.operations.backups import records
from blotter.database.operations.backups.backups import remove_backup, start_backup
from blotter.database.operations.backups.jobs import CREATE, job_id
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

KEPT_SECONDS: Final = 35 * DAY_SECONDS
_SUFFIX: Final = "$DeletedTableBackup"


def back_up_deleted(tx: WriteTransaction, table: Table, now: float) -> None:
    """Starts the backup of a table that is being deleted; the deletion goes on when it is complete."""
    start_backup(tx, table, f"{table.name}{_SUFFIX}", now, now + KEPT_SECONDS)
    current = tx.find_table(table.account, table.region, table.name)
    if current is not None:
        tx.save_table(without_recovery(current))


def call_off(tx: WriteTransaction, table: Table) -> None:
    """Ends the backup of a table that is being deleted, if it is not complete."""
    for backup in records.backups(tx, table.account, table.region):
        if backup.table.id == table.id and backup.expires_at is not None and not backup.available:
            records.remove(tx, backup)
            copier.end(tx, table, job_id(CREATE, backup))


def remove_expired(tx: WriteTransaction, now: float) -> bool:
    """Removes a backup that has expired; returns whether there was one."""
    backup = next(iter(expired(tx, now)), None)
    if backup is None:
        return False
    remove_backup(tx, backup, now)
    return True


def expired(tx: ReadTransaction, now: float) -> list[records.Backup]:
    """Backups of the service that are over, unless a table is being restored from them."""
    return [
        backup
        for backup in records.every(tx)
        if backup.expires_at is not None and backup.expires_at <= now and backup.restoring is None
    ]
