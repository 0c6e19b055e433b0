"""Waiting: exponential backoff with full jitter, and a deadline. Time, sleep and chance are passed in.

Used by everything that waits for an endpoint, with the ceilings below unless it passes its own. `tables apply`
polls a table with them in `Applying.work` (`applying/apply.py`: arguments of `Backoff` there would be for `apply`
alone) and repeats failed requests with the ceilings of `Step` there. Its deadline is `--timeout`, by default
`DEFAULT_TIMEOUT_S` (`options.py`).

Full jitter (a uniform choice between nothing and the current ceiling) spreads concurrent runs best; see Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015. The first ceiling is short because a Blotter's table
is ACTIVE within 0.2 s, the last long enough to poll an index that builds for hours without being throttled for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

FIRST_CEILING_S = 0.1
LAST_CEILING_S = 10.0


class Clock(NamedTuple):
    """Where time comes from; tests pass one that does not pass by itself."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


class Backoff:
    """Delays in seconds, each chosen below a ceiling that doubles."""

    def __init__(self, clock: Clock, first: float = FIRST_CEILING_S, last: float = LAST_CEILING_S) -> None:
        self._clock, self._first, self._last = clock, first, last
        self.tries = 0

    def next(self) -> float:
        ceiling = min(self._last, self._first * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return ceiling * self._clock.chance()

    def reset(self) -> None:
        self.tries = 0


class Deadline:
    """A moment after which nothing is worth waiting for. `seconds` counts from now."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self.seconds = clock, seconds
        self._start = clock.now()

    def restart(self) -> None:
        self._start = self._clock.now()

    def elapsed(self) -> float:
        return self._clock.now() - self._start

    def left(self) -> float:
        return self.seconds - self.elapsed()
