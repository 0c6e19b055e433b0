"""Trimming: entries that no reader of the change log needs any more are removed, and streams that were disabled
longer ago than the streams' retention are forgotten.

`storage.change_log` decides what a reader still needs. Readers of streams do not depend on when this runs: they
compare a record's own time, so that trimming late shows nothing that should be gone. Trimming works in slices with
a rest after each, so that no writer waits for more than one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from blotter.database.operations.streams.registry import forget_streams, trimmed_streams
from blotter.database.storage.change_log import is_due, trim
from blotter.database.storage.protocol import Storage

# Between slices, for writers that wait.
_REST_SECONDS = 0.005
_STREAMS_AT_ONCE = 100


class ChangeLogTrimmer:
    """`clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock

    async def run_once(self) -> None:
        """Removes all that is due now."""
        now = self._clock()
        while forgotten := await self._storage.fetch(lambda tx: trimmed_streams(tx, now, _STREAMS_AT_ONCE)):
            await self._storage.write(partial(forget_streams, keys=forgotten))
            await asyncio.sleep(_REST_SECONDS)
        if not await self._storage.fetch(lambda tx: is_due(tx, now)):
            return  # without taking the write lock
        while await self._storage.write(lambda tx: trim(tx, now)):
            await asyncio.sleep(_REST_SECONDS)
