"""ImportTable, DescribeImport, ListImports: a new table out of files.

ImportTable only starts the import: the background process makes the table and fills it (`importing.job`). So the
name is not reserved, and of several imports into one table all but one fail later, as on AWS. A client token is
looked at after the table: once it is there, a repeated request is refused like any other.
Sources: ack-api-quirks, DDB-IMPORT-001 to -020, and ScyllaDB's tests of imports, both run on AWS in 2026.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import orjson
from msgspec import Struct
from msgspec.structs import replace

from blotter.database.copies import jobs
from blotter.database.model.arns import parse_arn, parse_part_arn
from blotter.database.model.errors import DynamoDBError, resource_in_use, validation_error
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.backups.jobs import Progress
from blotter.database.operations.context import Context
from blotter.database.operations.imports.records import (
    Import,
    find_import,
    forget_old_imports,
    import_of_token,
    import_time,
    newest_imports,
    remember_token,
    save_import,
)
from blotter.database.operations.page_tokens import page_token, place_of
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

MOST_AT_ONCE: Final = 50
"""Imports of an account that may be in progress together."""
JOB_KIND: Final = "import"
JOB_IS_GONE: Final = "The server that did this was replaced by another, from an archive"

_PAGE: Final = 10
_LISTING: Final = "ListImports"


def touches_of_import(request: wire.ImportTableInput) -> Sequence[Touch]:
    """The caller reads the bucket, so its policies must allow that, too. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Requesting.html"""
    source = request.S3BucketSource
    return [Touch("dynamodb:ImportTable", request.TableCreationParameters.TableName), *bucket_reads(source)]


def bucket_reads(source: wire.S3BucketSource | wire.InputS3Configuration) -> list[Touch]:
    """The touches of a request that reads the objects under a prefix of a bucket."""
    bucket = f"arn:aws:s3:::{source.S3Bucket}"
    return [Touch("s3:ListBucket", bucket), Touch("s3:GetObject", f"{bucket}/{source.S3KeyPrefix or ''}*")]


def import_table(request: wire.ImportTableInput, tx: WriteTransaction, context: Context) -> bytes:
    """Raises, in this order: ResourceInUseException for a table that is there, unless another import is filling
    it; ImportConflictException for a token of another table; LimitExceededException."""
    name = request.TableCreationParameters.TableName
    account, region = context.account, context.region
    existing = tx.find_table(account, region, name)
    if existing is not None and not existing.is_gone_at(context.now) and not is_import(existing.loading):
        raise resource_in_use(f"Table already exists: {name}")
    token = request.ClientToken
    earlier = import_of_token(tx, account, region, token, context.now)
    if earlier is not None:
        if earlier.table != name:
            raise DynamoDBError(
                "ImportConflictException",
                "Import conflict: Duplicate request detected with conflicting parameters",
            )
        return _described(earlier)
    _check_limit(tx, context)
    forget_old_imports(tx, account, region, context.now)
    record = Import(
        id=f"{import_time(context.now)}-{secrets.token_hex(4)}",
        account=account,
        region=region,
        table=name,
        table_id=str(uuid.uuid4()),
        request=request,
        started_at=round(context.now, 3),
    )
    save_import(tx, record)
    remember_token(tx, record, token, context.now)
    state = ImportState(account, region, record.id)
    jobs.start(tx, jobs.Job.new(job_id(record), JOB_KIND, context.now, state))
    return _described(record)


class Totals(Struct, frozen=True):
    """What was read from the objects of a source."""

    processed: int = 0
    errors: int = 0
    size: int = 0
    """Bytes, unpacked."""


class ImportState(Struct, frozen=True):
    """What the job of an import is about, and how far it has come."""

    account: str
    region: str
    id: str
    totals: Totals | None = None
    """Set once everything has been read."""
    progress: Progress = Progress()


def job_id(record: Import) -> str:
    return f"{JOB_KIND}-{record.account}-{record.region}-{record.id}"


def is_import(job: str | None) -> bool:
    """Whether a job, by its id, is that of an import."""
    return job is not None and job.startswith(f"{JOB_KIND}-")


def describe_import(request: wire.DescribeImportInput, tx: ReadTransaction, context: Context) -> bytes:
    """Raises ValidationException for what is no import's ARN, AccessDeniedException for one of another account,
    ImportNotFoundException."""
    arn = parse_part_arn(request.ImportArn, Import.ARN_PART)
    if arn is None or arn.service != "dynamodb":
        raise validation_error("Invalid Import ARN")
    if arn.account != context.account:
        raise DynamoDBError(
            "AccessDeniedException", f"The import {request.ImportArn} belongs to another account than the request."
        )
    found = None
    if arn.region == context.region:
        found = find_import(tx, context.account, context.region, arn.id)
    if found is None or found.table != arn.table:
        raise DynamoDBError("ImportNotFoundException", f"Import not found: {request.ImportArn}")
    return _described(_as_known(tx, found))


def list_imports(request: wire.ListImportsInput, tx: ReadTransaction, context: Context) -> bytes:
    """The newest first, whatever their state; 10 on a page."""
    before = None if request.NextToken is None else place_of(_LISTING, request.NextToken)
    found = (each for each, _ in newest_imports(tx, context.account, context.region, before))
    if request.TableArn is not None:
        arn = parse_arn(request.TableArn)
        if arn is None or not arn.is_table:
            raise validation_error("Invalid Request: Table ARN is invalid.")
        wanted = request.TableArn
        found = (each for each in found if each.table_arn == wanted)
    size = request.PageSize or _PAGE
    page = list(islice(found, size + 1))
    body: dict[str, Any] = {"ImportSummaryList": [_summary(_as_known(tx, each)) for each in page[:size]]}
    if len(page) > size:
        body["NextToken"] = page_token(_LISTING, page[size - 1].id)
    return orjson.dumps(body)


def _as_known(tx: ReadTransaction, record: Import) -> Import:
    """A record as it is shown: an import whose job is gone does not go on."""
    if record.status != "IN_PROGRESS" or jobs.find(tx, job_id(record)) is not None:
        return record
    return replace(record, status="FAILED", failure_code="InternalServerError", failure_message=JOB_IS_GONE)


def _check_limit(tx: ReadTransaction, context: Context) -> None:
    mine = f"{JOB_KIND}-{context.account}-"
    if sum(job.id.startswith(mine) for job in jobs.all_jobs(tx)) >= MOST_AT_ONCE:
        raise DynamoDBError(
            "LimitExceededException",
            f"Subscriber limit exceeded: There is a limit of {MOST_AT_ONCE} concurrent imports per subscriber",
        )


def _described(record: Import) -> bytes:
    return answer((b"ImportTableDescription", encoded(_description(record))))


def _description(record: Import) -> dict[str, Any]:
    request = record.request
    shown = {
        "ImportArn": record.arn,
        "ImportStatus": record.status,
        "TableArn": record.table_arn,
        "TableId": record.table_id,
        "ClientToken": request.ClientToken,
        "S3BucketSource": _source(record),
        "ErrorCount": record.errors,
        "CloudWatchLogGroupArn": _log_group(record),
        "InputFormat": request.InputFormat,
        "InputFormatOptions": given(request.InputFormatOptions),
        "InputCompressionType": request.InputCompressionType or "NONE",
        "TableCreationParameters": given(request.TableCreationParameters),
        "StartTime": record.started_at,
        "EndTime": record.ended_at,
        "ProcessedSizeBytes": None if record.ended_at is None else record.size,
        "ProcessedItemCount": record.processed,
        "ImportedItemCount": record.imported,
        "FailureCode": record.failure_code,
        "FailureMessage": record.failure_message,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _summary(record: Import) -> dict[str, Any]:
    shown = {
        "ImportArn": record.arn,
        "ImportStatus": record.status,
        "TableArn": record.table_arn,
        "S3BucketSource": _source(record),
        "CloudWatchLogGroupArn": _log_group(record),
        "InputFormat": record.request.InputFormat,
        "StartTime": record.started_at,
        "EndTime": record.ended_at,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _source(record: Import) -> dict[str, Any]:
    owner = {"S3BucketOwner": record.account}
    source: dict[str, Any] = given(record.request.S3BucketSource)
    return {**owner, **source}


def _log_group(record: Import) -> str:
    return f"arn:aws:logs:{record.region}:{record.account}:log-group:/aws-dynamodb/imports:*"


def given(value: Any) -> Any:
    """A part of a request as it was sent: members that were not are left out."""
    if isinstance(value, Struct):
        members = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: given(member) for name, member in members if member is not None}
    return [given(each) for each in value] if isinstance(value, list) else value
