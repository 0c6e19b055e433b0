"""Data directories as the ends of a copy.

A source that a server uses is opened as a further worker would open it; it is stopped when its directory can be
claimed. A target is made under another name, `.NAME.incomplete-…`, which servers refuse, and renamed when it is
complete: whatever happens before, nothing is there that looks whole.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Final

from blotter.database.durable_files import sync_directory
from blotter.database.encryption.directory_keys import (
    DirectoryKeys,
    existing_secret,
    make_keys,
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
    open_lock_file,
    server_process,
    try_lock,
)
from blotter.database.storage.protocol import DataDirectoryError, Storage
from blotter.database.storage.sqlite.read_only import ReadOnlyFile
from blotter.database.storage.sqlite.storage import SqliteStorage

LOCK: Final = "store-copy.lock"
"""Held by the command that copies the directory: two would take the log's entries from each other."""


class SqliteSource:
    """See `ends.SourceEnd`."""

    can_stop_others = True

    def __init__(self, directory: Path, master_key: MasterKey | None) -> None:
        self.directory = directory
        self.description = str(directory)
        self.files: Path | None = directory
        self.keys = DirectoryKeys(directory)
        self._master_key = master_key
        self._claim: DataDirectory | None = None
        self._lock = -1

    async def open(self) -> Storage:
        # Of this version's format, and under this master key? Nothing is changed by looking.
        file = ReadOnlyFile(self.directory, self._master_key)
        file.close()
        self._lock = open_lock_file(self.directory / LOCK)
        if not try_lock(self._lock):
            raise DataDirectoryError(f"{self.directory} is being copied already")
        self.keys = file.keys
        return SqliteStorage.open(self.directory, key=file.key)

    @property
    def secret(self) -> bytes:
        try:
            return self.keys.secret or existing_secret(self.directory)
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None

    async def try_stop(self) -> bool:
        if self._claim is None:
            try:
                self._claim = DataDirectory.claim(self.directory)
            except DirectoryInUse:
                return False
        return True

    async def stop_others(self) -> None:
        process = server_process(self.directory)
        try:
            os.kill(int(process), signal.SIGTERM)
        except (ValueError, OSError):
            raise DataDirectoryError(
                f"the server on {self.directory} (process {process}) cannot be told to stop: stop it yourself"
            ) from None

    async def how_to_stop(self) -> str:
        return f"stop the server on {self.directory} (process {server_process(self.directory)})"

    async def release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class SqliteTarget:
    """See `ends.TargetEnd`."""

    def __init__(self, directory: Path, master_key: MasterKey | None) -> None:
        self.directory = Path(os.path.abspath(directory))
        self.description = str(directory)
        self.incomplete = self.directory.with_name(f".{self.directory.name}.incomplete-{secrets.token_hex(8)}")
        self.files: Path | None = self.incomplete
        self.keys = DirectoryKeys(self.incomplete)
        self._master_key = master_key

    async def open(self, secret: bytes) -> Storage:
        refuse_contents(self.directory)
        make_directory(self.directory.parent)
        try:
            self.incomplete.mkdir(mode=0o700)
            mark_incomplete(self.incomplete)
            if secret:
                save_secret(self.incomplete, secret)
            if self._master_key is not None:
                self.keys = make_keys(self.incomplete, self._master_key)  # with that secret
        except OSError as error:
            raise self._unwritable(error) from error
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None
        return SqliteStorage.open(self.incomplete, key=self.keys.newest)

    async def complete(self) -> None:
        try:
            mark_whole(self.incomplete)
            sync_directory(self.incomplete)
            rename_into_place(self.incomplete, self.directory)
            sync_directory(self.directory.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    async def abandon(self) -> None:
        shutil.rmtree(self.incomplete, ignore_errors=True)

    async def release(self) -> None:
        """There is nothing to give back."""

    def _unwritable(self, error: OSError) -> DataDirectoryError:
        return DataDirectoryError(f"{self.directory} cannot be written: {error.strerror or error}")
