"""The JSON of a policy document: read strictly, and the places of its parts.

A key that appears twice in an object is refused, because readers would disagree about which of the two counts.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]|\\u[dD]")
_BLANK: Final = re.compile(r"[ \t\r\n]*")


class NotJson(Exception):
    """The text is no JSON, or an object of it has a key twice."""


def read_json(text: str) -> Any:
    """The value. Raises NotJson, also for a document that is nested too deeply to be read, or has half a character
    (a lone surrogate)."""
    try:
        value = _DECODER.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise NotJson from None
    return value


def place_of(text: str, path: tuple[str | int, ...]) -> tuple[int, int]:
    """Where the value at a path of keys and positions starts, and where it ends. Without such a path, the place of
    the nearest value around it. The text has been read as JSON."""
    start = _skip(text, 0)
    for step in path:
        found = _member(text, start, step)
        if found is None:
            break
        start = found
    return start, _end(text, start)


def places_in(text: str, path: tuple[str | int, ...]) -> list[tuple[int, int]]:
    """The places of the elements of the list at a path, found in one pass; of a value that is no list, its own."""
    start, end = place_of(text, path)
    if text[start] != "[":
        return [(start, end)]
    places = []
    at = _skip(text, start + 1)
    while text[at] != "]":
        end = _end(text, at)
        places.append((at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return places


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Both count from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _member(text: str, start: int, step: str | int) -> int | None:
    """Where the member of the object or list at `start` starts."""
    at = _skip(text, start + 1)
    position = 0
    while text[start] in "{[" and text[at] not in "}]":
        key: str | int = position
        if text[start] == "{":
            key, at = _SCANNER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        if key == step:
            return at
        at = _skip(text, _end(text, at))
        if text[at] == ",":
            at = _skip(text, at + 1)
        position += 1
    return None


def _end(text: str, at: int) -> int:
    end: int = _SCANNER.raw_decode(text, at)[1]
    return end


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return at if match is None else match.end()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJson
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_SCANNER: Final = json.JSONDecoder()
