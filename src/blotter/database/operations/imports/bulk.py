"""StartBulkPutItems and Describe-, List- and CancelBulkOperation: files into a table that exists.

Starting only makes a record; the background process reads the objects and puts the items (`importing.bulk_job`),
as PutItem would: conditions, indexes and streams included. Source: the service model of 2026 and
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_StartBulkPutItems.html; no record of AWS's error
messages was found, so the messages here are this database's.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import orjson
from msgspec import Raw, Struct
from msgspec.structs import replace

from blotter.database.copies import jobs
from blotter.database.model.arns import parse_part_arn
from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.table import Table, TableStatus
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, get_table
from blotter.database.operations.imports.bulk_records import (
    ENDED,
    RECORD_SECONDS,
    BulkCounts,
    BulkOperation,
    bulk_of_token,
    find_bulk,
    forget_bulks_before,
    newest_bulks,
    remember_token,
    save_bulk,
)
from blotter.database.operations.imports.imports import JOB_IS_GONE, bucket_reads, given
from blotter.database.operations.imports.records import import_time
from blotter.database.operations.page_tokens import page_token, place_of
from blotter.database.operations.request_tokens import fingerprint
from blotter.database.operations.tables.under_way import in_use_error, still_in_use
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

JOB_KIND: Final = "bulk-put"
UNIT_BYTES: Final = 1024
_PAGE: Final = 10
_LISTING: Final = "ListBulkOperations"


class BulkState(Struct, frozen=True):
    """What the job of a bulk operation is about, and how far it has come: all records up to `position` (of
    `importing.reading`), and `done` of the items after it."""

    account: str
    region: str
    id: str
    position: Raw = Raw(b"{}")
    done: int = 0
    errors: tuple[str, ...] = ()
    """Lines of the report that no object holds yet, and"""
    unmet: tuple[str, ...] = ()
    """those about conditions."""
    objects: int = 0
    """How many objects the report has."""


def touches_of_start(request: wire.StartBulkPutItemsInput) -> Sequence[Touch]:
    """The caller reads one bucket and writes to another, so its policies must allow that, too."""
    touches = [
        Touch("dynamodb:StartBulkPutItems", request.TableName),
        *bucket_reads(request.InputS3Configuration),
    ]
    output = request.OutputS3Configuration
    if output.S3Bucket is not None:
        touches.append(Touch("s3:PutObject", f"arn:aws:s3:::{output.S3Bucket}/{output.S3KeyPrefix or ''}*"))
    return touches


def start(request: wire.StartBulkPutItemsInput, tx: WriteTransaction, context: Context) -> bytes:
    """Raises, in this order: IdempotentParameterMismatchException; ResourceNotFoundException and
    ResourceInUseException for the table; LimitExceededException when another operation writes to it."""
    account, region, now = context.account, context.region, context.now
    token = request.ClientToken or str(uuid.uuid4())
    print_ = fingerprint(replace(request, ClientToken=None)).hex()
    earlier = bulk_of_token(tx, account, region, token, now)
    if earlier is not None:
        if earlier.fingerprint != print_:
            raise DynamoDBError(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        return _described(earlier.record)
    table = get_table(tx, context, request.TableName)
    _check_table(table, context)
    _check_alone(tx, table)
    forget_bulks_before(tx, account, region, import_time(now - RECORD_SECONDS))
    record = BulkOperation(
        id=f"{import_time(now)}-{secrets.token_hex(4)}",
        account=account,
        region=region,
        table=table.name,
        table_id=table.id,
        token=token,
        request=request,
        started_at=round(now, 3),
    )
    save_bulk(tx, record)
    remember_token(tx, record, print_, now)
    jobs.start(tx, jobs.Job.new(_job_id(record), JOB_KIND, now, BulkState(account, region, record.id)))
    return _described(record)


def describe(request: wire.DescribeBulkOperationInput, tx: ReadTransaction, context: Context) -> bytes:
    return _described(_get(request.BulkOperationArn, tx, context))


def list_(request: wire.ListBulkOperationsInput, tx: ReadTransaction, context: Context) -> bytes:
    """The newest first, whatever their state; 10 on a page."""
    before = None if request.NextToken is None else place_of(_LISTING, request.NextToken)
    size = request.MaxResults or _PAGE
    newest = newest_bulks(tx, context.account, context.region, before)
    page = [each for each, _ in islice(newest, size + 1)]
    body: dict[str, Any] = {"BulkOperationsSummaryList": [_summary(_as_known(tx, each)) for each in page[:size]]}
    if len(page) > size:
        body["NextToken"] = page_token(_LISTING, page[size - 1].id)
    return orjson.dumps(body)


def cancel(request: wire.CancelBulkOperationInput, tx: WriteTransaction, context: Context) -> bytes:
    """What was written stays. Canceling again changes nothing; an operation that has ended is refused."""
    record = _get(request.BulkOperationArn, tx, context)
    if record.status in ENDED:
        raise validation_error(f"The bulk operation has ended: its status is {record.status}")
    if record.status != "CANCELLING":
        record = replace(record, status="CANCELLING")
        save_bulk(tx, record)
    return answer((b"BulkOperationArn", encoded(record.arn)), (b"BulkOperationStatus", encoded(record.status)))


def _get(arn: str, tx: ReadTransaction, context: Context) -> BulkOperation:
    """Raises ValidationException for what is no operation's ARN, ResourceNotFoundException."""
    parts = parse_part_arn(arn, BulkOperation.ARN_PART)
    if parts is None or parts.service != "dynamodb":
        raise validation_error("Invalid Bulk Operation ARN")
    found = None
    if (parts.account, parts.region) == (context.account, context.region):
        found = find_bulk(tx, context.account, context.region, parts.id)
    if found is None or found.table != parts.table:
        raise table_not_found(f"Requested resource not found: Bulk operation: {arn} not found")
    return _as_known(tx, found)


