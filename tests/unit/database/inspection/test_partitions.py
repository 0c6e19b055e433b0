"""`blotter inspect partitions`: the counts are exact, and what stands out is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from blotter.database.insight_watch import InsightWatch
from blotter.database.inspection.cli import inspect_command
from blotter.database.inspection.partition_text import partition_lines
from blotter.database.inspection.partitions import Partitions, read_partitions
from tests.in_process import InProcessDatabase

NOW = 1_790_000_040.0


def inspect(*arguments: str) -> Result:
    return CliRunner().invoke(inspect_command, list(arguments))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 orders of 61 customers, 120 of them of one; one customer is asked for all the time."""
    folder = tmp_path_factory.mktemp("partitions") / "data"
    database = InProcessDatabase(folder, lambda: NOW)
    watch = InsightWatch(database.storage, lambda: NOW)
    watch.attach(None, database.pipeline.account_with)

    def call(operation: str, **request: Any) -> None:
        status, body = database.call(operation, request)
        assert status == 200, body

    call(
        "CreateTable",
        TableName="orders",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "customer", "KeyType": "HASH"},
            {"AttributeName": "at", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "customer", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
            {"AttributeName": "state", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-state",
                "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    for number in range(300):
        customer = "large" if number < 120 else f"customer {number % 60}"
        item = {"customer": {"S": customer}, "at": {"N": str(number)}, "state": {"S": "open"}}
        call("PutItem", TableName="orders", Item=item)
    call("UpdateContributorInsights", TableName="orders", ContributorInsightsAction="ENABLE")
    database.run(watch.look())
    for number in range(100):
        customer = "customer 7\x1b[31m" if number < 60 else f"customer {number % 60}"
        call("GetItem", TableName="orders", Key={"customer": {"S": customer}, "at": {"N": "1"}})
    database.run(watch.flush())
    call(
        "CreateTable",
        TableName="empty",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "B"}],
    )
    database.close()
    return folder


@pytest.fixture(scope="module")
def orders(directory: Path) -> Partitions:
    return read_partitions(directory, "orders", clock=lambda: NOW)


def test_every_item_is_counted_in_one_part(orders: Partitions) -> None:
    assert len(orders.parts) == 64
    assert orders.items == sum(part.items for part in orders.parts) == 300
    assert orders.bytes == sum(part.bytes for part in orders.parts)
    assert orders.fullest == max(part.items for part in orders.parts) * 64 / 300


def test_the_largest_partition_keys_are_named(orders: Partitions) -> None:
    first = orders.largest[0]
    assert (first.key, first.items) == ({"customer": {"S": "large"}}, 120)
    assert len(orders.largest) == 10


def test_the_traffic_is_that_of_contributor_insights(orders: Partitions) -> None:
    assert orders.traffic is not None
    assert orders.traffic.units == sum(part.units for part in orders.parts) == 50.0
    hottest = orders.traffic.hottest[0]
    assert (hottest.key, hottest.units, hottest.peak) == (["customer 7\x1b[31m"], 30.0, 0.5)


def test_an_index_is_seen_by_its_own_keys(directory: Path) -> None:
    found = read_partitions(directory, "orders", "by-state", clock=lambda: NOW)
    assert [(each.key, each.items) for each in found.largest] == [({"state": {"S": "open"}}, 300)]
    assert found.fullest == 64.0
    assert found.traffic is None


def test_the_picture_has_a_bar_for_each_part_and_no_escapes(orders: Partitions) -> None:
    lines = list(partition_lines(orders))
    assert all(line.isprintable() for line in lines)
    bars = [line for line in lines if "│" in line]
    assert len(bars) == 10  # two charts of five rows
    assert {len(line.strip()) for line in bars} == {66}
    plain = "\n".join(partition_lines(orders, unicode=False))
    assert plain.isascii()
    assert "customer 7" in plain


def test_an_empty_table_is_no_error(directory: Path) -> None:
    found = read_partitions(directory, "empty", clock=lambda: NOW)
    assert (found.items, found.largest, found.traffic) == (0, [], None)
    assert "traffic is not counted" in "\n".join(partition_lines(found))


def test_the_command_answers_people_and_machines(directory: Path) -> None:
    place = ("--data-dir", str(directory))
    shown = inspect("partitions", "orders", *place)
    assert shown.exit_code == 0, shown.output
    assert "300" in shown.stdout
    machine = json.loads(inspect("partitions", "orders", *place, "--json", "--hours", "360").stdout)
    assert (machine["items"], len(machine["parts"])) == (300, 64)
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
    assert json.loads(inspect("partitions", arn, *place, "--json").stdout)["arn"] == arn
    missing = inspect("partitions", "none", *place)
    assert (missing.exit_code, missing.stderr) == (2, "blotter inspect: there is no table none\n")
    assert inspect("partitions", "orders", *place, "--index", "none").exit_code == 2
    assert inspect(*place, "partitions", "orders").exit_code == 2
    assert inspect(*place).exit_code == 0
