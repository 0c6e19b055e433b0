"""Room on the disk that files share with the store: what the store keeps for deletions is not theirs.

On a disk that is nearly full, the store needs some room to delete (`storage.sqlite.reserve`). Whatever writes much
beside it (copies in a folder, runs of a sort, working storage) asks here first, and is told that the disk is full
while it is not quite. Files on other disks may take what there is.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Final

Spare = Callable[[], int | None]
"""How many bytes may be written beside the data, None for any number."""

_BLOCK = 4096

KEPT: Final = "what is left of its disk is kept for deletions"


class SharedDisk:
    """The disk of a folder, the store's. Any thread may ask."""

    def __init__(self, folder: Path, spare: Spare) -> None:
        self._folder = folder
        self._spare = spare

    def take(self, folder: Path, size: int) -> None:
        """Before `size` bytes are written to a folder. Raises OSError (ENOSPC) if they would use what is kept."""
        spare = self._spare()
        if spare is not None and spare < size + _BLOCK and folder.stat().st_dev == self._folder.stat().st_dev:
            raise OSError(errno.ENOSPC, KEPT, str(folder))
