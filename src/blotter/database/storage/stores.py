"""Which store a server uses. The only place that names the backends; a new one is a line in `STORES`.

A location is a kind and, after a colon, where it is: `sqlite:/srv/blotter`, `postgresql://db/x`, or `memory:`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.protocol import DataDirectoryError, Store
from blotter.printable import without_secrets

if TYPE_CHECKING:
    from blotter.database.storage.postgres.connections.url import StoreUrl


def _sqlite(place: str, master_key: MasterKey | None) -> Store:
    from blotter.database.storage.sqlite import SqliteStore

    return SqliteStore(Path(place), master_key)


def _postgres(place: str, master_key: MasterKey | None) -> Store:
    from blotter.database.storage.postgres.connections.url import SCHEMES, StoreUrl

    try:
        url = StoreUrl(f"{SCHEMES[0]}:{place}")
    except ValueError as error:
        raise ValueError(f"a store in PostgreSQL must be {error}") from None
    return postgres_store(url, master_key)


def _memory(_place: str, _master_key: MasterKey | None) -> Store:
    from blotter.database.storage.memory import MemoryStore

    return MemoryStore()


STORES: dict[str, Callable[[str, MasterKey | None], Store]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    "memory": _memory,
}
"""Kind of store → what makes one out of the rest of its location. Only the store in use is imported."""


def store_at(location: str, master_key: MasterKey | None = None) -> Store:
    """The store at a location; nothing is opened or changed. `master_key` is for what it has on disk. Raises
    ValueError for a kind that is not known, and DataDirectoryError for one that needs what is not installed."""
    kind, _, place = location.partition(":")
    if kind not in STORES:
        raise ValueError(f"{without_secrets(location)!r} is no store: its kind must be one of {', '.join(STORES)}")
    return STORES[kind](place, master_key)


def postgres_store(url: StoreUrl, master_key: MasterKey | None = None) -> Store:
    """The store at a URL of PostgreSQL. Raises DataDirectoryError if its client library is not installed."""
    with needs_postgres():
        from blotter.database.storage.postgres.store import PostgresStore
    return PostgresStore(url, master_key)


@contextmanager
def needs_postgres() -> Iterator[None]:
    """Around the first import of what uses PostgreSQL. Raises DataDirectoryError for what is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("asyncpg", "greenlet"):
            raise
        raise DataDirectoryError(
            f"a store in PostgreSQL needs the Python package {error.name}: pip install 'blotter-db[postgres]'"
        ) from None
