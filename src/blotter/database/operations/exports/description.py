"""DescribeExport and ListExports.

While an export is IN_PROGRESS, its description has no counts and no manifest. Of a full export the type is shown
in lists only. Sources: ack-api-quirks, DDB-EXPORT-006, -008 (DestinationType), -016, -017, -020 and -022
(2026-10). An export that is described may be of a table that is gone; ListExports with a table's ARN lists those
of the table that has this name now.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Any, Final

from msgspec.structs import replace

from blotter.database.copies import jobs
from blotter.database.model.arns import parse_arn, parse_part_arn
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context
from blotter.database.operations.exports.records import KEPT_SECONDS, Export, find_export, newest_exports
from blotter.database.storage.protocol import ReadTransaction
from blotter.database.wire import requests as wire

PAGE: Final = 25
"""Exports on a page of ListExports; also the greatest MaxResults."""
_LOOKED_AT: Final = 1024 * 1024
"""Bytes of records that a page looks at: of many, few may be of the table that is asked for."""
_TOKEN_PREFIX: Final = b"exports/"
_JOB_IS_GONE: Final = "The server that made this export was replaced by another, from an archive"


def describe_export(request: wire.DescribeExportInput, tx: ReadTransaction, context: Context) -> bytes:
    arn = parse_part_arn(request.ExportArn, Export.ARN_PART)
    if arn is None or arn.service != "dynamodb":
        raise validation_error("Invalid Export ARN")
    if arn.account != context.account:
        raise access_denied()
    if arn.region != context.region:
        raise _not_found("Invalid export arn")
    export = find_export(tx, context.account, context.region, arn.id)
    if export is None or export.table != arn.table:
        raise _not_found(f"Export not found: {request.ExportArn}")
    if export.status == "IN_PROGRESS" and jobs.find(tx, export.copy_name) is None:
        export = replace(export, status="FAILED", failure_code="InternalServerError", failure_message=_JOB_IS_GONE)
    return answer((b"ExportDescription", encoded(describe(export))))


def list_exports(request: wire.ListExportsInput, tx: ReadTransaction, context: Context) -> bytes:
    """The exports of the last 90 days, the newest first."""
    before = None if request.NextToken is None else _parse_token(request.NextToken)
    limit = request.MaxResults or PAGE
    table_id: str | None = None
    if request.TableArn is not None:
        table_id = _table_id(request.TableArn, tx, context)
    summaries: list[dict[str, Any]] = []
    last = ""
    more = False
    left = _LOOKED_AT
    for export, length in newest_exports(tx, context.account, context.region, before):
        if context.now > export.started_at + KEPT_SECONDS:
            break
        wanted = request.TableArn is None or export.table_id == table_id
        if left <= 0 or (wanted and len(summaries) == limit):
            more = True
            break
        left -= length
        if wanted:
            summaries.append(_summary(export))
        last = export.id
    return answer(
        (b"ExportSummaries", encoded(summaries)), (b"NextToken", encoded(_token(last) if more else None))
    )


def describe(export: Export) -> dict[str, Any]:
    """The ExportDescription."""
    description: dict[str, Any] = {
        "ExportArn": export.arn,
        "ExportStatus": export.status,
        "StartTime": export.started_at,
        "EndTime": export.ended_at,
        "ExportManifest": export.manifest,
        "TableArn": export.table_arn,
        "TableId": export.table_id,
        "ExportTime": export.export_time,
        "ClientToken": export.token,
        "S3Bucket": export.bucket,
        "S3BucketOwner": export.bucket_owner,
        "S3Prefix": export.prefix,
        "S3SseAlgorithm": export.sse_algorithm,
        "S3SseKmsKeyId": export.sse_key,
        "FailureCode": export.failure_code,
        "FailureMessage": export.failure_message,
        "ExportFormat": export.format,
        "BilledSizeBytes": export.billed_bytes,
        "ItemCount": export.items,
        "FilterSpecification": export.filter,
        "DestinationType": "S3",
    }
    if export.incremental:
        description["ExportType"] = "INCREMENTAL_EXPORT"
        description["IncrementalExportSpecification"] = {
            "ExportFromTime": export.from_time,
            "ExportToTime": export.to_time,
            "ExportViewType": export.view,
        }
    return {name: value for name, value in description.items() if value is not None}


def access_denied() -> DynamoDBError:
    """For what belongs to another account."""
    return DynamoDBError("AccessDeniedException", "Access is denied")


def _summary(export: Export) -> dict[str, str]:
    return {
        "ExportArn": export.arn,
        "ExportStatus": export.status,
        "ExportType": "INCREMENTAL_EXPORT" if export.incremental else "FULL_EXPORT",
    }


def _table_id(text: str, tx: ReadTransaction, context: Context) -> str | None:
    """The id of the table that an ARN names now; None for none."""
    arn = parse_arn(text)
    if arn is None or not arn.is_table:
        raise validation_error("Invalid Request: Table ARN is invalid.")
    if arn.account != context.account:
        raise access_denied()
    if arn.region != context.region:
        return None
    table = tx.find_table(context.account, context.region, arn.table)
    return None if table is None or table.is_gone_at(context.now) else table.id


def _not_found(message: str) -> DynamoDBError:
    return DynamoDBError("ExportNotFoundException", f"Export not found: {message}")


def _token(export_id: str) -> str:
    return (_TOKEN_PREFIX + export_id.encode()).hex()


def _parse_token(token: str) -> str:
    try:
        text = unhexlify(token)
    except ValueError:
        text = b""
    if not text.startswith(_TOKEN_PREFIX):
        raise validation_error(f"Invalid Request: Provided nextToken is invalid: {token}")
    return text[len(_TOKEN_PREFIX) :].decode("ascii", "replace")
