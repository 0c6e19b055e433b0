"""From answers and errors to the bytes of a body, and their checksum.

A body is JSON; an error's body is its `__type`, its message and further members. The service's framework spells
the member "Message", DynamoDB itself "message", and a cancelled transaction "Message" again; an error without
words has no message at all. `x-amz-crc32` is the CRC32 of the body, which the SDKs check.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html and
recorded answers (dynalite's tests; conformance suite nubo-db/dynamodb-conformance).
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson

from blotter.database.model.errors import DynamoDBError

# Errors whose body spells the member with a capital.
_CAPITAL_MESSAGE = frozenset(("AccessDeniedException", "SerializationException", "TransactionCanceledException"))


def encode_answer(answer: dict[str, Any]) -> bytes:
    """An answer's body. Members that are None are the caller's to leave out."""
    return orjson.dumps(answer)


def encode_error(error: DynamoDBError) -> bytes:
    """An error's body."""
    body: dict[str, Any] = {"__type": error.type}
    if error.members:
        body.update(error.members)
    if error.message:
        body["Message" if error.code in _CAPITAL_MESSAGE else "message"] = error.message
    return orjson.dumps(body)


def crc32_header(body: bytes) -> str:
    """The value of `x-amz-crc32`."""
    return str(crc32(body))
