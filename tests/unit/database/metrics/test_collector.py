"""Each counted minute is stored once, whoever is killed; it reads the same before, meanwhile and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.metrics import cells
from blotter.database.metrics.cells import Series, Slot
from blotter.database.metrics.collector import Collector
from blotter.database.metrics.counting import series_name
from blotter.database.metrics.names import DYNAMODB, Metric
from blotter.database.metrics.series import MetricReader
from blotter.database.metrics.shared import SharedCounters
from blotter.database.storage.protocol import Storage, StorageUnavailable
from tests.in_process import STORES

ACCOUNT, REGION = "123456789012", "us-east-1"
START = 1_796_000_040 // 60 * 60
TABLES = [f"table-{number}" for number in range(12)]


class Clock:
    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


class _Killed(BaseException):
    pass


class KilledStorage:
    """A store whose user is killed after a number of writes."""

    def __init__(self, storage: Storage, writes: int) -> None:
        self._storage = storage
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def write(self, handler: Callable[[Any], Any]) -> Any:
        if self._writes == 0:
            raise _Killed
        self._writes -= 1
        return await self._storage.write(handler)


@pytest.fixture(params=["sqlite", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    opened = STORES[request.param](tmp_path)
    yield opened
    asyncio.run(opened.close())


def metric(table: str, name: str = "ThrottledRequests") -> Metric:
    return Metric(ACCOUNT, REGION, DYNAMODB, name, (("Operation", "GetItem"), ("TableName", table)))


def count(slot: Slot, table: str, sample: int, name: str = "ThrottledRequests") -> None:
    wanted = metric(table, name)
    Series(slot, series_name(DYNAMODB, name, ACCOUNT, REGION, wanted.dimensions)).add(sample)


def opened(shared: SharedCounters, number: int, minute: int) -> Slot:
    slot = shared.slot(number)
    slot.open(START // 60 + minute)
    return slot


def turn(slot: Slot, minute: int) -> None:
    slot.turn(START // 60 + minute)


def read(storage: Storage, shared: SharedCounters | None, clock: Clock) -> dict[tuple[str, int], float]:
    """The sums of all tables by table and minute, counted from START."""

    def handler(tx: Any) -> dict[tuple[str, int], float]:
        snapshot = MetricReader(shared, clock).snapshot(tx)
        found = {}
        for table in TABLES:
            for unit, points in snapshot.points(metric(table), START - 3600, START + 3600, 60):
                assert unit == "Count"
                found |= {(table, (point.time - START) // 60): point.total for point in points}
        return found

    return asyncio.run(storage.fetch(handler))


def slow_clock() -> Callable[[], float]:
    """A monotonic clock after each of whose looks a slice is over."""
    seconds = iter(range(1_000_000))
    return lambda: float(next(seconds))


def collector(storage: Any, shared: SharedCounters, clock: Clock) -> Collector:
    return Collector(storage, shared, 1 << 30, clock, slow_clock())


def test_minutes_of_several_processes_are_added_up(storage: Storage) -> None:
    clock, shared = Clock(), SharedCounters(2, ACCOUNT, REGION)
    one, other = opened(shared, 0, 0), opened(shared, 1, 0)
    for number, table in enumerate(TABLES):
        count(one, table, number)
        count(other, table, 100)
    turn(one, 1)
    count(one, TABLES[0], 7)
    expected = {(table, 0): number + 100 for number, table in enumerate(TABLES)} | {(TABLES[0], 1): 7}
    assert read(storage, shared, clock) == expected
    # The second process is late: what it counted is added when it comes.
    assert asyncio.run(collector(storage, shared, clock).collect()) == 1
    assert read(storage, shared, clock) == expected
    turn(other, 1)
    assert asyncio.run(collector(storage, shared, clock).collect()) == 1
    assert read(storage, shared, clock) == expected
    assert asyncio.run(collector(storage, shared, clock).collect()) == 0
    turn(one, 2)
    asyncio.run(collector(storage, shared, clock).collect())
    assert read(storage, None, clock) == expected
    assert not shared.ids(cells.CLOSED)


@pytest.mark.parametrize("writes", range(len(TABLES) + 1))
def test_a_collector_that_is_killed_is_followed_by_one_that_goes_on(storage: Storage, writes: int) -> None:
    clock, shared = Clock(), SharedCounters(2, ACCOUNT, REGION)
    slots = [opened(shared, 0, 0), opened(shared, 1, 0)]
    for slot in slots:
        for number, table in enumerate(TABLES):
            count(slot, table, number + 1)
        turn(slot, 1)
    expected = {(table, 0): 2.0 * (number + 1) for number, table in enumerate(TABLES)}
    with pytest.raises(_Killed):
        asyncio.run(collector(KilledStorage(storage, writes), shared, clock).collect())
    assert read(storage, shared, clock) == expected
    # Meanwhile another minute ends: it waits until the first is stored.
    count(slots[0], TABLES[3], 50)
    turn(slots[0], 2)
    expected |= {(TABLES[3], 1): 50}
    again = KilledStorage(storage, 0 if writes == len(TABLES) else 1)
    with pytest.raises(_Killed):
        asyncio.run(collector(again, shared, clock).collect())
    assert read(storage, shared, clock) == expected
    for _ in range(2):
        asyncio.run(collector(storage, shared, clock).collect())
        assert read(storage, shared, clock) == expected
    assert read(storage, None, clock) == expected


def test_a_full_disk_loses_nothing(storage: Storage) -> None:
    clock, shared = Clock(), SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared, 0, 0)
    count(slot, TABLES[0], 1)
    turn(slot, 1)

    class Full(KilledStorage):
        async def write(self, _: Callable[[Any], Any]) -> Any:
            raise StorageUnavailable("the disk is full")

    for minute in range(2, 9):
        count(slot, TABLES[0], 10)
        turn(slot, minute)
        with pytest.raises(StorageUnavailable):
            asyncio.run(collector(Full(storage, 0), shared, clock).collect())
    for _ in range(2):
        asyncio.run(collector(storage, shared, clock).collect())
    turn(slot, 20)
    asyncio.run(collector(storage, shared, clock).collect())
    assert sum(read(storage, None, clock).values()) == 71


def test_what_another_run_has_stored_says_nothing_about_this_one(storage: Storage) -> None:
    clock = Clock()
    for run in (1, 2):
        shared = SharedCounters(1, ACCOUNT, REGION)
        count(opened(shared, 0, 0), TABLES[0], 5)
        shared.close_all()
        assert shared.has_samples()
        asyncio.run(collector(storage, shared, clock).collect())
        assert not shared.has_samples()
        assert read(storage, None, clock) == {(TABLES[0], 0): 5 * run}


def test_a_reader_sees_one_minute_once_while_it_is_given_back(storage: Storage) -> None:
    """Its snapshot is older than the points, its look at shared memory newer."""
    clock, shared = Clock(), SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared, 0, 0)
    count(slot, TABLES[0], 5)
    turn(slot, 1)

    def handler(tx: Any) -> float:
        tx.catalog_version()  # the snapshot begins
        shared.free(shared.ids(cells.CLOSED))
        points = MetricReader(shared, clock).points(tx, metric(TABLES[0]), START, START + 60, 60)
        return sum(point.total for _, each in points for point in each)

    assert asyncio.run(storage.fetch(handler)) == 5
