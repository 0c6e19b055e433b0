"""Runs the jobs that requests have started (`copies.jobs`), each as a task of its own, a few at a time.

A job that fails is tried again by itself (`attempts`), from what it has saved; one that returns without having
ended is run again at once. What runs when the process is killed is found by the next one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial

from blotter.database.background.attempts import Attempts
from blotter.database.copies.jobs import Job, Tools, all_jobs, run_of

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
        self._finished = finished
        self._running: dict[str, asyncio.Task[bool]] = {}
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
            if job.id in self._running or len(self._running) >= MOST_AT_ONCE:
                continue
            if not self._attempts.may_run(_key(job)):
                self._due = min(self._due, self._monotonic() + self._attempts.pause(_key(job)))
                continue
            name = f"job {job.id}"
            work = partial(self._run, job)
            task = asyncio.get_running_loop().create_task(self._attempts.run(_key(job), name, work))
            self._running[job.id] = task
            task.add_done_callback(partial(self._ended, job.id))
            started += 1
        return started

    def pause(self) -> float:
        """Seconds until a job that failed may be tried again; infinity for never."""
        return max(0.0, self._due - self._monotonic())

    async def finish(self) -> None:
        """Returns when the jobs that run now have stopped."""
        await asyncio.gather(*self._running.values())

    async def stop(self) -> None:
        """Cancels what runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        await run_of(job.kind)(job, self._tools)

    def _ended(self, job_id: str, _: asyncio.Task[bool]) -> None:
        del self._running[job_id]
        self._finished()


def _key(job: Job) -> tuple[str, str]:
    return "job", job.id
