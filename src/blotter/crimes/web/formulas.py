"""CSV for people who open it in a spreadsheet: cells that would run as formulas get an apostrophe in front.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` (or their full-width forms), also after blanks,
tabs or line breaks. Numbers such as longitude -87.6 are no formulas and stay. Cells that hold a quote, a comma,
a semicolon, a tab or a line break are quoted, because a spreadsheet that separates by semicolons would
otherwise cut a cell and run its second half. Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

_STARTS = frozenset("=+-@＝＋－＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_QUOTED = re.compile("[\",;\t\r\n']")
_ROWS_PER_PIECE = 2000
_LONGEST_FIELD = 1 << 30  # the worker has already limited the rows


def rows_of(chunks: Iterable[bytes]) -> Iterator[list[str]]:
    """The rows of CSV bytes in UTF-8, as `csv.reader` gives them."""
    csv.field_size_limit(_LONGEST_FIELD)
    return csv.reader(io.TextIOWrapper(io.BufferedReader(_Chunks(chunks), 1 << 20), encoding="utf-8", newline=""))


def neutralized(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same CSV with its formulas neutralized, in pieces."""
    lines: list[str] = []
    for row in rows_of(chunks):
        lines.append(",".join(map(_cell, row)))
        if len(lines) >= _ROWS_PER_PIECE:
            yield ("\n".join(lines) + "\n").encode()
            lines.clear()
    if lines:
        yield ("\n".join(lines) + "\n").encode()


def neutral(cell: str) -> str:
    """The cell's text as a spreadsheet shows it instead of running it: "=1+1" → "'=1+1"."""
    start = cell.lstrip()[:1]
    if start in _STARTS and start and not _NUMBER.fullmatch(cell.strip()):
        return "'" + cell
    return cell


def _cell(cell: str) -> str:
    text = neutral(cell)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


class _Chunks(io.RawIOBase):
    """An iterator of bytes as a raw file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
