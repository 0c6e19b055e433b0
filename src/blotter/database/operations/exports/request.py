"""ExportTableToPointInTime: what is checked once the table is known, and the record and job that begin an export.

The export itself is done in the background (`exporting.job`). Problems with the bucket show there: the request is
accepted, and the export ends FAILED. A client token that comes again within eight hours after its export ended
returns that export, if everything else is the same.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html; messages
and their order: ack-api-quirks, DDB-EXPORT-001 to -004, -009, -010, -017 and -019 (2026-10). Not recorded are the
messages for a period of more than 24 hours, for one that begins before the table can be restored, and for too many
exports.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from blotter.database.copies import copier, jobs
from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.recovery import recovery_window
from blotter.database.model.table import Table
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context
from blotter.database.operations.exports.description import access_denied, describe
from blotter.database.operations.exports.filters import compile_filter
from blotter.database.operations.exports.records import (
    Export,
    ExportState,
    export_of_token,
    remember_token,
    save_export,
    trim_exports,
)
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.wire import requests as wire

SHORTEST_PERIOD: Final = 15 * 60.0
LONGEST_PERIOD: Final = 24 * 3600.0
MOST_AT_ONCE: Final = 300
"""Exports under way in an account and region. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#limits-table-export"""

EXPORT_JOB: Final = "export"
"""The kind of job."""
_VIEW: Final = "NEW_AND_OLD_IMAGES"


def touches_of_export(request: wire.ExportTableToPointInTimeInput) -> Sequence[Touch]:
    """The caller must be allowed to write to the bucket, too: the server does it on the caller's behalf."""
    folder = "/".join([*filter(None, (request.S3Prefix or "").split("/")), "AWSDynamoDB"])
    return (
        Touch("dynamodb:ExportTableToPointInTime", request.TableArn),
        Touch("s3:PutObject", f"arn:aws:s3:::{request.S3Bucket}/{folder}/*"),
    )


def export_table(request: wire.ExportTableToPointInTimeInput, tx: WriteTransaction, context: Context) -> bytes:
    """Raises, in this order: AccessDeniedException, TableNotFoundException, ExportConflictException; for a full
    export PointInTimeRecoveryUnavailableException, then InvalidExportTimeException, for an incremental one the
    other way round; ValidationException for a filter that does not fit the table; LimitExceededException."""
    table = _table(request.TableArn, tx, context)
    fingerprint = _fingerprint(request)
    if request.ClientToken is not None:
        known = export_of_token(tx, context.account, context.region, request.ClientToken, context.now)
        if known is not None:
            if known[1] != fingerprint:
                raise DynamoDBError(
                    "ExportConflictException",
                    "Export conflict: Duplicate request detected with conflicting parameters",
                )
            return answer((b"ExportDescription", encoded(describe(known[0]))))
    if request.IncrementalExportSpecification is not None:
        export = _incremental(request, request.IncrementalExportSpecification, table, context)
    else:
        export = _full(request, table, context)
    if request.FilterSpecification is not None:
        compile_filter(request.FilterSpecification, table)
    if _in_progress(tx, context) >= MOST_AT_ONCE:
        raise DynamoDBError(
            "LimitExceededException",
            f"Subscriber limit exceeded: Only {MOST_AT_ONCE} exports can be in progress at the same time",
        )
    trim_exports(tx, context.account, context.region, context.now)
    save_export(tx, export)
    remember_token(tx, export, fingerprint)
    _start(tx, export, table, context.now)
    return answer((b"ExportDescription", encoded(describe(export))))


def _in_progress(tx: WriteTransaction, context: Context) -> int:
    ours = f"{EXPORT_JOB}-{context.account}-{context.region}-"
    return sum(job.id.startswith(ours) for job in jobs.all_jobs(tx))


def _table(text: str, tx: WriteTransaction, context: Context) -> Table:
    arn = parse_arn(text)
    if arn is None:
        raise validation_error("Invalid Request: Table ARN is invalid.")
    if arn.account != context.account:
        raise access_denied()
    table = tx.find_table(context.account, context.region, arn.table) if arn.region == context.region else None
    if table is None or table.is_gone_at(context.now):
        raise DynamoDBError("TableNotFoundException", f"Table not found: {text}")
    return table


