"""Writes that need a transaction of their own: they read ranges, statistics or the change log, or change the
catalog.

Such a handler runs alone: it holds the catalog's lock, which every batch shares, so that nothing else commits
until it has. What it has read cannot have changed, and no row can have appeared in a range. It runs in a greenlet
over the transaction; its writes of items are kept in memory and written before it reads a range, and at its end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from blotter.database.model.table import Table
from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.catalog import CatalogCache, encode_table, encoded_name
from blotter.database.storage.postgres.connections.failures import (
    DEPOSED_TEXT,
    STORE_FAILURES,
    is_conflict,
    unavailable,
)
from blotter.database.storage.postgres.connections.pool import confirm_read
from blotter.database.storage.postgres.connections.writer_connection import WriterConnection
from blotter.database.storage.postgres.layout.schema import HEAD_BYTES, digest_of
from blotter.database.storage.postgres.reading import Reader
from blotter.database.storage.postgres.suspended import run_suspendable
from blotter.database.storage.postgres.writes import Stored, Writes, change_arrays
from blotter.database.storage.protocol import (
    ANY_SIZE,
    LOG_SPACE,
    NO_SHARD,
    Change,
    LogReader,
    Row,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
    change_size,
)
from blotter.database.storage.submission import Submission

log = logging.getLogger(__name__)

FLUSH_BYTES = 8 << 20
"""Bodies that are kept in memory before they are written."""
MOST_ATTEMPTS = 10


class ExclusiveTransaction(Writes):
    """See the module's text. `reader` reads in the transaction."""

    def __init__(self, reader: Reader, writer: WriterConnection, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._reader = reader
        self._writer = writer
        self._found: dict[sql.Point, StoredItem | None] = {}
        self.catalog_changed = False
        self.begin_handler()

    # Reading, with what is not yet written

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        return self._reader.find_table(account, region, name)

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        return self._reader.table_names(account, region, after, limit)

    def tables(self) -> Iterable[Table]:
        return self._reader.tables()

    def catalog_version(self) -> int:
        return self._reader.catalog_version()

    def get(self, space: int, key: bytes) -> StoredItem | None:
        point = (space, key)
        if point in self.written:
            stored = self.written[point]
            return None if stored is None else StoredItem(key, stored[0], stored[1])
        if point not in self._found:
            self._found[point] = self._reader.get(space, key)
        return self._found[point]

    def version(self, space: int, key: bytes) -> int | None:
        point = (space, key)
        if point in self.written:
            stored = self.written[point]
            return None if stored is None else stored[2]
        return self._reader.version(space, key)

    def expect(self, points: Callable[[], Iterable[sql.Point]]) -> None:
        self._reader.expect(lambda: [point for point in points() if point not in self.written])

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        self.flush()
        return self._reader.get_many(space, keys, size)

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
        self.flush()
        return self._reader.items(space, start, end, limit, size, reverse=reverse)

    def statistics(self, space: int) -> SpaceStatistics:
        self.flush()
        return self._reader.statistics(space)

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        self.flush()
        return self._reader.changes(table_id, shard, after, limit)

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        self.flush()
        return self._reader.log(after, limit, size)

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        self.flush()
        return self._reader.log_times(after, limit)

    def log_readers(self) -> list[LogReader]:
        return self._reader.log_readers()

    def first_change(self) -> int:
        self.flush()
        return self._reader.first_change()

    def last_change(self) -> int:
        self.flush()
        return self._reader.last_change()

    # Writing

    def new_space(self) -> int:
        (space,) = self._reader.row(sql.NEW_SPACE)
        return int(space)

    def save_table(self, table: Table) -> None:
        name = (table.account, table.region, table.name)
        description = encode_table(table)
        self._log_table(table, description)
        self._reader.rows(sql.SAVE_TABLE, *encoded_name(name), description)
        self._table_changed(name, table)

    def remove_table(self, table: Table) -> None:
        name = (table.account, table.region, table.name)
        self._log_table(table, None)
        self._reader.rows(sql.REMOVE_TABLE, *encoded_name(name))
        self._table_changed(name, None)
        self.drop_space(table.space)
        for index in table.indexes:
            for space in index.spaces:
                self.drop_space(space)

    def drop_space(self, space: int) -> None:
        self.flush()
        self._reader.rows(sql.FORGET_STATISTICS, space)
        self._reader.rows(sql.DROP_SPACE, space)

    def save_log_reader(self, reader: LogReader) -> None:
        row = (reader.name, reader.position, reader.retention, reader.progressed_at, reader.lost_at)
        self._reader.rows(sql.SAVE_LOG_READER, *row)

    def remove_log_reader(self, name: str) -> None:
        self._reader.rows(sql.REMOVE_LOG_READER, name)

    def trim_log(self, through: int, limit: int) -> int:
        self.flush()
        removed, size = self._reader.row(sql.TRIM_LOG, through, limit)
        if removed:
            self._grow(LOG_SPACE, -removed, -size)
        return int(removed)

    def restore_table(self, account: str, region: str, name: str, table: Table | None) -> None:
        place = (account, region, name)
        if table is None:
            self._reader.rows(sql.REMOVE_TABLE, *encoded_name(place))
        else:
            self._reader.rows(sql.SAVE_TABLE, *encoded_name(place), encode_table(table))
        self._table_changed(place, table)

    def restore_changes(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self.flush()
        self._reader.rows(sql.RESTORE_CHANGES, *change_arrays(changes), [each.sequence for each in changes])
        self._reader.rows(sql.RAISE_LOG_COUNTER, changes[-1].sequence)
        self._grow(LOG_SPACE, len(changes), sum(map(change_size, changes)))

    def restore_counters(self, space: int, change: int) -> None:
        self.flush()
        self._reader.rows(sql.RAISE_LAST_SPACE, space)
        self._reader.rows(sql.RAISE_LOG_COUNTER, change)

    def put_new(self, space: int, rows: Sequence[Row]) -> None:
        super().put_new(space, rows)
        if self.bytes > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what is kept in memory."""
        if self.has_something():
            self._found = {}
            self._reader.forget_expected()
            self._reader.wait(self._writer.apply(self._reader.catalog_version(), self.arguments({}, set())))
            self.forget_written()

    def finish(self) -> None:
        """Writes everything, at the end of the handler."""
        self.flush()
        if self.catalog_changed:
            self._reader.rows(sql.RAISE_GENERATION)
        if self.notifies:
            self._reader.rows(sql.NOTIFY, self._writer.channel)

    def _table_changed(self, name: tuple[str, str, str], table: Table | None) -> None:
        self.catalog_changed = self.notifies = True
        self._reader.note_table(name, table)

    def _log_table(self, table: Table, description: bytes | None) -> None:
        """Logs a table's new description in the catalog, unless it is unchanged."""
        name = (table.account, table.region, table.name)
        _, old = self._reader.row(sql.TABLE, *encoded_name(name))
        if old == description:
            return
        key = "/".join(name).encode()
        self.append_change(Change(0, self._clock(), table.id, NO_SHARD, key, old, description, kind="table"))

    def _write_long(self, space: int, key: bytes, stored: Stored | None) -> None:
        self._found.pop((space, key), None)
        self._reader.forget_expected()
        place = (space, key[:HEAD_BYTES], digest_of(key))
        if stored is None:
            self._reader.rows(sql.REMOVE_LONG, *place)
            return
        self._reader.rows(sql.SAVE_LONG, *place, key, *stored)
        if not self._reader.long_keys:
            # Readers look for long keys only in a catalog that says there are any.
            self._reader.rows(sql.NOTE_LONG_KEYS)
            self._reader.long_keys = self.catalog_changed = True


class ExclusiveWrites:
    """The queue of a process's exclusive handlers, and the connection on which they run one after another."""

    def __init__(self, writer: WriterConnection, cache: CatalogCache, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._cache = cache
        self._clock = clock
        self._queue: deque[Submission] = deque()
        self._task: asyncio.Task[None] | None = None
        self._begun = False
        """Whether the connection is in a transaction."""
        self.idle = asyncio.Event()
        self.idle.set()
        self.watch: Callable[[float], None] | None = None
        self.catalog_changed: Callable[[], None] = lambda: None

    def submit(self, submission: Submission) -> None:
        self._queue.append(submission)
        self.idle.clear()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._queue:
            submission = self._queue.popleft()
            if submission.abandoned:
                continue
            submission.error, submission.actions = None, None
            try:
                await self._store(submission)
            except (StorageUnavailable, *STORE_FAILURES) as error:
                submission.fail(unavailable(error))
            except Exception as error:
                log.exception("an exclusive write failed")
                submission.fail(unavailable(error))
            else:
                submission.settle()
        self._task = None
        self.idle.set()

    async def _store(self, submission: Submission) -> None:
        """Runs a handler and stores what it wrote. Raises what the store refuses."""
        for attempt in range(MOST_ATTEMPTS):
            try:
                connection = await self._writer.get()
                await self._attempt(connection, submission)
                return
            except STORE_FAILURES as error:
                lost = self._writer.is_lost(error)
                if attempt == MOST_ATTEMPTS - 1 or not (lost or is_conflict(error)):
                    raise
            finally:
                if self._begun:  # never another handler's statements in its transaction
                    self._writer.forget()
                    self._begun = False

    async def _attempt(self, connection: sql.Connection, submission: Submission) -> None:
        tx = await self._begin(connection)
        if not await self._handled(submission, tx):
            await connection.execute("ROLLBACK")
        else:
            begun = time.monotonic()
            await self._writer.commit(wrote=await connection.fetchval(sql.HAS_WRITTEN))
            self._committed(tx, time.monotonic() - begun)
        self._begun = False
        await confirm_read(connection)  # it may have written nothing

    async def _begin(self, connection: sql.Connection) -> ExclusiveTransaction:
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._begun = True
        await connection.fetchval(sql.LOCK_CATALOG_ALONE, self._writer.lock_key)
        fence = self._writer.fence
        if fence is not None and await connection.fetchval(sql.FENCE, fence) is None:
            raise StorageUnavailable(DEPOSED_TEXT)
        reader = Reader(connection, self._cache)
        await reader.read_catalog_state()
        return ExclusiveTransaction(reader, self._writer, self._clock)

    async def _handled(self, submission: Submission, tx: ExclusiveTransaction) -> bool:
        """Runs a handler; whether its transaction is to be committed."""

        def handle() -> None:
            submission.value = submission.handler(tx)
            tx.finish()

        try:
            await run_suspendable(handle)
        except StorageUnavailable as error:
            if isinstance(error.__cause__, STORE_FAILURES):
                raise error.__cause__ from None
            submission.keep_error(error)
            return False
        except STORE_FAILURES:
            raise
        except (Exception, asyncio.CancelledError) as error:
            submission.keep_error(error)
            return False
        submission.actions = tx.actions or None
        return True

    def _committed(self, tx: ExclusiveTransaction, seconds: float) -> None:
        if tx.catalog_changed:
            self._cache.note(tx.catalog_version() + 1)
        if tx.notifies:
            self.catalog_changed()
        if self.watch is not None:
            self.watch(seconds)
