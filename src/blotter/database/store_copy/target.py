"""The store that a copy fills: rows, entries of the source's log, and index entries that follow from the items.

Nobody else uses the target. Its tables have the key spaces, the ids and the settings of the source's, and its log
the same entries under the same numbers, so that streams, positions and iterators go on. Index entries are not
copied: each follows from its item, and is made together with it. So the indexes are right at every moment,
whatever was under way in the source, and the entry of an item is known without being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import orjson
from msgspec.structs import replace

from blotter.database.model.keys import index_key
from blotter.database.model.size import item_size
from blotter.database.model.table import Index, Table
from blotter.database.model.values import Item, item_bytes
from blotter.database.operations.item_store import projected
from blotter.database.operations.vectors.entries import write_vector_entry
from blotter.database.storage.change_log import STORE_COPY
from blotter.database.storage.protocol import (
    ANY_SIZE,
    Change,
    LogReader,
    Row,
    Storage,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.sqlite.catalog import decode_table

ROWS_AT_ONCE: Final = 4096
BYTES_AT_ONCE: Final = 1024 * 1024

# What a damaged body can raise when it is taken apart. Such an item is in no index of the source either.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class Target:
    """The target's tables while it is filled, by id. Handlers may be run again, so none of them changes this."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.tables: dict[str, Table] = {}
        self.filled: set[str] = set()
        """The ids of the tables whose items are here: of these, the log's entries are applied."""
        self._last_space = 0
        """The greatest number of a key space that was used here, of tables that are gone too."""

    async def begin(self, tables: Iterable[Table]) -> None:
        """The catalog of the source, as it is when the copy begins."""
        self.tables = {table.id: without_reader(table) for table in tables}
        found = list(self.tables.values())
        self._note_spaces(*found)
        await self.storage.write(partial(_restore_tables, tables=found))

    async def put(self, table_id: str, rows: Sequence[Row]) -> None:
        """Rows of a table that are not here yet, with their index entries."""
        await self.storage.write(partial(_put_rows, table=self.tables[table_id], rows=rows))

    async def empty(self, space: int) -> None:
        """Removes every row of a key space."""
        while await self.storage.write(partial(_remove_some, space=space)):
            pass

    async def apply(self, changes: Sequence[Change]) -> None:
        """The next entries of the source's log, in order: logs them here, and applies them to the tables that are
        here. An index that comes with a table's new description is filled."""
        for run in _runs(changes):
            if run[0].kind == "table":
                await self._apply_description(run[0])
            else:
                await self.storage.write(partial(_apply_items, changes=run, tables=self._filled_tables()))

    def _filled_tables(self) -> dict[str, Table]:
        return {table_id: self.tables[table_id] for table_id in self.filled}

    async def _apply_description(self, change: Change) -> None:
        before = self.tables.get(change.table_id)
        table = None if change.new is None else without_reader(decode_table(change.new))
        await self.storage.write(partial(_describe, change=change, before=before, table=table))
        if table is None:
            self.tables.pop(change.table_id, None)
            self.filled.discard(change.table_id)
            return
        self.tables[table.id] = table
        self._note_spaces(table)
        if before is None and table.loading is None:
            self.filled.add(table.id)  # a new table: all of it is in the log
        if table.id in self.filled:
            known = set() if before is None else spaces_of(before)
            for index in table.indexes:
                if index.space not in known:
                    await self._fill(table, index)

    async def _fill(self, table: Table, index: Index) -> None:
        """Enters every item of the table into an index that has no entry yet."""
        start = b""
        while rows := await self.storage.fetch(
            lambda tx: tx.items(table.space, start, None, ROWS_AT_ONCE, BYTES_AT_ONCE)  # noqa: B023 (runs now)
        ):
            await self.storage.write(partial(_enter, table=table, indexes=(index,), rows=rows))
            start = rows[-1][0] + b"\x00"

    async def finish(self, readers: Sequence[LogReader], last_change: int) -> None:
        """The readers of the log, and the counters."""
        await self.storage.write(partial(_finish, readers=readers, space=self._last_space, change=last_change))

    def _note_spaces(self, *tables: Table) -> None:
        self._last_space = max([self._last_space, *(space for table in tables for space in spaces_of(table))])


def without_reader(table: Table) -> Table:
    """The table as it is without the copy that is being made."""
    if STORE_COPY not in table.log_readers:
        return table
    return replace(table, log_readers=tuple(name for name in table.log_readers if name != STORE_COPY))


def spaces_of(table: Table) -> set[int]:
    """Its key spaces and those of its indexes."""
    return {table.space, *(space for index in table.indexes for space in index.spaces)}


