"""The store on PostgreSQL for tests of the Storage protocol: in a schema of its own for each path, and with `read`
and `open_snapshot`, which the store itself does not have. They block, on a connection in another thread's event
loop, so that a test reads PostgreSQL as it reads any other store."""

from __future__ import annotations

import asyncio
import atexit
import functools
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from blotter.database.storage.postgres.catalog import CatalogCache
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.reading import Reader
from blotter.database.storage.postgres.snapshots import BEGIN
from blotter.database.storage.postgres.storage import MAX_AGE_SECONDS, PostgresStorage
from blotter.database.storage.protocol import ReadTransaction, SnapshotTooOld
from tests.postgres_server import PostgresServer

T = TypeVar("T")

_schemas: dict[Path, str] = {}
_numbers = itertools.count()


@functools.cache
def server() -> PostgresServer:
    """One for all tests of this process."""
    made = PostgresServer()
    atexit.register(made.remove)
    made.start()
    return made


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop that runs on a thread."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def block_on(awaitable: Awaitable[T]) -> T:
    """The result of an awaitable of the thread's loop."""

    async def work() -> T:
        return await awaitable

    return asyncio.run_coroutine_threadsafe(work(), _loop()).result()


def _connector(schema_name: str, **options: bool) -> Connector:
    return Connector(StoreUrl(server().url(query=f"schema={schema_name}")), **options)


async def _create(name: str) -> None:
    connection = await _connector(name, wants_store=False).connect()
    await schema_versions.initialize(connection, name, None)
    await connection.close()


class _BlockingReader(Reader):
    def wait(self, awaitable: Awaitable[T]) -> T:
        return block_on(awaitable)


_free: dict[str, list[Any]] = {}
"""Connections of the thread's loop that wait for the next read, by schema."""


class _BlockingSnapshot(_BlockingReader):
    def __init__(self, schema_name: str, deadline: float) -> None:
        self._free = _free.setdefault(schema_name, [])
        connection = self._free.pop() if self._free else block_on(_connector(schema_name).connect())
        super().__init__(connection, CatalogCache())
        block_on(connection.execute(BEGIN))
        self._deadline = deadline
        self._open = True

    def wait(self, awaitable: Awaitable[T]) -> T:
        if not self._open or time.monotonic() > self._deadline:
            self.close()
            awaitable.close()  # type: ignore[attr-defined]
            raise SnapshotTooOld
        return super().wait(awaitable)

    def close(self) -> None:
        if self._open:
            self._open = False
            block_on(self._connection.execute("COMMIT"))
            self._free.append(self._connection)


class ReadablePostgresStorage(PostgresStorage):
    """See the module's text."""

    def read(self) -> AbstractContextManager[ReadTransaction]:  # type: ignore[override]
        return self._blocking_read()

    @contextmanager
    def _blocking_read(self) -> Iterator[ReadTransaction]:
        snapshot = self.open_snapshot()
        try:
            yield snapshot
        finally:
            snapshot.close()

    def open_snapshot(self) -> _BlockingSnapshot:  # type: ignore[override]
        snapshot = _BlockingSnapshot(self._schema, time.monotonic() + self._snapshot_max_age)
        block_on(snapshot.read_catalog_state())
        return snapshot


def _schema_of(path: Path) -> str:
    if path not in _schemas:
        _schemas[path] = f"test_{next(_numbers)}"
        block_on(_create(_schemas[path]))
    return _schemas[path]


def open_on_postgres(path: Path, *, clock: Callable[[], float] = time.time) -> PostgresStorage:
    """The store of a path as servers use it: every answer comes later."""
    name = _schema_of(path)
    return PostgresStorage(_connector(name), name, clock=clock)


def connector_of(path: Path) -> Connector:
    """Makes connections to the store of a path that was opened before."""
    return _connector(_schemas[path])


def open_postgres(path: Path, *, snapshot_max_age: float = MAX_AGE_SECONDS) -> ReadablePostgresStorage:
    """The store of a path, which is not used as one: the same store for the same path."""
    name = _schema_of(path)
    return ReadablePostgresStorage(_connector(name), name, snapshot_max_age=snapshot_max_age)
