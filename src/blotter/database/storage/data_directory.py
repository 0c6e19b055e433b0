"""The folder that holds a server's data: made durably, and claimed by one server at a time.

Several worker processes of one server share the folder; a second server on it would be a mistake of the operator
and is refused by name. The claim is a `flock`, which the kernel drops with its holder, so a crash leaves nothing
to clean up. Knows nothing of what is stored in the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from blotter.database.storage.protocol import DataDirectoryError

SERVER_LOCK = "server.lock"


def open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_lock_shared(descriptor: int) -> bool:
    """A lock that others may share, but not hold alone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def server_process(directory: Path) -> str:
    """The id of the process that has claimed the directory, as it noted it itself; "unknown" if it could not."""
    try:
        noted = (directory / SERVER_LOCK).read_bytes()[:32]
    except OSError:
        noted = b""
    return noted.decode("ascii", "replace").strip() or "unknown"


class DataDirectory:
    """A data directory claimed by one server.

    The supervisor claims it before its workers open their stores, and holds it while it lives. The descriptor is
    not inherited by `exec`; a forked worker shares it, so that the directory stays claimed until the last one
    ends.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def claim(cls, path: str | os.PathLike[str]) -> DataDirectory:
        """Makes the directory if need be and claims it for this process. Raises DataDirectoryError, which names
        the process that has it."""
        directory = Path(path)
        make_directory(directory)
        try:
            descriptor = open_lock_file(directory / SERVER_LOCK)
        except OSError as error:
            raise DataDirectoryError(f"data directory {directory} cannot be written: {error.strerror}") from error
        if not try_lock(descriptor):
            os.close(descriptor)
            raise DataDirectoryError(
                f"data directory {directory} is in use by another blotter server "
                f"(process {server_process(directory)})"
            )
        with contextlib.suppress(OSError):  # On a full disk the lock is enough; it names no process then.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return cls(directory, descriptor)

    def fileno(self) -> int:
        """The locked descriptor, to hand to a child process that shall keep the claim alive."""
        return self._descriptor

    def release(self) -> None:
        """Gives the claim up. A forked child that still runs keeps it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def make_directory(directory: Path) -> None:
    """Makes a directory and those above it durably: each new name is synced in its parent."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        parent = os.open(directory.parent, os.O_RDONLY)
    except OSError as error:
        raise DataDirectoryError(f"data directory {directory} cannot be made: {error.strerror}") from error
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
