"""Reads that compute for long: one after another on a thread, each over a snapshot of a connection kept for them.

Thread and connection are made at the first such read. Between two large values the thread lets the event loop
serve others (`work_thread`). A snapshot lasts as long as its handler; the WAL cannot be started over meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import apsw

from blotter.database.storage.protocol import ReadTransaction, Settled, StorageUnavailable
from blotter.database.storage.sqlite.checksums import error_text
from blotter.database.storage.sqlite.snapshots import PooledReader
from blotter.database.work_thread import WorkThread, let_serve

MAX_WAITING = 1000
"""A client waits rather than getting an error; those that give up cost nothing."""


class LongReads:
    """The queue of a process's long reads. Only `_run` uses the connection, on the thread."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._thread: WorkThread | None = None
        self._reader: PooledReader | None = None
        self._waiting = 0

    def submit(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[[ReadTransaction], Any], settled: Settled
    ) -> None:
        if self._waiting >= MAX_WAITING:
            raise StorageUnavailable("too many long reads are waiting")
        if self._thread is None:
            self._thread = WorkThread("storage-long-reads", computes=True)
        self._waiting += 1
        result: list[Any] = []

        def done(error: BaseException | None) -> None:
            self._waiting -= 1
            settled(result[0] if error is None else None, error)

        self._thread.run(loop, lambda: result.append(self._run(loop, handler)), done)

    def close(self) -> None:
        """Returns when the last one has ended."""
        if self._thread is not None:
            self._thread.stop()
        self._discard()

    def _run(self, loop: asyncio.AbstractEventLoop, handler: Callable[[ReadTransaction], Any]) -> Any:
        try:
            if self._reader is None:
                self._reader = PooledReader(self._connect())
            self._reader.begin()
            self._reader.let_serve = partial(let_serve, loop)
            try:
                return handler(self._reader)
            finally:
                self._reader.end()
        except apsw.Error as error:
            self._discard()
            raise StorageUnavailable(error_text(error)) from error

    def _discard(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