def _job_id(record: BulkOperation) -> str:
    return f"{JOB_KIND}-{record.table_id}-{record.id}"


def _as_known(tx: ReadTransaction, record: BulkOperation) -> BulkOperation:
    """A record as it is shown: an operation whose job is gone does not go on."""
    if record.status in ENDED or jobs.find(tx, _job_id(record)) is not None:
        return record
    return replace(record, status="FAILED", failure_code="InternalServerError", failure_message=JOB_IS_GONE)


def _check_table(table: Table, context: Context) -> None:
    """The table takes items, and no index of it is being made. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/BulkPutItems.Considerations.html"""
    status = table.status_at(context.now)
    if status in (TableStatus.CREATING, TableStatus.DELETING):
        raise in_use_error(status, table.name)
    if any(index.backfilling for index in table.indexes):
        raise still_in_use(f"Table: {table.name} has an index that is being created")


def _check_alone(tx: ReadTransaction, table: Table) -> None:
    mine = f"{JOB_KIND}-{table.id}-"
    if any(job.id.startswith(mine) for job in jobs.all_jobs(tx)):
        raise DynamoDBError(
            "LimitExceededException",
            f"Subscriber limit exceeded: a bulk operation on table {table.name} is in progress",
        )


def _described(record: BulkOperation) -> bytes:
    return answer((b"BulkOperationDescription", encoded(_description(record))))


def _description(record: BulkOperation) -> dict[str, Any]:
    request, counts = record.request, record.counts
    shown = {
        "BulkOperationArn": record.arn,
        "BulkOperationStatus": record.status,
        "TableDetails": [{"TableName": request.TableName, "TableId": record.table_id}],
        "ClientToken": record.token,
        "InputS3Configuration": _with_owner(record, given(request.InputS3Configuration)),
        "OutputS3Configuration": _with_owner(record, given(request.OutputS3Configuration)),
        "StartTime": record.started_at,
        "EndTime": record.ended_at,
        "ProcessedItemCount": counts.processed,
        "ProcessedInputBytes": counts.input_bytes,
        "TotalInputBytes": record.total_bytes,
        "BulkOperationUsage": [_usage(request.TableName, counts)],
        "FailedItemCount": counts.failed,
        "FailureCode": record.failure_code,
        "FailureMessage": record.failure_message,
        "MaxWriteRequestUnits": request.MaxWriteRequestUnits,
        "PerformanceTier": request.PerformanceTier or "STANDARD",
    }
    return {name: value for name, value in shown.items() if value is not None}


def _with_owner(record: BulkOperation, configuration: dict[str, Any]) -> dict[str, Any]:
    return {"S3BucketOwner": record.account, **configuration}


def _usage(table_name: str, counts: BulkCounts) -> dict[str, Any]:
    """Bytes as writes are metered, in whole kilobytes."""
    indexes = {"LocalSecondaryIndexes": counts.local, "GlobalSecondaryIndexes": counts.global_}
    total = counts.units + sum(sum(units.values()) for units in indexes.values())
    shown: dict[str, Any] = {
        "TableName": table_name,
        "BulkPutBytes": _bytes(total),
        "Table": {"BulkPutBytes": _bytes(counts.units)},
    }
    for member, units in indexes.items():
        if units:
            shown[member] = {name: {"BulkPutBytes": _bytes(each)} for name, each in units.items()}
    if counts.vectors:
        shown["VectorIndexes"] = {name: {"BulkPutVectorBytes": each} for name, each in counts.vectors.items()}
    return shown


def _bytes(units: float) -> int:
    return round(units * UNIT_BYTES)


def _summary(record: BulkOperation) -> dict[str, Any]:
    shown = {
        "BulkOperationArn": record.arn,
        "BulkOperationStatus": record.status,
        "StartTime": record.started_at,
        "EndTime": record.ended_at,
    }
    return {name: value for name, value in shown.items() if value is not None}
