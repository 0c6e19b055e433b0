"""Group commit: everything that waits is written in one transaction and answered after one sync.

The life of a batch: `submit` queues a handler; `_begin` acquires the write lock between processes, at once or by
notification; `_run_batch` runs the handlers inline, one after another, in one transaction
(`batch_transaction.py`); `commit` syncs; `_committed` answers. While the disk is quick, the commit runs inline
too: two switches of thread cost more than the sync. While it is slow, the thread commits, and the loop goes on
serving reads and queueing the next batch. Rules:

- A result leaves after the commit that holds everything its handler saw. A batch without writes saw only what is
  already synced and is answered at once.
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

from blotter.database.storage.protocol import Settled, StorageUnavailable
from blotter.database.storage.sqlite.batch_transaction import BatchTransaction, unavailable
from blotter.database.storage.sqlite.locks import RETRY_SECONDS, NotificationPipe, WriteLock
from blotter.database.storage.sqlite.writing import Writer
from blotter.database.storage.submission import Handler, Submission
from blotter.database.work_thread import Done, Work, WorkThread

log = logging.getLogger(__name__)

MOST_TRIES_WHEN_FULL = 2
HOLD_SECONDS = 0.001
"""How long a process with work keeps the write lock while another waits for it."""
QUICK_COMMIT_SECONDS = 0.002
"""Commits that on average take less than this may block the loop."""


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
        self.transaction = BatchTransaction(connection, writer, monotonic)
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
        self._idle = asyncio.Event()
        self._idle.set()
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
        self.watch: Callable[[float], None] | None = None
        """Called on the loop after a commit with the seconds that it took."""
        self.catalog_changed: Callable[[], None] = lambda: None
        """Called on the loop after a commit that changed the catalog or made work for the background."""

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
            self.transaction.begin()
        except apsw.BusyError:
            self._in_thread(self.transaction.wait_for_file, self._file_is_free)
            return
        except BaseException as error:
            self._batch_failed(batch, error)
            return
        self._run_begun(batch)

    def _run_begun(self, batch: list[Submission]) -> None:
        """The batch after BEGIN."""
        transaction = self.transaction
        try:
            wrote = transaction.run(self._queue, batch)
        except BaseException as error:
            self._batch_failed(batch, error)
            return
        if wrote and transaction.commit_seconds < QUICK_COMMIT_SECONDS:
            self._commit_inline(batch)
        elif wrote:
            self._in_thread(self._commit_in_thread, lambda error: self._committed(batch, error))
        else:
            self._settle(batch)
            self._batch_ended()

    def _batch_failed(self, batch: list[Submission], error: BaseException) -> None:
        self.transaction.roll_back()
        work = self._not_stored(batch or self._take_all(), error)
        if work is None:
            self._batch_ended()
        else:
            self._in_thread_under_lock(work)
        if not isinstance(error, Exception):
            raise error

    def _file_is_free(self, error: BaseException | None) -> None:
        batch: list[Submission] = []
        if error is None:
            try:
                self.transaction.begin_writer()
            except BaseException as failure:
                error = failure
        if error is None:
            self._run_begun(batch)
        else:
            self._batch_failed(batch, error)

    def _commit_in_thread(self) -> None:
        self.transaction.commit()
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
            self.transaction.commit()
        except BaseException as error:
            self._committed(batch, error)
            if isinstance(error, Exception):
                return
            raise
        self._committed(batch, None)

    def _committed(self, batch: list[Submission], error: BaseException | None) -> None:
        if error is not None:
            self.transaction.roll_back()
        work, released = None, self._was_released()
        try:
            if error is not None:
                work = self._not_stored(batch, error)
            else:
                if self.transaction.writer.must_notify():
                    self.catalog_changed()
                if self.watch is not None:
                    self.watch(self.transaction.last_commit_seconds)
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

    def _not_stored(self, batch: list[Submission], cause: BaseException) -> Work | None:
        """Tells the callers, unless the disk has turned out to be full: then the batch is run once more, with what
        needs no more room, after the work that is returned. It is run a third time if that finds no room either: a
        reader may have kept the WAL from being cut."""
        if not isinstance(cause, apsw.FullError) or self.transaction.full_count == MOST_TRIES_WHEN_FULL:
            self._fail(batch, cause)
            return None
        for submission in batch:
            submission.excluded = False
        self._queue.extendleft(reversed(batch))
        self.transaction.full_count += 1
        return self.disk_is_full()

    def _take_all(self) -> list[Submission]:
        submissions = list(self._queue)
        self._queue.clear()
        return submissions

    def _settle(self, batch: list[Submission]) -> None:
        self.transaction.full_count = 0
        for submission in batch:
            submission.settle()

    def _fail(self, batch: list[Submission], cause: BaseException) -> None:
        self.transaction.full_count = 0
        for submission in batch:
            submission.fail(unavailable(cause))

    def _in_thread(self, work: Work, done: Done) -> None:
        self._blocking.run(self._loop, work, done)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)
