"""Random commands against a backend and against a plain dict must agree: puts, deletes, ranges, statistics, spaces
given up, snapshots, reopening."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import astuple

from blotter.database.storage.protocol import (
    ANY_SIZE,
    Row,
    SpaceStatistics,
    Storage,
    StoredItem,
    WriteTransaction,
)
from tests.examples import examples

from .conftest import OPENERS

SPACES = st.integers(1, 3)
KEYS = st.binary(max_size=3) | st.sampled_from([b"\xff" * 3, b"k" * 2000])
BODIES = st.builds(lambda byte, length: byte * length, st.binary(min_size=1, max_size=1), st.integers(0, 6000))
Items = dict[int, dict[bytes, StoredItem]]


def in_pieces(tx: Any, space: int, start: bytes, end: bytes | None, reverse: bool) -> Iterator[Row]:
    """A range read as a page is: each piece after the last key of the one before."""
    while rows := tx.items(space, start, end, 2, 3, reverse=reverse):
        yield from rows
        start, end = (start, rows[-1][0]) if reverse else (rows[-1][0] + b"\x00", end)


class StorageAgainstDict(RuleBasedStateMachine):
    open: Callable[[Path], Storage]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.storage = type(self).open(Path(self.folder.name))
        self.model: Items = {1: {}, 2: {}, 3: {}}
        self.pending: list[tuple[Callable[[WriteTransaction], None], Callable[[Items], None]]] = []
        self.snapshots: list[tuple[Any, Items]] = []

    def teardown(self) -> None:
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.loop.run_until_complete(self.storage.close())
        self.loop.close()
        self.folder.cleanup()

    @rule(space=SPACES, key=KEYS, body=BODIES)
    def put(self, space: int, key: bytes, body: bytes) -> None:
        item = StoredItem(key, len(key) + len(body), body)

        def handler(tx: WriteTransaction) -> None:
            tx.put(space, item, tx.get(space, key))

        self.pending.append((handler, lambda model: model[space].update({key: item})))

    @rule(space=SPACES, key=KEYS)
    def delete(self, space: int, key: bytes) -> None:
        def handler(tx: WriteTransaction) -> None:
            if (previous := tx.get(space, key)) is not None:
                tx.delete(space, previous)

        self.pending.append((handler, lambda model: model[space].pop(key, None) and None))

    @rule(space=SPACES, low=KEYS, high=KEYS)
    def delete_range(self, space: int, low: bytes, high: bytes) -> None:
        def handler(tx: WriteTransaction) -> None:
            for row in tx.items(space, low, high, 1 << 30):
                tx.delete(space, StoredItem(*row))

        def on_model(model: Items) -> None:
            for key in [key for key in model[space] if low <= key < high]:
                del model[space][key]

        self.pending.append((handler, on_model))

    @rule(space=SPACES, key=KEYS, body=BODIES)
    def break_off(self, space: int, key: bytes, body: bytes) -> None:
        def handler(tx: WriteTransaction) -> None:
            tx.put(space, StoredItem(key, 1, body), tx.get(space, key))
            raise ValueError

        self.pending.append((handler, lambda _: None))

    @rule()
    def write(self) -> None:
        """Everything submitted so far, at once."""

        async def use() -> None:
            writes = (self.storage.write(handler) for handler, _ in self.pending)
            await asyncio.gather(*writes, return_exceptions=True)

        self.loop.run_until_complete(use())
        for _, on_model in self.pending:
            on_model(self.model)
        self.pending.clear()

    @rule()
    def reopen(self) -> None:
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.snapshots.clear()
        self.loop.run_until_complete(self.storage.close())
        self.storage = type(self).open(Path(self.folder.name))

    @rule()
    def open_snapshot(self) -> None:
        if len(self.snapshots) < 3:
            model = {space: dict(items) for space, items in self.model.items()}
            self.snapshots.append((self.storage.open_snapshot(), model))

    @rule(space=SPACES, low=KEYS, high=KEYS | st.none(), reverse=st.booleans())
    def compare_range(self, space: int, low: bytes, high: bytes | None, reverse: bool) -> None:
        with self.storage.read() as tx:
            self.compare(tx, self.model, space, low, high, reverse)
        for snapshot, model in self.snapshots:
            self.compare(snapshot, model, space, low, high, reverse)

    def compare(self, tx: Any, model: Items, space: int, low: bytes, high: bytes | None, reverse: bool) -> None:
        items = [item for _, item in sorted(model[space].items(), reverse=reverse)]
        expected = [astuple(item) for item in items if low <= item.key and (high is None or item.key < high)]
        assert tx.items(space, low, high, 1 << 30, reverse=reverse) == expected
        assert list(in_pieces(tx, space, low, high, reverse)) == expected
        assert tx.get(space, low) == model[space].get(low)
        keys = [low, b"absent", *(item.key for item in items)]
        found = [(item.size, item.body) for item in items]
        assert tx.get_many(space, keys, ANY_SIZE)[2:] == found
        assert tx.get_many(space, keys, ANY_SIZE)[1] is None

    @invariant()
    def statistics_are_exact(self) -> None:
        with self.storage.read() as tx:
            for space, items in self.model.items():
                assert tx.statistics(space) == SpaceStatistics(len(items), sum(i.size for i in items.values()))


@pytest.mark.parametrize("backend", OPENERS)
def test_a_backend_agrees_with_a_dict(backend: str) -> None:
    machine = type(backend, (StorageAgainstDict,), {"open": staticmethod(OPENERS[backend])})
    count = examples(9 if backend == "postgres" else 30)  # each statement is a round trip
    run_state_machine_as_test(
        machine, settings=settings(max_examples=count, stateful_step_count=30, deadline=None)
    )
