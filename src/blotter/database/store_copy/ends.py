"""The two ends of a copy: what the command needs to know of a store, whatever its kind.

The source is opened beside the servers that use it; the target is made, filled, and only then becomes what a
server starts on. Everything is done on one event loop.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from blotter.database.encryption.directory_keys import DirectoryKeys
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.postgres.connections.url import FORM, SCHEMES, StoreUrl
from blotter.database.storage.protocol import Storage
from blotter.database.storage.stores import needs_postgres


class SourceEnd(Protocol):
    """The store that is copied. Its methods raise DataDirectoryError where it cannot be used."""

    description: str
    files: Path | None
    """The data directory with the files that belong to it; None: it is not known."""
    keys: DirectoryKeys
    """What these files are encrypted under. After `open`."""
    can_stop_others: bool
    """Whether `stop_others` can stop those who use it."""

    async def open(self) -> Storage: ...

    @property
    def secret(self) -> bytes:
        """What the keys for stored things are derived from (`Store.secret_key`); empty if there is none yet.
        After `open`."""

    async def try_stop(self) -> bool:
        """Whether nobody else uses the store; then nobody can until `release`."""

    async def stop_others(self) -> None:
        """Asks those who use the store to end."""

    async def how_to_stop(self) -> str:
        """What the operator has to do so that nobody uses the store."""

    async def release(self) -> None: ...


class TargetEnd(Protocol):
    """The store that is filled. Its methods raise DataDirectoryError where it cannot be used or is not empty."""

    description: str
    files: Path | None
    """Where files go that belong to the store; None: nowhere."""
    keys: DirectoryKeys
    """What these files are to be encrypted under. After `open`."""

    async def open(self, secret: bytes) -> Storage:
        """An empty store that no server uses until `complete`; with the source's secret, if that has one."""

    async def complete(self) -> None:
        """Makes it a store that servers use. Its storage was closed before."""

    async def abandon(self) -> None:
        """Gives up what was begun: it stays unusable, or is removed."""

    async def release(self) -> None: ...


def source_at(location: str, master_key: MasterKey | None, files: Path | None) -> SourceEnd:
    """The source at a location: a directory, also as `sqlite:DIR`, or a URL of PostgreSQL, for which `files` are
    in that data directory. Raises ValueError with what the location must be, without itself."""
    url = _url(location)
    if url is None:
        from blotter.database.store_copy.sqlite_ends import SqliteSource

        return SqliteSource(_directory(location), master_key)
    source: SourceEnd = _postgres_ends().PostgresSource(url, master_key, files)
    return source


def target_at(location: str, master_key: MasterKey | None, files: Path | None) -> TargetEnd:
    """The target at a location, as `source_at` reads it."""
    url = _url(location)
    if url is None:
        from blotter.database.store_copy.sqlite_ends import SqliteTarget

        return SqliteTarget(_directory(location), master_key)
    target: TargetEnd = _postgres_ends().PostgresTarget(url, master_key, files)
    return target


def _postgres_ends() -> ModuleType:
    with needs_postgres():
        return import_module("blotter.database.store_copy.postgres_ends")


def _url(location: str) -> StoreUrl | None:
    return StoreUrl(location) if location.partition(":")[0] in SCHEMES else None


def _directory(location: str) -> Path:
    kind, colon, place = location.partition(":")
    if kind == "sqlite" and colon:
        return Path(place)
    if not location or kind == "memory":
        raise ValueError(f"a data directory, or {FORM}")
    return Path(location)
