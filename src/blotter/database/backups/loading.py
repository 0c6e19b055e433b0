"""Fills a new table with rows from any source: its items in key order, then its indexes, then it becomes ACTIVE.

While it is loading, nobody else writes to the table (`Table.loading`). Items are stored in slices that give way to
other writers (`Storage.write_slice`); how far they have come is saved in the same transactions, so that an
interrupted load continues after the last item. Index entries are sorted on disk first (`copies.sorting`): entered
in random order, every one of them would change a page of its own. At the end, counts and sizes are compared with
what was expected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import orjson
from msgspec.structs import replace

from blotter.database.background.index_entries import IndexKeeper, same_table, with_index
from blotter.database.copies.batching import batches
from blotter.database.copies.jobs import Tools
from blotter.database.copies.sorting import SortedRuns
from blotter.database.model.keys import index_key
from blotter.database.model.size import item_size
from blotter.database.model.table import PAST, Index, Table
from blotter.database.model.values import item_bytes
from blotter.database.operations.backups.jobs import Progress
from blotter.database.operations.item_store import projected
from blotter.database.storage.protocol import ReadTransaction, Row, Storage, StorageUnavailable, WriteTransaction

ROWS_AT_ONCE: Final = 200
ROWS_A_SECOND: Final = 100_000
"""What a busy machine stores. A slice stores at once what it has time for, so that it ends early enough."""
BYTES_AT_ONCE: Final = 512 * 1024
READ_ROWS: Final = 1024
READ_BYTES: Final = 1024 * 1024

# What a damaged body can raise when it is taken apart.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

log = logging.getLogger(__name__)


class NotLoading(Exception):
    """The table is gone, or is no longer being filled by this job: there is nothing left to do."""


class LoadFailed(Exception):
    """What was loaded is not what was expected. Trying again would not help."""


class Expected(msgspec.Struct, frozen=True):
    items: int
    size: int


RowsAfter = Callable[[bytes], AsyncIterator[Sequence[Row]]]
"""Gives the rows whose keys are greater, in key order; b"" for all."""
Save = Callable[[WriteTransaction, Progress], None]
"""Saves the progress in the job's record."""


async def load(
    tools: Tools,
    table: Table,
    job_id: str,
    rows_after: RowsAfter,
    progress: Progress,
    save: Save,
    expected: Expected | None = None,
) -> None:
    """Stores the rows and fills the indexes of a table that is `loading` for this job; `publish` makes it ACTIVE
    then. Raises NotLoading, LoadFailed, and what the source raises."""
    loader = _Loader(tools, table, job_id, save)
    if not progress.has_all_items:
        progress = await loader.store_items(rows_after, progress)
    with_vectors = IndexKeeper(tools.storage, tools.monotonic)
    for index in table.indexes:
        if index.name not in progress.indexes:
            if index.vector is None:
                await loader.fill(index)
            else:
                await with_vectors.fill(table, index)
            progress = replace(progress, indexes=(*progress.indexes, index.name))
            await tools.storage.write(partial(_save, save=save, progress=progress))
    if expected is not None:
        found = await tools.storage.fetch(lambda tx: tx.statistics(table.space))
        if tuple(found) != (expected.items, expected.size):
            raise LoadFailed(
                f"{found.items} items of {found.bytes} bytes were loaded, not {expected.items} of {expected.size}"
            )


def publish(tx: WriteTransaction, table: Table, job_id: str) -> None:
    """Makes the loaded table ACTIVE. Raises NotLoading."""
    current = _loading(tx, table, job_id)
    tx.save_table(replace(current, loading=None, restore=None, active_at=PAST))


def abandon(tx: WriteTransaction, table: Table, job_id: str) -> None:
    """Removes a table that cannot be loaded; does nothing if the job does not load it any more."""
    current = tx.find_table(table.account, table.region, table.name)
    if current is not None and current.loading == job_id:
        tx.remove_table(current)


