"""Object-created events: S3's JSON, and the envelopes and spellings in which others send it.

Understood are S3's own records, MinIO's (`s3:ObjectCreated:Put`), records inside the messages of SQS and SNS, one
in the other too, and EventBridge's `Object Created`. Keys in S3's records are URL-encoded with "+" for a space,
those of EventBridge are not. An event of S3 that is about no creation is left out; what is not understood
is reported, and never counted as handled. Each record is parsed alone: an odd one hides no others.
Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html,
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html,
https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html,
https://min.io/docs/minio/linux/administration/monitoring/bucket-notifications.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote_to_bytes

from blotter.crimes.clock import now_text
from blotter.crimes.storage.objects import ObjectInfo

_DEEPEST = 4  # SQS around SNS around S3 is 2
_LONGEST_SHOWN = 200
# S3's other kinds of events, which are about no new object.
_OTHER_EVENTS = (
    "ObjectRemoved:",
    "ObjectRestore:",
    "ObjectTagging:",
    "ObjectAcl:",
    "ObjectAccessed:",
    "ObjectTransition:",
    "ReducedRedundancyLostObject",
    "Replication:",
    "LifecycleExpiration:",
    "LifecycleTransition",
    "IntelligentTiering",
    "TestEvent",
)


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """What the handler takes from one record: where the object is. What it is now is read from the store."""

    bucket: str
    key: str


@dataclass(slots=True)
class ParsedEvent:
    """The contents of an event: the objects that were created, and descriptions of what was not understood."""

    created: list[ObjectCreated] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class BadEvent(ValueError):
    """An event, or a part of it, was not understood; what was understood of it has been handled."""


def object_created_event(bucket: str, info: ObjectInfo) -> dict[str, Any]:
    """The event S3 sends when an object was created."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventTime": now_text(),
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {
                        "key": quote_plus(info.key, safe="/"),
                        "size": info.size,
                        "eTag": info.etag.strip('"'),
                        **({"versionId": info.version_id} if info.version_id else {}),
                        "sequencer": f"{time.time_ns():016X}",
                    },
                },
            }
        ]
    }


def parse_event(event: object) -> ParsedEvent:
    """Reads an event of any shape. Never raises."""
    parsed = ParsedEvent()
    _read(event, parsed, _DEEPEST)
    return parsed


def _read(event: object, parsed: ParsedEvent, depth: int) -> None:
    """An event or an envelope; `depth` is how many more envelopes may be opened."""
    if not isinstance(event, Mapping):
        parsed.problems.append(f"an event is a JSON object, not {_shown(event)}")
    elif event.get("Event") == "s3:TestEvent":
        return
    elif "detail-type" in event:
        _read_event_bridge(event, parsed)
    elif event.get("Type") == "Notification" and "Message" in event:
        _open(event["Message"], parsed, depth)
    elif isinstance(records := event.get("Records"), list):
        for record in records:
            _read_record(record, parsed, depth)
    else:
        parsed.problems.append(f"the event has no Records and is none of EventBridge: {_shown(event)}")


def _read_record(record: object, parsed: ParsedEvent, depth: int) -> None:
    if not isinstance(record, Mapping):
        parsed.problems.append(f"a record is a JSON object, not {_shown(record)}")
    elif "s3" in record or "eventName" in record:
        _read_s3(record, parsed)
    elif "body" in record:  # SQS
        _open(record["body"], parsed, depth)
    elif isinstance(notification := record.get("Sns"), Mapping) and "Message" in notification:
        _open(notification["Message"], parsed, depth)
    else:
        parsed.problems.append(f"a record is neither of S3, SQS nor SNS: {_shown(record)}")


def _open(message: object, parsed: ParsedEvent, depth: int) -> None:
    """The event inside an envelope's text."""
    if depth == 0:
        parsed.problems.append("the event lies in too many envelopes")
        return
    try:
        inner = json.loads(message) if isinstance(message, str) else message
    except (ValueError, RecursionError):
        parsed.problems.append(f"a message is no JSON: {_shown(message)}")
        return
    _read(inner, parsed, depth - 1)


def _read_s3(record: Mapping[str, Any], parsed: ParsedEvent) -> None:
    name = record.get("eventName")
    plain = name.removeprefix("s3:") if isinstance(name, str) else ""
    if plain.startswith(_OTHER_EVENTS):
        return
    if not plain.startswith("ObjectCreated"):
        parsed.problems.append(f"a record's eventName is not known: {_shown(name)}")
        return
    try:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        decoded = unquote_to_bytes(key.replace("+", " ")).decode()
    except (KeyError, TypeError, AttributeError, UnicodeError):
        parsed.problems.append(f"a record names no bucket and key: {_shown(record.get('s3'))}")
        return
    _take(bucket, decoded, parsed)


def _read_event_bridge(event: Mapping[str, Any], parsed: ParsedEvent) -> None:
    kind = event["detail-type"]
    if event.get("source") != "aws.s3":
        parsed.problems.append(f"EventBridge's event is not S3's but of {_shown(event.get('source'))}")
        return
    if kind != "Object Created":
        if not (isinstance(kind, str) and kind.startswith("Object ")):
            parsed.problems.append(f"EventBridge's detail-type is not known: {_shown(kind)}")
        return
    try:
        bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    except (KeyError, TypeError):
        parsed.problems.append(f"EventBridge's event names no bucket and key: {_shown(event.get('detail'))}")
        return
    _take(bucket, key, parsed)


def _take(bucket: object, key: object, parsed: ParsedEvent) -> None:
    if isinstance(bucket, str) and isinstance(key, str) and key:
        parsed.created.append(ObjectCreated(bucket, key))
    else:
        parsed.problems.append(f"a record names no bucket and key: {_shown([bucket, key])}")


def _shown(value: object) -> str:
    """A part of an event for a log: one printable line, short."""
    text = repr(value)[: _LONGEST_SHOWN + 1]
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
