"""Application Auto Scaling with boto3 and the AWS CLI against a running server: the commands of
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.CLI.html, in their order.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.waiting import wait_until

READS, WRITES = "dynamodb:table:ReadCapacityUnits", "dynamodb:table:WriteCapacityUnits"


def _client(serving: Any, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=serving.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def _create(dynamodb: Any, table: str) -> dict[str, str]:
    """Returns what names the table to Application Auto Scaling."""
    dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[
            {"AttributeName": "Artist", "AttributeType": "S"},
            {"AttributeName": "SongTitle", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "Artist", "KeyType": "HASH"},
            {"AttributeName": "SongTitle", "KeyType": "RANGE"},
        ],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    return {"ServiceNamespace": "dynamodb", "ResourceId": f"table/{table}"}


def _units(dynamodb: Any, table: str) -> tuple[int, int]:
    units = dynamodb.describe_table(TableName=table)["Table"]["ProvisionedThroughput"]
    return units["ReadCapacityUnits"], units["WriteCapacityUnits"]


def test_the_commands_of_the_developer_guide(server: Any, aws_environment: dict[str, str], tmp_path: Path) -> None:
    dynamodb = _client(server, "dynamodb")
    target = _create(dynamodb, "TestTable")

    def aws(command: str, *further: str) -> dict[str, Any]:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "aws"), "application-autoscaling", *command.split(), *further],
            cwd=tmp_path,
            env=aws_environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "{}")  # type: ignore[no-any-return]

    where = "--service-namespace dynamodb --resource-id table/TestTable"
    aws(f"register-scalable-target {where} --scalable-dimension {WRITES} --min-capacity 8 --max-capacity 10")
    (tmp_path / "scaling-policy.json").write_text(
        json.dumps(
            {
                "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
                "ScaleOutCooldown": 60,
                "ScaleInCooldown": 60,
                "TargetValue": 50.0,
            }
        )
    )
    put = aws(
        f"put-scaling-policy {where} --scalable-dimension {WRITES} --policy-name MyScalingPolicy "
        "--policy-type TargetTrackingScaling "
        "--target-tracking-scaling-policy-configuration file://scaling-policy.json"
    )
    assert len(put["Alarms"]) == 4
    wait_until(lambda: _units(dynamodb, "TestTable") == (5, 8))
    (activity,) = aws(f"describe-scaling-activities {where}")["ScalingActivities"]
    assert activity["Cause"] == "minimum capacity was set to 8"
    scaling = _client(server, "application-autoscaling")
    scaling.delete_scaling_policy(**target, ScalableDimension=WRITES, PolicyName="MyScalingPolicy")
    scaling.deregister_scalable_target(**target, ScalableDimension=WRITES)
    listed = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=[target["ResourceId"]])
    assert listed["ScalableTargets"] == []


def test_bounds_schedules_and_tags_with_boto3(server: Any) -> None:
    dynamodb, scaling = (_client(server, service) for service in ("dynamodb", "application-autoscaling"))
    target = _create(dynamodb, "Scheduled")
    arn = scaling.register_scalable_target(
        **target, ScalableDimension=READS, MinCapacity=1, MaxCapacity=20, Tags={"stage": "test"}
    )["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"stage": "test"}

    def put() -> None:
        """An action that is due in a moment, if this machine is quick enough."""
        soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1.5))
        scaling.put_scheduled_action(
            **target,
            ScalableDimension=READS,
            ScheduledActionName="soon",
            Schedule=f"at({soon})",
            ScalableTargetAction={"MinCapacity": 9, "MaxCapacity": 30},
        )

    put_at = 0.0

    def scaled() -> bool:
        nonlocal put_at
        if _units(dynamodb, "Scheduled") == (9, 5):
            return True
        if time.monotonic() > put_at + 10:
            put()
            put_at = time.monotonic()
        return False

    wait_until(scaled)
    pages = scaling.get_paginator("describe_scaling_activities").paginate(
        **target, PaginationConfig={"PageSize": 1}
    )
    causes = [activity["Cause"] for page in pages for activity in page["ScalingActivities"]]
    once = list(dict.fromkeys(causes))  # On a slow machine, the action was put and triggered again.
    assert once == ["minimum capacity was set to 9", "scheduled action name soon was triggered"]
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**target, ScalableDimension=WRITES)
    with pytest.raises(scaling.exceptions.ValidationException):
        scaling.register_scalable_target(**target, ScalableDimension="dynamodb:table:Size")


@pytest.mark.slow
def test_a_busy_table_gets_what_it_needs_within_minutes(serve: Callable[..., Any]) -> None:
    """Two workers count, the background process decides. Nothing is throttled on the way: the burst is enough."""
    server = serve("--workers", "2", "--table-delay", "0")
    dynamodb, scaling = (_client(server, service) for service in ("dynamodb", "application-autoscaling"))
    target = _create(dynamodb, "Busy")
    scaling.register_scalable_target(**target, ScalableDimension=WRITES, MinCapacity=1, MaxCapacity=100)
    tracked = {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"}
    scaling.put_scaling_policy(
        **target,
        ScalableDimension=WRITES,
        PolicyName="follow",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 50.0,
            "PredefinedMetricSpecification": tracked,
        },
    )
    over = threading.Event()

    def write() -> None:
        """Ten units a second."""
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            dynamodb.put_item(TableName="Busy", Item={"Artist": {"S": "a"}, "SongTitle": {"S": "b"}})
            due += 0.1

    writer = threading.Thread(target=write)
    writer.start()
    deadline = time.monotonic() + 250
    while _units(dynamodb, "Busy")[1] == 5 and time.monotonic() < deadline:
        time.sleep(1)
    over.set()
    writer.join()
    assert 19 <= _units(dynamodb, "Busy")[1] <= 21
    activity = scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"][0]
    assert activity["StatusCode"] == "Successful"
    assert "AlarmHigh" in activity["Cause"]
