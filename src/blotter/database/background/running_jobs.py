"""Jobs under way: each is a task of its own, which is done once at a time and tried again by `Attempts`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from blotter.database.background.attempts import Attempts

K = TypeVar("K", bound=Hashable)


class RunningJobs(Generic[K]):
    """The jobs that run, by key. `ended` is called after each, with its key and whether it was canceled."""

    def __init__(self, attempts: Attempts, ended: Callable[[K, bool], None]) -> None:
        self._attempts = attempts
        self._ended = ended
        self._tasks: dict[K, asyncio.Task[bool]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        return key in self._tasks

    def start(self, key: K, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Starts a job that does not run yet; `name` is for the log."""
        task = asyncio.get_running_loop().create_task(self._attempts.run(key, name, work))
        self._tasks[key] = task
        task.add_done_callback(partial(self._remove, key))

    async def finish(self) -> None:
        """Returns when all that run now have ended."""
        await asyncio.gather(*self._tasks.values())

    async def stop(self) -> None:
        """Cancels all that run, and returns when they have ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _remove(self, key: K, task: asyncio.Task[bool]) -> None:
        del self._tasks[key]
        self._ended(key, task.cancelled())
