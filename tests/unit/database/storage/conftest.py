"""What the storage tests share. `storage` is each backend: a backend joins by adding an opener here, and
every test with the fixture `storage` or `open_storage` then holds it to the protocol. Tests of one backend's own
means (files, locks, SQLite's VFS) live in files named after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.encryption.data_keys import ID_BYTES, KEY_BYTES, DataKey
from blotter.database.model.table import KeyAttribute, KeySchema, Table
from blotter.database.storage.memory import MemoryStore
from blotter.database.storage.protocol import Storage
from blotter.database.storage.sqlite import SqliteStorage
from tests.postgres_storage import open_postgres

_in_memory: dict[Path, MemoryStore] = {}


def open_in_memory(path: Path) -> Storage:
    """A memory store has no path; here it stands for one, so that a test finds again what it stored."""
    return _in_memory.setdefault(path, MemoryStore()).open()


_KEY = DataKey(b"k" * ID_BYTES, b"m" * KEY_BYTES)


def open_encrypted(path: Path) -> Storage:
    return SqliteStorage.open(path, key=_KEY)


OPENERS: dict[str, Callable[[Path], Storage]] = {
    "sqlite": SqliteStorage.open,
    "encrypted": open_encrypted,
    "memory": open_in_memory,
    "postgres": open_postgres,
}


@pytest.fixture(params=OPENERS)
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Storage]:
    """Opens the same store each time it is called."""
    return lambda: OPENERS[request.param](tmp_path / "data")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def run(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return loop.run_until_complete


@pytest.fixture
def storage(open_storage: Callable[[], Storage], loop: asyncio.AbstractEventLoop) -> Iterator[Storage]:
    storage = open_storage()
    yield storage
    loop.run_until_complete(storage.close())


def make_table(
    name: str, space: int, account: str = "000000000000", region: str = "us-east-1", **other: Any
) -> Table:
    key = KeyAttribute("id", "S")
    return Table(
        account=account,
        region=region,
        name=name,
        id=f"id-of-{name}",
        space=space,
        keys=KeySchema((key,)),
        created_at=1.0,
        active_at=1.0,
        **other,
    )
