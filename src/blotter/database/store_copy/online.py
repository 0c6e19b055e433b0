"""Compares a copy with its source while that is in use, so that little is left to compare while it is stopped.

A slice of the source is read with the position of the log at that moment; the target gets the log's entries up to
exactly there, and then its slice must be the same. From then on the two can differ only in items whose changes are
applied later. Their keys are kept, and these items are compared again in the end, with their index entries. Counts
and sizes, which are exact in both stores, would show an index entry that was left over. Vector indexes are left
for the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from blotter.database.model.table import Index, Table
from blotter.database.storage.protocol import ANY_SIZE, Change, ReadTransaction, Row, Storage
from blotter.database.store_copy.comparing import check_differences, compared_spaces, replace_rows
from blotter.database.store_copy.differences import Difference, compared, slice_of
from blotter.database.store_copy.target import Target, decoded, entry_of

MOST_KEYS: Final = 1_000_000
"""Keys that are kept of changed items. A table that has more is compared again as a whole."""
_AT_ONCE: Final = 1000

ApplyThrough = Callable[[int], Awaitable[None]]
"""Applies the entries of the source's log up to this one to the target, and none after it."""


class OnlineComparison:
    """What was compared while the source was in use, and what has changed since."""

    def __init__(self, source: Storage, target: Target, progress: Callable[[str, int], None]) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._changed: dict[str, set[bytes]] = {}
        self._is_begun = False
        self._rows = 0
        self.spaces: set[int] = set()
        """The key spaces that were compared."""

    async def run(self, apply_through: ApplyThrough) -> None:
        """Compares every table that is whole. Raises CopyFailed where the stores differ."""
        self._is_begun = True
        for table in list(self._target.tables.values()):
            vectors = {index.space for index in table.vector_indexes}
            for space, name in compared_spaces(table) if table.id in self._target.filled else ():
                if space not in vectors:
                    await self._compare(table, space, name, apply_through)

    def note(self, changes: Iterable[Change]) -> None:
        """Takes note of entries that are applied."""
        if not self._is_begun:
            return
        for change in changes:
            if change.kind == "item":
                self._changed.setdefault(change.table_id, set()).add(change.key)
        if sum(map(len, self._changed.values())) > MOST_KEYS:
            self.spaces.clear()  # Everything is compared in the end.
            self._changed.clear()
            self._is_begun = False

    async def _compare(self, table: Table, space: int, name: str, apply_through: ApplyThrough) -> None:
        start: bytes | None = b""
        while start is not None:
            read = partial(_slice_now, table=table, space=space, start=start)
            position, here = await self._source.fetch(read)
            await apply_through(position)
            if here is None or table.id not in self._target.tables:
                return  # it is gone, or changes
            there = await self._target.storage.fetch(partial(slice_of, space=space, start=start))
            found = compared(here, there)
            check_differences(found.differences, name)
            if found.differences:
                await self._target.storage.write(partial(replace_rows, space=space, found=found.differences))
            self._rows += len(found.source)
            self._progress("comparing", self._rows)
            start = found.following
        self.spaces.add(space)

    async def finish(self, tables: Sequence[Table]) -> None:
        """Compares the items that have changed since, once nobody uses the source any more."""
        for table in tables:
            keys = sorted(self._changed.get(table.id, ()))
            for begin in range(0, len(keys), _AT_ONCE):
                await self._compare_items(table, keys[begin : begin + _AT_ONCE])

    async def _compare_items(self, table: Table, keys: list[bytes]) -> None:
        items = await self._compare_keys(table.space, table.arn, keys)
        spaces = {space for space, _ in compared_spaces(table)}
        for index in table.indexes:
            if index.space in spaces & self.spaces:
                entries = (_entry_key(table, index, row) for row in items)
                found = [key for key in entries if key is not None]
                await self._compare_keys(index.space, f"{table.arn}/index/{index.name}", found)

    async def _compare_keys(self, space: int, name: str, keys: list[bytes]) -> list[Row]:
        """The source's items under these keys, which are the target's too."""
        read = partial(_rows_of, space=space, keys=keys)
        here, there = await self._source.fetch(read), await self._target.storage.fetch(read)
        found = [Difference(ours, theirs) for ours, theirs in zip(here, there, strict=True) if ours != theirs]
        check_differences(found, name)
        if found:
            await self._target.storage.write(partial(replace_rows, space=space, found=found))
        return [row for row in here if row is not None]


def _slice_now(tx: ReadTransaction, table: Table, space: int, start: bytes) -> tuple[int, list[Row] | None]:
    """The position of the log and a slice at the same moment; None if the space is gone, or not as it is to be."""
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id or space not in dict(compared_spaces(current)):
        return tx.last_change(), None
    return tx.last_change(), slice_of(tx, space, start)


def _rows_of(tx: ReadTransaction, space: int, keys: list[bytes]) -> list[Row | None]:
    found = tx.get_many(space, keys, ANY_SIZE)
    return [None if row is None else (key, *row) for key, row in zip(keys, found, strict=True)]


def _entry_key(table: Table, index: Index, row: Row) -> bytes | None:
    entry = entry_of(table, index, row[0], decoded(row[2]))
    return None if entry is None else entry.key
