"""The rules of contributor insights, as CloudWatch's clients see them in each of its protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.insight_watch import InsightWatch
from tests.cloudwatch_in_process import NOON, CloudWatchInProcess, Refused
from tests.in_process import InProcessDatabase


class Reports:
    """A table `books` (id, at), whose requests are counted, and CloudWatch over the same store."""

    def __init__(self, cloudwatch: CloudWatchInProcess, folder: Path) -> None:
        self.cloudwatch = cloudwatch
        self.database = InProcessDatabase(
            folder, lambda: cloudwatch.now, store=lambda *_, **__: cloudwatch.storage
        )
        self.watch = InsightWatch(cloudwatch.storage, lambda: cloudwatch.now)
        self.watch.attach(None, self.database.pipeline.account_with)
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
            ],
        )
        self.call("UpdateContributorInsights", TableName="books", ContributorInsightsAction="ENABLE")
        self.database.run(self.watch.look())

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def put(self, key: str, at: int = 1) -> None:
        self.call("PutItem", TableName="books", Item={"id": {"S": key}, "at": {"N": str(at)}})

    def rule(self, kind: str) -> str:
        rules = self.call("DescribeContributorInsights", TableName="books")["ContributorInsightsRuleList"]
        return str(next(rule for rule in rules if f"-{kind}-" in rule))

    def report(self, kind: str, **more: Any) -> dict[str, Any]:
        self.database.run(self.watch.flush())
        times = {"StartTime": NOON - 600, "EndTime": NOON + 600, "Period": 60}
        return self.cloudwatch.call("GetInsightRuleReport", **({"RuleName": self.rule(kind)} | times | more))


@pytest.fixture
def reports(cloudwatch: CloudWatchInProcess, tmp_path: Path) -> Iterator[Reports]:
    reports = Reports(cloudwatch, tmp_path)
    yield reports
    reports.database.close()


@pytest.fixture
def in_each_protocol(each: CloudWatchInProcess, tmp_path: Path) -> Iterator[Reports]:
    reports = Reports(each, tmp_path)
    yield reports
    reports.database.close()


def test_the_most_accessed_keys_are_read_back(in_each_protocol: Reports) -> None:
    reports = in_each_protocol
    reports.put("a")
    reports.put("a", 2)
    reports.put("b")
    reports.cloudwatch.now += 60
    reports.put("a")
    report = reports.report("PKC", Metrics=["MaxContributorValue", "UniqueContributors", "Sum"])
    assert report["KeyLabels"] == ["PartitionKey"]
    assert (report["AggregationStatistic"], report["AggregateValue"]) == ("Sum", 12.0)
    assert report["ApproximateUniqueCount"] == 2
    first, second = report["Contributors"]
    assert (first["Keys"], first["ApproximateAggregateValue"]) == (["a"], 9.0)
    assert (second["Keys"], second["ApproximateAggregateValue"]) == (["b"], 3.0)
    points = [(point["Timestamp"].timestamp(), point["ApproximateValue"]) for point in first["Datapoints"]]
    assert points == [(NOON, 6.0), (NOON + 60, 3.0)]
    metrics = [
        (point["MaxContributorValue"], point["UniqueContributors"], point["Sum"])
        for point in report["MetricDatapoints"]
    ]
    assert metrics == [(6.0, 2.0, 9.0), (3.0, 1.0, 3.0)]
    items = reports.report("SKC")
    assert items["KeyLabels"] == ["PartitionKey", "SortKey"]
    assert [each["Keys"] for each in items["Contributors"]] == [["a", "1"], ["a", "2"], ["b", "1"]]
    assert reports.report("PKT")["Contributors"] == []


def test_the_rules_are_described_while_they_exist(reports: Reports) -> None:
    rules = reports.cloudwatch.call("DescribeInsightRules")["InsightRules"]
    assert [rule["Name"].split("-")[1] for rule in rules] == ["PKC", "PKT", "SKC", "SKT"]
    assert all(rule["ManagedRule"] and rule["State"] == "ENABLED" for rule in rules)
    assert json.loads(rules[0]["Definition"])["Contribution"]["Keys"] == ["PartitionKey"]
    page = reports.cloudwatch.call("DescribeInsightRules", MaxResults=3)
    rest = reports.cloudwatch.call("DescribeInsightRules", MaxResults=3, NextToken=page["NextToken"])
    assert [rule["Name"] for rule in page["InsightRules"] + rest["InsightRules"]] == [
        rule["Name"] for rule in rules
    ]
    reports.call("UpdateContributorInsights", TableName="books", ContributorInsightsAction="DISABLE")
    assert reports.cloudwatch.call("DescribeInsightRules")["InsightRules"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"StartTime": NOON, "EndTime": NOON},
        {"MaxContributorCount": 26},
        {"MaxContributorCount": 0},
        {"Period": 59},
        {"Metrics": ["Median"]},
        {"OrderBy": "Average"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_reported_is_refused(reports: Reports, wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        reports.report("PKC", **wrong)
    assert refused.value.status == 400


def test_a_rule_that_is_not_there_is_not_found(reports: Reports) -> None:
    with pytest.raises(Refused) as refused:
        reports.report("PKC", RuleName="another")
    assert refused.value.status == 404
    assert "another" in refused.value.message


def test_a_rule_of_a_table_with_a_long_name_can_be_asked_for(reports: Reports) -> None:
    name = "n" * 255
    reports.call(
        "CreateTable",
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    reports.call("UpdateContributorInsights", TableName=name, ContributorInsightsAction="ENABLE")
    rule = reports.call("DescribeContributorInsights", TableName=name)["ContributorInsightsRuleList"][0]
    assert len(rule) <= 128
    assert reports.report("PKC", RuleName=rule)["Contributors"] == []
