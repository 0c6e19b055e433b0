"""Reads that compute for long: one after another on a thread, each over a snapshot of a connection kept for them.

The connection is made at the first such read. A snapshot lasts as long as its handler; the WAL cannot be started
over meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import apsw

from blotter.database.storage.aside import LongReadQueue
from blotter.database.storage.protocol import ReadTransaction, Settled, StorageUnavailable
from blotter.database.storage.sqlite.checksums import error_text
from blotter.database.storage.sqlite.snapshots import PooledReader
from blotter.database.work_thread import let_serve


class LongReads:
    """The long reads of a process. Only `_run` uses the connection, on the thread."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._queue = LongReadQueue()
        self._reader: PooledReader | None = None

    def submit(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[[ReadTransaction], Any], settled: Settled
    ) -> None:
        self._queue.submit(loop, lambda: self._run(loop, handler), settled)

    def close(self) -> None:
        """Returns when the last one has ended."""
        self._queue.stop()
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
