"""Read transactions: the protocol's reads in SQL, over a connection that holds a snapshot.

`Reader` has every reading method and is the base of the write transaction too. `QuickRead` is the worker's one
reusable transaction for reads that end within one event loop iteration: it is entered by stepping the generation's
SELECT and leaving that statement open, which holds SQLite's snapshot as BEGIN would and costs half of
BEGIN, SELECT, COMMIT. Every other statement has run to its end, or was ended, when its method returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, cast

import apsw

from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    ANY_SIZE,
    COPIES_FOR_ONE,
    LARGE_ITEM,
    LOG_SPACE,
    UNLIMITED,
    Change,
    LogReader,
    Row,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
    TooMuchWork,
    change_size,
)
from blotter.database.storage.sqlite.catalog import CatalogCache, decode_table
from blotter.database.storage.sqlite.checksums import error_text
from blotter.database.storage.sqlite.schema import CATALOG_GENERATION, LAST_CHANGE, TRIMMED_BYTES, TRIMMED_ENTRIES

_BODY = "coalesce(body, (SELECT bodies.body FROM bodies WHERE id = outside))"
_GET = f"SELECT size, {_BODY} FROM items WHERE space = ? AND key = ?"
# One statement for many keys, in their order, takes half the time of one for each.
_GET_MANY = f"SELECT size, {_BODY} FROM carray(?) LEFT JOIN items ON space = ? AND key = value"
_ITEMS = f"SELECT key, size, {_BODY} FROM items WHERE space = ? AND key >= ?"
_TO_THE_END = f"{_ITEMS} ORDER BY key LIMIT ?"
_TO_THE_END_REVERSED = f"{_ITEMS} ORDER BY key DESC LIMIT ?"
_RANGE = f"{_ITEMS} AND key < ? ORDER BY key LIMIT ?"
_RANGE_REVERSED = f"{_ITEMS} AND key < ? ORDER BY key DESC LIMIT ?"
_NOTHING = ""
"""Executed to end the statement before it, which would keep the snapshot."""
_VERSION = "SELECT version FROM items WHERE space = ? AND key = ?"
_STATISTICS = "SELECT items, bytes FROM statistics WHERE space = ?"
_CHANGE = "SELECT sequence, time, table_id, shard, key, old, new, origin, kind, version FROM changes"
# The shard is compared with a constant so that SQLite can use the index, which has only entries of shards.
_CHANGES = f"{_CHANGE} WHERE table_id = ? AND shard = ? AND shard >= 0 AND sequence > ? ORDER BY sequence LIMIT ?"
_LOG = f"{_CHANGE} WHERE sequence > ? ORDER BY sequence LIMIT ?"
_LOG_TIMES = "SELECT sequence, time FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?"
_COUNTER = "SELECT value FROM counters WHERE id = ?"
# The newest entry knows how much was logged before it, so that appending writes nothing but the entry.
_LAST_CHANGE = (
    f"SELECT max(value, coalesce((SELECT max(sequence) FROM changes), 0)) FROM counters WHERE id = {LAST_CHANGE}"
)
LOG_STATISTICS = (
    f"SELECT entries - (SELECT value FROM counters WHERE id = {TRIMMED_ENTRIES}),"
    f" bytes - (SELECT value FROM counters WHERE id = {TRIMMED_BYTES})"
    " FROM changes ORDER BY sequence DESC LIMIT 1"
)
# One statement that stays open: its second row keeps it from being at its end after the first.
PIN = f"SELECT value FROM counters WHERE id >= {CATALOG_GENERATION} ORDER BY id LIMIT 2"

QUICK_WORK = 1024 * 1024
"""Bytes of large values that a quick read may decode on the event loop: some 15 ms, if they consist of the
smallest values there are."""

_NO_STATISTICS = SpaceStatistics(0, 0)


class Reader:
    """The reading half of the protocol. A transaction must be open while it is used."""

    def __init__(self, cursor: apsw.Cursor, cache: CatalogCache) -> None:
        self._cache = cache
        self._cursor = cursor
        self._execute = cursor.execute
        self._generation = 0
        self._work_left = UNLIMITED

    def note_work(self, amount: int) -> None:
        self._work_left -= amount
        if self._work_left < 0:
            raise TooMuchWork

    def _note_copy(self, size: int) -> None:
        try:
            self.note_work(size // COPIES_FOR_ONE)
        except TooMuchWork:
            self._execute(_NOTHING)
            raise

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        return self._cache.find(self._generation, self._cursor, (account, region, name))

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        rows = self._execute(
            "SELECT name FROM catalog WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
            (account, region, after, limit),
        )
        return [cast(str, name) for (name,) in rows]

    def tables(self) -> Iterable[Table]:
        descriptions = self._execute("SELECT description FROM catalog").fetchall()
        return (decode_table(cast(bytes, description)) for (description,) in descriptions)

    def version(self, space: int, key: bytes) -> int | None:
        return cast("int | None", self._execute(_VERSION, (space, key)).get)

    def catalog_version(self) -> int:
        return self._generation

    def get(self, space: int, key: bytes) -> StoredItem | None:
        row = self._execute(_GET, (space, key)).get
        return None if row is None else StoredItem(key, row[0], row[1])

    def expect(self, points: Callable[[], Iterable[tuple[int, bytes]]]) -> None:
        """Each statement is quick."""

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        found: list[tuple[int, bytes] | None] = []
        if not keys:
            return found  # which no array can be
        for row in self._execute(_GET_MANY, (apsw.carray(tuple(keys)), space)):
            if row[0] is None:
                found.append(None)
                continue
            found.append(row)
            size -= row[0]
            if row[0] > LARGE_ITEM:
                self._note_copy(len(row[1]))
            if size <= 0:
                self._execute(_NOTHING)
                break
        return found

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
        if end is None:
            cursor = self._execute(_TO_THE_END_REVERSED if reverse else _TO_THE_END, (space, start, limit))
        else:
            cursor = self._execute(_RANGE_REVERSED if reverse else _RANGE, (space, start, end, limit))
        rows: list[Row] = []
        for row in cursor:
            rows.append(row)
            size -= row[1]
            if size <= 0:
                self._execute(_NOTHING)
                break
        return rows

    def statistics(self, space: int) -> SpaceStatistics:
        if space == LOG_SPACE:
            return _statistics(self._execute(LOG_STATISTICS).get)
        return _statistics(self._execute(_STATISTICS, (space,)).get)

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        return [Change(*row) for row in self._execute(_CHANGES, (table_id, shard, after, limit))]

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        changes: list[Change] = []
        for row in self._execute(_LOG, (after, limit)):
            change = Change(*row)
            changes.append(change)
            size -= change_size(change)
            if size <= 0:
                self._execute(_NOTHING)
                break
        return changes

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        return cast("list[tuple[int, float]]", self._execute(_LOG_TIMES, (after, limit)).fetchall())

    def log_readers(self) -> list[LogReader]:
        return [LogReader(*row) for row in self._execute("SELECT * FROM log_readers ORDER BY name")]

    def first_change(self) -> int:
        first = cast("int | None", self._execute("SELECT min(sequence) FROM changes").get)
        return self.last_change() + 1 if first is None else first

    def last_change(self) -> int:
        return cast(int, self._execute(_LAST_CHANGE).get)

    def dropped_space(self) -> int | None:
        """A dropped key space that still has to be emptied."""
        return cast("int | None", self._execute("SELECT space FROM dropped_spaces LIMIT 1").get)

    def _counter(self, counter: int) -> int:
        return cast(int, self._execute(_COUNTER, (counter,)).get)


def _statistics(row: Any) -> SpaceStatistics:
    return _NO_STATISTICS if row is None else SpaceStatistics(*row)


class QuickRead(Reader):
    """The context manager that `Storage.read` returns. One per process, entered again and again, never nested."""

    def __init__(self, connection: apsw.Connection, cache: CatalogCache) -> None:
        super().__init__(connection.cursor(), cache)
        self._connection = connection
        self._pin = connection.cursor()
        self._entered = False

    def __enter__(self) -> QuickRead:
        if self._entered:
            raise RuntimeError("a read inside a read, or held across an await")
        try:
            self._generation = self._pin.execute(PIN).fetchone()[0]  # type: ignore[index]
        except apsw.Error as error:
            raise StorageUnavailable(error_text(error)) from error
        self._entered = True
        self._work_left = QUICK_WORK
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        try:
            for _ in self._pin:  # to its end: this lets go of the snapshot
                pass
        except apsw.Error as failure:
            raise StorageUnavailable(error_text(failure)) from failure
        if isinstance(error, apsw.Error):
            raise StorageUnavailable(error_text(error)) from error

    def close(self) -> None:
        self._connection.close(True)