def _full(request: wire.ExportTableToPointInTimeInput, table: Table, context: Context) -> Export:
    window = recovery_window(table, context.now)
    if window is None:
        raise _recovery_unavailable(table)
    wanted = request.ExportTime
    if wanted is not None:
        if not math.floor(table.created_at) <= wanted <= context.now:
            raise _invalid_time("Export Time is invalid")
        if not math.floor(window.earliest) <= wanted <= window.latest:
            raise _invalid_time("Point in Time Recovery is not available for specified export time")
    started = math.floor(context.now * 1000) / 1000
    # SDKs send whole seconds: the one in which recovery was switched on is that moment.
    moment = context.now if wanted is None else max(wanted, window.earliest)
    return _record(request, table, context, started, moment, export_time=started if wanted is None else wanted)


def _incremental(
    request: wire.ExportTableToPointInTimeInput,
    period: wire.IncrementalExportSpecification,
    table: Table,
    context: Context,
) -> Export:
    """Times are whole seconds; without an end, that of the request is the end."""
    started = float(math.floor(context.now))
    since = float(math.floor(period.ExportFromTime or 0.0))
    until = started if period.ExportToTime is None else float(math.floor(period.ExportToTime))
    if since < math.floor(table.created_at):
        raise _invalid_time(
            f"Incremental export period from time cannot be less than the table creation time : {_iso(since)}"
        )
    if until > context.now:
        raise _invalid_time(
            f"Incremental export period to time cannot be greater than the current time : {_iso(until)}"
        )
    if until - since < SHORTEST_PERIOD:
        raise _invalid_time(
            "Difference between export period from time and export period to time is less than 15 minutes"
        )
    if until - since > LONGEST_PERIOD:
        raise _invalid_time(
            "Difference between export period from time and export period to time is greater than 24 hours"
        )
    window = recovery_window(table, context.now)
    if window is None:
        raise _recovery_unavailable(table)
    if since < math.floor(window.earliest):
        raise _invalid_time("Point in Time Recovery is not available for specified export time")
    return _record(
        request,
        table,
        context,
        started,
        until,
        incremental=True,
        from_time=since,
        to_time=until,
        view=period.ExportViewType or _VIEW,
    )


def _record(
    request: wire.ExportTableToPointInTimeInput,
    table: Table,
    context: Context,
    started: float,
    moment: float,
    **members: Any,
) -> Export:
    return Export(
        account=context.account,
        region=context.region,
        id=f"{round(started * 1000):014d}-{secrets.token_hex(4)}",
        table=table.name,
        table_id=table.id,
        started_at=started,
        format=request.ExportFormat or "DYNAMODB_JSON",
        moment=moment,
        filter=_given(request.FilterSpecification),
        bucket=request.S3Bucket,
        bucket_owner=request.S3BucketOwner,
        prefix=request.S3Prefix,
        sse_algorithm=request.S3SseAlgorithm or "AES256",
        sse_key=request.S3SseKmsKeyId,
        token=request.ClientToken,
        **members,
    )


def _start(tx: WriteTransaction, export: Export, table: Table, now: float) -> None:
    """An export of the table as it is now has the state of this transaction: later changes are undone as it is
    read. Others read the table's history. Until the export has ended, a deleted table keeps its items."""
    moment = copier.begin(tx, table, export.copy_name, now)
    position = moment.position if export.moment == now and not export.incremental else None
    state = ExportState(export.account, export.region, export.id, position)
    jobs.start(tx, jobs.Job.new(export.copy_name, EXPORT_JOB, now, state))


def _given(given: wire.FilterSpecification | None) -> dict[str, Any] | None:
    """The members that were given."""
    if given is None:
        return None
    members: dict[str, Any] = msgspec.to_builtins(given)
    return {name: value for name, value in members.items() if value is not None}


def _fingerprint(request: wire.ExportTableToPointInTimeInput) -> str:
    """The same for two requests with the same parameters."""
    text = msgspec.json.encode(request, order="deterministic")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _recovery_unavailable(table: Table) -> DynamoDBError:
    return DynamoDBError(
        "PointInTimeRecoveryUnavailableException",
        f"Point in time recovery is not enabled for table '{table.name}'",
    )


def _invalid_time(message: str) -> DynamoDBError:
    return DynamoDBError("InvalidExportTimeException", message)


def _iso(seconds: float) -> str:
    """ "2026-10-09T00:41:50Z"; a time that no calendar has as a number."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"
