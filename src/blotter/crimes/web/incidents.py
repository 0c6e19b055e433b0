"""The incidents of one file, narrowed by type, area, time and probability: read from its predictions file.

The file is read once for a page, row by row: in file order the reading stops when the page is full, by probability
a heap keeps no more rows than the pages up to this one hold. Type and area are taken as the summary takes them, so
that a number on the result page is the number of incidents listed here. Nothing is kept between two requests.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from blotter.crimes.reading.dates import NO_TIME, DateReader, Moment
from blotter.crimes.reading.reader import find_columns
from blotter.crimes.reading.spelling import area as spelled_area
from blotter.crimes.scoring.spreadsheets import rows_of
from blotter.crimes.web import community_map, paths, text

PER_PAGE = 50
MOST_PAGES = 200
_TYPE_LENGTH = 64  # as the summary cuts types
_UNKNOWN = "unknown"
ORDERS = {"likely": "Most likely first", "unlikely": "Least likely first", "file": "As in the file"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is shown; "" is everything. `low` and `high` are percent; hours 0–23, weekdays 0 (Monday) – 6."""

    type: str = ""
    area: str = ""
    hour: str = ""
    weekday: str = ""
    low: int = 0
    high: int = 100
    order: str = "likely"
    page: int = 1

    @classmethod
    def of(cls, values: dict[str, Any]) -> Filters:
        """Filters from an address; what makes no sense is as if it were not there."""
        order = values.get("order")
        return cls(
            type=str(values.get("type") or "")[:_TYPE_LENGTH],
            area=str(values.get("area") or "")[:20],
            hour=_number(values.get("hour"), 0, 23),
            weekday=_number(values.get("weekday"), 0, 6),
            low=int(_number(values.get("low"), 0, 100) or 0),
            high=int(_number(values.get("high"), 0, 100) or 100),
            order=order if order in ORDERS else "likely",
            page=int(_number(values.get("page"), 1, MOST_PAGES) or 1),
        )

    def url(self, file_key: str, **changes: Any) -> str:
        """The address of these filters with some changes."""
        new, plain = replace(self, **changes), Filters()
        given = {name: getattr(new, name) for name in self.__slots__}
        return paths.incidents_page(
            file_key, **{name: str(value) for name, value in given.items() if value != getattr(plain, name)}
        )

    def descriptions(self) -> list[str]:
        """The filters as a person reads them."""
        parts = []
        if self.type:
            parts.append(text.title(self.type))
        if self.area:
            parts.append(area_name(self.area))
        if self.hour:
            parts.append(f"{int(self.hour):02d}:00–{int(self.hour):02d}:59")
        if self.weekday:
            parts.append(text.WEEKDAYS[int(self.weekday)])
        if self.low > 0 or self.high < 100:
            parts.append(f"probability {self.low}–{self.high}%")
        return parts


@dataclass(frozen=True, slots=True)
class Incident:
    """One scored row; `arrest` is what the file records, None where it cannot be read."""

    number: int
    date: str
    type: str
    description: str
    place: str
    block: str
    area: str
    arrest: bool | None
    probability: float


@dataclass(frozen=True, slots=True)
class Page:
    """`more`: whether another page follows."""

    filters: Filters
    incidents: tuple[Incident, ...]
    more: bool
    has_arrests: bool

    @property
    def first(self) -> int:
        return (self.filters.page - 1) * PER_PAGE + 1


def read(chunks: Iterable[bytes], filters: Filters, *, day_first: bool = False) -> Page:
    """The page that the filters select, from the bytes of a predictions file; `day_first`: how its dates are
    written."""
    rows = rows_of(chunks)
    header = next(iter(rows), [])
    columns = find_columns(header) | {name: header.index(name) for name in ("probability",) if name in header}
    if "probability" not in columns:
        return Page(filters, (), False, False)
    matching = _matching(rows, columns, filters, DateReader(day_first=day_first))
    start, wanted = (filters.page - 1) * PER_PAGE, filters.page * PER_PAGE + 1
    if filters.order == "file":
        found = list(islice(matching, start, wanted))
    else:
        # Ties keep the order of the file, in either direction.
        sign = 1 if filters.order == "likely" else -1
        best = heapq.nlargest(wanted, matching, key=lambda one: (sign * one.probability, -one.number))
        found = best[start:]
    return Page(filters, tuple(found[:PER_PAGE]), len(found) > PER_PAGE, "arrest" in columns)


def area_name(number: str) -> str:
    """ "8" → "Near North Side"."""
    if number == _UNKNOWN:
        return "No community area"
    return next((area.name for area in community_map.areas() if str(area.number) == number), number)


def _matching(
    rows: Iterator[list[str]], columns: dict[str, int], filters: Filters, dates: DateReader
) -> Iterator[Incident]:
    place = columns["probability"]
    low, high = filters.low / 100, filters.high / 100
    for number, row in enumerate(rows, 1):
        cells = _Cells(row, columns)
        try:
            probability = float(row[place])
        except (ValueError, IndexError):
            continue  # a row that was skipped
        if not (low <= probability < high or (high == 1 and probability == 1)):
            continue
        if filters.type and (cells["primary_type"][:_TYPE_LENGTH].strip().upper() or _UNKNOWN) != filters.type:
            continue
        area = spelled_area(cells["community_area"]) or _UNKNOWN
        if filters.area and area != filters.area:
            continue
        if (filters.hour or filters.weekday) and not _fits(dates.find(cells["date"]), filters):
            continue
        yield Incident(
            number,
            cells["date"],
            text.title(cells["primary_type"]),
            text.title(cells["description"]),
            text.title(cells["location_description"]),
            cells["block"],
            "" if area == _UNKNOWN else area_name(area),
            _ARRESTS.get(cells["arrest"].upper()),
            probability,
        )


_YES, _NO = ("TRUE", "T", "1", "YES", "Y"), ("FALSE", "F", "0", "NO", "N")
_ARRESTS = dict.fromkeys(_YES, True) | dict.fromkeys(_NO, False)


class _Cells:
    """The cells of a row by the application's names, stripped; "" where the file has no such column."""

    def __init__(self, row: list[str], columns: dict[str, int]) -> None:
        self._row = row
        self._columns = columns

    def __getitem__(self, name: str) -> str:
        place = self._columns.get(name)
        return "" if place is None or place >= len(self._row) else self._row[place].strip()


def _fits(moment: Moment | None, filters: Filters) -> bool:
    if moment is None:
        return False
    if filters.weekday and moment.weekday != int(filters.weekday):
        return False
    return not filters.hour or (moment.minute != NO_TIME and moment.minute // 60 == int(filters.hour))


def _number(value: Any, least: int, most: int) -> str:
    """A whole number within its bounds as text, "" when it is none."""
    given = str(value or "").strip()
    if not given.isascii() or not given.isdigit() or len(given) > 6:
        return ""
    return str(min(max(int(given), least), most))
