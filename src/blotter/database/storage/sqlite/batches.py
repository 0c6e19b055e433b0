"""Group commit: everything that waits is written in one transaction and answered after one sync.

The life of a batch: `submit` queues a handler; `_begin` acquires the write lock between processes, at once or by
notification; `_run_batch` runs the handlers inline, one after another, in one BEGIN IMMEDIATE;
`_commit` syncs; `_committed` answers. While the disk is quick, the commit runs inline too: two switches of thread
cost more than the sync. While it is slow, the thread commits, and the loop goes on serving reads and queueing the
next batch. Rules:

- A result leaves after the commit that holds everything its handler saw. A batch without writes saw only what is
  already synced and is answered at once.
- A handler that raises without having written keeps its exception until then. One that raises after having written
  spoils the transaction: it is rolled back and the others run again without that handler.
- When the commit fails, every caller of the batch gets StorageUnavailable, and nothing of the batch is stored. If
  the disk is full, the batch is run once more before that, and what needs no more room is accepted (`reserve`).
- A handler whose caller is canceled is skipped if it has not run yet; otherwise its work stays in the batch.

Written as callbacks, not as a task: from the queue to the answer takes one iteration of the loop, or three with
the thread. Why inline: docs/decisions/0005-commits-on-the-loop.md.
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

from blotter.database.storage.protocol import UNLIMITED, Settled, StorageUnavailable
from blotter.database.storage.sqlite.checksums import error_text, is_damage
from blotter.database.storage.sqlite.locks import RETRY_SECONDS, NotificationPipe, WriteLock
from blotter.database.storage.sqlite.writing import Writer
from blotter.database.storage.submission import Handler, Submission
from blotter.database.work_thread import Done, Work, WorkThread

log = logging.getLogger(__name__)

MAX_BATCH = 256
MOST_TRIES_WHEN_FULL = 2
NO_LIMIT = 0xFFFFFFFE
"""Pages: as many as SQLite can count."""
HANDLERS_SECONDS = 0.005
"""A batch takes no further handler after this long, so that the loop can serve reads."""
HOLD_SECONDS = 0.001
"""How long a process with work keeps the write lock while another waits for it."""
QUICK_COMMIT_SECONDS = 0.002
"""Commits that on average take less than this may block the loop."""
BUSY_MS = 5000
"""How long to wait for another program that is writing to the file before the waiting writes are refused."""
WARNING_SECONDS = 60.0
"""Between two warnings that another program is writing to the file."""

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


class Batches:
    """The queue of one process and its writing connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        writer: Writer,
        write_lock: WriteLock,
        thread: WorkThread,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._writer = writer
        self._write_lock = write_lock
        self._blocking = thread  # for what blocks: slow commits, another program, overdue checkpoints
        self._monotonic = monotonic
        self._loop: Any = None  # uvloop's methods do not return all that asyncio's are declared to
        self._queue: deque[Submission] = deque()
        self._active = False
        self._locked_at = 0.0
        self._listening: NotificationPipe | None = None
        self._retry: Any = None  # a timer, of whichever loop it is
        self._released = False
        """Whether the thread has released the lock at the end of its work."""
        self._commit_seconds = 0.0
        """What commits take, a running average over the last few."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._warned_at = -WARNING_SECONDS
        self._full_count = 0
        """How often in a row the batch that is run has not found room on the disk."""
        self.busy_ms = BUSY_MS
        connection.set_busy_timeout(0)  # waiting is for the thread
        self.refusal: str | None = None
        """Why no further handler is accepted."""
        self.after_commit: Callable[[bool], Work | None] = lambda _: None
        """Called on the loop after a commit, with whether the write lock is still held. If so, it may return
        blocking work, which the thread does under the lock, before the next batch: an overdue checkpoint."""
        self.needs_lock: Callable[[], bool] = lambda: False
        """Whether `after_commit` would return work. Called in the thread."""
        self.disk_is_full: Callable[[], Work | None] = lambda: None
        """Called on the loop when a write did not find room on the disk. May return work that makes room, to be
        done in the thread under the lock."""
        self.has_room_again: Callable[[], bool] = lambda: True
        """Called under the lock before a batch while the disk is full."""
        self.most_pages = NO_LIMIT
        """How long the database file may become; a write that needs more does not find room."""
        self._page_limit = NO_LIMIT
        self.is_disk_full: Callable[[], bool] = lambda: False
        self.catalog_changed: Callable[[], None] = lambda: None
        """Called on the loop after a commit that changed the catalog."""

    def submit(self, handler: Handler, settled: Settled, loop: asyncio.AbstractEventLoop) -> Submission:
        if self.refusal is not None:
            raise StorageUnavailable(self.refusal)
        if loop is not self._loop:
            self._attach(loop)
        submission = Submission(handler, settled)
        self._queue.append(submission)
        if not self._active:
            self._active = True
            self._idle.clear()
            loop.call_soon(self._begin)  # soon, not now: others of this iteration join the batch
        return submission

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._active:
            raise RuntimeError("the store is in use on another event loop")
        self._loop = loop
        self._idle = asyncio.Event()
        self._idle.set()

    async def drained(self) -> None:
        """Returns when nothing is queued or under way."""
        await self._idle.wait()

    # The write lock between processes

    def _begin(self) -> None:
        """Takes the lock or waits for it, on the loop: a lock that a thread had taken would be held for nothing
        while the loop is busy."""
        error = None
        try:
            if not self._write_lock.try_acquire():
                self._wait()
                return
        except OSError as failure:
            error = failure
        self._stop_waiting()
        self._lock_acquired(error)

    def _wait(self) -> None:
        pipe = self._write_lock.released
        if self._listening is None and pipe is not None and self._write_lock.is_next:
            self._loop.add_reader(pipe.fileno(), self._notified, pipe)
            self._listening = pipe
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY_SECONDS, self._not_notified)

    def _stop_waiting(self) -> None:
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _notified(self, pipe: NotificationPipe) -> None:
        pipe.clear()
        self._begin()

    def _not_notified(self) -> None:
        self._retry = None
        self._begin()

    def _lock_acquired(self, error: BaseException | None) -> None:
        if error is not None:
            self._write_lock.stop_waiting()
            self._fail(self._take_all(), error)
            self._begin_again()
            return
        self._locked_at = self._monotonic()
        self._run_batch()

    def _should_release(self) -> bool:
        if not self._queue:
            return True
        return self._monotonic() - self._locked_at >= HOLD_SECONDS and self._write_lock.others_wait()

    def _release_if_due(self) -> bool:
        """Releases the lock if there is nothing to write, or if another process has waited long enough."""
        if not self._should_release():
            return False
        self._write_lock.release()
        return True

    def _continue(self, released: bool) -> None:
        if released:
            self._begin_again()
        else:
            self._call_soon(self._run_batch)

    def _batch_ended(self) -> None:
        self._continue(self._release_if_due())

    def _begin_again(self) -> None:
        if self._queue:
            self._call_soon(self._begin)
        else:
            self._active = False
            self._idle.set()

    # One batch

    def _run_batch(self) -> None:
        batch: list[Submission] = []
        try:
            self._start_transaction()
        except apsw.BusyError:
            self._in_thread(self._wait_for_file, self._file_is_free)
            return
        except BaseException as error:
            self._batch_failed(batch, error)
            return
        self._run_begun(batch)

    def _run_begun(self, batch: list[Submission]) -> None:
        """The batch after BEGIN."""
        try:
            self._run_queue(batch)
            if wrote := self._writer.writes > 0:
                self._writer.flush()
            else:
                self._execute("ROLLBACK")
        except BaseException as error:
            self._batch_failed(batch, error)
            return
        if wrote and self._commit_seconds < QUICK_COMMIT_SECONDS:
            self._commit_inline(batch)
        elif wrote:
            self._in_thread(self._commit_in_thread, lambda error: self._committed(batch, error))
        else:
            self._settle(batch)
            self._batch_ended()

    def _batch_failed(self, batch: list[Submission], error: BaseException) -> None:
        self._roll_back()
        work = self._not_stored(batch or self._take_all(), error)
        if work is None:
            self._batch_ended()
        else:
            self._in_thread_under_lock(work)
        if not isinstance(error, Exception):
            raise error

    def _wait_for_file(self) -> None:
        """For the thread: waits while another program holds SQLite's own lock, which no process of a server holds
        without the write lock."""
        if self._monotonic() - self._warned_at >= WARNING_SECONDS:
            self._warned_at = self._monotonic()
            log.warning("writes wait: another program is writing to the database file. End that program")
        self._connection.set_busy_timeout(self.busy_ms)
        try:
            self._execute("BEGIN IMMEDIATE")
        finally:
            self._connection.set_busy_timeout(0)

    def _file_is_free(self, error: BaseException | None) -> None:
        batch: list[Submission] = []
        if error is None:
            try:
                self._begin_writer()
            except BaseException as failure:
                error = failure
        if error is None:
            self._run_begun(batch)
        else:
            self._batch_failed(batch, error)

    def _start_transaction(self) -> None:
        self._execute("BEGIN IMMEDIATE")
        self._begin_writer()

    def _begin_writer(self) -> None:
        writer = self._writer
        writer.restricted = self.is_disk_full() and (self._full_count > 0 or not self.has_room_again())
        pages = NO_LIMIT if writer.restricted else self.most_pages
        if pages != self._page_limit:
            self._execute(f"PRAGMA max_page_count = {pages}").get  # noqa: B018 (runs it to its end)
            self._page_limit = pages
        writer.begin()

    def _run_queue(self, batch: list[Submission]) -> None:
        """Moves handlers from the queue into `batch` and runs them, until the batch is full or long enough. While
        the disk is full, each handler is a batch: together they might need more room in the WAL than is left."""
        queue, deadline = self._queue, self._monotonic() + HANDLERS_SECONDS
        most = 1 if self._writer.restricted else MAX_BATCH
        while queue and len(batch) < most:
            submission = queue.popleft()
            if submission.abandoned:
                continue
            batch.append(submission)
            if not self._run_handler(submission):
                self._start_over(batch)
            if self._monotonic() > deadline:
                break

    def _start_over(self, batch: list[Submission]) -> None:
        """Runs a batch again without the handlers that spoiled it. Each round excludes one more or is the last."""
        clean = False
        while not clean:
            self._roll_back()
            self._start_transaction()
            clean = all(submission.excluded or self._run_handler(submission) for submission in batch)

    def _run_handler(self, submission: Submission) -> bool:
        """Runs one handler and keeps what came of it; False if the others have to run again without it: it raised
        after having written, or met damage."""
        writer = self._writer
        writes = writer.writes
        writer.limit_work(UNLIMITED)
        submission.error = None
        submission.actions = None
        try:
            submission.value = submission.handler(writer)
            if writer.actions:
                submission.actions, writer.actions = writer.actions, []
        except STORE_FAILURES as failure:
            if not is_damage(failure):
                raise
            # Only the contents of the damaged page are lost, but SQLite may have rolled back the others' writes.
            submission.error, submission.excluded = _unavailable(failure), True
            writer.actions = []
        except (Exception, asyncio.CancelledError) as error:
            submission.keep_error(error)
            submission.excluded = writer.writes != writes
            writer.actions = []
        return not submission.excluded

    def _commit(self) -> None:
        begun = self._monotonic()
        try:
            self._execute("COMMIT")
        finally:
            self._commit_seconds += (self._monotonic() - begun - self._commit_seconds) / 8

    def _commit_in_thread(self) -> None:
        self._commit()
        if not self.needs_lock():
            self._release_in_thread()

    def _release_in_thread(self) -> None:
        """The loop may be busy with something else by now, and others may wait."""
        with suppress(OSError):  # The commit stands, and its callers must be told.
            self._write_lock.release()
        self._released = True

    def _was_released(self) -> bool:
        released, self._released = self._released, False
        return released

    def _commit_inline(self, batch: list[Submission]) -> None:
        try:
            self._commit()
        except BaseException as error:
            self._committed(batch, error)
            if isinstance(error, Exception):
                return
            raise
        self._committed(batch, None)

    def _committed(self, batch: list[Submission], error: BaseException | None) -> None:
        if error is not None:
            self._roll_back()
        work, released = None, self._was_released()
        try:
            if error is not None:
                work = self._not_stored(batch, error)
            else:
                if self._writer.changed_catalog():
                    self.catalog_changed()
                work = self.after_commit(not released)
            if not released:
                # The lock is released before the answers, which take half as long as the commit: others may wait.
                released = work is None and self._release_if_due()
        except Exception:  # What is committed must be answered, whatever becomes of the lock.
            log.exception("after a commit")
        if error is None:
            self._settle(batch)
        if work is None:
            self._continue(released)
        else:
            self._in_thread_under_lock(work)

    def _in_thread_under_lock(self, work: Work) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._release_in_thread()

        self._in_thread(run, self._work_done)

    def _work_done(self, _: BaseException | None) -> None:
        self._continue(self._was_released() or self._release_if_due())

    def _roll_back(self) -> None:
        # SQLite rolls back itself after some errors. Where this fails, the next BEGIN fails and comes here again.
        with suppress(apsw.Error):
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def _not_stored(self, batch: list[Submission], cause: BaseException) -> Work | None:
        """Tells the callers, unless the disk has turned out to be full: then the batch is run once more, with what
        needs no more room, after the work that is returned. It is run a third time if that finds no room either: a
        reader may have kept the WAL from being cut."""
        if not isinstance(cause, apsw.FullError) or self._full_count == MOST_TRIES_WHEN_FULL:
            self._fail(batch, cause)
            return None
        for submission in batch:
            submission.excluded = False
        self._queue.extendleft(reversed(batch))
        self._full_count += 1
        return self.disk_is_full()

    def _take_all(self) -> list[Submission]:
        submissions = list(self._queue)
        self._queue.clear()
        return submissions

    def _settle(self, batch: list[Submission]) -> None:
        self._full_count = 0
        for submission in batch:
            submission.settle()

    def _fail(self, batch: list[Submission], cause: BaseException) -> None:
        self._full_count = 0
        for submission in batch:
            submission.fail(_unavailable(cause))

    def _in_thread(self, work: Work, done: Done) -> None:
        self._blocking.run(self._loop, work, done)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)


def _unavailable(cause: BaseException) -> StorageUnavailable:
    error = StorageUnavailable(f"{type(cause).__name__}: {error_text(cause)}")
    error.__cause__ = cause
    return error
