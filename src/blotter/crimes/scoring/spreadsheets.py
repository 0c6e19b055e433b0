"""A predictions file for people: cells that a spreadsheet would run as formulas begin with an apostrophe.

A cell of an uploaded file may be `=HYPERLINK(…)` or `@SUM(…)`; in CSV it is text, but Excel, LibreOffice and
Google Sheets run it when the file is opened. Programs get the file as it is, people the one made here: every cell
that begins with `=`, `+`, `-`, `@`, a tab or a line break, after blanks too, gets a leading apostrophe, unless it
is a plain number. The full-width forms of those signs count as well. A cell with a comma, a semicolon, a tab, a
quote or a line break is quoted, because a spreadsheet that separates by semicolons would otherwise cut it in two
and run the second half. Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile(r"[\s\ufeff\u200b-\u200f]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_QUOTED = re.compile("[\",;\t\r\n']")
_ROWS = 2_000
_LONGEST_FIELD = 1 << 30  # the rows of a predictions file were limited when it was written


def rows_of(blocks: Iterable[bytes]) -> Iterator[list[str]]:
    """The rows of a predictions file; memory holds a block.

    The blocks must be a file that `score_file` wrote: UTF-8, commas, "\\n" at the ends of rows.
    """
    csv.field_size_limit(_LONGEST_FIELD)  # the module's only knob is global
    return csv.reader(_lines(blocks))


def neutralized(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same file but for such cells, in blocks; memory holds a few thousand rows."""
    lines: list[str] = []
    for row in rows_of(blocks):
        lines.append(",".join(map(_cell, row)))
        if len(lines) == _ROWS:
            yield _encoded(lines)
            lines = []
    if lines:
        yield _encoded(lines)


def neutral(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would take for a formula."""
    if _FORMULA.match(cell) is None or _NUMBER.fullmatch(cell) is not None:
        return cell
    return "'" + cell


def _cell(cell: str) -> str:
    text = neutral(cell)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _encoded(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    """The text in pieces that end with "\\n", as the csv module reads them; only "\\n" ends a row here."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
    rest = ""
    for block in blocks:
        *lines, rest = (rest + decoder.decode(block)).split("\n")
        for line in lines:
            yield line + "\n"
    if rest:
        yield rest
