"""One page of a table or an index, read in slices: for Query, Scan and PartiQL's SELECT alike.

A page ends at Limit, at 1 MB of items read (before any filter), or at the end of its ranges. It also ends early
when the store takes the snapshot back, which it does after some seconds: the client goes on from the
LastEvaluatedKey as after any other page, with a snapshot of its own. Between slices the reader yields, so that a
long page does not keep other requests waiting. Where items are large, the condition and the projection are work of
their own (`Selecting`), which needs no store and is done on a thread. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from typing import Protocol, TypeAlias

import orjson

from blotter.database.expressions import Condition
from blotter.database.model.capacity import ConsumedCapacity, read_units
from blotter.database.model.keys import table_key
from blotter.database.model.table import Index, Table
from blotter.database.model.values import Item
from blotter.database.storage.protocol import ReadTransaction, Row, SnapshotTooOld

PAGE_BYTES = 1024 * 1024
SLICE_BYTES = 64 * 1024
SLICE_ITEMS = 256
SELECTING_SECONDS = 0.002
"""A condition that takes longer for the items of a slice ends it, so that others do not wait for the rest."""
SELECTED_AT_ONCE = 8
LARGE_BODIES = 256 * 1024
"""Bytes of bodies that are decoded on the event loop at once; more are decoded on a thread."""

Selecting: TypeAlias = Callable[[], object] | None
"""Work that the reader needs to be done before it goes on; None at the end of a slice."""

KeyRange = tuple[bytes, bytes | None]
"""Storage keys: start <= key < end; an end of None is the end of the key space."""


_SMALL_SLICE = LARGE_BODIES // 16
"""Bytes as DynamoDB counts them, of which no body takes more than LARGE_BODIES."""

_Candidate: TypeAlias = tuple[bytes, bytes]
"""The body that the condition is about, and the item's."""


class Projects(Protocol):
    """A projection or a list of columns."""

    def project(self, item: Item) -> Item: ...


