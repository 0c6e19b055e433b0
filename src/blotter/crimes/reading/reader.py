"""From an uploaded file to batches of incidents: the header in any portal style, each row checked alone.

Rules: a bad row is skipped with a reason and never stops the file; a bad file raises `FileRefused`. Every input
row stays in its batch, in order, skipped or not, so that the predictions file can repeat the input. Blank lines
are no rows. Fields may be separated by commas, semicolons, tabs or bars; which one, the header shows. Rows that
end early are read when they have a date and a type: spreadsheets leave out empty cells at the end.
The first skipped rows of each kind are kept with line, column and value, for a person to look up.
Must not depend on what a feature or a model is.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from blotter.crimes.failures import FileRefused
from blotter.crimes.item import Problem
from blotter.crimes.reading.dates import DateReader, Moment, Order, decide_order, find_moment
from blotter.crimes.reading.decoding import text_lines
from blotter.crimes.reading.records import Record, RecordReader

BATCH_ROWS = 8_192
# A batch ends early when its rows are heavy: a row may have a megabyte, and 8,192 of them would not fit. A field
# costs an object in addition to its characters, and a file of a few kilobytes can hold millions of them.
BATCH_WEIGHT = 16 * 1024 * 1024
_FIELD_WEIGHT = 60
_MOST_COLUMNS = 1000
_MOST_FIELDS = 20_000  # of a row that may be a row: a spreadsheet has 16,384 columns
_PROBLEMS_OF_A_KIND = 5
_MOST_PROBLEMS = 20
_LONGEST_EXAMPLE = 60
LONG_RECORD = 100  # lines; longer records are reported, because a missing quote may be the cause

# The model's columns, by the portal's export heading. Headings are compared without case, blanks and signs, which
# covers the API's as well.
COLUMNS = {
    "date": "Date",
    "block": "Block",
    "primary_type": "Primary Type",
    "description": "Description",
    "location_description": "Location Description",
    "domestic": "Domestic",
    "community_area": "Community Area",
    "arrest": "Arrest",
}
# Other headings of the portal's data sets, its API's misspelled one included.
_ALIASES = {
    "dateofoccurrence": "date",
    "primarydescription": "primary_type",
    "primarydecsription": "primary_type",
    "secondarydescription": "description",
    "communityareanumber": "community_area",
}
REQUIRED = ("date", "primary_type")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_OTHER_DELIMITERS = {":": "colons", "^": "carets", "~": "tildes", "\x01": "control characters"}
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)
_READABLE = "2022-09-16 21:30:00, 2022-09-16T21:30, 09/16/2022 09:30:00 PM or 16.09.2022 21:30"


@dataclass(slots=True)
class Batch:
    """Some rows in file order. `columns` hold the rows that can be scored, aligned with `valid` and `moments`.

    `rows` are the raw fields of every row; `reasons` is "" for a row that can be scored; `valid` are the positions
    of those in `rows`. A column that the file lacks is all empty texts; texts are stripped.
    """

    rows: list[list[str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    valid: list[int] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """What was noticed while a file was read, complete when the last batch was given out."""

    problems: list[Problem] = field(default_factory=list)
    short_rows: int = 0
    zoned_dates: int = 0
    long_records: int = 0
    longest_record: tuple[int, int] = (0, 0)
    """Lines and first line of the longest record of many lines."""
    date_example: str = ""
    date_example_moment: Moment | None = None


def find_order(
    chunks: Iterable[bytes], max_bytes: int, max_line: int, *, on_block: Callable[[], None] = lambda: None
) -> Order:
    """How the dates of a file are ordered, from a reading of its own; it ends as soon as that is clear."""
    reader = IncidentReader(chunks, max_bytes=max_bytes, max_line=max_line, on_block=on_block)
    return decide_order(reader.dates())


class IncidentReader:
    """Reads one file. `header` and `headings` are known once the reader is made; iterate for the batches.

    `order` is how the file's dates are written (`find_order`). `headings` has the file's own heading of each
    column that it has. Raises FileRefused from the constructor and from the iteration.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        max_bytes: int,
        max_line: int,
        *,
        order: Order | None = None,
        required: tuple[str, ...] = REQUIRED,
        batch_rows: int = BATCH_ROWS,
        on_block: Callable[[], None] = lambda: None,
    ) -> None:
        csv.field_size_limit(max_line)  # the module's only knob is global; every reader here sets the same
        lines = text_lines(chunks, max_bytes, max_line, on_block)
        first, delimiter = _first_lines(lines, required)
        self.delimiter = DELIMITERS[delimiter]
        self._records = RecordReader(itertools.chain(first, lines), delimiter, max_line)
        self._rows = iter(self._records)
        self._separator = delimiter
        self._batch_rows = batch_rows
        self._dates = DateReader(day_first=order is not None and order.day_first)
        self._order = order
        self._told: Counter[str] = Counter()
        self.found = Found()
        self.header = self._read_header()
        self._records.width = len(self.header)
        self._places = find_columns(self.header)
        _check_header(self.header, self._places, required)
        self._records.is_row = self._is_row
        self._needed = max(self._places.get(name, 0) for name in REQUIRED)
        self.headings = {name: self.header[place].strip() for name, place in self._places.items()}

    def _read_header(self) -> list[str]:
        for record in self._rows:
            if not any(map(str.strip, record.fields)):
                continue  # blanks alone are no header
            if len(record.fields) > _MOST_COLUMNS:
                raise FileRefused(
                    "TOO_MANY_COLUMNS",
                    f"the header has {len(record.fields):,} columns, more than {_MOST_COLUMNS:,}",
                )
            return record.fields
        raise FileRefused("EMPTY_FILE", "the file has no content")

    def dates(self) -> Iterator[str]:
        """The texts of the date column alone."""
        place = self._places["date"]
        return (record.fields[place] for record in self._rows if place < len(record.fields))

    def __iter__(self) -> Iterator[Batch]:
        records: list[Record] = []
        weight = 0
        for record in self._rows:
            records.append(record)
            weight += _FIELD_WEIGHT * len(record.fields) + sum(map(len, record.fields))
            if len(records) == self._batch_rows or weight > BATCH_WEIGHT:
                yield self._checked(records)
                records, weight = [], 0
        if records:
            yield self._checked(records)

    def _checked(self, records: list[Record]) -> Batch:
        batch = Batch()
        kept: list[list[str]] = []
        place = self._places["date"]
        for position, record in enumerate(records):
            row = record.fields
            batch.rows.append(row)
            if record.lines > LONG_RECORD:
                self._tell_long(record)
            reason = self._mend(record)
            moment = None
            if not reason:
                text = row[place].strip()
                moment = self._dates.find(text)
                if moment is None:
                    reason = "BAD_DATE" if text else "MISSING_DATE"
            batch.reasons.append(reason)
            if moment is None:
                self._tell(record, reason)
                continue
            batch.valid.append(position)
            batch.moments.append(moment)
            kept.append(row)
        for name in COLUMNS:
            column = self._places.get(name)
            batch.columns[name] = [""] * len(kept) if column is None else [row[column].strip() for row in kept]
        if batch.moments and self.found.date_example_moment is None:
            self.found.date_example = batch.columns["date"][0][:_LONGEST_EXAMPLE]
            self.found.date_example_moment = batch.moments[0]
        self.found.zoned_dates = self._dates.zoned
        return batch

    def _is_row(self, fields: list[str]) -> bool:
        """Whether fields have a readable date where the header has it."""
        place = self._places["date"]
        text = fields[place] if place < len(fields) else ""
        return any(find_moment(text, day_first=day_first) is not None for day_first in (False, True))

    def _mend(self, record: Record) -> str:
        """Makes the row as wide as the header, or reports why that cannot be."""
        if record.broken:
            return "UNCLOSED_QUOTE"
        row, width = record.fields, len(self.header)
        if len(row) == width:
            return ""
        while width < len(row) <= _MOST_FIELDS and not row[-1].strip():
            row.pop()  # a trailing comma
        if len(row) > width:
            row[width - 1 :] = [self._separator.join(row[width - 1 :])]
            return "WRONG_FIELD_COUNT"
        if len(row) <= self._needed or not all(row[self._places[name]].strip() for name in REQUIRED):
            return "" if len(row) == width else "WRONG_FIELD_COUNT"
        if any(heading.strip() for heading in self.header[len(row) :]):
            self.found.short_rows += 1
        row += [""] * (width - len(row))
        return ""

    def _tell(self, record: Record, reason: str) -> None:
        """Keeps the first rows of each reason."""
        self._told[reason] += 1
        if self._told[reason] > _PROBLEMS_OF_A_KIND or len(self.found.problems) >= _MOST_PROBLEMS:
            return
        column = self.headings["date"]
        example = shown(record.fields[self._places["date"]] if "DATE" in reason else ",".join(record.fields))
        if reason == "BAD_DATE":
            order = f" with the {self._order.name}" if self._order is not None and self._order.reason else ""
            message = f"{column} “{example}” cannot be read{order}; read would be {_READABLE}"
        elif reason == "MISSING_DATE":
            message = f"{column} is empty; read would be {_READABLE}"
        elif reason == "UNCLOSED_QUOTE":
            column, message = "", f"a quote is opened and never closed: {example}"
        else:
            column = ""
            message = f"the row has not the header's {len(self.header):,} fields: {example}"
        self.found.problems.append(Problem(record.line, reason, column, example, message))

    def _tell_long(self, record: Record) -> None:
        self.found.long_records += 1
        self.found.longest_record = max(self.found.longest_record, (record.lines, record.line))


