"""Runs the jobs that requests have started (`copies.jobs`), each as a task of its own, a few at a time.

A job that fails is tried again by itself (`attempts`), from what it has saved; one that returns without having
ended is run again at once. What runs when the process is killed is found by the next one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

from blotter.database.background.attempts import Attempts
from blotter.database.background.running_jobs import RunningJobs
from blotter.database.copies.jobs import Job, Tools, all_jobs, run_of

_JobKey = tuple[str, str]

MOST_AT_ONCE = 4
"""Further jobs wait: each may take memory and work of its own."""


class JobRunner:
    """`finished` is called when a job has stopped: another one may start, or the same again."""

    def __init__(
        self,
        tools: Tools,
        monotonic: Callable[[], float] = time.monotonic,
        attempts: Attempts | None = None,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._tools = tools
        self._monotonic = monotonic
        self._attempts = Attempts(monotonic) if attempts is None else attempts
        self._running = RunningJobs[_JobKey](self._attempts, lambda _key, _canceled: finished())
        self._due = math.inf

    async def run_once(self) -> bool:
        """Runs all that is due now; returns whether there was anything."""
        started = await self.start_due()
        await self.finish()
        return started > 0

    async def start_due(self) -> int:
        """Starts the jobs that may run and do not; returns how many."""
        self._due = math.inf
        started = 0
        for job in await self._tools.storage.fetch(all_jobs):
            key = ("job", job.id)
            if key in self._running or len(self._running) >= MOST_AT_ONCE:
                continue
            if not self._attempts.may_run(key):
                self._due = min(self._due, self._monotonic() + self._attempts.pause(key))
                continue
            self._running.start(key, f"job {job.id}", partial(self._run, job))
            started += 1
        return started

    def pause(self) -> float:
        """Seconds until a job that failed may be tried again; infinity for never."""
        return max(0.0, self._due - self._monotonic())

    async def finish(self) -> None:
        """Returns when the jobs that run now have stopped."""
        await self._running.finish()

    async def stop(self) -> None:
        """Cancels what runs."""
        await self._running.stop()

    async def _run(self, job: Job) -> None:
        await run_of(job.kind)(job, self._tools)
