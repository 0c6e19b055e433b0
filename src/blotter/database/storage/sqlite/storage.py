"""The Storage protocol on one SQLite file in a data directory: this file puts the parts together.

    connections   for quick reads, for writing, for checkpoints, for long reads; a pool for snapshots
    threads       for slow commits and for waiting for other programs, for checkpoints, for long reads
    on the loop   everything else: quick reads, handlers, slices of snapshots, the upkeep task

Several worker processes open one data directory; each has its own `SqliteStorage`. They coordinate by file locks,
by SQLite, and by the pipes of `Shared`. The upkeep task of every process bounds the WAL and the age of its
snapshots; emptying dropped key spaces is done by one process at a time, whichever got the lock for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw

from blotter.database.encryption.data_keys import DataKey
from blotter.database.shared_disk import KEPT
from blotter.database.storage.coroutines import (
    SlicedRead,
    nobody_else_leads,
    read_and_settle,
    submit_and_wait,
)
from blotter.database.storage.data_directory import file_error_text, make_directory
from blotter.database.storage.protocol import (
    Action,
    DataDirectoryError,
    ReadTransaction,
    Settled,
    Slices,
    StorageUnavailable,
    WriteTransaction,
)
from blotter.database.storage.scratch import Scratch
from blotter.database.storage.sqlite import schema
from blotter.database.storage.sqlite.aside import LongReads
from blotter.database.storage.sqlite.batch_transaction import NO_LIMIT
from blotter.database.storage.sqlite.batches import Batches
from blotter.database.storage.sqlite.bulk import BulkWrites, Rests
from blotter.database.storage.sqlite.catalog import CatalogCache
from blotter.database.storage.sqlite.checkpoints import LIMIT_BYTES, Checkpoints
from blotter.database.storage.sqlite.locks import FileLock, NotificationPipe, WriteLock
from blotter.database.storage.sqlite.reading import QuickRead
from blotter.database.storage.sqlite.reserve import DiskReserve, shared_byte
from blotter.database.storage.sqlite.snapshots import MAX_AGE_SECONDS, Snapshots, SqliteSnapshot
from blotter.database.storage.sqlite.writing import Writer
from blotter.database.storage.submission import Submission
from blotter.database.work_thread import WorkThread

T = TypeVar("T")

UPKEEP_SECONDS = 1.0
"""Between two rounds of upkeep, and so how long a removed file may go unnoticed."""
UPKEEP_WHEN_FULL_SECONDS = 0.1
"""The same on a full disk, where everybody waits for the room that deletions make, and the audit trail of those
who ask again uses what is left."""
SLICE_SECONDS = 0.005
"""Background writers hold the write lock no longer than this, and leave it to others as long between slices."""
SLICE_ITEMS = 10

log = logging.getLogger(__name__)


class Shared(NamedTuple):
    """What the processes of one server share beside the files. Made before they fork."""

    write_lock_released: NotificationPipe
    catalog_changed: NotificationPipe
    disk_is_full: mmap
    """One byte."""

    @classmethod
    def make(cls) -> Shared:
        return cls(NotificationPipe(), NotificationPipe(), shared_byte())

    def close(self) -> None:
        for shared in self:
            shared.close()


class SqliteStorage:
    """See `protocol.Storage`. Make one with `open`, once per process, after the process has forked. It is used on
    one event loop at a time; after `asyncio.run` has ended one, another may go on. `clock` is the wall clock, for
    what is stored; `monotonic` measures ages. Without `shared`, this process notifies only itself."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        snapshot_max_age: float,
        key: DataKey | None,
        vfs: str | None,
        shared: Shared | None,
    ) -> None:
        def connect(cache_bytes: int = 8 << 20) -> apsw.Connection:
            return schema.connect(path, key=key, vfs=vfs, cache_bytes=cache_bytes)

        self.path = path
        self._connect = connect
        self._released = None if shared is None else shared.write_lock_released
        self._key = key
        self.clock = clock
        self._monotonic = monotonic
        self._write_lock = WriteLock(path.parent, self._released)
        try:
            with self._write_lock:
                schema.create_or_check(path, key=key, vfs=vfs)
        except BaseException:
            self._write_lock.close()
            raise
        self._own_pipe = NotificationPipe() if shared is None else None
        self._catalog_changed = self._own_pipe or shared.catalog_changed  # type: ignore[union-attr]
        self._has_waited = False
        self._cache = CatalogCache()
        self._read_connection = connect()
        self._quick = QuickRead(self._read_connection, self._cache)
        self._snapshots = Snapshots(lambda: connect(2 << 20), monotonic, snapshot_max_age)
        self._long_reads = LongReads(lambda: connect(2 << 20))
        self._write_connection = connect(16 << 20)
        self._checkpoint_connection = connect(1 << 20)
        self._commits = WorkThread("storage-commits")
        self._copies = WorkThread("storage-checkpoints")
        self._reserve = DiskReserve(path, None if shared is None else shared.disk_is_full)
        self._checkpoints = Checkpoints(
            self._checkpoint_connection, self._copies, monotonic, self._snapshots.expire_all, self._reserve
        )
        self._catalog_actions: list[Action] = [self._catalog_changed.notify]
        self._batches = self._make_batches(self._write_connection, self._write_lock)
        self._bulk: BulkWrites | None = None
        self._rests: Rests | None = None
        self._keep_room()
        self._upkeep_lock = FileLock(path.with_name("upkeep.lock"))
        self._upkeep_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._files: dict[Path, tuple[int, int] | None] = {}
        """Device and inode of the files that were opened."""

    @classmethod
    def open(
        cls,
        data_dir: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        snapshot_max_age: float = MAX_AGE_SECONDS,
        key: DataKey | None = None,
        vfs: str | None = None,
        shared: Shared | None = None,
    ) -> SqliteStorage:
        """Opens or makes the store in a data directory; with `key`, encrypted under it. Raises DataDirectoryError;
        nothing is changed then."""
        directory = Path(data_dir)
        make_directory(directory)
        try:
            return cls(
                directory / schema.FILE_NAME,
                clock=clock,
                monotonic=monotonic,
                snapshot_max_age=snapshot_max_age,
                key=key,
                vfs=vfs,
                shared=shared,
            )
        except apsw.Error as error:
            raise DataDirectoryError(f"{directory} cannot be opened: {error}") from error
        except OSError as error:
            raise DataDirectoryError(f"{directory} cannot be used: {file_error_text(error)}") from error

    # Reading

    def read(self) -> QuickRead:
        return self._quick

    def submit_read(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        read_and_settle(self._quick, handler, settled)

    async def fetch(self, handler: Callable[[ReadTransaction], T]) -> T:
        with self._quick as tx:
            return handler(tx)

    def open_snapshot(self) -> SqliteSnapshot:
        return self._snapshots.open()

    def submit_slices(self, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled) -> None:
        SlicedRead(self.open_snapshot(), start, settled)

    def submit_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        self._long_reads.submit(asyncio.get_running_loop(), handler, settled)

    def open_scratch(self) -> Scratch:
        path = self.path.with_name(f".scratch-{secrets.token_hex(8)}")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            connection = schema.open_file(str(path), self._key, flags=apsw.SQLITE_OPEN_READWRITE)
            return Scratch(connection, self._take_room)
        finally:
            path.unlink()

    def _take_room(self, size: int) -> None:
        if self._reserve.spare() < size:
            raise StorageUnavailable(f"working storage in {self.path.parent} cannot grow, {KEPT}: make room there")

    # Writing

    def _make_batches(self, connection: apsw.Connection, lock: WriteLock) -> Batches:
        """What writes over one connection."""
        connection.execute(f"PRAGMA journal_size_limit = {LIMIT_BYTES}")
        connection.set_wal_hook(self._checkpoints.note_commit)
        writer = Writer(connection, self._cache, self.clock)
        batches = Batches(connection, writer, lock, self._commits, self._monotonic)
        batches.catalog_changed = self._catalog_was_changed
        batches.after_commit = self._checkpoints.after_commit
        batches.needs_lock = self._checkpoints.needs_lock
        batches.disk_is_full = self._checkpoints.make_room
        batches.transaction.is_disk_full = self._reserve.is_full
        batches.transaction.has_room_again = lambda: self._has_room_again(connection)
        return batches

    def submit(self, handler: Callable[[WriteTransaction], Any], settled: Settled) -> Submission:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.start()
        return self._batches.submit(handler, settled, loop)

    async def write(self, handler: Callable[[WriteTransaction], T]) -> T:
        return await submit_and_wait(self.submit, handler)

    async def write_slice(self, handler: Callable[[WriteTransaction, float], T]) -> T:
        if self._bulk is None:
            self._bulk = self._open_bulk()
            self._keep_room()
        return await self._bulk.write_slice(handler)

    def _open_bulk(self) -> BulkWrites:
        if self._batches.refusal is not None:
            raise StorageUnavailable(self._batches.refusal)
        self.start()
        try:
            lock = WriteLock(self.path.parent, self._released)
            connection = self._connect()
        except (OSError, apsw.Error) as error:
            raise StorageUnavailable(f"{self.path.parent} cannot be used: {error}") from error
        return BulkWrites(connection, lock, self._make_batches(connection, lock), self._monotonic)

    async def give_way(self) -> None:
        if self._rests is None:
            self._rests = Rests(self._read_connection, self._checkpoints.last_commit, self._monotonic)
        await self._rests.rest()

    def watch_commits(self, watch: Callable[[float], None]) -> None:
        self._batches.watch = watch

    # Life

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop and not self._closed:
            self._loop = loop
            self._upkeep_task = loop.create_task(self._keep_up(), name="storage-upkeep")

    def on_catalog_change(self, action: Action) -> None:
        self._catalog_actions.append(action)

    def _catalog_was_changed(self) -> None:
        for action in self._catalog_actions:
            action()

    async def lead(self) -> asyncio.Future[None]:
        return nobody_else_leads()

    async def wait_for_catalog_change(self) -> None:
        if not self._has_waited:
            self._has_waited = True
            return
        loop, pipe, changed = (asyncio.get_running_loop(), self._catalog_changed, asyncio.Event())
        loop.add_reader(pipe.fileno(), changed.set)
        try:
            await changed.wait()
        finally:
            loop.remove_reader(pipe.fileno())
        pipe.clear()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._upkeep_task is not None and self._loop is asyncio.get_running_loop():
            self._upkeep_task.cancel()
            await asyncio.gather(self._upkeep_task, return_exceptions=True)
        for batches in self._all_batches():
            batches.refusal = "the store is closing"
            await batches.drained()
        self._snapshots.close()
        self._long_reads.close()
        await self._copies.call(self._checkpoints.copy)
        self._copies.stop()
        self._commits.stop()
        self._quick.close()
        if self._bulk is not None:
            self._bulk.close()
        for connection in (self._checkpoint_connection, self._write_connection):
            connection.close(True)
        self._upkeep_lock.close()
        self._write_lock.close()
        if self._own_pipe is not None:
            self._own_pipe.close()

    # Upkeep

    async def _keep_up(self) -> None:
        while True:
            try:
                await self._keep_up_once()
            except StorageUnavailable as error:
                log.warning("upkeep has to wait: %s", error)
            except Exception:  # The next round may succeed, and no other process does this work.
                log.exception("upkeep failed")
            await asyncio.sleep(UPKEEP_WHEN_FULL_SECONDS if self._reserve.is_full() else UPKEEP_SECONDS)

    async def _keep_up_once(self) -> None:
        self._snapshots.expire()
        self._keep_room()
        self._checkpoints.relieve()
        self._checkpoints.when_idle()
        while self._dropped_space() is not None and self._upkeep_lock.try_acquire():
            await self.write(self._empty_slice)
            await asyncio.sleep(SLICE_SECONDS)
        self._check_files()  # after a read, which pins the write-ahead log's file

    def _check_files(self) -> None:
        """Refuses further writes once the files are no longer those that were opened: what is written to removed
        files is gone with the process. Reads go on."""
        for path in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            try:
                status = path.stat()
                found = (status.st_dev, status.st_ino)
            except (FileNotFoundError, NotADirectoryError):
                found = None
            opened = self._files.setdefault(path, found) or found
            self._files[path] = opened
            if found != opened and self._batches.refusal is None:
                refusal = f"{path} was removed or replaced while a server was using it"
                for batches in self._all_batches():
                    batches.refusal = refusal
                log.error("%s: writes are refused. Restore the directory and start again", refusal)

    def _keep_room(self) -> None:
        nearly_full = self._reserve.keep()
        self._checkpoints.limit(None if nearly_full is None else nearly_full.reserve)
        for batches in self._all_batches():
            batches.transaction.most_pages = NO_LIMIT if nearly_full is None else nearly_full.most_pages

    def _all_batches(self) -> list[Batches]:
        return [self._batches] if self._bulk is None else [self._batches, self._bulk.batches]

    def _has_room_again(self, connection: apsw.Connection) -> bool:
        """For the transaction that a connection has begun."""

        def unused() -> int:
            return int(connection.execute("PRAGMA freelist_count").get) * schema.PAGE_SIZE

        if not self._reserve.take_back(unused):
            return False
        self._keep_room()
        return True

    def _dropped_space(self) -> int | None:
        with self._quick as read:
            return read.dropped_space()

    def _empty_slice(self, tx: WriteTransaction) -> None:
        assert isinstance(tx, Writer)
        deadline = self._monotonic() + SLICE_SECONDS
        while (space := tx.dropped_space()) is not None and self._monotonic() < deadline:
            tx.empty_dropped(space, SLICE_ITEMS)
            if tx.restricted:  # more might not fit into the WAL, and then nothing would ever be emptied
                return
