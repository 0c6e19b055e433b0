"""Contributor insights: which keys are counted, for how much, and what a rule's report says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.background.insights import InsightSweeper
from blotter.database.insight_watch import InsightWatch
from blotter.database.insights.points import HOURS_KEPT, MINUTES_KEPT, POINTS
from blotter.database.insights.report import METRICS, Report, datapoint, make_report
from blotter.database.insights.settings import Kind, find_insights
from blotter.database.storage.protocol import METRICS_SPACE
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

START = 1_790_000_040.0  # the begin of a minute


class Insights:
    """A table `books` (id, at) with a global index `by-author` (by), and one process that counts."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.database = InProcessDatabase(folder, lambda: self.now)
        self.watch = self.process()
        self.call(
            "CreateTable",
            TableName="books",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "N"},
                {"AttributeName": "by", "AttributeType": "S"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-author",
                    "KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )

    def process(self) -> InsightWatch:
        watch = InsightWatch(self.database.storage, lambda: self.now)
        watch.attach(None, self.database.pipeline.account_with)
        return watch

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def set(self, action: str = "ENABLE", **more: Any) -> None:
        self.call("UpdateContributorInsights", TableName="books", ContributorInsightsAction=action, **more)
        self.database.run(self.watch.look())

    def put(self, key: str, at: int, **more: str) -> None:
        item = {"id": {"S": key}, "at": {"N": str(at)}} | {name: {"S": value} for name, value in more.items()}
        self.call("PutItem", TableName="books", Item=item)

    def get(self, key: str, at: int) -> None:
        self.call("GetItem", TableName="books", Key={"id": {"S": key}, "at": {"N": str(at)}})

    def report(
        self, kind: Kind = "PKC", index: str = "", seconds: float = 3600, period: int = 60, **more: Any
    ) -> Report:
        self.database.run(self.watch.flush())
        with self.database.storage.read() as tx:  # type: ignore[union-attr]
            found = find_insights(tx, ACCOUNT, REGION, "books", index)
            assert found is not None
            end = self.now + 60
            return make_report(tx, found, kind, end - seconds, end, period, self.now, count=10, **more)


@pytest.fixture
def insights(tmp_path: Path) -> Iterator[Insights]:
    insights = Insights(tmp_path / "data")
    yield insights
    insights.database.close()


def test_units_are_counted_by_partition_and_by_item_writes_three_times(insights: Insights) -> None:
    insights.set()
    insights.put("a", 1)
    insights.put("a", 2)
    insights.put("b", 1)
    insights.get("a", 1)
    report = insights.report()
    assert report.contributors == [(["a"], 6.5), (["b"], 3.0)]
    assert (report.total, report.unique) == (9.5, 2)
    assert insights.report("SKC").contributors == [(["a", "1"], 3.5), (["a", "2"], 3.0), (["b", "1"], 3.0)]


def test_a_request_on_many_items_is_shared_among_them(insights: Insights) -> None:
    insights.set()
    item = {"id": {"S": "a"}, "at": {"N": "1"}}
    other = {"id": {"S": "b"}, "at": {"N": "1"}}
    insights.call("BatchWriteItem", RequestItems={"books": [{"PutRequest": {"Item": i}} for i in (item, other)]})
    insights.call("TransactWriteItems", TransactItems=[{"Put": {"TableName": "books", "Item": item}}])
    insights.call("BatchGetItem", RequestItems={"books": {"Keys": [item, other]}})
    assert insights.report().contributors == [(["a"], 9.5), (["b"], 3.5)]


def test_a_query_counts_for_its_partition_and_a_scan_for_none(insights: Insights) -> None:
    insights.set()
    insights.call(
        "Query",
        TableName="books",
        KeyConditionExpression="id = :a AND #at > :b",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":a": {"S": "a"}, ":b": {"N": "1"}},
    )
    insights.call("Scan", TableName="books")
    insights.call("ExecuteStatement", Statement="SELECT * FROM books WHERE id = 'b'")  # as on AWS
    assert insights.report().contributors == [(["a"], 0.5)]
    assert insights.report("SKC").contributors == []


def test_an_index_has_insights_of_its_own(insights: Insights) -> None:
    insights.set(IndexName="by-author")
    insights.put("a", 1, by="poe")
    insights.call(
        "Query",
        TableName="books",
        IndexName="by-author",
        KeyConditionExpression="#by = :a",
        ExpressionAttributeNames={"#by": "by"},
        ExpressionAttributeValues={":a": {"S": "poe"}},
    )
    assert insights.report(index="by-author").contributors == [(["poe"], 3.5)]


