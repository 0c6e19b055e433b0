"""A store's file opened for reading only, beside a running server or without one: for `blotter check` and
`blotter inspect`.

Nothing in the directory is changed. Beside a server, or when a write-ahead log is left from a crash, the file is
read as SQLite's readers read it, log included. Otherwise it is opened as immutable, so that no log is made, and a
shared lock keeps a server from starting meanwhile. Every snapshot must end soon: one that stays open keeps the
server's log from being started over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from blotter.database.encryption.data_keys import DataKey
from blotter.database.encryption.directory_keys import DirectoryKeys, open_keys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.data_directory import SERVER_LOCK, server_process, try_lock_shared
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite import checksums, schema
from blotter.database.storage.sqlite.snapshots import PooledReader


class DamagedFile(Exception):
    """The file is so damaged that it cannot be opened."""


class ReadOnlyFile:
    """Raises DataDirectoryError if the directory holds no file that this version can read, or is encrypted under
    another master key, and DamagedFile for one whose beginning or end is damaged."""

    def __init__(self, directory: Path, master_key: MasterKey | None = None) -> None:
        self.path = directory / schema.FILE_NAME
        if not self.path.exists():
            raise DataDirectoryError(f"{directory} holds no blotter database: there is no {schema.FILE_NAME}")
        self.keys, self.key = _opened_keys(directory, master_key, self.path)
        """The keys of the directory, and the one that the file is under; None: it is not encrypted."""
        self._lock = _shared_lock(directory / SERVER_LOCK)
        self.server = None if self._lock is not None else server_process(directory)
        """The id of the process that runs a server on the directory, as text; None if there is no server."""
        try:
            self.connection = self._open()
            self._reader = PooledReader(self.connection)
        except BaseException:
            self._unlock()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[PooledReader]:
        """A read transaction; raises apsw's errors as they are."""
        self._reader.begin()
        try:
            yield self._reader
        finally:
            self._reader.end()

    def close(self) -> None:
        self.connection.close(True)
        self._unlock()

    @property
    def wal_bytes(self) -> int:
        wal = self.path.with_name(f"{self.path.name}-wal")
        return wal.stat().st_size if wal.exists() else 0

    def _open(self) -> apsw.Connection:
        try:
            schema.check_sizes(self.path, encrypted=self.key is not None)
        except DataDirectoryError as error:
            raise DamagedFile(str(error)) from error
        mode = "immutable=1" if self._lock is not None and not self.wal_bytes else "mode=ro"
        try:
            connection = schema.open_file(
                f"{self.path.absolute().as_uri()}?{mode}",
                self.key,
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            )
            connection.set_busy_timeout(5000)
            # So that Ctrl-C ends a statement that runs for long.
            connection.set_progress_handler(lambda: False, 1_000_000)
            schema.check_current(connection, self.path, self.key)
        except apsw.NotADBError as error:
            if self.key is not None:
                raise DamagedFile(str(schema.not_a_database(self.path, self.key, error))) from error
            raise schema.not_a_database(self.path, None, error) from error
        except apsw.Error as error:
            if checksums.is_damage(error):
                raise DamagedFile(f"{self.path} cannot be opened: {checksums.error_text(error)}") from error
            raise DataDirectoryError(f"{self.path} cannot be opened: {checksums.error_text(error)}") from error
        return connection

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _opened_keys(
    directory: Path, master_key: MasterKey | None, database: Path
) -> tuple[DirectoryKeys, DataKey | None]:
    try:
        keys = open_keys(directory, master_key)
        return keys, keys.database_key(database)
    except MasterKeyError as error:
        raise DataDirectoryError(str(error)) from None


def _shared_lock(path: Path) -> int | None:
    """A descriptor that keeps servers from starting, or None if one has the directory. Without a lock file, no
    server has been there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be read: {error.strerror}") from error
    if try_lock_shared(descriptor):
        return descriptor
    os.close(descriptor)
    return None
