"""Reads that one SQL statement answers. Those of single items that wait at the same time share it; several
items, a short range, names of tables, changes of a shard, or statistics are a statement of their own.

A handler is run at once, over the catalog in memory, and raises `Missing` at the first thing that it reads. An
item joins the next statement, which also reports the catalog's generation; with the answer the handler is run
again, and its result is final if the catalog is the one that it was run with. What one statement cannot answer is
given to the snapshot lane: two statements do not read the same snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.answers import ANSWERS, sized_points
from blotter.database.storage.postgres.batch_transaction import Missing
from blotter.database.storage.postgres.catalog import CatalogCache, encoded_name
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.connections.pool import Pool, confirm_read, fetch
from blotter.database.storage.postgres.point_transaction import NeedsSnapshot, PointTransaction, Request
from blotter.database.storage.protocol import (
    ReadTransaction,
    Settled,
    Slices,
    StorageUnavailable,
    TooMuchWork,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_POINTS = 256
"""Items of one statement."""
POINTS_BESIDE = 32
"""So many that wait are a statement beside the one that is under way. Fewer join the next, for what a statement
costs is mostly its own."""
MOST_BYTES = 16 << 20
"""Of the items of a statement for one handler."""
MOST_STATEMENTS = 6
"""For one handler: its table, its first item, all its items, and again when the catalog changes meanwhile."""

Handler = Callable[[ReadTransaction], Any]
Elsewhere = Callable[[Handler, Settled], None]


class _Read:
    """A handler that waits for a statement."""

    __slots__ = ("elsewhere", "handler", "settled", "statements", "tx")

    def __init__(self, handler: Handler, settled: Settled, tx: PointTransaction, elsewhere: Elsewhere) -> None:
        self.handler = handler
        self.settled = settled
        self.elsewhere = elsewhere
        """Takes the handler if it needs a snapshot."""
        self.tx = tx
        self.statements = 0

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Calls the caller's callback, whose exception must not harm the others of its statement."""
        try:
            self.settled(value, error)
        except Exception:
            log.exception("the caller of a read failed to take its result")


