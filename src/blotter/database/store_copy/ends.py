"""The two ends of a copy: what the command needs to know of a store, whatever its kind.

An end is made from a location (`sqlite:DIR` or a directory). The source is opened beside the server that uses it,
if one does; the target is made, filled, and only then becomes what a server can start on.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Protocol

from blotter.database.durable_files import sync_directory
from blotter.database.encryption.directory_keys import (
    DirectoryKeys,
    existing_secret,
    make_keys,
    open_keys,
    save_secret,
)
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.inspection.snapshot import refuse_contents, rename_into_place
from blotter.database.storage.data_directory import (
    DataDirectory,
    DirectoryInUse,
    make_directory,
    mark_incomplete,
    mark_whole,
    server_process,
)
from blotter.database.storage.protocol import DataDirectoryError, Storage
from blotter.database.storage.sqlite.read_only import ReadOnlyFile
from blotter.database.storage.sqlite.schema import FILE_NAME
from blotter.database.storage.sqlite.storage import SqliteStorage


class SourceEnd(Protocol):
    """The store that is copied. Raises DataDirectoryError where it cannot be used."""

    description: str
    secret: bytes
    """The secret that keys for stored things are derived from (`Store.secret_key`); empty if there is none yet."""

    def open(self) -> Storage: ...

    def try_stop(self) -> bool:
        """Whether nobody else uses the store; then nobody can until `release`."""

    def who_stops(self) -> str:
        """How the operator stops those who use it."""

    def stop_others(self) -> None:
        """Asks those who use it to stop."""

    def release(self) -> None: ...


class TargetEnd(Protocol):
    """The store that is filled. Raises DataDirectoryError where it cannot be used or is not empty."""

    description: str

    def open(self, secret: bytes) -> Storage:
        """An empty store that no server starts on until `complete`."""

    def complete(self) -> None:
        """Makes it a store that a server starts on; it was closed before."""

    def abandon(self) -> None:
        """Removes what was begun."""


class SqliteSource:
    """A data directory, in use or not."""

    def __init__(self, directory: Path, master_key: MasterKey | None) -> None:
        self.directory = directory
        self.description = f"data in {directory}"
        ReadOnlyFile(directory, master_key).close()  # of this format and readable, before anything is opened
        self._keys = _keys(directory, master_key)
        self._claim: DataDirectory | None = None

    @property
    def secret(self) -> bytes:
        try:
            return self._keys.secret or existing_secret(self.directory)
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None

    def open(self) -> Storage:
        return SqliteStorage.open(self.directory, key=self._keys.database_key(self.directory / FILE_NAME))

    def try_stop(self) -> bool:
        if self._claim is None:
            try:
                self._claim = DataDirectory.claim(self.directory)
            except DirectoryInUse:
                return False
        return True

    def who_stops(self) -> str:
        return f"stop the server on {self.directory} (process {server_process(self.directory)})"

    def stop_others(self) -> None:
        process = server_process(self.directory)
        if not process.isdecimal():
            raise DataDirectoryError(f"the server on {self.directory} cannot be stopped: its process is not known")
        try:
            os.kill(int(process), signal.SIGTERM)
        except OSError as error:
            raise DataDirectoryError(f"process {process} cannot be stopped: {error.strerror}") from None

    def release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None


class SqliteTarget:
    """A data directory that is made under another name, `.NAME.incomplete-…`, which servers refuse."""

    def __init__(self, directory: Path, master_key: MasterKey | None) -> None:
        self.directory = Path(os.path.abspath(directory))
        self.description = f"data in {self.directory}"
        self._master_key = master_key
        refuse_contents(self.directory)
        self._incomplete = self.directory.with_name(f".{self.directory.name}.incomplete-{secrets.token_hex(8)}")

    def open(self, secret: bytes) -> Storage:
        make_directory(self.directory.parent)
        try:
            self._incomplete.mkdir(mode=0o700)
            mark_incomplete(self._incomplete)
            if secret:
                save_secret(self._incomplete, secret)
            keys = DirectoryKeys(self._incomplete)
            if self._master_key is not None:
                keys = make_keys(self._incomplete, self._master_key)  # takes the secret over
        except OSError as error:
            raise DataDirectoryError(f"{self.directory} cannot be written: {error.strerror or error}") from error
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None
        return SqliteStorage.open(self._incomplete, key=keys.newest)

    def complete(self) -> None:
        try:
            mark_whole(self._incomplete)
            sync_directory(self._incomplete)
            rename_into_place(self._incomplete, self.directory)
            sync_directory(self.directory.parent)
        except OSError as error:
            raise DataDirectoryError(f"{self.directory} cannot be written: {error.strerror or error}") from error

    def abandon(self) -> None:
        shutil.rmtree(self._incomplete, ignore_errors=True)


def _keys(directory: Path, master_key: MasterKey | None) -> DirectoryKeys:
    try:
        return open_keys(directory, master_key, database=FILE_NAME)
    except MasterKeyError as error:
        raise DataDirectoryError(str(error)) from None
