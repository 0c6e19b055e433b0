"""From an error to the bytes of its body.

The body is JSON: `__type`, the message and further members. The service's framework spells the member "Message",
DynamoDB itself "message", and a canceled transaction "Message" again; an error without a text has no message at
all. The bodies of answers are made in `operations.answers`, the checksum over both in `http.writer`.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html and
recorded answers (dynalite's tests; conformance suite nubo-db/dynamodb-conformance).
"""

from __future__ import annotations

from typing import Any

import orjson

from blotter.database.model.errors import DynamoDBError

MAX_MESSAGE = 32 * 1024
"""Characters of a message; it may quote what was sent, which may be 16 MB."""

# Errors whose body spells the member with a capital.
_CAPITAL_MESSAGE = frozenset(("AccessDeniedException", "SerializationException", "TransactionCanceledException"))


def encode_error(error: DynamoDBError) -> bytes:
    """An error's body."""
    body: dict[str, Any] = {"__type": error.type}
    if error.members:
        body.update(error.members)
    if error.message:
        message = error.message if len(error.message) <= MAX_MESSAGE else f"{error.message[:MAX_MESSAGE]}..."
        body["Message" if error.code in _CAPITAL_MESSAGE else "message"] = message
    return orjson.dumps(body)
