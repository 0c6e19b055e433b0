"""The work that nobody waits for, in one place: who runs it, and how often.

One process of a server runs `Background`: the one that `server` designates, whose data directory no other
server may open. Chores run side by side, each at its own pace, each in short transactions that first look
whether their work is still wanted; so it may be killed at any point, and simply runs again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from blotter.database.background.change_log import ChangeLogTrimmer
from blotter.database.background.tables import TableKeeper
from blotter.database.background.time_to_live import TimeToLiveSweeper
from blotter.database.background.tokens import TokenSweeper
from blotter.database.storage.protocol import SnapshotTooOld, Storage, StorageUnavailable

log = logging.getLogger(__name__)

TABLES_SECONDS = 0.05
"""Between looks for tables and indexes to delete or fill."""
TIME_TO_LIVE_SECONDS = 10.0
"""Between walks for expired items; AWS promises to delete them within a few days."""
TRIM_SECONDS = 60.0
"""Between rounds of what only has to go some day: old changes, old tokens."""

# After a failure of the store.
_PATIENCE_SECONDS = 1.0
# After any other error, which will likely come again: a mistake, or data that make no sense.
_LONG_PATIENCE_SECONDS = 10.0

Chore = Callable[[], Awaitable[object]]


class Background:
    """`clock` gives seconds since the epoch; the others are seconds between the rounds of a chore."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        *,
        tables_seconds: float = TABLES_SECONDS,
        time_to_live_seconds: float = TIME_TO_LIVE_SECONDS,
        trim_seconds: float = TRIM_SECONDS,
    ) -> None:
        self._keeper = TableKeeper(storage, clock)
        self._sweeper = TimeToLiveSweeper(storage, clock)
        self._trimmer = ChangeLogTrimmer(storage, clock)
        self._tokens = TokenSweeper(storage, clock)
        self._chores: tuple[tuple[Chore, float], ...] = (
            (self._keep_tables, tables_seconds),
            (self._sweeper.run_once, time_to_live_seconds),
            (self._trimmer.run_once, trim_seconds),
            (self._tokens.run_once, trim_seconds),
        )
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Does the chores until it is stopped or cancelled. An error of one is logged and stops neither it nor the
        others: a damaged item must not keep those from their work that never meet it."""
        async with asyncio.TaskGroup() as group:
            for chore, pause in self._chores:
                group.create_task(self._repeat(chore, pause))

    def stop(self) -> None:
        """`run` returns when the rounds under way are done."""
        self._stopping.set()

    async def run_once(self) -> None:
        """One round of every chore, without waiting for its time: for whoever has no loop that runs on."""
        for chore, _ in self._chores:
            await chore()

    async def _keep_tables(self) -> None:
        while await self._keeper.run_once():
            pass

    async def _repeat(self, chore: Chore, pause: float) -> None:
        while not self._stopping.is_set():
            try:
                await chore()
            except (StorageUnavailable, SnapshotTooOld) as error:
                log.warning("background work has to wait: %s", error)
                await self._rest(_PATIENCE_SECONDS)
            except Exception:
                log.exception("background work failed")
                await self._rest(_LONG_PATIENCE_SECONDS)
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
