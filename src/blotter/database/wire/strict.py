"""The deserializer of operations that read their body strictly: null is no value, and a fraction no integer.

SearchVectors is the first such operation. Its messages are those of serde_json, the JSON library of Rust, and name
the place where it stopped reading: after a scalar, before a list or object, after the closing brace when a member
is missing. Members are read in the order of the body; the first wrong one is reported, before any constraint.
Source: paritysuite/dynamodb-conformance, tests/tier3/error-messages/searchVectors.test.ts (us-east-1 and
eu-west-2, 2026-10-09), which records nulls, a fraction and a missing TableName, but no column; columns and other
types are as serde_json makes them.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from blotter.database.model.errors import DynamoDBError, serialization_error, validation_error


class _Member(NamedTuple):
    expected: str
    required: bool = False


_LEAST_INTEGER: Final = -(1 << 31)
_GREATEST_INTEGER: Final = (1 << 31) - 1

_STRICT: Final = {
    "SearchVectors": {
        "TableName": _Member("a string", required=True),
        "IndexName": _Member("a string", required=True),
        "SearchVector": _Member("a sequence", required=True),
        "TopK": _Member("i32", required=True),
        "ReturnConsumedCapacity": _Member("a string"),
        "ExpressionAttributeNames": _Member("a map"),
        "ExpressionAttributeValues": _Member("a map"),
        "ProjectionExpression": _Member("a string"),
        "SearchConditionExpression": _Member("a string"),
    }
}

_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SPACE: Final = rb"[ \t\r\n]*+"
_NAME: Final = re.compile(_SPACE + rb",?" + _SPACE + rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")' + _SPACE + rb":" + _SPACE)
_CLOSING: Final = re.compile(_SPACE + rb"}")
_SHOWN: Final = 256
"""Characters of a text in a message."""


def check_strictly(operation: str, body: bytes) -> None:
    """Raises SerializationException for a member of the wrong type, ValidationException for a missing one. `body`
    is well-formed JSON; one that is no object is left to others."""
    members = _STRICT.get(operation)
    if members is None:
        return
    try:
        values = _read_members(body)
    except msgspec.MsgspecError:
        return
    place = body.index(b"{") + 1
    for name, raw in values.items():
        found = _NAME.match(body, place)
        if found is None or orjson.loads(found[1]) != name:
            return  # a member that is given twice: which of them counts is not recorded
        member, content = members.get(name), memoryview(raw)
        place, first = found.end() + len(content), bytes(content[:1])
        problem = None if member is None else _problem(member, first, raw)
        if problem is not None:
            stopped = found.end() if first in (b"{", b"[") else place
            raise serialization_error(problem + _position(body, stopped))
    closing = _CLOSING.match(body, place)
    if closing is not None:
        for name, member in members.items():
            if member.required and name not in values:
                raise _missing(name, _position(body, closing.end()))


def _problem(member: _Member, first: bytes, raw: msgspec.Raw) -> str | None:
    """What is wrong with a value, as serde_json says it; None if nothing is."""
    if first == b"{":
        return None if member.expected == "a map" else f"invalid type: map, expected {member.expected}"
    if first == b"[":
        return None if member.expected == "a sequence" else f"invalid type: sequence, expected {member.expected}"
    value: Any = msgspec.json.decode(raw)
    if value is None:
        return f"invalid type: null, expected {member.expected}" if member.required else None
    if isinstance(value, str):
        if member.expected == "a string":
            return None
        shown = orjson.dumps(value[:_SHOWN]).decode()
        return f"invalid type: string {shown}, expected {member.expected}"
    if isinstance(value, bool):
        return f"invalid type: boolean `{'true' if value else 'false'}`, expected {member.expected}"
    if isinstance(value, float):
        return f"invalid type: floating point `{value}`, expected {member.expected}"
    if member.expected != "i32":
        return f"invalid type: integer `{value}`, expected {member.expected}"
    if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
        return f"invalid value: integer `{value}`, expected i32"
    return None


def _position(body: bytes, place: int) -> str:
    before = body[:place].split(b"\n")
    return f" at line {len(before)} column {len(before[-1])}"


def _missing(name: str, position: str) -> DynamoDBError:
    return validation_error(f"missing field `{name}`{position}")
