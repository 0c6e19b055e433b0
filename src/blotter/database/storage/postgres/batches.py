"""Writes of single items: batches whose handlers run over what was read, and one call that writes what came of it.

The life of a batch: `submit` queues a handler; `_begin` gives what waits, once it is enough (`gathering`), to a
free writer, one of a few connections; `_Batch.run` runs the handlers, reads what they missed in one statement,
runs them again, and calls `apply_batch`, which compares what was read with what is there and writes everything in
one transaction. Rules:

- An answer, a refusal too, leaves after the call has returned. Without anything to write there is no call: all was
  read in one snapshot, and the statement that read it has confirmed the catalog.
- When something has changed since it was read, nothing was written: the batch reads again. After two such
  conflicts it locks what it reads until it has written.
- Reading and writing of one batch go over one connection. A batch whose connection is lost reads again, unless the
  call was under way: then its outcome is not known, and its callers get StorageUnavailable.
- The points of the batches of one process that are under way are disjoint: a handler that wants what another
  batch has read waits for that batch.
- What needs a transaction of its own goes to the exclusive lane (`exclusive`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.batch_transaction import BatchTransaction, Missing
from blotter.database.storage.postgres.catalog import CatalogCache, encoded_name
from blotter.database.storage.postgres.connections.failures import (
    STORE_FAILURES,
    is_conflict,
    is_of_data,
    is_stale,
    unavailable,
)
from blotter.database.storage.postgres.connections.pool import confirm_read, fetch
from blotter.database.storage.postgres.connections.writer_connection import WriterConnection
from blotter.database.storage.postgres.gathering import Gathering
from blotter.database.storage.postgres.writes import NeedsExclusive
from blotter.database.storage.protocol import StorageUnavailable
from blotter.database.storage.submission import Submission

log = logging.getLogger(__name__)

MAX_BATCH = 128
BATCH_BESIDE = 32
"""So many handlers that wait are a batch beside the one that is under way. Fewer join the next: what a batch
costs, in PostgreSQL and here, is mostly its own."""
MAX_BYTES = 8 << 20
"""A batch takes no further handler once the bodies that it writes have so many bytes."""
HANDLERS_SECONDS = 0.010
"""A batch takes no further handler after this long, so that the loop can serve others."""
CONFLICTS_UNTIL_LOCKING = 2
MOST_CONFLICTS = 100
MOST_MISSES = 8
"""A handler that has missed items in more runs than this gets a transaction of its own, in which it reads them at
once: it may read what it has just made up, such as an id, and another one in each run."""
MOST_LOST_CONNECTIONS = 2
"""Connections that one batch may lose before its callers get an error."""


class Batches:
    """The queue of one process and its writers."""

    def __init__(
        self,
        writers: list[WriterConnection],
        cache: CatalogCache,
        clock: Callable[[], float],
        exclusive: Callable[[Submission], None],
    ) -> None:
        self._free = writers
        self.cache = cache
        self.clock = clock
        self.exclusive = exclusive
        """Takes a handler that needs a transaction of its own."""
        self._queue: deque[Submission] = deque()
        self._has_begun = False
        """Whether a batch has begun that has not yet taken what waits."""
        self._gathering = Gathering()
        self._timer: asyncio.TimerHandle | None = None
        """Ends a batch's wait for others."""
        self.in_flight: set[sql.Point] = set()
        """What the batches under way have read."""
        self._deferred: list[Submission] = []
        """Handlers that wait for another batch."""
        self._under_way = 0
        self._running: set[asyncio.Task[None]] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.watch: Callable[[float], None] | None = None
        self.catalog_changed: Callable[[], None] = lambda: None

    def submit(self, submission: Submission) -> None:
        loop = asyncio.get_running_loop()
        self._queue.append(submission)
        self.idle.clear()
        self._gathering.note_arrival(loop.time())
        self._begin()

    def _may_begin(self) -> bool:
        waiting = len(self._queue)
        if not waiting or not self._free:
            return False
        return waiting >= (BATCH_BESIDE if self._under_way else self._gathering.wanted)

    def _begin(self) -> None:
        """Begins a batch, if there is enough for one. It takes what waits only when its task runs: until then come
        the next writes of clients that the batch before it has answered, and join."""
        if self._has_begun or not self._may_begin():
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._has_begun = True
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(self._run(self._free.pop()))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _gather(self, batch: _Batch) -> None:
        """After a batch: begins the next one, or lets it wait for others."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._gathering.batch_ended(now, now - batch.begun_at, batch.answered, len(self._queue))
        self._begin()
        if (
            not self._under_way and self._gathering.wanted > 1
        ):  # also with an empty queue: the first waits for others
            self._timer = loop.call_later(self._gathering.longest_wait, self._stop_gathering)

    def _stop_gathering(self) -> None:
        self._timer = None
        self._gathering.stop()
        self._begin()

    async def _run(self, connection: WriterConnection) -> None:
        self._has_begun = False
        submissions = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        self._begin()
        batch = _Batch(self, submissions, connection)
        try:
            await batch.run()
        except (StorageUnavailable, *STORE_FAILURES) as error:
            batch.fail(unavailable(error))
        except Exception as error:
            log.exception("a batch failed")
            connection.forget()
            batch.fail(unavailable(error))
        finally:
            if batch.begun:  # never another batch's statements in its transaction
                connection.forget()
            self.in_flight -= batch.points
            self._free.append(connection)
            if self._deferred and batch.points:
                self._queue.extendleft(reversed(self._deferred))
                self._deferred.clear()
            self._under_way -= 1
        self._gather(batch)
        if not self._queue and not self._under_way:
            self.idle.set()

    def defer(self, submission: Submission) -> None:
        self._deferred.append(submission)

    def put_back(self, submissions: list[Submission]) -> None:
        """To the front of the queue: the batch was large enough without them."""
        self._queue.extendleft(reversed(submissions))


class _Batch:
    """Handlers that are stored together."""

    def __init__(self, batches: Batches, submissions: list[Submission], connection: WriterConnection) -> None:
        self._batches = batches
        self._submissions = submissions
        self._writer = connection
        self._tx = BatchTransaction(batches.cache, batches.clock)
        self._conflicts = 0
        self._lost = 0
        self._rounds = 0
        self._confirmed = 0
        """The catalog's generation when the items were read."""
        self._locks = False
        self._missed: dict[Submission, int] = {}
        """Handlers that have missed an item before, and how often."""
        self.points: set[sql.Point] = set()
        """What it has read; no other batch of the process touches it meanwhile."""
        self.begun = False
        """Whether the connection is in a transaction."""
        self.begun_at = asyncio.get_running_loop().time()
        self.answered = 0
        """Handlers whose callers have their result."""

    async def run(self) -> None:
        """Until it is stored or refused. Raises what the store refuses."""
        while self._submissions:
            try:
                connection = await self._writer.get()
                await self._attempt(connection)
                return
            except STORE_FAILURES as error:
                if self._writer.is_lost(error):
                    self.begun = False
                    self._lost += 1
                    if self._lost > MOST_LOST_CONNECTIONS:
                        raise
                elif is_stale(error):
                    await self._roll_back()
                    await self._refresh()
                elif is_conflict(error):
                    await self._roll_back()
                    self._conflicts += 1
                    if self._conflicts >= MOST_CONFLICTS:
                        raise StorageUnavailable("other writes keep changing the same items") from error
                    self._locks = self._conflicts >= CONFLICTS_UNTIL_LOCKING
                elif is_of_data(error) and len(self._submissions) > 1:
                    await self._roll_back()
                    await self._one_by_one()
                    return
                else:
                    await self._roll_back()
                    raise
                self._tx.forget()
                self._rounds = 0

    async def _attempt(self, connection: sql.Connection) -> None:
        if self._locks:
            await self._lock(connection)
        while not self._run_handlers():
            points = [point for point in dict.fromkeys(self._tx.wanted_points) if point not in self._tx.found]
            self._batches.in_flight.update(points)
            self.points.update(points)
            await self._read_tables(connection)
            if points and self._locks:  # All locks are taken in the order of the keys: begin again, with these.
                await self._roll_back()
                await self._lock(connection)
            elif points:
                await self._read_points(connection, points)
        tx = self._tx
        if tx.has_something() or tx.guards or tx.notifies:
            await self._apply()
        elif self._submissions:
            if self._confirmed != tx.generation:
                self._confirmed, _ = await connection.fetchrow(sql.GENERATION)
                if self._confirmed != tx.generation:
                    self._batches.cache.note(self._confirmed)
                    await self._roll_back()
                    await self._attempt(connection)
                    return
            await self._roll_back()
            await confirm_read(connection)
        self._settle()

    # Running the handlers

    def _run_handlers(self) -> bool:
        """Runs all handlers; False if any needs what has not been read yet: `wanted_points`, `wanted_tables`."""
        tx = self._tx
        tx.begin()
        tx.guard_all = self._rounds > 1 or self._locks or self._confirmed != tx.generation
        missing = False
        deadline = time.monotonic() + HANDLERS_SECONDS
        for number, submission in enumerate(self._submissions):
            if submission.abandoned:
                submission.actions = None
                continue
            if number and (tx.bytes > MAX_BYTES or time.monotonic() > deadline):
                self._batches.put_back(self._submissions[number:])
                del self._submissions[number:]
                break
            if self._run_handler(submission):
                missing = True
        self._drop_excluded()
        return not missing

    def _run_handler(self, submission: Submission) -> bool:
        """Runs one handler and keeps what came of it; True if it missed something."""
        tx = self._tx
        wanted = len(tx.wanted_points)
        tx.begin_handler()
        tx.goes_on = submission in self._missed
        submission.error, submission.actions, submission.excluded = None, None, False
        try:
            submission.value = submission.handler(tx)
            if not tx.is_incomplete:
                tx.handler_ended()
                submission.actions = tx.actions or None
                return False
        except Missing:
            pass
        except NeedsExclusive:
            tx.undo()
            submission.excluded = True  # from this batch
            self._batches.exclusive(submission)
            return False
        except (Exception, asyncio.CancelledError) as error:
            if not tx.is_incomplete:
                submission.keep_error(error)
                tx.handler_ended()
                tx.undo()
                return False
        tx.undo()
        if tx.wanted_points[wanted:]:
            times = self._missed[submission] = self._missed.get(submission, 0) + 1
            if times > MOST_MISSES:
                del tx.wanted_points[wanted:]
                submission.excluded = True
                self._batches.exclusive(submission)
            elif not self._batches.in_flight.isdisjoint(self._foreign(tx.wanted_points[wanted:])):
                del tx.wanted_points[wanted:]
                submission.excluded = True
                self._batches.defer(submission)
        return True

    def _foreign(self, points: list[sql.Point]) -> list[sql.Point]:
        return [point for point in points if point not in self.points]

    def _drop_excluded(self) -> None:
        """Drops the handlers that are run elsewhere; nothing of them is left in the transaction."""
        if any(submission.excluded for submission in self._submissions):
            self._submissions[:] = [each for each in self._submissions if not each.excluded]

    # Statements

    async def _read_tables(self, connection: sql.Connection) -> None:
        """Reads the tables that the handlers missed."""
        tx, cache = self._tx, self._batches.cache
        for name in dict.fromkeys(tx.wanted_tables):
            generation, description = await connection.fetchrow(sql.TABLE, *encoded_name(name))
            if description is not None:
                cache.add(generation, name, description)
            elif cache.note(generation) and generation == tx.generation:
                tx.absent_tables.add(name)

    async def _read_points(self, connection: sql.Connection, points: list[sql.Point]) -> None:
        """Reads items that the handlers missed."""
        self._rounds += 1
        spaces, keys = [point[0] for point in points], [point[1] for point in points]
        rows = await fetch(connection, sql.POINTS_AND_GENERATION, spaces, keys)
        self._tx.found.update(dict.fromkeys(points))
        self._note_found(points, rows)
        self._confirmed = rows[0][5]
        self._batches.cache.note(self._confirmed)

    async def _lock(self, connection: sql.Connection) -> None:
        """Begins a transaction that locks all that the batch has read so far, and reads it again."""
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self.begun = True
        await connection.fetchval(sql.LOCK_CATALOG, self._writer.lock_key)
        points = sorted(self.points)
        spaces, keys = [point[0] for point in points], [point[1] for point in points]
        rows = await connection.fetch(sql.LOCKED_POINTS, spaces, keys)
        self._tx.found = dict.fromkeys(points)
        self._note_found(points, rows)
        self._confirmed, _ = await connection.fetchrow(sql.GENERATION)
        self._batches.cache.note(self._confirmed)

    def _note_found(self, points: list[sql.Point], rows: list[Any]) -> None:
        found = self._tx.found
        for number, size, body, version, xmin, *_ in rows:
            if size is not None:
                found[points[number - 1]] = (size, body, version, xmin)

    async def _refresh(self) -> None:
        connection = await self._writer.get()
        generation, _ = await connection.fetchrow(sql.GENERATION)
        self._batches.cache.note(generation)

    async def _apply(self) -> None:
        tx, writer = self._tx, self._writer
        applied = writer.apply(tx.generation, tx.arguments(tx.found, tx.guards), tx.notifies)
        wrote = tx.has_something() or bool(tx.guards)  # A lock is written, too; a notification alone is not.
        started = time.monotonic()
        if self.begun:
            await applied
            await writer.commit(wrote)
            self.begun = False
        else:
            await writer.committed(applied, wrote)
        if self._batches.watch is not None:
            self._batches.watch(time.monotonic() - started)

    async def _roll_back(self) -> None:
        if self.begun:
            self.begun = False
            await self._writer.roll_back()

    async def _one_by_one(self) -> None:
        """One of the handlers cannot be stored: each is stored for itself."""
        for submission in self._submissions:
            alone = _Batch(self._batches, [submission], self._writer)
            alone.points = self.points
            try:
                await alone.run()
            except (StorageUnavailable, *STORE_FAILURES) as error:
                alone.fail(unavailable(error))
            finally:
                if alone.begun:
                    self._writer.forget()
        self._submissions = []

    # The end

    def _settle(self) -> None:
        if self._tx.notifies:
            self._batches.catalog_changed()
        submissions, self._submissions = self._submissions, []
        self.answered += len(submissions)
        for submission in submissions:
            submission.settle()

    def fail(self, error: StorageUnavailable) -> None:
        submissions, self._submissions = self._submissions, []
        for submission in submissions:
            submission.fail(error)
