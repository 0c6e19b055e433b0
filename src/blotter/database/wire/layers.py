"""Which of DynamoDB's validation layers checks an operation, and what a refusal says in it: the one place.

Since June 2026 AWS moves its operations to a new validation layer, one by one and region by region. Blotter
answers as us-east-1 did in October 2026:

- NEWER checks the writes of one item. Whatever it refuses without the table is one error in an envelope,
  `1 validation error detected: …`.
- CURRENT checks GetItem, BatchGetItem and Query: the same wording, bare.
- OLDER checks all else (Scan, BatchWriteItem, transactions, PartiQL), and the requests of every operation that are
  nested more deeply than the new layer reads.

A check raises one error whatever the operation is; an error that the layers word differently carries both wordings
(`model.errors.DynamoDBError.current`), and `worded` picks one. Nothing here runs for a request that is right.
Source: paritysuite/dynamodb-conformance, tests/tier3/error-messages/valueLayers.test.ts, putItem.test.ts and
deleteItem.test.ts, tests/tier3/validation-ordering/deepRequests.test.ts, recorded in October 2026.
"""

from __future__ import annotations

import re
from enum import Enum

from blotter.database.model.errors import DynamoDBError, validation_error

ENVELOPE = "1 validation error detected: "


class Layer(Enum):
    NEWER = "newer"
    CURRENT = "current"
    OLDER = "older"


_LAYERS = {
    "PutItem": Layer.NEWER,
    "UpdateItem": Layer.NEWER,
    "DeleteItem": Layer.NEWER,
    "GetItem": Layer.CURRENT,
    "BatchGetItem": Layer.CURRENT,
    "Query": Layer.CURRENT,
}

MAX_LEVELS = 127
"""Levels of JSON that the new layer reads. Recorded is only that an attribute value of 61 maps, which makes 125
levels of JSON, is within, and one of 63 maps, which makes 129, is not."""

# Possessive: otherwise re keeps state for each repetition, a gigabyte for a text of 8 MB.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# A part of a body with a thousand texts: a body may hold millions, and each piece between two is an object.
_PART = re.compile(rb'(?:[^"]*+"[^"\\]*+(?:\\.[^"\\]*+)*+"){1,1000}+', re.DOTALL)
_BRACKETS = bytes.maketrans(b"[]", b"{}")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def layer_of(operation: str, body: bytes) -> Layer:
    """The layer that checks a request of the operation. `body` is the request's JSON."""
    layer = _LAYERS.get(operation, Layer.OLDER)
    return Layer.OLDER if layer is not Layer.OLDER and _is_deeper(body, MAX_LEVELS) else layer


def worded(error: DynamoDBError, layer: Layer) -> DynamoDBError:
    """The error as the layer words it. `error` was raised by a check that does not look at the table."""
    if error.code != "ValidationException" or layer is Layer.OLDER:
        return error
    message = error.message if error.current is None else error.current
    return validation_error(f"{ENVELOPE}{message}" if layer is Layer.NEWER else message)


def _is_deeper(body: bytes, levels: int) -> bool:
    """Whether JSON is nested more deeply: takes away its innermost brackets, level by level."""
    if body.count(b"{") + body.count(b"[") <= levels:
        return False
    parts, position = bytearray(), 0
    while position < len(body):
        found = _PART.match(body, position)
        end = len(body) if found is None else found.end()
        parts += _TEXT.sub(b"", body[position:end]).translate(_BRACKETS, _NOT_BRACKETS)
        position = end
    brackets = bytes(parts)
    for _ in range(levels):
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return False
    return True
