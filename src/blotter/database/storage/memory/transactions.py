"""Read and write transactions over the ordered maps: the protocol's methods, for the current state and snapshots.

Key spaces are maps with their own numbers. What else the protocol requires are maps with negative numbers, so that
undo and snapshots hold for all of it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from blotter.database.model.table import Table
from blotter.database.storage.memory.maps import MapsSnapshot, OrderedMaps, View
from blotter.database.storage.protocol import (
    ANY_SIZE,
    COPIES_FOR_ONE,
    LARGE_ITEM,
    LOG_SPACE,
    NO_SHARD,
    UNLIMITED,
    Action,
    Change,
    LogReader,
    Row,
    SnapshotTooOld,
    SpaceStatistics,
    StoredItem,
    TooMuchWork,
    WriteTransaction,
    change_size,
)

_CATALOG: Final = -1
_STATISTICS: Final = -2
_COUNTERS: Final = -3
_CHANGES: Final = -4
_SHARDS: Final = -5
_LOG_READERS: Final = -6
_VERSIONS: Final = -7

_LAST_SPACE: Final = b"space"
_LAST_CHANGE: Final = b"change"
_CATALOG_VERSION: Final = b"catalog"
_NOTICES: Final = b"notices"

_encode = msgspec.json.Encoder().encode

_NO_STATISTICS: Final = SpaceStatistics(0, 0)


class MemoryReader:
    """The reading half of the protocol, over a view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._work_left = UNLIMITED

    def note_work(self, amount: int) -> None:
        self._work_left -= amount
        if self._work_left < 0:
            raise TooMuchWork

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        table: Table | None = self._get(_CATALOG, _catalog_key(account, region, name))
        return table

    def table_names(self, account: str, region: str, after: str, limit: int) -> list[str]:
        start, end = _catalog_key(account, region, after + "\0"), _catalog_key(account, region + "\1", "")
        return [table.name for table in islice(self._range(_CATALOG, start, end[:-1]), limit)]

    def tables(self) -> Iterable[Table]:
        return list(self._range(_CATALOG, b"", None))

    def version(self, space: int, key: bytes) -> int | None:
        version: int | None = self._get(_VERSIONS, _number(space) + key)
        return version

    def catalog_version(self) -> int:
        return self._counter(_CATALOG_VERSION)

    def get(self, space: int, key: bytes) -> StoredItem | None:
        item: StoredItem | None = self._get(space, key)
        return item

    def expect(self, points: Callable[[], Iterable[tuple[int, bytes]]]) -> None:
        """All is at hand."""

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        found: list[tuple[int, bytes] | None] = []
        for key in keys:
            item = self._get(space, key)
            if item is None:
                found.append(None)
                continue
            found.append((item.size, item.body))
            size -= item.size
            if item.size > LARGE_ITEM:
                self.note_work(len(item.body) // COPIES_FOR_ONE)
            if size <= 0:
                break
        return found

    def items(
        self,
        space: int,
        start: bytes,
        end: bytes | None,
        limit: int,
        size: int = ANY_SIZE,
        *,
        reverse: bool = False,
    ) -> list[Row]:
        rows: list[Row] = []
        for item in islice(self._range(space, start, end, reverse), limit):
            rows.append((item.key, item.size, item.body))
            size -= item.size
            if size <= 0:
                break
        return rows

    def statistics(self, space: int) -> SpaceStatistics:
        return self._get(_STATISTICS, _number(space)) or _NO_STATISTICS

    def changes(self, table_id: str, shard: int, after: int, limit: int) -> list[Change]:
        start, end = _shard_key(table_id, shard, after + 1), _shard_key(table_id, shard + 1, 0)
        sequences = islice(self._range(_SHARDS, start, end), limit)
        return [self._get(_CHANGES, sequence) for sequence in sequences]

    def log(self, after: int, limit: int, size: int = ANY_SIZE) -> list[Change]:
        changes: list[Change] = []
        for change in islice(self._range(_CHANGES, _number(after + 1), None), limit):
            changes.append(change)
            size -= change_size(change)
            if size <= 0:
                break
        return changes

    def log_times(self, after: int, limit: int) -> list[tuple[int, float]]:
        return [(change.sequence, change.time) for change in self.log(after, limit)]

    def log_readers(self) -> list[LogReader]:
        return list(self._range(_LOG_READERS, b"", None))

    def first_change(self) -> int:
        for change in self._range(_CHANGES, b"", None):
            return int(change.sequence)
        return self.last_change() + 1

    def last_change(self) -> int:
        return self._counter(_LAST_CHANGE)

    def _counter(self, name: bytes) -> int:
        return self._get(_COUNTERS, name) or 0

    def _get(self, number: int, key: bytes) -> Any:
        return self._view.get(number, key)

    def _range(self, number: int, start: bytes, end: bytes | None, reverse: bool = False) -> Any:
        return self._view.range(number, start, end, reverse)


class MemorySnapshot(MemoryReader):
    """A snapshot with a maximum age."""

    def __init__(self, snapshot: MapsSnapshot, deadline: float, monotonic: Callable[[], float]) -> None:
        super().__init__(snapshot)
        self._snapshot: MapsSnapshot | None = snapshot
        self._deadline = deadline
        self._monotonic = monotonic

    def close(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _get(self, number: int, key: bytes) -> Any:
        self._check_age()
        return super()._get(number, key)

    def _range(self, number: int, start: bytes, end: bytes | None, reverse: bool = False) -> Any:
        self._check_age()
        return super()._range(number, start, end, reverse)

    def _check_age(self) -> None:
        if self._snapshot is None or self._monotonic() > self._deadline:
            self.close()
            raise SnapshotTooOld


class MemoryWriter(MemoryReader):
    """The transaction that the handlers of a batch share, one after another."""

    def __init__(self, maps: OrderedMaps, clock: Callable[[], float]) -> None:
        super().__init__(maps)
        self._maps = maps
        self._clock = clock
        self.actions: list[Action] = []
        """What the running handler has registered with `after_commit`."""

    @property
    def notices(self) -> int:
        """How often there was something that the background process is notified of."""
        return self._counter(_NOTICES)

    def limit_work(self, limit: int) -> None:
        self._work_left = limit

    def new_space(self) -> int:
        return self._next(_LAST_SPACE)

    def save_table(self, table: Table) -> None:
        self._log_table(table, table)
        self._maps.put(_CATALOG, _catalog_key(table.account, table.region, table.name), table)
        self._next(_CATALOG_VERSION)
        self.notify_background()

    def remove_table(self, table: Table) -> None:
        self._log_table(table, None)
        key = _catalog_key(table.account, table.region, table.name)
        if self._get(_CATALOG, key) is not None:
            self._maps.delete(_CATALOG, key)
        self._next(_CATALOG_VERSION)
        self.notify_background()
        self.drop_space(table.space)
        for index in table.indexes:
            for space in index.spaces:
                self.drop_space(space)

    def drop_space(self, space: int) -> None:
        self._maps.clear(space)
        self._maps.put(_STATISTICS, _number(space), _NO_STATISTICS)

    def put(self, space: int, item: StoredItem, previous: StoredItem | None, version: int | None = None) -> None:
        self._maps.put(space, item.key, item)
        if version is not None or self._maps.has(_VERSIONS):
            self._set_version(space, item.key, version)
        if previous is None:
            self._grow(space, 1, item.size)
        elif previous.size != item.size:
            self._grow(space, 0, item.size - previous.size)

    def put_new(self, space: int, rows: Sequence[Row]) -> None:
        for key, size, body in rows:
            self.put(space, StoredItem(key, size, body), None)

    def delete(self, space: int, previous: StoredItem) -> None:
        self._maps.delete(space, previous.key)
        if self._maps.has(_VERSIONS):
            self._set_version(space, previous.key, None)
        self._grow(space, -1, -previous.size)

    def append_change(self, change: Change) -> None:
        self._append(replace(change, sequence=self._next(_LAST_CHANGE)))

    def log_record(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        self.append_change(Change(0, self._clock(), "", NO_SHARD, key, old, new, kind="record"))

    def save_log_reader(self, reader: LogReader) -> None:
        self._maps.put(_LOG_READERS, reader.name.encode(), reader)

    def remove_log_reader(self, name: str) -> None:
        if self._get(_LOG_READERS, name.encode()) is not None:
            self._maps.delete(_LOG_READERS, name.encode())

    def trim_log(self, through: int, limit: int) -> int:
        oldest = list(islice(self._range(_CHANGES, b"", _number(through + 1)), limit))
        for change in oldest:
            self._maps.delete(_CHANGES, _number(change.sequence))
            if change.shard != NO_SHARD:
                self._maps.delete(_SHARDS, _shard_key(change.table_id, change.shard, change.sequence))
        if oldest:
            self._grow(LOG_SPACE, -len(oldest), -sum(change_size(change) for change in oldest))
        return len(oldest)

    def restore_table(self, account: str, region: str, name: str, table: Table | None) -> None:
        key = _catalog_key(account, region, name)
        if table is not None:
            self._maps.put(_CATALOG, key, table)
        elif self._get(_CATALOG, key) is not None:
            self._maps.delete(_CATALOG, key)
        self._next(_CATALOG_VERSION)
        self.notify_background()

    def restore_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._maps.put(_COUNTERS, _LAST_CHANGE, change.sequence)
            self._append(change)

    def restore_counters(self, space: int, change: int) -> None:
        for counter, least in ((_LAST_SPACE, space), (_LAST_CHANGE, change)):
            self._maps.put(_COUNTERS, counter, max(self._counter(counter), least))

    def notify_background(self) -> None:
        self._next(_NOTICES)

    def in_lock(self, action: Callable[[WriteTransaction], object]) -> None:
        action(self)

    def after_commit(self, action: Action) -> None:
        self.actions.append(action)

    def _append(self, change: Change) -> None:
        key = _number(change.sequence)
        self._maps.put(_CHANGES, key, change)
        if change.shard != NO_SHARD:
            self._maps.put(_SHARDS, _shard_key(change.table_id, change.shard, change.sequence), key)
        self._grow(LOG_SPACE, 1, change_size(change))

    def _log_table(self, table: Table, new: Table | None) -> None:
        """Logs a table's new description in the catalog, unless it is unchanged."""
        old = self.find_table(table.account, table.region, table.name)
        if old == new:
            return
        key = f"{table.account}/{table.region}/{table.name}".encode()
        before, after = (None if each is None else _encode(each) for each in (old, new))
        self.append_change(Change(0, self._clock(), table.id, NO_SHARD, key, before, after, kind="table"))

    def _set_version(self, space: int, key: bytes, version: int | None) -> None:
        place = _number(space) + key
        if version is not None:
            self._maps.put(_VERSIONS, place, version)
        elif self._get(_VERSIONS, place) is not None:
            self._maps.delete(_VERSIONS, place)

    def _grow(self, space: int, items: int, size: int) -> None:
        now = self.statistics(space)
        self._maps.put(_STATISTICS, _number(space), SpaceStatistics(now.items + items, now.bytes + size))

    def _next(self, counter: bytes) -> int:
        value = self._counter(counter) + 1
        self._maps.put(_COUNTERS, counter, value)
        return value


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _catalog_key(account: str, region: str, name: str) -> bytes:
    return f"{account}\0{region}\0{name}".encode()


def _shard_key(table_id: str, shard: int, sequence: int) -> bytes:
    return table_id.encode() + b"\0" + _number(shard) + _number(sequence)
