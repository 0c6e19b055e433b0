"""The Storage protocol in memory: for `blotter serve --in-memory`, for tests, and as the proof that stores are
exchangeable.

It has the semantics of the SQLite store, batches and repeated handlers included, without its files, locks and
threads: a batch runs and is settled in one iteration of the event loop. Everything lives in one process and ends
with it. `MemoryStore` keeps the data, so that it can be closed and opened again as long as that object lives.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from blotter.database.encryption.data_keys import KEY_BYTES, derive
from blotter.database.encryption.files import FileCipher
from blotter.database.storage.change_log import STREAMS
from blotter.database.storage.coroutines import (
    SlicedRead,
    nobody_else_leads,
    open_and_run,
    read_and_settle,
    submit_and_wait,
)
from blotter.database.storage.memory.maps import OrderedMaps
from blotter.database.storage.memory.transactions import MemoryReader, MemorySnapshot, MemoryWriter
from blotter.database.storage.protocol import (
    UNLIMITED,
    Action,
    ReadTransaction,
    Settled,
    Slices,
    Storage,
    StorageUnavailable,
    WriteTransaction,
)
from blotter.database.storage.slices import SHORT_SECONDS, SliceWriter, has_waited
from blotter.database.storage.submission import Handler, Submission

if TYPE_CHECKING:
    from blotter.database.storage.scratch import Scratch

T = TypeVar("T")

MAX_AGE_SECONDS = 10.0
MAX_BATCH = 256
HANDLERS_SECONDS = 0.005
"""A batch takes no further handler after this long, so that the loop can serve reads."""


class MemoryStore:
    """See `protocol.Store`."""

    description = "data in memory only"
    single_process = True
    several_servers = False

    def __init__(self) -> None:
        self._maps = OrderedMaps()
        self._secret = secrets.token_bytes(KEY_BYTES)

    def claim(self) -> None:
        """Nothing to reserve: no other process can reach it."""

    def open(self) -> MemoryStorage:
        return MemoryStorage(self._maps)

    def run_apart(self, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(open_and_run(self, work))

    def secret_key(self, purpose: str) -> bytes:
        return derive(self._secret, f"secret {purpose}")

    def file_cipher(self) -> FileCipher:
        return FileCipher(None, lambda _: None)

    def log_bytes(self) -> None:
        """There is no log."""

    def spare_bytes(self) -> None:
        """Nothing is on disk."""

    def key_files(self) -> dict[str, bytes]:
        return {}

    def kms_key(self) -> None:
        """Nothing is on disk."""

    def release(self) -> None:
        """Nothing to release."""


class _QuickRead:
    """The context manager that `MemoryStorage.read` returns: nothing changes while a handler runs."""

    def __init__(self, maps: OrderedMaps) -> None:
        self._reader = MemoryReader(maps)

    def __enter__(self) -> MemoryReader:
        return self._reader

    def __exit__(self, *_: object) -> None: ...


class MemoryStorage:
    """See `protocol.Storage`. `clock` is the wall clock, for what is stored; `monotonic` measures the age of
    snapshots and the length of batches."""

    def __init__(
        self,
        maps: OrderedMaps,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        snapshot_max_age: float = MAX_AGE_SECONDS,
    ) -> None:
        self._maps = maps
        self._monotonic = monotonic
        self._snapshot_max_age = snapshot_max_age
        self._quick = _QuickRead(maps)
        self._writer = MemoryWriter(maps, clock)
        if not self._writer.log_readers():
            self._writer.save_log_reader(STREAMS)
            maps.commit()
        self._slices = SliceWriter(self.write, has_waited, SHORT_SECONDS, 1.0, monotonic)
        self._queue: deque[Submission] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen_notices: int | None = None
        self._catalog_changed: asyncio.Future[None] | None = None
        self._catalog_actions: list[Action] = []
        self._idle: asyncio.Future[None] | None = None
        self._closed = False

    # Reading

    def read(self) -> _QuickRead:
        return self._quick

    def submit_read(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        read_and_settle(self._quick, handler, settled)

    async def fetch(self, handler: Callable[[ReadTransaction], T]) -> T:
        with self._quick as tx:
            return handler(tx)

    def open_snapshot(self) -> MemorySnapshot:
        deadline = self._monotonic() + self._snapshot_max_age
        return MemorySnapshot(self._maps.snapshot(), deadline, self._monotonic)

    def submit_slices(self, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled) -> None:
        SlicedRead(self.open_snapshot(), start, settled)

    def open_scratch(self) -> Scratch:
        from blotter.database.storage.scratch import Scratch

        return Scratch.in_memory()

    def submit_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        """Later, but on the loop: the maps are not made for threads."""
        asyncio.get_running_loop().call_soon(self._run_aside, handler, settled)

    def _run_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        value, error = None, None
        snapshot = self.open_snapshot()
        try:
            value = handler(snapshot)
        except Exception as raised:
            error = raised
        finally:
            snapshot.close()
        settled(value, error)

    # Writing

    def submit(self, handler: Handler, settled: Settled) -> Submission:
        if self._closed:
            raise StorageUnavailable("the store is closing")
        submission = Submission(handler, settled)
        self._queue.append(submission)
        loop = asyncio.get_running_loop()
        if len(self._queue) == 1 or loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._run_batch)
        return submission

    async def write(self, handler: Callable[[WriteTransaction], T]) -> T:
        return await submit_and_wait(self.submit, handler)

    async def write_slice(self, handler: Callable[[WriteTransaction, float], T]) -> T:
        return await self._slices.write(handler)

    async def give_way(self) -> None:
        await asyncio.sleep(0)  # requests are answered on the same event loop

    def watch_commits(self, watch: Callable[[float], None]) -> None:
        """Nothing is made durable."""

    # Life

    def start(self) -> None:
        """There is no upkeep."""

    def on_catalog_change(self, action: Action) -> None:
        self._catalog_actions.append(action)

    async def lead(self) -> asyncio.Future[None]:
        return nobody_else_leads()

    async def wait_for_catalog_change(self) -> None:
        if self._seen_notices == self._writer.notices:
            self._catalog_changed = asyncio.get_running_loop().create_future()
            await self._catalog_changed
        self._seen_notices = self._writer.notices

    async def close(self) -> None:
        self._closed = True
        if self._queue and self._idle is None:
            self._idle = asyncio.get_running_loop().create_future()
        if self._idle is not None:
            await self._idle

    # One batch

    def _run_batch(self) -> None:
        """Runs handlers from the queue, commits, settles. The queue keeps what is not settled yet, so that no
        second batch is scheduled meanwhile."""
        notices = self._writer.notices
        batch = self._run_queue()
        self._maps.commit()
        if self._writer.notices != notices:
            self._notify()
        for submission in batch:
            submission.settle()
        for _ in batch:
            self._queue.popleft()
        while self._queue and self._queue[0].abandoned:
            self._queue.popleft()
        if self._queue:
            assert self._loop is not None
            self._loop.call_soon(self._run_batch)
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _run_queue(self) -> list[Submission]:
        batch: list[Submission] = []
        deadline = self._monotonic() + HANDLERS_SECONDS
        for submission in list(self._queue)[:MAX_BATCH]:
            batch.append(submission)
            if not submission.abandoned and not self._run_handler(submission):
                self._start_over(batch)
            if self._monotonic() > deadline:
                break
        return batch

    def _start_over(self, batch: list[Submission]) -> None:
        """Runs a batch again without the handlers that spoiled it, as a store that cannot undo a part would."""
        clean = False
        while not clean:
            self._maps.roll_back()
            clean = all(each.excluded or each.abandoned or self._run_handler(each) for each in batch)

    def _run_handler(self, submission: Submission) -> bool:
        """Runs one handler and keeps what came of it; False if it raised after having written."""
        changes = self._maps.changes
        submission.error, submission.actions = None, None
        self._writer.actions = []
        self._writer.limit_work(UNLIMITED)
        try:
            submission.value = submission.handler(self._writer)
            submission.actions = self._writer.actions
        except (Exception, asyncio.CancelledError) as error:
            submission.keep_error(error)
            submission.excluded = self._maps.changes != changes
        return not submission.excluded

    def _notify(self) -> None:
        for action in self._catalog_actions:
            action()
        if self._catalog_changed is not None and not self._catalog_changed.done():
            self._catalog_changed.set_result(None)
