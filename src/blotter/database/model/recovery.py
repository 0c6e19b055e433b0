"""Point-in-time recovery: which times a table can be restored to. Pure arithmetic over `Table.recovery`.

A table can be restored to any time since recovery was switched on, but not further back than its recovery period.
The latest time is now: a restore includes everything that was acknowledged before it (`copies.history`). AWS's
latest time trails by five minutes. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from blotter.database.model.table import Recovery, Table

LONGEST_PERIOD_DAYS: Final = 35
DAY_SECONDS: Final = 86_400.0


class Window(NamedTuple):
    """Both ends can be restored to. Seconds since the epoch."""

    earliest: float
    latest: float


def recovery_window(table: Table, now: float) -> Window | None:
    """The times that the table can be restored to; None while recovery is off."""
    recovery = table.recovery
    if recovery is None:
        return None
    earliest = earliest_restorable(recovery, now)
    return Window(earliest, max(earliest, now))


def earliest_restorable(recovery: Recovery, now: float) -> float:
    return max(recovery.since, now - recovery.period_days * DAY_SECONDS)


def with_period(recovery: Recovery, period_days: int, now: float) -> Recovery:
    """The same recovery with another period. A longer one does not bring back what the shorter one has let go."""
    return replace(recovery, period_days=period_days, since=earliest_restorable(recovery, now))
