"""Processing one file, for an event or a sweep: claim it, score it, store the outcome.

The rules that make redelivered events, crashes and races harmless all live here:
- An event only says "look at this key". The item is read first, then the object, so what is worked on is what the
  object is now; (file key, object version) is the identity of the work. Finished work is not repeated.
- The claim is conditional on the item as it was seen; every later write is conditional on the claim.
- Predictions lie under a name of their version and become visible before the item becomes COMPLETED.
- An error of the file makes it FAILED at once. An error of the store or the table gives no outcome: the lease
  ends, the event comes again or the sweeper finds the item, and after `max_attempts` it is FAILED. Nothing stays
  PROCESSING.
- A full disk is temporary: the file goes back to UPLOADED, costs no attempt, and is tried again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError

from blotter.crimes.clock import find_time, text_of
from blotter.crimes.failures import FileRefused
from blotter.crimes.item import Result, Summary
from blotter.crimes.jobs.intake import PREDICTIONS_SUFFIX, shown_name
from blotter.crimes.jobs.notify import Notifier, Outcome
from blotter.crimes.learning.model import Model
from blotter.crimes.scoring.scoring import Progress, score_file
from blotter.crimes.settings import CrimesSettings
from blotter.crimes.storage.objects import (
    InvalidKey,
    ObjectChanged,
    ObjectInfo,
    ObjectNotFound,
    ObjectStore,
    first_line,
    is_disk_full,
)
from blotter.crimes.storage.results import Claim, LeaseLost, ResultsTable

TABLE_ERRORS = (BotoCoreError, ClientError)
_PROGRESS_SECONDS = 0.5
_SMALLEST_BLOCK, _LARGEST_BLOCK = 64 * 1024, 4 * 1024 * 1024
_FINAL_TRIES = 5
_RESERVE = 16 * 1024 * 1024  # of the disk, left for the table that may lie on it
_SPACE_SECONDS, _MOST_SPACE_SECONDS = 15.0, 600.0
_MOST_WAITING = 1000
_TIME_LEFT_SECONDS = 5.0
_OUR_PREDICTIONS = re.compile(r"\.[0-9a-f]{12}" + re.escape(PREDICTIONS_SUFFIX) + "$")

_log = logging.getLogger(__name__)


class Done(NamedTuple):
    """What `process` found or did. `again_at`: when it is worth looking again (seconds), None for never."""

    what: str  # COMPLETED, FAILED, FINISHED_BEFORE, BUSY, LEASE_LOST, NO_OBJECT, NOT_AN_UPLOAD, BAD_KEY, NO_SPACE
    again_at: float | None = None


class WorkerStopping(Exception):
    """The worker must stop: the file returns to UPLOADED."""


class Processor:
    """Processes files one after another. `time_left` returns how many seconds this process still has."""

    def __init__(
        self,
        settings: CrimesSettings,
        objects: ObjectStore,
        results: ResultsTable,
        load_model: Callable[[], Model],
        notifier: Notifier,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._results = results
        self._load_model = load_model
        self._notifier = notifier
        self._stopping = stopping
        self._reached: Progress | None = None  # how far the current file was read
        self._waiting: dict[str, tuple[float, float]] = {}  # key → when there may be space again, the pause

    def process(
        self, key: str, time_left: Callable[[], float] = lambda: float("inf"), missing_after: float = 0.0
    ) -> Done:
        """Does whatever there is to do about a key. Raises botocore's or obstore's errors: look again later.

        An item whose object is gone FAILS when its upload is more than `missing_after` seconds ago.
        """
        if is_predictions_key(key):
            return Done("NOT_AN_UPLOAD")
        for _ in range(3):  # the object may be replaced while it is read
            seen = self._results.find(key)
            try:
                info = self._objects.head(key)
            except InvalidKey as error:
                _log.error("a file cannot be worked on: %s; upload it under another name", error)
                return Done("BAD_KEY")
            except ObjectNotFound:
                return self._fail_missing(seen, missing_after)
            if (nothing := self._reason_to_leave(seen, info) or self._space_is_short(info)) is not None:
                return nothing
            claim = self._claim(seen, info)
            if claim is None:
                return Done("BUSY", time.time() + self._settings.lease_seconds)
            try:
                return self._work(claim, info, time_left)
            except ObjectChanged:
                _log.info("%s was replaced while it was read; reading the newer one", key)
        return Done("BUSY", time.time() + self._settings.lease_seconds)

    def _space_is_short(self, info: ObjectInfo) -> Done | None:
        """NO_SPACE when the disk cannot hold predictions as large as the upload, or could not a moment ago."""
        now = time.time()
        until, _ = self._waiting.get(info.key, (0.0, 0.0))
        if now < until:
            return Done("NO_SPACE", until)
        free = self._objects.free_bytes()
        return None if free is None or free > info.size + _RESERVE else self._wait_for_space(info.key)

    def _wait_for_space(self, key: str) -> Done:
        _, pause = self._waiting.get(key, (0.0, _SPACE_SECONDS / 2))
        pause = min(2 * pause, _MOST_SPACE_SECONDS)
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.clear()
        self._waiting[key] = (time.time() + pause, pause)
        _log.error("the disk of the objects is full; %s waits %.0f s; free some space", key, pause)
        return Done("NO_SPACE", self._waiting[key][0])

    def _reason_to_leave(self, seen: Result | None, info: ObjectInfo) -> Done | None:
        if seen is None or seen.object_version != info.version:
            return None
        if seen.finished:
            return Done("FINISHED_BEFORE")
        if seen.status == "PROCESSING" and not seen.lease_ended(time.time()):
            return Done("BUSY", find_time(seen.lease_until) or time.time())
        return None

    def _claim(self, seen: Result | None, info: ObjectInfo) -> Claim | None:
        return self._results.claim(
            seen,
            info.key,
            file_name=shown_name(info.key),
            object_version=info.version,
            size_bytes=info.size,
            uploaded_at=text_of(info.last_modified.astimezone(UTC).timestamp()),
            owner=f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}",
            lease_seconds=self._settings.lease_seconds,
        )

    def _work(self, claim: Claim, info: ObjectInfo, time_left: Callable[[], float]) -> Done:
        self._reached = None
        try:
            if claim.attempt > self._settings.max_attempts:
                raise FileRefused("TOO_MANY_ATTEMPTS", f"{claim.attempt - 1} attempts on this file did not end")
            if claim.attempt > 1:
                self._objects.discard_drafts(0.0, predictions_key(info))
            summary = self._score(claim, info, time_left)
            self._insist(lambda: self._results.completed(claim, summary, predictions_key(info)))
            self._notifier.send(Outcome(info.key, "COMPLETED", summary))
        except FileRefused as refusal:
            return self._fail(claim, refusal.code, refusal.message)
        except ObjectNotFound:
            return self._fail(claim, "OBJECT_MISSING", "the uploaded object was removed while it was read")
        except LeaseLost:
            _log.warning("%s: another worker took over", info.key)
            return Done("LEASE_LOST")
        except ObjectChanged:
            raise
        except WorkerStopping:
            self._results.released(claim)
            raise
        except TABLE_ERRORS:
            raise  # no outcome can be written now; the lease will expire
        except (BaseError, OSError) as error:
            if is_disk_full(error):
                self._results.released(claim)
                return self._wait_for_space(info.key)
            if claim.attempt < self._settings.max_attempts:
                raise  # the store is out of reach: tried again after the lease
            return self._fail(claim, "INTERNAL_ERROR", f"the object store failed: {first_line(error)}")
        except Exception as error:
            _log.exception("%s: internal error", info.key)
            return self._fail(claim, "INTERNAL_ERROR", f"{type(error).__name__}: {error}")
        self._waiting.pop(info.key, None)
        return Done("COMPLETED")

    def _score(self, claim: Claim, info: ObjectInfo, time_left: Callable[[], float]) -> Summary:
        began = shown_at = time.monotonic()

        def show(progress: Progress) -> None:
            nonlocal shown_at
            self._reached = progress
            if self._stopping():
                raise WorkerStopping
            if time_left() < _TIME_LEFT_SECONDS or time.monotonic() - began > self._settings.file_seconds:
                raise FileRefused(
                    "TIME_LIMIT", f"only {progress.rows_read:,} rows could be read in the time given"
                )
            if time.monotonic() - shown_at < _PROGRESS_SECONDS:
                return
            shown_at = time.monotonic()
            self._show(claim, info, progress)

        block = max(_SMALLEST_BLOCK, min(info.size // 50, _LARGEST_BLOCK))
        with self._objects.writer(predictions_key(info)) as sink:
            return score_file(
                self._load_model(),
                lambda: self._objects.read(info, block),
                sink,
                size=info.size,
                limits=self._settings.limits(),
                on_progress=show,
            )

    def _show(self, claim: Claim, info: ObjectInfo, progress: Progress) -> None:
        """Shows progress; a table that is out of reach for a while does not stop the work."""
        try:
            self._results.progress(
                claim,
                percent=progress.bytes_read * 100 // max(info.size, 1),
                rows_read=progress.rows_read,
                rows_scored=progress.rows_scored,
                rows_skipped=progress.rows_skipped,
                lease_seconds=self._settings.lease_seconds,
            )
        except TABLE_ERRORS as error:
            _log.warning("%s: progress could not be written: %s", info.key, error)

    def _fail(self, claim: Claim, code: str, message: str) -> Done:
        reached = self._reached or Progress(0, 0, 0, 0, {})
        try:
            self._insist(
                lambda: self._results.failed(
                    claim, code, message, rows_scored=reached.rows_scored, skipped_reasons=reached.skipped_reasons
                )
            )
        except LeaseLost:
            return Done("LEASE_LOST")
        self._notifier.send(Outcome(claim.file_key, "FAILED", None, code, message))
        return Done("FAILED")

    def _fail_missing(self, seen: Result | None, after: float) -> Done:
        """An item that waits for an object that is gone would never end."""
        if seen is None or seen.finished or (seen.status == "PROCESSING" and not seen.lease_ended(time.time())):
            return Done("NO_OBJECT")
        if (find_time(seen.uploaded_at) or 0.0) + after > time.time():
            return Done("NO_OBJECT")
        self._reached = None
        gone = ObjectInfo(seen.file_key, seen.size_bytes, seen.object_version, None, datetime.now(UTC))
        claim = self._claim(seen, gone)
        return (
            Done("BUSY") if claim is None else self._fail(claim, "OBJECT_MISSING", "the uploaded object is gone")
        )

    def _insist(self, write: Callable[[], None]) -> None:
        """Tries the last write of a file several times; after that the sweeper will find the file."""
        for attempt in range(_FINAL_TRIES):
            try:
                return write()
            except TABLE_ERRORS as error:
                if attempt == _FINAL_TRIES - 1:
                    raise
                _log.warning("the outcome could not be written, trying again: %s", error)
                time.sleep(0.2 * 2**attempt)
        return None


def predictions_key(info: ObjectInfo) -> str:
    """Beside the upload, named after its version: two versions of a file never share predictions."""
    return f"{info.key}.{hashlib.sha256(info.version.encode()).hexdigest()[:12]}{PREDICTIONS_SUFFIX}"


def is_predictions_key(key: str) -> bool:
    """Whether a key is one of our own predictions files, whose creation is an event too."""
    return _OUR_PREDICTIONS.search(key) is not None
