"""Which operation a request names: the `X-Amz-Target` header, "<API version>.<operation>".

AWS looks at the body's JSON before it looks at the target: a body that is no JSON gets SerializationException
even when the target is unknown (recorded in dynalite's tests, connection). Only the refused request pays for that.
"""

from __future__ import annotations

import orjson

from blotter.database.model.errors import DynamoDBError, serialization_error
from blotter.database.wire.decode import OPERATIONS

_STREAMS = frozenset({"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"})

_TARGETS = {
    f"{'DynamoDBStreams_20120810' if name in _STREAMS else 'DynamoDB_20120810'}.{name}": name
    for name in OPERATIONS
}


def find_target(header: str | None) -> str | None:
    """The operation's name, if there is such an operation."""
    return _TARGETS.get(header or "")


def parse_target(header: str | None, body: bytes) -> str:
    """The operation's name. Raises UnknownOperationException."""
    name = _TARGETS.get(header or "")
    if name is None:
        raise parse_error(body)
    return name


def parse_error(body: bytes) -> DynamoDBError:
    """The error of a request that names no operation."""
    try:
        orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return serialization_error("")
    return DynamoDBError("UnknownOperationException", "")
