"""What is kept of a bulk operation: the request, how far it has come, and how it ended; for 90 days.

    bulk/123456789012/us-east-1/01795911600000-1f2e3d4c            {"id": …, "table": "books", "status": …}

A token's record (`client_tokens`) has its id and the fingerprint of the request that came with it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from blotter.database.operations.imports import client_tokens
from blotter.database.operations.job_records import JobRecord, JobRecords
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, StoredItem, WriteTransaction
from blotter.database.wire import requests as wire

RECORD_SECONDS: Final = 90 * 86_400.0

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


class BulkOperation(JobRecord, frozen=True):
    """One bulk operation."""

    ARN_PART = "bulk-operation"

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


_RECORDS = JobRecords("bulk", BulkOperation)
find_bulk = _RECORDS.find
save_bulk = _RECORDS.save
newest_bulks = _RECORDS.newest
forget_bulks_before = _RECORDS.forget_before


def save_counts(tx: WriteTransaction, record: BulkOperation) -> None:
    """Saves a record in which only counters have changed. They change often, and an archive does without them."""
    key = _RECORDS.key(record.account, record.region, record.id)
    tx.put(RECORDS_SPACE, StoredItem(key, 0, msgspec.json.encode(record)), tx.get(RECORDS_SPACE, key))


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
