"""Room on the disk that is kept for the trail, and the room it leaves to others.

On a disk that is nearly full the store keeps room for deletions (`storage.sqlite.reserve`), and the trail must not
use it: else clients that repeat refused requests fill it with the records of them. So before the trail writes,
it takes room (`take`): of what the store can spare, or, if that is nothing, out of a file of its own, `reserve`,
which becomes shorter by as much. What is free on the disk stays the same then. When most of the file is used up,
the trail is `short`: the rest is for events that changed something, DeleteTable above all.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from blotter.database.audit.files import locked
from blotter.database.durable_files import allocate
from blotter.database.shared_disk import Spare

FILE_NAME = "reserve"
MOST_BYTES = 1 << 20
_LARGEST_SHARE = 16
"""The reserve is at most this part of what can be spared when it is made."""
LAST_BYTES = 256 << 10
"""Of the reserve, for events that changed something."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 4096


def any_number() -> None:
    """The `Spare` of a folder that shares its disk with no store."""


def blocks(size: int) -> int:
    """The room that a file of `size` bytes takes."""
    return -(-size // _BLOCK) * _BLOCK


class Reserve:
    """The reserve as one process sees it. Several processes share the file; any thread may call the methods."""

    def __init__(self, folder: Path, spare: Spare = any_number, most_bytes: int = MOST_BYTES) -> None:
        self.short = False
        """Whether only events that changed something may still be written."""
        self._path = folder / FILE_NAME
        self._spare = spare
        self._most_bytes = most_bytes

    def take(self, size: int) -> None:
        """Called before `size` bytes are written. Raises OSError (ENOSPC) if there is no room for them."""
        if size <= 0:
            return
        if self.can_spare(size):
            self.short = False
        else:
            self.use(size)

    def can_spare(self, size: int) -> bool:
        """Whether `size` bytes can be written without the reserve."""
        spare = self._spare()
        return spare is None or spare >= size

    def use(self, size: int) -> None:
        """Takes `size` bytes out of the reserve. Raises OSError (ENOSPC) if it has fewer."""
        with locked(self._path) as descriptor:
            left = os.fstat(descriptor).st_size - blocks(size)
            self.short = left < LAST_BYTES
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.ftruncate(descriptor, left)

    def refill(self) -> None:
        """Makes the reserve, or makes it whole again, if there is room for it. Raises OSError, but
        not for a full disk."""
        spare = self._spare()
        size = self._most_bytes if spare is None else min(self._most_bytes, spare // _LARGEST_SHARE)
        with locked(self._path) as descriptor:
            left = os.fstat(descriptor).st_size
            if left < size:
                try:
                    allocate(descriptor, left, size)
                except OSError as error:
                    os.ftruncate(descriptor, left)
                    if error.errno not in NO_SPACE:
                        raise
            left = os.fstat(descriptor).st_size
        self.short = left < LAST_BYTES and not self.can_spare(LAST_BYTES)
