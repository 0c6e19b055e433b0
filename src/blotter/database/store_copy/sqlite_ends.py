"""Data directories as the ends of a copy.

A source that a server uses is opened as a further worker would open it; it is stopped when its directory can be
claimed. A target is made under another name, `.NAME.incomplete-…`, which servers refuse, and renamed when it is
complete: whatever happens before, nothing is there that looks whole.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from blotter.database.copies.objects import OBJECTS_FOLDER
from blotter.database.durable_files import make_private_folder, sync_directory
from blotter.database.encryption import files
from blotter.database.encryption.directory_keys import (
    DirectoryKeys,
    existing_secret,
    make_keys,
    save_secret,
)
from blotter.database.encryption.errors import DamagedCiphertext, MasterKeyError
from blotter.database.encryption.files import FileCipher
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
from blotter.database.storage.sqlite.storage import SqliteStorage
from blotter.database.store_copy.ends import TargetEnd

FOLDERS: Final = {
    OBJECTS_FOLDER: "backups, exports and imports",
    "audit": "the audit trail",
}
"""Folders of a data directory that belong to what the database knows, and what is in them."""


class SqliteSource:
    """See `ends.SourceEnd`."""

    def __init__(self, directory: Path, master_key: MasterKey | None) -> None:
        self.directory = directory
        self.description = str(directory)
        self._master_key = master_key
        self._keys = DirectoryKeys(directory)
        self._claim: DataDirectory | None = None

    async def open(self) -> Storage:
        # Of this version's format, and under this master key? Nothing is changed by looking.
        file = ReadOnlyFile(self.directory, self._master_key)
        file.close()
        self._keys = file.keys
        return SqliteStorage.open(self.directory, key=file.key)

    @property
    def secret(self) -> bytes:
        try:
            return self._keys.secret or existing_secret(self.directory)
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

    async def copy_files(self, target: TargetEnd) -> None:
        if isinstance(target, SqliteTarget):
            cipher = FileCipher(target.keys.newest, self._keys.find)
            await asyncio.to_thread(_copy_folders, self.directory, target.incomplete, cipher)

    def left_behind(self, target: TargetEnd) -> list[str]:
        if isinstance(target, SqliteTarget):
            return []
        return [
            f"{self.directory / folder}: {what}"
            for folder, what in FOLDERS.items()
            if any(_files(self.directory / folder))
        ]

    async def release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None


class SqliteTarget:
    """See `ends.TargetEnd`."""

    def __init__(self, directory: Path, master_key: MasterKey | None) -> None:
        self.directory = Path(os.path.abspath(directory))
        self.description = str(directory)
        self.incomplete = self.directory.with_name(f".{self.directory.name}.incomplete-{secrets.token_hex(8)}")
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

    def _unwritable(self, error: OSError) -> DataDirectoryError:
        return DataDirectoryError(f"{self.directory} cannot be written: {error.strerror or error}")


def _copy_folders(source: Path, target: Path, cipher: FileCipher) -> None:
    """Copies the files that are not there yet as they are in the source, as the target encrypts them."""
    for folder in FOLDERS:
        for path in _files(source / folder):
            copy = target / path.relative_to(source)
            try:
                if not copy.exists() or copy.stat().st_mtime_ns != path.stat().st_mtime_ns:
                    make_private_folder(copy.parent)
                    _copy_file(path, copy, cipher)
            except FileNotFoundError:
                continue  # removed meanwhile
            except DamagedCiphertext as error:
                raise DataDirectoryError(f"{path} is damaged: {error}") from None
            except OSError as error:
                raise DataDirectoryError(f"{path} cannot be copied: {error.strerror or error}") from error


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _copy_file(path: Path, copy: Path, cipher: FileCipher) -> None:
    """With its times, which tell whether it has changed since."""
    with path.open("rb") as source:
        found = os.fstat(source.fileno())
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            if found.st_size:
                files.convert(source, target, cipher)
            target.flush()
            os.utime(target.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(target.fileno())
    sync_directory(copy.parent)
