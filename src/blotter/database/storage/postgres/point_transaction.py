"""The transaction of a read that one statement answers: it has the catalog, and what earlier runs have asked for.

A handler's first run ends at the first thing that it reads. If that is an item, later runs go on past what they
miss, as if nothing were stored there, so that all items are known after the second; then one statement reads all
of them. A range, many keys with a limit of bytes, names of tables, a shard's changes, or statistics are a
statement alone: a handler that needs one of them and anything else needs a snapshot. The ends of the change log
come with a shard's changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from blotter.database.model.table import Table
from blotter.database.storage.postgres.batch_transaction import Missing
from blotter.database.storage.postgres.catalog import CatalogCache, Name
from blotter.database.storage.postgres.layout.schema import LONGEST_KEY
from blotter.database.storage.postgres.reading import FIRST_ROWS, QUICK_WORK
from blotter.database.storage.postgres.statements import Found, Point
from blotter.database.storage.protocol import (
    ANY_SIZE,
    COPIES_FOR_ONE,
    LARGE_ITEM,
    Change,
    LogReader,
    Row,
    SpaceStatistics,
    StoredItem,
    TooMuchWork,
)

Request: TypeAlias = tuple[Any, ...]
"""What is asked in a statement alone: the name of a method and its arguments."""

LOG_ENDS: Final[Request] = ("log_ends",)
"""Asks for the sequences of the first change that is kept and of the last one."""
READS_AHEAD: Final = 8
MOST_CHANGES: Final = 100
"""Changes of a shard that a statement reads at most. Whoever wants more needs a snapshot, and lets others run in
between."""


class NeedsSnapshot(BaseException):
    """The handler reads more than one statement can answer. No `Exception`, so that no handler catches it."""


class PointTransaction:
    """What one handler reads, and what was found of it."""

    __slots__ = (
        "_shard",
        "_tables",
        "_work_left",
        "absent_table",
        "answers",
        "found",
        "generation",
        "goes_on",
        "is_incomplete",
        "wanted_points",
        "wanted_request",
        "wanted_table",
    )

    def __init__(self, cache: CatalogCache) -> None:
        self._work_left = QUICK_WORK
        self.found: dict[Point, Found | None] | None = None
        self.answers: dict[Request, Any] | None = None
        self.absent_table: Name | None = None
        """A table that is not in the catalog of this generation."""
        self.goes_on = False
        """Whether a run goes on past what it misses; nothing of such a run is kept."""
        self.is_incomplete = False
        self.wanted_points: list[Point] = []
        self.wanted_request: Request | None = None
        self.wanted_table: Name | None = None
        self._shard: Request | None = None
        """What was asked of a shard of the change log."""
        self.renew(cache)

    def renew(self, cache: CatalogCache) -> None:
        """Before another run: with the catalog as it is in memory now."""
        self._tables = cache.tables
        self.generation = cache.generation
        self._work_left = QUICK_WORK
        self.is_incomplete = False
        self.wanted_points = []
        self.wanted_request = None
        self.wanted_table = None

    # The catalog

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        place = (account, region, name)
        table = self._tables.get(place)
        if table is None and place != self.absent_table:
            self.wanted_table = place
            raise Missing
        return table

    def catalog_version(self) -> int:
        return self.generation

    # Items

    def get(self, space: int, key: bytes) -> StoredItem | None:
        found = self._find(space, key)
        return None if found is None else StoredItem(key, found[0], found[1])

    def version(self, space: int, key: bytes) -> int | None:
        found = self._find(space, key)
        return None if found is None else found[2]

    def _find(self, space: int, key: bytes) -> Found | None:
        point = (space, key)
        if self.found is not None and point in self.found:
            return self.found[point]
        if self.answers is not None or len(key) > LONGEST_KEY:
            raise NeedsSnapshot
        self.wanted_points.append(point)
        if not self.goes_on:
            raise Missing
        self.is_incomplete = True
        return None

    def expect(self, points: Callable[[], Iterable[Point]]) -> None:
        found = self.found
        missing = [point for point in points() if found is None or point not in found]
        if missing:
            if self.answers is not None or any(len(point[1]) > LONGEST_KEY for point in missing):
                raise NeedsSnapshot
            self.wanted_points.extend(missing)
            raise Missing

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        known = self.found
        if known is None:
            if any(len(key) > LONGEST_KEY for key in keys):
                raise NeedsSnapshot
            known = self._ask(("get_many", space, tuple(keys), size))
        found: list[tuple[int, bytes] | None] = []
        for key in keys:
            if (space, key) not in known:
                raise NeedsSnapshot
            item = known[space, key]
            if item is None:
                found.append(None)
                continue
            found.append((item[0], item[1]))
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
        if limit > FIRST_ROWS:
            raise NeedsSnapshot
        rows: list[Row] = self._ask(("items", space, start, end, limit, size, reverse))
        return rows

    def statistics(self, space: int) -> SpaceStatistics:
        statistics: SpaceStatistics = self._ask(("statistics", space))
        return statistics

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        names: list[str] = self._ask(("table_names", account, region, after, limit))
        return names

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        if self.answers is None and self.wanted_request == LOG_ENDS:
            self.is_incomplete = False  # the same statement has both
        asked = self._shard
        if asked is None:
            # Whoever wants several goes on with more: the statement reads ahead.
            asked = self._shard = (
                "changes",
                table_id,
                shard,
                after,
                limit if limit < READS_AHEAD else MOST_CHANGES,
            )
        if asked[1:3] != (table_id, shard) or after < asked[3]:
            raise NeedsSnapshot
        known, is_end = self._ask(asked)
        changes: list[Change] = [change for change in known if change.sequence > after][:limit]
        if len(changes) < limit and not is_end:
            raise NeedsSnapshot
        return changes

    def first_change(self) -> int:
        if self.answers is None and self.found is None and not self.is_incomplete:
            self.wanted_request = LOG_ENDS
            self.is_incomplete = True  # goes on as if nothing were trimmed: most look for changes next
            return 0
        first: int = self._ask(LOG_ENDS)[0]
        return first

    def last_change(self) -> int:
        last: int = self._ask(LOG_ENDS)[1]
        return last

    def _ask(self, request: Request) -> Any:
        if self.answers is not None and request in self.answers:
            return self.answers[request]
        if self.wanted_request == request:
            raise Missing
        if self.found is not None or self.answers is not None or self.is_incomplete:
            raise NeedsSnapshot
        self.wanted_request = request
        raise Missing

    def note_work(self, amount: int) -> None:
        self._work_left -= amount
        if self._work_left < 0 and not self.is_incomplete:
            raise TooMuchWork

    # What needs more than one statement

    def _more(self, *_: object) -> NoReturn:
        raise NeedsSnapshot

    def tables(self) -> Iterable[Table]:
        self._more()

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        self._more(after, limit, size)

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        self._more(after, limit)

    def log_readers(self) -> list[LogReader]:
        self._more()
