"""Snapshots that outlive one call, on pooled connections, for queries and scans that run in slices.

A snapshot pins the WAL: while it is open, SQLite cannot start the WAL over. So it has a maximum age; past it the
next use raises SnapshotTooOld, and the store's upkeep takes its connection back even if nobody asks. When the WAL
has grown too much, all of them end at once (`expire_all`): their users open others and go on from their keys. The
snapshot is of the moment of `open`, not of the first read. Opening one is on the way of every Query: a pooled
connection keeps its decoded catalog, and the transaction is a pinned statement as in `QuickRead`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from blotter.database.model.table import Table
from blotter.database.storage.protocol import SnapshotTooOld, StorageUnavailable, StoredItem
from blotter.database.storage.sqlite.catalog import CatalogCache
from blotter.database.storage.sqlite.reading import PIN, Reader

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MAX_AGE_SECONDS = 10.0
POOL_SIZE = 8


class Pooled:
    """A connection of the pool and what it keeps from snapshot to snapshot."""

    __slots__ = ("cache", "connection", "pin")

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cache = CatalogCache()
        self.pin = connection.cursor()


def _checked(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[SqliteSnapshot, P], R]:
    """A reading method that refuses when the snapshot has ended or is too old."""

    @wraps(method)
    def checked(self: SqliteSnapshot, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.check()
        try:
            return method(self, *args, **kwargs)
        except apsw.Error as error:
            raise StorageUnavailable(str(error)) from error

    return checked


class SqliteSnapshot(Reader):
    """One open snapshot. `close` gives its connection back; using it afterwards raises SnapshotTooOld."""

    def __init__(self, pooled: Pooled, deadline: float, snapshots: Snapshots) -> None:
        super().__init__(pooled.connection, pooled.cache)
        self.pooled = pooled
        self.deadline = deadline
        self.ended = False
        self._snapshots = snapshots
        self._generation = pooled.pin.execute(PIN).fetchone()[0]  # type: ignore[index]

    def close(self) -> None:
        self._snapshots.give_back(self)

    def end(self) -> None:
        """Lets go of the transaction. Only for `Snapshots`."""
        self.ended = True
        self._close_iterators()
        self._cursor.close(True)
        for _ in self.pooled.pin:
            pass

    def check(self) -> None:
        if not self.ended and self._snapshots.is_young(self):
            return
        self.close()
        raise SnapshotTooOld

    find_table = _checked(Reader.find_table)
    table_names = _checked(Reader.table_names)
    get = _checked(Reader.get)
    statistics = _checked(Reader.statistics)
    changes = _checked(Reader.changes)
    first_change = _checked(Reader.first_change)
    last_change = _checked(Reader.last_change)

    def tables(self) -> Iterator[Table]:
        self.check()
        return self._guarded(super().tables())

    def items(self, space: int, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[StoredItem]:
        self.check()
        return self._guarded(super().items(space, start, end, reverse=reverse))

    def _guarded(self, rows: Iterator[T]) -> Iterator[T]:
        try:
            yield from rows
        except apsw.CursorClosedError:
            raise SnapshotTooOld from None
        except apsw.Error as error:
            raise StorageUnavailable(str(error)) from error


class Snapshots:
    """The open snapshots of a process and the connections that wait for the next."""

    def __init__(
        self, connect: Callable[[], apsw.Connection], monotonic: Callable[[], float], max_age: float
    ) -> None:
        self._connect = connect
        self._monotonic = monotonic
        self._max_age = max_age
        self._free: list[Pooled] = []
        self._open: set[SqliteSnapshot] = set()

    def open(self) -> SqliteSnapshot:
        try:
            pooled = self._free.pop() if self._free else Pooled(self._connect())
            snapshot = SqliteSnapshot(pooled, self._monotonic() + self._max_age, self)
        except apsw.Error as error:
            raise StorageUnavailable(str(error)) from error
        self._open.add(snapshot)
        return snapshot

    def is_young(self, snapshot: SqliteSnapshot) -> bool:
        return self._monotonic() <= snapshot.deadline

    def give_back(self, snapshot: SqliteSnapshot) -> None:
        if snapshot.ended:
            return
        self._open.discard(snapshot)
        try:
            snapshot.end()
            reusable = len(self._free) < POOL_SIZE
        except apsw.Error:  # its file failed; another connection may do better
            reusable = False
        if reusable:
            self._free.append(snapshot.pooled)
        else:
            snapshot.pooled.connection.close(True)

    def expire(self) -> None:
        """Takes back what is too old."""
        for snapshot in [each for each in self._open if not self.is_young(each)]:
            self.give_back(snapshot)

    def expire_all(self) -> None:
        """Takes back all, because they keep the WAL from being started over."""
        for snapshot in list(self._open):
            self.give_back(snapshot)

    def close(self) -> None:
        self.expire_all()
        for pooled in self._free:
            pooled.connection.close(True)
        self._free.clear()
