"""Bulk work that gives way to those who write: slices that write, and rests of work that reads.

Slices are written on a connection of their own, whose commits wait for no sync.

The write-ahead log is one: whatever is synced later, by any process, makes what lies before it durable, and after
a crash all of a slice is there or nothing from it on. So a slice holds the write lock for as long as it works, and
not for a sync as well, and others lose little time to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import apsw

from blotter.database.storage.coroutines import submit_and_wait
from blotter.database.storage.protocol import Settled, WriteTransaction
from blotter.database.storage.slices import LONGEST_REST, REMEMBERED_SECONDS, SliceWriter
from blotter.database.storage.sqlite.batches import Batches
from blotter.database.storage.sqlite.locks import WriteLock
from blotter.database.storage.submission import Handler, Submission

T = TypeVar("T")

SLICE_SECONDS: Final = 0.0005
"""How long a slice works while others write: it holds the lock for about twice as long, with its commit."""
REST: Final = 4.0
"""How many times as long as a slice took they have then, until the next one."""
READING_REST: Final = 2.0
"""The same for work that reads: it holds no lock, and is in the way of others with its processor time alone."""


class OthersCommits:
    """The commits of other connections, of any process, as one connection sees them. Nothing is new before the
    first question."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._cursor = connection.cursor()
        self._seen = self._version()

    def are_new(self) -> bool:
        """Whether there is one since the last time."""
        version = self._version()
        seen, self._seen = self._seen, version
        return version != seen

    def _version(self) -> int:
        return int(self._cursor.execute("PRAGMA data_version").get)


class BulkWrites:
    """The slices of one process. `connection` and `lock` are those of `batches`, and closed with it."""

    def __init__(
        self, connection: apsw.Connection, lock: WriteLock, batches: Batches, monotonic: Callable[[], float]
    ) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        self.batches = batches
        self._connection = connection
        self._lock = lock
        others = OthersCommits(connection)
        slices = SliceWriter(self._write, lambda _: others.are_new(), SLICE_SECONDS, REST, monotonic)
        self.write_slice = slices.write

    def close(self) -> None:
        self._connection.close(True)
        self._lock.close()

    async def _write(self, handler: Callable[[WriteTransaction], T]) -> T:
        return await submit_and_wait(self._submit, handler)

    def _submit(self, handler: Handler, settled: Settled) -> Submission:
        return self.batches.submit(handler, settled, asyncio.get_running_loop())


class Rests:
    """The rests of long work that reads, one for all such work of a process. `connection` is one of the process
    that does not write; `last_commit` says when the process has committed last, by the clock `monotonic`."""

    def __init__(
        self, connection: apsw.Connection, last_commit: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._others = OthersCommits(connection)
        self._last_commit = last_commit
        self._monotonic = monotonic
        self._rested = self._others_until = monotonic()

    async def rest(self) -> None:
        """Sleeps, if other processes have written lately, for a time that depends on how long the last rest is
        ago."""
        now = self._monotonic()
        # What this process has written itself, as the progress of the work, is of another connection too.
        if self._others.are_new() and self._last_commit() < self._rested:
            self._others_until = now + REMEMBERED_SECONDS
        if now < self._others_until:
            await asyncio.sleep(min(READING_REST * (now - self._rested), LONGEST_REST))
        self._rested = self._monotonic()
