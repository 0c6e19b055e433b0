"""The transaction of one batch: it begins, runs handlers one after another, and is committed or rolled back.

What a batch is to SQLite; `batches.py` decides when there is one, under which lock, and who is told. Nothing here
knows the event loop. Rules:

- A handler that raises without having written keeps its exception until the commit. One that raises after having
  written spoils the transaction: it is rolled back and the others run again without that handler.
- While the disk is full, the writer takes only what needs no more room (`reserve`), unless there is room again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import apsw

from blotter.database.storage.protocol import UNLIMITED, StorageUnavailable
from blotter.database.storage.sqlite.checksums import error_text, is_damage
from blotter.database.storage.sqlite.writing import Writer
from blotter.database.storage.submission import Submission

log = logging.getLogger(__name__)

MAX_BATCH = 256
NO_LIMIT = 0xFFFFFFFE
"""Pages: as many as SQLite can count."""
HANDLERS_SECONDS = 0.005
"""A batch takes no further handler after this long, so that the loop can serve reads."""
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


class BatchTransaction:
    """The writing connection of one process and what runs on it. One batch at a time; which thread calls is the
    caller's matter."""

    def __init__(
        self, connection: apsw.Connection, writer: Writer, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self.writer = writer
        self._monotonic = monotonic
        self._warned_at = -WARNING_SECONDS
        self._page_limit = NO_LIMIT
        self.commit_seconds = 0.0
        """What commits take, a running average over the last few."""
        self.last_commit_seconds = 0.0
        self.busy_ms = BUSY_MS
        connection.set_busy_timeout(0)  # waiting is for the thread
        self.full_count = 0
        """How often in a row the batch that is run has not found room on the disk."""
        self.most_pages = NO_LIMIT
        """How long the database file may become; a write that needs more does not find room."""
        self.is_disk_full: Callable[[], bool] = lambda: False
        self.has_room_again: Callable[[], bool] = lambda: True
        """Called under the lock before a batch while the disk is full."""

    def begin(self) -> None:
        """Raises apsw.BusyError while another program writes to the file."""
        self._execute("BEGIN IMMEDIATE")
        self.begin_writer()

    def wait_for_file(self) -> None:
        """For the thread: waits while another program holds SQLite's own lock, which no process of a server holds
        without the write lock. `begin_writer` completes what it began."""
        if self._monotonic() - self._warned_at >= WARNING_SECONDS:
            self._warned_at = self._monotonic()
            log.warning("writes wait: another program is writing to the database file. End that program")
        self._connection.set_busy_timeout(self.busy_ms)
        try:
            self._execute("BEGIN IMMEDIATE")
        finally:
            self._connection.set_busy_timeout(0)

    def begin_writer(self) -> None:
        """The writer after BEGIN."""
        writer = self.writer
        writer.restricted = self.is_disk_full() and (self.full_count > 0 or not self.has_room_again())
        pages = NO_LIMIT if writer.restricted else self.most_pages
        if pages != self._page_limit:
            self._execute(f"PRAGMA max_page_count = {pages}").get  # noqa: B018 (runs it to its end)
            self._page_limit = pages
        writer.begin()

    def run(self, queue: deque[Submission], batch: list[Submission]) -> bool:
        """Moves handlers from the queue into `batch` and runs them, until the batch is full or long enough. While
        the disk is full, each handler is a batch: together they might need more room in the WAL than is left.

        True if there is something to commit; otherwise the transaction has ended.
        """
        deadline = self._monotonic() + HANDLERS_SECONDS
        most = 1 if self.writer.restricted else MAX_BATCH
        while queue and len(batch) < most:
            submission = queue.popleft()
            if submission.abandoned:
                continue
            batch.append(submission)
            if not self._run_handler(submission):
                self._start_over(batch)
            if self._monotonic() > deadline:
                break
        if self.writer.writes > 0:
            self.writer.flush()
            return True
        self._execute("ROLLBACK")
        return False

    def _start_over(self, batch: list[Submission]) -> None:
        """Runs a batch again without the handlers that spoiled it. Each round excludes one more or is the last."""
        clean = False
        while not clean:
            self.roll_back()
            self.begin()
            clean = all(submission.excluded or self._run_handler(submission) for submission in batch)

    def _run_handler(self, submission: Submission) -> bool:
        """Runs one handler and keeps what came of it; False if the others have to run again without it: it raised
        after having written, or met damage."""
        writer = self.writer
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
            submission.error, submission.excluded = unavailable(failure), True
            writer.actions = []
        except (Exception, asyncio.CancelledError) as error:
            submission.keep_error(error)
            submission.excluded = writer.writes != writes
            writer.actions = []
        return not submission.excluded

    def commit(self) -> None:
        """Returns when what was written is synced."""
        begun = self._monotonic()
        try:
            self._execute("COMMIT")
        finally:
            self.last_commit_seconds = self._monotonic() - begun
            self.commit_seconds += (self.last_commit_seconds - self.commit_seconds) / 8

    def roll_back(self) -> None:
        # SQLite rolls back itself after some errors. Where this fails, the next BEGIN fails and comes here again.
        with suppress(apsw.Error):
            if self._connection.in_transaction:
                self._execute("ROLLBACK")


def unavailable(cause: BaseException) -> StorageUnavailable:
    """What the callers of a batch are told."""
    error = StorageUnavailable(f"{type(cause).__name__}: {error_text(cause)}")
    error.__cause__ = cause
    return error
