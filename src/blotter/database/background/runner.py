"""All work that no request starts and that must not be done twice at a time, in one place: what, and when.

One process runs `Background`: of a data directory, which no other server may open, the one that `server`
designates; of a store that several servers use, that of the server which leads (`Storage.lead`). What each server
does for itself is in `duties`. It sleeps until the catalog changes (`Storage.wait_for_catalog_change`) or
something is due, so that an idle server costs next to nothing. Chores run side by side, each at its own pace, each
in short transactions that first look whether their work is still wanted; so it may be killed at any point, and
simply runs again. What fails is tried again by itself and stops nothing else (`attempts`). What is deleted by time
is deleted by a clock that does not jump (`steady_clock`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from blotter.database.background.alarms import AlarmEvaluator
from blotter.database.background.attempts import Attempts
from blotter.database.background.backups import BackupExpiry
from blotter.database.background.change_log import ChangeLogTrimmer
from blotter.database.background.insights import InsightSweeper
from blotter.database.background.jobs import JobRunner
from blotter.database.background.kinesis.deliveries import Deliveries
from blotter.database.background.metrics import count_expired, progress_of
from blotter.database.background.notifications import Notifier
from blotter.database.background.scaling import Scaling
from blotter.database.background.steady_clock import SteadyClock, boot_time
from blotter.database.background.tables import TableKeeper
from blotter.database.background.time_to_live import TimeToLiveSweeper
from blotter.database.background.tokens import TokenSweeper
from blotter.database.copies.jobs import Tools
from blotter.database.copies.objects import INTERNAL
from blotter.database.copies.recovery import RecoveryLog
from blotter.database.metrics.counting import Counters
from blotter.database.storage.protocol import Storage

TABLES_SECONDS = 5.0
"""Between looks at the catalog without a notification that it changed: one may be lost with its process."""
TIME_TO_LIVE_SECONDS = 10.0
"""Between walks for expired items; AWS promises to delete them within a few days. A longer walk is followed by a
rest as long as itself."""
TRIM_SECONDS = 60.0
"""Between rounds of what only has to go some day: old changes, old tokens."""


ALARMS_SECONDS = 5.0
"""Between looks whether an alarm is due: a period has ended, or somebody has changed one."""
NOTIFICATIONS_SECONDS = 2.0


class Watch(NamedTuple):
    """What evaluates the alarms, and what tells about them."""

    alarms: AlarmEvaluator
    notifier: Notifier


class _Chore(NamedTuple):
    name: str
    run_once: Callable[[], Awaitable[object]]
    pause: float
    """Seconds between two rounds."""


class Background:
    """`clock` gives seconds since the epoch, `monotonic` measures pauses; the others are seconds between the
    rounds of a chore. `tools` is for jobs; without, none are run. `counters` counts what is done here; `watch`
    evaluates alarms and notifies; `scaling` follows scaling policies and schedules."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = boot_time,
        *,
        tools: Tools | None = None,
        counters: Counters | None = None,
        watch: Watch | None = None,
        scaling: Scaling | None = None,
        tables_seconds: float = TABLES_SECONDS,
        time_to_live_seconds: float = TIME_TO_LIVE_SECONDS,
        trim_seconds: float = TRIM_SECONDS,
    ) -> None:
        self._storage = storage
        self._monotonic = monotonic
        self._attempts = Attempts(monotonic)
        self._awake = asyncio.Event()
        self._jobs_awake = asyncio.Event()
        self._scaling_awake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tables_seconds = tables_seconds
        self._keeper = TableKeeper(storage, clock, monotonic, self._attempts, self._awake.set)
        self._tools = tools
        self._jobs: JobRunner | None = None
        if tools is not None:
            self._jobs = JobRunner(tools, monotonic, self._attempts, self._jobs_awake.set)
        self._deliveries = Deliveries(storage, clock, monotonic, self._attempts)
        self._scaling = scaling
        steady = SteadyClock(clock, monotonic)
        sweeper = TimeToLiveSweeper(storage, steady, attempts=self._attempts)
        if counters is not None:
            sweeper.deleted = partial(count_expired, counters)
            self._keeper.indexes.filled_to = partial(progress_of, counters)
        self._chores: tuple[_Chore, ...] = (
            _Chore("looking for expired items", sweeper.run_once, time_to_live_seconds),
            _Chore("trimming the change log", ChangeLogTrimmer(storage, steady).run_once, trim_seconds),
            _Chore("deleting old tokens", TokenSweeper(storage, steady).run_once, trim_seconds),
            _Chore("deleting old insights", InsightSweeper(storage, steady).run_once, trim_seconds),
        )
        if tools is not None:
            history = RecoveryLog(storage, tools.objects.within(INTERNAL), tools.cipher, steady)
            expiry = BackupExpiry(storage, steady)
            self._chores += (
                _Chore("keeping the history of tables", history.run_once, trim_seconds),
                _Chore("removing expired backups", expiry.run_once, trim_seconds),
            )

        self._watch = watch
        if watch is not None:
            self._chores += (
                _Chore("evaluating alarms", watch.alarms.run_once, ALARMS_SECONDS),
                _Chore("sending notifications", watch.notifier.run_once, NOTIFICATIONS_SECONDS),
            )

    async def run(self) -> None:
        """Does the chores until it is stopped or canceled."""
        listener = asyncio.create_task(self._listen())
        try:
            if self._tools is not None:
                tidy = partial(asyncio.to_thread, self._tools.tidy)
                await self._attempts.run("tidy", "removing what a crash has left half-written", tidy)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_tables())
                if self._jobs is not None:
                    group.create_task(self._run_jobs(self._jobs))
                group.create_task(self._deliveries.run())
                if self._scaling is not None:
                    group.create_task(self._scale(self._scaling))
                for chore in self._chores:
                    group.create_task(self._repeat(chore))
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await self._keeper.stop()
            if self._jobs is not None:
                await self._jobs.stop()
            if self._watch is not None:
                self._watch.notifier.stop()

    def stop(self) -> None:
        """`run` returns when the rounds under way are done."""
        self._stopping.set()
        self._awake.set()
        self._jobs_awake.set()
        self._scaling_awake.set()
        self._deliveries.stop()

    async def run_once(self) -> None:
        """One round of everything, without waiting for its time: for callers without an event loop that runs
        on."""
        while await self._keeper.run_once() or (self._jobs is not None and await self._jobs.run_once()):
            pass
        await self._deliveries.run_once()
        if self._scaling is not None:
            await self._scaling.run_once()
        for chore in self._chores:
            await chore.run_once()

    async def _listen(self) -> None:
        """Notifies those who follow the catalog when it changes or a request has made work."""
        while True:
            if not await self._attempts.run(
                "listen", "waiting for changes", self._storage.wait_for_catalog_change
            ):
                await asyncio.sleep(self._attempts.pause("listen"))
            self._awake.set()
            self._jobs_awake.set()
            self._scaling_awake.set()
            self._deliveries.wake()

    async def _keep_tables(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            await self._attempts.run("tables", "looking at the tables", self._keeper.start_due)
            pause = min(self._keeper.pause(), self._tables_seconds)
            await _wait(self._awake, max(pause, self._attempts.pause("tables")))

    async def _run_jobs(self, jobs: JobRunner) -> None:
        while not self._stopping.is_set():
            self._jobs_awake.clear()
            await self._attempts.run("jobs", "looking at the jobs", jobs.start_due)
            pause = min(jobs.pause(), self._tables_seconds)
            await _wait(self._jobs_awake, max(pause, self._attempts.pause("jobs")))

    async def _scale(self, scaling: Scaling) -> None:
        while not self._stopping.is_set():
            self._scaling_awake.clear()
            await self._attempts.run("scaling", "scaling tables", scaling.run_once)
            await _wait(self._scaling_awake, max(scaling.pause(), self._attempts.pause("scaling")))

    async def _repeat(self, chore: _Chore) -> None:
        while not self._stopping.is_set():
            started = self._monotonic()
            await self._attempts.run(chore.name, chore.name, chore.run_once)
            took = self._monotonic() - started
            await _wait(self._stopping, max(chore.pause, took, self._attempts.pause(chore.name)))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
