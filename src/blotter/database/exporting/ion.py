"""Items as Amazon Ion text, in the form in which DynamoDB exports them.

    {"Id":{"N":"600"},"by-line":{"SS":["a"]}}  →  {Id:6d2,'by-line':$dynamodb_SS::["a"]}

Types: S string, N decimal, B blob, BOOL bool, NULL null, sets lists that are annotated with $dynamodb_SS, _NS or
_BS, L list, M struct. Numbers are written as Ion's Java library writes a BigDecimal without trailing zeros, so an
integer has a point (`103.`) and is never read as Ion's int, which DynamoDB does not import. Pure.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html;
https://amazon-ion.github.io/ion-docs/docs/spec.html; amazon-ion/ion-java, IonTextUtils.printDecimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from blotter.database.model.values import Item

VERSION_MARKER: Final = "$ion_1_0"

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII).fullmatch
_SYMBOL_ID: Final = re.compile(r"\$[0-9]+", re.ASCII).fullmatch
_KEYWORDS: Final = frozenset(("null", "true", "false", "nan"))

# What cannot stand in a quoted text as it is: the quotes, the backslash, and control characters.
_SPECIAL: Final = re.compile("[\"'\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPES: Final = {
    "\x00": "\\0",
    "\x07": "\\a",
    "\x08": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\x0b": "\\v",
    "\x0c": "\\f",
    "\r": "\\r",
    "\\": "\\\\",
}
_SMALLEST_PLAIN_EXPONENT: Final = -6
"""Smaller numbers are written with an exponent."""


def ion_item(item: Item) -> str:
    """The struct of an item whose values are validated."""
    return _struct(item)


def ion_number(text: str) -> str:
    """A canonical number (`model.numbers`) as an Ion decimal: 103 → 103. and 600 → 6d2, 0.5 → 0.5, 1E-130 →
    1d-130."""
    sign = ""
    if text[0] == "-":
        sign, text = "-", text[1:]
    whole, point, fraction = text.partition(".")
    if not point:
        digits = whole.rstrip("0")
        zeros = len(whole) - len(digits)
        if not digits:
            return "0."
        return f"{sign}{digits}." if zeros == 0 else f"{sign}{digits}d{zeros}"
    if whole != "0":
        return f"{sign}{text}"
    digits = fraction.lstrip("0")
    if len(digits) - 1 - len(fraction) >= _SMALLEST_PLAIN_EXPONENT:
        return f"{sign}{text}"
    return f"{sign}{digits}d-{len(fraction)}"


def ion_symbol(name: str) -> str:
    """An attribute name as a field name: bare if it is an identifier of Ion's, else in single quotes."""
    if _IDENTIFIER(name) is not None and name not in _KEYWORDS and _SYMBOL_ID(name) is None:
        return name
    return f"'{_SPECIAL.sub(_escape_symbol, name)}'"


def ion_string(text: str) -> str:
    if _SPECIAL.search(text) is None:
        return f'"{text}"'
    return f'"{_SPECIAL.sub(_escape_string, text)}"'


def _escape_string(match: re.Match[str]) -> str:
    character = match[0]
    if character == "'":
        return character
    return '\\"' if character == '"' else _escape(character)


def _escape_symbol(match: re.Match[str]) -> str:
    character = match[0]
    if character == '"':
        return character
    return "\\'" if character == "'" else _escape(character)


def _escape(character: str) -> str:
    escape = _ESCAPES.get(character)
    if escape is not None:
        return escape
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


_symbols: dict[str, str] = {}
"""Field names as they were written: a table has few names and many items."""
_MOST_SYMBOLS: Final = 4096


def _symbol(name: str) -> str:
    symbol = _symbols.get(name)
    if symbol is None:
        symbol = ion_symbol(name)
        if len(_symbols) < _MOST_SYMBOLS:
            _symbols[name] = symbol
    return symbol


def _struct(members: dict[str, Any]) -> str:
    parts = []
    for name, value in members.items():
        for type_, content in value.items():
            parts.append(f"{_symbol(name)}:{_WRITERS[type_](content)}")
    return f"{{{','.join(parts)}}}"


def _list(values: list[dict[str, Any]]) -> str:
    parts = [_WRITERS[type_](content) for value in values for type_, content in value.items()]
    return f"[{','.join(parts)}]"


def _blob(base64: str) -> str:
    return f"{{{{{base64}}}}}"


_WRITERS: Final[dict[str, Callable[[Any], str]]] = {
    "S": ion_string,
    "N": ion_number,
    "B": _blob,
    "BOOL": lambda value: "true" if value else "false",
    "NULL": lambda _: "null",
    "SS": lambda values: f"$dynamodb_SS::[{','.join(map(ion_string, values))}]",
    "NS": lambda values: f"$dynamodb_NS::[{','.join(map(ion_number, values))}]",
    "BS": lambda values: f"$dynamodb_BS::[{','.join(map(_blob, values))}]",
    "L": _list,
    "M": _struct,
}
