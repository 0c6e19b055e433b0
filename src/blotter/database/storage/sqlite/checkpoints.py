"""Checkpoints: when the WAL's pages are copied into the database file, and how the WAL stays bounded.

SQLite's automatic checkpoints run inside some client's commit; ours run in a thread of their own, on a connection
of its own, beside commits and reads, as soon as the WAL has grown by `STEP_BYTES` (PASSIVE: nobody waits). Writers
start the WAL over when all of it has been copied and nobody reads from it. Under load that may not happen by
itself: past `LIMIT_BYTES` one checkpoint is made within the writer's turn, between two batches, where nothing can
be added meanwhile. When the store has rested for `IDLE_SECONDS` the WAL is copied and cut to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import apsw

from blotter.database.storage.sqlite.schema import PAGE_SIZE
from blotter.database.storage.sqlite.threads import WorkThread

STEP_BYTES = 8 << 20
LIMIT_BYTES = 64 << 20
IDLE_SECONDS = 3.0

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoint policy of one process. `note_commit` is SQLite's WAL hook and runs in the committing thread;
    everything else runs on the loop."""

    def __init__(self, connection: apsw.Connection, thread: WorkThread, monotonic: Callable[[], float]) -> None:
        self._connection = connection
        self._thread = thread
        self._monotonic = monotonic
        self._wal_pages = 0
        self._next_at = STEP_BYTES // PAGE_SIZE
        self._running = False
        self._last_commit = monotonic()
        self._truncated = False

    def note_commit(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:  # the WAL was started over
            self._next_at = STEP_BYTES // PAGE_SIZE
        self._wal_pages = pages
        self._last_commit = self._monotonic()
        self._truncated = False
        return apsw.SQLITE_OK

    def after_commit(self) -> Callable[[], None] | None:
        """Starts a checkpoint if one is due. Returns it instead when it is overdue: the WAL grows although it is
        being copied, and only a checkpoint between two batches, within the turn, will end that."""
        if self._running or self._wal_pages < self._next_at:
            return None
        self._running = True
        if self._wal_pages >= LIMIT_BYTES // PAGE_SIZE:
            return self._passive
        self._thread.run(asyncio.get_running_loop(), self._passive, lambda _: None)
        return None

    @property
    def is_idle(self) -> bool:
        return not self._truncated and not self._running and self._monotonic() - self._last_commit > IDLE_SECONDS

    def _passive(self) -> None:
        """Copies what can be copied without waiting for anybody. Blocks: for a thread."""
        self._next_at = self._wal_pages + STEP_BYTES // PAGE_SIZE
        self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._running = False

    def truncate(self) -> None:
        """Copies everything and cuts the WAL, if no reader is in the way. Blocks; within the turn only."""
        if self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE):
            self._wal_pages = 0
            self._next_at = STEP_BYTES // PAGE_SIZE
        self._truncated = True

    def _checkpoint(self, mode: int) -> bool:
        try:
            self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:  # another process is at it, or a reader is in the way
            return False
        except apsw.Error as error:
            # Nothing is lost: the pages are still in the WAL and the next checkpoint copies them again.
            log.warning("checkpoint failed: %s", error)
            return False
        return True