class _Loader:
    def __init__(self, tools: Tools, table: Table, job_id: str, save: Save) -> None:
        self._tools = tools
        self._storage: Storage = tools.storage
        self._monotonic = tools.monotonic
        self._table = table
        self._job_id = job_id
        self._save = save

    async def store_items(self, rows_after: RowsAfter, progress: Progress) -> Progress:
        async for rows in batches(rows_after(progress.after)):
            stored = 0
            while stored < len(rows):
                work = partial(self._store_slice, rows=rows, start=stored, progress=progress)
                stored = await self._storage.write_slice(work)
                progress = replace(progress, after=rows[stored - 1][0])
        progress = replace(progress, has_all_items=True)
        await self._storage.write(partial(_save, save=self._save, progress=progress))
        return progress

    async def fill(self, index: Index) -> None:
        """Begins anew if it was interrupted."""
        index = await self._storage.write(partial(self._emptied, index=index))
        scratch = self._scratch(index)
        runs = SortedRuns(scratch, self._tools.cipher, disk=self._tools.disk)
        try:
            skipped = expected = 0
            async for rows in _table_rows(self._storage, self._table):
                entries, unreadable = await asyncio.to_thread(_entries, self._table, index, rows)
                skipped += unreadable
                expected += len(entries)
                runs.add(entries)
                if runs.is_full:
                    await asyncio.to_thread(runs.spill)
            if skipped:
                log.error("table %s: index %s: %d items cannot be read", self._table.arn, index.name, skipped)
            async for entries in batches(_on_thread(runs.merged())):
                stored = 0
                while stored < len(entries):
                    stored = await self._storage.write_slice(
                        partial(self._store_entries, space=index.space, rows=entries, start=stored)
                    )
            found = await self._storage.fetch(lambda tx: tx.statistics(index.space).items)
            if found != expected:
                raise LoadFailed(f"index {index.name} has {found} entries, not {expected}")
        except OSError as error:
            raise StorageUnavailable(f"{scratch} cannot be used: {error.strerror}") from error
        finally:
            await asyncio.to_thread(runs.remove)

    def _store_slice(
        self, tx: WriteTransaction, seconds: float, rows: Sequence[Row], start: int, progress: Progress
    ) -> int:
        _loading(tx, self._table, self._job_id)
        end = self._put_slice(tx, seconds, self._table.space, rows, start)
        self._save(tx, replace(progress, after=rows[end - 1][0]))
        return end

    def _store_entries(
        self, tx: WriteTransaction, seconds: float, space: int, rows: Sequence[Row], start: int
    ) -> int:
        _loading(tx, self._table, self._job_id)
        return self._put_slice(tx, seconds, space, rows, start)

    def _put_slice(self, tx: WriteTransaction, seconds: float, space: int, rows: Sequence[Row], start: int) -> int:
        """Stores rows from `start` on, at least some; returns where to go on."""
        deadline = self._monotonic() + seconds
        average = sum([row[1] for row in rows]) // len(rows) + 1
        at_once = max(1, min(ROWS_AT_ONCE, int(seconds * ROWS_A_SECOND), BYTES_AT_ONCE // average))
        while start < len(rows):
            end = min(start + at_once, len(rows))
            tx.put_new(space, rows[start:end])
            start = end
            if self._monotonic() > deadline:
                break
        return start

    def _emptied(self, tx: WriteTransaction, index: Index) -> Index:
        """The index with a key space that holds nothing."""
        current = _loading(tx, self._table, self._job_id)
        index = next(each for each in current.indexes if each.name == index.name)
        if tx.statistics(index.space).items == 0:
            return index
        emptied = replace(index, space=tx.new_space())
        tx.drop_space(index.space)
        tx.save_table(with_index(current, emptied))
        return emptied

    def _scratch(self, index: Index) -> Path | None:
        folder = self._tools.scratch
        return None if folder is None else folder / f"{self._table.id}-{index.space}"


def _loading(tx: ReadTransaction, table: Table, job_id: str) -> Table:
    current = same_table(tx, table)
    if current is None or current.loading != job_id:
        raise NotLoading(f"table {table.arn} is no longer being filled by {job_id}")
    return current


def _save(tx: WriteTransaction, save: Save, progress: Progress) -> None:
    save(tx, progress)


async def _on_thread(blocks: Iterator[list[Row]]) -> AsyncIterator[list[Row]]:
    """Blocks that are made on a thread."""
    while (rows := await asyncio.to_thread(next, blocks, None)) is not None:
        yield rows


async def _table_rows(storage: Storage, table: Table) -> AsyncIterator[list[Row]]:
    start = b""
    while rows := await storage.fetch(partial(_read, space=table.space, start=start)):
        yield rows
        await storage.give_way()
        start = rows[-1][0] + b"\x00"


def _read(tx: ReadTransaction, space: int, start: bytes) -> list[Row]:
    return tx.items(space, start, None, READ_ROWS, READ_BYTES)


def _entries(table: Table, index: Index, rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The entries that an index has of items, and how many items could not be read."""
    entries: list[Row] = []
    unreadable = 0
    for key, size, body in rows:
        try:
            item = orjson.loads(body)
            entry_key = index_key(index, item, key)
        except _UNREADABLE:
            unreadable += 1
            continue
        if entry_key is None:
            continue
        if index.projection == "ALL":
            entries.append((entry_key, size, body))
        else:
            entry = projected(table, index, item)
            entries.append((entry_key, item_size(entry), item_bytes(entry)))
    return entries, unreadable
