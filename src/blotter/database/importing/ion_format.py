"""Amazon Ion: structs with the field `Item`, as text or binary, one after another or in lists.

Types: string S, int and decimal N, blob B, bool BOOL, null NULL, struct M, list L; a list annotated with
`$dynamodb_SS`, `$dynamodb_NS` or `$dynamodb_BS` is a set. Others (float, timestamp, symbol, clob, S-expression)
are refused. Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Format.html and
.../S3DataExport.Output.html.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from blotter.database.importing.compression import MalformedObject
from blotter.database.importing.formats import Put
from blotter.database.importing.lines import MAX_LINE_BYTES
from blotter.database.model.errors import nesting_error, validation_error
from blotter.database.model.size import MAX_DEPTH
from blotter.database.model.values import AttributeValue, Item

_SETS: Final = {"$dynamodb_SS": "SS", "$dynamodb_NS": "NS", "$dynamodb_BS": "BS"}
_MEMBERS: Final = {"SS": "S", "NS": "N", "BS": "B"}
_PLAIN_DICTS_AND_VALUES: Final = 1 | 4  # MAY_BE_BARE and STRUCT_AS_STD_DICT of amazon.ion


class Ion:
    """Reads one object after another; the number of a record stands for its line."""

    def records(self, pieces: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
        from amazon.ion.exceptions import IonException
        from amazon.ion.simpleion import IonPyValueModel, load_extension

        content = _Content(pieces)
        number = 0
        try:
            for value in load_extension(
                content,
                single_value=False,
                parse_eagerly=False,
                text_buffer_size_limit=MAX_LINE_BYTES,
                value_model=IonPyValueModel(_PLAIN_DICTS_AND_VALUES),
            ):
                content.begin_value()
                for record in value if isinstance(value, list) else (value,):
                    number += 1
                    yield number, record
        except IonException as error:
            raise content.fault or MalformedObject(f"The object is not in ION format: {error}") from None

    def parse(self, record: Any) -> Put:
        item = record.get("Item") if isinstance(record, dict) else None
        if not isinstance(item, dict):
            raise MalformedObject("The value has no field Item with an item")
        names, values = record.get("ExpressionAttributeNames"), record.get("ExpressionAttributeValues")
        condition = record.get("ConditionExpression")
        return Put(
            _members(item, 1),
            None if condition is None else str(condition),
            None if names is None else {str(key): str(name) for key, name in names.items()},
            None if values is None else _members(values, 1),
        )


class _Content:
    """A file for the parser, over the pieces of an object. Ends it when one value takes too much."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        self._value = 0
        self.fault: MalformedObject | None = None
        """Why reading failed: the parser replaces an exception by its own."""

    def begin_value(self) -> None:
        self._value = 0

    def read(self, size: int) -> bytes:
        try:
            while not self._left:
                self._left = next(self._pieces, b"")
                if not self._left:
                    return b""
        except MalformedObject as fault:
            self.fault = fault
            raise
        piece, self._left = self._left[:size], self._left[size:]
        self._value += len(piece)
        if self._value > MAX_LINE_BYTES:
            self.fault = MalformedObject(f"A value is longer than {MAX_LINE_BYTES} bytes")
            raise self.fault
        return piece


def _members(struct: dict[Any, Any], depth: int) -> Item:
    if depth > MAX_DEPTH:
        raise nesting_error()
    if not all(isinstance(name, str) for name in struct):
        raise validation_error("A field of the item has no name")
    return {name: _value(value, depth) for name, value in struct.items()}


def _value(value: Any, depth: int) -> AttributeValue:
    convert = _CONVERSIONS.get(type(value))
    return _annotated(value, depth) if convert is None else convert(value, depth)


def _list(value: Any, depth: int) -> AttributeValue:
    if depth >= MAX_DEPTH:
        raise nesting_error()
    return {"L": [_value(member, depth + 1) for member in value]}


_CONVERSIONS: dict[type, Callable[[Any, int], AttributeValue]] = {
    str: lambda value, _: {"S": value},
    Decimal: lambda value, _: {"N": str(value)},
    int: lambda value, _: {"N": str(value)},
    bool: lambda value, _: {"BOOL": value},
    type(None): lambda _value, _depth: {"NULL": True},
    bytes: lambda value, _: {"B": b2a_base64(value, newline=False).decode()},
    dict: lambda value, depth: {"M": _members(value, depth + 1)},
    list: _list,
}


def _annotated(value: Any, depth: int) -> AttributeValue:
    """A value with annotations, of which sets are the only ones that mean something; and types that no attribute
    has."""
    from amazon.ion.core import IonType

    kind = getattr(value, "ion_type", None)
    names = [symbol.text for symbol in getattr(value, "ion_annotations", ())]
    if kind is IonType.NULL or (kind is not None and value.__class__.__name__ == "IonPyNull"):
        return {"NULL": True}
    if kind is IonType.LIST and len(names) == 1 and names[0] in _SETS:
        type_ = _SETS[names[0]]
        members = [_value(member, depth) for member in value]
        if any(_MEMBERS[type_] not in member for member in members):
            raise validation_error(f"A member of a set annotated {names[0]} has another type")
        return {type_: [member[_MEMBERS[type_]] for member in members]}
    what = f"annotated {', '.join(map(str, names))}" if names else f"of type {_name(value, kind)}"
    raise validation_error(f"An Ion value {what} has no DynamoDB type")


def _name(value: Any, kind: Any) -> str:
    return type(value).__name__.lower() if kind is None else str(kind.name).lower()
