"""Snapshots that outlive one call, on pooled connections, for queries and scans that run in slices.

A snapshot pins the WAL: while it is open, SQLite cannot start the WAL over. So it has a maximum age; past it the
next use raises SnapshotTooOld, and the store's upkeep takes its connection back in any case. When the WAL has
grown too much, all of them end at once (`expire_all`): their users open others and continue from their keys. The
snapshot is of the moment of `open`, not of the first read. Opening one is on the way of every Query: a pooled
connection keeps its decoded catalog, and the transaction is a pinned statement as in `QuickRead`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

import apsw

from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    ANY_SIZE,
    Change,
    LogReader,
    Row,
    SnapshotTooOld,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
)
from blotter.database.storage.sqlite.catalog import CatalogCache
from blotter.database.storage.sqlite.checksums import error_text
from blotter.database.storage.sqlite.reading import PIN, Reader

MAX_AGE_SECONDS = 10.0
POOL_SIZE = 8
WORK_AT_ONCE = 256 * 1024
"""Bytes of large values, after which a handler on a thread lets the event loop serve others."""


class PooledReader(Reader):
    """A connection of the pool, with what it keeps from snapshot to snapshot: catalog, cursors, statements."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection.cursor(), CatalogCache())
        self._connection = connection
        self._pin = connection.cursor()
        self.let_serve: Callable[[], None] | None = None
        """For a thread that computes long."""

    def begin(self) -> None:
        self._generation = self._pin.execute(PIN).fetchone()[0]  # type: ignore[index]
        self._work_left = 0

    def note_work(self, amount: int) -> None:
        """There is no limit here."""
        self._work_left -= amount
        if self._work_left < 0:
            self._work_left = WORK_AT_ONCE
            if self.let_serve is not None:
                self.let_serve()

    def end(self) -> None:
        for _ in self._pin:  # to its end: this lets go of the snapshot
            pass

    def close(self) -> None:
        self._connection.close(True)


class _Failures:
    """A context manager that converts SQLite's errors into StorageUnavailable."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error):
            raise StorageUnavailable(error_text(error)) from error


_FAILURES = _Failures()


class SqliteSnapshot:
    """One open snapshot: what `Reader` reads, as long as the snapshot is young. `close` gives its connection back;
    using it after that raises SnapshotTooOld."""

    __slots__ = ("_monotonic", "_reader", "_snapshots", "deadline")

    def __init__(
        self, reader: PooledReader, deadline: float, monotonic: Callable[[], float], snapshots: Snapshots
    ) -> None:
        self._reader: PooledReader | None = reader
        self._monotonic = monotonic
        self._snapshots = snapshots
        self.deadline = deadline

    def close(self) -> None:
        self._snapshots.give_back(self)

    def end(self) -> PooledReader | None:
        """Hands the connection over, None when that was done before. Only for `Snapshots`."""
        reader = self._reader
        self._reader = None
        return reader

    def _valid_reader(self) -> PooledReader:
        reader = self._reader
        if reader is not None and self._monotonic() <= self.deadline:
            return reader
        self.close()
        raise SnapshotTooOld

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        with _FAILURES:
            return self._valid_reader().find_table(account, region, name)

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        with _FAILURES:
            return self._valid_reader().table_names(account, region, after, limit)

    def tables(self) -> Iterable[Table]:
        with _FAILURES:
            return self._valid_reader().tables()

    def catalog_version(self) -> int:
        return self._valid_reader().catalog_version()

    def get(self, space: int, key: bytes) -> StoredItem | None:
        with _FAILURES:
            return self._valid_reader().get(space, key)

    def expect(self, points: Callable[[], Iterable[tuple[int, bytes]]]) -> None:
        """Each statement is quick."""

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        with _FAILURES:
            return self._valid_reader().get_many(space, keys, size)

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
        with _FAILURES:
            return self._valid_reader().items(space, start, end, limit, size, reverse=reverse)

    def statistics(self, space: int) -> SpaceStatistics:
        with _FAILURES:
            return self._valid_reader().statistics(space)

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        with _FAILURES:
            return self._valid_reader().changes(table_id, shard, after, limit)

    def version(self, space: int, key: bytes) -> int | None:
        with _FAILURES:
            return self._valid_reader().version(space, key)

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        with _FAILURES:
            return self._valid_reader().log(after, limit, size)

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        with _FAILURES:
            return self._valid_reader().log_times(after, limit)

    def log_readers(self) -> list[LogReader]:
        with _FAILURES:
            return self._valid_reader().log_readers()

    def note_work(self, amount: int) -> None:
        """A long read has no limit: it runs in slices."""

    def first_change(self) -> int:
        with _FAILURES:
            return self._valid_reader().first_change()

    def last_change(self) -> int:
        with _FAILURES:
            return self._valid_reader().last_change()


class Snapshots:
    """The open snapshots of a process and the connections that wait for the next."""

    def __init__(
        self, connect: Callable[[], apsw.Connection], monotonic: Callable[[], float], max_age: float
    ) -> None:
        self._connect = connect
        self._monotonic = monotonic
        self._max_age = max_age
        self._free: list[PooledReader] = []
        self._open: set[SqliteSnapshot] = set()

    def open(self) -> SqliteSnapshot:
        reader: PooledReader | None = None
        try:
            reader = self._free.pop() if self._free else PooledReader(self._connect())
            reader.begin()
        except apsw.Error as error:
            if reader is not None:
                reader.close()
            raise StorageUnavailable(error_text(error)) from error
        snapshot = SqliteSnapshot(reader, self._monotonic() + self._max_age, self._monotonic, self)
        self._open.add(snapshot)
        return snapshot

    def give_back(self, snapshot: SqliteSnapshot) -> None:
        reader = snapshot.end()
        if reader is None:
            return
        self._open.discard(snapshot)
        try:
            reader.end()
            reusable = len(self._free) < POOL_SIZE
        except apsw.Error:  # its file failed; another connection may do better
            reusable = False
        if reusable:
            self._free.append(reader)
        else:
            reader.close()

    def expire(self) -> None:
        """Takes back what is too old."""
        now = self._monotonic()
        for snapshot in [each for each in self._open if each.deadline < now]:
            self.give_back(snapshot)

    def expire_all(self) -> None:
        """Takes back all, because they keep the WAL from being started over."""
        for snapshot in list(self._open):
            self.give_back(snapshot)

    def close(self) -> None:
        self.expire_all()
        for reader in self._free:
            reader.close()
        self._free.clear()
