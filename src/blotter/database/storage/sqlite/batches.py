"""Group commit: everything that waits is written in one transaction and answered after one sync.

The way of a batch: `submit` queues a handler; `_begin` gets the turn between processes, at once or in the thread;
`_run_batch` runs the handlers inline, one after another, in one BEGIN IMMEDIATE; the thread commits, while the
loop goes on serving reads and queueing the next batch; `_committed` answers. Rules:

- An answer leaves after the commit that holds everything its handler saw. A batch without writes saw only what is
  already synced and is answered at once.
- A handler that raises without having written keeps its exception until then. One that raises after having written
  spoils the transaction: it is rolled back and the others run again without it.
- When the commit fails, everyone in the batch gets StorageUnavailable, and nothing of the batch is stored.
- A caller who is cancelled is skipped if his turn has not come; otherwise his handler's work stays in the batch.

Written as callbacks, not as a task: from the queue to the answer the loop turns three times.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import apsw

from blotter.database.storage.protocol import StorageUnavailable, WriteTransaction
from blotter.database.storage.sqlite.locks import TurnLock
from blotter.database.storage.sqlite.threads import Done, Work, WorkThread
from blotter.database.storage.sqlite.writing import Writer

Handler = Callable[[WriteTransaction], Any]

MAX_BATCH = 256
HANDLERS_SECONDS = 0.005
"""A batch takes no further handler after this long, so that the loop can serve reads."""
TURN_SECONDS = 0.010
"""How long a process with work goes on writing while another waits for the turn."""

# What the file, the disk or the system refuses. Everything else that apsw raises is the handler's own mistake.
STORE_FAILURES = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ProtocolError,
    apsw.InterruptError,
    apsw.AbortError,
    apsw.PermissionsError,
    apsw.InternalError,
)


class Waiting:
    """A submitted handler, and what came of it: a value, or an error to raise."""

    __slots__ = ("error", "future", "handler", "spoiled", "value")

    def __init__(self, handler: Handler, future: asyncio.Future[Any]) -> None:
        self.handler = handler
        self.future = future
        self.value: Any = None
        self.error: BaseException | None = None
        self.spoiled = False

    def settle(self) -> None:
        if self.future.done():  # cancelled meanwhile
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class Batches:
    """The queue of one process and its writing connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        writer: Writer,
        turn: TurnLock,
        thread: WorkThread,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._writer = writer
        self._turn = turn
        self._thread = thread
        self._monotonic = monotonic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[Waiting] = deque()
        self._active = False
        self._turn_taken_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self.closing = False
        self.after_commit: Callable[[], Work | None] = lambda: None
        """Called on the loop after a commit. May return blocking work, which the thread does within this turn and
        before the next batch: a checkpoint that is overdue."""

    def submit(self, handler: Handler, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        if self.closing:
            raise StorageUnavailable("the store is closing")
        if loop is not self._loop:
            self._attach(loop)
        future = loop.create_future()
        self._queue.append(Waiting(handler, future))
        if not self._active:
            self._active = True
            self._idle.clear()
            loop.call_soon(self._begin)  # soon, not now: others of this turn of the loop join the batch
        return future

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._active:
            raise RuntimeError("the store is in use on another event loop")
        self._loop = loop
        self._idle = asyncio.Event()
        self._idle.set()

    async def drained(self) -> None:
        """Returns when nothing is queued or under way."""
        await self._idle.wait()

    # The turn between processes

    def _begin(self) -> None:
        if self._turn.try_acquire():
            self._turn_taken(None)
        else:
            self._in_thread(self._turn.acquire, self._turn_taken)

    def _turn_taken(self, error: BaseException | None) -> None:
        if error is not None:
            self._fail(self._take_all(), error)
            self._rest()
            return
        self._turn_taken_at = self._monotonic()
        self._run_batch()

    def _batch_ended(self) -> None:
        if not self._queue:
            self._turn.release()
            self._rest()
        elif self._monotonic() - self._turn_taken_at < TURN_SECONDS or not self._turn.others_wait():
            self._call_soon(self._run_batch)
        else:
            self._turn.release()
            self._call_soon(self._begin)

    def _rest(self) -> None:
        self._active = False
        self._idle.set()
        if self._queue:  # submitted by a callback of what was just settled
            self._active = True
            self._idle.clear()
            self._call_soon(self._begin)

    # One batch

    def _run_batch(self) -> None:
        batch: list[Waiting] = []
        try:
            self._start_transaction()
            self._run_waiting(batch)
            if wrote := self._writer.writes > 0:
                self._writer.flush()
            else:
                self._execute("ROLLBACK")
        except BaseException as error:
            self._roll_back()
            self._fail(batch or self._take_all(), error)
            self._batch_ended()
            if isinstance(error, Exception):
                return
            raise
        if wrote:
            self._in_thread(self._commit, lambda error: self._committed(batch, error))
        else:
            self._settle(batch)
            self._batch_ended()

    def _start_transaction(self) -> None:
        self._execute("BEGIN IMMEDIATE")
        self._writer.begin()

    def _run_waiting(self, batch: list[Waiting]) -> None:
        """Moves handlers from the queue into `batch` and runs them, until the batch is full or long enough."""
        queue, deadline = self._queue, self._monotonic() + HANDLERS_SECONDS
        while queue and len(batch) < MAX_BATCH:
            waiting = queue.popleft()
            if waiting.future.done():  # cancelled
                continue
            batch.append(waiting)
            if not self._run_handler(waiting):
                self._start_over(batch)
            if self._monotonic() > deadline:
                break

    def _start_over(self, batch: list[Waiting]) -> None:
        """Runs a spoiled batch again without those who spoiled it. Every round spoils one more or is the last."""
        clean = False
        while not clean:
            self._roll_back()
            self._start_transaction()
            clean = all(waiting.spoiled or self._run_handler(waiting) for waiting in batch)

    def _run_handler(self, waiting: Waiting) -> bool:
        """Runs one handler and keeps what came of it; False if it broke off after having written."""
        writer = self._writer
        writes = writer.writes
        waiting.error = None
        try:
            waiting.value = waiting.handler(writer)
        except STORE_FAILURES:
            raise
        except (Exception, asyncio.CancelledError) as error:
            # A future cannot carry a StopIteration.
            waiting.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            waiting.spoiled = writer.writes != writes
        writer.end_handler()
        return not waiting.spoiled

    def _commit(self) -> None:
        self._execute("COMMIT")

    def _committed(self, batch: list[Waiting], error: BaseException | None) -> None:
        if error is None:
            self._settle(batch)
        else:
            self._roll_back()
            self._fail(batch, error)
        work = self.after_commit()
        if work is None:
            self._batch_ended()
        else:
            self._in_thread(work, lambda _: self._batch_ended())

    def _roll_back(self) -> None:
        self._writer.end_handler()
        # SQLite rolls back itself after some errors. Where this fails, the next BEGIN fails and comes here again.
        with suppress(apsw.Error):
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def _take_all(self) -> list[Waiting]:
        waiting = list(self._queue)
        self._queue.clear()
        return waiting

    def _settle(self, batch: list[Waiting]) -> None:
        for waiting in batch:
            waiting.settle()

    def _fail(self, batch: list[Waiting], cause: BaseException) -> None:
        for waiting in batch:
            waiting.error = StorageUnavailable(f"{type(cause).__name__}: {cause}")
            waiting.error.__cause__ = cause
            waiting.settle()

    def _in_thread(self, work: Work, done: Done) -> None:
        assert self._loop is not None
        self._thread.run(self._loop, work, done)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon(callback)
