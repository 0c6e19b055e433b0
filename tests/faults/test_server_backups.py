"""Backups and restores of a running server: killed in the middle, with S3 as their store, and that store gone.

Clients write all the while. What a backup holds is known all the same: each writer has items of its own and raises
their number, so at one moment all of them together are a line through what was acknowledged before CreateBackup
and what was sent before its answer.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from tests.faults.plain_client import Client
from tests.moto_server import moto_server
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

ITEMS = 1500
WRITERS = 2
TABLE = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "kind")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-kind",
            "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


def client_of(serving: Serving) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=serving.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def fill(client: Any) -> None:
    client.create_table(TableName="books", **TABLE)
    for start in range(0, ITEMS, 25):
        items = [
            {"pk": {"S": f"item-{number}"}, "kind": {"S": f"k{number % 7}"}, "text": {"S": "x" * (number % 300)}}
            for number in range(start, start + 25)
        ]
        client.batch_write_item(RequestItems={"books": [{"PutRequest": {"Item": item}} for item in items]})


class Writers:
    """Threads that raise the number of their own items, one after another, until they are stopped. `sent` and
    `acknowledged` have the last number of each."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sent = [0] * WRITERS
        self.acknowledged = [0] * WRITERS
        self.failures: list[Any] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(address, number)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, address: tuple[str, int], number: int) -> None:
        client = Client(address)
        while not self._stop.is_set():
            self.sent[number] += 1
            item = {"pk": {"S": f"writer-{number}"}, "kind": {"S": "w"}, "n": {"N": str(self.sent[number])}}
            status, answer = client.call("PutItem", TableName="books", Item=item)
            if status != 200:
                self.failures.append(answer)
                return
            self.acknowledged[number] = self.sent[number]


class Backed:
    """A backup that was requested while writers were at work, and what it may hold."""

    def __init__(self, client: Any, writers: Writers) -> None:
        low = list(writers.acknowledged)
        details = client.create_backup(TableName="books", BackupName="one")["BackupDetails"]
        self.arn: str = details["BackupArn"]
        self._between = list(zip(low, writers.sent, strict=True))

    def check(self, client: Any, table: str) -> None:
        items = [item for page in client.get_paginator("scan").paginate(TableName=table) for item in page["Items"]]
        own = [item for item in items if "n" not in item]
        assert {item["pk"]["S"] for item in own} == {f"item-{number}" for number in range(ITEMS)}
        assert all(len(item["text"]["S"]) == int(item["pk"]["S"][5:]) % 300 for item in own)
        numbers = {item["pk"]["S"]: int(item["n"]["N"]) for item in items if "n" in item}
        for number, (low, high) in enumerate(self._between):
            assert low <= numbers.get(f"writer-{number}", 0) <= high
        counted = client.query(
            TableName=table,
            IndexName="by-kind",
            KeyConditionExpression="kind = :k",
            ExpressionAttributeValues={":k": {"S": "k3"}},
            Select="COUNT",
        )
        assert counted["Count"] == sum(item["kind"]["S"] == "k3" for item in items)
        assert client.describe_table(TableName=table)["Table"]["ItemCount"] == len(items)


def is_available(client: Any, arn: str) -> bool:
    details = client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
    return bool(details["BackupStatus"] == "AVAILABLE")


