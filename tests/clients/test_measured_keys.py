"""What several workers count, as boto3 and `blotter tables cost --measure` read it back from a real server."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from click.testing import CliRunner

from blotter.cli import main
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

CONNECTIONS = 8
KEYS = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}


def _client(serving: Serving, service: str) -> Any:
    # One client, and so one connection, for each thread: the kernel spreads connections over the workers.
    config = Config(max_pool_connections=1)
    return boto3.client(service, "us-east-1", endpoint_url=serving.url, config=config, **KEYS)


def _report(serving: Serving, rule: str) -> dict[str, float]:
    now = time.time()
    times = {"StartTime": now - 3600, "EndTime": now + 120, "Period": 60}
    report = _client(serving, "cloudwatch").get_insight_rule_report(RuleName=rule, **times)
    return {each["Keys"][0]: each["ApproximateAggregateValue"] for each in report["Contributors"]}


def test_units_of_all_workers_are_added_to_the_unit(serve: Serve, tmp_path: Path) -> None:
    serving = serve("--workers", "2")
    dynamodb = _client(serving, "dynamodb")
    dynamodb.create_table(
        TableName="shop-orders-dev",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    named = {"TableName": "shop-orders-dev"}
    dynamodb.update_contributor_insights(**named, ContributorInsightsAction="ENABLE")
    wait_until(lambda: dynamodb.describe_contributor_insights(**named)["ContributorInsightsStatus"] == "ENABLED")
    rule = dynamodb.describe_contributor_insights(**named)["ContributorInsightsRuleList"][0]
    others = [_client(serving, "dynamodb") for _ in range(CONNECTIONS)]

    def put(key: str, client: Any) -> None:
        client.put_item(**named, Item={"id": {"S": key}})

    def work(client: Any) -> None:
        for number in range(10):
            put(f"key {number % 2}", client)
            client.get_item(**named, Key={"id": {"S": "key 0"}}, ConsistentRead=True)

    numbers = itertools.count()
    with ThreadPoolExecutor(CONNECTIONS) as threads:

        def all_count() -> bool:
            """Workers look every second whether there are insights: all count when a key over every connection
            has been counted each time."""
            list(threads.map(partial(put, f"warm {next(numbers)}"), others))
            return CONNECTIONS * 3.0 in _report(serving, rule).values()

        wait_until(all_count)
        list(threads.map(work, others))
    expected = {"key 0": CONNECTIONS * (5 * 3.0 + 10 * 1.0), "key 1": CONNECTIONS * 5 * 3.0}
    wait_until(lambda: {key: _report(serving, rule).get(key) for key in expected} == expected)

    declared = tmp_path / "blotter.toml"
    declared.write_text(
        f'app = "shop"\n[environments.dev]\nregion = "us-east-1"\nendpoint = "{serving.url}"\n'
        '[tables.orders]\npartition_key = { name = "id", type = "S" }\n'
    )
    environment = {"AWS_ENDPOINT_URL": serving.url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    arguments = ["tables", "cost", "--config", str(declared), "--measure", "1", "--json"]
    answer = CliRunner(env=environment).invoke(main, arguments)
    assert answer.exit_code == 0, answer.output
    (measured,) = json.loads(answer.stdout)["tables"]
    assert measured["traffic"]["write_units_per_second"] > 0
    assert measured["traffic"]["origin"] == "measured over 1 days"
