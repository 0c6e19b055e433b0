"""How many rows a slice of a load stores: as many as it has time for, at least some."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from blotter.database.backups.loading import BYTES_AT_ONCE, ROWS_AT_ONCE, _Loader
from blotter.database.storage.protocol import Row

ROW_SECONDS = 1e-5
"""What storing a row takes."""


class _Store:
    """A transaction in which only time passes; `stored` has how many rows came at once."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stored: list[int] = []

    def put_new(self, _space: int, rows: list[Row]) -> None:
        self.stored.append(len(rows))
        self.now += len(rows) * ROW_SECONDS


@pytest.fixture
def store() -> _Store:
    return _Store()


def _slice(store: _Store, seconds: float, size: int = 200, start: int = 0) -> int:
    tools = SimpleNamespace(storage=None, monotonic=lambda: store.now)
    loader = _Loader(cast(Any, tools), cast(Any, None), "job", cast(Any, None))
    rows: list[Row] = [(b"%05d" % number, size, b"") for number in range(8192)]
    return loader._put_slice(cast(Any, store), seconds, 1, rows, start)


@pytest.mark.parametrize("seconds", [0.0005, 0.001, 0.025])
def test_a_slice_is_hardly_longer_than_it_may_be(store: _Store, seconds: float) -> None:
    end = _slice(store, seconds)
    took = end * ROW_SECONDS
    assert seconds * 0.5 < took <= max(seconds * 2, seconds + ROWS_AT_ONCE * ROW_SECONDS)
    assert took <= seconds * 2.1


def test_a_long_slice_stores_many_at_once(store: _Store) -> None:
    _slice(store, 0.025)
    assert set(store.stored) == {ROWS_AT_ONCE}


def test_large_items_come_a_few_at_once(store: _Store) -> None:
    _slice(store, 0.025, size=BYTES_AT_ONCE // 4)
    assert max(store.stored) <= 4


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_without_time_it_stores_one_row(store: _Store, seconds: float) -> None:
    assert _slice(store, seconds, start=8190) == 8191
    assert store.stored == [1]


def test_a_slice_ends_with_the_rows(store: _Store) -> None:
    assert _slice(store, 1.0, start=8190) == 8192
