"""The intake: stores an uploaded file so that every later step can be repeated.

In this order: the object is stored under a key of its own, the item becomes UPLOADED, the event is sent. A crash
between two steps loses nothing: the sweeper finds an object without an item, and an UPLOADED item that no worker
has claimed. A name that a user gives is only ever the last segment of a key: folders in it are cut off, so is what
could harm a file system. The name as given stays readable in the item.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from blotter.crimes.jobs.events import object_created_event
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.storage.objects import Draft, InvalidKey, ObjectNotFound, ObjectStore
from blotter.crimes.storage.results import ResultsTable

UPLOADS = "uploads/"
PREDICTIONS_SUFFIX = ".predictions.csv"
_NAME_BYTES = 200  # with the suffix of the predictions file it stays below a file system's 255
_BLOCK = 1024 * 1024
# Characters that reverse text, break lines or are invisible: a name must look like what it is.
_HIDDEN = re.compile("[\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

_log = logging.getLogger(__name__)


class UploadTooLarge(Exception):
    """The upload has more bytes than the configuration allows; nothing was stored."""


class Intake:
    """Accepts uploads. `queue` is None where the store itself sends the events (S3)."""

    def __init__(
        self, objects: ObjectStore, results: ResultsTable, queue: LocalQueue | None, max_bytes: int
    ) -> None:
        self._objects = objects
        self._results = results
        self._queue = queue
        self._max_bytes = max_bytes

    def accept(self, file_name: str, chunks: Iterable[bytes]) -> str:
        """Stores a file and starts its work; returns its `file_key`. Raises UploadTooLarge."""
        arrival = self.begin(file_name)
        try:
            for chunk in chunks:
                arrival.write(chunk)
            return arrival.finish()
        except BaseException:
            arrival.discard()
            raise

    def begin(self, file_name: str) -> Arrival:
        """An upload whose bytes come piece by piece."""
        return Arrival(self, file_name, self._objects.open_draft(new_key(file_name)), self._max_bytes)

    def stored(self, file_name: str, key: str) -> None:
        """Records a stored object and sends its event.

        A table that cannot be reached does not refuse the upload: the object is safe, and the sweeper finds it.
        """
        info = self._objects.head(key)
        try:
            self._results.uploaded(
                key, file_name=shown_name(file_name), object_version=info.version, size_bytes=info.size
            )
        except (BotoCoreError, ClientError) as error:
            _log.warning("%s is stored but not in the table yet: %s", key, error)
        if self._queue is not None:
            self._queue.send(object_created_event(self._objects.bucket, info))

    def again(self, file_key: str) -> bool:
        """Has a finished file worked on once more; False when it is not finished or its object is gone.

        Raises botocore's and obstore's errors.
        """
        try:
            info = self._objects.head(file_key)
        except (ObjectNotFound, InvalidKey):
            return False
        if not self._results.again(file_key):
            return False
        if self._queue is not None:
            self._queue.send(object_created_event(self._objects.bucket, info))
        return True

    def remove(self, file_key: str) -> bool:
        """Removes a file: its upload, its predictions, then its item; whether there was an item.

        In this order, because the sweeper takes an object without an item for lost work. A worker that holds the
        file loses it first. Raises botocore's and obstore's errors; what is left then is removed by another call.
        """
        seen = self._results.find(file_key)
        if seen is None:
            return False
        self._results.cancel(file_key)
        for key in (file_key, seen.predictions_key):
            if key:
                with suppress(InvalidKey):  # an item of another program may name anything
                    self._objects.delete(key)
        self._results.delete(file_key)
        return True


class Arrival:
    """One upload under way: `write` its bytes, then `finish` or `discard` it. Every call may block."""

    def __init__(self, intake: Intake, file_name: str, draft: Draft, max_bytes: int) -> None:
        self._intake = intake
        self._file_name = file_name
        self._draft = draft
        self._left = max_bytes
        self._max_bytes = max_bytes

    def write(self, data: bytes) -> None:
        """Raises UploadTooLarge."""
        self._left -= len(data)
        if self._left < 0:
            raise UploadTooLarge(_too_large(self._max_bytes))
        self._draft.write(data)

    def finish(self) -> str:
        """Makes the file visible and starts its work; returns its `file_key`."""
        self._draft.commit()
        self._intake.stored(self._file_name, self._draft.key)
        return self._draft.key

    def discard(self) -> None:
        """Frees the space of an upload that was refused or broke off."""
        self._draft.discard()


def new_key(file_name: str) -> str:
    """`uploads/<UTC time>-<random>/<safe name>`: no two uploads share a key, and keys sort by time."""
    moment = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"{UPLOADS}{moment}Z-{secrets.token_hex(6)}/{safe_name(file_name)}"


def safe_name(file_name: str) -> str:
    """The last segment of a key for a user's file name: at most 200 bytes of UTF-8, never empty or a dot name."""
    name = _cleaned(file_name)
    if name.endswith(PREDICTIONS_SUFFIX):  # a downloaded predictions file that comes back is an upload
        name = name.removesuffix(PREDICTIONS_SUFFIX) + ".predictions-upload.csv"
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > 16:
        stem, extension = name, ""
    if name.lower().endswith(".csv.gz"):
        stem, extension = name[: -len(".csv.gz")], name[-len("csv.gz") :]
    suffix = f".{extension}" if extension else ""
    # A trailing "#1" is how the local store marks unfinished uploads.
    name = re.sub(r"#(\d+)$", r"-\1", _cut(stem, _NAME_BYTES - len(suffix.encode())) + suffix)
    return name if name.strip(". ") else "upload.csv"


def shown_name(file_name: str) -> str:
    """A user's file name as a page may show it: without folders and hidden characters, at most 255 bytes."""
    return _cut(_cleaned(file_name), 255) or "upload.csv"


def _cleaned(file_name: str) -> str:
    text = file_name.encode("utf-8", "replace").decode("utf-8")
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", text)[-1])
    name = _HIDDEN.sub("", "".join(character for character in name if unicodedata.category(character) != "Cc"))
    return name.strip()


def _cut(text: str, limit: int) -> str:
    """The longest start of a text that has at most `limit` bytes of UTF-8."""
    return text.encode()[:limit].decode("utf-8", "ignore")


def _too_large(limit: int) -> str:
    return f"the file is larger than the limit of {limit:,} bytes"
