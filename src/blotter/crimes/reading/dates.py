"""The dates of incident files: what the portal's exports and API write, and what spreadsheets make of them.

Year first (`2022-09-16`, `2022/9/16`), numbers with slashes or dashes (`09/16/2022`, `9/16/22`), numbers with dots
(`16.09.2022`, always day first), or a month's name (`16-Sep-2022`, `Sep 16, 2022`, `2022 Sep 16`); alone or with a
time of 24 or 12 hours, with a weekday in front, in ISO 8601's basic form, or as C's ctime writes it. Two-digit
years are 1969 to 2068, as POSIX has it.

Whether `03/04/2022` is in March or April cannot be seen from one row: `decide_order` looks at the file's dates and
reports the order it found and why. A zone (`Z`, `UTC`, `+00:00`) is accepted and not applied: the portal's times
are Chicago's, and programs that export them add "UTC" without shifting anything. A day without a time has no
minute (`NO_TIME`); midnight is never guessed. Day and time are parsed apart and remembered, because a file has few
different ones; the memory is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from unicodedata import category

NO_TIME = -1
FIRST_YEAR, LAST_YEAR = 1900, 2100
_REMEMBERED = 20_000
_LONGEST = 50  # characters; nothing longer is worth remembering
_VOTES = 50  # so many rows that allow one order only decide a file
_OTHER_DATES = 10_000  # a file that begins with so many dates of another form has no numbers to order
_MOST_DATES = 2_000_000

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", re.ASCII)
_NUMBERS = re.compile(r"(\d{1,2})(?:/(\d{1,2})/(\d{4}|\d{2})|-(\d{1,2})-(\d{4}))", re.ASCII)
_DOTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})", re.ASCII)
_NAMED = (
    re.compile(r"(?P<day>\d{1,2})[ -](?P<month>[A-Z]{3,9})\.?,?[ -](?P<year>\d{4}|\d{2})", re.ASCII),
    re.compile(r"(?P<month>[A-Z]{3,9})\.?[ -](?P<day>\d{1,2}),?[ -](?P<year>\d{4})", re.ASCII),
    re.compile(r"(?P<year>\d{4})[ -](?P<month>[A-Z]{3,9})[ -](?P<day>\d{1,2})", re.ASCII),
)
_TIME = re.compile(
    r"(\d{1,2})[:.H](\d{2})(?:[:.](\d{2})(?:[.,]\d{1,9})?)?(?: ?UHR)?"
    r"(?: ?([AP])\.? ?M\.?)?"
    r"((?: ?(?:Z|UTC|GMT|C[SD]?T|\[?AMERICA/CHICAGO\]?|[+-]\d{2}(?::?\d{2})?))*)",
    re.ASCII | re.IGNORECASE,
)
# What `_usual_form` rewrites: a weekday's name in front, the year at the end (C's ctime), ISO 8601's basic form.
_WEEKDAY = re.compile(
    r"(?:MON|TUES?|WED(?:NES)?|THU(?:RS)?|FRI|SAT(?:UR)?|SUN)(?:DAY)?[.,]* +", re.ASCII | re.IGNORECASE
)
_YEAR_LAST = re.compile(r"([A-Z]{3} +\d{1,2}) +([\d:]+(?: [A-Z]{3})?) +(\d{4})", re.ASCII | re.IGNORECASE)
_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d))?)?(?![\d.])", re.ASCII)
_MONTHS = {
    name[:length]: number
    for number, name in enumerate(
        (
            "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER",
            "NOVEMBER", "DECEMBER",
        ),
        start=1,
    )
    for length in range(3, len(name) + 1)
}  # fmt: skip
_MONTH_NAMES = ("", "January", "February", "March", "April", "May", "June", "July", "August", "September",
                "October", "November", "December")  # fmt: skip


class Moment(NamedTuple):
    """When an incident happened. `weekday` 0 is Monday; `minute` counts from midnight, 0..1439, or is NO_TIME."""

    ordinal: int
    month: int
    day: int
    weekday: int
    minute: int


class Order(NamedTuple):
    """How the dates of a file are written: "year first", "month first" or "day first"; `reason` is a sentence."""

    name: str
    reason: str

    @property
    def day_first(self) -> bool:
        return self.name == "day first"


class _Day(NamedTuple):
    ordinal: int
    month: int
    day: int
    weekday: int


class DateReader:
    """Reads the dates of one file in its order. `zoned` counts the dates that carried a zone."""

    def __init__(self, *, day_first: bool = False) -> None:
        self._day_first = day_first
        self.zoned = 0

    def find(self, text: str) -> Moment | None:
        """The moment a text names, or None."""
        if len(text) > _LONGEST:
            return None
        found = self._find(text)
        return self._find(_usual_form(text)) if found is None else found

    def _find(self, text: str) -> Moment | None:
        parts = text.split()  # at any white space: newer exports have U+202F before PM
        if len(parts) == 1:
            day_text, _, time_text = text.strip().partition("T" if text[:1].isdigit() and ":" in text else " ")
        elif parts:
            day_text, time_text = parts[0], " ".join(parts[1:])
        else:
            return None
        day = _find_day(day_text.rstrip(","), self._day_first)
        if day is None:
            found = _split_named(" ".join(parts).upper())
            if found is None:
                return None
            day, time_text = found
        time = _find_time(time_text)
        if time is None:
            return None
        minute, zoned = time
        self.zoned += zoned
        return Moment(*day, minute)


def find_moment(text: str, *, day_first: bool = False) -> Moment | None:
    """The moment that one text names in the given order, or None."""
    return DateReader(day_first=day_first).find(text)


def describe(moment: Moment) -> str:
    """A moment as a person reads it without doubt: `September 16, 2022, 21:30`."""
    day = date.fromordinal(moment.ordinal)
    text = f"{_MONTH_NAMES[day.month]} {day.day}, {day.year}"
    return text if moment.minute == NO_TIME else f"{text}, {moment.minute // 60:02d}:{moment.minute % 60:02d}"


def decide_order(texts: Iterable[str]) -> Order:
    """The order of a file's dates, from as many of them as it takes.

    A number above 12 shows which of the two is the day; the majority decides, because single dates are mistyped.
    Without such a number the order in which the incidents lie in fewer months is taken, unless the times have AM
    or PM; else the portal's own, month first.
    """
    votes = {"month first": 0, "day first": 0}
    example = {"month first": "", "day first": ""}
    first_numbers: set[int] = set()
    second_numbers: set[int] = set()
    twelve_hours, year_first, others = False, 0, 0
    for text in islice(texts, _MOST_DATES):
        start = text.strip()[:_LONGEST]
        match = _NUMBERS.match(start) or _NUMBERS.match(_usual_form(start))
        if match is None:
            others += 1
            year_first += _YEAR_FIRST.match(_usual_form(start)) is not None
            if others > _OTHER_DATES and not first_numbers:
                break
            continue
        first, second = int(match[1]), int(match[2] or match[4])
        first_numbers.add(first)
        second_numbers.add(second)
        twelve_hours = twelve_hours or text.rstrip(". ")[-1:] in "Mm"
        if (first > 12) != (second > 12):
            name = "day first" if first > 12 else "month first"
            votes[name] += 1
            example[name] = example[name] or start
            if votes[name] >= _VOTES and votes[name] > 2 * min(votes.values()):
                break
    if not first_numbers:
        return Order("year first" if year_first else "", "")
    if votes["month first"] or votes["day first"]:
        name = max(votes, key=lambda each: votes[each])  # equal: the first, the portal's
        return Order(name, f"{example[name]} can only be read with the {name.split()[0]} first")
    if len(first_numbers) > 2 * len(second_numbers) and not twelve_hours:
        return Order("day first", "no number is above 12; read that way, the incidents lie in fewer months")
    return Order("month first", "no number is above 12, so nothing shows it; the portal has the month first")


@lru_cache(maxsize=_REMEMBERED)
def _usual_form(text: str) -> str:
    """A rare form rewritten as one that is read: invisible marks and a weekday removed, `20220916T213000` with
    its signs, `Sep 16 21:30:00 2022` with its year before the time. Other texts come back as they are."""
    text = "".join(character for character in text if category(character) != "Cf")
    text = _WEEKDAY.sub("", text.strip(), count=1)
    text = _YEAR_LAST.sub(r"\1 \3 \2", text, count=1)
    if match := _BASIC.match(text):
        year, month, day, *time = match.groups()
        text = f"{year}-{month}-{day} {':'.join(part for part in time if part)}{text[match.end() :]}".strip()
    return re.sub(r"(?<=\d)t(?=\d)", "T", text, count=1)


@lru_cache(maxsize=_REMEMBERED)
def _find_day(text: str, day_first: bool) -> _Day | None:
    if match := _YEAR_FIRST.fullmatch(text):
        return _day(match[1], int(match[3]), int(match[4]))
    if match := _NUMBERS.fullmatch(text):
        first, second, year = int(match[1]), int(match[2] or match[4]), match[3] or match[5]
        return _day(year, second, first) if day_first else _day(year, first, second)
    if match := _DOTS.fullmatch(text):
        return _day(match[3], int(match[2]), int(match[1]))
    return None


@lru_cache(maxsize=_REMEMBERED)
def _split_named(text: str) -> tuple[_Day, str] | None:
    """A day with a month's name, and the text of the time after it."""
    for pattern in _NAMED:
        match = pattern.match(text)
        if match is None or match["month"] not in _MONTHS:
            continue
        rest = text[match.end() :]
        if rest[:1] in ("", " ", ","):
            day = _day(match["year"], _MONTHS[match["month"]], int(match["day"]))
            return None if day is None else (day, rest.lstrip(", "))
    return None


def _day(year_text: str, month: int, day: int) -> _Day | None:
    year = int(year_text)
    if len(year_text) == 2:
        year += 2000 if year < 69 else 1900
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        found = date(year, month, day)
    except ValueError:
        return None
    return _Day(found.toordinal(), month, day, found.weekday())


@lru_cache(maxsize=_REMEMBERED)
def _find_time(text: str) -> tuple[int, bool] | None:
    """The minute of the day and whether a zone follows it."""
    if not text:
        return NO_TIME, False
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second, half = int(match[1]), int(match[2]), int(match[3] or 0), (match[4] or "").upper()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "P" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return hour * 60 + minute, bool(match[5])
