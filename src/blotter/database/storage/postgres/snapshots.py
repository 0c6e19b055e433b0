"""Reads that need more than one statement: a handler in a greenlet over a REPEATABLE READ transaction.

Each has a connection of the pool for as long as it runs. A snapshot keeps PostgreSQL from removing what was
deleted since, so it has a maximum age: after it, the next statement raises SnapshotTooOld.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from blotter.database.storage.postgres.catalog import CatalogCache
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.connections.pool import Pool, confirm_read, discard
from blotter.database.storage.postgres.reading import Reader
from blotter.database.storage.postgres.statements import Connection
from blotter.database.storage.postgres.suspended import run_suspendable, wait_for
from blotter.database.storage.protocol import UNLIMITED, ReadTransaction, Slices, SnapshotTooOld

T = TypeVar("T")

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class AgingReader(Reader):
    """A snapshot with a maximum age."""

    def __init__(
        self,
        connection: Connection,
        cache: CatalogCache,
        work: int,
        deadline: float,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(connection, cache, work)
        self._deadline = deadline
        self._monotonic = monotonic

    def wait(self, awaitable: Awaitable[T]) -> T:
        if self._monotonic() > self._deadline:
            awaitable.close()  # type: ignore[attr-defined]
            raise SnapshotTooOld
        return super().wait(awaitable)


class SnapshotReads:
    """The snapshot lane of a process."""

    def __init__(self, pool: Pool, cache: CatalogCache, monotonic: Callable[[], float], max_age: float) -> None:
        self._pool = pool
        self._cache = cache
        self._monotonic = monotonic
        self._max_age = max_age

    async def run(self, handler: Callable[[ReadTransaction], T], work: int = UNLIMITED) -> T:
        """What the handler returns or raises over one snapshot. Raises StorageUnavailable."""
        result, raised = None, None
        async with self._pool.connection() as connection:
            try:
                await connection.execute(BEGIN)
                deadline = self._monotonic() + self._max_age
                reader = AgingReader(connection, self._cache, work, deadline, self._monotonic)
                await reader.read_catalog_state()
            except STORE_FAILURES as error:
                raise unavailable(error) from error
            try:
                result = await run_suspendable(lambda: handler(reader))
            except Exception as error:
                raised = error
            try:
                await connection.execute("COMMIT")
            except STORE_FAILURES:
                discard(connection)  # What was read is right all the same.
            await confirm_read(connection)
        if raised is not None:
            raise raised
        return result  # type: ignore[return-value]

    async def run_slices(self, start: Callable[[ReadTransaction], Slices[T]]) -> T:
        """What the generator that `start` makes returns, run to its end over one snapshot; work that it yields is
        done on a thread."""
        return await self.run(lambda tx: _to_its_end(start(tx)))

    async def close(self) -> None:
        await self._pool.close()


def _to_its_end(slices: Slices[T]) -> T:
    try:
        while True:
            work = next(slices)
            if work is not None:
                wait_for(asyncio.to_thread(work))
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        slices.close()
