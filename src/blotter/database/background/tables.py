"""What happens to tables after the answer: deleted tables and indexes go, new indexes are filled.

One worker runs `TableKeeper.run_once` again and again. Every step is a short write transaction that first looks
whether its work is still wanted, so that it may be killed anywhere and simply run again: a backfill that was
interrupted starts over and finds its entries already there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import orjson
from msgspec.structs import replace

from blotter.database.model.table import Index, Table
from blotter.database.operations.item_store import write_index_entry
from blotter.database.storage.protocol import ReadTransaction, Storage, WriteTransaction

BACKFILL_ITEMS = 200
BACKFILL_BYTES = 256 * 1024


class TableKeeper:
    """Brings the catalog's promises about. `clock` gives seconds since the epoch."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        # What the last look found: for which catalog it holds, and when something is due by time alone.
        self._seen_version: int | None = None
        self._next_due = 0.0

    async def run_once(self) -> bool:
        """Does all that is due now; says whether there was anything. Looks at the tables only after one of them
        changed, or when it is time."""
        now = self._clock()
        version, times = await self._storage.fetch(lambda tx: self._look(tx, now))
        if times is None:
            return False
        due = [table for table, time_ in times if time_ <= now]
        self._seen_version = version
        self._next_due = min((time_ for _, time_ in times), default=math.inf)
        for table in due:
            await self._tend(table, now)
        return bool(due)

    def _look(self, tx: ReadTransaction, now: float) -> tuple[int, list[tuple[Table, float]] | None]:
        """The catalog's version and every table with the time when it is due; None if nothing can have changed."""
        version = tx.catalog_version()
        if version == self._seen_version and now < self._next_due:
            return version, None
        return version, [(table, _due_time(table)) for table in tx.tables()]

    async def _tend(self, table: Table, now: float) -> None:
        if _is_gone(table, now):
            await self._storage.write(lambda tx: _remove_table(tx, table))
            return
        for index in table.indexes:
            if index.deleting and index.active_at <= now:
                await self._storage.write(lambda tx, name=index.name: _remove_index(tx, table, name))  # type: ignore[misc]
            elif index.backfilling and index.active_at <= now:
                await self._backfill(table, index.name)

    async def _backfill(self, table: Table, name: str) -> None:
        position: bytes | None = b""
        while position is not None:
            start = position
            position = await self._storage.write(lambda tx: _backfill_slice(tx, table, name, start))  # noqa: B023


def _due_time(table: Table) -> float:
    """When there is something to do for a table; infinity for never."""
    times = [index.active_at for index in table.indexes if index.deleting or index.backfilling]
    if table.deleting_until is not None:
        times.append(table.deleting_until)
    return min(times, default=math.inf)


def _is_gone(table: Table, now: float) -> bool:
    return table.deleting_until is not None and table.deleting_until <= now


def _same_table(tx: ReadTransaction, table: Table) -> Table | None:
    """The table as it is now, unless it was deleted or replaced by another of its name."""
    current = tx.find_table(table.account, table.region, table.name)
    return current if current is not None and current.id == table.id else None


def _remove_table(tx: WriteTransaction, table: Table) -> None:
    current = _same_table(tx, table)
    if current is not None and current.deleting_until is not None:
        tx.remove_table(current)


def _remove_index(tx: WriteTransaction, table: Table, name: str) -> None:
    current = _same_table(tx, table)
    index = None if current is None else current.index(name)
    if current is None or index is None or not index.deleting:
        return
    tx.save_table(replace(current, indexes=tuple(other for other in current.indexes if other.name != name)))
    tx.drop_space(index.space)


def _backfill_slice(tx: WriteTransaction, table: Table, name: str, start: bytes) -> bytes | None:
    """Enters the next items of the table into the index; returns where to go on, None at the end."""
    current = _same_table(tx, table)
    index = None if current is None else current.index(name)
    if current is None or index is None or not index.backfilling:
        return None
    items = tx.items(current.space, start, None, BACKFILL_ITEMS, BACKFILL_BYTES)
    for key, _, body in items:
        write_index_entry(tx, current, index, key, None, orjson.loads(body))
    if items:
        return items[-1][0] + b"\x00"
    _finish_backfill(tx, current, index)
    return None


def _finish_backfill(tx: WriteTransaction, table: Table, index: Index) -> None:
    done = replace(index, backfilling=False)
    indexes = tuple(done if other.name == index.name else other for other in table.indexes)
    tx.save_table(replace(table, indexes=indexes))
