"""The SQLite store before the server forks: the claim on its data directory, and the pipes its processes share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from blotter.database.encryption.directory_keys import DirectoryKeys, key_files, make_keys, open_keys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.files import FileCipher
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.child_process import run_in_child
from blotter.database.storage.coroutines import open_and_run
from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.protocol import DataDirectoryError, Storage
from blotter.database.storage.sqlite.reserve import DiskReserve
from blotter.database.storage.sqlite.schema import FILE_NAME
from blotter.database.storage.sqlite.storage import Shared, SqliteStorage

log = logging.getLogger(__name__)

T = TypeVar("T")


class SqliteStore:
    """See `protocol.Store`."""

    single_process = False
    several_servers = False

    def __init__(self, directory: Path, master_key: MasterKey | None = None) -> None:
        self.directory = directory
        self.description = f"data in {directory}" if master_key is None else f"encrypted data in {directory}"
        self._master_key = master_key
        self._keys: DirectoryKeys | None = None
        self._shared = Shared.make()
        self._claim: DataDirectory | None = None
        self._reserve = DiskReserve(directory / FILE_NAME, self._shared.disk_is_full)

    def claim(self) -> None:
        self._keys = self._open_keys()  # Before anything is touched: the master key may be a wrong one.
        self._claim = DataDirectory.claim(self.directory)
        try:
            if not self._keys.are_current():  # changed before the directory was claimed
                self._keys = self._open_keys()
            if self._master_key is not None and self._keys.file is None:
                self._keys = make_keys(self.directory, self._master_key)
            self._warn_of_unfinished()
        except BaseException:
            self.release()
            raise
        self._reserve.look()

    def _warn_of_unfinished(self) -> None:
        file = self._claimed().file
        if file is not None and file.unfinished is not None:
            log.warning(
                "%s: a change of keys was interrupted, some files may still be as they were; stop the server and "
                "finish it with `blotter keys %s`",
                self.directory,
                file.unfinished,
            )

    def _open_keys(self) -> DirectoryKeys:
        try:
            keys = open_keys(self.directory, self._master_key, database=FILE_NAME)
            keys.database_key(self.directory / FILE_NAME)
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None
        return keys

    def open(self) -> SqliteStorage:
        return SqliteStorage.open(
            self.directory, key=self._claimed().database_key(self.directory / FILE_NAME), shared=self._shared
        )

    def run_apart(self, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
        """In a child: a process that has used the cipher may not fork others that use it (`cipher`)."""
        return run_in_child(lambda: asyncio.run(open_and_run(self, work)))

    def secret_key(self, purpose: str) -> bytes:
        try:
            return self._claimed().secret_key(purpose)
        except MasterKeyError as error:
            raise DataDirectoryError(str(error)) from None

    def file_cipher(self) -> FileCipher:
        return self._claimed().file_cipher()

    def key_files(self) -> dict[str, bytes]:
        return key_files(self.directory)

    def kms_key(self) -> str | None:
        return self._claimed().kms_key

    def log_bytes(self) -> int | None:
        try:
            return (self.directory / f"{FILE_NAME}-wal").stat().st_size
        except OSError:  # removed while it was not needed
            return 0

    def spare_bytes(self) -> int:
        return self._reserve.spare()

    def _claimed(self) -> DirectoryKeys:
        if self._keys is None:
            self._keys = self._open_keys()
        return self._keys

    def release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        self._shared.close()
