"""Snapshots that outlive one call, on pooled connections, for scans that run in slices.

A snapshot pins the WAL: as long as it is open, SQLite cannot start the WAL over. So it has a maximum age; past it
the next use raises SnapshotTooOld, and the store's upkeep takes its connection back even if nobody asks. The
snapshot is of the moment of `open`, not of the first read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import apsw

from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    Change,
    SnapshotTooOld,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
)
from blotter.database.storage.sqlite.catalog import CatalogCache
from blotter.database.storage.sqlite.reading import Reader
from blotter.database.storage.sqlite.schema import CATALOG_GENERATION

T = TypeVar("T")

MAX_AGE_SECONDS = 10.0
POOL_SIZE = 8


class SqliteSnapshot(Reader):
    """One open snapshot. `close` gives its connection back; using it afterwards raises SnapshotTooOld."""

    def __init__(self, connection: apsw.Connection, deadline: float, snapshots: Snapshots) -> None:
        super().__init__(connection, CatalogCache())
        self.deadline = deadline
        self._snapshots = snapshots
        self._execute("BEGIN")
        self._generation = self._counter(CATALOG_GENERATION)

    def close(self) -> None:
        self._snapshots.give_back(self)

    def end(self) -> apsw.Connection:
        """Ends the transaction and hands the connection out. Only for `Snapshots`."""
        self._close_iterators()
        self._cursor.close(True)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        return self._connection

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        self._check()
        return super().find_table(account, region, name)

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        self._check()
        return super().table_names(account, region, after, limit)

    def tables(self) -> Iterator[Table]:
        self._check()
        return self._guarded(super().tables())

    def get(self, space: int, key: bytes) -> StoredItem | None:
        self._check()
        return super().get(space, key)

    def items(self, space: int, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[StoredItem]:
        self._check()
        return self._guarded(super().items(space, start, end, reverse=reverse))

    def statistics(self, space: int) -> SpaceStatistics:
        self._check()
        return super().statistics(space)

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        self._check()
        return super().changes(table_id, shard, after, limit)

    def last_change(self) -> int:
        self._check()
        return super().last_change()

    def _check(self) -> None:
        self._snapshots.check(self)

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
        self._free: list[apsw.Connection] = []
        self._open: set[SqliteSnapshot] = set()

    def open(self) -> SqliteSnapshot:
        try:
            connection = self._free.pop() if self._free else self._connect()
            snapshot = SqliteSnapshot(connection, self._monotonic() + self._max_age, self)
        except apsw.Error as error:
            raise StorageUnavailable(str(error)) from error
        self._open.add(snapshot)
        return snapshot

    def check(self, snapshot: SqliteSnapshot) -> None:
        if snapshot not in self._open:
            raise SnapshotTooOld
        if self._monotonic() > snapshot.deadline:
            self.give_back(snapshot)
            raise SnapshotTooOld

    def give_back(self, snapshot: SqliteSnapshot) -> None:
        if snapshot not in self._open:
            return
        self._open.discard(snapshot)
        connection = snapshot.end()
        if len(self._free) < POOL_SIZE:
            self._free.append(connection)
        else:
            connection.close(True)

    def expire(self) -> None:
        """Takes back what is too old."""
        now = self._monotonic()
        for snapshot in [each for each in self._open if now > each.deadline]:
            self.give_back(snapshot)

    def close(self) -> None:
        for snapshot in list(self._open):
            self.give_back(snapshot)
        for connection in self._free:
            connection.close(True)
        self._free.clear()
