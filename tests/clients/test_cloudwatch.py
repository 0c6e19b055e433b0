"""CloudWatch of a running server with its clients: boto3 (CBOR), the AWS CLI, and `blotter tables`, up to what
arrives at a web hook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.waiting import wait_until

TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"
ALARM: dict[str, Any] = {
    "AlarmName": "busy",
    "Namespace": "Clients",
    "MetricName": "load",
    "Statistic": "Maximum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 10.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "AlarmActions": [TOPIC],
}
DECLARED = """\
app = "clients"

[environments.dev]
region = "us-east-1"

[tables.results]
partition_key = { name = "file_key", type = "S" }
billing_mode = "PAY_PER_REQUEST"

[tables.results.alarms.written]
metric = "ConsumedWriteCapacityUnits"
threshold = 3
comparison = "GreaterThanOrEqualToThreshold"
statistic = "Sum"
period = 60
evaluation_periods = 1
actions = ["arn:aws:sns:us-east-1:123456789012:ops"]
"""


class Hook:
    """A web hook; `messages` are those of SNS's envelopes. `failing` makes it answer 503."""

    def __init__(self) -> None:
        self.messages: Queue[dict[str, Any]] = Queue()
        self.failing = False
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(503 if hook.failing else 200)
                self.end_headers()
                if not hook.failing:
                    hook.messages.put(json.loads(body["Message"]))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/SECRET"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def client(service: str, url: str) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)


def publish(cloudwatch: Any, value: float) -> None:
    """Publishes a sample of a minute ago and one of now: alarms look once a minute, at the last minute that is
    over, and this one may be over when they do."""
    now = datetime.now(UTC)
    data = [{"MetricName": "load", "Value": value, "Timestamp": now - timedelta(seconds=ago)} for ago in (60, 0)]
    cloudwatch.put_metric_data(Namespace="Clients", MetricData=data)


def _executed(cloudwatch: Any) -> str:
    """The summary of the one action that was executed, once it is noted."""

    def items() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = cloudwatch.describe_alarm_history(HistoryItemType="Action")[
            "AlarmHistoryItems"
        ]
        return found

    wait_until(items)
    (item,) = items()
    return str(item["HistorySummary"])


