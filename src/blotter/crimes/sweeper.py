"""The sweeper: finds work that nobody is going to be told about again.

Three ways to get lost, three ways to be found: an UPLOADED nobody took up (its event got lost), a PROCESSING whose
lease ended (its worker died), an object without an item or with an older version's item (its event got lost and
nothing wrote UPLOADED). It only names keys; `Processor.process` decides what is to do, so a sweep too many is
harmless. The table is scanned whole and the store is listed for the last days: what that costs is in the docs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from blotter.crimes.clock import parse_time
from blotter.crimes.intake import UPLOADS
from blotter.crimes.item import Result
from blotter.crimes.objects import ObjectInfo, ObjectStore
from blotter.crimes.processing import is_predictions_key
from blotter.crimes.results import ResultsTable

# An item without its object may belong to somebody who shares the table but not the folder: no hurry to fail it.
MISSING_SECONDS = 3600.0
_HORIZON_SECONDS = 7 * 24 * 3600.0
_REMEMBERED = 100_000


class Sweeper:
    """Names lost files. Remembers which objects it has seen finished, to ask the table once about each."""

    def __init__(self, objects: ObjectStore, results: ResultsTable, grace_seconds: float) -> None:
        self._objects = objects
        self._results = results
        self._grace = grace_seconds
        self._finished: dict[str, str] = {}

    def find_lost(self) -> Iterator[str]:
        """The keys of lost files, each once. Raises botocore's and obstore's errors."""
        now = time.time()
        open_keys = set()
        for result in self._results.unfinished():
            open_keys.add(result.file_key)
            if self._is_lost(result, now):
                yield result.file_key
        for info in self._recent_objects(now):
            if info.key not in open_keys and self._is_unknown(info):
                yield info.key

    def _is_lost(self, result: Result, now: float) -> bool:
        if result.status == "PROCESSING":
            return result.lease_ended(now)
        return result.uploaded_at is None or parse_time(result.uploaded_at) < now - self._grace

    def _recent_objects(self, now: float) -> Iterator[ObjectInfo]:
        """Uploads that are old enough to be lost and young enough to matter."""
        oldest, newest = (datetime.fromtimestamp(now - age, UTC) for age in (_HORIZON_SECONDS, self._grace))
        after = f"{UPLOADS}{oldest:%Y%m%d}"  # our keys begin with their time; anybody else's sort behind digits
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
