"""The write transaction: the protocol's writes in SQL, for all handlers of one batch.

One object serves the whole batch. Counters, statistics and the catalog's generation are kept beside the
transaction and written once, by `flush`, before the commit: a hundred puts into one table change its statistics
row once. `writes` counts what was changed, so that the batch can tell a handler that refused from one that failed
midway. Nothing here begins, commits or rolls back; `batches` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import apsw
from msgspec.structs import astuple

from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    NO_SHARD,
    Action,
    Change,
    LogReader,
    Row,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
    WriteTransaction,
    change_size,
)
from blotter.database.storage.sqlite.catalog import SELECT_DESCRIPTION, CatalogCache, encode_table
from blotter.database.storage.sqlite.reading import Reader
from blotter.database.storage.sqlite.schema import (
    CATALOG_GENERATION,
    INLINE_BYTES,
    LAST_CHANGE,
    LAST_SPACE,
    TRIMMED_BYTES,
    TRIMMED_ENTRIES,
)

_COLUMNS = "INTO items (space, key, size, body) VALUES (?, ?, ?, ?)"
_PUT_NEW = f"INSERT {_COLUMNS}"  # fails loudly where a caller claims that there is no previous item, and there is
_PUT = f"INSERT OR REPLACE {_COLUMNS}"
_DELETE = "DELETE FROM items WHERE space = ? AND key = ?"

# Long bodies, which are stored outside.
_PUT_BODY = "INSERT INTO bodies (body) VALUES (?)"
_COLUMNS_OUTSIDE = "INTO items (space, key, size, outside) VALUES (?, ?, ?, last_insert_rowid())"
_PUT_NEW_OUTSIDE = f"INSERT {_COLUMNS_OUTSIDE}"
_PUT_OUTSIDE = f"INSERT OR REPLACE {_COLUMNS_OUTSIDE}"
_OUTSIDE = "WHERE id = (SELECT outside FROM items WHERE space = ? AND key = ?)"
_CHANGE_BODY = f"UPDATE bodies SET body = ? {_OUTSIDE}"
_CHANGE_SIZE = "UPDATE items SET size = ?, version = NULL WHERE space = ? AND key = ?"
_SET_VERSION = "UPDATE items SET version = ? WHERE space = ? AND key = ?"
_DELETE_BODY = f"DELETE FROM bodies {_OUTSIDE}"

_APPEND = (
    "INSERT INTO changes (entries, bytes, sequence, time, table_id, shard, key, old, new, origin, kind, version)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_APPEND_ITEM = (
    "INSERT INTO changes (entries, bytes, sequence, time, table_id, shard, key, old, new, origin)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# How far the log has come: its last number, and the totals with that. Of an empty log, what was trimmed.
_LOG_END = (
    "SELECT max(sequence, value), entries, bytes FROM counters,"
    " (SELECT sequence, entries, bytes FROM changes ORDER BY sequence DESC LIMIT 1)"
    f" WHERE id = {LAST_CHANGE}"
)
_TRIMMED = (
    f"SELECT value FROM counters WHERE id IN ({LAST_CHANGE}, {TRIMMED_ENTRIES}, {TRIMMED_BYTES}) ORDER BY id"
)
_RAISE = "UPDATE counters SET value = max(value, ?) WHERE id = ?"
_ADD = "UPDATE counters SET value = value + ? WHERE id = ?"
_SAVE_DESCRIPTION = "INSERT OR REPLACE INTO catalog VALUES (?, ?, ?, ?)"
_DELETE_DESCRIPTION = "DELETE FROM catalog WHERE account = ? AND region = ? AND name = ?"
_ADD_STATISTICS = (
    "INSERT INTO statistics (space, items, bytes) VALUES (?, ?, ?)"
    " ON CONFLICT (space) DO UPDATE SET items = items + excluded.items, bytes = bytes + excluded.bytes"
)
_OLDEST = (
    "SELECT sequence, length(key) + coalesce(length(old), 0) + coalesce(length(new), 0) FROM changes"
    " WHERE sequence <= ? ORDER BY sequence LIMIT ?"
)


class Writer(Reader):
    """The transaction that handlers of a batch share, one after another."""

    def __init__(self, connection: apsw.Connection, cache: CatalogCache, clock: Callable[[], float]) -> None:
        super().__init__(connection.cursor(), cache)
        self._clock = clock
        self.writes = 0
        self.restricted = False
        """Whether the disk is full, so that only what needs no more room is accepted: deletions, shorter items."""
        self.actions: list[Action] = []
        """What the handler that runs has registered with `after_commit`; `batches` takes it from here."""
        self._counters: dict[int, int] = {}
        # What the newest entry of the log has; a number below 0: not yet read.
        self._last_change = -1
        self._log_entries = 0
        self._log_bytes = 0
        self._growth: dict[int, list[int]] = {}
        self._changed_tables: dict[tuple[str, str, str], Table | None] = {}
        self._has_work_for_background = False

    def begin(self) -> None:
        """Clears what an earlier batch left; the SQLite transaction has just begun."""
        self.writes = 0
        self.actions = []
        self._counters.clear()
        self._last_change = -1
        self._growth.clear()
        self._changed_tables.clear()
        self._has_work_for_background = False
        self._generation = self._counter(CATALOG_GENERATION)

    def limit_work(self, limit: int) -> None:
        self._work_left = limit

    def flush(self) -> None:
        """Writes what was kept beside the transaction."""
        if self._changed_tables:
            self._counters[CATALOG_GENERATION] = self._generation + 1
        for counter, value in self._counters.items():
            self._execute("UPDATE counters SET value = ? WHERE id = ?", (value, counter))
        for space, (items, size) in self._growth.items():
            self._execute(_ADD_STATISTICS, (space, items, size))

    def must_notify(self) -> bool:
        """Whether the batch has changed the catalog or made work for the background."""
        return self._has_work_for_background or bool(self._changed_tables)

    # Reading, with what is not yet flushed

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        if self._changed_tables and (account, region, name) in self._changed_tables:
            return self._changed_tables[account, region, name]
        return super().find_table(account, region, name)

    def statistics(self, space: int) -> SpaceStatistics:
        items, size = super().statistics(space)
        more_items, more_size = self._growth.get(space, (0, 0))
        return SpaceStatistics(items + more_items, size + more_size)

    def last_change(self) -> int:
        return super().last_change() if self._last_change < 0 else self._last_change

    # Writing

    def new_space(self) -> int:
        if self.restricted:
            raise _disk_is_full()
        self.writes += 1
        return self._next(LAST_SPACE)

    def save_table(self, table: Table) -> None:
        self.writes += 1
        name = (table.account, table.region, table.name)
        description = encode_table(table)
        self._log_table(table, description)
        self._execute(_SAVE_DESCRIPTION, (*name, description))
        self._changed_tables[name] = table

    def remove_table(self, table: Table) -> None:
        self.writes += 1
        name = (table.account, table.region, table.name)
        self._log_table(table, None)
        self._execute(_DELETE_DESCRIPTION, name)
        self._changed_tables[name] = None
        self.drop_space(table.space)
        for index in table.indexes:
            for space in index.spaces:
                self.drop_space(space)

    def drop_space(self, space: int) -> None:
        self.writes += 1
        self._growth.pop(space, None)
        self._execute("DELETE FROM statistics WHERE space = ?", (space,))
        self._execute("INSERT OR IGNORE INTO dropped_spaces VALUES (?)", (space,))

    def put(self, space: int, item: StoredItem, previous: StoredItem | None, version: int | None = None) -> None:
        if self.restricted and (previous is None or len(item.body) > len(previous.body)):
            raise _disk_is_full()
        self.writes += 1
        was_outside = previous is not None and len(previous.key) + len(previous.body) > INLINE_BYTES
        if was_outside or len(item.key) + len(item.body) > INLINE_BYTES:
            self._put_long(space, item, previous, was_outside)
        else:
            self._execute(_PUT_NEW if previous is None else _PUT, (space, item.key, item.size, item.body))
        if previous is None:
            self._grow(space, 1, item.size)
        elif previous.size != item.size:
            self._grow(space, 0, item.size - previous.size)
        if version is not None:
            self._execute(_SET_VERSION, (version, space, item.key))

    def put_new(self, space: int, rows: Sequence[Row]) -> None:
        if self.restricted:
            raise _disk_is_full()
        self.writes += 1
        short = [(space, *row) for row in rows if len(row[0]) + len(row[2]) <= INLINE_BYTES]
        if len(short) < len(rows):
            for key, size, body in rows:
                if len(key) + len(body) > INLINE_BYTES:
                    self._put_long(space, StoredItem(key, size, body), None, was_outside=False)
        if short:
            self._cursor.executemany(_PUT_NEW, short)
        self._grow(space, len(rows), sum([row[1] for row in rows]))

    def delete(self, space: int, previous: StoredItem) -> None:
        self.writes += 1
        if len(previous.key) + len(previous.body) > INLINE_BYTES:
            self._execute(_DELETE_BODY, (space, previous.key))
        self._execute(_DELETE, (space, previous.key))
        self._grow(space, -1, -previous.size)

    def append_change(self, change: Change) -> None:
        self.writes += 1
        if self._last_change < 0:
            self._find_log_end()
        key, old, new = change.key, change.old, change.new
        self._last_change += 1
        self._log_entries += 1
        self._log_bytes += len(key) + (0 if old is None else len(old)) + (0 if new is None else len(new))
        row = (
            self._log_entries,
            self._log_bytes,
            self._last_change,
            change.time,
            change.table_id,
            change.shard,
            key,
            old,
            new,
            change.origin,
        )
        if change.kind == "item" and change.version is None:  # the columns' defaults
            self._execute(_APPEND_ITEM, row)
        else:
            self._execute(_APPEND, (*row, change.kind, change.version))

    def log_record(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        self.append_change(Change(0, self._clock(), "", NO_SHARD, key, old, new, kind="record"))

    def save_log_reader(self, reader: LogReader) -> None:
        self.writes += 1
        row = (reader.name, reader.position, reader.retention, reader.progressed_at, reader.lost_at)
        self._execute("INSERT OR REPLACE INTO log_readers VALUES (?, ?, ?, ?, ?)", row)

    def remove_log_reader(self, name: str) -> None:
        self.writes += 1
        self._execute("DELETE FROM log_readers WHERE name = ?", (name,))

    def trim_log(self, through: int, limit: int) -> int:
        oldest = cast("list[tuple[int, int]]", self._execute(_OLDEST, (through, limit)).fetchall())
        if oldest:
            self.writes += 1
            last = oldest[-1][0]
            self._execute("DELETE FROM changes WHERE sequence <= ?", (last,))
            self._execute(_RAISE, (last, LAST_CHANGE))
            self._execute(_ADD, (len(oldest), TRIMMED_ENTRIES))
            self._execute(_ADD, (sum([size for _, size in oldest]), TRIMMED_BYTES))
        return len(oldest)

    def restore_table(self, account: str, region: str, name: str, table: Table | None) -> None:
        self.writes += 1
        place = (account, region, name)
        if table is None:
            self._execute(_DELETE_DESCRIPTION, place)
        else:
            self._execute(_SAVE_DESCRIPTION, (*place, encode_table(table)))
        self._changed_tables[place] = table

    def restore_changes(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self.writes += 1
        self._find_log_end()
        rows = []
        for change in changes:
            self._log_entries += 1
            self._log_bytes += change_size(change)
            rows.append((self._log_entries, self._log_bytes, *astuple(change)))
        self._cursor.executemany(_APPEND, rows)
        self._last_change = changes[-1].sequence

    def restore_counters(self, space: int, change: int) -> None:
        self.writes += 1
        self._counters[LAST_SPACE] = max(self._current(LAST_SPACE), space)
        self._execute(_RAISE, (change, LAST_CHANGE))
        self._last_change = -1

    def notify_background(self) -> None:
        self.writes += 1
        self._has_work_for_background = True

    def in_lock(self, action: Callable[[WriteTransaction], object]) -> None:
        action(self)

    def after_commit(self, action: Action) -> None:
        self.actions.append(action)

    def empty_dropped(self, space: int, limit: int) -> int:
        """Removes up to `limit` items of a dropped space, and its mark when it is empty; returns how many went."""
        self.writes += 1
        rows = self._execute("SELECT key, outside FROM items WHERE space = ? ORDER BY key LIMIT ?", (space, limit))
        removed = rows.fetchall()
        for key, outside in removed:
            if outside is not None:
                self._execute("DELETE FROM bodies WHERE id = ?", (outside,))
            self._execute(_DELETE, (space, key))
        if len(removed) < limit:
            self._execute("DELETE FROM dropped_spaces WHERE space = ?", (space,))
        return len(removed)

    def _log_table(self, table: Table, description: bytes | None) -> None:
        """Logs a table's new description in the catalog, unless it is unchanged."""
        name = (table.account, table.region, table.name)
        old = self._execute(SELECT_DESCRIPTION, name).get
        if old == description:
            return
        key = "/".join(name).encode()
        self.append_change(
            Change(0, self._clock(), table.id, NO_SHARD, key, cast("bytes | None", old), description, kind="table")
        )

    def _put_long(self, space: int, item: StoredItem, previous: StoredItem | None, was_outside: bool) -> None:
        """A put whose body is stored outside now, was before, or both."""
        key = (space, item.key)
        if len(item.key) + len(item.body) <= INLINE_BYTES:
            self._execute(_DELETE_BODY, key)
            self._execute(_PUT, (*key, item.size, item.body))
        elif was_outside:
            self._execute(_CHANGE_BODY, (item.body, *key))
            self._execute(_CHANGE_SIZE, (item.size, *key))
        else:
            self._execute(_PUT_BODY, (item.body,))
            self._execute(_PUT_NEW_OUTSIDE if previous is None else _PUT_OUTSIDE, (*key, item.size))

    def _find_log_end(self) -> None:
        end = self._execute(_LOG_END).get or self._execute(_TRIMMED).get
        self._last_change, self._log_entries, self._log_bytes = cast("Sequence[int]", end)

    def _grow(self, space: int, items: int, size: int) -> None:
        growth = self._growth.get(space)
        if growth is None:
            self._growth[space] = [items, size]
        else:
            growth[0] += items
            growth[1] += size

    def _current(self, counter: int) -> int:
        value = self._counters.get(counter)
        return self._counter(counter) if value is None else value

    def _next(self, counter: int) -> int:
        value = self._counters[counter] = self._current(counter) + 1
        return value


def _disk_is_full() -> StorageUnavailable:
    return StorageUnavailable("the disk is full: only deletions are accepted")
