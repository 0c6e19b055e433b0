"""Locks between the processes of one server: whose turn it is to write, and who does the upkeep.

All are `flock`s on files of their own, never SQLite's: the kernel lets go of them when their holder dies, however
it dies, and nobody needs a time-out or a clean-up. A `flock` belongs to the open file, so two stores in one
process exclude each other like two processes. Knows nothing of SQLite.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from blotter.database.storage.data_directory import open_lock_file, try_lock


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


class TurnLock:
    """The turn to write, passed fairly between processes.

    Two files: whoever wants the turn takes the door first, then the turn, then lets go of the door. One who just
    gave up the turn finds the door shut by the one who waits, so two busy processes alternate instead of one
    taking the lock again before the other has woken up.
    """

    def __init__(self, directory: Path) -> None:
        self._door = open_lock_file(directory / "door.lock")
        self._turn = open_lock_file(directory / "turn.lock")

    def try_acquire(self) -> bool:
        """Takes the turn if nobody has it and nobody waits. Two system calls, never blocks."""
        if not try_lock(self._door):
            return False
        taken = try_lock(self._turn)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        return taken

    def acquire(self) -> None:
        """Waits for the turn; for a thread."""
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        fcntl.flock(self._door, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def others_wait(self) -> bool:
        """Whether another process stands at the door, as the holder asks."""
        if not try_lock(self._door):
            return True
        fcntl.flock(self._door, fcntl.LOCK_UN)
        return False

    def release(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._door)
        os.close(self._turn)
