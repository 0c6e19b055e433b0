"""kill -9 during an import and a bulk operation, again and again: both end as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import Client

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

KEYS: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("p", "g")],
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def item(number: int) -> dict[str, Any]:
    return {"p": {"S": f"key-{number}"}, "g": {"S": f"g{number % 7}"}, "n": {"N": str(number)}}


def put_lines(data_dir: Path, prefix: str, items: int, **more: Any) -> None:
    """Objects of 5,000 items each; every thousandth line has no key."""
    folder = data_dir / "objects" / "source" / prefix
    folder.mkdir(parents=True)
    for start in range(0, items, 5000):
        lines = [json.dumps({"Item": item(number), **more}) for number in range(start, min(items, start + 5000))]
        lines[500::1000] = [json.dumps({"Item": {"g": {"S": "x"}}})] * len(lines[500::1000])
        (folder / f"{start:07}.json").write_text("\n".join(lines) + "\n")


def run_and_kill(
    serve: Serve,
    data_dir: Path,
    begin: Callable[[Client], str],
    status: Callable[[Client, str], str],
    kills: int,
    wait: tuple[float, float],
) -> tuple[Serving, str, int]:
    """The server at the end, the ARN, and how often it was killed before the work had ended."""
    chance = random.Random(kills)
    serving = serve(data_dir=data_dir)
    arn = begin(Client(serving.address))
    killed = 0
    while killed < kills:
        time.sleep(chance.uniform(*wait))
        if status(Client(serving.address), arn) != "IN_PROGRESS":
            break
        os.killpg(serving.process.pid, signal.SIGKILL)
        serving.process.wait()
        killed += 1
        serving = serve(data_dir=data_dir)
    deadline = time.monotonic() + 300
    client = Client(serving.address)
    while status(client, arn) == "IN_PROGRESS":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return serving, arn, killed


def scanned(client: Client, table: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    start: dict[str, Any] = {}
    while True:
        status, page = client.call("Scan", TableName=table, **more, **start)
        assert status == 200, page
        found |= {each["p"]["S"]: each for each in page["Items"]}
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def expected(items: int) -> dict[str, Any]:
    numbers = (number for number in range(items) if number % 1000 != 500)
    return {f"key-{number}": item(number) for number in numbers}


@pytest.mark.slow
def test_an_import_that_is_killed_again_and_again(serve: Serve, tmp_path: Path) -> None:
    data_dir, items = tmp_path / "data", 150_000
    put_lines(data_dir, "in/", items)

    def begin(client: Client) -> str:
        status, answer = client.call(
            "ImportTable",
            ClientToken="one",
            S3BucketSource={"S3Bucket": "source", "S3KeyPrefix": "in/"},
            InputFormat="DYNAMODB_JSON",
            TableCreationParameters={"TableName": "imported", **KEYS},
        )
        assert status == 200, answer
        arn: str = answer["ImportTableDescription"]["ImportArn"]
        return arn

    def describe(client: Client, arn: str) -> dict[str, Any]:
        status, answer = client.call("DescribeImport", ImportArn=arn)
        assert status == 200, answer
        found: dict[str, Any] = answer["ImportTableDescription"]
        return found

    serving, arn, killed = run_and_kill(
        serve, data_dir, begin, lambda client, arn: str(describe(client, arn)["ImportStatus"]), 8, (1.0, 9.0)
    )
    assert killed >= 3
    client = Client(serving.address)
    ended = describe(client, arn)
    assert (ended["ImportStatus"], ended["FailureCode"]) == ("FAILED", "ItemValidationError")
    assert (ended["ProcessedItemCount"], ended["ErrorCount"]) == (items, items // 1000)
    assert scanned(client, "imported") == expected(items)
    assert scanned(client, "imported", IndexName="by-g") == expected(items)


@pytest.mark.slow
def test_a_bulk_operation_that_is_killed_again_and_again(serve: Serve, tmp_path: Path) -> None:
    data_dir, items = tmp_path / "data", 60_000
    unless_there = {"ConditionExpression": "attribute_not_exists(p)"}
    put_lines(data_dir, "in/", items, **unless_there)

    def begin(client: Client) -> str:
        assert client.call("CreateTable", TableName="books", **KEYS)[0] == 200
        status, answer = client.call(
            "StartBulkPutItems",
            TableName="books",
            InputS3Configuration={"S3Bucket": "source", "S3KeyPrefix": "in/", "InputFormat": "DYNAMODB_JSON"},
            OutputS3Configuration={
                "S3Bucket": "report",
                "OutputType": ["ERROR", "CONDITION_CHECK_FAILURE"],
            },
        )
        assert status == 200, answer
        arn: str = answer["BulkOperationDescription"]["BulkOperationArn"]
        return arn

    def describe(client: Client, arn: str) -> dict[str, Any]:
        status, answer = client.call("DescribeBulkOperation", BulkOperationArn=arn)
        assert status == 200, answer
        found: dict[str, Any] = answer["BulkOperationDescription"]
        return found

    serving, arn, killed = run_and_kill(
        serve,
        data_dir,
        begin,
        lambda client, arn: str(describe(client, arn)["BulkOperationStatus"]),
        8,
        (0.5, 3.0),
    )
    assert killed >= 3
    client = Client(serving.address)
    ended = describe(client, arn)
    assert ended["BulkOperationStatus"] == "COMPLETED_WITH_ERRORS"
    assert (ended["ProcessedItemCount"], ended["FailedItemCount"]) == (items, items // 1000)
    assert scanned(client, "books") == expected(items)
    report = data_dir / "objects" / "report" / "AWSDynamoDB" / arn.rpartition("/")[2]
    assert not (report / "CONDITION_CHECK_FAILURE").exists(), "no condition was evaluated twice"
    lines = [line for path in sorted((report / "ERROR").iterdir()) for line in path.read_text().splitlines()]
    assert len(lines) == items // 1000
