"""A change of the change log as a stream record, in the view its stream was enabled with.

Images are copied from the log as bytes; they are decoded only to find keys and sizes. A record of a TTL deletion:

    {"eventID":"9f…","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1",
     "dynamodb":{"ApproximateCreationDateTime":1795910400,"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"a"}},
     "SequenceNumber":"100000000000000000042","SizeBytes":6,"StreamViewType":"OLD_IMAGE"},
     "userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}}

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html. That SizeBytes is
the keys and the images shown, is from records of AWS kept in LocalStack's tests (test_dynamodb_streams).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from blotter.database.model.size import item_size
from blotter.database.model.streams import sequence_number
from blotter.database.operations.streams.registry import Stream
from blotter.database.storage.protocol import Change

EVENT_VERSION = "1.1"

# The identity in records of items that time to live deleted.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
_SERVICE = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}

# View → (shows the new image, shows the old image).
_VIEWS = {
    "KEYS_ONLY": (False, False),
    "NEW_IMAGE": (True, False),
    "OLD_IMAGE": (False, True),
    "NEW_AND_OLD_IMAGES": (True, True),
}
# (there is an old image, there is a new image) → what happened.
EVENTS = {(False, True): "INSERT", (True, True): "MODIFY", (True, False): "REMOVE"}


class StreamRecord(NamedTuple):
    body: bytes
    size: int


def stream_record(stream: Stream, change: Change) -> StreamRecord:
    shows_new, shows_old = _VIEWS[stream.settings.view_type]
    image = orjson.loads(change.new if change.new is not None else change.old or b"{}")
    keys = {name: image[name] for name in stream.keys.names}
    size = item_size(keys)
    dynamodb: dict[str, Any] = {"ApproximateCreationDateTime": int(change.time), "Keys": keys}
    for shows, name, body in ((shows_new, "NewImage", change.new), (shows_old, "OldImage", change.old)):
        if shows and body is not None:
            size += item_size(orjson.loads(body))
            dynamodb[name] = orjson.Fragment(body)
    dynamodb["SequenceNumber"] = sequence_number(change.sequence)
    dynamodb["SizeBytes"] = size
    dynamodb["StreamViewType"] = stream.settings.view_type
    record = {
        "eventID": _event_id(change),
        "eventName": EVENTS[change.old is not None, change.new is not None],
        "eventVersion": EVENT_VERSION,
        "eventSource": "aws:dynamodb",
        "awsRegion": stream.region,
        "dynamodb": dynamodb,
    }
    if change.origin == "ttl":
        record["userIdentity"] = _SERVICE
    return StreamRecord(orjson.dumps(record), size)


def _event_id(change: Change) -> str:
    """32 hexadecimal digits, the same each time the record is read."""
    return blake2b(f"{change.table_id}/{change.sequence}".encode(), digest_size=16).hexdigest()
