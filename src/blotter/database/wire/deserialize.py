"""Reads a parsed JSON body against the shape of an operation's input, as the service's deserializer does.

It answers one question: does every value have a JSON type from which the member can be built? The first that
has not is a SerializationException with AWS's message, before any constraint is looked at. What the service
converts is converted (a Boolean written as "true", a fraction where an integer is wanted); null is the same as
absent; members the shape does not have are dropped. The message depends on where a value stands: a member
of a structure ("field"), an element of a list or map ("element"), or an element that is itself a list or map
("nested").
Source of the messages: recorded answers of the service, public as dynalite's tests (`test/helpers.js`,
assertType).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from blotter.database.model.errors import serialization_error
from blotter.database.wire.base64 import base64_problem
from blotter.database.wire.service_model import Shape, shape

Place = Literal["field", "element", "nested"]

# A list of the wrong length is not read further than this: the message about its length shows less.
_ENOUGH = 8192

_PACKAGE = "com.amazonaws.dynamodb.v20120810."
_NOT_EXPECTED = "Start of structure or map found where not expected"
_WRONG_SCALAR: dict[Place, str] = {
    "field": "Unexpected field type",
    "element": "Unexpected value type in payload",
    "nested": (
        "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
        "java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in "
        "module java.base of loader 'bootstrap')"
    ),
}
_JAVA_SCALARS = {
    "string": "String",
    "boolean": "Boolean",
    "integer": "Integer",
    "long": "Long",
    "double": "Double",
    "timestamp": "Date",
}
_BOOLEAN_TEXTS = {"TRUE": True, "1": True, "YES": True, "FALSE": False, "0": False, "NO": False}


def deserialize(name: str, value: Any) -> dict[str, Any]:
    """The input structure `name` built from the parsed body; raises SerializationException."""
    if not isinstance(value, dict):
        found = "Start of list found where not expected" if isinstance(value, list) else _WRONG_SCALAR["element"]
        raise serialization_error(found)
    return _structure(name, shape(name), value, "field")


def _read(name: str, value: Any, place: Place) -> Any:
    expected = shape(name)
    return _READERS[expected.type](name, expected, value, place)


def _structure(name: str, expected: Shape, value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, list):
        raise serialization_error(f"Unrecognized collection type class {_PACKAGE}{name}")
    if not isinstance(value, dict):
        raise serialization_error(_WRONG_SCALAR[place])
    members = expected.members
    return {
        member: _read(members[member], content, "field")
        for member, content in value.items()
        if content is not None and member in members
    }


def _list(name: str, expected: Shape, value: Any, place: Place) -> list[Any]:  # noqa: ARG001
    if isinstance(value, dict):
        raise serialization_error(_NOT_EXPECTED)
    if not isinstance(value, list):
        raise serialization_error(_WRONG_SCALAR["nested" if place != "field" else "field"])
    if expected.max is not None and len(value) > max(expected.max, _ENOUGH):
        value = value[: max(expected.max, _ENOUGH) + 1]
    return [_read(expected.member, content, "element") for content in value if content is not None]


def _map(name: str, expected: Shape, value: Any, place: Place) -> dict[str, Any]:  # noqa: ARG001
    if isinstance(value, list):
        of = _java_type(expected.value)
        raise serialization_error(f"Unrecognized collection type java.util.Map<java.lang.String, {of}>")
    if not isinstance(value, dict):
        raise serialization_error(_WRONG_SCALAR["nested" if place != "field" else "field"])
    return {
        key: _read(expected.value, content, "element") for key, content in value.items() if content is not None
    }


def _string(name: str, expected: Shape, value: Any, place: Place) -> str:  # noqa: ARG001
    if isinstance(value, str):
        return value
    raise _not_convertible(value, "String")


def _boolean(name: str, expected: Shape, value: Any, place: Place) -> bool:  # noqa: ARG001
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return _BOOLEAN_TEXTS[value.upper()]
        except KeyError:
            raise serialization_error("Unexpected token received from parser") from None
    raise _not_convertible(value, "Boolean")


def _number(name: str, expected: Shape, value: Any, place: Place) -> int | float:  # noqa: ARG001
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _not_convertible(value, _JAVA_SCALARS[expected.type])
    return math.floor(value) if expected.type in ("integer", "long") else float(value)


def _blob(name: str, expected: Shape, value: Any, place: Place) -> str:  # noqa: ARG001
    if isinstance(value, list):
        raise serialization_error("Unrecognized collection type class java.nio.ByteBuffer")
    if isinstance(value, dict):
        raise serialization_error(_NOT_EXPECTED)
    if not isinstance(value, str):
        raise serialization_error("only base-64-encoded strings are convertible to bytes")
    problem = base64_problem(value)
    if problem is not None:
        raise serialization_error(problem)
    return value


def _not_convertible(value: Any, wanted: str) -> Exception:
    if isinstance(value, list):
        return serialization_error(f"Unrecognized collection type class java.lang.{wanted}")
    if isinstance(value, dict):
        return serialization_error(_NOT_EXPECTED)
    return serialization_error(f"{_token(value)} cannot be converted to {wanted}")


def _token(value: Any) -> str:
    """The name of the JSON token, as the service's parser calls it."""
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    return "NUMBER_VALUE" if isinstance(value, int) else "DECIMAL_VALUE"


def _java_type(name: str) -> str:
    expected = shape(name)
    if expected.type == "structure":
        return _PACKAGE + name
    if expected.type == "list":
        return f"java.util.List<{_java_type(expected.member)}>"
    return f"java.lang.{_JAVA_SCALARS.get(expected.type, 'Object')}"


_READERS: dict[str, Callable[[str, Shape, Any, Place], Any]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "blob": _blob,
    "boolean": _boolean,
    "integer": _number,
    "long": _number,
    "double": _number,
    "timestamp": _number,
}
