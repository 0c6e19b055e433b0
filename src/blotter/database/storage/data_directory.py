"""The folder that holds a server's data: made durable and private, and claimed by one server at a time.

Several worker processes of one server share the folder; a second server on it would be a mistake of the operator
and is refused by name. The claim is a `flock`, which the kernel releases with its holder, so a crash leaves
nothing to clean up. The lock file notes which server has the claim:

    4711            the process
    1837465         the lock file's own inode, until the server has stopped in order

So a copy of a folder that was in use is recognized: its lock file states that it is in use, and is another file
than the one it names. Such a copy may be torn, with pages of different moments. Independent of what is stored in
the folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
from pathlib import Path

from blotter.database.storage.protocol import DataDirectoryError

log = logging.getLogger(__name__)

SERVER_LOCK = "server.lock"


_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int) -> bool:
    """Raises OSError if the file system has no locks; see `file_error_text`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def file_error_text(error: OSError) -> str:
    """The error for the operator, who cannot know what a lock that fails means."""
    if error.errno in _NO_LOCKS:
        return f"its file system does not support locks ({error.strerror}); use a directory on a local disk"
    return error.strerror or str(error)


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
        noted = (directory / SERVER_LOCK).read_bytes()[:64]
    except OSError:
        noted = b""
    return noted.decode("ascii", "replace").partition("\n")[0].strip() or "unknown"


def mark_incomplete(directory: Path) -> None:
    """Makes servers refuse a directory, as a copy that may be torn, until `mark_whole`."""
    descriptor = open_lock_file(directory / SERVER_LOCK)
    try:
        os.write(descriptor, b"0\n0\n")  # no file has this inode
    finally:
        os.close(descriptor)


def mark_whole(directory: Path) -> None:
    (directory / SERVER_LOCK).unlink()


class DirectoryInUse(DataDirectoryError):
    """Another server has claimed the data directory."""


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
        """Makes the directory if it is missing, makes it private, and claims it for this process. Raises
        DirectoryInUse if another server has it, DataDirectoryError if it is a copy of a directory in use, or if it
        cannot be used."""
        directory = Path(path)
        make_directory(directory)
        try:
            _make_private(directory)
            descriptor = open_lock_file(directory / SERVER_LOCK)
        except OSError as error:
            raise DataDirectoryError(f"data directory {directory} cannot be written: {error.strerror}") from error
        claim = cls(directory, descriptor)
        try:
            claim._lock()
        except BaseException:
            os.close(descriptor)
            raise
        return claim

    def _lock(self) -> None:
        try:
            locked = try_lock(self._descriptor)
        except OSError as error:
            raise DataDirectoryError(
                f"data directory {self.path} cannot be used: {file_error_text(error)}"
            ) from error
        if not locked:
            raise DirectoryInUse(
                f"data directory {self.path} is in use by another blotter server "
                f"(process {server_process(self.path)})"
            )
        inode = str(os.fstat(self._descriptor).st_ino)
        _, _, in_use = os.pread(self._descriptor, 64, 0).decode("ascii", "replace").strip().partition("\n")
        if in_use not in ("", inode):
            raise DataDirectoryError(
                f"data directory {self.path} is a copy of a directory that a server was using, or had not stopped "
                "in order: items may be missing from it. Start on the original, or stop its server and copy "
                "again. To use this copy nevertheless, let `blotter check` look for damage, and if there is none, "
                f"delete {self.path / SERVER_LOCK}"
            )
        self._note(f"{os.getpid()}\n{inode}\n")

    def _note(self, text: str) -> None:
        with contextlib.suppress(OSError):  # On a full disk the lock is enough; it names no process then.
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def fileno(self) -> int:
        """The locked descriptor, to hand to a child process that shall keep the claim alive."""
        return self._descriptor

    def release(self) -> None:
        """Ends the claim, once the files are closed. A forked child that still runs keeps it."""
        if self._descriptor >= 0:
            self._note("")
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


def _make_private(directory: Path) -> None:
    """Takes group's and others' access to the directory and its files away, whatever the umask was: a user who may
    open a file for reading reads all items, and can stop all writes with a lock on it."""
    tightened, foreign = [], []
    for path in (directory, *directory.iterdir()):
        found = path.lstat()
        if not stat.S_IMODE(found.st_mode) & 0o077 or not (path == directory or stat.S_ISREG(found.st_mode)):
            continue
        if found.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(found.st_mode) & ~0o077)
            tightened.append(path.name)
        else:
            foreign.append(path.name)
    if tightened:
        log.warning("%s: other users had access to %s; it is private now", directory, ", ".join(sorted(tightened)))
    if foreign:
        log.warning(
            "%s: other users have access to %s, which belongs to another user: make it private",
            directory,
            ", ".join(sorted(foreign)),
        )
