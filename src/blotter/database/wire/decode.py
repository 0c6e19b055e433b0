"""From the bytes of a body to the typed input of an operation.

Two speeds: msgspec decodes the well-formed request in about a microsecond and refuses everything else; what it
refuses is read again by the exact way (`deserialize`, then `constraints`), which finds AWS's message. A request
that the exact way accepts after all (the service converts "true" to a Boolean, ignores nulls) is decoded from
what it made of it. So no request pays for the exactness of errors unless it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import orjson

from blotter.database.model.errors import nesting_error, serialization_error
from blotter.database.wire.constraints import check_constraints
from blotter.database.wire.deserialize import deserialize
from blotter.database.wire.layers import layer_of
from blotter.database.wire.requests import INPUTS
from blotter.database.wire.strict import check_strictly
from blotter.database.wire.substitution import MAX_BYTES, check_substitution_variables

OPERATIONS: Final = frozenset(INPUTS)
"""The operations of DynamoDB and DynamoDB Streams that the service model knows."""


_DECODE: Final[dict[str, Callable[[bytes], Any]]] = {}
"""The fast decoders by operation, each made on its first use (about 0.3 ms)."""


def _make_decode(operation: str) -> Callable[[bytes], Any]:
    decode = _DECODE[operation] = msgspec.json.Decoder(INPUTS[operation]).decode
    return decode


NOT_DECODED: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What the quick way raises for what it refuses."""


def decode_quickly(operation: str, body: bytes) -> Any:
    """The quick way of `decode_request` alone. Raises NOT_DECODED."""
    return (_DECODE.get(operation) or _make_decode(operation))(body)


def decode_request(operation: str, body: bytes) -> Any:
    """The `<operation>Input` that the body holds.

    Raises SerializationException for a body that is no JSON object of the right types, ValidationException for one
    that violates the service model.
    """
    try:
        request = (_DECODE.get(operation) or _make_decode(operation))(body)
    except NOT_DECODED:
        request = decode_exactly(operation, body)
    if len(body) > MAX_BYTES:
        check_substitution_variables(request)
    return request


def decode_exactly(operation: str, body: bytes) -> Any:
    """The slow way of `decode_request`: same result, AWS's message for what is wrong."""
    name = f"{operation}Input"
    parsed = _parse(body)
    check_strictly(operation, body)
    try:
        value = deserialize(name, parsed)
    except RecursionError:
        raise nesting_error() from None
    check_constraints(name, value, layer_of(operation, body))
    try:
        return msgspec.convert(value, INPUTS[operation])
    except msgspec.ValidationError as error:
        # Only a constraint that this module's two halves see differently could lead here.
        raise serialization_error(str(error)) from error


def _parse(body: bytes) -> Any:
    try:
        # orjson stops at 1,024 levels, fourteen times what an item needs; deeper bodies are refused whole.
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise nesting_error() from None
        # The service answers with the bare type.
        raise serialization_error("") from None
