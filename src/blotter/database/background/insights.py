"""Deletes what contributor insights have found and nobody can ask for any more: points that are too old, and those
of insights that were disabled or whose table is gone. In slices, with a rest after each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from blotter.database.insights.points import remove_points, stale_points
from blotter.database.insights.settings import every_insights
from blotter.database.storage.protocol import ReadTransaction, Storage

_REST_SECONDS = 0.01


class InsightSweeper:
    """`clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock

    async def run_once(self) -> None:
        """One walk over all points."""
        after: bytes | None = b""
        kept = await self._storage.fetch(_kept)
        while after is not None:
            look = partial(stale_points, kept=kept, now=self._clock(), after=after)
            stale, after = await self._storage.fetch(look)
            if stale:
                await self._storage.write(partial(remove_points, keys=stale))
            if after is not None:
                await asyncio.sleep(_REST_SECONDS)


def _kept(tx: ReadTransaction) -> set[str]:
    """The ids of the insights whose points can be asked for."""
    return {insights.id for insights in every_insights(tx) if insights.enabled}
