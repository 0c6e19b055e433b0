"""The write transaction of a batch: its handlers run over what was read of PostgreSQL and what they have written.

Nothing here waits. What a handler misses is noted, `Missing` is raised, and the handler is run again once it was
read. Which of the points that were read must still be the same when the batch is applied (`guards`): those of a
handler that wrote, or that saw what another handler of the batch wrote. What any other handler read, it read of
one statement's snapshot, which is as good as any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from blotter.database.model.table import Table
from blotter.database.storage.postgres.catalog import CatalogCache, Name
from blotter.database.storage.postgres.layout.schema import LONGEST_KEY
from blotter.database.storage.postgres.statements import Found, Point
from blotter.database.storage.postgres.writes import NeedsExclusive, Writes
from blotter.database.storage.protocol import (
    ANY_SIZE,
    Change,
    LogReader,
    Row,
    SpaceStatistics,
    StoredItem,
)


class Missing(BaseException):
    """Something was not read yet. No `Exception`, so that no handler catches it."""


class BatchTransaction(Writes):
    """One for each batch, used again for each run of its handlers."""

    def __init__(self, cache: CatalogCache, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._cache = cache
        self._tables: dict[Name, Table] = {}
        self.generation = 0
        """Of the catalog that the handlers run with."""
        self.found: dict[Point, Found | None] = {}
        """What was read; None where nothing is stored."""
        self.absent_tables: set[Name] = set()
        """Names for which the catalog of this generation has no table."""
        self.guards: set[Point] = set()
        self.guard_all = False
        """Whether what was read is of several snapshots, so that every read must be confirmed."""
        self.wanted_points: list[Point] = []
        """What the running handler misses."""
        self.wanted_tables: list[Name] = []
        self.goes_on = False
        """Whether the running handler goes on as if what it misses were not there, so that all that it misses is
        read at once; nothing of such a run is kept."""
        self.is_incomplete = False
        """Whether it has missed something and went on."""
        self._reads: list[Point] = []
        self._saw_writes = False

    def begin(self) -> None:
        """Before a run of all handlers."""
        self.clear()
        self.guards = set()
        self.wanted_points = []
        self.wanted_tables = []
        self._tables = self._cache.tables
        if self.generation != self._cache.generation:
            self.generation = self._cache.generation
            self.absent_tables = set()

    def forget(self) -> None:
        """Drops what was read: something has changed since."""
        self.found = {}

    def begin_handler(self) -> None:
        super().begin_handler()
        self.is_incomplete = False
        self._reads = []
        self._saw_writes = False

    def handler_ended(self) -> None:
        """After a handler that returned or refused, before `undo`."""
        if self._reads and (self.guard_all or self._saw_writes or self.has_written):
            self.guards.update(self._reads)

    # Reading

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        place = (account, region, name)
        table = self._tables.get(place)
        if table is None and place not in self.absent_tables:
            self.wanted_tables.append(place)
            raise Missing
        return table

    def catalog_version(self) -> int:
        return self.generation

    def get(self, space: int, key: bytes) -> StoredItem | None:
        point = (space, key)
        written = self.written
        if written and point in written:
            self._saw_writes = True
            stored = written[point]
            return None if stored is None else StoredItem(key, stored[0], stored[1])
        found = self._find(point)
        return None if found is None else StoredItem(key, found[0], found[1])

    def version(self, space: int, key: bytes) -> int | None:
        point = (space, key)
        if point in self.written:
            self._saw_writes = True
            stored = self.written[point]
            return None if stored is None else stored[2]
        found = self._find(point)
        return None if found is None else found[2]

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        self.expect(lambda: [(space, key) for key in keys])
        found: list[tuple[int, bytes] | None] = []
        for key in keys:
            item = self.get(space, key)
            if item is None:
                found.append(None)
                continue
            found.append((item.size, item.body))
            size -= item.size
            if size <= 0:
                break
        return found

    def expect(self, points: Callable[[], Iterable[Point]]) -> None:
        missing = [point for point in points() if point not in self.found and point not in self.written]
        if missing:
            if any(len(point[1]) > LONGEST_KEY for point in missing):
                raise NeedsExclusive
            self.wanted_points.extend(missing)
            raise Missing

    def _find(self, point: Point) -> Found | None:
        if point not in self.found:
            if len(point[1]) > LONGEST_KEY:
                raise NeedsExclusive
            self.wanted_points.append(point)
            if not self.goes_on:
                raise Missing
            self.is_incomplete = True
            return None
        self._reads.append(point)
        return self.found[point]

    # What needs more than single items and tables

    def _ranges(self, *_: object) -> NoReturn:
        raise NeedsExclusive

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        self._ranges(account, region, after, limit)

    def tables(self) -> Iterable[Table]:
        self._ranges()

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
        self._ranges(space, start, end, limit, size, reverse)

    def statistics(self, space: int) -> SpaceStatistics:
        self._ranges(space)

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        self._ranges(table_id, shard, after, limit)

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        self._ranges(after, limit, size)

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        self._ranges(after, limit)

    def log_readers(self) -> list[LogReader]:
        self._ranges()

    def first_change(self) -> int:
        self._ranges()

    def last_change(self) -> int:
        self._ranges()
