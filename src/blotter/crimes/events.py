"""Object-created events in S3's JSON, and the local queue that carries them where there is no S3.

The same event text reaches the handler on AWS Lambda and here. Keys in events are URL-encoded with "+" for a
space, as S3 writes them. The queue is a folder with one file per event, named after the time before which it
must not be taken: an event is written, synced and renamed into place, deferred by a rename, and removed only
after it was handled. Delivery is at least once; doing the work once is the business of the lease in the item.
Source of the shape: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from blotter.crimes.clock import now_text
from blotter.crimes.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """What the handler takes from one record: where the object is. What it is now, the store says."""

    bucket: str
    key: str


class BadEvent(ValueError):
    """The event is not S3's JSON."""


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


def parse_event(event: Mapping[str, Any]) -> list[ObjectCreated]:
    """The objects that an event says were created; other S3 events (removal, S3's test event) give none.

    Raises BadEvent.
    """
    if event.get("Event") == "s3:TestEvent":
        return []
    records = event.get("Records")
    if not isinstance(records, list):
        raise BadEvent("the event has no Records")
    try:
        created = [
            ObjectCreated(record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"]))
            for record in records
            if record.get("eventName", "").startswith("ObjectCreated:")
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadEvent(f"a record of the event is not S3's: {error!r}") from error
    if not all(one.key for one in created):
        raise BadEvent("a record of the event names no key")
    return created


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event that is due. `deliveries` counts how often it was put back."""

    path: Path
    event: dict[str, Any]
    deliveries: int


class LocalQueue:
    """Events in a folder. File names are `<not before, ns>-<deliveries>-<random>.json`."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)

    def send(self, event: Mapping[str, Any]) -> None:
        """Durable when it returns."""
        path = self._folder / _name(time.time(), 0)
        draft = path.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(event, file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)

    def due(self) -> Iterator[QueuedEvent]:
        """The events whose time has come, oldest first. A file that is no JSON is removed."""
        now = time.time_ns()
        for path in sorted(self._folder.glob("[0-9]*-[0-9]*-*.json")):
            not_before, deliveries, _ = path.stem.split("-", 2)
            if int(not_before) > now:
                return
            try:
                event = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue  # another worker was faster
            except ValueError:
                path.unlink(missing_ok=True)
                continue
            yield QueuedEvent(path, event, int(deliveries))

    def done(self, queued: QueuedEvent) -> None:
        queued.path.unlink(missing_ok=True)

    def defer(self, queued: QueuedEvent, until: float) -> None:
        """Puts an event back; it is due again at `until` (seconds since the epoch)."""
        try:
            queued.path.rename(self._folder / _name(until, queued.deliveries + 1))
        except FileNotFoundError:
            return  # another worker finished it


def _name(not_before: float, deliveries: int) -> str:
    return f"{int(not_before * 1e9):020d}-{deliveries}-{secrets.token_hex(4)}.json"
