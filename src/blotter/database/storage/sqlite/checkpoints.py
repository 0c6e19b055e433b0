"""Checkpoints: when the WAL's pages are copied into the database file, and how the WAL stays bounded.

SQLite's automatic checkpoints run inside some client's commit; ours run in a thread of their own, on a connection
of its own, beside commits and reads. The stages, by the WAL's length:

    STEP_BYTES more than at the last one   a passive checkpoint in the background; no request waits
    LIMIT_BYTES    the WAL grows although it is copied: a passive one under the write lock, between two batches,
                   where nothing is added meanwhile, so that the next writer can start the WAL over; once those in
                   the background, one after another, have left little to copy, or at twice that length
    HARD_BYTES     snapshots keep the WAL from being started over: they all end, in every process, and one
                   checkpoint under the write lock waits for the last of them. If that does not help either,
                   another program reads the file; the log gets a line
    idle           after IDLE_SECONDS without a commit, everything is copied
    full disk      after every commit, under the write lock, everything is copied and the WAL's file cut to nothing

On a disk that is nearly full, the lengths are those that the reserve has room for (`reserve`).

The WAL's file stays and is written over from its start: a commit that need not make its file longer is synced
nearly twice as fast. What the hard stage made longer is cut back to LIMIT_BYTES by SQLite. A checkpoint that fails
loses nothing: the pages are in the WAL, synced, and the next one copies them again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

import apsw

from blotter.database.storage.sqlite.checksums import error_text
from blotter.database.storage.sqlite.reserve import DiskReserve
from blotter.database.storage.sqlite.schema import PAGE_SIZE
from blotter.database.work_thread import Work, WorkThread

STEP_BYTES = 8 << 20
LIMIT_BYTES = 32 << 20
LITTLE_BYTES = 1 << 20
"""What may be copied while all writers wait."""
HARD_BYTES = 512 << 20
IDLE_SECONDS = 3.0
WAIT_FOR_READERS_MS = 2000
WAIT_WHEN_FULL_MS = 200
WARNING_SECONDS = 60.0
"""Between two warnings that the WAL cannot be started over."""

log = logging.getLogger(__name__)


class _Limits(NamedTuple):
    """Lengths of the WAL in pages."""

    step: int
    limit: int
    hard: int


def _limits(step: int, limit: int, hard: int) -> _Limits:
    return _Limits(*(max(size // PAGE_SIZE, 1) for size in (step, limit, hard)))


def _usual_limits() -> _Limits:
    return _limits(STEP_BYTES, LIMIT_BYTES, HARD_BYTES)


class Checkpoints:
    """The checkpoint policy of one process. `note_commit` is SQLite's WAL hook and runs in the committing thread;
    methods that run in a thread are marked; everything else runs on the loop."""

    def __init__(
        self,
        connection: apsw.Connection,
        thread: WorkThread,
        monotonic: Callable[[], float],
        end_snapshots: Callable[[], None],
        reserve: DiskReserve,
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._monotonic = monotonic
        self._end_snapshots = end_snapshots
        self._reserve = reserve
        self._limits = _usual_limits()
        self._wal_pages = 0
        self._next_at = 0
        self._running = False
        self._one_at_a_time = Lock()
        """Guards the connection: threads make checkpoints, and the loop looks at the WAL's length."""
        self._warned_at = -WARNING_SECONDS
        self._last_commit = monotonic()
        self._copied_all = False
        self._copied_pages = 0
        self._plan_next(0)
        connection.set_busy_timeout(0)

    def note_commit(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:  # the WAL was started over
            self._plan_next(0)
        self._wal_pages = pages
        self._last_commit = self._monotonic()
        self._copied_all = False
        return apsw.SQLITE_OK

    def last_commit(self) -> float:
        """When this process has committed last, by the monotonic clock."""
        return self._last_commit

    def needs_lock(self) -> bool:
        """Whether `after_commit` would return work. For the committing thread too."""
        return self._is_due() and (self._reserve.is_full() or self._must_stop_writers())

    def after_commit(self, locked: bool) -> Work | None:
        """Starts a checkpoint if one is due, or, if the write lock is still held, returns one that is to be made
        in a thread under the lock."""
        if not self._is_due():
            return None
        work = self._work_under_lock() if locked else None
        self._plan_next(self._wal_pages)
        if work is None:
            self._copy_in_background()
        else:
            self._running = True
        return work

    def _is_due(self) -> bool:
        return not self._running and (self._wal_pages >= self._next_at or self._reserve.is_full())

    def _work_under_lock(self) -> Work | None:
        if self._reserve.is_full():
            self._end_snapshots()
            return self._truncate_when_due
        if not self._must_stop_writers():
            return None
        if self._wal_pages >= self._limits.hard:
            self._end_snapshots()
            return self._wait_and_copy
        return self.copy

    def _must_stop_writers(self) -> bool:
        """Whether the next checkpoint is to be made under the write lock. In the committing thread too."""
        limit = self._limits.limit
        if self._wal_pages < limit:
            return False
        return self._wal_pages >= 2 * limit or self._pages_to_copy() <= LITTLE_BYTES // PAGE_SIZE

    def _pages_to_copy(self) -> int:
        lengths = self._lengths()
        return self._wal_pages if lengths is None else lengths[0] - lengths[1]

    def _lengths(self) -> tuple[int, int] | None:
        """How many pages the WAL has, and how many of them were copied; None while another connection is at work
        on it."""
        if not self._one_at_a_time.acquire(blocking=False):
            return None
        try:
            return self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        except apsw.Error:
            return None
        finally:
            self._one_at_a_time.release()

    def make_room(self) -> Work:
        """When the disk has turned out to be full: work that copies the WAL and cuts its file to nothing."""
        self._reserve.release()
        self._end_snapshots()
        return self._truncate

    def limit(self, reserve: int | None) -> None:
        """Keeps the WAL so short that what is not yet copied fits into the reserve, on a disk that is nearly full;
        None for no such limit."""
        self._limits = _usual_limits() if reserve is None else _limits(reserve // 16, reserve // 8, reserve // 4)
        self._next_at = min(self._next_at, self._wal_pages + self._limits.step)

    def relieve(self) -> None:
        """Ends this process's snapshots when the WAL is past the hard limit, whichever process wrote it."""
        lengths = self._lengths()
        if lengths is not None and (lengths[0] >= self._limits.hard or self._reserve.is_full()):
            self._end_snapshots()

    def when_idle(self) -> None:
        """Copies what is left in the WAL, in the background, when nothing has been committed for a while."""
        if not self._copied_all and not self._running and self._monotonic() - self._last_commit >= IDLE_SECONDS:
            self._copy_in_background()

    def copy(self) -> None:
        """For a thread: copies what can be copied without waiting."""
        try:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
        finally:
            self._running = False

    def _copy_beside_writers(self) -> None:
        before = self._copied_pages
        try:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
            if self._wal_pages >= self._limits.limit:
                # What was written meanwhile comes next; if a snapshot was in the way, not before there is more.
                little = LITTLE_BYTES // PAGE_SIZE
                goes_on = self._copied_pages != before or self._wal_pages - self._copied_pages <= little
                self._next_at = 0 if goes_on else self._wal_pages + little
        finally:
            self._running = False

    def _wait_and_copy(self) -> None:
        try:
            if not self._checkpoint(apsw.SQLITE_CHECKPOINT_RESTART, WAIT_FOR_READERS_MS):
                self._warn()
        finally:
            self._running = False

    def _truncate_when_due(self) -> None:
        try:
            self._truncate()
        finally:
            self._running = False

    def _truncate(self) -> None:
        self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE, WAIT_WHEN_FULL_MS)

    def _copy_in_background(self) -> None:
        self._running = True
        self._thread.run(asyncio.get_running_loop(), self._copy_beside_writers, lambda _: None)

    def _warn(self) -> None:
        if self._monotonic() - self._warned_at >= WARNING_SECONDS:
            self._warned_at = self._monotonic()
            log.warning(
                "the write-ahead log has %d MB and cannot be started over: another program reads the database "
                "file in one long transaction. End that program, or the disk will fill up",
                self._wal_pages * PAGE_SIZE >> 20,
            )

    def _plan_next(self, wal_pages: int) -> None:
        self._next_at = wal_pages + self._limits.step

    def _checkpoint(self, mode: int, wait_ms: int = 0) -> bool:
        """One checkpoint, which waits so long for readers; returns whether it did all that its mode requires.
        Whatever goes wrong is logged, and the next one tries again. For any thread, one after another."""
        with self._one_at_a_time:
            return self._checkpoint_now(mode, wait_ms)

    def _checkpoint_now(self, mode: int, wait_ms: int) -> bool:
        try:
            self._connection.set_busy_timeout(wait_ms)
            pages, copied = self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:  # another process is at it, or a reader is in the way
            return False
        except apsw.Error as error:
            log.warning("checkpoint failed: %s", error_text(error))
            if isinstance(error, apsw.FullError):
                self._reserve.release()
            return False
        except Exception:
            log.exception("checkpoint failed")
            return False
        self._copied_pages = copied
        self._copied_all = pages == copied
        return True
