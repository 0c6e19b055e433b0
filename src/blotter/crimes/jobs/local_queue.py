"""The local queue that carries events where there is no S3: a folder with one file for each event.

A file is named after the time before which it must not be taken: an event is written, synced and renamed into
place, deferred by a rename, and removed only after it was handled. Delivery is at least once; doing the work once
is the business of the lease in the item. Several workers share a folder: each takes the oldest event that no other
holds, by a lock on its file that ends with the process. A file that cannot be read as an event is set aside in
`rejected`, where a person can look at it, and never stops the others.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blotter.crimes.storage.private_files import private_folder

REJECTED = "rejected"
_LARGEST = 1024 * 1024  # S3's events have a few kilobytes, SQS's at most 1 MiB

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event that is due: any JSON. `deliveries` counts how often it was put back."""

    path: Path
    event: Any
    deliveries: int


class LocalQueue:
    """Events in a folder. File names are `<not before, ns>-<deliveries>-<random>.json`."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = private_folder(Path(folder).absolute())

    def send(self, event: Mapping[str, Any]) -> None:
        """Durable when it returns. Raises OSError when the disk is full, and leaves nothing then."""
        path = self._folder / _name(time.time(), 0)
        draft = path.with_suffix(".draft")
        try:
            with draft.open("w", encoding="utf-8") as file:
                json.dump(event, file)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def due(self) -> Iterator[QueuedEvent]:
        """The events whose time has come and that no other worker holds, the oldest first.

        An event is held while the iteration stands at it. What cannot be read is set aside and logged.
        """
        now = time.time_ns()
        for path in sorted(self._folder.glob("*.json")):
            name = _parse_name(path.stem)
            if name is None:
                self._set_aside(path, "its name is not one of the queue's")
                continue
            not_before, deliveries = name
            if not_before > now:
                continue
            descriptor = self._hold(path)
            if descriptor is None:
                continue
            try:
                event = self._read(path, descriptor)
                if event is not None:
                    yield QueuedEvent(path, event, deliveries)
            finally:
                os.close(descriptor)

    def done(self, queued: QueuedEvent) -> None:
        queued.path.unlink(missing_ok=True)

    def defer(self, queued: QueuedEvent, until: float) -> None:
        """Puts an event back; it is due again at `until` (seconds since the epoch)."""
        with suppress(FileNotFoundError):  # another worker finished it
            queued.path.rename(self._folder / _name(until, queued.deliveries + 1))

    def reject(self, queued: QueuedEvent, reason: str) -> None:
        """Sets an event aside that cannot be handled, now or later."""
        self._set_aside(queued.path, reason)

    def discard_drafts(self, older_than: float) -> int:
        """Removes what processes left that were killed while they sent an event; `older_than` in seconds."""
        removed = 0
        for path in self._folder.glob("*.draft"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime >= older_than:
                    path.unlink()
                    removed += 1
        return removed

    def _hold(self, path: Path) -> int | None:
        """An open descriptor with the lock of an event, None when another worker has it or finished it."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._set_aside(path, f"it cannot be opened: {error.strerror}")
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # a worker may have finished it between the listing and the lock
                return descriptor
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                return descriptor  # a file system without locks: the lease in the item is enough
        os.close(descriptor)
        return None

    def _read(self, path: Path, descriptor: int) -> Any:
        try:
            text = os.read(descriptor, _LARGEST + 1)
            if len(text) > _LARGEST:
                raise ValueError(f"it has more than {_LARGEST:,} bytes")
            event = json.loads(text)
            if event is None:
                raise ValueError("null is no event")
            return event
        except (OSError, ValueError, RecursionError) as error:
            self._set_aside(path, f"not understood: no event in JSON: {type(error).__name__}")
            return None

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self._folder / REJECTED / path.name
        try:
            private_folder(target.parent)
            path.rename(target)
        except FileNotFoundError:
            return  # another worker was faster
        except OSError as error:
            _log.error("queue file %r cannot be used (%s) nor set aside: %s", path.name, reason, error.strerror)
            return
        _log.error("queue file %r is set aside in %s: %s", path.name, REJECTED, reason)


def _name(not_before: float, deliveries: int) -> str:
    return f"{int(not_before * 1e9):020d}-{deliveries}-{secrets.token_hex(4)}.json"


def _parse_name(stem: str) -> tuple[int, int] | None:
    """Nanoseconds and deliveries of a file's name, None when it is not one that `_name` makes."""
    parts = stem.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])
