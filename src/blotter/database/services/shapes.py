"""Inputs of protocols whose bodies carry their own types (JSON, CBOR), held against the shapes of a model.

What such a body holds may be anything: a text where the model has a list, a number for a text. An operation sees
only members that the model has, of the types that it names: numbers of seconds for timestamps, floats for doubles.
Members that the model does not have, and those that are null, are left out, as AWS does. Output goes the other way
for CBOR alone, whose timestamps have a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from blotter.database.services.errors import serialization_error, shortened
from blotter.database.services.model import Model, Shape
from blotter.database.work_thread import give_way

MAX_ELEMENTS = 10_000
"""Elements of one list: more than any operation takes, as `form.MAX_PARAMETERS`."""


def typed_input(model: Model, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The input of an operation; unchanged for one that is not implemented. Raises SerializationException."""
    known = model.operations.get(operation)
    if known is None or not known.input:
        return dict(arguments)
    return _structure(model, model.shapes[known.input], arguments, "")


def with_timestamps(model: Model, name: str, value: Any, mark: Callable[[float], Any]) -> Any:
    """An output of a shape, with `mark` of each of its timestamps in their place."""
    shape = model.shapes[name]
    if shape.type == "timestamp":
        return mark(value)
    if shape.type == "structure":
        return {
            member: with_timestamps(model, shape.members[member], each, mark)
            for member, each in value.items()
            if each is not None
        }
    if shape.type == "list":
        return [with_timestamps(model, shape.member, each, mark) for each in value]
    if shape.type == "map":
        return {key: with_timestamps(model, shape.value, each, mark) for key, each in value.items()}
    return value


def _value(model: Model, name: str, value: Any, path: str) -> Any:
    shape = model.shapes[name]
    if shape.type == "structure":
        return _structure(model, shape, value, path)
    if shape.type == "list":
        if not isinstance(value, list):
            raise _wrong(path, "a list")
        if len(value) > MAX_ELEMENTS:
            raise serialization_error(f"{path} has more than {MAX_ELEMENTS} elements.")
        give_way()
        return [_value(model, shape.member, each, f"{path}[{n}]") for n, each in enumerate(value)]
    if shape.type == "map":
        return {
            _value(model, shape.key, key, path): _value(model, shape.value, each, f"{path}.{shortened(str(key))}")
            for key, each in _mapping(value, path).items()
        }
    return _SCALARS[shape.type](value, path)


def _structure(model: Model, shape: Shape, value: Any, path: str) -> dict[str, Any]:
    given = _mapping(value, path)
    return {
        name: _value(model, of, given[name], f"{path}.{name}" if path else name)
        for name, of in shape.members.items()
        if given.get(name) is not None
    }


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(path or "The input", "a structure")
    return value


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a string")
    return value


def _integer(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise _wrong(path, "an integer")
    if not -(1 << 63) <= value < 1 << 63:
        raise _wrong(path, "an integer of 64 bits")
    return int(value)


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "a boolean")
    return value


def _double(value: Any, path: str) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return float(_SPECIAL[value])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(path, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _wrong(path, "a number of 64 bits") from None


def _timestamp(value: Any, path: str) -> float:
    try:
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            return seconds_of(value)
        seconds = _double(value, path)
        datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError, OSError):
        raise _wrong(path, "a time") from None
    return seconds


def seconds_of(text: str) -> float:
    """A moment as text ("2026-11-28T21:15:00Z"), UTC if it does not say, as seconds since the epoch. Raises
    ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else datetime.fromisoformat(f"{moment.isoformat()}+00:00")).timestamp()


_SPECIAL = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_SCALARS: dict[str, Callable[[Any, str], Any]] = {
    "string": _string,
    "integer": _integer,
    "long": _integer,
    "boolean": _boolean,
    "double": _double,
    "float": _double,
    "timestamp": _timestamp,
}


def _wrong(path: str, what: str) -> Exception:
    return serialization_error(f"{shortened(path)} is not {what}.")
