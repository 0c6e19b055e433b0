"""A predictions file for people: cells that a spreadsheet would run as formulas begin with an apostrophe.

A cell of an uploaded file may be `=HYPERLINK(…)` or `@SUM(…)`; in CSV it is text, but Excel, LibreOffice and
Google Sheets run it when the file is opened. Programs get the file as it is, people the one made here: every cell
that begins with `=`, `+`, `-`, `@`, a tab or a line break, after blanks too, gets a leading apostrophe, unless it
is a plain number. The full-width forms of those signs count as well.
Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator

from blotter.crimes.scoring import csv_text

_FORMULA = re.compile(r"[\s\ufeff\u200b-\u200f]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_ROWS = 2_000


def neutralized(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks of a predictions file, row by row the same but for such cells; memory holds a few thousand rows.

    The blocks must be a file that `score_file` wrote: UTF-8, commas, "\\n" at the ends of rows.
    """
    rows: list[list[str]] = []
    for row in csv.reader(_lines(blocks)):
        rows.append([neutral(cell) for cell in row])
        if len(rows) == _ROWS:
            yield csv_text(rows).encode("utf-8", "surrogatepass")
            rows = []
    if rows:
        yield csv_text(rows).encode("utf-8", "surrogatepass")


def neutral(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would take for a formula."""
    if _FORMULA.match(cell) is None or _NUMBER.fullmatch(cell) is not None:
        return cell
    return "'" + cell


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    """The text in pieces that end with "\n", as the csv module asks for them; only "\n" ends a row here."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
    rest = ""
    for block in blocks:
        *lines, rest = (rest + decoder.decode(block)).split("\n")
        for line in lines:
            yield line + "\n"
    if rest:
        yield rest
