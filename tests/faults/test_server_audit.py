"""The audit trail of a running server: lookups by boto3 and the AWS CLI, workers that are killed, the files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from tests.conftest import Serve, Serving, serve_command
from tests.waiting import wait_until

_TABLE: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
_SECRET = "Q7secretQ7"


def _client(serving: Serving, service: str, **more: Any) -> Any:
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, proxies={})
    given = {"region_name": "us-east-1", "aws_access_key_id": "AKIATEST", "aws_secret_access_key": "b", **more}
    return boto3.client(service, endpoint_url=serving.url, config=config, **given)


def _audit(serving: Serving, *arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "blotter", "audit", *arguments, "--data-dir", str(serving.data_dir)]
    done = subprocess.run(command, env=serve_command()[1], capture_output=True, text=True, check=False)
    assert done.returncode == status, done
    return done.stdout


def test_events_are_looked_up(serve: Serve, tmp_path: Path) -> None:
    serving = serve("--workers", "2")
    dynamodb, trail = _client(serving, "dynamodb"), _client(serving, "cloudtrail")
    assert trail.lookup_events()["Events"] == []
    for name in ("music", "films", "books"):
        dynamodb.create_table(TableName=name, **_TABLE)
    dynamodb.put_item(TableName="music", Item={"pk": {"S": _SECRET}})
    with pytest.raises(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(TableName="music", **_TABLE)
    _client(serving, "dynamodb", region_name="eu-west-1").list_tables()
    _client(serving, "sts", aws_access_key_id="AKIAOTHER").get_caller_identity()

    events = trail.lookup_events()["Events"]
    assert [(event["EventName"], event["ReadOnly"]) for event in events] == [
        ("GetCallerIdentity", "true"),
        ("CreateTable", "false"),
        ("CreateTable", "false"),
        ("CreateTable", "false"),
        ("CreateTable", "false"),
        ("LookupEvents", "true"),
    ]
    refused = json.loads(events[1]["CloudTrailEvent"])
    assert refused["errorCode"] == "ResourceInUseException"
    assert refused["responseElements"] is None
    assert events[1]["Resources"] == [{"ResourceType": "AWS::DynamoDB::Table", "ResourceName": "music"}]

    def found(key: str, value: str) -> list[str]:
        asked = [{"AttributeKey": key, "AttributeValue": value}]
        pages = trail.get_paginator("lookup_events").paginate(
            LookupAttributes=asked, PaginationConfig={"PageSize": 1}
        )
        return [event["EventName"] for page in pages for event in page["Events"]]

    assert found("ResourceName", "music") == ["CreateTable"] * 2
    assert found("ResourceType", "AWS::DynamoDB::Table") == ["CreateTable"] * 4
    assert found("EventName", "GetCallerIdentity") == ["GetCallerIdentity"]
    assert found("EventSource", "sts.amazonaws.com") == ["GetCallerIdentity"]
    assert found("AccessKeyId", "AKIAOTHER") == ["GetCallerIdentity"]
    assert found("EventId", events[0]["EventId"]) == ["GetCallerIdentity"]
    assert found("ReadOnly", "false") == ["CreateTable"] * 4
    assert found("Username", "nobody") == []
    assert trail.lookup_events(EndTime=events[-1]["EventTime"].timestamp() - 5)["Events"] == []
    abroad = _client(serving, "cloudtrail", region_name="eu-west-1").lookup_events()["Events"]
    assert [event["EventName"] for event in abroad] == ["ListTables"]

    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": serving.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    command = "cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateTable"
    wanted = ["--query", "Events[].Resources[0].ResourceName", "--output", "text"]
    aws = [str(Path(sys.executable).with_name("aws")), *command.split(), *wanted]
    printed = subprocess.run(aws, env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["music", "books", "films", "music"]


_REFUSALS = {
    "InvalidLookupAttributesException": {
        "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "a"}] * 2
    },
    "InvalidTimeRangeException": {"StartTime": 20, "EndTime": 10},
    "InvalidMaxResultsException": {"MaxResults": 51},
    "InvalidNextTokenException": {"NextToken": "nonsense"},
    "InvalidEventCategoryException": {"EventCategory": "other"},
    "ValidationException": {"LookupAttributes": [{"AttributeKey": "Color", "AttributeValue": "red"}]},
}


def test_refusals_of_lookups_and_of_other_operations(server: Serving) -> None:
    trail = _client(server, "cloudtrail")
    for code, arguments in _REFUSALS.items():
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            trail.lookup_events(**arguments)
        assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(botocore.exceptions.ClientError, match="not implement DescribeTrails of AWS CloudTrail"):
        trail.describe_trails()


def test_principals_secrets_and_strangers(enforced_server: Serving) -> None:
    """With enforced access: users and role sessions with what they are, refusals by policies, what IAM hands out
    hidden, and strangers, some of whom are recorded."""
    root = (enforced_server.data_dir / "root-credentials").read_text().split()
    keys = {"aws_access_key_id": root[root.index("aws_access_key_id") + 2], "aws_secret_access_key": root[-1]}
    iam = _client(enforced_server, "iam", **keys)
    iam.create_user(UserName="alice")
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    alice = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    with pytest.raises(botocore.exceptions.ClientError, match="not authorized to perform: dynamodb:DeleteTable"):
        _client(enforced_server, "dynamodb", **alice).delete_table(TableName="music")
    with pytest.raises(botocore.exceptions.ClientError, match="cloudtrail:LookupEvents"):
        _client(enforced_server, "cloudtrail", **alice).lookup_events()
    stranger = _client(enforced_server, "dynamodb", aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
    for _ in range(3):
        with pytest.raises(botocore.exceptions.ClientError, match="security token"):
            stranger.create_table(TableName="music", **_TABLE)
    trail = _client(enforced_server, "cloudtrail", **keys)

    def events(key: str, value: str) -> list[dict[str, Any]]:
        asked = [{"AttributeKey": key, "AttributeValue": value}]
        return [
            json.loads(each["CloudTrailEvent"]) for each in trail.lookup_events(LookupAttributes=asked)["Events"]
        ]

    lookup, deletion = events("Username", "alice")
    assert (deletion["eventName"], deletion["errorCode"]) == ("DeleteTable", "AccessDeniedException")
    assert deletion["userIdentity"]["type"] == "IAMUser"
    assert deletion["userIdentity"]["arn"].endswith(":user/alice")
    assert (lookup["eventName"], lookup["errorCode"]) == ("LookupEvents", "AccessDenied")
    (creation,) = events("ResourceName", made["AccessKeyId"])
    assert creation["responseElements"]["accessKey"]["secretAccessKey"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    wait_until(lambda: events("AccessKeyId", "AKIAIOSFODNN7EXAMPLE"))
    unknown = events("AccessKeyId", "AKIAIOSFODNN7EXAMPLE")[0]
    assert unknown["userIdentity"]["type"] == "Unknown"
    assert unknown["errorCode"] == "UnrecognizedClientException"
    assert unknown["requestParameters"] is None
    assert made["SecretAccessKey"] not in _audit(enforced_server, "show", "--json")


def test_killed_workers_lose_no_record_of_what_was_answered(serve: Serve) -> None:
    """Clients make tables while workers are killed: every table whose making was answered has its record, once,
    the trail verifies at every moment, and after a stop all records are in files."""
    serving = serve("--workers", "2")
    answered: list[str] = []
    stop = threading.Event()

    def make(name: str) -> None:
        client = _client(serving, "dynamodb")
        number = 0
        while not stop.is_set():
            number += 1
            table = f"{name}-{number:04}"
            try:
                client.create_table(TableName=table, **_TABLE)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                continue
            answered.append(table)

    clients = [threading.Thread(target=make, args=(f"table-{number}",)) for number in range(4)]
    for client in clients:
        client.start()
    for _ in range(4):
        before = len(answered)
        wait_until(lambda before=before: len(answered) > before + 8)  # type: ignore[misc]
        workers = serving.workers()
        victim = sorted(workers)[0]
        os.kill(workers[victim], signal.SIGKILL)
        wait_until(lambda pid=workers[victim]: pid not in serving.workers().values())  # type: ignore[misc]
        _audit(serving, "verify")
    stop.set()
    for client in clients:
        client.join()
    assert serving.stop() == 0
    events = [json.loads(line) for line in _audit(serving, "show", "--json").splitlines()]
    made = [
        event["requestParameters"]["tableName"]
        for event in events
        if event["eventName"] == "CreateTable" and "errorCode" not in event
    ]
    assert set(answered) <= set(made)
    assert len(made) == len(set(made))
    assert "nothing was changed" in _audit(serving, "verify")
    assert not list((serving.data_dir / "audit" / "current").glob("*.journal"))


def test_data_events_and_what_is_shown(serve: Serve) -> None:
    """`--audit all`, TLS in the records, filters, following, and no value of an item in any file."""
    serving = serve("--workers", "1", "--audit", "all", "--tls-self-signed")
    trusted = str(serving.data_dir / "tls" / "ca.pem")
    dynamodb = _client(serving, "dynamodb", verify=trusted)
    dynamodb.create_table(TableName="music", **_TABLE)
    command = [sys.executable, "-m", "blotter", "audit", "show", "--follow", "--operation", "UpdateItem"]
    following = subprocess.Popen(
        [*command, "--data-dir", str(serving.data_dir)], env=serve_command()[1], stdout=subprocess.PIPE, text=True
    )
    dynamodb.put_item(TableName="music", Item={"pk": {"S": "a"}, "v": {"S": _SECRET}})
    with pytest.raises(dynamodb.exceptions.ClientError):
        dynamodb.update_item(
            TableName="music",
            Key={"pk": {"S": "a"}},
            UpdateExpression="ADD v :v",
            ExpressionAttributeValues={":v": {"N": _SECRET}},
        )
    dynamodb.execute_statement(Statement=f"UPDATE music SET v = '{_SECRET}' WHERE pk = 'a'")
    assert following.stdout is not None
    line = following.stdout.readline()
    following.terminate()
    following.wait()
    following.stdout.close()
    assert line.split()[2:5] == ["root", "UpdateItem", "music"]
    wait_until(lambda: "ExecuteStatement" in _audit(serving, "show", "--table", "music", "--user", "AKIATEST"))
    (put,) = _audit(serving, "show", "--json", "--operation", "PutItem", "--since", "1h").splitlines()
    event = json.loads(put)
    assert event["requestParameters"] == {"tableName": "music", "key": {"pk": "a"}, "item": ["pk", "v"]}
    assert event["tlsDetails"]["tlsVersion"] == "TLSv1.3"
    assert event["eventCategory"] == "Data"
    lookups = _client(serving, "cloudtrail", verify=trusted).lookup_events()["Events"]
    assert [event["EventName"] for event in lookups] == ["CreateTable"]
    assert serving.stop() == 0
    contents = _audit(serving, "show", "--json")
    assert "ExecuteStatement" in contents
    assert _SECRET not in contents
    next(iter(serving.data_dir.glob("audit/AWSLogs/**/*.json.gz"))).unlink()
    assert "is missing" in _audit(serving, "verify", status=1)


def test_without_a_trail(serve: Serve) -> None:
    serving = serve("--workers", "1", "--audit", "off")
    _client(serving, "dynamodb").create_table(TableName="music", **_TABLE)
    with pytest.raises(botocore.exceptions.ClientError, match="keeps no audit trail"):
        _client(serving, "cloudtrail").lookup_events()
    assert not (serving.data_dir / "audit").exists()
    _audit(serving, "show", status=2)

    in_memory = serve("--in-memory")
    _client(in_memory, "dynamodb").create_table(TableName="music", **_TABLE)
    events = _client(in_memory, "cloudtrail").lookup_events()["Events"]
    assert [event["EventName"] for event in events] == ["CreateTable"]
