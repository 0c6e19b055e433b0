"""The Storage protocol on PostgreSQL: this file puts the lanes together.

    points      reads that one statement answers: single items, all of an iteration of the event loop together;
                several items, a short range
    snapshots   every other read: a handler in a greenlet over a REPEATABLE READ transaction
    batches     writes of single items: compared with what was read and written in one call
    exclusive   writes that read ranges or change the catalog: one at a time in the whole store
    aside       reads that compute for long: on a thread

A front end holds nothing that another one would miss: catalog and sizes are cached and confirmed by every
statement. Connections are made when they are needed. Everything belongs to one event loop; after `asyncio.run` has
ended one, the storage goes on with new connections on another. How it works: docs/architecture/postgres.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from blotter.database.storage.coroutines import outcome_of, submit_and_wait
from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.aside import LongReads
from blotter.database.storage.postgres.batches import Batches
from blotter.database.storage.postgres.catalog import CatalogCache
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES
from blotter.database.storage.postgres.connections.leading import Leadership
from blotter.database.storage.postgres.connections.notifications import Notifications
from blotter.database.storage.postgres.connections.pool import Connections, Pool
from blotter.database.storage.postgres.connections.writer_connection import WriterConnection
from blotter.database.storage.postgres.exclusive import ExclusiveWrites
from blotter.database.storage.postgres.points import PointReads, run_quickly
from blotter.database.storage.postgres.reading import QUICK_WORK
from blotter.database.storage.postgres.snapshots import SnapshotReads
from blotter.database.storage.protocol import (
    Action,
    ReadTransaction,
    Settled,
    Slices,
    StorageUnavailable,
    WriteTransaction,
)
from blotter.database.storage.slices import SHORT_SECONDS, SliceWriter, has_waited
from blotter.database.storage.submission import Submission

if TYPE_CHECKING:
    from blotter.database.storage.scratch import Scratch

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_AGE_SECONDS = 10.0
POINT_CONNECTIONS = 4
POINT_STATEMENTS = 2
"""Statements for many handlers at a time; the other connections are for statements for one."""
SNAPSHOT_CONNECTIONS = 6
WRITING_CONNECTIONS = 2
"""Each process has so many, the first two in one pool, which upkeep uses too; and one each for exclusive writes,
long reads and notifications. `connecting`, `watching` and `leading` add their own."""
UPKEEP_SECONDS = 1.0
SLICE_ITEMS = 500
"""Items of a dropped key space that are removed at a time."""


class PostgresStorage:
    """See `protocol.Storage`. `connections` makes those to the primary, with `schema` as their search path."""

    def __init__(
        self,
        connections: Connections,
        schema: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        snapshot_max_age: float = MAX_AGE_SECONDS,
    ) -> None:
        self._connections = connections
        self._schema = schema
        self.clock = clock
        self._monotonic = monotonic
        self._snapshot_max_age = snapshot_max_age
        self._catalog_actions: list[Action] = []
        self._watch: Callable[[float], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._slices = SliceWriter(self.write, has_waited, SHORT_SECONDS, 1.0, monotonic)
        self._make_lanes()

    def _make_lanes(self) -> None:
        connect, schema, cache = self._connections.connect, self._schema, CatalogCache()
        self._pool = Pool(connect, SNAPSHOT_CONNECTIONS)
        self._points_pool = Pool(connect, POINT_CONNECTIONS)  # of its own: long reads must not keep it waiting
        self._snapshots = SnapshotReads(self._pool, cache, self._monotonic, self._snapshot_max_age)
        self._points = PointReads(self._points_pool, POINT_STATEMENTS, cache)
        apart = self._connections.apart()
        self._long_reads = LongReads(
            SnapshotReads(Pool(apart.connect, 1), CatalogCache(), self._monotonic, self._snapshot_max_age), apart
        )
        self._alone = WriterConnection(connect, schema)
        self._exclusive = ExclusiveWrites(self._alone, cache, self.clock)
        self._writers = [WriterConnection(connect, schema) for _ in range(WRITING_CONNECTIONS)]
        self._batches = Batches(list(self._writers), cache, self.clock, self._exclusive.submit)
        self._notifications = Notifications(connect, schema)
        self._leadership = Leadership(connect, schema, self.set_fence)
        for lane in (self._batches, self._exclusive):
            lane.catalog_changed = self._catalog_was_changed
            lane.watch = self._committed
        self._upkeep_task: asyncio.Task[None] | None = None

    # Reading

    def read(self) -> None:
        """There is no answer without waiting."""

    def open_snapshot(self) -> None:
        """There is no answer without waiting."""

    def submit_read(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self._attach()
        self._points.submit(handler, settled, self._read_snapshot)

    async def fetch(self, handler: Callable[[ReadTransaction], T]) -> T:
        result: T = await outcome_of(lambda settled: self.submit_read(handler, settled))
        return result

    def submit_slices(self, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled) -> None:
        self._attach()
        self._points.submit(
            lambda tx: run_quickly(start(tx)),
            settled,
            lambda _, settled: self._in_task(self._snapshots.run_slices(start), settled),
        )

    def submit_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self._attach()
        self._long_reads.submit(handler, settled)

    def open_scratch(self) -> Scratch:
        from blotter.database.storage.postgres.scratch import open_scratch

        return open_scratch()

    def _read_snapshot(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self._in_task(self._snapshots.run(handler, QUICK_WORK), settled)

    def _in_task(self, coroutine: Any, settled: Settled) -> None:
        """Nobody cancels such a task: a statement is never left in its middle."""
        task = asyncio.get_running_loop().create_task(_settle_with(coroutine, settled))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Writing

    def submit(self, handler: Callable[[WriteTransaction], Any], settled: Settled) -> Submission:
        if self._closed:
            raise StorageUnavailable("the store is closing")
        self._attach()
        submission = Submission(handler, settled)
        self._batches.submit(submission)
        return submission

    async def write(self, handler: Callable[[WriteTransaction], T]) -> T:
        return await submit_and_wait(self.submit, handler)

    async def write_slice(self, handler: Callable[[WriteTransaction, float], T]) -> T:
        return await self._slices.write(handler)

    async def give_way(self) -> None:
        """Nothing: what others wait for is another machine's, and it has more than one reader."""

    def watch_commits(self, watch: Callable[[float], None]) -> None:
        self._watch = watch

    def _committed(self, seconds: float) -> None:
        if self._watch is not None:
            self._watch(seconds)

    # Life

    def start(self) -> None:
        self._attach()

    def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None:
            self._pool.forget()
            self._points_pool.forget()
            self._leadership.forget()
            for writer in (self._alone, *self._writers):
                writer.forget()
            self._make_lanes()
        self._loop = loop
        self._connections.start_watching()
        if not self._closed:
            self._upkeep_task = loop.create_task(self._keep_up(), name="storage-upkeep")

    def set_fence(self, term: int) -> None:
        """From now on every write fails once another process than the one of this term leads."""
        for writer in (self._alone, *self._writers):
            writer.fence = term

    async def lead(self) -> asyncio.Future[None]:
        self._attach()
        return await self._leadership.lead()

    def on_catalog_change(self, action: Action) -> None:
        self._catalog_actions.append(action)

    def _catalog_was_changed(self) -> None:
        for action in self._catalog_actions:
            action()

    async def wait_for_catalog_change(self) -> None:
        self._attach()
        await self._notifications.wait()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            return
        if self._upkeep_task is not None:
            self._upkeep_task.cancel()
            await asyncio.gather(self._upkeep_task, return_exceptions=True)
        await self._batches.idle.wait()
        await self._exclusive.idle.wait()
        while tasks := [*self._tasks, *self._points.tasks]:
            await asyncio.wait(tasks)
        await self._long_reads.close()
        await self._leadership.close()
        await self._notifications.close()
        await self._pool.close()
        await self._points_pool.close()
        for writer in (self._alone, *self._writers):
            await writer.close()
        await self._connections.close()

    # Upkeep

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_SECONDS)
            try:
                await self._empty_dropped_spaces()
            except (StorageUnavailable, *STORE_FAILURES) as error:
                log.warning("upkeep has to wait: %s", type(error).__name__)

    async def _empty_dropped_spaces(self) -> None:
        """Removes the items of dropped spaces, in transactions of a few, as long as no other process does."""
        async with self._pool.connection() as connection:
            while (space := await connection.fetchval(sql.DROPPED_SPACE)) is not None:
                await connection.execute("BEGIN")
                if await connection.fetchval(sql.DROPPED_SPACE_LOCKED, space) is None:
                    await connection.execute("ROLLBACK")
                    return
                removed = 0
                for statement in (sql.EMPTY_DROPPED, sql.EMPTY_DROPPED_LONG):
                    removed += await connection.fetchval(statement, space, SLICE_ITEMS)
                if not removed:
                    await connection.execute("DELETE FROM dropped_spaces WHERE space = $1", space)
                await connection.execute("COMMIT")


async def _settle_with(coroutine: Any, settled: Settled) -> None:
    value, error = None, None
    try:
        value = await coroutine
    except Exception as raised:
        error = raised
    settled(value, error)
