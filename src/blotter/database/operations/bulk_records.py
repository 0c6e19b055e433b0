"""What is kept of a bulk operation: the request, how far it has come, and how it ended; for 90 days.

    bulk/123456789012/us-east-1/01795911600000-1f2e3d4c            {"id": …, "table": "books", "status": …}

A token's record (`client_tokens`) has its id and the fingerprint of the request that came with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from blotter.database.model.arns import part_arn, table_arn
from blotter.database.operations import client_tokens
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, StoredItem, WriteTransaction
from blotter.database.storage.records import delete_record, records_in, save_record
from blotter.database.wire import requests as wire

RECORD_SECONDS: Final = 90 * 86_400.0
ARN_PART: Final = "bulk-operation"
_AT_ONCE: Final = 50

BulkStatus = Literal["IN_PROGRESS", "COMPLETED", "COMPLETED_WITH_ERRORS", "CANCELLING", "CANCELLED", "FAILED"]
ENDED: Final = frozenset(("COMPLETED", "COMPLETED_WITH_ERRORS", "CANCELLED", "FAILED"))


class BulkCounts(msgspec.Struct, frozen=True):
    """How far a bulk operation has come."""

    processed: int = 0
    failed: int = 0
    unmet: int = 0
    """Items whose condition was false."""
    input_bytes: int = 0
    """Bytes of the objects, as they are stored."""
    units: float = 0.0
    """Write units of the table itself."""
    local: dict[str, float] = {}
    global_: dict[str, float] = msgspec.field(default_factory=dict, name="global")
    vectors: dict[str, int] = {}


class BulkOperation(msgspec.Struct, frozen=True):
    """One bulk operation."""

    id: str
    account: str
    region: str
    table: str
    table_id: str
    token: str
    request: wire.StartBulkPutItemsInput
    started_at: float
    status: BulkStatus = "IN_PROGRESS"
    ended_at: float | None = None
    total_bytes: int | None = None
    """Of all objects; None until they were listed."""
    counts: BulkCounts = BulkCounts()
    failure_code: str | None = None
    failure_message: str | None = None

    @property
    def table_arn(self) -> str:
        return table_arn(self.region, self.account, self.table)

    @property
    def arn(self) -> str:
        return part_arn(self.region, self.account, self.table, ARN_PART, self.id)


_decode = msgspec.json.Decoder(BulkOperation).decode


def find_bulk(tx: ReadTransaction, account: str, region: str, bulk_id: str) -> BulkOperation | None:
    found = tx.get(RECORDS_SPACE, _key(account, region, bulk_id))
    return None if found is None else _decode(found.body)


def save_bulk(tx: WriteTransaction, record: BulkOperation) -> None:
    save_record(tx, _key(record.account, record.region, record.id), msgspec.json.encode(record))


def save_counts(tx: WriteTransaction, record: BulkOperation) -> None:
    """Saves a record in which only counters have changed. They change often, and an archive does without them."""
    key = _key(record.account, record.region, record.id)
    tx.put(RECORDS_SPACE, StoredItem(key, 0, msgspec.json.encode(record)), tx.get(RECORDS_SPACE, key))


def bulks_before(tx: ReadTransaction, account: str, region: str, before: str | None) -> Iterator[BulkOperation]:
    """The operations of an account and region, the newest first; with `before`, those older than this one."""
    start = _key(account, region, "")
    end = _key(account, region, before) if before else start + b"\x7f"
    for _, _, body in records_in(tx, start, end, _AT_ONCE, reverse=True):
        yield _decode(body)


def forget_old_bulks(tx: WriteTransaction, account: str, region: str, oldest: str) -> None:
    """Removes some of the records with ids before `oldest`."""
    for key, _, _ in tx.items(RECORDS_SPACE, _key(account, region, ""), _key(account, region, oldest), _AT_ONCE):
        delete_record(tx, key)


class Remembered(NamedTuple):
    """What a client token stands for."""

    record: BulkOperation
    fingerprint: str


def bulk_of_token(tx: ReadTransaction, account: str, region: str, token: str, now: float) -> Remembered | None:
    """The operation that was started under a client token in the last eight hours."""
    found = client_tokens.remembered(tx, "bulk", account, region, token, now)
    if found is None:
        return None
    bulk_id, fingerprint = found
    record = find_bulk(tx, account, region, bulk_id)
    return None if record is None else Remembered(record, fingerprint)


def remember_token(tx: WriteTransaction, record: BulkOperation, fingerprint: str, now: float) -> None:
    client_tokens.remember(tx, "bulk", record.account, record.region, record.token, now, record.id, fingerprint)


def _key(account: str, region: str, bulk_id: str) -> bytes:
    return f"bulk/{account}/{region}/{bulk_id}".encode()
