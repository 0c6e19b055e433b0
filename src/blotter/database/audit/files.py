"""Files of the trail: private, durable, whole whenever they have their name; and the frames of a journal
(`encryption.files`), of which a crash may leave a torn one at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from blotter.database.durable_files import sync_directory
from blotter.database.encryption.files import FRAME_LENGTH_BYTES

DRAFT_SUFFIX = ".new"


def frames(stored: bytes, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The contents of complete frames, each with where it ends."""
    at = start
    while at + FRAME_LENGTH_BYTES <= len(stored):
        begin = at + FRAME_LENGTH_BYTES
        at = begin + int.from_bytes(stored[at:begin], "big")
        if at > len(stored):
            return
        yield stored[begin:at], at


def make_private_folder(folder: Path) -> None:
    """Makes a folder and those above it that are missing, durably."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_directory(folder.parent)


def open_private(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file that has its whole content whenever it has its name. No two processes may write it at once."""
    draft = path.with_name(f".{path.name}{DRAFT_SUFFIX}")
    descriptor = open_private(draft, os.O_WRONLY | os.O_TRUNC)
    try:
        write_all(descriptor, content)
        if durable:
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    finally:
        os.close(descriptor)
    draft.rename(path)
    if durable:
        sync_directory(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Waits for the lock that a file stands for; yields the file's descriptor."""
    descriptor = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
