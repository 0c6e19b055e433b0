"""What is counted in shared memory is there, whoever dies; what finds no room is known to be missing."""

from __future__ import annotations

import random

import pytest

from blotter.database.metrics import cells
from blotter.database.metrics.cells import Series, Slot
from blotter.database.metrics.counting import series_name
from blotter.database.metrics.names import BLOTTER, DYNAMODB, TABLE, Metric
from blotter.database.metrics.points import Point
from blotter.database.metrics.shared import SharedCounters

ACCOUNT, REGION = "123456789012", "us-east-1"


def name_of(metric: str, table: str = "t") -> bytes:
    return series_name(DYNAMODB, metric, ACCOUNT, REGION, ((TABLE, table),))


def opened(shared: SharedCounters, minute: int = 1, number: int = 0) -> Slot:
    slot = shared.slot(number)
    slot.open(minute)
    return slot


def points(shared: SharedCounters) -> dict[tuple[int, str, str], Point]:
    """The points of all arenas by time, metric and table, added up."""
    found: dict[tuple[int, str, str], Point] = {}
    for arena in shared.ids():
        counted = shared.read(arena)
        assert counted is not None
        for metric, _, point in counted.points:
            key = (point.time, metric.name, metric.value_of(TABLE) or "")
            if key in found:
                found[key].add(point)
            else:
                found[key] = point
    return found


def test_samples_are_counted_exactly() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared)
    chance = random.Random(1)
    units = [chance.choice([1, 1, 1, 2, 3, 40, 800]) for _ in range(2000)]
    times = [int(chance.lognormvariate(13, 1)) for _ in range(2000)]
    consumed = Series(slot, name_of("ConsumedReadCapacityUnits"))
    took = Series(slot, name_of("SuccessfulRequestLatency"))
    for unit, time in zip(units, times, strict=True):
        consumed.add(unit)
        took.add(time)
    found = points(shared)
    point = found[60, "ConsumedReadCapacityUnits", "t"]
    assert (point.count, point.total, point.low, point.high) == (2000, sum(units) / 2, 0.5, 400)
    assert point.distribution() == [(value / 2, units.count(value)) for value in (1, 2, 3, 40, 800)]
    point = found[60, "SuccessfulRequestLatency", "t"]
    assert point.count == 2000
    assert point.total == pytest.approx(sum(times) / 1e6, rel=1e-12)
    assert (point.low, point.high) == pytest.approx((min(times) / 1e6, max(times) / 1e6))
    assert point.percentile(90) == pytest.approx(sorted(times)[1799] / 1e6, rel=0.02)


def test_what_is_counted_soon_is_there_after_a_flush() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared)
    calls: list[int] = []
    slot.on_touch = lambda: calls.append(1)
    series = Series(slot, name_of("SuccessfulRequestLatency"))
    for sample in (5, 2000, 2000, 1_000_000, 5):
        series.add_soon(sample)
    assert calls == [1]
    assert (
        points(shared)[60, "SuccessfulRequestLatency", "t"].count == 3
    )  # the first of each kind is there at once
    slot.flush()
    point = points(shared)[60, "SuccessfulRequestLatency", "t"]
    assert (point.count, point.total) == (5, pytest.approx(1_004_010e-6))
    assert (point.low, point.high) == pytest.approx((5e-6, 1.0))
    series.add_soon(2000)
    assert calls == [1, 1]
    slot.turn(2)
    assert points(shared)[60, "SuccessfulRequestLatency", "t"].count == 6


def test_small_and_large_samples_of_one_series() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    series = Series(opened(shared), name_of("ReturnedItemCount"))
    for sample in (0, 5, 1023, 1024, 5_000_000):
        series.add(sample)
    point = points(shared)[60, "ReturnedItemCount", "t"]
    assert (point.count, point.total, point.low, point.high) == (5, 5_002_052, 0, 5_000_000)


def test_a_successor_goes_on_where_a_killed_process_stopped() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    Series(opened(shared), name_of("ThrottledRequests")).add(3)
    again = Series(opened(shared), name_of("ThrottledRequests"))
    again.add(4)
    assert points(shared)[60, "ThrottledRequests", "t"].total == 7
    assert len(shared.ids()) == 1


def test_a_cell_that_was_begun_is_not_counted() -> None:
    """A process that dies in `cell` has written tag and value, and not yet how many cells there are."""
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared)
    Series(slot, name_of("ThrottledRequests")).add(3)
    body = 64 + cells.SLOT_HEADER_WORDS
    slot.words[body + 2] = 99 << cells.KIND_BITS
    slot.words[body + 3] = 5
    assert points(shared)[60, "ThrottledRequests", "t"].total == 3


