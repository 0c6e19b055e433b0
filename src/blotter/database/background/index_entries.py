"""Fills new indexes, and takes out of old ones what cannot be in them, in slices that hold the write lock for a
few milliseconds each.

Every slice is a transaction of its own that first looks whether its work is still wanted. One that is interrupted
begins again at the start of the table and finds its entries already there. `model.keys.index_key` decides which
items belong into an index.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import orjson
from msgspec.structs import replace

from blotter.database.model.keys import index_key, table_key
from blotter.database.model.table import PAST, Index, Table
from blotter.database.model.vectors import vector_entry
from blotter.database.operations.item_store import write_index_entry
from blotter.database.operations.vectors.entries import write_vector_entry
from blotter.database.storage.protocol import ReadTransaction, Row, Storage, WriteTransaction

SLICE_SECONDS: Final = 0.003
"""A slice takes no further items after this long."""
ROWS_AT_ONCE: Final = 16
BYTES_AT_ONCE: Final = 256 * 1024

# A check of an index that finds nothing rests this many times as long as it reads.
_REST_FACTOR = 9

# What a damaged body can raise when it is taken apart.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

log = logging.getLogger(__name__)


class IndexKeeper:
    """All indexes share one lock, a slice at a time, so that together they delay other writers no more than one
    does. `monotonic` measures slices."""

    def __init__(self, storage: Storage, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._monotonic = monotonic
        self._slices = asyncio.Lock()
        self.filled_to: Callable[[Table, Index, bytes], object] = lambda *_: None
        """Called after each slice of an index that is filled, with the position in the table."""

    async def fill(self, table: Table, index: Index) -> None:
        """Enters all items of the table that belong into the index, and makes it ACTIVE."""
        position: bytes | None = b""
        unreadable = 0
        while position is not None:
            async with self._slices:
                started = self._monotonic()
                work = partial(
                    _fill_slice, table=table, space=index.space, start=position, monotonic=self._monotonic
                )
                position, skipped = await self._storage.write(work)
                if position is not None:
                    self.filled_to(table, index, position)
                await asyncio.sleep(min(self._monotonic() - started, SLICE_SECONDS))
            if skipped and not unreadable:
                log.error("table %s: index %s: an item cannot be read and is left out", table.arn, index.name)
            unreadable += skipped

    async def verify(self, table: Table, index: Index) -> None:
        """Removes the entries of an index that cannot be in it. Versions before format 0.2 entered values that are
        empty or too long to be keys when they filled an index."""
        position: bytes | None = b""
        while position is not None:
            async with self._slices:
                started = self._monotonic()
                look = partial(_wrong_entries, table=table, index=index, start=position, monotonic=self._monotonic)
                wrong, position = await self._storage.fetch(look)
                took = self._monotonic() - started
                if wrong:
                    log.warning("table %s: index %s: %d entries removed", table.arn, index.name, len(wrong))
                    await self._storage.write(partial(_remove_entries, table=table, space=index.space, keys=wrong))
            if position is not None:
                await asyncio.sleep(took * _REST_FACTOR)
        await self._storage.write(partial(_mark_verified, table=table, space=index.space))


def find_index(tx: ReadTransaction, table: Table, space: int) -> tuple[Table, Index] | None:
    """The table as it is now, with one of its indexes, which is known by its key space: another one may have taken
    its name. None if one of the two has gone."""
    current = same_table(tx, table)
    if current is not None:
        for index in current.indexes:
            if index.space == space:
                return current, index
    return None


def same_table(tx: ReadTransaction, table: Table) -> Table | None:
    """The table as it is now, unless it was deleted or replaced by another of its name."""
    current = tx.find_table(table.account, table.region, table.name)
    return current if current is not None and current.id == table.id else None


def with_index(table: Table, changed: Index) -> Table:
    indexes = tuple(changed if index.name == changed.name else index for index in table.indexes)
    return replace(table, indexes=indexes)


def _fill_slice(
    tx: WriteTransaction, table: Table, space: int, start: bytes, monotonic: Callable[[], float]
) -> tuple[bytes | None, int]:
    """Enters the next items; returns where to go on, None at the end, and how many could not be read."""
    skipped = 0
    found = find_index(tx, table, space)
    if found is None or not found[1].backfilling:
        return None, skipped
    current, index = found
    deadline: float | None = None
    while rows := tx.items(current.space, start, None, ROWS_AT_ONCE, BYTES_AT_ONCE):
        if deadline is None:  # not before: a store across a network may take longer than a slice to give the first
            deadline = monotonic() + SLICE_SECONDS
        tx.expect(partial(_entries, index, rows))
        for key, _, body in rows:
            try:
                item = orjson.loads(body)
                if index.vector is None:
                    index_key(index, item, key)
                else:
                    vector_entry(current, index, item, key)
            except _UNREADABLE:
                skipped += 1
            else:
                if index.vector is None:
                    write_index_entry(tx, current, index, key, None, item)
                else:
                    write_vector_entry(tx, current, index, key, None, item)
            start = key + b"\x00"
            if monotonic() > deadline:
                return start, skipped
    tx.save_table(with_index(current, replace(index, backfilling=False, active_at=PAST)))
    return None, skipped


def _entries(index: Index, rows: Sequence[Row]) -> Iterator[tuple[int, bytes]]:
    """Key space and keys of the entries of items, of those that can be read."""
    for key, _, body in rows if index.vector is None else ():
        with suppress(*_UNREADABLE):
            entry = index_key(index, orjson.loads(body), key)
            if entry is not None:
                yield index.space, entry


def _wrong_entries(
    tx: ReadTransaction, table: Table, index: Index, start: bytes, monotonic: Callable[[], float]
) -> tuple[list[bytes], bytes | None]:
    """Keys of entries that do not belong here among the next ones, and where to go on, None at the end."""
    wrong: list[bytes] = []
    deadline = monotonic() + SLICE_SECONDS
    while rows := tx.items(index.space, start, None, ROWS_AT_ONCE, BYTES_AT_ONCE):
        for key, _, body in rows:
            if not _belongs(table, index, key, body):
                wrong.append(key)
            start = key + b"\x00"
        if monotonic() > deadline or len(wrong) >= ROWS_AT_ONCE:
            return wrong, start
    return wrong, None


def _belongs(table: Table, index: Index, key: bytes, body: bytes) -> bool:
    try:
        entry = orjson.loads(body)
        return index_key(index, entry, table_key(table.keys, entry)) == key
    except _UNREADABLE:
        return False


def _remove_entries(tx: WriteTransaction, table: Table, space: int, keys: list[bytes]) -> None:
    found = find_index(tx, table, space)
    if found is None:
        return
    current, index = found
    for key in keys:
        entry = tx.get(index.space, key)
        if entry is not None and not _belongs(current, index, key, entry.body):
            tx.delete(index.space, entry)


def _mark_verified(tx: WriteTransaction, table: Table, space: int) -> None:
    found = find_index(tx, table, space)
    if found is not None and not found[1].verified:
        tx.save_table(with_index(found[0], replace(found[1], verified=True)))