def is_active(client: Any, table: str) -> bool:
    return bool(client.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE")


def kill_background(serving: Serving, chance: random.Random) -> None:
    """As soon as it is there, after some time in which it may have done anything."""
    wait_until(lambda: any("backgroun" in name for name in serving.children()))
    threading.Event().wait(chance.random() * 0.2)
    for name, pid in serving.children().items():
        if "backgroun" in name:
            os.kill(pid, signal.SIGKILL)


def rounds(serve: Serve, count: int, seed: int, *arguments: str, variables: dict[str, str] | None = None) -> None:
    chance = random.Random(seed)
    serving = serve("--workers", "2", *arguments, variables=variables)
    client = client_of(serving)
    fill(client)
    writers = Writers(serving.address)
    try:
        for number in range(count):
            backed = Backed(client, writers)
            kill_background(serving, chance)
            arn = backed.arn
            wait_until(lambda: is_available(client, arn))  # noqa: B023
            table = f"again-{number}"
            client.restore_table_from_backup(BackupArn=arn, TargetTableName=table)
            kill_background(serving, chance)
            wait_until(lambda: is_active(client, table))  # noqa: B023
            backed.check(client, table)
            client.delete_backup(BackupArn=arn)
            kill_background(serving, chance)
    finally:
        writers.stop()
    assert not writers.failures
    folder = serving.data_dir / "objects"
    if not arguments:
        wait_until(lambda: not [path for path in folder.rglob("*") if path.is_file()])
    assert serving.stop() == 0
    assert not [path for path in (serving.data_dir / "scratch").rglob("*") if path.is_file()]


def test_a_killed_background_process_goes_on_with_its_jobs(serve: Serve) -> None:
    rounds(serve, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_kills(serve: Serve, seed: int) -> None:
    rounds(serve, 12, seed)


@pytest.mark.slow
def test_a_killed_server_goes_on_with_its_jobs(serve: Serve) -> None:
    chance = random.Random(3)
    serving = serve("--workers", "2")
    fill(client_of(serving))
    for number in range(10):
        client = client_of(serving)
        arn = client.create_backup(TableName="books", BackupName="one")["BackupDetails"]["BackupArn"]
        if number % 2:
            wait_until(lambda: is_available(client, arn))  # noqa: B023
            client.restore_table_from_backup(BackupArn=arn, TargetTableName=f"again-{number}")
        threading.Event().wait(chance.random() * 0.1)
        os.killpg(serving.process.pid, signal.SIGKILL)
        serving.process.wait()
        serving = serve("--workers", "2", data_dir=serving.data_dir)
        client = client_of(serving)
        wait_until(lambda: is_available(client, arn))  # noqa: B023
        if number % 2:
            wait_until(lambda: is_active(client, f"again-{number}"))  # noqa: B023
            assert client.describe_table(TableName=f"again-{number}")["Table"]["ItemCount"] == ITEMS
    assert serving.stop() == 0


@pytest.fixture
def endpoint() -> Iterator[str]:
    """S3."""
    with moto_server() as server:
        yield server.url


def test_backups_in_s3_and_s3_gone_for_a_while(serve: Serve, endpoint: str) -> None:
    variables = {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    serving = serve("--workers", "1", "--objects", "s3://server-backups/of/books", variables=variables)
    client = client_of(serving)
    fill(client)
    arn = client.create_backup(TableName="books", BackupName="one")["BackupDetails"]["BackupArn"]
    # There is no such bucket yet: the log says so, and requests go on.
    wait_until(lambda: "s3://server-backups/of/books" in serving.log.read_text())
    assert not is_available(client, arn)
    client.put_item(TableName="books", Item={"pk": {"S": "later"}})
    store = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    store.create_bucket(Bucket="server-backups")
    wait_until(lambda: is_available(client, arn))
    names = [entry["Key"] for entry in store.list_objects_v2(Bucket="server-backups")["Contents"]]
    place = f"of/books/_blotter/backups/123456789012/us-east-1/{arn.rpartition('/')[2]}"
    assert names == [f"{place}/manifest", f"{place}/part-000001"]
    client.restore_table_from_backup(BackupArn=arn, TargetTableName="again")
    wait_until(lambda: is_active(client, "again"))
    assert client.describe_table(TableName="again")["Table"]["ItemCount"] == ITEMS
    client.delete_backup(BackupArn=arn)
    wait_until(lambda: "Contents" not in store.list_objects_v2(Bucket="server-backups"))
    assert serving.stop() == 0
    assert "secret" not in serving.log.read_text()
