"""Levels that are sampled, and what the background counts of its own work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.background.duties import Duties
from blotter.database.background.metrics import AFTER_MINUTE, AGAIN, MetricsKeeper
from blotter.database.background.runner import Background
from blotter.database.metrics.collector import Collector
from blotter.database.metrics.counting import Counters
from blotter.database.metrics.names import BLOTTER, DYNAMODB
from blotter.database.metrics.point_store import known_metrics, read_points
from blotter.database.metrics.shared import SharedCounters
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

START = 1_796_000_100 // 300 * 300


class Kept:
    """A database whose minutes are kept; `clock` stands still unless it is moved."""

    def __init__(self, folder: Path) -> None:
        self.now = float(START)
        self.shared = SharedCounters(2, ACCOUNT, REGION)
        self.counters = Counters(self.shared.slot(0), ACCOUNT, REGION, self.clock)
        self.database = InProcessDatabase(folder, clock=self.clock, store="memory", counters=self.counters)
        self.levels: list[tuple[str, float]] = []
        self.keeper = MetricsKeeper(
            self.database.storage,
            self.shared,
            self.counters,
            Collector(self.database.storage, self.shared, 1 << 30, self.clock),
            lambda: self.levels,
            clock=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def ok(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def minutes(self, count: int) -> None:
        """Lets minutes pass, each of which is kept."""
        for _ in range(count):
            self.now += 60
            self.database.run(self.keeper.run_once())

    def stored(
        self, name: str, namespace: str = DYNAMODB
    ) -> dict[tuple[str, ...], list[tuple[int, float, float]]]:
        """Minutes since START, samples and sums of a metric, by the values of its dimensions."""

        def read(tx: Any) -> dict[tuple[str, ...], list[tuple[int, float, float]]]:
            return {
                tuple(value for _, value in each.metric.dimensions): [
                    ((point.time - START) // 60, point.count, point.total)
                    for _, point in read_points(tx, each.metric, 60, 0, 1 << 33)
                ]
                for each in known_metrics(tx, ACCOUNT, REGION, namespace)
                if each.metric.name == name
            }

        return self.database.run(self.database.storage.fetch(read))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.database.close()


def units(read: int, write: int) -> dict[str, Any]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def attributes(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


def test_provisioned_units_are_sampled_every_five_minutes(kept: Kept) -> None:
    index = {
        "IndexName": "by-date",
        "KeySchema": [{"AttributeName": "date_", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
        "ProvisionedThroughput": units(30, 40),
    }
    kept.ok(
        "CreateTable",
        TableName="provisioned",
        AttributeDefinitions=attributes("id", "date_"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[index],
        ProvisionedThroughput=units(800, 400),
    )
    kept.ok(
        "CreateTable",
        TableName="on-demand",
        AttributeDefinitions=attributes("id"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        OnDemandThroughput={"MaxReadRequestUnits": 70},
    )
    kept.minutes(12)
    assert kept.stored("ProvisionedReadCapacityUnits") == {
        ("provisioned",): [(1, 1, 800), (5, 1, 800), (10, 1, 800)],
        ("by-date", "provisioned"): [(1, 1, 30), (5, 1, 30), (10, 1, 30)],
    }
    assert kept.stored("OnDemandMaxReadRequestUnits") == {("on-demand",): [(1, 1, 70), (5, 1, 70), (10, 1, 70)]}
    assert kept.stored("OnDemandMaxWriteRequestUnits") == {}
    assert kept.stored("AccountMaxReads")[()][0] == (1, 1, 80_000)
    assert kept.stored("AccountMaxTableLevelWrites")[()][0] == (1, 1, 40_000)
    ((_, _, part),) = kept.stored("AccountProvisionedReadCapacityUtilization")[()][:1]
    assert part == pytest.approx(100 * 830 / 80_000, abs=1e-3)
    ((_, _, part),) = kept.stored("MaxProvisionedTableWriteCapacityUtilization")[()][:1]
    assert part == pytest.approx(1)


def test_the_servers_own_levels_are_sampled_each_minute(kept: Kept) -> None:
    kept.levels = [("Connections", 17), ("WriteAheadLogSize", 4_000_000)]
    kept.minutes(2)
    kept.levels = [("Connections", 3)]
    kept.shared.note_restart()
    kept.minutes(2)
    assert kept.stored("Connections", BLOTTER)[()] == [(1, 1, 17), (2, 1, 17), (3, 1, 3)]
    assert kept.stored("WriteAheadLogSize", BLOTTER)[()] == [(1, 1, 4_000_000), (2, 1, 4_000_000)]
    assert kept.stored("WorkerRestarts", BLOTTER)[()] == [(3, 1, 1)]


def test_expired_items_and_the_progress_of_an_index_are_counted(kept: Kept) -> None:
    kept.ok(
        "CreateTable",
        TableName="notes",
        AttributeDefinitions=attributes("id"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    kept.ok(
        "UpdateTimeToLive",
        TableName="notes",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"},
    )
    for number in range(300):
        until = START - 10 if number < 60 else START + 10_000_000
        kept.ok("PutItem", TableName="notes", Item={"id": {"S": str(number)}, "until": {"N": str(until)}})
    kept.database.background = False
    index = {
        "IndexName": "by-id",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    kept.ok(
        "UpdateTable",
        TableName="notes",
        AttributeDefinitions=attributes("id"),
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )
    seconds = iter(range(1_000_000))
    background = Background(
        kept.database.storage, kept.clock, lambda: float(next(seconds)), counters=kept.counters
    )
    kept.database.run(background.run_once())
    kept.minutes(1)
    ((_, _, deleted),) = kept.stored("TimeToLiveDeletedItemCount")[("notes",)]
    assert deleted == 60
    ((_, samples, total),) = kept.stored("OnlineIndexPercentageProgress")[("by-id", "notes")]
    assert samples > 5
    assert 0 < total / samples < 100


def test_a_late_process_is_looked_for_again(kept: Kept) -> None:
    other = Counters(kept.shared.slot(1), ACCOUNT, REGION, kept.clock)
    other.add("UserErrors")
    assert kept.keeper.pause() == 60 + AFTER_MINUTE
    kept.now += 60 + AFTER_MINUTE
    assert kept.keeper.pause() == AGAIN
    kept.database.run(kept.keeper.run_once())
    assert kept.stored("UserErrors") == {}
    other.finish_minute()
    kept.database.run(kept.keeper.run_once())
    assert kept.stored("UserErrors") == {(): [(0, 1, 1)]}
    assert kept.keeper.pause() == 60.0


def test_the_keeper_runs_until_it_is_stopped(kept: Kept) -> None:
    """It is woken by time alone, and stops at once."""
    duties = Duties(kept.database.storage, kept.keeper)

    async def run() -> None:
        task = asyncio.create_task(duties.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    kept.database.run(run())
