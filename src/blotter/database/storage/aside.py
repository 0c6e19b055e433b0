"""The queue of reads that compute for long: one after another on a thread, which is made for the first of them.

Each engine has one, and says how a handler runs on the thread. Between two large values the thread lets the event
loop serve others (`work_thread`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from blotter.database.storage.protocol import Settled, StorageUnavailable
from blotter.database.work_thread import WorkThread

MAX_WAITING = 1000
"""A client waits rather than getting an error; those that give up cost nothing."""


class LongReadQueue:
    """The long reads of a process that wait or run."""

    def __init__(self) -> None:
        self._thread: WorkThread | None = None
        self._waiting = 0

    def submit(self, loop: asyncio.AbstractEventLoop, read: Callable[[], Any], settled: Settled) -> None:
        """Calls `read` on the thread, then `settled` on the loop with what it returned or raised. Raises
        StorageUnavailable when too many wait."""
        if self._waiting >= MAX_WAITING:
            raise StorageUnavailable("too many long reads are waiting")
        if self._thread is None:
            self._thread = WorkThread("storage-long-reads", computes=True)
        self._waiting += 1
        result: list[Any] = []

        def done(error: BaseException | None) -> None:
            self._waiting -= 1
            settled(result[0] if error is None else None, error)

        self._thread.run(loop, lambda: result.append(read()), done)

    def stop(self) -> None:
        """Returns when the last one has ended."""
        if self._thread is not None:
            self._thread.stop()

    async def stop_after(self, last: Callable[[], object]) -> None:
        """Calls `last` on the thread, if there is one, after the last read, and ends the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.call(last)
            thread.leave()