class PageReader:
    """Reads a page and gathers what its response needs.

    `limit` counts items read. `fetch` gets every item from the table because the index does not hold all that is
    requested for; `filter_fetched` is whether the condition is about that item, not the index entry. Without
    condition, projection and fetching, items' bodies are copied as they are stored.
    """

    __slots__ = (
        "_condition",
        "_consistent",
        "_fetch",
        "_fetched_bytes",
        "_filter_fetched",
        "_last_key",
        "_limit",
        "_most_items",
        "_projection",
        "_slice_bytes",
        "_slice_items",
        "_space",
        "_tx",
        "_unselected",
        "bodies",
        "fetched_units",
        "index",
        "last",
        "scanned",
        "size",
        "table",
    )

    def __init__(
        self,
        tx: ReadTransaction,
        table: Table,
        index: Index | None,
        *,
        limit: int | None,
        consistent: bool,
        condition: Condition | None,
        projection: Projects | None,
        fetch: bool = False,
        filter_fetched: bool = False,
    ) -> None:
        self._tx = tx
        self.table = table
        self.index = index
        self._space = table.space if index is None else index.space
        self._limit = sys.maxsize if limit is None else limit
        self._consistent = consistent
        self._condition = condition
        self._projection = projection
        self._fetch = fetch
        self._filter_fetched = filter_fetched
        self._most_items = SLICE_ITEMS
        """Items of a slice: fewer once the condition has turned out to be slow."""
        self._slice_items = SLICE_ITEMS
        self._slice_bytes = SLICE_BYTES
        self._fetched_bytes = 0
        self._unselected: list[_Candidate] = []
        """Read, but not yet seen by condition and projection."""
        self.bodies: list[bytes] = []
        """The items of the response, as JSON."""
        self.scanned = 0
        """Items read, before the condition."""
        self.size = 0
        """Their bytes as DynamoDB counts them."""
        self.fetched_units = 0.0
        """Read units of what was fetched from the table."""
        self.last: Row | None = None
        """The last item or index entry read."""
        self._last_key: Item | None = None
        """Its key, if it is large and was decoded: doing so again would be work."""

    def read(self, key_range: KeyRange, *, reverse: bool = False) -> Generator[Selecting, None, bool]:
        """Reads a range, or as much of it as fits into the page; yields after each slice, and in it what is to be
        done elsewhere. Returns whether the page is complete; otherwise the range is read to its end and another
        may follow.

        Raises SnapshotTooOld when the snapshot is gone before the first item.
        """
        start, end = key_range
        while True:
            items = min(self._slice_items, self._limit - self.scanned)
            size = min(self._slice_bytes, PAGE_BYTES - self.size)
            try:
                rows = self._tx.items(self._space, start, end, items, size, reverse=reverse)
            except SnapshotTooOld:
                if self.last is None:
                    raise
                return True
            read = len(rows)
            taken = self._take(rows)
            if self._unselected:
                yield self._select
            if taken < 0 or self.scanned == self._limit or self.size >= PAGE_BYTES:
                return True
            if len(rows) == read:
                if read < items and taken < size:
                    return False
            elif self._fetched_bytes >= PAGE_BYTES:
                return True
            if reverse:
                end = rows[-1][0]
            else:
                start = rows[-1][0] + b"\x00"
            self._slice_items -= len(rows)
            self._slice_bytes -= taken
            if self._slice_items <= 0 or self._slice_bytes <= 0:
                self._slice_items, self._slice_bytes = self._most_items, SLICE_BYTES
                yield None

    def _take(self, rows: list[Row]) -> int:
        """Adds rows to the page and returns their bytes; -1 when the snapshot ended between them. Removes the rows
        that have to wait for the next slice."""
        self._last_key = None
        if self._fetch:
            return self._take_fetched(rows)
        size = sum([row[1] for row in rows])
        if self._condition is None and self._projection is None:
            self.bodies += [row[2] for row in rows]
        elif size > _SMALL_SLICE and sum([len(row[2]) for row in rows]) > LARGE_BODIES:
            self._unselected = [(row[2], row[2]) for row in rows]
        else:
            selected = self._select_in_time(rows)
            if selected < len(rows):
                del rows[selected:]
                size = sum([row[1] for row in rows])
                self._most_items = 2 * selected
                self._slice_items = 0  # ends the slice
        if rows:
            self.last = rows[-1]
        self.scanned += len(rows)
        self.size += size
        return size

    def _select_in_time(self, rows: list[Row]) -> int:
        """Applies condition and projection to rows until they have taken too long; returns to how many."""
        condition, projection, taken = self._condition, self._projection, self.bodies
        deadline = time.monotonic() + SELECTING_SECONDS
        for at in range(0, len(rows), SELECTED_AT_ONCE):
            if at and time.monotonic() > deadline:
                return at
            for row in rows[at : at + SELECTED_AT_ONCE]:
                body = row[2]
                item: Item = orjson.loads(body)
                if condition is None or condition.matches(item):
                    taken.append(body if projection is None else orjson.dumps(projection.project(item)))
        return len(rows)

    def _select(self) -> None:
        """Applies condition and projection to what was read."""
        condition, projection = self._condition, self._projection
        item: Item | None = None
        for tested, body in self._unselected:
            item = None
            if condition is not None:
                item = orjson.loads(tested)
                if not condition.matches(item):
                    continue
            if projection is not None:
                if item is None or tested is not body:
                    item = orjson.loads(body)
                body = orjson.dumps(projection.project(item))
            self.bodies.append(body)
        if item is not None and self.last is not None and self._unselected[-1][0] is self.last[2]:
            self._last_key = self._key_in(item)
        self._unselected = []

    def _take_fetched(self, rows: list[Row]) -> int:
        """The items of the table count too: a page has no more than a megabyte of them and one item."""
        size = fetched = 0
        for number, row in enumerate(rows):
            if fetched > LARGE_BODIES or self._fetched_bytes >= PAGE_BYTES:
                del rows[number:]
                break
            try:
                stored = self._tx.get(self.table.space, table_key(self.table.keys, orjson.loads(row[2])))
            except SnapshotTooOld:
                if self.last is None:
                    raise
                size = -1
                break
            self.last = row
            self.scanned += 1
            self.size += row[1]
            size += row[1]
            if stored is not None:
                fetched += len(stored.body)
                self._fetched_bytes += stored.size
                self.fetched_units += read_units(stored.size, self._consistent)
                self._unselected.append((stored.body if self._filter_fetched else row[2], stored.body))
        if fetched <= LARGE_BODIES:
            self._select()
        return size

    def last_evaluated_key(self) -> Item:
        """The key of the last item or index entry read: of the table and of the index."""
        if self.last is None:
            raise ValueError("nothing was read")
        return self._last_key or self._key_in(orjson.loads(self.last[2]))

    def _key_in(self, item: Item) -> Item:
        names = self.table.keys.names
        if self.index is not None:
            return {name: item[name] for name in dict.fromkeys(names + self.index.keys.names)}
        return {name: item[name] for name in names}

    def consumed(self, units: float) -> ConsumedCapacity:
        """What the page consumed, given the units to read its ranges."""
        if self.index is None:
            return ConsumedCapacity(self.table.name, False, units)
        consumed = ConsumedCapacity(self.table.name, False, self.fetched_units)
        consumed.add_index(self.index.name, units, local=self.index.local)
        return consumed


def held_names(table: Table, index: Index) -> set[str]:
    """The attributes an index holds whose projection is not ALL."""
    return {*table.keys.names, *index.keys.names, *index.included}