def test_boto3_reads_what_tables_consumed(server: Any) -> None:
    dynamodb, cloudwatch = client("dynamodb", server.url), client("cloudwatch", server.url)
    dynamodb.create_table(
        TableName="read",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for _ in range(4):
        dynamodb.put_item(TableName="read", Item={"pk": {"S": "a"}})
    dimensions = [{"Name": "TableName", "Value": "read"}]
    names = {
        each["MetricName"]
        for page in cloudwatch.get_paginator("list_metrics").paginate(Dimensions=dimensions)
        for each in page["Metrics"]
    }
    assert {"ConsumedWriteCapacityUnits", "SuccessfulRequestLatency"} <= names
    now = datetime.now(UTC)
    stated = {"Namespace": "AWS/DynamoDB", "MetricName": "ConsumedWriteCapacityUnits", "Dimensions": dimensions}
    points = cloudwatch.get_metric_statistics(
        **stated,
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in points) == 4.0
    assert all(point["Timestamp"].tzinfo is not None for point in points)
    data = cloudwatch.get_metric_data(
        MetricDataQueries=[
            {"Id": "w", "MetricStat": {"Metric": stated, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
            {"Id": "e", "Expression": "RUNNING_SUM(FILL(w, 0)) * 10"},
        ],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
    )
    assert data["MetricDataResults"][0]["Values"][0] == 40.0


def test_boto3_raises_the_errors_of_its_model(server: Any) -> None:
    cloudwatch = client("cloudwatch", server.url)
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="x")
    with pytest.raises(ClientError) as error:
        cloudwatch.put_metric_data(Namespace="AWS/Mine", MetricData=[{"MetricName": "m", "Value": 1}])
    assert error.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_the_cli(aws_environment: dict[str, str], tmp_path: Path) -> None:
    def aws(line: str) -> Any:
        command = [sys.executable, "-m", "awscli", "cloudwatch", *line.split()]
        done = subprocess.run(
            command, capture_output=True, text=True, env=aws_environment, cwd=tmp_path, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    aws("put-metric-data --namespace Cli --metric-name load --value 2.5 --unit Seconds --dimensions Host=a")
    (listed,) = aws("list-metrics --namespace Cli --dimensions Name=Host,Value=a")["Metrics"]
    assert listed == {"Namespace": "Cli", "MetricName": "load", "Dimensions": [{"Name": "Host", "Value": "a"}]}
    start, end = (f"{datetime.now(UTC) + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in (-5, 1))
    found = aws(
        "get-metric-statistics --namespace Cli --metric-name load --dimensions Name=Host,Value=a --period 60 "
        f"--start-time {start} --end-time {end} --extended-statistics p90"
    )
    (point,) = found["Datapoints"]
    assert (point["ExtendedStatistics"], point["Unit"]) == ({"p90": 2.5}, "Seconds")
    aws(
        "put-metric-alarm --alarm-name cli --namespace Cli --metric-name load --statistic Sum --period 60 "
        "--evaluation-periods 2 --datapoints-to-alarm 1 --threshold 0.5 "
        "--comparison-operator GreaterThanThreshold --tags Key=team,Value=a"
    )
    (alarm,) = aws("describe-alarms --alarm-name-prefix cl")["MetricAlarms"]
    assert (alarm["Threshold"], alarm["DatapointsToAlarm"]) == (0.5, 1)
    assert aws(f"list-tags-for-resource --resource-arn {alarm['AlarmArn']}")["Tags"] == [
        {"Key": "team", "Value": "a"}
    ]
    aws("delete-alarms --alarm-names cli")
    assert aws("describe-alarms --alarm-name-prefix cl")["MetricAlarms"] == []


def test_an_alarm_of_a_declared_table_reaches_a_web_hook(serve: Any, hook: Hook, tmp_path: Path) -> None:
    """From `blotter tables apply` to the message."""
    serving = serve("--table-delay", "0", "--notify", f"{TOPIC}={hook.url}")
    (tmp_path / "blotter.toml").write_text(DECLARED)
    environment = {
        "AWS_ENDPOINT_URL_DYNAMODB": serving.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "PATH": "/usr/bin:/bin",
    }

    def tables(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "blotter", "tables", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    (applied,) = tables("apply")["tables"]
    assert applied["changed"] == ["table", "alarms"]
    assert tables("apply")["tables"][0]["result"] == "unchanged"
    cloudwatch = client("cloudwatch", serving.url)
    (table,) = client("dynamodb", serving.url).list_tables()["TableNames"]
    (alarm,) = cloudwatch.describe_alarms()["MetricAlarms"]
    assert (alarm["AlarmName"], alarm["AlarmActions"]) == (f"{table}-written", [TOPIC])
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="a test")
    message = hook.messages.get(timeout=60)
    assert (message["AlarmName"], message["NewStateValue"]) == (f"{table}-written", "ALARM")
    assert message["Trigger"]["MetricName"] == "ConsumedWriteCapacityUnits"
    assert _executed(cloudwatch) == f"Successfully executed action {TOPIC}"
    assert "SECRET" not in serving.log.read_text()


def test_a_notification_survives_the_death_of_the_process(serve: Any, hook: Hook) -> None:
    hook.failing = True
    arguments = ("--workers", "2", "--notify", f"*={hook.url}")
    serving = serve(*arguments)
    cloudwatch = client("cloudwatch", serving.url)
    publish(cloudwatch, 50.0)
    cloudwatch.put_metric_alarm(**ALARM)

    def state() -> bool:
        (alarm,) = cloudwatch.describe_alarms()["MetricAlarms"]
        return bool(alarm["StateValue"] == "ALARM")

    wait_until(state)
    wait_until(lambda: f"notifications of {TOPIC} to http://127.0.0.1" in serving.log.read_text())
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    hook.failing = False
    again = serve(*arguments, data_dir=serving.data_dir)
    assert hook.messages.get(timeout=60)["AlarmName"] == "busy"
    assert _executed(client("cloudwatch", again.url)) == f"Successfully executed action {TOPIC}"
    assert "SECRET" not in serving.log.read_text() + again.log.read_text()
