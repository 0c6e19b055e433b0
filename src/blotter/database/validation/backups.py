"""What operations on backups can be refused for before anything is looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import parameter_error
from blotter.database.wire.requests import ListBackupsInput


def check_list_backups(request: ListBackupsInput) -> None:
    """Raises ValidationException for bounds in the wrong order (ack-api-quirks, DDB-BACKUP-014)."""
    low, high = request.TimeRangeLowerBound, request.TimeRangeUpperBound
    if low is not None and high is not None and low > high:
        raise parameter_error("Time range lower bound must be less than or equal to upper bound")


CHECKS: dict[str, Callable[[Any], Any]] = {"ListBackups": check_list_backups}
