"""Read transactions that wait: each method is a statement, for which the event loop suspends the handler.

`Reader` has every reading method, over a connection in a transaction that its owner begins and ends: a snapshot
(REPEATABLE READ) for handlers that need more than one statement, or the exclusive transaction of a write.
`read_catalog_state` reads what both need first, the generation of the catalog.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from blotter.database.model.table import Table
from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.catalog import CatalogCache, Name, decode_table, encoded_name
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.layout.schema import HEAD_BYTES, LONGEST_KEY, digest_of
from blotter.database.storage.postgres.suspended import wait_for
from blotter.database.storage.protocol import (
    ANY_SIZE,
    COPIES_FOR_ONE,
    LARGE_ITEM,
    UNLIMITED,
    Change,
    LogReader,
    Row,
    SpaceStatistics,
    StoredItem,
    TooMuchWork,
)

T = TypeVar("T")

QUICK_WORK = 1024 * 1024
"""Bytes of large values that a read may decode on the event loop: some 15 ms, if they consist of the smallest
values there are."""
FIRST_ROWS = 256
"""Rows of a range that are asked for at first when only its bytes are limited."""


class Reader:
    """The reading half of the protocol over a connection in a transaction."""

    def __init__(self, connection: sql.Connection, cache: CatalogCache, work: int = UNLIMITED) -> None:
        self._connection = connection
        self._cache = cache
        self._work_left = work
        self._generation = 0
        self.long_keys = False
        self._tables: dict[Name, Table | None] = {}
        self._expected: dict[sql.Point, sql.Found | None] = {}

    async def read_catalog_state(self) -> None:
        """Reads the state of the catalog, which every later statement of the transaction has too."""
        self._generation, self.long_keys = await self._connection.fetchrow(sql.GENERATION)
        if self._cache.note(self._generation):
            self._tables = dict(self._cache.tables)

    # The catalog

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        place = (account, region, name)
        if place in self._tables:
            return self._tables[place]
        _, description = self.row(sql.TABLE, *encoded_name(place))
        table = None if description is None else self._cache.add(self._generation, place, description)
        self._tables[place] = table
        return table

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        rows = self.rows(sql.TABLE_NAMES, *encoded_name((account, region, after)), limit)
        return [name.decode() for (name,) in rows]

    def tables(self) -> Iterable[Table]:
        return [decode_table(description) for (description,) in self.rows(sql.TABLES)]

    def catalog_version(self) -> int:
        return self._generation

    # Items

    def get(self, space: int, key: bytes) -> StoredItem | None:
        found = self._find(space, key)
        return None if found is None else StoredItem(key, found[0], found[1])

    def version(self, space: int, key: bytes) -> int | None:
        found = self._find(space, key)
        return None if found is None else found[2]

    def expect(self, points: Callable[[], Iterable[sql.Point]]) -> None:
        short = [point for point in dict.fromkeys(points()) if len(point[1]) <= LONGEST_KEY]
        for first in range(0, len(short), 100):
            some = short[first : first + 100]
            rows = self.rows(sql.POINTS, [point[0] for point in some], [point[1] for point in some])
            self._expected.update(dict.fromkeys(some))
            for number, size, body, version, xmin in rows:
                self._expected[some[number - 1]] = (size, body, version, xmin)

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        found: list[tuple[int, bytes] | None] = []
        keys = list(keys)
        while keys and size > 0:
            # So many that those of a few KB come at once, and never much more than what is wanted.
            some, keys = keys[:100], keys[100:]
            by_key = self._find_many(space, some, size)
            for key in some:
                item = by_key.get(key)
                if item is None:
                    found.append(None)
                    continue
                found.append(item)
                size -= item[0]
                if item[0] > LARGE_ITEM:
                    self.note_work(len(item[1]) // COPIES_FOR_ONE)
                if size <= 0:
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
        rows: list[Row] = []
        statement = sql.RANGES[self.long_keys, end is not None, reverse]
        while limit > 0 and size > 0:
            most = min(limit, estimated_rows(rows, size))
            ends = () if end is None else (end,)
            piece = self.rows(statement, space, start, most, size, *ends)
            rows += [(key, row_size, body) for key, row_size, body in piece]
            size -= sum([row[1] for row in piece])
            limit -= len(piece)
            if len(piece) < most:
                break
            if reverse:
                end = piece[-1][0]
                statement = sql.RANGES[self.long_keys, True, True]
            else:
                start = piece[-1][0] + b"\x00"
        return rows

    def statistics(self, space: int) -> SpaceStatistics:
        return SpaceStatistics(*self.row(sql.STATISTICS, space))

    # The change log

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        return [Change(*row) for row in self.rows(sql.CHANGES, table_id, shard, after, limit)]

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        return [Change(*row) for row in self.rows(sql.LOG, after, limit, size)]

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        return [(sequence, time) for sequence, time in self.rows(sql.LOG_TIMES, after, limit)]

    def log_readers(self) -> list[LogReader]:
        return [LogReader(*row) for row in self.rows(sql.LOG_READERS)]

    def first_change(self) -> int:
        rows = self.rows(sql.FIRST_CHANGE)
        return int(rows[0][0]) if rows else self.last_change() + 1

    def last_change(self) -> int:
        (last,) = self.row(sql.LAST_CHANGE)
        return int(last)

    # Work

    def note_work(self, amount: int) -> None:
        self._work_left -= amount
        if self._work_left < 0:
            raise TooMuchWork

    # Statements

    def forget_expected(self) -> None:
        """What was read ahead is about to be changed."""
        self._expected = {}

    def note_table(self, name: Name, table: Table | None) -> None:
        """What the transaction has written into the catalog."""
        self._tables[name] = table

    def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of a statement. Raises StorageUnavailable."""
        try:
            return wait_for(awaitable)
        except STORE_FAILURES as error:
            raise unavailable(error) from error

    def rows(self, statement: str, *values: Any) -> list[Any]:
        rows: list[Any] = self.wait(self._connection.fetch(statement, *values))
        return rows

    def row(self, statement: str, *values: Any) -> Any:
        return self.wait(self._connection.fetchrow(statement, *values))

    def _find(self, space: int, key: bytes) -> sql.Found | None:
        if (space, key) in self._expected:
            return self._expected[space, key]
        if len(key) > LONGEST_KEY:
            row = self._find_long(space, key)
            return None if row is None else (row[0], row[1], row[2], row[3])
        rows = self.rows(sql.POINTS, [space], [key])
        return (rows[0][1], rows[0][2], rows[0][3], rows[0][4]) if rows else None

    def _find_many(self, space: int, keys: list[bytes], size: int) -> dict[bytes, tuple[int, bytes]]:
        short = [key for key in keys if len(key) <= LONGEST_KEY]
        rows = self.rows(sql.SIZED_POINTS, space, short, size) if short else []
        found = {short[number - 1]: (row_size, body) for number, row_size, body in rows}
        for key in keys:
            if len(key) > LONGEST_KEY and (row := self._find_long(space, key)) is not None:
                found[key] = (row[0], row[1])
        return found

    def _find_long(self, space: int, key: bytes) -> Any:
        return self.row(sql.LONG_POINT, space, key[:HEAD_BYTES], digest_of(key)) if self.long_keys else None


def estimated_rows(rows: list[Row], size: int) -> int:
    """How many rows have so many bytes, by the rows that were read before."""
    if size >= ANY_SIZE // 2:
        return ANY_SIZE
    if not rows:
        return FIRST_ROWS
    return max(FIRST_ROWS, size * len(rows) // max(1, sum([row[1] for row in rows])) + 16)
