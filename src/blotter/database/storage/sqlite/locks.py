"""Locks between the processes of one server: which may write, and which does the upkeep.

All are `flock`s on files of their own, never SQLite's: the kernel releases them when their holder dies, however it
dies, so no time-out and no clean-up is needed. A `flock` belongs to the open file, so two stores in one process
exclude each other like two processes. Independent of SQLite.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blotter.database.storage.data_directory import open_lock_file, try_lock

WRITE_LOCK = "write.lock"
QUEUE_LOCK = "write-queue.lock"

RETRY_SECONDS = 0.001
"""How long to wait before trying again without a notification. Notifying the others that no process is next any
more, through a pipe, took 5 % more CPU time for a PutItem."""
PATIENCE_SECONDS = 0.005
"""How long the write lock may be free before the process that is next for it counts as late."""
PASSING_SECONDS = 0.02
"""How long others pass a late process before they give it another chance."""


class FileLock:
    """A lock held or not, for work that only one process needs to do."""

    def __init__(self, path: Path) -> None:
        self._descriptor = open_lock_file(path)
        self.held = False

    def try_acquire(self) -> bool:
        self.held = self.held or try_lock(self._descriptor)
        return self.held

    def close(self) -> None:
        os.close(self._descriptor)
        self.held = False


class NotificationPipe:
    """Notifies another process that something happened: a pipe that all processes of a server share.

    Made before they fork, it lives as long as the server. A notification is only a hint: one that is not received,
    or one too many, is harmless.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = os.pipe()
        for end in (self._receiver, self._sender):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        """The end that becomes readable with a notification."""
        return self._receiver

    def notify(self) -> None:
        with suppress(BlockingIOError):  # full of notifications that were not received
            os.write(self._sender, b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._receiver, 4096)

    def close(self) -> None:
        os.close(self._receiver)
        os.close(self._sender)


class WriteLock:
    """The right to write, passed fairly between processes.

    Two files. A process that wants to write takes the queue lock first (it `is_next`), then the write lock, then
    releases the queue lock. A process that has just released the write lock finds the queue lock held by the one
    that waits, so two busy processes alternate instead of one taking the lock again before the other has woken up.
    A process waits on its event loop: it calls `try_acquire` again when it is next and the pipe `released` has a
    notification, and every RETRY_SECONDS without one: the queue may be free, and a process that dies notifies
    nobody.

    No process waits for one that does not come. The one that is next may have been stopped, or its loop may be
    busy. If the others find the write lock free after PATIENCE_SECONDS, they take it without the queue lock, and
    do so for up to PASSING_SECONDS; then the one that is next gets another chance.
    """

    def __init__(
        self,
        directory: Path,
        released: NotificationPipe | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_next = False
        """Whether this process holds the queue lock."""
        self.released = released
        self._monotonic = monotonic
        self._late_at: float | None = None
        """When the process that is next becomes late, as this one sees it. None while this one does not wait."""
        self._queue = open_lock_file(directory / QUEUE_LOCK)
        self._write = open_lock_file(directory / WRITE_LOCK)

    def try_acquire(self) -> bool:
        """Takes the lock if it is free and no other process is next, or the one that is next is late. Otherwise
        becomes the next if none is. Never blocks."""
        if not self.is_next:
            if not try_lock(self._queue):
                return self._try_passing()
            self.is_next = True
            self._late_at = None
        if not try_lock(self._write):
            return False
        self._leave_queue()
        return True

    def acquire(self) -> None:
        """Waits for the lock; for the time before there is a loop."""
        while not self.try_acquire():
            time.sleep(RETRY_SECONDS)

    def stop_waiting(self) -> None:
        """Releases the queue lock if this process holds it."""
        self._late_at = None
        if self.is_next:
            self._leave_queue()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def others_wait(self) -> bool:
        """Whether another process waits; for the holder."""
        if not try_lock(self._queue):
            return True
        fcntl.flock(self._queue, fcntl.LOCK_UN)
        return False

    def release(self) -> None:
        fcntl.flock(self._write, fcntl.LOCK_UN)
        # Checked after the release: a process that comes to wait later has tried the free lock.
        if self.released is not None and self.others_wait():
            self.released.notify()

    def close(self) -> None:
        os.close(self._queue)
        os.close(self._write)

    def _try_passing(self) -> bool:
        """Takes the write lock past the process that is next, if that one is late."""
        now = self._monotonic()
        if self._late_at is None or now >= self._late_at + PASSING_SECONDS:
            self._late_at = now + PATIENCE_SECONDS
        if now < self._late_at:
            return False
        if try_lock(self._write):
            return True
        self._late_at = now + PATIENCE_SECONDS  # another process writes: the next one cannot yet
        return False

    def _leave_queue(self) -> None:
        self.is_next = False
        fcntl.flock(self._queue, fcntl.LOCK_UN)
