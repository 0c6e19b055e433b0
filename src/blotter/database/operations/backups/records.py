"""The records of backups, in the store's own key space: what a backup is and holds, whether its table exists or
not.

    backup/123456789012/us-east-1/01795911600000-9b1c2d3e    {"id": …, "name": …, "table": {…}, …}

The second half of the key is the backup's id, which begins with the moment it was made, in milliseconds; so the
records of a region lie in the order of their creation. The contents are in the store of objects, under `place`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from blotter.database.copies.objects import INTERNAL
from blotter.database.model.arns import PartArn, is_region, parse_part_arn, part_arn
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.table import Table
from blotter.database.operations.context import Context
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record

KIND: Final = "backup"
_AT_ONCE: Final = 50
_CLOSE_MILLISECONDS: Final = 1000


class Backup(msgspec.Struct, frozen=True):
    """One backup, until it is deleted."""

    id: str
    name: str
    type: Literal["USER", "SYSTEM"]
    table: Table
    """The table as it was at the moment of the backup."""
    created_at: float
    """That moment, in seconds since the epoch, to the millisecond."""
    items: int
    size: int
    available: bool = False
    """Whether its contents are complete."""
    expires_at: float | None = None
    restoring: str | None = None
    """The job that restores a table from it."""

    @property
    def arn(self) -> str:
        return part_arn(self.table.region, self.table.account, self.table.name, KIND, self.id)

    @property
    def place(self) -> str:
        """Where its contents are in the store of objects."""
        return place_of(self.table.account, self.table.region, self.id)

    @property
    def copy_id(self) -> str:
        """What its parts are marked with: 32 hexadecimal digits, never used for another copy."""
        return f"{self.id[:14]}{self.id[15:23]}{self.table.id.replace('-', '')[:10]}"


def place_of(account: str, region: str, backup_id: str) -> str:
    """Where the contents of a backup are in the store of objects."""
    return f"{INTERNAL}/backups/{account}/{region}/{backup_id}"


def new_backup_id(tx: ReadTransaction, table: Table, now: float, suffix: str = "") -> str:
    """An id that follows on those that the account has in the region: of two backups in one millisecond, the
    second gets the next one. A clock that was set back is believed."""
    moment = int(now * 1000)
    start, end = _key(table.account, table.region, ""), _key(table.account, table.region, "~")
    for key, _, _ in tx.items(RECORDS_SPACE, start, end, 1, reverse=True):
        last = int(key[len(start) :].partition(b"-")[0])
        if 0 <= last - moment < _CLOSE_MILLISECONDS:
            moment = last + 1
    return f"{moment:014d}-{suffix or secrets.token_hex(4)}"


def created_at(backup_id: str) -> float:
    """When the backup of an id was made, in seconds since the epoch."""
    return int(backup_id.partition("-")[0]) / 1000


def save(tx: WriteTransaction, backup: Backup) -> None:
    save_record(tx, _key(backup.table.account, backup.table.region, backup.id), msgspec.json.encode(backup))


def find(tx: ReadTransaction, account: str, region: str, backup_id: str) -> Backup | None:
    found = tx.get(RECORDS_SPACE, _key(account, region, backup_id))
    return None if found is None else msgspec.json.decode(found.body, type=Backup)


def remove(tx: WriteTransaction, backup: Backup) -> None:
    delete_record(tx, _key(backup.table.account, backup.table.region, backup.id))


def backups(tx: ReadTransaction, account: str, region: str, after: str = "") -> Iterator[Backup]:
    """Those whose ids are greater, in the order of their creation."""
    start, end = _key(account, region, after and after + "\x00"), _key(account, region, "~")
    for _, _, body in records_in(tx, start, end, _AT_ONCE):
        yield msgspec.json.decode(body, type=Backup)


def every(tx: ReadTransaction) -> Iterator[Backup]:
    """Those of all accounts and regions."""
    for _, _, body in records_in(tx, f"{KIND}/".encode(), f"{KIND}0".encode(), _AT_ONCE):
        yield msgspec.json.decode(body, type=Backup)


def parse_backup_arn(text: str, context: Context) -> PartArn:
    """The parts of a BackupArn of the caller's account, whatever its region and table are. Raises
    ValidationException and AccessDeniedException. Messages and order: ack-api-quirks, DDB-BACKUP-012."""
    arn = parse_part_arn(text, KIND)
    if arn is None:
        raise validation_error("Invalid Backup ARN")
    if (arn.partition, arn.service) != ("aws", "dynamodb") or not (
        arn.region in ("", context.region) or is_region(arn.region)
    ):
        raise validation_error("Invalid Request: BackupArn is not valid")
    if not arn.region or arn.account != context.account:
        raise DynamoDBError("AccessDeniedException", "Access is denied")
    return arn


def get_backup(tx: ReadTransaction, arn: PartArn, text: str, region: str) -> Backup:
    """The backup of that id in a region. Raises BackupNotFoundException. `text` is the ARN as it was sent."""
    found = find(tx, arn.account, region, arn.id)
    if found is None:
        raise DynamoDBError("BackupNotFoundException", f"Backup not found: {text}")
    return found


def _key(account: str, region: str, backup_id: str) -> bytes:
    return f"backup/{account}/{region}/{backup_id}".encode()
