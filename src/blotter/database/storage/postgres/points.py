"""Reads of single items: those of one iteration of the event loop are one statement.

A handler is run at once, over the catalog in memory. It raises `Missing` at the first item that it reads; the item
joins the next statement, which also reports the catalog's generation. With the answer the handler is run again,
and its result is final if the catalog is the one that it was run with. A handler that reads more than what one
statement can answer is given to the snapshot lane: two statements are no snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from blotter.database.model.table import Table
from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.batch_transaction import Missing
from blotter.database.storage.postgres.catalog import CatalogCache, Name, encoded_name
from blotter.database.storage.postgres.connections import Pool, confirm_read
from blotter.database.storage.postgres.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.reading import QUICK_WORK
from blotter.database.storage.postgres.schema import LONGEST_KEY
from blotter.database.storage.protocol import (
    ANY_SIZE,
    Change,
    LogReader,
    ReadTransaction,
    Row,
    Settled,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
    TooMuchWork,
)

log = logging.getLogger(__name__)

MOST_POINTS = 256
"""Items of one statement."""
MOST_ATTEMPTS = 5
"""Statements for one handler: its table, its item, and again when the catalog changes meanwhile."""

Handler = Callable[[ReadTransaction], Any]


class NeedsSnapshot(BaseException):
    """The handler reads more than single items of one statement. No `Exception`, so that no handler catches it."""


class PointTransaction:
    """What one handler reads, and what was found of it."""

    __slots__ = ("_tables", "_work_left", "absent", "found", "generation", "wanted", "wanted_table")

    def __init__(self, cache: CatalogCache) -> None:
        self._tables = cache.tables
        self.generation = cache.generation
        self.found: dict[sql.Point, sql.Found | None] | None = None
        self.absent: Name | None = None
        """A table that is not in the catalog of this generation."""
        self.wanted: list[sql.Point] = []
        self.wanted_table: Name | None = None
        self._work_left = QUICK_WORK

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        place = (account, region, name)
        table = self._tables.get(place)
        if table is None and place != self.absent:
            self.wanted_table = place
            raise Missing
        return table

    def catalog_version(self) -> int:
        return self.generation

    def get(self, space: int, key: bytes) -> StoredItem | None:
        found = self._find(space, key)
        return None if found is None else StoredItem(key, found[0], found[1])

    def version(self, space: int, key: bytes) -> int | None:
        found = self._find(space, key)
        return None if found is None else found[2]

    def _find(self, space: int, key: bytes) -> sql.Found | None:
        point = (space, key)
        if self.found is None:
            if len(key) > LONGEST_KEY:
                raise NeedsSnapshot
            self.wanted.append(point)
            raise Missing
        if point not in self.found:
            raise NeedsSnapshot
        return self.found[point]

    def note_work(self, amount: int) -> None:
        self._work_left -= amount
        if self._work_left < 0:
            raise TooMuchWork

    def _more(self, *_: object) -> NoReturn:
        raise NeedsSnapshot

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        self._more(account, region, after, limit)

    def tables(self) -> Iterable[Table]:
        self._more()

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        self._more(space, keys, size)

    def items(
        self,
        space: int,
        start: bytes,
        end: bytes | None,
        limit: int,
        size: int = ANY_SIZE,
        *,
        reverse: bool = False,
    ) -> list[Row]:
        self._more(space, start, end, limit, size, reverse)

    def statistics(self, space: int) -> SpaceStatistics:
        self._more(space)

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        self._more(table_id, shard, after, limit)

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        self._more(after, limit, size)

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        self._more(after, limit)

    def log_readers(self) -> list[LogReader]:
        self._more()

    def first_change(self) -> int:
        self._more()

    def last_change(self) -> int:
        self._more()


class _Read:
    """A handler that waits for a statement."""

    __slots__ = ("attempts", "handler", "settled", "tx")

    def __init__(self, handler: Handler, settled: Settled, tx: PointTransaction) -> None:
        self.handler = handler
        self.settled = settled
        self.tx = tx
        self.attempts = 0


class PointReads:
    """The point lane of a process. `elsewhere` takes a handler that needs a snapshot."""

    def __init__(
        self, pool: Pool, lanes: int, cache: CatalogCache, elsewhere: Callable[[Handler, Settled], None]
    ) -> None:
        self._pool = pool
        self._lanes = lanes
        self._cache = cache
        self._elsewhere = elsewhere
        self._waiting: list[_Read] = []
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, handler: Handler, settled: Settled) -> None:
        self._step(_Read(handler, settled, PointTransaction(self._cache)))

    def _step(self, read: _Read, confirmed: int | None = None) -> None:
        """Runs a handler as far as it comes; settles it when it is done and the catalog is `confirmed`."""
        value, raised = None, None
        try:
            value = read.handler(read.tx)
        except Missing:
            self._wait(read)
            return
        except NeedsSnapshot:
            self._elsewhere(read.handler, read.settled)
            return
        except Exception as error:
            raised = error
        if read.tx.generation == confirmed:
            read.settled(value, raised)
        else:
            self._wait(read)

    def _wait(self, read: _Read) -> None:
        read.attempts += 1
        if read.attempts > MOST_ATTEMPTS:
            self._elsewhere(read.handler, read.settled)
            return
        self._waiting.append(read)
        if not self._scheduled and len(self._tasks) < self._lanes:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)  # soon: others of this iteration join

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._tasks) < self._lanes:
            reads, self._waiting = self._waiting[:MOST_POINTS], self._waiting[MOST_POINTS:]
            task = asyncio.get_running_loop().create_task(self._read(reads))
            self._tasks.add(task)

    async def _read(self, reads: list[_Read]) -> None:
        try:
            generation = await self._ask(reads)
        except Exception as error:
            if not isinstance(error, StorageUnavailable):
                log.exception("a read failed")
            for read in reads:
                read.settled(None, unavailable(error))
        else:
            for read in reads:
                if read.tx.generation != generation:  # again, over the catalog as it is now
                    read.tx = PointTransaction(self._cache)
                self._step(read, generation)
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)
            self._send()

    async def _ask(self, reads: list[_Read]) -> int:
        """Reads what they want; returns the generation that it belongs to. Raises StorageUnavailable."""
        for attempt in (1, 2):
            try:
                async with self._pool.connection() as connection:
                    generation = await self._ask_on(connection, reads)
                    await confirm_read(connection)
                    return generation
            except STORE_FAILURES as error:  # its connection was lost; nothing is lost by asking on another one
                if attempt == 2:
                    raise unavailable(error) from error
        raise AssertionError

    async def _ask_on(self, connection: sql.Connection, reads: list[_Read]) -> int:
        points: list[sql.Point] = []
        for read in reads:
            if read.tx.wanted_table is not None:
                await self._ask_table(connection, read.tx)
            points += read.tx.wanted
        if not points:
            generation, _ = await connection.fetchrow(sql.GENERATION)
            self._cache.note(generation)
            return int(generation)
        spaces, keys = [point[0] for point in points], [point[1] for point in points]
        rows = await connection.fetch(sql.POINTS_AND_GENERATION, spaces, keys)
        answers: list[sql.Found | None] = [None] * len(points)
        generation = 0
        for number, size, body, version, xmin, generation in rows:  # noqa: B007 (every row has it)
            if size is not None:
                answers[number - 1] = (size, body, version, xmin)
        number = 0
        for read in reads:
            wanted = read.tx.wanted
            if wanted:
                read.tx.found = dict(zip(wanted, answers[number : number + len(wanted)], strict=True))
                number += len(wanted)
        self._cache.note(generation)
        return int(generation)

    async def _ask_table(self, connection: sql.Connection, tx: PointTransaction) -> None:
        name, tx.wanted_table = tx.wanted_table, None
        assert name is not None
        generation, description = await connection.fetchrow(sql.TABLE, *encoded_name(name))
        if description is not None:
            self._cache.add(generation, name, description)
            tx.generation = 0  # to be run over the cache that has it
        else:
            self._cache.note(generation)
            if generation == tx.generation:
                tx.absent = name