class PointReads:
    """The point lane of a process."""

    def __init__(self, pool: Pool, most_statements: int, cache: CatalogCache) -> None:
        self._pool = pool
        self._most_statements = most_statements
        self._cache = cache
        self._waiting: list[_Read] = []
        self._has_begun = False
        """Whether a statement has begun that has not yet taken what waits."""
        self._busy = 0
        """Statements of many handlers that have begun and not ended."""
        self.tasks: set[asyncio.Task[None]] = set()

    def submit(self, handler: Handler, settled: Settled, elsewhere: Elsewhere) -> None:
        self._step(_Read(handler, settled, PointTransaction(self._cache), elsewhere), None)

    def _step(self, read: _Read, confirmed: int | None) -> None:
        """Runs a handler as far as it comes; settles it when it is done and the catalog is `confirmed`."""
        tx = read.tx
        value, raised = None, None
        try:
            value = read.handler(tx)
        except Missing:
            self._wait(read)
            return
        except NeedsSnapshot:
            read.elsewhere(read.handler, read.settled)
            return
        except Exception as error:
            raised = error
        if tx.is_incomplete or tx.generation != confirmed:
            self._wait(read)
        else:
            read.settle(value, raised)

    def _wait(self, read: _Read) -> None:
        read.statements += 1
        tx = read.tx
        if read.statements > MOST_STATEMENTS:
            read.elsewhere(read.handler, read.settled)
        elif tx.wanted_request is not None:
            self._in_task(self._read_alone(read, tx.wanted_request))
        elif len(tx.wanted_points) > 1 or (tx.wanted_points and tx.found):
            self._in_task(self._read_alone(read, None))
        else:
            self._waiting.append(read)
            self._begin()

    def _begin(self) -> None:
        """Begins a statement, if there is enough for one. It takes what waits only when its task runs: until then
        come the next reads of clients that the statement before it has answered, and join."""
        if self._waiting and not self._has_begun and self._may_begin():
            self._has_begun = True
            self._busy += 1
            self._in_task(self._read_together())

    def _may_begin(self) -> bool:
        return not self._busy or (self._busy < self._most_statements and len(self._waiting) >= POINTS_BESIDE)

    def _in_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # One statement for many handlers

    async def _read_together(self) -> None:
        self._has_begun = False
        reads, self._waiting = self._waiting[:MOST_POINTS], self._waiting[MOST_POINTS:]
        self._begin()
        try:
            generation = await self._ask(lambda connection: self._ask_points(connection, reads))
        except Exception as error:
            for read in reads:
                read.settle(None, _reported(error))
        else:
            for read in reads:
                self._go_on(read, generation)
        finally:
            self._busy -= 1
            self._begin()

    async def _ask_points(self, connection: sql.Connection, reads: list[_Read]) -> int:
        """Reads the one item, or the table, that each wants; returns the generation of the catalog."""
        wanting: list[PointTransaction] = []
        for read in reads:
            tx = read.tx
            if tx.wanted_table is not None:
                if tx.wanted_table not in self._cache.tables:  # another one may have asked for it just now
                    await self._ask_table(connection, tx)
            elif tx.wanted_points:
                wanting.append(tx)
        if not wanting:
            generation, _ = await connection.fetchrow(sql.GENERATION)
            return int(generation)
        points = [tx.wanted_points[0] for tx in wanting]
        spaces, keys = [point[0] for point in points], [point[1] for point in points]
        rows = await fetch(connection, sql.POINTS_AND_GENERATION, spaces, keys)
        for number, size, body, version, xmin, _ in rows:
            point = points[number - 1]
            wanting[number - 1].found = {point: None if size is None else (size, body, version, xmin)}
        return int(rows[0][5])

    async def _ask_table(self, connection: sql.Connection, tx: PointTransaction) -> None:
        name = tx.wanted_table
        assert name is not None
        generation, description = await connection.fetchrow(sql.TABLE, *encoded_name(name))
        if description is not None:
            self._cache.add(generation, name, description)
        elif self._cache.note(generation):
            tx.absent_table = name

    # A statement for one handler

    async def _read_alone(self, read: _Read, request: Request | None) -> None:
        try:
            generation = await self._ask(lambda connection: self._ask_alone(connection, read.tx, request))
        except NeedsSnapshot:
            read.elsewhere(read.handler, read.settled)
        except Exception as error:
            read.settle(None, _reported(error))
        else:
            self._go_on(read, generation)

    async def _ask_alone(self, connection: sql.Connection, tx: PointTransaction, request: Request | None) -> int:
        if request is None:
            return await self._ask_many(connection, tx)
        method, *arguments = request
        tx.answers, generation = await ANSWERS[method](connection, request, *arguments)
        return generation

    async def _ask_many(self, connection: sql.Connection, tx: PointTransaction) -> int:
        """All that the handler has read so far, of one snapshot."""
        points = list(dict.fromkeys([*(tx.found or ()), *tx.wanted_points]))
        tx.found, generation = await sized_points(connection, points, MOST_BYTES)
        return generation

    # The end

    def _go_on(self, read: _Read, generation: int) -> None:
        """Runs a handler again, over what a statement of this generation has found."""
        tx = read.tx
        self._cache.note(generation)
        if not tx.generation == generation == self._cache.generation:  # it was found in another catalog
            if tx.wanted_table is None:
                tx.absent_table = None
            tx.found = tx.answers = None
        tx.goes_on = tx.found is not None
        tx.renew(self._cache)
        self._step(read, generation)

    async def _ask(self, ask: Callable[[sql.Connection], Coroutine[Any, Any, int]]) -> int:
        """What a statement returns; one whose connection was lost is repeated. Raises what the store refuses."""
        for attempt in (1, 2):
            connection = await self._pool.acquire()
            try:
                generation = await ask(connection)
                await confirm_read(connection)
            except BaseException as error:
                # A statement may be under way; a handler that needs a snapshot found this out after its end.
                self._pool.release(connection, broken=not isinstance(error, NeedsSnapshot))
                if attempt == 2 or not isinstance(error, STORE_FAILURES):
                    raise
            else:
                self._pool.release(connection)
                return generation
        raise AssertionError


def _reported(error: Exception) -> StorageUnavailable:
    """What callers are told of a failure; one that is not PostgreSQL's is logged."""
    if not isinstance(error, (StorageUnavailable, *STORE_FAILURES)):
        log.error("a read failed", exc_info=error)
    return unavailable(error)


def run_quickly(slices: Slices[T]) -> T:
    """What a long read returns if it is a short one. Raises what it raises, and NeedsSnapshot when it wants work
    to be done elsewhere."""
    try:
        while next(slices) is None:
            pass
    except StopIteration as done:
        result: T = done.value
        return result
    except TooMuchWork:
        pass
    finally:
        slices.close()
    raise NeedsSnapshot
