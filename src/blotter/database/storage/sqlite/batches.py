"""Group commit: everything that waits is written in one transaction and answered after one sync.

The way of a batch: `submit` queues a handler; `_begin` gets the turn between processes, at once, by the bell or in
the thread; `_run_batch` runs the handlers inline, one after another, in one BEGIN IMMEDIATE; `_commit` syncs;
`_committed` answers. While the disk is quick, the commit runs inline too: two changes of thread cost more than the
sync. While it is slow, the thread commits, and the loop goes on serving reads and queueing the next batch. Rules:

- An answer leaves after the commit that holds everything its handler saw. A batch without writes saw only what is
  already synced and is answered at once.
- A handler that raises without having written keeps its exception until then. One that raises after having written
  spoils the transaction: it is rolled back and the others run again without it.
- When the commit fails, everyone in the batch gets StorageUnavailable, and nothing of the batch is stored.
- A caller who is cancelled is skipped if his turn has not come; otherwise his handler's work stays in the batch.

Written as callbacks, not as a task: from the queue to the answer the loop turns once, or three times with the
thread. Why inline: docs/decisions/0005-commits-on-the-loop.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import apsw

from blotter.database.storage.protocol import Action, Settled, StorageUnavailable, WriteTransaction
from blotter.database.storage.sqlite.checksums import describe, is_damage
from blotter.database.storage.sqlite.locks import TurnBell, TurnLock
from blotter.database.storage.sqlite.threads import Done, Work, WorkThread
from blotter.database.storage.sqlite.writing import Writer

log = logging.getLogger(__name__)

Handler = Callable[[WriteTransaction], Any]

MAX_BATCH = 256
HANDLERS_SECONDS = 0.005
"""A batch takes no further handler after this long, so that the loop can serve reads."""
TURN_SECONDS = 0.001
"""How long a process with work goes on writing while another waits for the turn."""
QUICK_COMMIT_SECONDS = 0.002
"""Commits that on average take less than this may hold up the loop."""
PATIENCE_SECONDS = 0.005
"""How long the bell is waited for before a thread waits for the turn itself: its holder may have died."""

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
    """A submitted handler, and what came of it: a value, or an error to raise. Who sets `abandoned` takes it back
    if its turn has not come, and is not called any more; once it was answered, that means nothing."""

    __slots__ = ("abandoned", "actions", "error", "handler", "settled", "spoiled", "value")

    def __init__(self, handler: Handler, settled: Settled) -> None:
        self.handler = handler
        self.settled = settled
        self.value: Any = None
        self.error: BaseException | None = None
        self.actions: list[Action] | None = None
        self.spoiled = False
        self.abandoned = False

    def settle(self) -> None:
        if self.actions is not None:
            self._act(self.actions)
        if self.abandoned:
            return
        try:
            self.settled(None if self.error is not None else self.value, self.error)
        except Exception:  # One who cannot take his answer must not cost the others of the batch theirs.
            log.exception("an answer was not taken")

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            try:
                action()
            except Exception:  # The work is committed; its caller must be told.
                log.exception("an action after a commit failed")


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
        self._blocking = thread  # for what blocks: slow commits, a turn without a bell, overdue checkpoints
        self._monotonic = monotonic
        self._loop: Any = None  # uvloop's methods do not return all that asyncio's are declared to
        self._queue: deque[Waiting] = deque()
        self._active = False
        self._turn_taken_at = 0.0
        self._patience: Any = None  # a timer, of whichever loop it is
        self._commit_seconds = 0.0
        """What commits take, a running average over the last few."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.closing = False
        self.after_commit: Callable[[], Work | None] = lambda: None
        """Called on the loop after a commit. May return blocking work, which the thread does within this turn and
        before the next batch: a checkpoint that is overdue."""

    def submit(self, handler: Handler, settled: Settled, loop: asyncio.AbstractEventLoop) -> Waiting:
        if self.closing:
            raise StorageUnavailable("the store is closing")
        if loop is not self._loop:
            self._attach(loop)
        waiting = Waiting(handler, settled)
        self._queue.append(waiting)
        if not self._active:
            self._active = True
            self._idle.clear()
            loop.call_soon(self._begin)  # soon, not now: others of this turn of the loop join the batch
        return waiting

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
        try:
            taken = self._turn.try_acquire()
        except OSError as error:
            self._turn_taken(error)
            return
        if taken:
            self._turn_taken(None)
        elif self._turn.at_door and self._turn.bell is not None:
            self._loop.add_reader(self._turn.bell.fileno(), self._bell_rang, self._turn.bell)
            self._patience = self._loop.call_later(PATIENCE_SECONDS, self._bell_is_silent, self._turn.bell)
        else:
            self._in_thread(self._turn.acquire, self._turn_taken)

    def _bell_rang(self, bell: TurnBell) -> None:
        bell.hush()
        try:
            taken = self._turn.try_acquire()
        except OSError as error:
            self._stop_listening(bell)
            self._turn_taken(error)
            return
        if taken:
            self._stop_listening(bell)
            self._turn_taken(None)

    def _bell_is_silent(self, bell: TurnBell) -> None:
        self._stop_listening(bell)
        self._in_thread(self._turn.acquire, self._turn_taken)

    def _stop_listening(self, bell: TurnBell) -> None:
        self._loop.remove_reader(bell.fileno())
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _turn_taken(self, error: BaseException | None) -> None:
        if error is not None:
            self._turn.give_up()
            self._fail(self._take_all(), error)
            self._ask_again()
            return
        self._turn_taken_at = self._monotonic()
        self._run_batch()

    def _turn_is_over(self) -> bool:
        if not self._queue:
            return True
        return self._monotonic() - self._turn_taken_at >= TURN_SECONDS and self._turn.others_wait()

    def _pass_turn(self) -> bool:
        """Gives the turn up if it is over."""
        if not self._turn_is_over():
            return False
        self._turn.release()
        return True

    def _go_on(self, passed: bool) -> None:
        if passed:
            self._ask_again()
        else:
            self._call_soon(self._run_batch)

    def _batch_ended(self) -> None:
        self._go_on(self._pass_turn())

    def _ask_again(self) -> None:
        if self._queue:
            self._call_soon(self._begin)
        else:
            self._active = False
            self._idle.set()

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
        if wrote and self._commit_seconds < QUICK_COMMIT_SECONDS:
            self._commit_inline(batch)
        elif wrote:
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
            if waiting.abandoned:
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
        """Runs one handler and keeps what came of it; False if the others have to run again without it: it broke
        off after having written, or met damage."""
        writer = self._writer
        writes = writer.writes
        waiting.error = None
        waiting.actions = None
        try:
            waiting.value = waiting.handler(writer)
            if writer.actions:
                waiting.actions, writer.actions = writer.actions, []
        except STORE_FAILURES as failure:
            if not is_damage(failure):
                raise
            # Only what lies on the damaged page is lost, but SQLite may have rolled back the others' writes.
            waiting.error, waiting.spoiled = _unavailable(failure), True
            writer.actions = []
        except (Exception, asyncio.CancelledError) as error:
            # A future cannot carry a StopIteration.
            waiting.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            waiting.spoiled = writer.writes != writes
            writer.actions = []
        return not waiting.spoiled

    def _commit(self) -> None:
        begun = self._monotonic()
        try:
            self._execute("COMMIT")
        finally:
            self._commit_seconds += (self._monotonic() - begun - self._commit_seconds) / 8

    def _commit_inline(self, batch: list[Waiting]) -> None:
        try:
            self._commit()
        except BaseException as error:
            self._committed(batch, error)
            if isinstance(error, Exception):
                return
            raise
        self._committed(batch, None)

    def _committed(self, batch: list[Waiting], error: BaseException | None) -> None:
        if error is not None:
            self._roll_back()
        work, passed = None, False
        try:
            work = self.after_commit()
            # The turn goes before the answers, which take half as long as the commit: another may wait for it.
            passed = work is None and self._pass_turn()
        except Exception:  # What is committed must be answered, whatever becomes of the turn.
            log.exception("after a commit")
        if error is None:
            self._settle(batch)
        else:
            self._fail(batch, error)
        if work is None:
            self._go_on(passed)
        else:
            self._in_thread(work, lambda _: self._batch_ended())

    def _roll_back(self) -> None:
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
            waiting.error, waiting.actions = _unavailable(cause), None
            waiting.settle()

    def _in_thread(self, work: Work, done: Done) -> None:
        self._blocking.run(self._loop, work, done)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)


def _unavailable(cause: BaseException) -> StorageUnavailable:
    error = StorageUnavailable(f"{type(cause).__name__}: {describe(cause)}")
    error.__cause__ = cause
    return error
