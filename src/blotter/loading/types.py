"""What the values of a file are as attributes: found out by reading all of it, before anything is written.

A key attribute has the type that its table says; an attribute may be given one by the user; otherwise, columns of
CSV are numbers or Booleans if every cell is one, and strings if not, while values of JSON and Parquet say
themselves what they are. Pure.
"""

from __future__ import annotations

import base64
import datetime
import math
import re
import uuid
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from blotter.loading.files import Form, Row

AttributeValue = dict[str, Any]

TYPES: Final = ("S", "N", "B", "BOOL", "JSON")
"""Types that an attribute can be given. JSON: text that is parsed into whatever it is."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_DIGITS: Final = 38
_GREATEST: Final = 125
_SMALLEST: Final = -130
_TEXTS: Final = {"true": True, "false": False}


class NotConvertible(Exception):
    """A value cannot be of the type that its attribute has."""


class Column:
    """What was seen of one attribute."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.example = ""

    def add(self, kind: str, value: Any) -> None:
        if not self.kinds:
            self.example = str(value)
        self.kinds[kind] += 1

    @property
    def kind(self) -> str:
        """The one kind of all values, S for text of several, or all kinds there are."""
        return "/".join(sorted(self.kinds))


class Converter:
    """Turns rows into items. `keys`: types of the key's attributes; `chosen`: those that the user gave; `found`:
    those of CSV's columns, once they are known."""

    def __init__(self, form: Form, keys: dict[str, str], chosen: dict[str, str]) -> None:
        self._form = form
        self._keys = keys
        self._chosen = chosen
        self.found: dict[str, str] = {}

    def type_of(self, name: str) -> tuple[str | None, str]:
        """The type of an attribute, None for whatever each value is, and where it comes from."""
        if name in self._chosen:
            return self._chosen[name], "--type"
        if name in self._keys:
            return self._keys[name], "key of the table"
        return self.found.get(name), "found in the file"

    def item(self, row: Row) -> dict[str, AttributeValue]:
        """Raises NotConvertible for a value that does not fit its attribute, and for a missing key."""
        if self._form == "dynamodb-json":
            item = {name: _typed(name, value) for name, value in row.values.items()}
        else:
            item = {name: self._attribute(name, value) for name, value in row.values.items()}
        for name, type_ in self._keys.items():
            if name not in item:
                raise NotConvertible(f"{name}, of the table's key, is missing")
            if type_ not in item[name]:
                raise NotConvertible(f"{name}, of the table's key, is {next(iter(item[name]))}, not {type_}")
            if item[name][type_] in ("", b""):
                raise NotConvertible(f"{name}, of the table's key, is empty")
        return item

    def _attribute(self, name: str, value: Any) -> AttributeValue:
        type_, _ = self.type_of(name)
        try:
            if type_ is None:
                return {"S": value} if self._form == "csv" else _as_it_is(value)
            return _as(type_, value)
        except (ValueError, TypeError, InvalidOperation) as error:
            raise NotConvertible(f"{name}: {error}") from None


def kind_of_text(text: str) -> str:
    """What a cell of CSV looks like: a number without needless zeros before it, a Boolean, or a string."""
    if text.lower() in _TEXTS:
        return "BOOL"
    return "N" if _NUMBER.fullmatch(text) and _fits(text) else "S"


def common_type(column: Column) -> str:
    """The type of a column of CSV."""
    return column.kind if column.kind in ("N", "BOOL") else "S"


def _as(type_: str, value: Any) -> AttributeValue:
    if type_ == "N":
        return {"N": _number(value)}
    if type_ == "S":
        return {"S": value if isinstance(value, str) else _text(value)}
    if type_ == "B":
        return {"B": value if isinstance(value, bytes) else base64.b64decode(value, validate=True)}
    if type_ == "BOOL":
        return {"BOOL": value if isinstance(value, bool) else _boolean(value)}
    return _as_it_is(_parsed(value))


def _as_it_is(value: Any) -> AttributeValue:
    """The attribute value of a value of JSON or Parquet."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, float, Decimal)):
        return {"N": _number(value)}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, dict):
        return {"M": {str(name): _as_it_is(each) for name, each in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"L": [_as_it_is(each) for each in value]}
    return {"S": _text(value)}


def kind_of(value: Any) -> str:
    """The type that a value of JSON or Parquet has by itself."""
    try:
        return next(iter(_as_it_is(value)))
    except (ValueError, TypeError, InvalidOperation):
        return "?"


def _text(value: Any) -> str:
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, Decimal, uuid.UUID, float)):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no string")


def _number(value: Any) -> str:
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number of DynamoDB's")
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if len(text) > 200 or not _fits(text):
        raise ValueError(f"{text[:50]!r} is no number of DynamoDB's (38 digits, up to 1E+125)")
    return text


def _fits(text: str) -> bool:
    """Whether a text is a number that DynamoDB can hold."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    if not number.is_finite():
        return False
    digits = len(str(int("".join(map(str, number.as_tuple().digits)))).rstrip("0"))
    return not number or (digits <= _DIGITS and _SMALLEST <= number.adjusted() <= _GREATEST)


def _boolean(value: Any) -> bool:
    try:
        return _TEXTS[str(value).lower()]
    except KeyError:
        raise ValueError(f"{str(value)[:50]!r} is neither true nor false") from None


def _parsed(value: Any) -> Any:
    import json

    return json.loads(value, parse_float=Decimal) if isinstance(value, str) else value


def _typed(name: str, value: Any) -> AttributeValue:
    """An attribute value of DynamoDB JSON, whose binary is base64, as boto3 takes it."""
    if not isinstance(value, dict) or len(value) != 1:
        raise NotConvertible(f"{name}: not an attribute value with one type")
    ((type_, inner),) = value.items()
    try:
        if type_ == "B":
            return {"B": base64.b64decode(inner, validate=True)}
        if type_ == "BS":
            return {"BS": [base64.b64decode(each, validate=True) for each in inner]}
        if type_ == "L":
            return {"L": [_typed(name, each) for each in inner]}
        if type_ == "M":
            return {"M": {key: _typed(key, each) for key, each in inner.items()}}
    except (ValueError, TypeError, AttributeError) as error:
        raise NotConvertible(f"{name}: {error}") from None
    if type_ not in ("S", "N", "BOOL", "NULL", "SS", "NS"):
        raise NotConvertible(f"{name}: there is no type {type_!r}")
    return {type_: inner}
