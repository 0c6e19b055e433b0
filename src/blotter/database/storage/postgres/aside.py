"""Reads that compute for long: one after another on a thread, with an event loop and a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from blotter.database.storage.aside import LongReadQueue
from blotter.database.storage.postgres.connections.pool import Connections
from blotter.database.storage.postgres.snapshots import SnapshotReads
from blotter.database.storage.protocol import ReadTransaction, Settled


class LongReads:
    """The long reads of a process. `reads`, over `connections` of their own, are used on the thread only. So are
    the proofs of what they read: whatever waits belongs to an event loop."""

    def __init__(self, reads: SnapshotReads, connections: Connections) -> None:
        self._reads = reads
        self._connections = connections
        self._queue = LongReadQueue()
        self._runner: asyncio.Runner | None = None

    def submit(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self._queue.submit(asyncio.get_running_loop(), lambda: self._run(handler), settled)

    def _run(self, handler: Callable[[ReadTransaction], Any]) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._reads.run(handler))

    async def close(self) -> None:
        """Returns when the last one has ended."""
        await self._queue.stop_after(self._close)

    def _close(self) -> None:
        if self._runner is not None:
            self._runner.run(self._reads.close())
            self._runner.run(self._connections.close())
            self._runner.close()
            self._runner = None
