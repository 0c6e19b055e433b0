"""Points are kept in CloudWatch's periods, for its times, and in no more room than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from blotter.database.metrics.names import DYNAMODB, TABLE, Metric
from blotter.database.metrics.point_store import (
    DAY,
    PERIODS,
    RETENTION,
    add_points,
    known_metrics,
    read_points,
    trim,
    trim_groups,
)
from blotter.database.metrics.points import Point, point, statistic_set
from blotter.database.metrics.series import MetricReader, period_of, put_points
from blotter.database.storage.protocol import METRICS_SPACE, Storage
from tests.in_process import STORES, InProcessDatabase

ACCOUNT, REGION = "123456789012", "us-east-1"
NOW = 1_796_000_400 // 3600 * 3600 + 1800
T = TypeVar("T")


def of_table(name: str, table: str = "results") -> Metric:
    return Metric(ACCOUNT, REGION, DYNAMODB, name, ((TABLE, table),))


CUSTOM = Metric(ACCOUNT, REGION, "Crimes", "FilesScored", (("Stage", "prod"),))


@pytest.fixture(params=["sqlite", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    opened = STORES[request.param](tmp_path)
    yield opened
    asyncio.run(opened.close())


def write(storage: Storage, work: Callable[[Any], T]) -> T:
    return asyncio.run(storage.write(work))


def fetch(storage: Storage, work: Callable[[Any], T]) -> T:
    return asyncio.run(storage.fetch(work))


def stored(storage: Storage, metric: Metric, period: int, start: int = 0, end: int = NOW + DAY) -> list[Point]:
    return fetch(storage, lambda tx: [each for _, each in read_points(tx, metric, period, start, end)])


def test_a_point_is_in_every_period(storage: Storage) -> None:
    metric = of_table("ConsumedReadCapacityUnits")
    for minute in range(12):
        points = [point(NOW + 60 * minute, [(0.5, 2.0), (float(minute), 1.0)])]
        write(storage, lambda tx, points=points: add_points(tx, [(metric, "Count", points)], NOW))  # type: ignore[misc]
    for period in PERIODS:
        found = stored(storage, metric, period)
        assert len(found) == {60: 12, 300: 3, 3600: 1}[period]
        assert sum(each.count for each in found) == 36
        assert sum(each.total for each in found) == 12 + sum(range(12))
        assert all(each.time % period == 0 for each in found)
    assert stored(storage, metric, 60)[3].distribution() == [(0.5, 2.0), (3.0, 1.0)]
    (hour,) = stored(storage, metric, 3600)
    assert (hour.low, hour.high) == (0.0, 11.0)
    assert hour.percentile(50) == 0.5


def test_points_that_come_late_and_in_pieces_add_up(storage: Storage) -> None:
    for value in (5.0, 1.0, 9.0):
        points = [point(NOW - 90_000, [(value, 1.0)])]
        write(storage, lambda tx, points=points: put_points(tx, CUSTOM, "Count", points, NOW))  # type: ignore[misc]
    (found,) = stored(storage, CUSTOM, 60)
    assert (found.count, found.total, found.low, found.high) == (3, 15, 1, 9)


def test_a_metric_in_two_units_is_two_series(storage: Storage) -> None:
    def put(tx: Any) -> None:
        put_points(tx, CUSTOM, "Seconds", [point(NOW, [(1.5, 1.0)])], NOW)
        put_points(tx, CUSTOM, "Count", [point(NOW + 7, [(2.0, 1.0)])], NOW)

    write(storage, put)
    reader = MetricReader(clock=lambda: NOW + 60.0)
    both = fetch(storage, lambda tx: reader.points(tx, CUSTOM, NOW, NOW + 60, 60))
    assert [(unit, [each.total for each in points]) for unit, points in both] == [
        ("Count", [2.0]),
        ("Seconds", [1.5]),
    ]
    one = fetch(storage, lambda tx: reader.points(tx, CUSTOM, NOW, NOW + 60, 60, "Seconds"))
    assert [unit for unit, _ in one] == ["Seconds"]
    listed = fetch(storage, lambda tx: sorted(each.unit for each in reader.metrics(tx, ACCOUNT, REGION)))
    assert listed == ["Count", "Seconds"]


def test_points_are_kept_as_long_as_cloudwatch_keeps_them(storage: Storage) -> None:
    metric = of_table("ConsumedReadCapacityUnits")
    days = (1, 14, 16, 62, 64, 454)
    points = [point(NOW - day * DAY, [(1.0, 1.0)]) for day in days]
    write(storage, lambda tx: add_points(tx, [(metric, "Count", points)], NOW - 460 * DAY))
    while write(storage, lambda tx: trim(tx, NOW, 1 << 40, 2)):
        pass
    for period, kept in RETENTION.items():
        expected = [day for day in days if day * DAY < kept]
        assert [(NOW - each.time) // DAY for each in stored(storage, metric, period)] == expected[::-1]


def test_what_is_older_than_it_is_kept_is_not_stored(storage: Storage) -> None:
    old = [point(NOW - 20 * DAY, [(1.0, 1.0)])]
    write(storage, lambda tx: put_points(tx, CUSTOM, "None", old, NOW))
    assert [len(stored(storage, CUSTOM, period)) for period in PERIODS] == [0, 1, 1]


def test_points_take_no_more_room_than_allowed(storage: Storage) -> None:
    metric = of_table("ConsumedReadCapacityUnits")
    for hour in range(40):
        points = [point(NOW - 3600 * hour - 60 * minute, [(1.0, 1.0)]) for minute in range(50)]
        write(storage, lambda tx, points=points: add_points(tx, [(metric, "Count", points)], NOW))  # type: ignore[misc]
    before = fetch(storage, lambda tx: tx.statistics(METRICS_SPACE).bytes)
    most = before // 2
    while write(storage, lambda tx: trim(tx, NOW, most, 50)):
        pass
    assert 0 < fetch(storage, lambda tx: tx.statistics(METRICS_SPACE).bytes) <= most
    # The newest minutes and all hours are there; the oldest minutes went.
    minutes = stored(storage, metric, 60)
    assert minutes[-1].time == NOW
    assert len(minutes) < 1000
    assert len(stored(storage, metric, 3600)) == 41


def test_a_limit_that_nothing_fits_into_keeps_the_last_hours(storage: Storage) -> None:
    points = [point(NOW - 60 * minute, [(1.0, 1.0)]) for minute in range(600)]
    write(storage, lambda tx: put_points(tx, CUSTOM, "None", points, NOW))
    while write(storage, lambda tx: trim(tx, NOW, 0, 100)):
        pass
    assert len(stored(storage, CUSTOM, 60)) == 181


def test_groups_without_points_are_removed(storage: Storage) -> None:
    def put(tx: Any) -> None:
        put_points(tx, CUSTOM, "None", [point(NOW - 400 * DAY, [(1.0, 1.0)])], NOW - 400 * DAY)
        add_points(tx, [(of_table("UserErrors"), "Count", [point(NOW, [(1.0, 1.0)])])], NOW)

    write(storage, put)
    later = NOW + 100 * DAY
    assert write(storage, lambda tx: trim_groups(tx, later, b"", 10)) == (1, None)
    listed = fetch(storage, lambda tx: [each.metric.name for each in known_metrics(tx, ACCOUNT, REGION, None)])
    assert listed == ["UserErrors"]


def test_metrics_are_listed_by_account_region_and_namespace(storage: Storage) -> None:
    others = [
        CUSTOM,
        CUSTOM._replace(namespace="Crimes2"),
        CUSTOM._replace(name="é" * 50, dimensions=()),
        CUSTOM._replace(region="eu-west-1"),
        CUSTOM._replace(account="999999999999"),
        of_table("UserErrors", "a.table"),
        of_table("ThrottledRequests", "a.table"),
    ]

    def put(tx: Any) -> None:
        for metric in others:
            put_points(tx, metric, "Count", [point(NOW, [(1.0, 1.0)])], NOW)

    write(storage, put)

    def names(namespace: str | None) -> set[Metric]:
        return fetch(storage, lambda tx: {each.metric for each in known_metrics(tx, ACCOUNT, REGION, namespace)})

    assert names("Crimes") == {others[0], others[2]}
    assert names("Crime") == set()
    assert names(DYNAMODB) == {others[5], others[6]}
    assert names(None) == {*others[:3], *others[5:]}


def test_a_statistic_set_is_kept_as_it_is(storage: Storage) -> None:
    write(storage, lambda tx: put_points(tx, CUSTOM, "None", [statistic_set(NOW, 2.5, 10.25, -1, 7)], NOW))
    assert stored(storage, CUSTOM, 60) == [Point(NOW, 2.5, 10.25, -1, 7)]


@pytest.mark.parametrize(
    ("period", "days", "expected"),
    [
        *[(60, 1, 60), (120, 1, 60), (300, 1, 300), (600, 2, 300), (3600, 1, 3600), (86_400, 300, 3600)],
        *[(60, 20, 300), (60, 100, 3600), (300, 100, 3600), (60, 500, 3600), (1, 1, 60)],
    ],
)
def test_the_period_that_is_read(period: int, days: int, expected: int) -> None:
    assert period_of(period, NOW - days * DAY, NOW) == expected


def test_a_table_that_is_not_used_has_consumed_nothing(tmp_path: Path) -> None:
    """CloudWatch has samples of 0 for it; without them, autoscaling would never scale a quiet table down."""
    now = [float(NOW)]
    database = InProcessDatabase(tmp_path, clock=lambda: now[0], store="memory")
    keys = {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "day")],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    index = {
        "IndexName": "by-day",
        "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    database.call("CreateTable", {"TableName": "results", "GlobalSecondaryIndexes": [index], **keys})
    now[0] += 600
    reader = MetricReader(clock=lambda: now[0])
    consumed = of_table("ConsumedReadCapacityUnits")

    def read(metric: Metric, period: int) -> list[tuple[int, float, float]]:
        found = fetch(database.storage, lambda tx: reader.points(tx, metric, NOW - 600, now[0] + 600, period))
        return [(each.time - NOW, each.count, each.total) for _, points in found for each in points]

    write(
        database.storage,
        lambda tx: add_points(tx, [(consumed, "Count", [point(NOW + 120, [(2.0, 3.0)])])], NOW),
    )
    minutes = [(60 * minute, 1.0, 0.0) for minute in range(10)]
    minutes[2] = (120, 3.0, 6.0)
    assert read(consumed, 60) == minutes
    assert read(consumed, 300) == [(0, 3.0, 6.0), (300, 5.0, 0.0)]
    of_index = consumed._replace(dimensions=(("GlobalSecondaryIndexName", "by-day"), (TABLE, "results")))
    assert len(read(of_index, 60)) == 10
    for other in (
        of_table("ConsumedReadCapacityUnits", "other"),
        of_table("UserErrors"),
        consumed._replace(dimensions=(("GlobalSecondaryIndexName", "other"), (TABLE, "results"))),
        consumed._replace(dimensions=(("Operation", "GetItem"), (TABLE, "results"))),
    ):
        assert read(other, 60) == []
    listed = fetch(database.storage, lambda tx: list(reader.metrics(tx, ACCOUNT, REGION, DYNAMODB)))
    assert len(listed) == 4
    assert fetch(database.storage, lambda tx: list(reader.metrics(tx, ACCOUNT, REGION, "Other"))) == []
    database.close()
