"""A change of an item as the record that DynamoDB puts into a Kinesis data stream.

    {"awsRegion":"us-east-1","eventID":"9f86d081-…","eventName":"MODIFY","userIdentity":null,
     "recordFormat":"application/json","tableName":"results",
     "dynamodb":{"ApproximateCreationDateTime":1795910400123,"Keys":{"id":{"S":"a"}},"NewImage":{…},"OldImage":{…},
                 "SizeBytes":26},
     "eventSource":"aws:dynamodb"}

Both images are always there, whatever the table's own stream shows. Sources: records of AWS kept in LocalStack's
tests (test_dynamodb_streams.snapshot.json, test_enable_kinesis_streaming_destination; 2024-01) and in those of
commons-codec (test_dynamodb_cdc.py; 2024-07: times in microseconds say so in the record).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from blotter.database.model.size import item_size
from blotter.database.operations.streams.kinesis_destinations import Destination
from blotter.database.operations.streams.records import EVENTS
from blotter.database.storage.protocol import Change

LARGEST_RECORD: Final = 1 << 20
"""Bytes of a record with its partition key: what every stream takes.
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html"""

# As Lambda shows it to readers of streams; DynamoDB Streams itself writes the names with capitals.
_SERVICE: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


class Record(NamedTuple):
    """`partition_key` is the same for all changes of one item, and another for another item."""

    sequence: int
    partition_key: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + len(self.partition_key)


def kinesis_record(destination: Destination, change: Change) -> Record:
    """The record of a change of an item. One that would be too large for Kinesis goes without its old image, and
    if that is not enough without the new one: its keys say which item to read."""
    partition_key = blake2b(change.key, digest_size=16).hexdigest().upper()
    data = _encoded(destination, change, change.old, change.new)
    if len(data) + len(partition_key) > LARGEST_RECORD:
        data = _encoded(destination, change, None, change.new)
    if len(data) + len(partition_key) > LARGEST_RECORD:
        data = _encoded(destination, change, None, None)
    return Record(change.sequence, partition_key, data)


def _encoded(destination: Destination, change: Change, old: bytes | None, new: bytes | None) -> bytes:
    image = orjson.loads(change.new if change.new is not None else change.old or b"{}")
    keys = {name: image[name] for name in destination.keys.names}
    size = item_size(keys)
    microseconds = destination.precision == "MICROSECOND"
    dynamodb: dict[str, Any] = {
        "ApproximateCreationDateTime": int(change.time * (1_000_000 if microseconds else 1000)),
        "Keys": keys,
    }
    for name, body in (("NewImage", new), ("OldImage", old)):
        if body is not None:
            size += item_size(orjson.loads(body))
            dynamodb[name] = orjson.Fragment(body)
    dynamodb["SizeBytes"] = size
    if microseconds:
        dynamodb["ApproximateCreationDateTimePrecision"] = "MICROSECOND"
    return orjson.dumps(
        {
            "awsRegion": destination.region,
            "eventID": _event_id(change),
            "eventName": EVENTS[change.old is not None, change.new is not None],
            "userIdentity": _SERVICE if change.origin == "ttl" else None,
            "recordFormat": "application/json",
            "tableName": destination.table_name,
            "dynamodb": dynamodb,
            "eventSource": "aws:dynamodb",
        }
    )


def _event_id(change: Change) -> str:
    """The same each time the record is sent, so that consumers can drop what they got twice."""
    digest = blake2b(f"kinesis/{change.table_id}/{change.sequence}".encode(), digest_size=16).digest()
    return str(UUID(bytes=digest, version=4))
