"""The sweeper: finds files for which no further event will come.

It finds UPLOADED items that no worker has claimed (the event was lost), PROCESSING items whose lease has expired
(the worker ended), and objects without an item or with an older version's item (the event was lost and nothing
wrote UPLOADED). It only names keys; `Processor.process` decides what is to do, so a sweep too many is harmless.
The table is scanned whole and the store is listed for the last days: what that costs is in the docs. An odd item
or object is logged and passed over, so that it does not hide the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from blotter.crimes.clock import find_time
from blotter.crimes.item import Result
from blotter.crimes.jobs.intake import UPLOADS
from blotter.crimes.jobs.processing import is_predictions_key
from blotter.crimes.storage.objects import InvalidKey, ObjectInfo, ObjectNotFound, ObjectStore
from blotter.crimes.storage.results import ResultsTable

# An item without its object may belong to another installation that shares the table but not the folder.
MISSING_SECONDS = 3600.0
_HORIZON_SECONDS = 7 * 24 * 3600.0
_REMEMBERED = 100_000

_log = logging.getLogger(__name__)


class Sweeper:
    """Names lost files. Remembers which objects it has seen finished, to ask the table once about each."""

    def __init__(self, objects: ObjectStore, results: ResultsTable, grace_seconds: float) -> None:
        self._objects = objects
        self._results = results
        self._grace = grace_seconds
        self._finished: dict[str, str] = {}

    def find_lost(self) -> Iterator[str]:
        """The keys of lost files, each once, the oldest upload first among the table's.

        Raises botocore's and obstore's errors when the table or the store is out of reach.
        """
        now = time.time()
        unfinished = sorted(self._results.unfinished(), key=lambda result: result.uploaded_at or "")
        open_keys = {result.file_key for result in unfinished}
        yield from (result.file_key for result in unfinished if self._is_lost(result, now))
        for info in self._recent_objects(now):
            if info.key in open_keys:
                continue
            try:
                unknown = self._is_unknown(info)
            except (InvalidKey, ObjectNotFound) as error:
                _log.info("sweep: %r is passed over: %s", info.key, type(error).__name__)
                continue
            if unknown:
                yield info.key

    def _is_lost(self, result: Result, now: float) -> bool:
        if result.status == "PROCESSING":
            return result.lease_ended(now)
        uploaded = find_time(result.uploaded_at)
        return uploaded is None or uploaded < now - self._grace

    def _recent_objects(self, now: float) -> Iterator[ObjectInfo]:
        """Uploads that are old enough to be lost and young enough to matter."""
        oldest, newest = (datetime.fromtimestamp(now - age, UTC) for age in (_HORIZON_SECONDS, self._grace))
        after = f"{UPLOADS}{oldest:%Y%m%d}"  # our keys begin with their time; other keys sort after digits
        for info in self._objects.list(UPLOADS, after):
            if oldest < info.last_modified < newest and not is_predictions_key(info.key):
                yield info

    def _is_unknown(self, info: ObjectInfo) -> bool:
        """Whether the table has no item for this object, or one of another version."""
        if self._finished.get(info.key) == info.etag:
            return False
        result = self._results.find(info.key)
        if result is None:
            return True
        # A listing does not give version ids; only a look at the object does.
        if result.object_version not in (info.version, self._objects.head(info.key).version):
            return True
        if result.finished:
            if len(self._finished) >= _REMEMBERED:
                self._finished.clear()
            self._finished[info.key] = info.etag
        return False
