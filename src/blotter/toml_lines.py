"""Which line of a TOML file holds a key, so that an error can name it.

`tomllib` reads values and forgets where they stood. This scanner only finds key lines: headers, `key = …` at the
start of a line, and nothing inside multi-line strings, arrays or inline tables. It does not validate the file:
tomllib has accepted it before. For a key inside an inline table the line of the nearest enclosing key is returned.
"""

from __future__ import annotations

import re
import tomllib

# Possessive repetition: a line of a million blanks or brackets is scanned once.
_BLANK = r"[ \t]*+"
_PART = re.compile(r"[A-Za-z0-9_-]++|\"(?:\\.|[^\"\\])*+\"|'[^']*+'")
_PATH = rf"(?P<path>(?:{_PART.pattern})(?:{_BLANK}\.{_BLANK}(?:{_PART.pattern}))*+)"
_HEADER = re.compile(rf"{_BLANK}\[\[?{_BLANK}{_PATH}{_BLANK}\]")
_KEY = re.compile(rf"{_BLANK}{_PATH}{_BLANK}=")
# What can change the nesting depth: quotes open strings, brackets open values, a hash opens a comment.
_TOKEN = re.compile(r"\"\"\"|'''|\"(?:\\.|[^\"\\])*+\"|'[^']*+'|[\[\]{}#]")

KeyPath = tuple[str, ...]


def key_lines(text: str) -> dict[KeyPath, int]:
    """Every key path the text opens, with its 1-based line; the first place wins."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):  # TOML's only line break, with or without CR
        if not quote and depth == 0:
            if header := _HEADER.match(line):
                table = _parts(header["path"])
                lines.setdefault(table, number)
                continue
            if key := _KEY.match(line):
                lines.setdefault(table + _parts(key["path"]), number)
        depth, quote = _after(line, depth, quote)
    return lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, or of the closest key around it; None when not even its table is in the file."""
    for length in range(len(path), 0, -1):
        if (number := lines.get(path[:length])) is not None:
            return number
    return None


def _parts(dotted: str) -> KeyPath:
    return tuple(_unquoted(part) for part in _PART.findall(dotted))


def _unquoted(part: str) -> str:
    if part[0] == '"' and "\\" in part:
        return str(tomllib.loads(f"key = {part}")["key"])
    return part.strip("\"'")


def _after(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Bracket depth and the open multi-line quote after `line`."""
    position = 0
    while position < len(line):
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return depth, quote
            position, quote = end + 3, ""
            continue
        token = _TOKEN.search(line, position)
        if token is None or token[0] == "#":
            return depth, ""
        position = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
    return depth, quote
