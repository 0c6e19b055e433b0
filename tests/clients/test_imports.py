"""Imports, exports and bulk writes of a running server, with boto3 and `blotter import`: there and back again, and
callers without rights to the files."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.waiting import wait_until

Serving = Any  # tests/conftest.py

CREATION: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "kind")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-kind",
            "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
ITEMS: list[dict[str, Any]] = [
    {
        "pk": {"S": f"key-{number} ünïcode"},
        "kind": {"S": "even" if number % 2 == 0 else "odd"},
        "n": {"N": f"{number}.5"},
        "b": {"B": b"\x00\xff"},
        "set": {"NS": ["1", "2"]},
        "list": {"L": [{"BOOL": True}, {"NULL": True}, {"M": {"x": {"S": ""}}}]},
    }
    for number in range(300)
]


@pytest.fixture
def client(server: Serving) -> Any:
    return client_of(server, "dynamodb", ("local", "local"))


def client_of(server: Serving, service: str, key: tuple[str, ...]) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
    )


def put_object(server: Serving, name: str, content: bytes) -> None:
    file = server.data_dir / "objects" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def awaited(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something."""
    found: list[Any] = []

    def has_found() -> bool:
        found[:] = [look()]
        return bool(found[0])

    wait_until(has_found)
    return found[0]


def ended(client: Any, started: dict[str, Any]) -> dict[str, Any]:
    """An import that has ended."""
    arn = started["ImportTableDescription"]["ImportArn"]

    def look() -> dict[str, Any] | None:
        described: dict[str, Any] = client.describe_import(ImportArn=arn)["ImportTableDescription"]
        return None if described["ImportStatus"] == "IN_PROGRESS" else described

    return awaited(look)  # type: ignore[no-any-return]


def scanned(client: Any, table: str, **more: Any) -> dict[str, Any]:
    pages = client.get_paginator("scan").paginate(TableName=table, **more)
    return {item["pk"]["S"]: item for page in pages for item in page["Items"]}


@pytest.mark.parametrize("form", ["DYNAMODB_JSON", "ION"])
def test_an_export_is_imported_again(client: Any, form: str) -> None:
    name = f"source-{form}"
    arn = client.create_table(TableName=name, **CREATION)["TableDescription"]["TableArn"]
    for start in range(0, len(ITEMS), 25):
        puts = [{"PutRequest": {"Item": item}} for item in ITEMS[start : start + 25]]
        client.batch_write_item(RequestItems={name: puts})
    recovery = {"PointInTimeRecoveryEnabled": True}
    client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    export = client.export_table_to_point_in_time(
        TableArn=arn, S3Bucket="lake", S3Prefix="daily", ExportFormat=form
    )["ExportDescription"]["ExportArn"]

    def is_exported() -> bool:
        status: str = client.describe_export(ExportArn=export)["ExportDescription"]["ExportStatus"]
        assert status != "FAILED"
        return status == "COMPLETED"

    wait_until(is_exported)
    copy = f"copy-{form}"
    started = client.import_table(
        S3BucketSource={
            "S3Bucket": "lake",
            "S3KeyPrefix": f"daily/AWSDynamoDB/{export.rpartition('/')[2]}/data/",
        },
        InputFormat=form,
        InputCompressionType="GZIP",
        TableCreationParameters={"TableName": copy, **CREATION},
    )
    found = ended(client, started)
    assert found["ImportStatus"] == "COMPLETED", found
    assert (found["ProcessedItemCount"], found["ImportedItemCount"], found["ErrorCount"]) == (300, 300, 0)
    assert client.describe_table(TableName=copy)["Table"]["TableStatus"] == "ACTIVE"
    expected = {item["pk"]["S"]: item for item in ITEMS}
    assert scanned(client, copy) == expected
    assert scanned(client, copy, IndexName="by-kind") == expected
    arns = [each["ImportArn"] for each in client.list_imports()["ImportSummaryList"]]
    assert found["ImportArn"] in arns


