"""From lines of text to batches of incidents: the header in any portal style, each row judged alone.

Rules: a bad row is skipped with a reason and never stops the file; a bad file raises `FileRefused`. Every input
row stays in its batch, in order, skipped or not, so that the predictions file can repeat the input. Blank lines
are no rows. A record may span lines (quotes); its length is limited, or one quote that is never closed would
swallow the file. Must not know what a feature or a model is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from blotter.crimes.dates import Moment, find_moment
from blotter.crimes.decoding import text_lines
from blotter.crimes.failures import FileRefused

BATCH_ROWS = 8_192
# A batch ends early when its rows are long: a row may have a megabyte, and 8,192 of them would not fit.
BATCH_CHARACTERS = 8 * 1024 * 1024
_MOST_COLUMNS = 1000
_BLANK_LINES = 1_000_000

# The model's columns, by the portal's export heading. The API's headings and those of the portal's yearly extracts
# become the same names once spaces, case and signs are gone.
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
_ALIASES = {
    "date_of_occurrence": "date",
    "primary_description": "primary_type",
    "secondary_description": "description",
    "community_area_number": "community_area",
}
REQUIRED = ("date", "primary_type")
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


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


class IncidentReader:
    """Reads one file. `header` is known once the reader is made; iterate for the batches.

    Raises FileRefused from the constructor and from the iteration.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        max_bytes: int,
        max_line: int,
        required: tuple[str, ...] = REQUIRED,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        csv.field_size_limit(max_line)  # the module's only knob is global; every reader here sets the same
        self._record = _RecordGuard(text_lines(chunks, max_bytes, max_line), max_line)
        self._rows = csv.reader(self._record)
        self._batch_rows = batch_rows
        self._characters = 0
        self.header = self._read_header()
        self._places = find_columns(self.header)
        _check_header(self.header, self._places, required)

    def _read_header(self) -> list[str]:
        for row in self._checked_rows():
            return row
        raise FileRefused("EMPTY_FILE", "the file has no content")

    def __iter__(self) -> Iterator[Batch]:
        rows: list[list[str]] = []
        for row in self._checked_rows():
            rows.append(row)
            if len(rows) == self._batch_rows or self._characters > BATCH_CHARACTERS:
                yield self._judge(rows)
                rows, self._characters = [], 0
        if rows:
            yield self._judge(rows)

    def _checked_rows(self) -> Iterator[list[str]]:
        """The rows that are not blank; what the csv module cannot read is the file's fault."""
        guard = self._record
        blank = 0
        try:
            for row in self._rows:
                self._characters += guard.length
                guard.length = 0
                if row:
                    blank = 0
                    yield row
                elif (blank := blank + 1) > _BLANK_LINES:
                    raise FileRefused("NOT_CSV", f"the file has more than {_BLANK_LINES:,} empty lines in a row")
        except csv.Error as error:
            code = "FIELD_TOO_LONG" if "limit" in str(error) else "NOT_CSV"
            raise FileRefused(code, f"line {self._rows.line_num:,}: {error}; is a quote never closed?") from error

    def _judge(self, rows: list[list[str]]) -> Batch:
        batch = Batch(rows=rows)
        width, date_place = len(self.header), self._places["date"]
        kept: list[list[str]] = []
        for position, row in enumerate(rows):
            if len(row) != width and not _mend(row, width):
                batch.reasons.append("WRONG_FIELD_COUNT")
                continue
            text = row[date_place].strip()
            moment = find_moment(text)
            if moment is None:
                batch.reasons.append("BAD_DATE" if text else "MISSING_DATE")
                continue
            batch.reasons.append("")
            batch.valid.append(position)
            batch.moments.append(moment)
            kept.append(row)
        for name in COLUMNS:
            place = self._places.get(name)
            batch.columns[name] = [""] * len(kept) if place is None else [row[place].strip() for row in kept]
        return batch


class _RecordGuard:
    """Hands lines to the csv module and limits how long one record may get; the consumer resets `length`."""

    def __init__(self, lines: Iterator[str], limit: int) -> None:
        self._lines = lines
        self._limit = limit
        self.length = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.length += len(line)
            if self.length > self._limit:
                raise FileRefused(
                    "FIELD_TOO_LONG", f"a row is longer than {self._limit:,} characters; is a quote never closed?"
                )
            yield line


def find_columns(header: list[str]) -> dict[str, int]:
    """Where each known column stands, whatever the heading's case, spaces and signs; of two the first counts."""
    places: dict[str, int] = {}
    for place, heading in enumerate(header):
        name = re.sub(r"[^a-z0-9]+", "_", heading.casefold()).strip("_")
        name = _ALIASES.get(name, name)
        if name in COLUMNS:
            places.setdefault(name, place)
    return places


def _check_header(header: list[str], places: dict[str, int], required: tuple[str, ...]) -> None:
    if len(header) > _MOST_COLUMNS:
        raise FileRefused(
            "TOO_MANY_COLUMNS", f"the header has {len(header):,} columns, more than {_MOST_COLUMNS:,}"
        )
    missing = [COLUMNS[name] for name in required if name not in places]
    if not missing:
        return
    line = ",".join(header)
    for delimiter, name in _DELIMITERS.items():
        if all(column in find_columns(line.split(delimiter)) for column in required):
            raise FileRefused("WRONG_DELIMITER", f"the columns are separated by {name}; separate them by commas")
    if len(header) == 1 and any(delimiter in line for delimiter in _DELIMITERS):
        raise FileRefused("WRONG_DELIMITER", "the header has no comma; separate the columns by commas")
    found = ", ".join(heading.strip()[:40] for heading in header[:12])
    raise FileRefused("MISSING_COLUMNS", f"missing: {', '.join(missing)}; the header has: {found[:300]}")


def _mend(row: list[str], width: int) -> bool:
    """Drops empty fields beyond the header (a trailing comma); whether the row then fits."""
    while len(row) > width and not row[-1].strip():
        row.pop()
    return len(row) == width
