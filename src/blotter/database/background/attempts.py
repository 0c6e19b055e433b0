"""Jobs of the background, each on its own: one that fails is tried again later and does not stop the others.

The pause after a failure doubles from one second to five minutes and is shortened at random by up to half, so
that jobs that failed together do not come back together. A job is reported when it begins to fail and when it
succeeds again, with the name of its table, and not in between."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, NamedTuple

from blotter.database.copies.objects import ObjectsUnavailable
from blotter.database.notifications.targets import DeliveryError
from blotter.database.storage.protocol import SnapshotTooOld, StorageUnavailable

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 300.0
_EXPECTED: Final = (StorageUnavailable, SnapshotTooOld, ObjectsUnavailable, DeliveryError)

log = logging.getLogger(__name__)


class _Failure(NamedTuple):
    attempts: int
    retry_at: float
    """By the monotonic clock."""


class Attempts:
    """What failed and when it may be tried again. `monotonic` measures pauses, `chance` gives numbers from 0 to
    1."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._monotonic = monotonic
        self._chance = chance
        self._failures: dict[Hashable, _Failure] = {}

    def may_run(self, job: Hashable) -> bool:
        failure = self._failures.get(job)
        return failure is None or self._monotonic() >= failure.retry_at

    def pause(self, job: Hashable) -> float:
        """Seconds until the job may run; 0 for now."""
        failure = self._failures.get(job)
        return 0.0 if failure is None else max(0.0, failure.retry_at - self._monotonic())

    async def run(self, job: Hashable, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Does the job's work and returns whether it succeeded. `name`, which
        the log shows, has the table in it."""
        try:
            await work()
        except Exception as error:
            self._failed(job, name, error)
            return False
        failure = self._failures.pop(job, None)
        if failure is not None:
            log.warning("%s: succeeded after %d failed attempts", name, failure.attempts)
        return True

    def _failed(self, job: Hashable, name: str, error: Exception) -> None:
        before = self._failures.get(job)
        count = 1 if before is None else before.attempts + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(count - 1, 30))
        self._failures[job] = _Failure(count, self._monotonic() + pause * (1 - self._chance() / 2))
        if before is None:
            expected = isinstance(error, _EXPECTED)
            log.error(
                "%s: failed, and will be tried again until it succeeds: %s: %s",
                name,
                type(error).__name__,
                error,
                exc_info=None if expected else error,
            )
