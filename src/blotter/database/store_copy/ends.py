"""The two ends of a copy: what the command needs to know of a store, whatever its kind.

The source is opened beside the servers that use it; the target is made, filled, and only then becomes what a
server starts on. Everything is done on one event loop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.protocol import Storage


class SourceEnd(Protocol):
    """The store that is copied. Its methods raise DataDirectoryError where it cannot be used."""

    description: str

    async def open(self) -> Storage: ...

    @property
    def secret(self) -> bytes:
        """What the keys for stored things are derived from (`Store.secret_key`); empty if there is none yet.
        After `open`."""

    async def try_stop(self) -> bool:
        """Whether nobody else uses the store; then nobody can until `release`."""

    async def stop_others(self) -> None:
        """Ends the use of the store by others, or asks them to end it."""

    async def how_to_stop(self) -> str:
        """What the operator has to do so that nobody uses the store."""

    async def copy_files(self, target: TargetEnd) -> None:
        """Copies what lies beside the database, as far as the target has a place for it. Files that are there
        already and have not changed stay."""

    def left_behind(self, target: TargetEnd) -> list[str]:
        """What lies beside the database and the target has no place for, for the operator."""

    async def release(self) -> None: ...


class TargetEnd(Protocol):
    """The store that is filled. Its methods raise DataDirectoryError where it cannot be used or is not empty."""

    description: str

    async def open(self, secret: bytes) -> Storage:
        """An empty store that no server uses until `complete`; with the source's secret, if that has one."""

    async def complete(self) -> None:
        """Makes it a store that servers use. Its storage was closed before."""

    async def abandon(self) -> None:
        """Gives up what was begun: it stays unusable, or is removed."""


def source_at(location: str, master_key: MasterKey | None) -> SourceEnd:
    """The source at a location: a directory, also as `sqlite:DIR`. Raises ValueError with what it must be."""
    from blotter.database.store_copy.sqlite_ends import SqliteSource

    return SqliteSource(_directory(location), master_key)


def target_at(location: str, master_key: MasterKey | None) -> TargetEnd:
    """The target at a location, as `source_at` reads it."""
    from blotter.database.store_copy.sqlite_ends import SqliteTarget

    return SqliteTarget(_directory(location), master_key)


def _directory(location: str) -> Path:
    kind, colon, place = location.partition(":")
    if kind == "sqlite" and colon:
        return Path(place)
    if not location or kind in ("memory", "postgres", "postgresql"):
        raise ValueError("a data directory")  # without the text, which may hold a password
    return Path(location)
