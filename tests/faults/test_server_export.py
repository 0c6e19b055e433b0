"""The commands for backups, restores and exports against a server: in a folder, in S3, its background killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import Config
from click.testing import CliRunner

from blotter.cli import main
from tests.moto_server import moto_server

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

KEYS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}


@pytest.fixture
def s3() -> Iterator[str]:
    with moto_server() as server:
        yield server.url


def client_of(url: str, service: str = "dynamodb") -> Any:
    return boto3.client(
        service,
        "us-east-1",
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"mode": "standard", "total_max_attempts": 5}),
    )


def fill(client: Any, count: int) -> None:
    client.create_table(
        TableName="books",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    for first in range(0, count, 25):
        requests = [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(first, first + 25)]
        assert client.batch_write_item(RequestItems={"books": requests})["UnprocessedItems"] == {}
    client.update_continuous_backups(
        TableName="books", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def command(serving: Serving, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    """The document of a command that succeeded."""
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": serving.url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(serving.data_dir.parent)
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def export(serving: Serving, monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = command(serving, monkeypatch, "export", *options, "--wait")["export"]
    return found


def exported(folder: Path) -> list[str]:
    """The keys of the items in the data files of a folder."""
    lines = [line for path in folder.glob("*.json.gz") for line in gzip.decompress(path.read_bytes()).splitlines()]
    return sorted(json.loads(line)["Item"]["id"]["S"] for line in lines)


def test_exports_end_though_the_background_is_killed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = serve("--workers", "1")
    client = client_of(serving.url)
    fill(client, 500)
    expected = sorted(str(number) for number in range(500))
    arn = client.describe_table(TableName="books")["Table"]["TableArn"]
    started = [client.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports") for _ in range(3)]
    background = next(
        pid for name, pid in serving.children().items() if "background" in name or "backgroun" in name
    )
    os.kill(background, signal.SIGKILL)
    buckets = serving.data_dir / "objects" / "exports"
    for answer in started:
        found = export(serving, monkeypatch, answer["ExportDescription"]["ExportArn"])
        assert (found["status"], found["item_count"]) == ("COMPLETED", 500)
        assert exported((buckets / found["manifest"]).parent / "data") == expected
    client.delete_item(TableName="books", Key={"id": {"S": "7"}})
    found = export(serving, monkeypatch, "books", "--bucket", "exports", "--prefix", "daily")
    assert found["item_count"] == 499
    assert found["manifest"].startswith("daily/AWSDynamoDB/")
    one = '{"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "8"}}}'
    found = export(serving, monkeypatch, "books", "--bucket", "exports", "--filter", one)
    assert exported((buckets / found["manifest"]).parent / "data") == ["8"]
    files = [path for path in buckets.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert [path for path in files if path.name.startswith(".")] == []


def test_backups_and_restores_by_the_commands(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = serve("--workers", "1")
    client = client_of(serving.url)
    fill(client, 50)
    arn = client.describe_table(TableName="books")["Table"]["TableArn"]
    made = command(serving, monkeypatch, "backup", "create", "books", "--wait")["backup"]
    assert (made["status"], made["item_count"]) == ("AVAILABLE", 50)
    listed = command(serving, monkeypatch, "backup", "list", "books")["backups"]
    assert [found["arn"] for found in listed] == [made["arn"]]
    restored = command(serving, monkeypatch, "restore", "second", "--from-backup", made["arn"], "--wait")["table"]
    assert (restored["status"], restored["source_backup"]) == ("ACTIVE", made["arn"])
    restored = command(serving, monkeypatch, "restore", "third", "--from-table", "books", "--wait")["table"]
    assert (restored["status"], restored["source_table"]) == ("ACTIVE", arn)
    for name in ("second", "third"):
        assert client.scan(TableName=name, Select="COUNT")["Count"] == 50
    assert command(serving, monkeypatch, "backup", "delete", made["arn"], "--yes")["deleted"]["arn"] == made["arn"]
    assert command(serving, monkeypatch, "backup", "list", "books")["backups"] == []


def test_exports_go_into_buckets_of_s3(serve: Serve, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"AWS_ENDPOINT_URL_S3": s3} | KEYS
    serving = serve("--workers", "1", "--objects", "s3://own/blotter", variables=variables)
    store, client = client_of(s3, "s3"), client_of(serving.url)
    for bucket in ("own", "exports"):
        store.create_bucket(Bucket=bucket)
    fill(client, 100)
    found = export(serving, monkeypatch, "books", "--bucket", "exports")
    manifest = json.loads(store.get_object(Bucket="exports", Key=found["manifest"])["Body"].read())
    lines = store.get_object(Bucket="exports", Key=manifest["manifestFilesS3Key"])["Body"].read().splitlines()
    entries = [json.loads(line) for line in lines]
    assert sum(entry["itemCount"] for entry in entries) == 100
    for entry in entries:
        head = store.head_object(Bucket="exports", Key=entry["dataFileS3Key"])
        assert head["ETag"].strip('"') == entry["etag"]

    # Encrypted by a key of KMS; a bucket that is not there.
    found = export(serving, monkeypatch, "books", "--bucket", "exports", "--sse", "KMS", "--kms-key", "alias/mine")
    head = store.head_object(Bucket="exports", Key=found["manifest"])
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/mine")
    for owner in ((), ("--bucket-owner", "123456789012")):
        result = CliRunner().invoke(main, ["export", "books", "--bucket", "absent", *owner, "--wait"])
        assert result.exit_code == 1
        assert "S3NoSuchBucket: The specified bucket does not exist" in result.stderr