def _runs(changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
    """Entries of the catalog one by one, all others as far as there is none between them."""
    start = 0
    for number, change in enumerate(changes):
        if change.kind == "table":
            if start < number:
                yield changes[start:number]
            yield [change]
            start = number + 1
    if start < len(changes):
        yield changes[start:]


# Handlers


def _restore_tables(tx: WriteTransaction, tables: Sequence[Table]) -> None:
    for table in tables:
        tx.restore_table(table.account, table.region, table.name, table)


def _put_rows(tx: WriteTransaction, table: Table, rows: Sequence[Row]) -> None:
    tx.put_new(table.space, rows)
    _enter(tx, table, table.indexes, rows)


def _enter(tx: WriteTransaction, table: Table, indexes: Sequence[Index], rows: Sequence[Row]) -> None:
    """Makes the index entries of items that have none yet."""
    if not indexes:
        return
    items = [(key, decoded(body)) for key, _, body in rows]
    for index in indexes:
        if index.deleting:
            continue
        if index.vector is not None:
            for key, item in items:
                _write_vector_entry(tx, table, index, key, None, item)
            continue
        entries = [entry_of(table, index, key, item) for key, item in items]
        tx.put_new(index.space, [(entry.key, entry.size, entry.body) for entry in entries if entry is not None])


def _apply_items(tx: WriteTransaction, changes: Sequence[Change], tables: dict[str, Table]) -> None:
    tx.restore_changes(changes)
    last: dict[str, dict[bytes, Change]] = {}
    for change in changes:
        if change.kind == "item" and change.table_id in tables:
            last.setdefault(change.table_id, {})[change.key] = change  # the last entry of a key decides
    for table_id, by_key in last.items():
        table = tables[table_id]
        keys = sorted(by_key)
        stored = tx.get_many(table.space, keys, ANY_SIZE)
        for key, found in zip(keys, stored, strict=True):
            _replace_item(tx, table, None if found is None else StoredItem(key, *found), by_key[key])


def _replace_item(tx: WriteTransaction, table: Table, previous: StoredItem | None, change: Change) -> None:
    old = None if previous is None else decoded(previous.body)
    new: Item | None = None
    if change.new is not None:
        new = orjson.loads(change.new)
        tx.put(table.space, StoredItem(change.key, item_size(new), change.new), previous, change.version)
    elif previous is not None:
        tx.delete(table.space, previous)
    for index in table.indexes:
        if index.deleting:
            continue
        if index.vector is not None:
            _write_vector_entry(tx, table, index, change.key, old, new)
            continue
        before, after = entry_of(table, index, change.key, old), entry_of(table, index, change.key, new)
        if before == after:
            continue
        if before is not None and (after is None or before.key != after.key):
            tx.delete(index.space, before)
            before = None
        if after is not None:
            tx.put(index.space, after, before)


def decoded(body: bytes) -> Item | None:
    """The item of a body; None if it cannot be read."""
    try:
        item: Item = orjson.loads(body)
    except ValueError:
        return None
    return item


def entry_of(table: Table, index: Index, key: bytes, item: Item | None) -> StoredItem | None:
    """An item's entry in an index, as `write_index_entry` stores it."""
    if item is None:
        return None
    try:
        place = index_key(index, item, key)
        if place is None:
            return None
        entry = projected(table, index, item)
        return StoredItem(place, item_size(entry), item_bytes(entry))
    except _UNREADABLE:
        return None


def _write_vector_entry(
    tx: WriteTransaction, table: Table, index: Index, key: bytes, old: Item | None, new: Item | None
) -> None:
    try:
        write_vector_entry(tx, table, index, key, old, new)
    except _UNREADABLE:
        return


def _describe(tx: WriteTransaction, change: Change, before: Table | None, table: Table | None) -> None:
    tx.restore_changes([change])
    if table is not None:
        tx.restore_table(table.account, table.region, table.name, table)
    elif before is not None:
        tx.restore_table(before.account, before.region, before.name, None)
    kept = set() if table is None else spaces_of(table)
    for space in sorted(set() if before is None else spaces_of(before) - kept):
        tx.drop_space(space)


def _remove_some(tx: WriteTransaction, space: int) -> bool:
    rows = tx.items(space, b"", None, ROWS_AT_ONCE, BYTES_AT_ONCE)
    for row in rows:
        tx.delete(space, StoredItem(*row))
    return bool(rows)


def _finish(tx: WriteTransaction, readers: Sequence[LogReader], space: int, change: int) -> None:
    for reader in tx.log_readers():
        tx.remove_log_reader(reader.name)
    for reader in readers:
        tx.save_log_reader(reader)
    tx.restore_counters(space, change)
