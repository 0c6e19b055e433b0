"""What UpdateContinuousBackups and RestoreTableToPointInTime can be refused for before their tables are known
(ack-api-quirks, DDB-TABLE-084, -100, -272)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.wire.requests import RestoreTableToPointInTimeInput, UpdateContinuousBackupsInput


def check_update_continuous_backups(request: UpdateContinuousBackupsInput) -> None:
    wanted = request.PointInTimeRecoverySpecification
    if not wanted.PointInTimeRecoveryEnabled and wanted.RecoveryPeriodInDays is not None:
        raise validation_error(
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."
        )


def check_restore_to_point_in_time(request: RestoreTableToPointInTimeInput) -> None:
    if request.SourceTableArn is not None and request.SourceTableName is not None:
        raise validation_error("Invalid Request: Must provide exactly one of: sourceTableArn, sourceTableName")
    if request.SourceTableArn is None and request.SourceTableName is None:
        raise validation_error("The parameter 'TableName' is required but was not present in the request")
    if request.RestoreDateTime is not None and request.UseLatestRestorableTime:
        raise validation_error(
            "Invalid Request: Both RestoreDateTime and UseLatestRestorableTime cannot be set for point-in-time "
            "restore request. Please specify either RestoreDateTime time or UseLatestRestorableTime"
        )
    if request.RestoreDateTime is None and not request.UseLatestRestorableTime:
        raise validation_error(
            "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not "
            "both"
        )


CHECKS: dict[str, Callable[[Any], None]] = {
    "RestoreTableToPointInTime": check_restore_to_point_in_time,
    "UpdateContinuousBackups": check_update_continuous_backups,
}
