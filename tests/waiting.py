"""Waiting for a condition that another task, thread or process brings about: never for a time.

The one place of the unit tests that sleeps; `test_conventions.py` enforces it. Where the tested code offers
an event, a callback or a pipe, wait for that instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_SECONDS = 60.0
_PAUSE = 0.005


async def until(holds: Callable[[], object]) -> None:
    """Returns when `holds()` is true, letting other tasks run meanwhile; fails after a minute."""
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{holds} did not become true"
        await asyncio.sleep(_PAUSE)


def wait_until(holds: Callable[[], object]) -> None:
    """`until` where no event loop runs."""
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{holds} did not become true"
        time.sleep(_PAUSE)
