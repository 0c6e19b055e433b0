"""Schedule expressions: at(…), rate(…) and cron(…), and when they are due next. Pure.

    at(2026-12-24T18:00:00)      rate(5 minutes)      cron(0 8 ? * MON-FRI *)

cron has minutes, hours, day of the month, month, day of the week and perhaps the year; one of the two days is "?".
Times are local times of the action's time zone: one that the clock skips in spring is due when it has been moved,
one that comes twice in autumn is due the first time. Source:
https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html; what
is refused, and in which words: badmintoncryer/cdk-preflight (rules pf-appautoscaling-schedule-*, measured 2026).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from blotter.database.services.autoscaling.calls import invalid

_EXPRESSION = re.compile(r"(at|rate|cron)\((.*)\)", re.IGNORECASE | re.DOTALL)
_RATE = re.compile(r"([0-9]{1,9})\s?(minutes?|hours?|days?)", re.IGNORECASE)
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_YEARS = range(1970, 2200)
_FARTHEST = 366 * 8
"""Days that are looked at, at most, plus whole years that a year field excludes."""

DayRule = Callable[[date], bool]


class Schedule:
    """`after(moment)` is the next time after a moment, in seconds since the epoch; None: never again."""

    def __init__(self, after: Callable[[float], float | None]) -> None:
        self.after = after


def parse_schedule(text: str, timezone: str | None, created: float) -> Schedule:
    """`created` is when a rate begins. Raises ValidationException."""
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(f"Invalid timezone: {timezone}") from None
    match = _EXPRESSION.fullmatch(text.strip())
    if match is None:
        raise _wrong_syntax()
    kind, body = match[1].lower(), match[2].strip()
    if kind == "at":
        return _at(body, zone)
    return _rate(body, created) if kind == "rate" else _cron(body, zone)


def _wrong_syntax() -> Exception:
    return invalid(
        "Invalid schedule expression. Schedule expressions must have the following syntax: "
        "rate(<number>\\s?(minutes?|hours?|days?)), cron(<cron_expression>) or at(yyyy-MM-dd'T'HH:mm:ss)"
    )


def _at(body: str, zone: ZoneInfo) -> Schedule:
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"):
        try:
            return _once(datetime.strptime(body, form).replace(tzinfo=zone).timestamp())
        except (ValueError, OverflowError):
            continue
    raise invalid(f"Invalid schedule at DateTime expression: {body}")


def _once(moment: float) -> Schedule:
    return Schedule(lambda after: moment if moment > after else None)


def _rate(body: str, created: float) -> Schedule:
    match = _RATE.fullmatch(body)
    if match is None:
        raise _wrong_syntax()
    seconds = int(match[1]) * _SECONDS[match[2].lower().rstrip("s")]
    if seconds < 60:
        raise invalid("Invalid schedule frequency. Runs are less than 60 seconds apart")
    return Schedule(lambda after: created + max((after - created) // seconds + 1, 1) * seconds)


# cron


def _cron(body: str, zone: ZoneInfo) -> Schedule:
    fields = body.upper().split()
    try:
        return _fields(fields, zone)
    except (ValueError, IndexError):
        raise invalid(f"Invalid CRON expression: {body}") from None


def _fields(fields: list[str], zone: ZoneInfo) -> Schedule:
    """Raises ValueError or IndexError for what is no expression."""
    if len(fields) not in (5, 6):
        raise ValueError("the number of fields")
    minutes = sorted(_numbers(fields[0], range(60)))
    hours = sorted(_numbers(fields[1], range(24)))
    months = _numbers(fields[3], range(1, 13), _MONTHS)
    years = _numbers(fields[5], _YEARS) if len(fields) == 6 else set(_YEARS)
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError("one of the days must be ?")
    fits = _day_of_month(fields[2]) if fields[4] == "?" else _day_of_week(fields[4])
    times = [time(hour, minute) for hour in hours for minute in minutes]

    def after(moment: float) -> float | None:
        for day in _days(moment, zone, months, years):
            if not fits(day):
                continue
            for each in times:
                due = datetime.combine(day, each, zone).timestamp()
                if due > moment:
                    return due
        return None

    return Schedule(after)


def _days(moment: float, zone: ZoneInfo, months: set[int], years: set[int]) -> Iterator[date]:
    """The days of these months and years, from that of a moment on, as far as `_FARTHEST`."""
    day = datetime.fromtimestamp(moment, UTC).astimezone(zone).date()
    looked_at = 0
    while looked_at < _FARTHEST and day.year < _YEARS.stop:
        if day.year not in years:
            day = date(day.year + 1, 1, 1)
            continue
        if day.month in months:
            yield day
        day += timedelta(days=1)
        looked_at += 1


def _numbers(field: str, allowed: range, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step_text = part.partition("/")
        step = int(step_text) if step_text else 1
        if step < 1 or ("/" in part and not step_text):
            raise ValueError(part)
        if span == "*":
            low, high = allowed.start, allowed.stop - 1
        else:
            first, dash, last = span.partition("-")
            low = _number(first, names)
            high = _number(last, names) if dash else allowed.stop - 1 if step_text else low
        if low not in allowed or high not in allowed:
            raise ValueError(part)
        wrapped = (
            range(low, high + 1) if low <= high else [*range(low, allowed.stop), *range(allowed.start, high + 1)]
        )
        found.update(list(wrapped)[::step])
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    if names is not None and text in names:
        return names[text]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _day_of_month(field: str) -> DayRule:
    if field == "L":
        return lambda day: day.day == _last(day)
    if field == "LW":
        return lambda day: day == _weekday_near(day, _last(day))
    if field.endswith("W"):
        number = int(field[:-1])
        if not 1 <= number <= 31:
            raise ValueError(field)
        return lambda day: number <= _last(day) and day == _weekday_near(day, number)
    numbers = _numbers(field, range(1, 32))
    return lambda day: day.day in numbers


def _day_of_week(field: str) -> DayRule:
    if field == "L":
        return lambda day: _week_number(day) == 7
    if field.endswith("L"):
        number = _in_week(field[:-1])
        return lambda day: _week_number(day) == number and day.day + 7 > _last(day)
    name, has_number, nth = field.partition("#")
    if has_number:
        number, which = _in_week(name), int(nth)
        if not 1 <= which <= 5:
            raise ValueError(field)
        return lambda day: _week_number(day) == number and (day.day - 1) // 7 + 1 == which
    numbers = _numbers(field, range(1, 8), _DAYS)
    return lambda day: _week_number(day) in numbers


def _in_week(text: str) -> int:
    number = _number(text, _DAYS)
    if not 1 <= number <= 7:
        raise ValueError(text)
    return number


def _week_number(day: date) -> int:
    """1 is Sunday."""
    return day.isoweekday() % 7 + 1


def _last(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _weekday_near(day: date, number: int) -> date:
    """The weekday (Monday to Friday) of the day's month that is nearest to a day of it."""
    wanted = day.replace(day=number)
    if wanted.isoweekday() == 6:
        return wanted - timedelta(days=1) if number > 1 else wanted + timedelta(days=2)
    if wanted.isoweekday() == 7:
        return wanted + timedelta(days=1) if number < _last(day) else wanted - timedelta(days=2)
    return wanted
