"""Locks between the processes of one server: which may write, and which does the upkeep.

All are `flock`s on files of their own, never SQLite's: the kernel releases them when their holder dies, however it
dies, so nobody needs a time-out or a clean-up. A `flock` belongs to the open file, so two stores in one process
exclude each other like two processes. Knows nothing of SQLite.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from blotter.database.storage.data_directory import open_lock_file, try_lock

WRITE_LOCK = "write.lock"
QUEUE_LOCK = "write-queue.lock"


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

    Made before they fork, it lives as long as the server. A notification is only a hint: one that nobody receives,
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
        with suppress(BlockingIOError):  # full of notifications that nobody received
            os.write(self._sender, b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._receiver, 4096)

    def close(self) -> None:
        os.close(self._receiver)
        os.close(self._sender)


class WriteLock:
    """The right to write, passed fairly between processes.

    Two files. A process that wants to write takes the queue lock first, then the write lock, then releases the
    queue lock. A process that has just released the write lock finds the queue lock held by the one that waits, so
    two busy processes alternate instead of one taking the lock again before the other has woken up. There are two
    ways to wait: blocked in `acquire`, in a thread; or holding the queue lock (`is_next`) on an event loop, trying
    again (`try_acquire`) when the pipe `released` has a notification.
    """

    def __init__(self, directory: Path, released: NotificationPipe | None = None) -> None:
        self.released = released
        self.is_next = False
        """Whether this process holds the queue lock: it gets the write lock next, notified of its release."""
        self._queue = open_lock_file(directory / QUEUE_LOCK)
        self._write = open_lock_file(directory / WRITE_LOCK)

    def try_acquire(self) -> bool:
        """Takes the lock if nobody holds it and nobody is next; otherwise becomes the next if nobody is. Never
        blocks."""
        if not self.is_next:
            if not try_lock(self._queue):
                return False
            self.is_next = True
        if not try_lock(self._write):
            return False
        self._leave_queue()
        return True

    def acquire(self) -> None:
        """Waits for the lock; for a thread."""
        if not self.is_next:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            self.is_next = True
        fcntl.flock(self._write, fcntl.LOCK_EX)
        self._leave_queue()

    def stop_waiting(self) -> None:
        """Releases the queue lock if this process holds it: nobody else gets past the one that is next."""
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

    def _leave_queue(self) -> None:
        self.is_next = False
        fcntl.flock(self._queue, fcntl.LOCK_UN)
