"""The time by which data are deleted: the wall clock, unless it has jumped ahead.

Expired items, old changes and old tokens are deleted for good, so a clock that is wrong by a day would cost a
day of data. The wall clock is compared with one that only counts on: after a jump forward, deletions go on by
the time before the jump for an hour, which is logged, so that an operator can set the clock right; then the new
time is believed. A clock that is set back deletes nothing early and is believed at once. What was wrong before
the process started cannot be seen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

HOLD_SECONDS: Final = 3600.0
TOLERANCE_SECONDS: Final = 10.0
"""Smaller steps are what time services do."""

log = logging.getLogger(__name__)


def boot_time() -> float:
    """Seconds since the machine started, its sleep included where the system counts it: waking up is no jump."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SteadyClock:
    """Called like a clock: gives seconds since the epoch. `monotonic` must not jump."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._seen = clock(), monotonic()
        self._ahead = 0.0
        """How far the wall clock has been moved since the process started or the last time it was believed."""
        self._moved_at = 0.0

    def __call__(self) -> float:
        wall, elapsed = self._clock(), self._monotonic()
        step = (wall - self._seen[0]) - (elapsed - self._seen[1])
        self._seen = wall, elapsed
        if abs(step) > TOLERANCE_SECONDS:
            self._moved(step, elapsed)
        elif self._ahead and elapsed - self._moved_at >= HOLD_SECONDS:
            log.warning("the clock has stood for %d s since it was moved: it is believed", HOLD_SECONDS)
            self._ahead = 0.0
        return wall - max(self._ahead, 0.0)

    def _moved(self, step: float, elapsed: float) -> None:
        self._ahead += step
        self._moved_at = elapsed
        if abs(self._ahead) <= TOLERANCE_SECONDS:
            self._ahead = 0.0
        if self._ahead > 0:
            log.warning(
                "the clock was moved ahead by %.0f s: for %d s deletions go on by the time "
                "before; check the machine's clock",
                step,
                HOLD_SECONDS,
            )
        else:
            log.warning("the clock was moved by %.0f s", step)
