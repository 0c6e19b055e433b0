"""Ordered maps with undo and snapshots: the data structure under the in-memory store.

There is one current state, which writers change in place. A transaction keeps what each change replaced, so that
it can be undone. An open snapshot keeps what was replaced since it was opened: it reads the current state except
where it has an older value. So a read costs a lookup, a write one entry in the undo log, and snapshots cost only
while they are open. Independent of items and tables: values are opaque, keys are bytes, maps have numbers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final, Protocol
from weakref import WeakSet

from sortedcontainers import SortedDict

ABSENT: Final = object()
"""There was nothing under the key."""
_EMPTY: Final = SortedDict()


class View(Protocol):
    """What readers need: the current state, or a snapshot of it."""

    def get(self, number: int, key: bytes) -> Any:
        """The value under a key, None if there is none."""

    def range(self, number: int, start: bytes, end: bytes | None, reverse: bool = False) -> Iterator[Any]:
        """The values with start <= key < end in key order or in reverse; `end` None is the end of the map."""


class OrderedMaps:
    """The current state, and the transaction that changes it: `commit` or `roll_back` ends one and begins the
    next."""

    def __init__(self) -> None:
        self._maps: dict[int, Any] = {}
        self._undo: list[tuple[int, bytes | None, Any]] = []
        self._snapshots: WeakSet[MapsSnapshot] = WeakSet()

    @property
    def changes(self) -> int:
        """How many changes the transaction has made so far."""
        return len(self._undo)

    def get(self, number: int, key: bytes) -> Any:
        found = self._maps.get(number)
        return None if found is None else found.get(key)

    def range(self, number: int, start: bytes, end: bytes | None, reverse: bool = False) -> Iterator[Any]:
        return map_range(self.map(number), start, end, reverse)

    def put(self, number: int, key: bytes, value: Any) -> None:
        found = self._maps.get(number)
        if found is None:
            found = self._maps[number] = SortedDict()
        self._remember(number, key, found.get(key, ABSENT))
        found[key] = value

    def delete(self, number: int, key: bytes) -> None:
        """Raises KeyError if there is nothing under the key."""
        found = self._maps.get(number, _EMPTY)
        self._remember(number, key, found[key])
        del found[key]

    def clear(self, number: int) -> None:
        """Empties a map, at a cost that does not grow with it."""
        old = self._maps.pop(number, None)
        if old is not None:
            self._undo.append((number, None, old))
            for snapshot in self._snapshots:
                snapshot.remember_map(number, old)

    def commit(self) -> None:
        self._undo.clear()

    def roll_back(self) -> None:
        """Undoes the transaction. Snapshots remember values that are current again, which is harmless."""
        for number, key, old in reversed(self._undo):
            if key is None:
                self._maps[number] = old
                for snapshot in self._snapshots:
                    snapshot.restore_map(number, old)
            elif old is ABSENT:
                del self._maps[number][key]
            else:
                self._maps[number][key] = old
        self._undo.clear()

    def snapshot(self) -> MapsSnapshot:
        """The state as it is now. To be taken between transactions."""
        snapshot = MapsSnapshot(self)
        self._snapshots.add(snapshot)
        return snapshot

    def forget(self, snapshot: MapsSnapshot) -> None:
        self._snapshots.discard(snapshot)

    def has(self, number: int) -> bool:
        """Whether anything was ever put into a map."""
        return number in self._maps

    def map(self, number: int) -> Any:
        return self._maps.get(number, _EMPTY)

    def _remember(self, number: int, key: bytes, old: Any) -> None:
        self._undo.append((number, key, old))
        for snapshot in self._snapshots:
            snapshot.remember(number, key, old)


class MapsSnapshot:
    """The state at one moment, until `close`."""

    def __init__(self, current: OrderedMaps) -> None:
        self._current = current
        self._older: dict[int, Any] = {}
        """Map → key → the value at that moment, or ABSENT."""
        self._cleared: dict[int, Any] = {}
        """Maps that were cleared since: they do not change any more."""

    def close(self) -> None:
        self._current.forget(self)

    def remember(self, number: int, key: bytes, old: Any) -> None:
        if number not in self._cleared:
            self._older.setdefault(number, SortedDict()).setdefault(key, old)

    def remember_map(self, number: int, old: Any) -> None:
        self._cleared.setdefault(number, old)

    def restore_map(self, number: int, old: Any) -> None:
        if self._cleared.get(number) is old:
            del self._cleared[number]

    def get(self, number: int, key: bytes) -> Any:
        older = self._older.get(number)
        if older is not None and key in older:
            value = older[key]
            return None if value is ABSENT else value
        return self._map(number).get(key)

    def range(self, number: int, start: bytes, end: bytes | None, reverse: bool = False) -> Iterator[Any]:
        older, found = self._older.get(number), self._map(number)
        if older is None:
            return map_range(found, start, end, reverse)
        unchanged = (key for key in found.irange(start, end, (True, False), reverse) if key not in older)
        changed = (key for key in older.irange(start, end, (True, False), reverse) if older[key] is not ABSENT)
        keys = heapq.merge(unchanged, changed, reverse=reverse)
        return (older[key] if key in older else found[key] for key in keys)

    def _map(self, number: int) -> Any:
        cleared = self._cleared.get(number)
        return self._current.map(number) if cleared is None else cleared


def map_range(found: Any, start: bytes, end: bytes | None, reverse: bool) -> Iterator[Any]:
    keys = found.irange(start, end, (True, False), reverse)
    return (found[key] for key in keys)
