"""Brings a vector index up to date with one item, in the transaction that changes the item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from blotter.database.model.table import Index, Table
from blotter.database.model.values import Item, values_equal
from blotter.database.model.vectors import NOTHING_KNOWN, entry_key, projected_beside, saved_bytes, vector_entry
from blotter.database.operations.vectors.journal import record_step
from blotter.database.storage.protocol import StoredItem, WriteTransaction

MIN_REQUEST_BYTES: Final = 1024
"""What a write of one entry, or a search, is metered at least."""


def write_vector_entry(
    tx: WriteTransaction,
    table: Table,
    index: Index,
    key: bytes,
    old: Item | None,
    new: Item | None,
    sizes: Mapping[str, int] = NOTHING_KNOWN,
) -> int:
    """Brings one vector index up to date with one item; returns the bytes that are metered
    (VectorWriteRequestBytes), 0 when the entry is as it was. `sizes` are the `vector_sizes` of the new item, as
    far as they are known.

    An entry that comes or goes is metered by its size, a changed one by the larger of both; one that moves to
    another partition goes and comes. An attribute that is projected counts, though the entry does not hold it
    (ExtendDB/extenddb, crates/core/src/vector_capacity.rs; Parity Suite, consumedCapacity)."""
    before = None if old is None else entry_key(index, old, key)
    vector: Any = index.vector
    after = None if new is None else vector_entry(table, index, new, key, sizes.get(vector.attribute))
    metered = 0
    if before is not None and (after is None or before != after.key):
        gone = tx.get(index.space, before)
        if gone is not None:  # None for an item that the backfill has not reached, or that is not in the index
            _delete(tx, index, gone)
            metered += max(gone.size, MIN_REQUEST_BYTES)
    if after is None:
        return metered
    stored = StoredItem(after.key, after.size, after.body)
    previous = tx.get(index.space, after.key)
    if previous is None:
        _put(tx, index, stored, None)
        return metered + max(stored.size, MIN_REQUEST_BYTES)
    if previous == stored:
        if old is not None and values_equal({"M": projected_beside(table, index, old)}, {"M": after.projected}):
            return metered
    else:
        _put(tx, index, stored, previous)
    return metered + max(stored.size, previous.size, MIN_REQUEST_BYTES)


def _put(tx: WriteTransaction, index: Index, stored: StoredItem, previous: StoredItem | None) -> None:
    vector: Any = index.vector
    saved = saved_bytes(stored.body, vector) - (0 if previous is None else saved_bytes(previous.body, vector))
    tx.put(index.space, stored, previous)
    record_step(tx, vector.journal, stored.key, stored.body, saved)


def _delete(tx: WriteTransaction, index: Index, gone: StoredItem) -> None:
    vector: Any = index.vector
    tx.delete(index.space, gone)
    record_step(tx, vector.journal, gone.key, b"", -saved_bytes(gone.body, vector))