def shown(text: str) -> str:
    """A value of a file as a message may show it: one line, printable, at most 60 characters."""
    line = "".join(character if character.isprintable() else " " for character in text[: _LONGEST_EXAMPLE + 1])
    return line if len(line) <= _LONGEST_EXAMPLE else line[: _LONGEST_EXAMPLE - 1] + "…"


def find_columns(header: list[str]) -> dict[str, int]:
    """Where each known column stands; the portal's own heading counts before an alias, the first before others."""
    names = {re.sub(r"[^a-z0-9]", "", heading.casefold()): heading for heading in COLUMNS.values()}
    own = dict(zip(names, COLUMNS, strict=True))
    places: dict[str, int] = {}
    aliased: dict[str, int] = {}
    for place, heading in enumerate(header):
        plain = re.sub(r"[^a-z0-9]", "", heading.casefold())
        if plain in own:
            places.setdefault(own[plain], place)
        elif plain in _ALIASES:
            aliased.setdefault(_ALIASES[plain], place)
    return aliased | places


def _first_lines(lines: Iterator[str], required: tuple[str, ...]) -> tuple[list[str], str]:
    """The lines up to the header's first, and the delimiter that makes the needed columns of it.

    Blank lines are kept, so that line numbers are right. A first line `sep=;`, which Excel writes and reads, names
    the delimiter; it is kept as a blank line.
    """
    first: list[str] = []
    named = ""
    for line in itertools.islice(lines, 1000):
        match = _SEPARATOR_LINE.fullmatch(line)
        if match is not None and not named and match[1] in DELIMITERS:
            named = match[1]
            first.append("\n")
            continue
        first.append(line)
        if line.strip():
            break
    if named or not first:
        return first, named or ","
    line = first[-1]
    for delimiter in DELIMITERS:
        fields = next(csv.reader([line], delimiter=delimiter), [])
        if all(column in find_columns(fields) for column in required):
            return first, delimiter
    return first, ","


def _check_header(header: list[str], places: dict[str, int], required: tuple[str, ...]) -> None:
    missing = [COLUMNS[name] for name in required if name not in places]
    if not missing:
        return
    line = ",".join(header)
    for delimiter, name in _OTHER_DELIMITERS.items():
        if all(column in find_columns(line.split(delimiter)) for column in required):
            raise FileRefused(
                "WRONG_DELIMITER",
                f"the columns are separated by {name}; separate them by commas, semicolons, tabs or bars",
            )
    found = ", ".join(shown(heading.strip())[:40] for heading in header[:12])
    wanted, api = " and ".join(missing), " and ".join(name for name in required if name not in places)
    raise FileRefused(
        "MISSING_COLUMNS",
        f"missing: {', '.join(missing)}; the first row has: {found[:300]}. It must name the columns: "
        f"{wanted}, or as the portal's API has them, {api}",
    )
