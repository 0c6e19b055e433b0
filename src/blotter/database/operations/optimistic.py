"""Heavy writes, computed on a snapshot outside the write lock and confirmed inside it.

A handler that would hold the write lock too long (its transaction raises `TooMuchWork`) is run over an
`OptimisticTransaction` first: it reads from a snapshot and keeps what it reads and what it would write. In the
write lock, `confirm` compares what was read with what is there now, and `apply` makes the writes: work that
depends on bytes, not on the number of values in them. If anything was changed meanwhile, the run is discarded and
repeated. This is optimistic concurrency control; the lock's own serialization makes the confirmed run equal to
one in the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    Action,
    Change,
    ReadTransaction,
    StoredItem,
    WriteTransaction,
)


class NotOptimistic(Exception):
    """The handler does something that is known only in the write lock: it has to run there."""


class OptimisticTransaction:
    """A `WriteTransaction` over a snapshot. It sees its own writes."""

    def __init__(self, snapshot: ReadTransaction) -> None:
        self._snapshot = snapshot
        self._tables: dict[tuple[str, str, str], Table | None] = {}
        self._items: dict[tuple[int, bytes], StoredItem | None] = {}
        """What the snapshot had under each key that was read."""
        self._written: dict[tuple[int, bytes], StoredItem | None] = {}
        self._writes: list[Callable[[WriteTransaction], object]] = []

    def confirm(self, tx: ReadTransaction) -> bool:
        """Whether a transaction has all that was read as it was read."""
        return all(tx.find_table(*name) == table for name, table in self._tables.items()) and all(
            tx.get(space, key) == item for (space, key), item in self._items.items()
        )

    def apply(self, tx: WriteTransaction) -> None:
        """Makes the writes, in their order."""
        for write in self._writes:
            write(tx)

    # Reading

    def find_table(self, account: str, region: str, name: str) -> Table | None:
        table = self._tables[account, region, name] = self._snapshot.find_table(account, region, name)
        return table

    def get(self, space: int, key: bytes) -> StoredItem | None:
        place = (space, key)
        if place in self._written:
            return self._written[place]
        if place not in self._items:
            self._items[place] = self._snapshot.get(space, key)
        return self._items[place]

    def expect(self, points: Callable[[], Iterable[tuple[int, bytes]]]) -> None:
        self._snapshot.expect(points)

    def get_many(self, space: int, keys: Sequence[bytes], size: int) -> list[tuple[int, bytes] | None]:
        found: list[tuple[int, bytes] | None] = []
        for key in keys:
            item = self.get(space, key)
            found.append(None if item is None else (item.size, item.body))
            size -= 0 if item is None else item.size
            if size <= 0:
                break
        return found

    # Writing

    def note_work(self, amount: int) -> None:
        """There is no limit outside the write lock, but others are served in between."""
        self._snapshot.note_work(amount)

    def limit_work(self, limit: int) -> None:
        """There is none."""

    def put(self, space: int, item: StoredItem, previous: StoredItem | None, version: int | None = None) -> None:
        self._written[space, item.key] = item
        self._writes.append(lambda tx: tx.put(space, item, previous, version))

    def delete(self, space: int, previous: StoredItem) -> None:
        self._written[space, previous.key] = None
        self._writes.append(lambda tx: tx.delete(space, previous))

    def append_change(self, change: Change) -> None:
        self._writes.append(lambda tx: tx.append_change(change))

    def in_lock(self, action: Callable[[WriteTransaction], object]) -> None:
        self._writes.append(action)

    def after_commit(self, action: Action) -> None:
        self._writes.append(lambda tx: tx.after_commit(action))

    def _only_in_lock(self, *_: Any, **__: Any) -> Any:
        """What depends on more than single items and tables."""
        raise NotOptimistic

    table_names = tables = catalog_version = items = statistics = version = _only_in_lock
    changes = first_change = last_change = log = log_times = log_readers = _only_in_lock
    put_new = new_space = save_table = remove_table = drop_space = _only_in_lock
    restore_table = restore_changes = restore_counters = _only_in_lock
    save_log_reader = remove_log_reader = trim_log = log_record = notify_background = _only_in_lock
