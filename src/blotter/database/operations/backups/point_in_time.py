"""RestoreTableToPointInTime: a new table with the items that another had at a time.

The settings are those that the source has now, not those of that time, unless they are overridden, as on AWS; the
items are those of the time (`copies.history`). While the job runs, a deletion of the source waits for it.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html; order
and messages as recorded in the ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-086, -100, -215 to
-219, -272, -274; 2026-10).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from blotter.database.copies import copier, jobs
from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.recovery import Window, recovery_window
from blotter.database.model.table import RestoreSummary, Table
from blotter.database.model.timestamps import iso
from blotter.database.operations.backups.continuous_backups import table_not_found
from blotter.database.operations.backups.jobs import RESTORE_TO_TIME, RestoreToTimeState
from blotter.database.operations.backups.restoring import (
    check_limit,
    check_region,
    new_job_id,
    restored_table,
    start_restore,
    touches_on_items,
)
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire


class _Place(NamedTuple):
    region: str
    name: str
    shown: str
    """As the request has it."""


def touches_of_restore_to_time(request: wire.RestoreTableToPointInTimeInput) -> Sequence[Touch]:
    """The source, the new table, and what the restore does to its items."""
    action = "dynamodb:RestoreTableToPointInTime"
    source = request.SourceTableArn or request.SourceTableName or ""
    return [
        Touch(action, source),
        Touch(action, request.TargetTableName),
        *touches_on_items(request.TargetTableName),
    ]


def restore_to_point_in_time(
    request: wire.RestoreTableToPointInTimeInput, tx: WriteTransaction, context: Context
) -> bytes:
    place = _place(request, context)
    check_region(request, place.region, context)
    source = _source(tx, place, context)
    window = recovery_window(source, context.now)
    if window is None:
        raise DynamoDBError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{source.name}'",
        )
    time = _time(request, window)
    job_id = new_job_id(context)
    summary = RestoreSummary(source.arn, time)
    table = restored_table(tx, request, source, summary, job_id, context)
    check_limit(tx, context)
    copier.begin(tx, source, job_id, context.now)
    state = RestoreToTimeState(
        source.account, source.region, source.name, source.id, time, table.region, table.name, table.id
    )
    return start_restore(tx, table, jobs.Job.new(job_id, RESTORE_TO_TIME, context.now, state), context)


def _place(request: wire.RestoreTableToPointInTimeInput, context: Context) -> _Place:
    """Where the source is. Raises ValidationException for an ARN that is none, and for one of another account."""
    text = request.SourceTableArn
    if text is None:
        name = request.SourceTableName or ""
        return _Place(context.region, name, name)
    arn = parse_arn(text)
    if arn is None or not arn.is_table:
        raise validation_error("Invalid Request: sourceTableArn is not a valid ARN")
    if arn.account != context.account:
        raise validation_error(
            "Invalid Request: This action is only supported by accounts that match the resource owner's account"
        )
    return _Place(arn.region, arn.table, text)


def _source(tx: ReadTransaction, place: _Place, context: Context) -> Table:
    """The table in any status but CREATING: one that is DELETING can still be restored (DDB-TABLE-100)."""
    table = tx.find_table(context.account, place.region, place.name)
    found = None if table is None else table.at(context.now)
    if found is None or found.loading is not None:
        raise table_not_found(place.shown)
    return found


def _time(request: wire.RestoreTableToPointInTimeInput, window: Window) -> float:
    """The time to restore to. Raises InvalidRestoreTimeException for one that cannot be."""
    time = request.RestoreDateTime
    if time is None:
        return window.latest
    # What is shown is rounded to the millisecond, and clients send seconds: both may ask for the shown bounds.
    if not int(window.earliest) <= time <= window.latest + 0.001:
        raise DynamoDBError(
            "InvalidRestoreTimeException",
            f"RestoreDateTime '{iso(time)}' must be within EarliestRestorableDateTime '{iso(window.earliest)}' "
            f"and LatestRestorableDateTime '{iso(window.latest)}'",
        )
    return min(max(time, window.earliest), window.latest)
