"""CSV: a header and rows; key columns have the types of their attributes, every other one is a string.

Rows end with their lines, except within double quotes. A column that contains a quote must be quoted itself, with
the quote doubled; an empty column is left out of its item. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Format.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from blotter.database.importing.compression import MalformedObject
from blotter.database.importing.formats import Put
from blotter.database.importing.lines import MAX_LINE_BYTES, lines
from blotter.database.model.errors import validation_error


class Row(NamedTuple):
    """A row with the columns of its object: names, and types that are not S. `text` is the row as it stands there;
    its columns are separated when it is parsed."""

    columns: tuple[tuple[str, str], ...]
    text: bytes


class Csv:
    """`delimiter` separates columns. `header` names them, or None if the first row of every object does.
    `key_types`: N or B for attributes that are no strings."""

    def __init__(self, delimiter: str, header: list[str] | None, key_types: dict[str, str]) -> None:
        self._delimiter = delimiter
        self._header = header
        self._key_types = key_types
        # A quoted column, in which quotes are doubled, or one without quotes; then a delimiter or the end.
        d = re.escape(delimiter)
        self._column = re.compile(rf'(?:"((?:[^"]|"")*)"|([^"{d}]*))({d}|\Z)')

    def records(self, pieces: Iterable[bytes]) -> Iterator[tuple[int, Row]]:
        columns = None if self._header is None else self._columns(self._header)
        for number, text in _rows(pieces):
            if columns is None:
                columns = self._columns(self._split(text))
            else:
                yield number, Row(columns, text)

    def parse(self, record: Row) -> Put:
        columns = record.columns
        cells = self._split(record.text)
        if len(cells) != len(columns):
            raise validation_error(
                f"The number of columns of the row, {len(cells)}, is not that of the header, {len(columns)}"
            )
        return Put({name: {type_: cell} for (name, type_), cell in zip(columns, cells, strict=True) if cell})

    def _columns(self, names: list[str]) -> tuple[tuple[str, str], ...]:
        if not all(names):
            raise MalformedObject("A column of the header has no name")
        if len(set(names)) < len(names):
            raise MalformedObject("Two columns of the header have the same name")
        return tuple((name, self._key_types.get(name, "S")) for name in names)

    def _split(self, text: bytes) -> list[str]:
        try:
            row = text.decode()
        except UnicodeDecodeError:
            raise MalformedObject("The row is not valid UTF-8") from None
        if '"' not in row:
            return row.split(self._delimiter)
        cells: list[str] = []
        end = 0
        while True:
            match = self._column.match(row, end)
            if match is None:
                raise MalformedObject("A double quote in the row is not escaped")
            quoted, plain, delimiter = match.groups()
            cells.append(plain if quoted is None else quoted.replace('""', '"'))
            end = match.end()
            if not delimiter:
                return cells


def _rows(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines, put together while a quote is open; empty ones between rows are skipped."""
    begun: list[bytes] = []
    first = length = 0
    is_open = False
    for number, line in enumerate(lines(pieces), 1):
        if not begun:
            if not line:
                continue
            first, length = number, 0
        begun.append(line)
        length += len(line) + 1
        if length > MAX_LINE_BYTES:
            raise MalformedObject(f"A row is longer than {MAX_LINE_BYTES} bytes")
        is_open ^= line.count(b'"') % 2 == 1
        if not is_open:
            yield first, b"\n".join(begun) if len(begun) > 1 else line
            begun = []
    if begun:
        raise MalformedObject("A double quote is not closed")
