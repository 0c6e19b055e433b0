"""From lines of text to records of fields, each with the number of its first line; quotes never closed are found.

The csv module splits the fields (RFC 4180, and what spreadsheets make of it). Alone it would take one quote that
is never closed for a cell that holds the rest of the file, or all lines up to the next quote. So each record of
several lines is checked once more: it is a record when its quotes open and close at the ends of fields and it
has the header's width, or none of its lines would fit the header alone. Otherwise its first line is a broken
record and the lines after it are read again, as rows of their own. No line is lost and none is counted twice. In a
line of another width than the header's, a quote that closes within a field has shifted the columns; it is broken.
How much may be read again is limited, because a hostile file would have every line do it.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from blotter.crimes.failures import FileRefused

# So many empty lines may be in a file, and some more for each row: they compress to nothing and cost time.
_BLANK_LINES = 1_000_000
_BLANK_LINES_OF_A_ROW = 10
# Characters that may be read again in one file, in records of the longest length.
_READ_AGAIN = 64


class Record(NamedTuple):
    """One row. `line` counts from 1; `lines` is how many lines it spans; `broken`: its quote is never closed."""

    line: int
    lines: int
    fields: list[str]
    broken: bool


class _RecordTooLong(Exception):
    """The current record has several lines and is longer than the limit."""


class RecordReader:
    """The records of a text, blank lines left out.

    `longest` limits a record, in characters; the csv module's own limit must not be lower. `width` is the header's
    number of fields once it is known: until then only the end of the text shows that a quote is not closed.
    `is_row` is whether the fields of a line could be a row's, by what the caller knows of the columns.
    Raises FileRefused while iterating.
    """

    def __init__(self, lines: Iterator[str], delimiter: str, longest: int) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._longest = longest
        self._budget = longest * _READ_AGAIN
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._ended = False
        self._line = 1
        self._first_broken = 0
        self.width = 0
        self.is_row: Callable[[list[str]], bool] = lambda _: False

    def __iter__(self) -> Iterator[Record]:
        blank = 0
        while True:
            self._taken, self._ended = [], False
            rows = csv.reader(self._feed(self._taken), delimiter=self._delimiter)
            try:
                for fields in rows:
                    lines = len(self._taken)
                    suspicious = lines > 1 or self._ended or len(fields) not in (0, self.width)
                    if suspicious and self._is_broken(fields):
                        break
                    if fields:
                        blank = max(0, blank - _BLANK_LINES_OF_A_ROW)
                        yield Record(self._line, lines, fields, False)
                    elif (blank := blank + 1) > _BLANK_LINES:
                        raise FileRefused("NOT_CSV", f"more than {_BLANK_LINES:,} lines are empty")
                    self._line += lines
                    self._taken.clear()
                else:
                    return
            except _RecordTooLong:
                pass
            except csv.Error as error:
                raise FileRefused("NOT_CSV", f"line {self._line:,}: {error}") from error
            yield self._broken_record()

    def _feed(self, taken: list[str]) -> Iterator[str]:
        """The lines, one by one as the csv module reads them; it reads a further one only within quotes."""
        again, length = self._again, 0
        while True:
            if again:
                line = again.popleft()
            else:
                following = next(self._lines, None)
                if following is None:
                    self._ended = True
                    return
                line = following
            length = length + len(line) if taken else len(line)
            taken.append(line)
            if length > self._longest and len(taken) > 1:
                raise _RecordTooLong
            yield line

    def _is_broken(self, fields: list[str]) -> bool:
        """Whether a record of several lines, of another width or at the end only exists for want of a quote."""
        if self._ended:
            return True
        if not self.width and len(self._taken) == 1:
            return False
        try:
            list(csv.reader(iter(self._taken), delimiter=self._delimiter, strict=True))
        except csv.Error:
            return True
        if not self.width:
            return False
        if len(fields) == self.width:
            return self._holds_rows()
        return any(len(self._split(line)) == self.width for line in self._taken[1:])

    def _holds_rows(self) -> bool:
        """Whether a record that fits is one only because two quotes happen to enclose rows of their own.

        Every line between the first and the last must then be a row; without such lines, the first and the last
        must both have what makes a row, which a cell after the date cannot give the last.
        """
        first, *between, last = self._taken
        if between:
            rows = (self._split(line) for line in between)
            return all(len(row) == self.width and self.is_row(row) for row in rows)
        return self.is_row(self._split(first)) and self.is_row(self._split(last))

    def _broken_record(self) -> Record:
        """The first line alone; the others are read again."""
        first, *rest = self._taken
        self._first_broken = self._first_broken or self._line
        self._budget -= sum(map(len, rest))
        if self._budget < 0:
            raise FileRefused(
                "UNCLOSED_QUOTE",
                f"quotes are not closed in too many lines; the first is line {self._first_broken:,}",
            )
        self._again.extendleft(reversed(rest))
        self._line += 1
        return Record(self._line - 1, 1, self._split(first), True)

    def _split(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self._delimiter), [])
