"""Locks between the processes of one server: whose turn it is to write, and who does the upkeep.

All are `flock`s on files of their own, never SQLite's: the kernel lets go of them when their holder dies, however
it dies, and nobody needs a time-out or a clean-up. A `flock` belongs to the open file, so two stores in one
process exclude each other like two processes. Knows nothing of SQLite.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
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


class TurnBell:
    """Rings for the process at the door when the turn is given up: a pipe that all processes of a server share.

    Made before they fork, it lives as long as the server. Only a hint: whoever hears it tries the turn; a ring
    nobody hears, or one too many, is harmless.
    """

    def __init__(self) -> None:
        self._hear, self._ring = os.pipe()
        for end in (self._hear, self._ring):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        """What turns readable when it rings."""
        return self._hear

    def ring(self) -> None:
        with suppress(BlockingIOError):  # full of rings that nobody heard
            os.write(self._ring, b"!")

    def hush(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._hear, 4096)


class TurnLock:
    """The turn to write, passed fairly between processes.

    Two files: whoever wants the turn takes the door first, then the turn, then lets go of the door. One who just
    gave up the turn finds the door shut by the one who waits, so two busy processes alternate instead of one
    taking the lock again before the other has woken up. There are two ways to wait: blocked in `acquire`, in a
    thread; or at the door (`at_door`) for the bell, on an event loop, trying again (`try_acquire`) when it rings.
    """

    def __init__(self, directory: Path, bell: TurnBell | None = None) -> None:
        self.bell = bell
        self.at_door = False
        """Whether this process stands at the door: the next turn is its own, and the bell rings for it."""
        self._door = open_lock_file(directory / "door.lock")
        self._turn = open_lock_file(directory / "turn.lock")

    def try_acquire(self) -> bool:
        """Takes the turn if nobody has it and nobody waits before us; otherwise stays at the door if that is free.
        Never blocks."""
        if not self.at_door:
            if not try_lock(self._door):
                return False
            self.at_door = True
        if not try_lock(self._turn):
            return False
        self._leave_door()
        return True

    def acquire(self) -> None:
        """Waits for the turn; for a thread."""
        if not self.at_door:
            fcntl.flock(self._door, fcntl.LOCK_EX)
            self.at_door = True
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        self._leave_door()

    def give_up(self) -> None:
        """Waits no longer: nobody else comes to the turn past one who stands at the door."""
        if self.at_door:
            self._leave_door()

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
        # Looked at after the turn is free: whoever came to the door later has tried the free turn.
        if self.bell is not None and self.others_wait():
            self.bell.ring()

    def close(self) -> None:
        os.close(self._door)
        os.close(self._turn)

    def _leave_door(self) -> None:
        self.at_door = False
        fcntl.flock(self._door, fcntl.LOCK_UN)
