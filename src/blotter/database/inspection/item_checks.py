"""What must hold between tables, items, index entries, the change log and streams.

Each check reads in slices, each in a snapshot of its own, so that it can run beside a server without keeping the
server's log from being started over; what belongs together is compared within one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec
import orjson

from blotter.database.model.keys import any_index_key, index_key, table_key
from blotter.database.model.size import item_size
from blotter.database.model.table import Index, Table
from blotter.database.model.values import Item, values_equal
from blotter.database.model.vectors import VectorEntry, base_key_of, entry_key, vector_entry
from blotter.database.operations.item_store import projected
from blotter.database.operations.streams.registry import Stream
from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    Change,
    ReadTransaction,
    Row,
    StoredItem,
)
from blotter.database.storage.records import records_in

Problems = Iterator[str]
Snapshots = Callable[[], AbstractContextManager[ReadTransaction]]

_ITEMS: Final = 200
_BYTES: Final = 1 << 20

_decode_stream = msgspec.json.Decoder(Stream).decode


def check_catalog(snapshots: Snapshots) -> Problems:
    """Every table can be found under its name, and no two key spaces are the same."""
    owners: dict[int, str] = {RECORDS_SPACE: "the database's own records"}
    with snapshots() as tx:
        for table in tx.tables():
            if tx.find_table(table.account, table.region, table.name) != table:
                yield f"{table.arn} is not found under its name"
            places = [(table.space, table.arn)]
            places += [(space, _named(table, index)) for index in table.indexes for space in index.spaces]
            for space, place in places:
                if space in owners:
                    yield f"{place} and {owners[space]} share key space {space}"
                owners[space] = place


def check_items(snapshots: Snapshots) -> Problems:
    """Every item lies under the key that its attributes make, with its size, and every index has its entry."""
    for table in _tables(snapshots):
        for tx, current, rows in _slices(snapshots, table, lambda table: table.space):
            items: list[tuple[bytes, Item]] = []
            for key, size, body in rows:
                item = _parsed(body)
                if item is None:
                    yield f"an item of {table.arn} is not readable: {_shown(key)}"
                    continue
                problem = _misplaced(current, key, size, item)
                if problem:
                    yield f"an item of {table.arn} {problem}: {_shown(key)}"
                else:
                    items.append((key, item))
            for index in current.indexes:
                if not index.backfilling and not index.deleting:
                    yield from _missing_entries(tx, current, index, items)


def check_index_entries(snapshots: Snapshots) -> Problems:
    """Every entry of an index belongs to an item, under the key that the item makes."""
    for table in _tables(snapshots):
        for index in table.indexes:
            for tx, current, rows in _slices(snapshots, table, _space_of(index.name)):
                now = current.index(index.name)
                assert now is not None
                for key, _, body in rows:
                    problem = _unfounded(tx, current, now, key, body)
                    if problem:
                        yield f"an entry of {_named(table, now)} {problem}: {_shown(key)}"


def check_streams(snapshots: Snapshots) -> Problems:
    """Every stream has the settings of its table, every logged change a shard, and the last change of an item is
    what is stored. In one snapshot: the log holds a day."""
    with snapshots() as tx:
        tables = {table.id: table for table in tx.tables()}
        streams = []
        for key, _, body in records_in(tx, b"stream/", b"stream0"):
            try:
                streams.append(_decode_stream(body))
            except (TypeError, msgspec.DecodeError):  # None: its long body is lost
                yield f"the record of a stream is not readable: {_shown(key)}"
        for table in tables.values():
            if table.stream is not None and not any(_is_stream_of(stream, table) for stream in streams):
                yield f"the stream of {table.arn} is not recorded as the table has it"
        shards = {(stream.table_id, shard) for stream in streams for shard in _shards(stream)}
        newest: dict[tuple[str, bytes], int] = {}
        for change in _entries(tx):
            if change.kind != "item" or change.shard < 0:
                continue
            if (change.table_id, change.shard) not in shards:
                yield f"entry {change.sequence} of the change log is of a shard that no stream has"
            changed = tables.get(change.table_id)
            if changed is not None and _is_of_open_stream(changed, change):
                newest[change.table_id, change.key] = change.sequence
        for (table_id, key), sequence in newest.items():
            logged, stored = tx.log(sequence - 1, 1)[0].new, tx.get(tables[table_id].space, key)
            if not _is_same(logged, None if stored is None else stored.body):
                table = tables[table_id]
                yield f"the last logged change, {sequence}, of an item is not what {table.arn} has: {_shown(key)}"


ITEM_CHECKS: dict[str, Callable[[Snapshots], Problems]] = {
    "catalog": check_catalog,
    "items": check_items,
    "index entries": check_index_entries,
    "streams": check_streams,
}


# Walking


def _tables(snapshots: Snapshots) -> list[Table]:
    with snapshots() as tx:
        return list(tx.tables())


def _slices(
    snapshots: Snapshots, table: Table, space_of: Callable[[Table], int | None]
) -> Iterator[tuple[ReadTransaction, Table, list[Row]]]:
    """The rows of a table or index, slice by slice, with the table as the slice's snapshot has it. Ends when the
    table or index is gone."""
    start: bytes | None = b""
    while start is not None:
        with snapshots() as tx:
            current = tx.find_table(table.account, table.region, table.name)
            space = None if current is None or current.id != table.id else space_of(current)
            if current is None or space is None:
                return
            rows = tx.items(space, start, None, _ITEMS, _BYTES)
            yield tx, current, rows
            start = rows[-1][0] + b"\x00" if rows else None


def _space_of(name: str) -> Callable[[Table], int | None]:
    def space(table: Table) -> int | None:
        index = table.index(name)
        return None if index is None or index.deleting else index.space

    return space


def _entries(tx: ReadTransaction) -> Iterator[Change]:
    position = 0
    while changes := tx.log(position, _ITEMS, _BYTES):
        yield from changes
        position = changes[-1].sequence


# Judging


def _parsed(body: bytes) -> Item | None:
    try:
        item = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return item if isinstance(item, dict) else None


def _misplaced(table: Table, key: bytes, size: int, item: Item) -> str:
    """What is wrong with an item's place, "" if nothing is."""
    try:
        expected_key, expected_size = table_key(table.keys, item), item_size(item)
    except (KeyError, ValueError, TypeError, AttributeError):
        return "has no key or values that do not exist"
    if expected_key != key:
        return "lies under another key than its own"
    return "" if expected_size == size else f"has {expected_size} bytes and is noted with {size}"