def test_only_throttled_keys_in_the_mode_of_that_name(insights: Insights) -> None:
    insights.set(ContributorInsightsMode="THROTTLED_KEYS")
    insights.put("a", 1)
    assert insights.report("PKC").contributors == []
    assert insights.report("PKT").contributors == []


def test_without_insights_requests_do_not_come_here(insights: Insights) -> None:
    changes: list[object] = []
    watch = InsightWatch(insights.database.storage, lambda: insights.now)
    watch.attach(None, changes.append)
    insights.database.run(watch.look())
    assert changes == []
    insights.set()
    insights.database.run(watch.look())
    insights.set(IndexName="by-author")
    insights.database.run(watch.look())
    insights.set("DISABLE")
    insights.set("DISABLE", IndexName="by-author")
    insights.database.run(watch.look())
    assert changes == [watch.ended, None]


def test_what_several_processes_count_is_added(insights: Insights) -> None:
    insights.set()
    insights.put("a", 1)
    insights.database.run(insights.watch.flush())
    insights.watch = insights.process()
    insights.database.run(insights.watch.look())
    insights.put("a", 1)
    insights.put("b", 1)
    assert insights.report().contributors == [(["a"], 6.0), (["b"], 3.0)]


def test_periods_are_aligned_and_have_their_own_statistics(insights: Insights) -> None:
    insights.set()
    insights.put("a", 1)
    insights.put("b", 1)
    insights.put("b", 1)
    insights.now += 60
    insights.put("a", 1)
    report = insights.report()
    assert sorted(report.periods) == [int(START), int(START) + 60]
    first = {metric: datapoint(report.periods[int(START)], metric) for metric in METRICS}
    assert first == {
        "UniqueContributors": 2.0,
        "MaxContributorValue": 6.0,
        "SampleCount": 2.0,
        "Sum": 9.0,
        "Minimum": 3.0,
        "Maximum": 6.0,
        "Average": 4.5,
    }
    assert insights.report(by_maximum=True).contributors == [(["b"], 6.0), (["a"], 3.0)]
    (only,) = insights.report(seconds=7200, period=3600).periods.values()
    assert only.total == 12.0


def test_days_later_hours_are_left_and_then_nothing(insights: Insights) -> None:
    insights.set()
    insights.put("a", 1)
    insights.database.run(insights.watch.flush())
    sweeper = InsightSweeper(insights.database.storage, lambda: insights.now)

    def stored() -> int:
        with insights.database.storage.read() as tx:  # type: ignore[union-attr]
            return len(tx.items(METRICS_SPACE, *POINTS, 100))

    insights.database.run(sweeper.run_once())
    assert stored() == 4  # two rules, a minute and an hour of each
    insights.now += (MINUTES_KEPT + 120) * 60
    insights.database.run(sweeper.run_once())
    assert stored() == 2
    report = insights.report(seconds=3 * 86_400, period=3600)
    assert report.contributors == [(["a"], 3.0)]
    insights.now += HOURS_KEPT * 60
    insights.database.run(sweeper.run_once())
    assert stored() == 0


def test_disabling_and_deleting_take_the_points_away(insights: Insights) -> None:
    insights.set()
    insights.put("a", 1)
    insights.report()
    insights.set("DISABLE")
    insights.database.run(InsightSweeper(insights.database.storage, lambda: insights.now).run_once())
    with insights.database.storage.read() as tx:  # type: ignore[union-attr]
        assert tx.items(METRICS_SPACE, *POINTS, 100) == []
    insights.set()
    insights.call("DeleteTable", TableName="books")
    with insights.database.storage.read() as tx:  # type: ignore[union-attr]
        assert find_insights(tx, ACCOUNT, REGION, "books") is None


def test_the_traffic_is_known_by_its_place_in_the_hash_space(insights: Insights) -> None:
    insights.set()
    for number in range(200):
        insights.put(f"key {number}", 1)
    report = insights.report()
    (point,) = report.periods.values()
    assert sum(point.spread) == point.total == 600.0
    assert sum(part > 0 for part in point.spread) > 40
    assert abs(report.unique - 200) <= 10