def test_minutes_are_kept_apart_until_they_are_given_back() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared, 1)
    for minute in range(1, cells.RING + 1):
        slot.turn(minute)
        Series(slot, name_of("ThrottledRequests")).add(minute)
    assert {key[0]: point.total for key, point in points(shared).items()} == {60 * m: m for m in range(1, 5)}
    closed = shared.ids(cells.CLOSED)
    assert len(closed) == cells.RING - 1
    # Nothing was stored: the last minute becomes longer, and nothing is lost.
    assert not slot.turn(9)
    Series(slot, name_of("ThrottledRequests")).add(9)
    assert points(shared)[240, "ThrottledRequests", "t"].total == 13
    shared.free(closed)
    assert slot.turn(10)
    Series(slot, name_of("ThrottledRequests")).add(1)
    assert points(shared)[600, "ThrottledRequests", "t"].total == 1
    assert len(shared.ids(cells.CLOSED)) == 1


def test_a_minute_without_samples_needs_no_arena() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared, 1)
    for minute in range(2, 100):
        assert not slot.turn(minute)
    Series(slot, name_of("ThrottledRequests")).add(1)
    assert [key[0] for key in points(shared)] == [99 * 60]
    assert not shared.late(99)
    assert shared.late(100)


def test_samples_without_room_are_counted_as_such() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION, arena_bytes=4096)
    slot = opened(shared)
    for number in range(100):
        Series(slot, name_of("ThrottledRequests", f"table-{number}")).add(1)
    found = points(shared)
    lost = found.pop((60, "UncountedSamples", ""))
    assert lost.total + len(found) == 100
    assert lost.total > 0
    assert all(point.total == 1 for point in found.values())


def test_memory_is_taken_only_where_something_is_counted() -> None:
    """10,000 tables with three operations: one minute of one process."""
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared)
    for number in range(10_000):
        for metric in ("ConsumedReadCapacityUnits", "SuccessfulRequestLatency", "ConsumedWriteCapacityUnits"):
            series = Series(slot, name_of(metric, f"a-table-with-a-long-name-{number}"))
            series.add(1)
            series.add(200_000)
    header = 64
    taken = 8 * (2 * slot.words[header + cells.CELLS] + slot.words[header + cells.NAME_WORDS])
    assert taken < 8 << 20
    assert slot.words[header + cells.LOST] == 0


def test_two_open_arenas_of_a_process_that_died_between_them() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    slot = opened(shared, 1)
    Series(slot, name_of("ThrottledRequests")).add(1)
    slot.turn(2)
    Series(slot, name_of("ThrottledRequests")).add(2)
    base = 64
    states = [base + n * cells.HEADER_WORDS + cells.STATE for n in range(cells.RING)]
    for at in states[:2]:
        slot.words[at] = cells.OPEN
    Series(opened(shared, 2), name_of("ThrottledRequests")).add(3)
    assert {key[0]: point.total for key, point in points(shared).items()} == {60: 1, 120: 5}
    assert len(shared.ids(cells.CLOSED)) == 1


def test_a_slot_that_is_closed_counts_no_more() -> None:
    shared = SharedCounters(2, ACCOUNT, REGION)
    used, unused = opened(shared, 1, 0), opened(shared, 1, 1)
    series = Series(used, name_of("SuccessfulRequestLatency"))
    for _ in range(3):
        series.add_soon(5)
    assert shared.has_open()
    for slot in (used, unused):
        slot.close()
        assert not slot.turn(2)
        Series(slot, name_of("ThrottledRequests")).add(1)
    assert not shared.has_open()
    assert len(shared.ids(cells.CLOSED)) == 1
    assert {key[1]: point.count for key, point in points(shared).items()} == {"SuccessfulRequestLatency": 3}


def test_slots_are_apart() -> None:
    shared = SharedCounters(3, ACCOUNT, REGION)
    for number in range(3):
        Series(opened(shared, 1, number), name_of("ThrottledRequests")).add(10**number)
    assert points(shared)[60, "ThrottledRequests", "t"].total == 111
    with pytest.raises(IndexError):
        shared.slot(3)


def test_restarts_are_counted_once() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION)
    shared.note_restart()
    shared.note_restart()
    assert shared.take_restarts() == 2
    assert shared.take_restarts() == 0


def test_uncounted_samples_belong_to_the_server() -> None:
    shared = SharedCounters(1, ACCOUNT, REGION, arena_bytes=64)
    Series(opened(shared), name_of("ThrottledRequests")).add(1)
    counted = shared.read(shared.ids()[0])
    assert counted is not None
    assert [metric for metric, _, _ in counted.points] == [Metric(ACCOUNT, REGION, BLOTTER, "UncountedSamples")]
