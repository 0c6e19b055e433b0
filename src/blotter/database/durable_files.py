"""Private folders, and small private files that a crash leaves whole, with their old content or the new.

What the database and its journals need beyond that they do by themselves; this is for keys, certificates and notes
beside them. All functions raise OSError.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

WRITE_BACK_BYTES: Final = 1 << 20
UNSYNCED_BYTES: Final = 4 << 20


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable: a synced file is lost with its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def allocate(descriptor: int, start: int, size: int) -> None:
    """Makes a file `size` bytes long whose bytes from `start`, its end, have their room on the disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size - start)
        return
    zeros = bytes(1 << 20)
    while start < size:
        start += os.pwrite(descriptor, zeros[: size - start], start)


class SteadyWriter:
    """Writes a long file so that others who sync small ones meanwhile need not wait for it: the system begins to
    write back each megabyte when it is complete, and never has more than a few to write before `finish`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = self._begun = self._synced = 0

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            written = os.write(self._descriptor, rest[:WRITE_BACK_BYTES])
            rest = rest[written:]
            self._size += written
            if self._size - self._begun >= WRITE_BACK_BYTES:
                self._write_back()

    def finish(self) -> int:
        """Syncs the file; returns its size."""
        os.fsync(self._descriptor)
        return self._size

    def _write_back(self) -> None:
        if self._size - self._synced >= UNSYNCED_BYTES:
            os.fsync(self._descriptor)
            self._synced = self._size
        elif hasattr(os, "posix_fadvise"):  # Linux begins to write what is to leave the memory.
            length = self._size - self._begun
            os.posix_fadvise(self._descriptor, self._begun, length, os.POSIX_FADV_DONTNEED)
        self._begun = self._size


def make_private_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for their owner only, and syncs their names. Nothing is
    changed about folders that are there."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(mode=0o700, exist_ok=True)
        sync_directory(new.parent)


def write_private_file(path: Path, content: bytes) -> None:
    """Makes a file that only its owner can read, whatever the umask is, and syncs it, but not its name. Raises
    FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Writes a private file as a whole, synced with its name. Without `replace`, raises FileExistsError if there
    is one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_private_file(temporary, content)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
            temporary.unlink()
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)
