"""Shard iterators: a position in a shard as opaque text, `<stream's ARN>|1|<base64>`.

AWS's begin with the ARN too, which lets policies name the stream that is read. The text holds everything; nothing
is stored. It is not signed: a forged one gives no more access than GetShardIterator does. The base64 part holds,
as big-endian ">QQdd": shard number, position, since, creation time.
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from typing import Final, NamedTuple

from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import validation_error

LIFETIME: Final = 15 * 60.0
EXACTLY: Final = 0.0
FROM_HORIZON: Final = -1.0

_PACKED = struct.Struct(">QQdd")


class StreamName(NamedTuple):
    account: str
    region: str
    table: str
    label: str


class ShardIterator(NamedTuple):
    arn: str
    shard: int
    """The shard's number in the change log."""
    position: int
    """The sequence after which to read on."""
    since: float
    """EXACTLY: a record after the position that is trimmed is an error. FROM_HORIZON: what is trimmed is passed
    over. Otherwise what is older than this time is passed over, in seconds since the epoch."""
    created_at: float

    def encode(self) -> str:
        packed = _PACKED.pack(self.shard, self.position, self.since, self.created_at)
        return f"{self.arn}|1|{b64encode(packed).decode()}"


def parse_stream_arn(text: str) -> StreamName:
    """Raises ValidationException for a text that is no stream's ARN."""
    arn = parse_arn(text)
    if arn is None or arn.stream is None:
        raise validation_error("Invalid StreamArn")
    return StreamName(arn.account, arn.region, arn.table, arn.stream)


def parse_iterator(text: str) -> ShardIterator:
    arn, _, rest = text.partition("|1|")
    try:
        shard, position, since, created_at = _PACKED.unpack(b64decode(rest, validate=True))
    except (ValueError, struct.error):
        raise validation_error("Invalid ShardIterator") from None
    parts = parse_arn(arn)
    if parts is None or parts.stream is None:
        raise validation_error("Invalid ShardIterator")
    return ShardIterator(arn, shard, position, since, created_at)