def test_the_command_waits_for_an_import(server: Serving, aws_environment: dict[str, str], tmp_path: Path) -> None:
    put_object(server, "files/books/1.csv.gz", gzip.compress(b"pk,title\na,Emma\nb,Persuasion\n"))
    command = [sys.executable, "-m", "blotter", "import", "s3://files/books/", "--table", "books-by-command"]
    command += ["--format", "csv", "--compression", "gzip", "--partition-key", "pk:S", "--wait", "--json"]
    command += ["--region", "us-east-1"]
    done = subprocess.run(
        command, env={**os.environ, **aws_environment}, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["status"] == "COMPLETED", shown
    found = client_of(server, "dynamodb", ("local", "local")).scan(TableName="books-by-command")["Items"]
    assert sorted(item["title"]["S"] for item in found) == ["Emma", "Persuasion"]


def test_bulk_writes_into_a_table_in_use(server: Serving, client: Any) -> None:
    client.create_table(TableName="in-use", **CREATION)
    client.put_item(TableName="in-use", Item={"pk": {"S": "taken"}, "kind": {"S": "old"}})
    new = {
        "ConditionExpression": "attribute_not_exists(pk)",
        "Item": {"pk": {"S": "taken"}, "kind": {"S": "new"}},
    }
    lines = [{"Item": {"pk": {"S": f"k{number}"}, "kind": {"S": "new"}}} for number in range(50)]
    lines += [new, {"Item": {"kind": {"S": "no key"}}}]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    put_object(server, "bulk/in/1.json", content)
    arn = client.start_bulk_put_items(
        TableName="in-use",
        InputS3Configuration={"S3Bucket": "bulk", "S3KeyPrefix": "in/", "InputFormat": "DYNAMODB_JSON"},
        OutputS3Configuration={
            "S3Bucket": "reports",
            "OutputType": ["ERROR", "CONDITION_CHECK_FAILURE"],
        },
    )["BulkOperationDescription"]["BulkOperationArn"]

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_bulk_operation(BulkOperationArn=arn)["BulkOperationDescription"]
        return found if "EndTime" in found else None

    found = awaited(look)
    assert (found["BulkOperationStatus"], found["ProcessedItemCount"], found["FailedItemCount"]) == (
        "COMPLETED_WITH_ERRORS",
        52,
        1,
    )
    kinds = [item["kind"]["S"] for item in scanned(client, "in-use", IndexName="by-kind").values()]
    assert sorted(set(kinds)) == ["new", "old"]
    assert len(kinds) == 51
    report = server.data_dir / "objects" / "reports" / "AWSDynamoDB" / arn.rpartition("/")[2]
    assert sorted(path.relative_to(report).parts[0] for path in report.rglob("*.json")) == [
        "CONDITION_CHECK_FAILURE",
        "ERROR",
        "manifest-summary.json",
    ]


def test_who_may_not_read_the_files_may_not_import_them(enforced_server: Serving) -> None:
    server = enforced_server
    key = (server.data_dir / "root-credentials").read_text().split()
    root = (key[key.index("aws_access_key_id") + 2], key[key.index("aws_secret_access_key") + 2])
    iam = client_of(server, "iam", root)
    put_object(server, "private/data/1.csv", b"pk,kind\na,x\n")
    iam.create_user(UserName="importer")
    made = iam.create_access_key(UserName="importer")["AccessKey"]
    importer = client_of(server, "dynamodb", (made["AccessKeyId"], made["SecretAccessKey"]))
    request = {
        "S3BucketSource": {"S3Bucket": "private", "S3KeyPrefix": "data/"},
        "InputFormat": "CSV",
        "TableCreationParameters": {"TableName": "secrets", **CREATION},
    }
    tables = statement("dynamodb:*", "*")
    listing = statement("s3:ListBucket", "arn:aws:s3:::private")
    reading = statement("s3:GetObject", "arn:aws:s3:::private/data/*")
    for statements, missing in (([tables], "s3:ListBucket"), ([tables, listing], "s3:GetObject")):
        allow(iam, statements)
        wait_until(partial(is_refused, importer, request, missing))
    allow(iam, [tables, listing, reading])

    def begin() -> dict[str, Any] | None:
        try:
            started: dict[str, Any] = importer.import_table(**request)
        except ClientError:  # The policy is not everywhere yet.
            return None
        return started

    assert ended(importer, awaited(begin))["ImportStatus"] == "COMPLETED"


def is_refused(importer: Any, request: dict[str, Any], action: str) -> bool:
    """Whether the request is refused, as it must be, for the want of this action."""
    with pytest.raises(ClientError, match="AccessDeniedException") as refused:
        importer.import_table(**request)
    return f"perform: {action}" in str(refused.value)


def statement(action: str, resource: str) -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def allow(iam: Any, statements: list[dict[str, str]]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="importer", PolicyName="own", PolicyDocument=policy)
