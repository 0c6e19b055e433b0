"""Slices of bulk work: on a connection of their own, whose commits wait for no sync.

The write-ahead log is one: whatever is synced later, by any process, makes what lies before it durable, and after
a crash all of a slice is there or nothing from it on. So a slice holds the write lock for as long as it works, and
not for a sync as well, and others lose little time to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import apsw

from blotter.database.storage.coroutines import submit_and_wait
from blotter.database.storage.protocol import Settled, WriteTransaction
from blotter.database.storage.slices import SliceWriter
from blotter.database.storage.sqlite.batches import Batches
from blotter.database.storage.sqlite.locks import WriteLock
from blotter.database.storage.submission import Handler, Submission

T = TypeVar("T")

SLICE_SECONDS: Final = 0.0005
"""How long a slice works while others write: it holds the lock for about twice as long, with its commit."""
REST: Final = 4.0
"""How many times as long as a slice took they have then, until the next one."""


class BulkWrites:
    """The slices of one process. `connection` and `lock` are those of `batches`, and closed with it."""

    def __init__(
        self, connection: apsw.Connection, lock: WriteLock, batches: Batches, monotonic: Callable[[], float]
    ) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        self.batches = batches
        self._connection = connection
        self._lock = lock
        self._version = connection.cursor()
        self._seen: object = None
        slices = SliceWriter(self._write, lambda _: self._others_wrote(), SLICE_SECONDS, REST, monotonic)
        self.write_slice = slices.write

    def close(self) -> None:
        self._connection.close(True)
        self._lock.close()

    async def _write(self, handler: Callable[[WriteTransaction], T]) -> T:
        return await submit_and_wait(self._submit, handler)

    def _submit(self, handler: Handler, settled: Settled) -> Submission:
        return self.batches.submit(handler, settled, asyncio.get_running_loop())

    def _others_wrote(self) -> bool:
        """Within a transaction: whether another connection, of any process, has committed since the last time."""
        version: Any = self._version.execute("PRAGMA data_version").get
        seen, self._seen = self._seen, version
        return bool(version != seen)
