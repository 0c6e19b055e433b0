"""What the handlers of a transaction have written and PostgreSQL does not have yet: the protocol's writes in
memory.

The items by their last state, the growth of key spaces, the entries of the change log. A handler that raises
leaves nothing: `undo` takes back what was written since `begin_handler`. `arguments` turns everything into the
arrays with which one call of `apply_batch` (`layout.schema`) writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias, cast

from blotter.database.model.table import Table
from blotter.database.storage.postgres.layout.schema import LONGEST_KEY
from blotter.database.storage.postgres.statements import Found, Point
from blotter.database.storage.protocol import (
    LOG_SPACE,
    NO_SHARD,
    UNLIMITED,
    Action,
    Change,
    Row,
    StoredItem,
    TooMuchWork,
    WriteTransaction,
)

Stored: TypeAlias = tuple[int, bytes, int | None]
"""Size, body and version."""


class NeedsExclusive(BaseException):
    """The handler does something that only a transaction alone can do: it is run there. No `Exception`, so that no
    handler catches it."""


class Writes:
    """The writing half of the protocol, for items and the change log."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.written: dict[Point, Stored | None] = {}
        """The last state of what was written; None for a deletion."""
        self.entries: list[Change] = []
        self.actions: list[Action] = []
        """What the running handler has registered with `after_commit`."""
        self.notifies = False
        """Whether there is work for the background."""
        self.bytes = 0
        """Of the bodies in `written`, at most."""
        self._growth: dict[int, list[int]] = {}
        self._journal: list[tuple[Point, bool, Stored | None]] = []
        """What the running handler has written: the point, whether it had been written before, and what."""
        self._grown: list[tuple[int, int, int]] = []
        self._entries_before = 0
        self._notified_before = False
        self._work_left = UNLIMITED

    def clear(self) -> None:
        """Forgets everything."""
        self.written = {}
        self.entries = []
        self.actions = []
        self.notifies = False
        self.bytes = 0
        self._growth = {}

    def begin_handler(self) -> None:
        """Before each handler."""
        self.actions = []
        self._journal = []
        self._grown = []
        self._entries_before = len(self.entries)
        self._notified_before = self.notifies
        self._work_left = UNLIMITED

    @property
    def has_written(self) -> bool:
        """Whether the running handler has written anything."""
        return (
            bool(self._journal)
            or bool(self._grown)
            or len(self.entries) > self._entries_before
            or self.notifies != self._notified_before
        )

    def undo(self) -> None:
        """Takes back what the running handler has written."""
        for point, was_written, before in reversed(self._journal):
            if was_written:
                self.written[point] = before
            else:
                self.written.pop(point, None)
        for space, items, size in self._grown:
            growth = self._growth[space]
            growth[0] -= items
            growth[1] -= size
        del self.entries[self._entries_before :]
        self.notifies = self._notified_before
        self.begin_handler()

    def has_something(self) -> bool:
        """Whether there is anything to apply, beside a notification."""
        return bool(self.written) or bool(self.entries) or self._has_growth()

    def _has_growth(self) -> bool:
        return any(grown[0] or grown[1] for grown in self._growth.values())

    def forget_written(self) -> None:
        """After it was written, in a transaction that goes on."""
        self.written = {}
        self.entries = []
        self.bytes = 0
        self._growth = {}
        self._journal = []
        self._grown = []
        self._entries_before = 0

    # The protocol

    def limit_work(self, limit: int) -> None:
        self._work_left = limit

    def note_work(self, amount: int) -> None:
        self._work_left -= amount
        if self._work_left < 0:
            raise TooMuchWork

    def put(self, space: int, item: StoredItem, previous: StoredItem | None, version: int | None = None) -> None:
        self._write(space, item.key, (item.size, item.body, version))
        if previous is None:
            self._grow(space, 1, item.size)
        elif previous.size != item.size:
            self._grow(space, 0, item.size - previous.size)

    def put_new(self, space: int, rows: Sequence[Row]) -> None:
        for key, size, body in rows:
            self._write(space, key, (size, body, None))
        self._grow(space, len(rows), sum([row[1] for row in rows]))

    def delete(self, space: int, previous: StoredItem) -> None:
        self._write(space, previous.key, None)
        self._grow(space, -1, -previous.size)

    def append_change(self, change: Change) -> None:
        self.entries.append(change)
        old, new = change.old, change.new
        size = len(change.key) + (0 if old is None else len(old)) + (0 if new is None else len(new))
        self._grow(LOG_SPACE, 1, size)

    def log_record(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        self.append_change(Change(0, self._clock(), "", NO_SHARD, key, old, new, kind="record"))

    def notify_background(self) -> None:
        self.notifies = True

    def in_lock(self, action: Callable[[WriteTransaction], object]) -> None:
        action(cast(WriteTransaction, self))

    def after_commit(self, action: Action) -> None:
        self.actions.append(action)

    def _write(self, space: int, key: bytes, stored: Stored | None) -> None:
        if len(key) > LONGEST_KEY:
            self._write_long(space, key, stored)
            return
        point = (space, key)
        self._journal.append((point, point in self.written, self.written.get(point)))
        self.written[point] = stored
        if stored is not None:
            self.bytes += len(stored[1])

    def _write_long(self, space: int, key: bytes, stored: Stored | None) -> None:
        """A write under a key that is too long for the index of items."""
        self._alone(space, key, stored)

    def _grow(self, space: int, items: int, size: int) -> None:
        self._grown.append((space, items, size))
        growth = self._growth.get(space)
        if growth is None:
            self._growth[space] = [items, size]
        else:
            growth[0] += items
            growth[1] += size

    # What only an exclusive transaction does

    def new_space(self) -> int:
        self._alone()

    def save_table(self, table: Table) -> None:
        self._alone(table)

    def remove_table(self, table: Table) -> None:
        self._alone(table)

    def drop_space(self, space: int) -> None:
        self._alone(space)

    def save_log_reader(self, reader: Any) -> None:
        self._alone(reader)

    def remove_log_reader(self, name: str) -> None:
        self._alone(name)

    def trim_log(self, through: int, limit: int) -> int:
        self._alone(through, limit)

    def restore_table(self, account: str, region: str, name: str, table: Table | None) -> None:
        self._alone(account, region, name, table)

    def restore_changes(self, changes: Sequence[Change]) -> None:
        self._alone(changes)

    def restore_counters(self, space: int, change: int) -> None:
        self._alone(space, change)

    def _alone(self, *_: object) -> NoReturn:
        raise NeedsExclusive

    # What is sent

    def arguments(self, found: dict[Point, Found | None], guards: set[Point]) -> list[Any]:
        """The arrays of `apply_batch`, in its order; None for empty ones, which costs PostgreSQL less. `found`:
        what was read of the points, None where nothing is stored; `guards`: those whose state must still be the
        one that was read."""
        arrays = _Arrays()
        written = self.written
        for point in sorted(written):
            arrays.add_written(point, written[point], found)
        for point in sorted(guards.difference(written)):
            arrays.add_guard(point, found[point])
        growth = [(space, *grown) for space, grown in sorted(self._growth.items()) if grown[0] or grown[1]]
        filled = [
            *arrays.finished(),
            [each[0] for each in growth],
            [each[1] for each in growth],
            [each[2] for each in growth],
            *change_arrays(self.entries),
        ]
        return [array or None for array in filled]


def change_arrays(changes: Sequence[Change]) -> list[list[Any]]:
    """Entries of the log as `apply_batch` takes them."""
    return [
        [each.time for each in changes],
        [each.table_id for each in changes],
        [each.shard for each in changes],
        [each.key for each in changes],
        [each.old for each in changes],
        [each.new for each in changes],
        [each.origin for each in changes],
        [each.kind for each in changes],
        [each.version for each in changes],
    ]


class _Arrays:
    """The items' part of a batch, by what is known of what is stored."""

    def __init__(self) -> None:
        self.share: tuple[list[int], list[bytes], list[int]] = ([], [], [])
        self.update: tuple[list[int], list[bytes], list[int], list[int], list[bytes], list[int | None]]
        self.update = ([], [], [], [], [], [])
        self.remove: tuple[list[int], list[bytes], list[int]] = ([], [], [])
        self.insert: list[tuple[int, bytes, int, bytes, int | None]] = []
        self.placeholders: list[Point] = []
        self.blind: tuple[list[int], list[bytes], list[int], list[bytes], list[int | None]] = ([], [], [], [], [])
        self.erase: tuple[list[int], list[bytes]] = ([], [])

    def add_written(self, point: Point, stored: Stored | None, found: dict[Point, Found | None]) -> None:
        space, key = point
        if point not in found:
            self._add_blind(space, key, stored)
            return
        before = found[point]
        if before is None:
            if stored is None:
                self.add_guard(point, None)
            else:
                self.insert.append((space, key, *stored))
        elif stored is None:
            for array, value in zip(self.remove, (space, key, before[3]), strict=True):
                array.append(value)  # type: ignore[attr-defined]
        else:
            spaces, keys, xmins, sizes, bodies, versions = self.update
            spaces.append(space)
            keys.append(key)
            xmins.append(before[3])
            sizes.append(stored[0])
            bodies.append(stored[1])
            versions.append(stored[2])

    def _add_blind(self, space: int, key: bytes, stored: Stored | None) -> None:
        if stored is None:
            self.erase[0].append(space)
            self.erase[1].append(key)
            return
        spaces, keys, sizes, bodies, versions = self.blind
        spaces.append(space)
        keys.append(key)
        sizes.append(stored[0])
        bodies.append(stored[1])
        versions.append(stored[2])

    def add_guard(self, point: Point, before: Found | None) -> None:
        """A point that was only read. One without an item gets a placeholder for the time of the transaction: the
        index then makes those wait who insert one."""
        if before is None:
            self.placeholders.append(point)
            self.insert.append((*point, 0, b"", None))
            return
        self.share[0].append(point[0])
        self.share[1].append(point[1])
        self.share[2].append(before[3])

    def finished(self) -> list[list[Any]]:
        """As `apply_batch` takes them. Rows are locked in the order of their keys before they are changed, if one
        statement does not lock them all."""
        update, remove, share = self.update, self.remove, self.share
        locks: list[tuple[int, bytes, int]] = []
        if (bool(update[0]) + bool(remove[0]) + bool(share[0])) > 1:
            locks = sorted([*zip(*update[:3], strict=True), *zip(*remove, strict=True), *zip(*share, strict=True)])
            share = ([], [], [])
        insert = sorted(self.insert, key=lambda row: row[:2])
        return [
            [each[0] for each in locks],
            [each[1] for each in locks],
            [each[2] for each in locks],
            *share,
            *update,
            *remove,
            [row[0] for row in insert],
            [row[1] for row in insert],
            [row[2] for row in insert],
            [row[3] for row in insert],
            [row[4] for row in insert],
            [point[0] for point in self.placeholders],
            [point[1] for point in self.placeholders],
            *self.blind,
            *self.erase,
        ]
