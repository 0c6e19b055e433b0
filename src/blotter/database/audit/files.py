"""Files of the trail: private, durable, whole whenever they have their name; and frames, which make a journal.

A frame is 4 bytes of length (big-endian) and as many bytes of content. A crash may leave a torn one at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

DRAFT_SUFFIX = ".new"
_LENGTH_BYTES = 4


class FileCipher(Protocol):
    """How content is stored: encrypted, if the data directory is."""

    def encode(self, content: bytes) -> bytes:
        """The content as it is to be stored."""

    def decode(self, stored: bytes) -> bytes:
        """The content of what was stored. Raises DamagedCiphertext."""


class Plain:
    """The cipher of a directory that is not encrypted."""

    def encode(self, content: bytes) -> bytes:
        return content

    def decode(self, stored: bytes) -> bytes:
        return stored


def frame(stored: bytes) -> bytes:
    return len(stored).to_bytes(_LENGTH_BYTES, "big") + stored


def frames(stored: bytes, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The contents of complete frames, each with where it ends."""
    at = start
    while at + _LENGTH_BYTES <= len(stored):
        begin = at + _LENGTH_BYTES
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
    sync_folder(folder.parent)


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
        sync_folder(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for the lock that a file stands for."""
    descriptor = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