def _missing_entries(tx: ReadTransaction, table: Table, index: Index, items: list[tuple[bytes, Item]]) -> Problems:
    for key, item in items:
        vector = None if index.vector is None else vector_entry(table, index, item, key)
        entry_key = index_key(index, item, key) if index.vector is None else vector and vector.key
        if entry_key is None:
            continue
        found = tx.get(index.space, entry_key)
        if found is None:
            yield f"an item of {table.arn} is missing in index {index.name}: {_shown(key)}"
        elif not _is_entry_of(found, table, index, item, vector):
            yield f"an item of {table.arn} differs from its entry in index {index.name}: {_shown(key)}"


def _is_entry_of(found: StoredItem, table: Table, index: Index, item: Item, vector: VectorEntry | None) -> bool:
    """Whether an entry is that of an item; `vector` is what a vector index should hold of it."""
    if vector is not None:
        return (found.size, found.body) == (vector.size, vector.body)
    entry = projected(table, index, item)
    stored = _parsed(found.body)
    return stored is not None and found.size == item_size(entry) and values_equal({"M": stored}, {"M": entry})


def _unfounded(tx: ReadTransaction, table: Table, index: Index, key: bytes, body: bytes) -> str:
    if index.vector is not None:
        return _unfounded_vector(tx, table, index, key)
    entry = _parsed(body)
    if entry is None:
        return "is not readable"
    try:
        base_key = table_key(table.keys, entry)
    except (KeyError, ValueError):
        return "has no table key"
    stored = tx.get(table.space, base_key)
    item = None if stored is None else _parsed(stored.body)
    if item is None:
        return "belongs to no item"
    if key in (index_key(index, item, base_key), any_index_key(index, item, base_key)):
        return ""
    return "lies under another key than its item's"


def _unfounded_vector(tx: ReadTransaction, table: Table, index: Index, key: bytes) -> str:
    base_key = base_key_of(index, key)
    stored = None if base_key is None else tx.get(table.space, base_key)
    item = None if stored is None else _parsed(stored.body)
    if base_key is None or item is None:
        return "belongs to no item"
    return "" if entry_key(index, item, base_key) == key else "lies under another key than its item's"


def _is_stream_of(stream: Stream, table: Table) -> bool:
    return stream.table_id == table.id and stream.settings == table.stream


def _shards(stream: Stream) -> range:
    settings = stream.settings
    last = settings.generations[-1].number if settings.generations else -1
    return range(settings.first_shard, settings.first_shard + (last + 1) * settings.shards)


def _is_of_open_stream(table: Table, change: Change) -> bool:
    """Whether the change was logged for the stream that the table has now: since then, every change was logged."""
    return table.stream is not None and table.stream.enabled and change.shard >= table.stream.first_shard


def _is_same(one: bytes | None, other: bytes | None) -> bool:
    if one is None or other is None:
        return one is other
    left, right = _parsed(one), _parsed(other)
    return left is not None and right is not None and values_equal({"M": left}, {"M": right})


def _named(table: Table, index: Index) -> str:
    return f"{table.arn}/index/{index.name}"


def _shown(key: bytes) -> Any:
    return f"storage key {key[:40].hex()}{'…' if len(key) > 40 else ''}"
