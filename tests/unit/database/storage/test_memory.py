"""The in-memory store's own structure: ordered maps with undo and snapshots, against plain copies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from blotter.database.storage.memory.maps import MapsSnapshot, OrderedMaps
from blotter.database.storage.memory.storage import MemoryStorage
from blotter.database.storage.protocol import SnapshotTooOld
from tests.examples import examples

NUMBERS = st.integers(0, 1)
KEYS = st.binary(max_size=2)
State = dict[int, dict[bytes, int]]


def in_order(state: State, number: int, start: bytes, end: bytes | None, reverse: bool) -> list[int]:
    found = state[number]
    keys = [key for key in sorted(found, reverse=reverse) if start <= key and (end is None or key < end)]
    return [found[key] for key in keys]


class MapsAgainstCopies(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.maps = OrderedMaps()
        self.committed: State = {0: {}, 1: {}}
        self.state: State = {0: {}, 1: {}}
        self.snapshots: list[tuple[MapsSnapshot, State]] = []
        self.count = 0

    @rule(number=NUMBERS, key=KEYS)
    def put(self, number: int, key: bytes) -> None:
        self.count += 1
        self.maps.put(number, key, self.count)
        self.state[number][key] = self.count

    @rule(number=NUMBERS, key=KEYS)
    def delete(self, number: int, key: bytes) -> None:
        if key in self.state[number]:
            self.maps.delete(number, key)
            del self.state[number][key]
        else:
            with pytest.raises(KeyError):
                self.maps.delete(number, key)

    @rule(number=NUMBERS)
    def clear(self, number: int) -> None:
        self.maps.clear(number)
        self.state[number] = {}

    @rule()
    def commit(self) -> None:
        self.maps.commit()
        self.committed = {number: dict(found) for number, found in self.state.items()}

    @rule()
    def roll_back(self) -> None:
        self.maps.roll_back()
        self.state = {number: dict(found) for number, found in self.committed.items()}

    @rule()
    def snapshot(self) -> None:
        self.commit()
        copy = {number: dict(found) for number, found in self.state.items()}
        self.snapshots.append((self.maps.snapshot(), copy))

    @rule()
    def close(self) -> None:
        if self.snapshots:
            self.snapshots.pop()[0].close()

    @rule(number=NUMBERS, start=KEYS, end=st.none() | KEYS, reverse=st.booleans())
    def ranges(self, number: int, start: bytes, end: bytes | None, reverse: bool) -> None:
        for view, state in [(self.maps, self.state), *self.snapshots]:
            found = list(view.range(number, start, end, reverse))
            assert found == in_order(state, number, start, end, reverse)

    @invariant()
    def values(self) -> None:
        for view, state in [(self.maps, self.state), *self.snapshots]:
            for number, found in state.items():
                assert list(view.range(number, b"", None)) == in_order(state, number, b"", None, False)
                for key in [*found, b"never"]:
                    assert view.get(number, key) == found.get(key)


TestMaps = MapsAgainstCopies.TestCase
TestMaps.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)


def test_a_snapshot_that_is_not_closed_costs_nothing_once_it_is_forgotten() -> None:
    maps = OrderedMaps()
    snapshots: list[Any] = [maps.snapshot()]
    assert len(maps._snapshots) == 1
    snapshots.clear()
    assert len(maps._snapshots) == 0


def test_a_snapshot_has_a_maximum_age() -> None:
    now = 1000.0
    storage = MemoryStorage(OrderedMaps(), monotonic=lambda: now, snapshot_max_age=5.0)
    snapshot = storage.open_snapshot()
    now += 5.0
    assert snapshot.get(1, b"a") is None
    now += 0.1
    for _ in range(2):
        with pytest.raises(SnapshotTooOld):
            snapshot.get(1, b"a")
    snapshot.close()
