"""Periods: which there are, where they begin, and for how long points of each are kept.

Source: what botocore says of `StartTime` and `Period` of GetMetricData and GetMetricStatistics, and "Metrics
retention" in CloudWatch's user guide.
"""

from __future__ import annotations

from typing import Final

from blotter.database.metric_math.series import Window

MINUTE: Final = 60
HIGH_RESOLUTION: Final = (1, 5, 10, 20, 30)
DAY: Final = 86_400
_THREE_HOURS = 3 * 3600
_FIFTEEN_DAYS = 15 * DAY
_SIXTY_THREE_DAYS = 63 * DAY


def is_period(seconds: int) -> bool:
    return seconds in HIGH_RESOLUTION or (seconds >= MINUTE and seconds % MINUTE == 0)


def finest(start: float, now: float) -> int:
    """The shortest period that is kept since `start`."""
    age = now - start
    if age <= _THREE_HOURS:
        return 1
    if age <= _FIFTEEN_DAYS:
        return MINUTE
    return 5 * MINUTE if age <= _SIXTY_THREE_DAYS else 3600


def rounded_start(start: float, period: int, now: float) -> int:
    """The beginning of a request, rounded down: to what is kept since then, or to a period of less than a
    minute."""
    kept = finest(start, now)
    unit = min(period, MINUTE) if kept == 1 else kept
    return int(start // unit) * unit


def kept_period(window: Window, period: int, now: float) -> int | None:
    """The longest period of the points in the store that periods of a window can be made of; None for no points,
    because what is kept since the window's start is coarser. One that the window's end cuts through would tell of
    the time after it, unless that is to come."""
    finest_kept = max(finest(window.start, now), MINUTE)
    if period < MINUTE:
        return MINUTE if finest_kept == MINUTE else None
    start = window.begin(window.start, period)
    for stored in (3600, 5 * MINUTE, MINUTE):
        is_whole = start % stored == 0 and (window.end % stored == 0 or window.end >= now)
        if stored >= finest_kept and period % stored == 0 and (is_whole or stored == finest_kept):
            return stored
    return None
