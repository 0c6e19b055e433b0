"""The trail of one process: records are written and synced in groups, by a thread.

A management event's answer waits for its record: `record` returns it as a `Pending`. All that arrives while the
thread writes goes into the next group, so that many requests share a sync. Data events are `note`d: they are
written within a second, or with the next group, and their answers do not wait. A process that is killed loses at
most the data events of its last second; nothing is torn, because a journal's readers leave a torn end out.

When the trail cannot be written (disk full), records are kept in memory and tried again every second, the answers
that waited become refusals, and `check` refuses management operations before they do anything. Room on the disk
is kept for the trail, so that they go on for a while (`reserve`); when most of it is used up, only events that
changed something are recorded. Events that are not, and data events that do not fit into memory any more, are
counted, and the count is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from blotter.database.audit.archive import CURRENT, Archive, make_folders
from blotter.database.audit.chain import Chain
from blotter.database.audit.journal import Journal
from blotter.database.audit.keys import AuditKeys
from blotter.database.audit.reserve import NO_SPACE, Reserve, any_number, blocks
from blotter.database.encryption.files import FileCipher
from blotter.database.http.messages import Pending, Response
from blotter.database.model.timestamps import iso
from blotter.database.shared_disk import Spare
from blotter.database.work_thread import WorkThread

log = logging.getLogger(__name__)

ROTATE_BYTES = 5 * 1024 * 1024
ROTATE_SECONDS = 900.0
"""A journal is closed when it is this large, or this long after its first record."""
NOTE_SECONDS = 1.0
"""Data events are written within this time."""
_FLUSH_BYTES = 512 * 1024
_KEPT_BYTES = 32 * 1024 * 1024
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 30.0
_LOG_SECONDS = 60.0
_RECORD_BYTES = 128
"""What a record takes in a journal beside itself, at most."""
_OPENING_BYTES = 5 * 4096
"""What a new journal takes with its entries beside it, at most."""

Lost = Callable[[int], bytes]
"""Makes the record that says how many events were lost."""


class Trail(Protocol):
    """Where records go. All methods are called on the event loop."""

    @property
    def failing(self) -> bool:
        """Whether records cannot be written at present."""

    def record(self, record: bytes, answer: Response, refusal: Response, *, changed: bool) -> Response | Pending:
        """Writes a record; the result is `answer` once it is synced, or `refusal` when it cannot be written.
        `changed`: whether the request changed anything; such records are the last for which there is no room."""

    def note(self, record: bytes) -> None:
        """Writes a record soon."""

    async def close(self) -> None:
        """Writes what is left."""


class FileTrail:
    """A trail in files of `folder`."""

    def __init__(
        self,
        folder: Path,
        keys: AuditKeys,
        cipher: FileCipher,
        *,
        clock: Callable[[], float] = time.time,
        rotate_bytes: int = ROTATE_BYTES,
        rotate_seconds: float = ROTATE_SECONDS,
        spare: Spare = any_number,
    ) -> None:
        self.failing = False
        self._folder = folder
        self._keys = keys
        self._cipher = cipher
        self._lost: Lost = _no_record
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        # Of the event loop.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._waiting: list[_Waiting] = []
        self._writing = False
        self._due: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._lost_events = 0
        self._said_at: dict[str, float] = {}
        self._look_for_room: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event | None = None
        # Of the thread that writes, and of the one that closes journals.
        self._journal: Journal | None = None
        self._writer: WorkThread | None = None
        self._closer: WorkThread | None = None
        self._chain = Chain(folder, keys, cipher, lambda: iso(clock()))
        self._reserve = Reserve(folder, spare)
        self._archive = Archive(
            folder, keys, cipher, Chain(folder, keys, cipher, lambda: iso(clock())), self._reserve.can_spare
        )

    def start(self, lost: Lost) -> None:
        """Begins, on the running event loop; closes what killed processes have left. `lost` makes the record of
        events that were lost. Raises OSError."""
        self._lost = lost
        make_folders(self._folder)
        self._loop = asyncio.get_running_loop()
        self._look_again()

    def record(self, record: bytes, answer: Response, refusal: Response, *, changed: bool) -> Response | Pending:
        if not changed and self._is_short():
            self._lost_events += 1
            return refusal
        waiting = _Waiting(answer, refusal)
        self._add(record)
        if self.failing:
            self._flush_later(_RETRY_SECONDS)
            return refusal
        self._waiting.append(waiting)
        self._flush()
        return waiting.pending

    def note(self, record: bytes) -> None:
        if self._pending_bytes > _KEPT_BYTES or self._is_short():
            self._lost_events += 1
            return
        self._add(record)
        if self._pending_bytes > _FLUSH_BYTES and not self.failing:
            self._flush()
        else:
            self._flush_later(NOTE_SECONDS)

    async def close(self) -> None:
        """Writes what is left and closes the journal."""
        for timer in (self._due, self._look, self._look_for_room):
            if timer is not None:
                timer.cancel()
        self._look = None
        self._due = None
        while self._pending or self._writing:
            if not self._writing:
                if self.failing:
                    break
                self._flush()
            self._idle = asyncio.Event()
            await self._idle.wait()
        if self._pending:
            log.error("%d records of the audit trail could not be written", len(self._pending))
        if self._writer is not None:
            await self._writer.call(self._retire)
            self._writer.stop()
        if self._closer is not None:
            self._on_closer(self._archive.adopt)  # A process that was killed just now has no other heir.
            self._closer.stop()

    # On the event loop

    def _is_short(self) -> bool:
        if not self._reserve.short:
            return False
        if self._look_for_room is None:
            assert self._loop is not None
            self._look_for_room = self._loop.call_later(_RETRY_SECONDS, self._look_for_room_now)
            self._say(
                "has little room left on the disk: of management operations, only those that change something are "
                "accepted until there is more"
            )
        return True

    def _look_for_room_now(self) -> None:
        self._look_for_room = None
        self._on_closer(self._reserve.refill)

    def _add(self, record: bytes) -> None:
        if self._lost_events and self._pending_bytes <= _KEPT_BYTES:
            lost, self._lost_events = self._lost(self._lost_events), 0
            self._pending.append(lost)
            self._pending_bytes += len(lost)
        self._pending.append(record)
        self._pending_bytes += len(record)

    def _flush_later(self, seconds: float) -> None:
        if self._due is None and not self._writing:
            assert self._loop is not None
            self._due = self._loop.call_later(seconds, self._flush)

    def _flush(self) -> None:
        """Has everything written that is there, unless the thread is writing already."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._writing or not self._pending:
            return
        assert self._loop is not None
        if self._writer is None:
            self._writer = WorkThread("audit")
        records, self._pending = self._pending, []
        waiting, self._waiting = self._waiting, []
        self._pending_bytes = 0
        self._writing = True
        self._writer.run(
            self._loop, lambda: self._write(records), lambda error: self._written(records, waiting, error)
        )

    def _written(self, records: list[bytes], waiting: list[_Waiting], error: BaseException | None) -> None:
        self._writing = False
        if error is not None:
            self._keep(records)
            self._fail(error)
            waiting, self._waiting = waiting + self._waiting, []
            for each in waiting:
                each.pending.settle(each.refusal)
            self._flush_later(_RETRY_SECONDS)
        else:
            if self.failing:
                self.failing = False
                log.warning("the audit trail can be written again")
            for each in waiting:
                each.pending.settle(each.answer)
            if self._waiting or self._pending_bytes > _FLUSH_BYTES:
                self._flush()
            elif self._pending:
                self._flush_later(NOTE_SECONDS)
        if self._idle is not None:
            self._idle.set()

    def _keep(self, records: list[bytes]) -> None:
        """Puts back what could not be written."""
        self._pending[:0] = records
        self._pending_bytes += sum(map(len, records))
        while self._pending_bytes > 2 * _KEPT_BYTES:
            self._pending_bytes -= len(self._pending.pop())
            self._lost_events += 1

    def _fail(self, error: BaseException) -> None:
        self.failing = True
        reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        self._say(f"cannot be written: {reason}. Management operations are refused until it can")

    def _say(self, what: str) -> None:
        now = time.monotonic()
        if now - self._said_at.get(what, float("-inf")) >= _LOG_SECONDS:
            self._said_at[what] = now
            log.error("the audit trail in %s %s", self._folder, what)

    def _look_again(self) -> None:
        """Closes a journal that is old enough, and those that killed processes have left; fills the reserve up."""
        assert self._loop is not None
        if self._writer is not None and not self.failing:
            self._writer.run(self._loop, self._rotate_if_due, _ignore)
        self._on_closer(self._archive.adopt)
        self._on_closer(self._reserve.refill)
        self._look = self._loop.call_later(_LOOK_SECONDS, self._look_again)

    def _on_closer(self, work: Callable[[], object]) -> None:
        assert self._loop is not None
        if self._closer is None:
            self._closer = WorkThread("audit-archive")
        self._closer.run(self._loop, work, _log_failure)

    # On the thread that writes

    def _write(self, records: list[bytes]) -> None:
        """Removes from the list what is written, so that what is left in it after an error is not."""
        while records:
            size = count = 0
            while count < len(records) and size <= _FLUSH_BYTES:
                size += len(records[count]) + _RECORD_BYTES
                count += 1
            self._write_some(records[:count], size)
            del records[:count]

    def _write_some(self, records: list[bytes], size: int) -> None:
        if self._journal is None:
            size += _OPENING_BYTES
        else:
            size = blocks(self._journal.size + size) - blocks(self._journal.size)
        self._reserve.take(size)
        try:
            self._append(records)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self._reserve.use(size + 1)  # Others were faster, or the file system needs a block more.
            self._append(records)

    def _append(self, records: list[bytes]) -> None:
        now = self._clock()
        if self._journal is None:
            journal = Journal.create(self._folder / CURRENT, self._keys, self._cipher, now)
            try:
                self._chain.opened(journal.head.journal)
            except BaseException:
                journal.close()
                raise
            self._journal = journal
        self._journal.append(records, now)
        if self._journal.size > self._rotate_bytes:
            self._retire()

    def _rotate_if_due(self) -> None:
        journal = self._journal
        if journal is not None and journal.records:
            age = self._clock() - journal.first_at
            if age > self._rotate_seconds or age < 0:  # A clock that was set back must not keep it open.
                self._retire()

    def _retire(self) -> None:
        """Leaves the journal to the thread that closes journals; the next record gets another one."""
        journal, self._journal = self._journal, None
        if journal is None:
            return

        def close() -> None:
            try:
                self._archive.close(journal.path)
            finally:
                journal.close()

        self._on_closer(close)


class _Waiting:
    """An answer that waits for its record."""

    __slots__ = ("answer", "pending", "refusal")

    def __init__(self, answer: Response, refusal: Response) -> None:
        self.pending = Pending()
        self.answer = answer
        self.refusal = refusal


def _no_record(_: int) -> bytes:
    return b""


def _ignore(error: BaseException | None) -> None:
    """Rotation is tried again."""


def _log_failure(error: BaseException | None) -> None:
    if error is not None:
        log.error("the audit trail's files cannot be written: %s; its journals are kept", error)
