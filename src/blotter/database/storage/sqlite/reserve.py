"""Room that is kept for deletions: when the disk is full, a server can be led out of it from inside.

SQLite needs room to delete as well: a deletion is appended to the write-ahead log (WAL), and the WAL can be begun
again only once its pages are copied into the file, which may have to grow for them. So on a disk nearly full:

- A file in the data directory, `reserve`, takes room and contains nothing. Others cannot fill that.
- The database file does not grow into the room that the WAL needs (`Nearly.most_pages`), and the WAL is kept so
  short that what is not yet copied fits into the reserve (`checkpoints`).

- What else is written beside the database asks how much can be spared (`spare`), and keeps its own reserve.

When a write does not find room, the reserve is removed, and all processes of the server accept only what needs no
more room (`writing.Writer`). The reserve is made again, and everything accepted, when others have made room, or
when deletions have left room inside the database file, which never shrinks. Whether the disk counts as full is a
byte of memory that the processes share, so that all know it at once.
"""

from __future__ import annotations

import logging
import mmap
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blotter.database.durable_files import allocate
from blotter.database.storage.sqlite.schema import PAGE_SIZE

log = logging.getLogger(__name__)

FILE_NAME = "reserve"
MOST_BYTES = 16 << 20
LARGEST_SHARE = 16
"""The reserve is at most this part of a small disk."""
WAL_SHARE = 2
"""The room that is kept for the WAL is this part of the reserve."""
WARNING_SECONDS = 60.0
"""Between two lines in the log of one process that the disk is full."""
NEAR_RESERVES = 64
"""The disk is nearly full when less than so many reserves are free."""


class Room(NamedTuple):
    """Of a file system, in bytes."""

    total: int
    free: int


class Nearly(NamedTuple):
    """What must hold while the disk is nearly full."""

    reserve: int
    """Bytes that the reserve has, or should have."""
    most_pages: int
    """How long the database file may become."""


def measure(directory: Path) -> Room:
    found = os.statvfs(directory)
    free = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return Room(found.f_blocks * found.f_frsize, free * found.f_frsize)


def shared_byte() -> mmap.mmap:
    """Memory that forked processes share, with one byte that is 0."""
    return mmap.mmap(-1, 1)


class DiskReserve:
    """The reserve as one process sees it. `is_full` is cheap; any thread may call `release`."""

    def __init__(
        self, database: Path, flag: mmap.mmap | None = None, measure: Callable[[Path], Room] = measure
    ) -> None:
        self._database = database
        self._wal = database.with_name(f"{database.name}-wal")
        self._directory = database.parent
        self._path = database.with_name(FILE_NAME)
        self._flag = shared_byte() if flag is None else flag
        self._measure = measure
        self._said_at = -WARNING_SECONDS

    def is_full(self) -> bool:
        """Whether only what needs no more room is accepted."""
        return self._flag[0] != 0

    def look(self) -> None:
        """Before an existing database is opened, for which there must be room."""
        if not self._database.exists():
            return
        room = self._measure(self._directory)
        size = _size(room)
        if self._path.exists():
            if room.free < size // 4:
                self.release()
        elif room.free < size + size // 4:
            self.release()

    def release(self) -> None:
        """The disk is full: gives the room of the reserve to the database."""
        was_full = self.is_full()
        self._flag[0] = 1
        with suppress(OSError):  # there may be none
            self._path.unlink()
        if not was_full and time.monotonic() - self._said_at >= WARNING_SECONDS:
            self._said_at = time.monotonic()
            log.error(
                "the disk of %s is full: only deletions are accepted, and updates that make items no longer. Make "
                "room, or delete items or tables",
                self._directory,
            )

    def keep(self) -> Nearly | None:
        """Makes the reserve if it is missing and the disk is nearly full; None if there is room enough. For the
        upkeep of every process."""
        room = self._measured()
        if room is None or room.free >= NEAR_RESERVES * _size(room):
            return None
        size = _size(room)
        if not self.is_full() and not self._path.exists() and room.free >= 2 * size:
            self._make(size)
            if self.is_full():  # meanwhile
                self._path.unlink(missing_ok=True)
            room = self._measured() or room
        others = _length(self._database) + _length(self._wal) + room.free - size // WAL_SHARE
        if not self._path.exists():
            others -= size
        return Nearly(size, max(others // PAGE_SIZE, 1))

    def spare(self) -> int:
        """How many bytes other files of the data directory may take without using what deletions need; any thread
        may ask."""
        room = self._measured()
        if room is None:
            return 0
        size = _size(room)
        if room.free >= NEAR_RESERVES * size:
            return room.free - size
        kept = size // WAL_SHARE  # Beside what the WAL has now: that becomes pages of the file.
        if not self._path.exists():
            kept += size
        return max(room.free - kept, 0)

    def take_back(self, unused: Callable[[], int]) -> bool:
        """Whether there is room again, and the reserve is made again. `unused` gives the bytes of the database
        file that hold nothing. The caller holds the write lock."""
        room = self._measured()
        if room is None:
            return False
        size = _size(room)
        enough = size + size // WAL_SHARE // 2
        if room.free + _length(self._wal) < enough or (room.free < 4 * size and unused() < size // 4):
            return False
        if room.free < NEAR_RESERVES * size and not self._make(size):
            return False
        self._flag[0] = 0
        log.info("there is room on the disk of %s again: all writes are accepted", self._directory)
        return True

    def _measured(self) -> Room | None:
        try:
            return self._measure(self._directory)
        except OSError:  # the directory is gone; the store's upkeep notices
            return None

    def _make(self, size: int) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                allocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            log.debug("no room can be reserved in %s: %s", self._directory, error.strerror)
            with suppress(OSError):
                self._path.unlink()
            return False
        return True


def _size(room: Room) -> int:
    return min(MOST_BYTES, room.total // LARGEST_SHARE)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
