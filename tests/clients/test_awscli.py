"""The AWS CLI against a running Blotter: the commands people type, with what they print and their exit status.

Each command is a process that takes its time, so the rounds are short: what only the CLI does (its output formats,
its own paging with tokens, waiters, errors on stderr, input from files) and one command for each kind of request.
What an answer holds in full is for the tests of the SDKs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FAILED = 255
"""The exit status of version 1 when the service refused."""

TABLE = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "kind", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-kind",
            "KeySchema": [
                {"AttributeName": "kind", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "Tags": [{"Key": "team", "Value": "crimes"}],
}
ITEM: dict[str, Any] = {
    "pk": {"S": "types"},
    "sk": {"N": "-0.00000000000000000000000000000000000001"},
    "long": {"N": "12345678901234567890.123456789012345678"},
    "text": {"S": "grüße 🦉"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "list": {"L": [{"S": ""}, {"M": {"deep": {"L": [{"N": "1"}]}}}]},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["-1", "2.5"]},
}

Aws = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def aws(aws_environment: dict[str, str], tmp_path: Path) -> Aws:
    """Runs `aws`, with the split command line and further arguments, in an empty directory.

    Fails the test unless it ends with `status`.
    """

    def run(command: str, *further: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "aws"), *command.split(), *further],
            cwd=tmp_path,
            env=aws_environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def create(aws: Aws, directory: Path, table: str) -> str:
    """Creates the table of a file; returns its stream's ARN."""
    (directory / "table.json").write_text(json.dumps({"TableName": table, **TABLE}))
    command = "dynamodb create-table --cli-input-json file://table.json"
    return aws(f"{command} --query TableDescription.LatestStreamArn --output text").stdout.strip()


def same_sets(item: dict[str, Any]) -> dict[str, Any]:
    """The item with its sets in one order: theirs has no meaning."""
    return {
        name: {kind: sorted(value) if kind in ("SS", "NS") else value for kind, value in each.items()}
        for name, each in item.items()
    }


def test_a_table_its_items_and_its_stream(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps(ITEM))
    stream = create(aws, tmp_path, "cli")
    assert "table/cli/stream/" in stream
    assert aws("dynamodb wait table-exists --table-name cli").stdout == ""

    aws("dynamodb put-item --table-name cli --item file://item.json")
    key = json.dumps({name: ITEM[name] for name in ("pk", "sk")})
    got = aws("dynamodb get-item --table-name cli --consistent-read --key", key)
    assert same_sets(json.loads(got.stdout)["Item"]) == ITEM
    refused = aws(
        "dynamodb put-item --table-name cli --item file://item.json "
        "--condition-expression attribute_not_exists(pk)",
        status=FAILED,
    )
    assert refused.stderr.strip().endswith(
        "An error occurred (ConditionalCheckFailedException) when calling the PutItem operation: "
        "The conditional request failed"
    )

    described = f"dynamodbstreams describe-stream --stream-arn {stream} --output text"
    shards = aws(f"{described} --query StreamDescription.Shards[].ShardId").stdout.split()
    assert shards
    assert all(shard.startswith("shardId-") for shard in shards)
    aws("dynamodb delete-table --table-name cli")
    aws("dynamodb wait table-not-exists --table-name cli")


def test_pages_with_the_clis_own_tokens(aws: Aws, tmp_path: Path) -> None:
    create(aws, tmp_path, "cli-pages")
    puts = [
        {"PutRequest": {"Item": {"pk": {"S": "p"}, "sk": {"N": str(number)}, "kind": {"S": f"k{number % 2}"}}}}
        for number in range(20)
    ]
    (tmp_path / "batch.json").write_text(json.dumps({"cli-pages": puts}))
    written = aws("dynamodb batch-write-item --request-items file://batch.json")
    assert json.loads(written.stdout) == {"UnprocessedItems": {}}
    query = (
        "dynamodb query --table-name cli-pages --index-name by-kind --page-size 2 --max-items 5",
        *("--key-condition-expression", "kind = :k AND sk >= :from"),
        *("--expression-attribute-values", '{":k": {"S": "k1"}, ":from": {"N": "5"}}'),
    )
    first = json.loads(aws(*query).stdout)
    assert [item["sk"]["N"] for item in first["Items"]] == ["5", "7", "9", "11", "13"]
    rest = json.loads(aws(*query, "--starting-token", first["NextToken"]).stdout)
    assert [item["sk"]["N"] for item in rest["Items"]] == ["15", "17", "19"]
    assert "NextToken" not in rest

    statement = 'SELECT sk FROM "cli-pages" WHERE pk = ? AND sk < 3'
    selected = aws("dynamodb execute-statement --parameters", '[{"S": "p"}]', "--statement", statement)
    assert json.loads(selected.stdout)["Items"] == [{"sk": {"N": str(number)}} for number in range(3)]


def test_transactions_and_settings(aws: Aws, tmp_path: Path) -> None:
    create(aws, tmp_path, "cli-settings")
    put = {"TableName": "cli-settings", "Item": {"pk": {"S": "p"}, "sk": {"N": "1"}}}
    other = {"Item": {"pk": {"S": "p"}, "sk": {"N": "2"}}, "ConditionExpression": "attribute_exists(pk)"}
    (tmp_path / "writes.json").write_text(json.dumps([{"Put": put}, {"Put": put | other}]))
    cancelled = aws("dynamodb transact-write-items --transact-items file://writes.json", status=FAILED)
    assert "(TransactionCanceledException) when calling the TransactWriteItems operation" in cancelled.stderr
    assert "specific reasons [None, ConditionalCheckFailed]" in cancelled.stderr

    setting = aws(
        "dynamodb update-time-to-live --table-name cli-settings --output text "
        "--time-to-live-specification Enabled=true,AttributeName=expires"
    )
    assert setting.stdout == "TIMETOLIVESPECIFICATION\texpires\tTrue\n"


def test_who_am_i_and_what_is_not_here(aws: Aws) -> None:
    """The endpoint alone is enough: each service is found on the one port."""
    assert json.loads(aws("sts get-caller-identity").stdout) == {
        "UserId": "123456789012",
        "Account": "123456789012",
        "Arn": "arn:aws:iam::123456789012:root",
    }
    refused = aws("cloudwatch list-dashboards", status=FAILED)
    assert "Blotter does not implement ListDashboards of Amazon CloudWatch yet." in refused.stderr
