"""Reads that compute for long: one after another on a thread, with an event loop and a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from blotter.database.storage.postgres.snapshots import SnapshotReads
from blotter.database.storage.protocol import ReadTransaction, Settled, StorageUnavailable
from blotter.database.work_thread import WorkThread

MAX_WAITING = 1000
"""A client waits rather than getting an error; those that give up cost nothing."""


class LongReads:
    """The queue of a process's long reads. `reads` is used on the thread only."""

    def __init__(self, reads: SnapshotReads) -> None:
        self._reads = reads
        self._thread: WorkThread | None = None
        self._runner: asyncio.Runner | None = None
        self._waiting = 0

    def submit(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        if self._waiting >= MAX_WAITING:
            raise StorageUnavailable("too many long reads are waiting")
        if self._thread is None:
            self._thread = WorkThread("storage-long-reads", computes=True)
        self._waiting += 1
        result: list[Any] = []

        def done(error: BaseException | None) -> None:
            self._waiting -= 1
            settled(result[0] if error is None else None, error)

        self._thread.run(asyncio.get_running_loop(), lambda: result.append(self._run(handler)), done)

    def _run(self, handler: Callable[[ReadTransaction], Any]) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._reads.run(handler))

    async def close(self) -> None:
        """Returns when the last one has ended."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.call(self._close)
            thread.leave()

    def _close(self) -> None:
        if self._runner is not None:
            self._runner.run(self._reads.close())
            self._runner.close()
            self._runner = None
