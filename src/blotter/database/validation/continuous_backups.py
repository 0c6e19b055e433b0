"""What UpdateContinuousBackups can be refused for before its table is known (ack-api-quirks, DDB-TABLE-084)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.wire.requests import UpdateContinuousBackupsInput


def check_update_continuous_backups(request: UpdateContinuousBackupsInput) -> None:
    wanted = request.PointInTimeRecoverySpecification
    if not wanted.PointInTimeRecoveryEnabled and wanted.RecoveryPeriodInDays is not None:
        raise validation_error(
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."
        )


CHECKS: dict[str, Callable[[Any], None]] = {"UpdateContinuousBackups": check_update_continuous_backups}
