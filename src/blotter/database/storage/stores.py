"""Which store a server uses. The only place that names the backends; a new one is a line in `STORES`.

A location is a kind and, after a colon, where it is: `sqlite:/srv/blotter`, or `memory:`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.protocol import Store


def _sqlite(place: str, master_key: MasterKey | None) -> Store:
    from blotter.database.storage.sqlite import SqliteStore

    return SqliteStore(Path(place), master_key)


def _memory(_place: str, _master_key: MasterKey | None) -> Store:
    from blotter.database.storage.memory import MemoryStore

    return MemoryStore()


STORES: dict[str, Callable[[str, MasterKey | None], Store]] = {"sqlite": _sqlite, "memory": _memory}
"""Kind of store → what makes one out of the rest of its location. Only the store in use is imported."""


def store_at(location: str, master_key: MasterKey | None = None) -> Store:
    """The store at a location; nothing is opened or changed. `master_key` is for what it has on disk. Raises
    ValueError for a kind that is not known."""
    kind, _, place = location.partition(":")
    if kind not in STORES:
        raise ValueError(f"{location!r} is no store: its kind must be one of {', '.join(STORES)}")
    return STORES[kind](place, master_key)
