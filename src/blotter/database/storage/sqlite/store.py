"""The SQLite store before the server forks: the claim on its data directory, and the pipes its processes share."""

from __future__ import annotations

from pathlib import Path

from blotter.database.storage.data_directory import DataDirectory
from blotter.database.storage.sqlite.reserve import DiskReserve
from blotter.database.storage.sqlite.schema import FILE_NAME
from blotter.database.storage.sqlite.storage import Shared, SqliteStorage


class SqliteStore:
    """See `protocol.Store`."""

    single_process = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.description = f"data in {directory}"
        self._shared = Shared.make()
        self._claim: DataDirectory | None = None

    def claim(self) -> None:
        self._claim = DataDirectory.claim(self.directory)
        DiskReserve(self.directory / FILE_NAME, self._shared.disk_is_full).look()

    def open(self) -> SqliteStorage:
        return SqliteStorage.open(self.directory, shared=self._shared)

    def release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        self._shared.close()
