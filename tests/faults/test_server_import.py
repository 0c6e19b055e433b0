"""Imports and bulk operations over what goes wrong: kill -9 again and again, after which both end as if nothing
had happened (with `-m slow`), and a store of objects that is not there."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.faults.plain_client import Client
from tests.moto_server import WsgiServer, moto_application, moto_server
from tests.postgres_server import free_port
from tests.waiting import wait_until

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
    first: float,
) -> tuple[Serving, str, int]:
    """The server at the end, the ARN, and how often it was killed before the work had ended. It is left alone for
    longer each time, at first for `first` seconds at most, so that every step is killed, fast machine or slow."""
    chance = random.Random(kills)
    serving = serve(data_dir=data_dir)
    arn = begin(Client(serving.address))
    killed = 0
    while killed < kills:
        time.sleep(chance.uniform(0.5, 1) * first * 1.4**killed)
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
        serve, data_dir, begin, lambda client, arn: str(describe(client, arn)["ImportStatus"]), 8, 0.8
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
        0.3,
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


def test_buckets_of_s3_that_are_not_there_or_not_yet(serve: Serve) -> None:
    s3 = WsgiServer(moto_application(), free_port())
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
    variables = {"AWS_ENDPOINT_URL_S3": s3.url, **keys}
    client_of_s3 = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=s3.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    serving = serve("--workers", "1", "--objects", "s3://own/blotter", variables=variables)
    for bucket in ("own", "source"):
        client_of_s3.create_bucket(Bucket=bucket)
    lines = b"".join(json.dumps({"Item": item(number)}).encode() + b"\n" for number in range(5))
    client_of_s3.put_object(Bucket="source", Key="in/1.json", Body=lines + b'{"Item": {"g": {"S": "x"}}}\n')
    client = Client(serving.address)

    def begin(table: str, **source: Any) -> str:
        status, answer = client.call(
            "ImportTable",
            ClientToken=table,
            S3BucketSource=source,
            InputFormat="DYNAMODB_JSON",
            TableCreationParameters={"TableName": table, **KEYS},
        )
        assert status == 200, answer
        arn: str = answer["ImportTableDescription"]["ImportArn"]
        return arn

    def described(arn: str) -> dict[str, Any]:
        answer: dict[str, Any] = client.call("DescribeImport", ImportArn=arn)[1]["ImportTableDescription"]
        return answer

    def ended(arn: str) -> tuple[str, str, int]:
        wait_until(lambda: described(arn)["ImportStatus"] != "IN_PROGRESS")
        found = described(arn)
        return found["ImportStatus"], found["FailureCode"], found["ImportedItemCount"]

    assert ended(begin("missing", S3Bucket="nowhere")) == ("FAILED", "S3NoSuchBucket", 0)
    assert client.call("DescribeTable", TableName="missing")[0] == 400
    found = begin("found", S3Bucket="source", S3KeyPrefix="in/")
    assert ended(found) == ("FAILED", "ItemValidationError", 5)
    assert len(scanned(client, "found")) == 5
    log = f"blotter/_blotter/imports/{found.rpartition('/')[2]}/error/000001.json"
    logged = json.loads(client_of_s3.get_object(Bucket="own", Key=log)["Body"].read())
    assert logged["itemS3Pointer"]["line"] == 6
    s3.stop()
    waiting = begin("waiting", S3Bucket="source", S3KeyPrefix="in/")
    wait_until(lambda: "will be tried again until it succeeds" in serving.log.read_text())
    assert described(waiting)["ImportStatus"] == "IN_PROGRESS"
    with moto_server(s3.port):
        assert ended(waiting) == ("FAILED", "ItemValidationError", 5)
