"""The dates of incident files: what the portal's export and API write, and what spreadsheets make of them.

`2022-09-16 21:30:00`, `2025-01-01T00:00:00.000`, `09/16/2022 09:30:00 PM`, `9/16/2022 21:30`, or a day alone.
Local time of Chicago as written; a zone is not expected. Day and time of day are parsed apart and remembered,
because a file has few different ones; the memory is bounded.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

_REMEMBERED = 20_000
_LONGEST = 40  # characters; nothing longer is worth remembering
_ISO_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_US_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?Z?(?: ?([AP])\.?M\.?)?", re.ASCII | re.IGNORECASE)


class Moment(NamedTuple):
    """When an incident happened. `weekday` 0 is Monday; `minute` counts from midnight, 0..1439."""

    ordinal: int
    month: int
    day: int
    weekday: int
    minute: int


class _Day(NamedTuple):
    ordinal: int
    month: int
    day: int
    weekday: int


def find_moment(text: str) -> Moment | None:
    """The moment a text names, or None."""
    if len(text) > _LONGEST:
        return None
    day_text, _, time_text = text.replace("T", " ", 1).partition(" ")
    day = _find_day(day_text)
    if day is None:
        return None
    minute = _find_minute(time_text)
    return None if minute is None else Moment(*day, minute)


@lru_cache(maxsize=_REMEMBERED)
def _find_day(text: str) -> _Day | None:
    if match := _ISO_DAY.fullmatch(text):
        year, month, day = map(int, match.groups())
    elif match := _US_DAY.fullmatch(text):
        month, day, year = map(int, match.groups())
    else:
        return None
    try:
        found = date(year, month, day)
    except ValueError:
        return None
    return _Day(found.toordinal(), month, day, found.weekday())


@lru_cache(maxsize=_REMEMBERED)
def _find_minute(text: str) -> int | None:
    """The minute of the day; no time at all is midnight, as the portal writes days alone."""
    if not text:
        return 0
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second, half = int(match[1]), int(match[2]), int(match[3] or 0), (match[4] or "").upper()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "P" else 0)
    return hour * 60 + minute if hour < 24 and minute < 60 and second < 60 else None
