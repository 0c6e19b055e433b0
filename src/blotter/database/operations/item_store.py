"""The one place where an item changes: the table's row, its index entries and the change log together.

Every operation that writes goes through `write_item`, so that no path forgets an index. What a write consumes is
counted here too, because only here it is known which index entries really changed.

All of this runs before the commit, perhaps more than once, and may be rolled back. So nothing here may have an
effect outside of the transaction: no counter or metric, no message to another process, no notification of readers,
no logging, no change of a plan. What must happen once, after the commit is synced, is registered with
`tx.after_commit`. What a metric counts of written items is added with `consumed.count`, and counted after the
commit (`metrics.counting`). Write units:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
"""

from __future__ import annotations

from zlib import adler32

import orjson

from blotter.database.model.capacity import VECTOR_WRITES, ConsumedCapacity, write_units
from blotter.database.model.keys import any_index_key, index_key
from blotter.database.model.size import item_size
from blotter.database.model.table import Index, Table
from blotter.database.model.values import Item, item_bytes, values_equal
from blotter.database.model.vectors import NOTHING_KNOWN, metered_size, vector_sizes
from blotter.database.operations.context import Context
from blotter.database.operations.streams.registry import shard_for_write
from blotter.database.operations.vectors.entries import write_vector_entry
from blotter.database.storage.protocol import NO_SHARD, Change, ReadTransaction, StoredItem, WriteTransaction


class Current:
    """The item as it is stored now, decoded when it is first needed."""

    __slots__ = ("_item", "key", "stored")

    def __init__(self, key: bytes, stored: StoredItem | None) -> None:
        self.key = key
        self.stored = stored
        self._item: Item | None = None

    @property
    def item(self) -> Item | None:
        if self._item is None and self.stored is not None:
            self._item = orjson.loads(self.stored.body)
        return self._item

    @property
    def size(self) -> int:
        return 0 if self.stored is None else self.stored.size

    def forget_large(self) -> None:
        """Gives up the decoded item, if it is large; it is decoded again where it is needed again. 400 KB may take
        80 MB, and a transaction has up to 100 items."""
        if self.stored is not None and len(self.stored.body) > LARGE_BODY:
            self._item = None


LARGE_BODY = 4096
"""Bodies of more bytes count as work."""


def read_current(tx: ReadTransaction, space: int, key: bytes) -> Current:
    """The item that is stored under a key now. Raises TooMuchWork when the handler has read too much."""
    stored = tx.get(space, key)
    if stored is not None and len(stored.body) > LARGE_BODY:
        tx.note_work(len(stored.body))
    return Current(key, stored)


def write_item(
    tx: WriteTransaction,
    table: Table,
    current: Current,
    new: Item | None,
    new_size: int,
    context: Context,
    consumed: ConsumedCapacity,
) -> int:
    """Replaces the current item by a new one, or deletes it (`new` None); does nothing when neither exists.
    Returns an upper bound of the bytes written to the table and its indexes."""
    stored = current.stored
    sizes = NOTHING_KNOWN
    if table.indexes and table.vector_indexes:
        sizes = vector_sizes(table, new)
        old_size = metered_size(table, current.size, vector_sizes(table, current.item, new, sizes))
        consumed.table_units += write_units(max(old_size, metered_size(table, new_size, sizes)))
    else:
        consumed.table_units += write_units(max(current.size, new_size))
    body = None
    if new is not None:
        body = item_bytes(new)
        if len(body) > LARGE_BODY:
            tx.note_work(len(body) * (1 + len(table.indexes)))
        tx.put(table.space, StoredItem(current.key, new_size, body), stored)
    elif stored is not None:
        tx.delete(table.space, stored)
    else:
        return 0
    for index in table.indexes:
        if index.deleting:
            continue
        if index.vector is not None:
            metered = write_vector_entry(tx, table, index, current.key, current.item, new, sizes)
            if metered:
                consumed.count(VECTOR_WRITES, metered, index.name)
            continue
        units = write_index_entry(tx, table, index, current.key, current.item, new)
        if units:
            consumed.add_index(index.name, units, local=index.local)
    if (table.stream is not None or table.log_readers) and (stored is None or stored.body != body):
        log_change(tx, table, current, body, context)
    largest = max(0 if body is None else len(body), 0 if stored is None else len(stored.body))
    return largest * (1 + len(table.indexes))


def write_index_entry(
    tx: WriteTransaction, table: Table, index: Index, key: bytes, old: Item | None, new: Item | None
) -> float:
    """Brings one index up to date with one item; returns the write units used, 0 when the entry is as it was.
    `index_key` decides whether an item belongs in the index."""
    before = None if old is None else index_key(index, old, key)
    if before is None and old is not None:
        before = any_index_key(index, old, key)
    after = None if new is None else index_key(index, new, key)
    if after is not None and new is not None:
        entry = projected(table, index, new)
        stored = StoredItem(after, item_size(entry), item_bytes(entry))
        if before == after:
            previous = tx.get(index.space, after)
            if previous is not None and _is_same(previous.body, stored.body):
                return 0.0
            tx.put(index.space, stored, previous)
            return write_units(max(stored.size, previous.size if previous else 0))
    units = 0.0
    if before is not None:
        gone = tx.get(index.space, before)
        if gone is not None:  # None for an item that the backfill has not reached, or that is not in the index
            tx.delete(index.space, gone)
            units += write_units(gone.size)
    if after is not None:
        tx.put(index.space, stored, tx.get(index.space, after))
        units += write_units(stored.size)
    return units


def projected(table: Table, index: Index, item: Item) -> Item:
    """What an index holds of an item."""
    if index.projection == "ALL":
        return item
    names = {*table.keys.names, *index.keys.names, *index.included}
    return {name: value for name, value in item.items() if name in names}


def log_change(
    tx: WriteTransaction, table: Table, current: Current, new_body: bytes | None, context: Context
) -> None:
    """Appends the change of an item to the change log, if the log has readers for its table; nothing when only the
    order of its attributes or members changed."""
    streamed = table.stream is not None and table.stream.enabled
    if not streamed and not table.log_readers:
        return
    stored = current.stored
    if stored is not None and new_body is not None and _is_same(stored.body, new_body):
        return
    shard = shard_for_write(tx, table, current.key, context.now) if streamed else NO_SHARD
    old_body = None if stored is None else stored.body
    tx.append_change(Change(0, context.now, table.id, shard, current.key, old_body, new_body, context.origin))


def _is_same(old: bytes, new: bytes) -> bool:
    """Whether two bodies hold the same item: attributes, members of maps and members of sets have no order."""
    if old == new:
        return True
    # Bodies are canonical, so in another order they have the same bytes. The lower half of Adler-32 is their sum.
    if len(old) != len(new) or (adler32(old) ^ adler32(new)) & 0xFFFF:
        return False
    return values_equal({"M": orjson.loads(old)}, {"M": orjson.loads(new)})
