"""The operations of Application Auto Scaling as boto3 sees them.

Answers and messages: ack-api-quirks, DDB-TABLE-195, -196, -314 to -326 (2026), badmintoncryer/cdk-preflight (rules
pf-appautoscaling-*, measured 2026), and the examples of the AWS CLI's reference for application-autoscaling.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from blotter.database.security.policy import parse_policy
from blotter.database.security.principal import Principal
from tests.in_process import ACCOUNT
from tests.scaling_in_process import INDEX_READS, READS, START, WRITES, ScalingInProcess

UNSUPPORTED = "Unsupported service namespace, resource type or scalable dimension"
AT_START = datetime.fromtimestamp(START, UTC)


def test_a_target_is_registered_described_and_deregistered(scaling: ScalingInProcess) -> None:
    arn = scaling.register(5, 15)
    assert re.fullmatch(f"arn:aws:application-autoscaling:us-east-1:{ACCOUNT}:scalable-target/[0-9a-f]{{32}}", arn)
    expected = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/rides",
        "ScalableDimension": READS,
        "MinCapacity": 5,
        "MaxCapacity": 15,
        "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
        "CreationTime": AT_START,
        "SuspendedState": {
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
        "ScalableTargetARN": arn,
    }
    assert scaling.call("DescribeScalableTargets") == {"ScalableTargets": [expected]}
    assert scaling.call("RegisterScalableTarget", MaxCapacity=20) == {"ScalableTargetARN": arn}
    (target,) = scaling.call("DescribeScalableTargets")["ScalableTargets"]
    assert target == expected | {"MaxCapacity": 20}
    assert scaling.call("DeregisterScalableTarget") == {}
    assert scaling.call("DescribeScalableTargets") == {"ScalableTargets": []}
    assert scaling.refusal("DeregisterScalableTarget") == (
        "ObjectNotFoundException",
        "No scalable target registered for service namespace: dynamodb, resource ID: table/rides, scalable "
        f"dimension: {READS}",
    )


def test_what_belongs_to_a_target_goes_with_it(scaling: ScalingInProcess) -> None:
    scaling.register()
    scaling.track()
    _put_action(scaling)
    scaling.call("DeregisterScalableTarget")
    scaling.register()
    assert scaling.call("DescribeScalingPolicies")["ScalingPolicies"] == []
    assert scaling.call("DescribeScheduledActions")["ScheduledActions"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"MinCapacity": 1},
            "Both minimum capacity and maximum capacity must be specified for a new scalable target",
        ),
        ({"MinCapacity": 5, "MaxCapacity": 4}, "Maximum capacity cannot be less than minimum capacity"),
        ({"MinCapacity": 0, "MaxCapacity": 4}, "Minimum capacity cannot be less than 1"),
        ({"ResourceId": "rides", "MinCapacity": 1, "MaxCapacity": 2}, UNSUPPORTED),
        ({"ResourceId": "table/rides/index/", "MinCapacity": 1, "MaxCapacity": 2}, UNSUPPORTED),
        ({"ServiceNamespace": "ecs", "MinCapacity": 1, "MaxCapacity": 2}, UNSUPPORTED),
        ({"ScalableDimension": INDEX_READS, "MinCapacity": 1, "MaxCapacity": 2}, UNSUPPORTED),
        (
            {"ResourceId": "table/nowhere", "MinCapacity": 1, "MaxCapacity": 2},
            "DynamoDB table does not exist: table/nowhere",
        ),
        (
            {
                "ResourceId": "table/rides/index/x",
                "ScalableDimension": INDEX_READS,
                "MinCapacity": 1,
                "MaxCapacity": 2,
            },
            "DynamoDB index does not exist: table/rides/index/x",
        ),
    ],
)
def test_targets_that_cannot_be(scaling: ScalingInProcess, arguments: dict[str, Any], message: str) -> None:
    assert scaling.refusal("RegisterScalableTarget", **arguments) == ("ValidationException", message)


def test_the_models_constraints_are_checked(scaling: ScalingInProcess) -> None:
    code, message = scaling.refusal("RegisterScalableTarget", ScalableDimension="dynamodb:table:Size")
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value 'dynamodb:table:Size' at 'scalableDimension' failed to satisfy "
        "constraint: Member must satisfy enum value set: ["
    )
    code, message = scaling.refusal("PutScalingPolicy", PolicyName="")
    assert "at 'policyName' failed to satisfy constraint: Member must have length greater than or equal to 1" in (
        message
    )


def test_targets_of_another_region_are_others(scaling: ScalingInProcess) -> None:
    scaling.register()
    scaling.region = "eu-west-1"
    assert scaling.call("DescribeScalableTargets")["ScalableTargets"] == []
    assert scaling.refusal("DeregisterScalableTarget")[0] == "ObjectNotFoundException"


# Lists


def test_lists_have_filters_and_pages(scaling: ScalingInProcess) -> None:
    tables = [f"table-{number:02}" for number in range(7)]
    for name in tables:
        scaling.make_table(name)
        scaling.register(ResourceId=f"table/{name}")
        scaling.register(ResourceId=f"table/{name}", ScalableDimension=WRITES)
        scaling.track(ResourceId=f"table/{name}")
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = scaling.call("DescribeScalableTargets", MaxResults=3, **token)
        seen += [f"{each['ResourceId']} {each['ScalableDimension']}" for each in page["ScalableTargets"]]
        if "NextToken" not in page:
            break
        assert len(page["ScalableTargets"]) == 3
        token = {"NextToken": page["NextToken"]}
    assert seen == [f"table/{name} {dimension}" for name in tables for dimension in (READS, WRITES)]
    chosen = scaling.call(
        "DescribeScalableTargets", ResourceIds=["table/table-03", "table/table-05"], ScalableDimension=WRITES
    )
    assert [each["ResourceId"] for each in chosen["ScalableTargets"]] == ["table/table-03", "table/table-05"]
    assert scaling.call("DescribeScalableTargets", ServiceNamespace="ecs")["ScalableTargets"] == []
    policies = scaling.call("DescribeScalingPolicies", ResourceId="table/table-06")["ScalingPolicies"]
    assert [each["ResourceId"] for each in policies] == ["table/table-06"]
    assert scaling.refusal("DescribeScalingPolicies", **token) == (
        "InvalidNextTokenException",
        "The next token supplied was invalid.",
    )
    for wrong in ("x", "éé", "AAAA"):
        assert scaling.refusal("DescribeScalableTargets", NextToken=wrong)[0] == "InvalidNextTokenException"


# Policies


def test_a_policy_is_put_described_and_deleted(scaling: ScalingInProcess) -> None:
    scaling.register()
    put = scaling.track(70, "my-policy", settings={"ScaleInCooldown": 60})
    arn = put["PolicyARN"]
    assert re.fullmatch(
        rf"arn:aws:autoscaling:us-east-1:{ACCOUNT}:scalingPolicy:[0-9a-f-]{{36}}:resource/dynamodb/table/rides:"
        "policyName/my-policy",
        arn,
    )
    kinds = ["AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow"]
    for kind, alarm in zip(kinds, put["Alarms"], strict=True):
        assert re.fullmatch(rf"TargetTracking-table/rides-{kind}-[0-9a-f-]{{36}}", alarm["AlarmName"])
        assert alarm["AlarmARN"] == f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{alarm['AlarmName']}"
    expected = {
        "PolicyARN": arn,
        "PolicyName": "my-policy",
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/rides",
        "ScalableDimension": READS,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
            "ScaleInCooldown": 60,
        },
        "Alarms": put["Alarms"],
        "CreationTime": AT_START,
    }
    assert scaling.call("DescribeScalingPolicies") == {"ScalingPolicies": [expected]}
    scaling.now += 60
    again = scaling.track(50.5, "my-policy", settings={"DisableScaleIn": True})
    assert again == put
    (policy,) = scaling.call("DescribeScalingPolicies", PolicyNames=["my-policy"])["ScalingPolicies"]
    assert policy["CreationTime"] == AT_START
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    assert (configuration["TargetValue"], configuration["DisableScaleIn"]) == (50.5, True)
    assert "ScaleInCooldown" not in configuration
    assert scaling.call("DescribeScalingPolicies", PolicyNames=["other"])["ScalingPolicies"] == []
    assert scaling.call("DeleteScalingPolicy", PolicyName="my-policy") == {}
    assert scaling.refusal("DeleteScalingPolicy", PolicyName="my-policy") == (
        "ObjectNotFoundException",
        "No scaling policy found for service namespace: dynamodb, resource ID: table/rides, scalable dimension: "
        f"{READS}, policy name: my-policy",
    )


def _tracking(kind: str = "DynamoDBReadCapacityUtilization", **more: Any) -> dict[str, Any]:
    return {"TargetValue": 70.0, "PredefinedMetricSpecification": {"PredefinedMetricType": kind}} | more


CUSTOM = {"MetricName": "M", "Namespace": "N", "Statistic": "Sum"}


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (
            _tracking(TargetValue=9.9),
            "For predefined metric type DynamoDBReadCapacityUtilization, target value must be between '10.0' and "
            "'90.0'",
        ),
        (
            _tracking("DynamoDBWriteCapacityUtilization"),
            f"Scalable dimension {READS} only supports the following predefined metric types: "
            "DynamoDBReadCapacityUtilization",
        ),
        (
            {"TargetValue": 50.0, "CustomizedMetricSpecification": CUSTOM},
            f"Scalable dimension {READS} does not support CustomizedMetricSpecification.",
        ),
        (
            _tracking(CustomizedMetricSpecification=CUSTOM),
            "Only one of PredefinedMetricSpecification or CustomizedMetricSpecification can be set for target "
            "tracking scaling.",
        ),
        (
            {"TargetValue": 50.0},
            "PredefinedMetricSpecification or CustomizedMetricSpecification must be set for target tracking "
            "scaling.",
        ),
        (None, "TargetTrackingScaling policy configuration must be specified"),
    ],
)
def test_policies_that_cannot_be(
    scaling: ScalingInProcess, configuration: dict[str, Any] | None, message: str
) -> None:
    scaling.register()
    settings = {} if configuration is None else {"TargetTrackingScalingPolicyConfiguration": configuration}
    refused = scaling.refusal("PutScalingPolicy", PolicyName="p", PolicyType="TargetTrackingScaling", **settings)
    assert refused == ("ValidationException", message)


def test_a_dimension_has_one_policy(scaling: ScalingInProcess) -> None:
    scaling.register()
    scaling.track(name="one")
    arguments = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": _tracking()}
    assert scaling.refusal("PutScalingPolicy", PolicyName="two", **arguments) == (
        "ValidationException",
        "Only one TargetTrackingScaling policy for a given metric specification is allowed.",
    )


def test_step_scaling_is_not_for_tables(scaling: ScalingInProcess) -> None:
    scaling.register()
    step = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 5}]}
    code, _ = scaling.refusal(
        "PutScalingPolicy", PolicyName="p", PolicyType="StepScaling", StepScalingPolicyConfiguration=step
    )
    assert code == "AccessDeniedException"


def test_a_policy_needs_a_target(scaling: ScalingInProcess) -> None:
    arguments = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": _tracking()}
    code, message = scaling.refusal("PutScalingPolicy", PolicyName="p", **arguments)
    assert code == "ObjectNotFoundException"
    assert message.startswith("No scalable target registered for ")


# Scheduled actions


def _put_action(scaling: ScalingInProcess, **more: Any) -> dict[str, Any]:
    arguments = {
        "ScheduledActionName": "my-action",
        "Schedule": "rate(5 minutes)",
        "ScalableTargetAction": {"MinCapacity": 3},
    }
    return scaling.call("PutScheduledAction", **(arguments | more))


def test_an_action_is_put_described_and_deleted(scaling: ScalingInProcess) -> None:
    scaling.register()
    assert _put_action(scaling, Timezone="Europe/Berlin", StartTime=START + 3600) == {}
    (action,) = scaling.call("DescribeScheduledActions")["ScheduledActions"]
    arn = action.pop("ScheduledActionARN")
    assert re.fullmatch(
        rf"arn:aws:autoscaling:us-east-1:{ACCOUNT}:scheduledAction:[0-9a-f-]{{36}}:resource/dynamodb/table/rides:"
        "scheduledActionName/my-action",
        arn,
    )
    assert action == {
        "ScheduledActionName": "my-action",
        "ServiceNamespace": "dynamodb",
        "Schedule": "rate(5 minutes)",
        "Timezone": "Europe/Berlin",
        "ResourceId": "table/rides",
        "ScalableDimension": READS,
        "StartTime": datetime.fromtimestamp(START + 3600, UTC),
        "ScalableTargetAction": {"MinCapacity": 3},
        "CreationTime": AT_START,
    }
    scaling.call("PutScheduledAction", ScheduledActionName="my-action", Schedule="rate(1 hour)")
    (action,) = scaling.call("DescribeScheduledActions", ScheduledActionNames=["my-action"])["ScheduledActions"]
    assert (action["Schedule"], action["ScalableTargetAction"]) == ("rate(1 hour)", {"MinCapacity": 3})
    assert "StartTime" not in action
    assert scaling.call("DeleteScheduledAction", ScheduledActionName="my-action") == {}
    code, message = scaling.refusal("DeleteScheduledAction", ScheduledActionName="my-action")
    assert code == "ObjectNotFoundException"
    assert message.endswith(", scheduled action name: my-action")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ScalableTargetAction": {}}, "At least one of minimum capacity and maximum capacity should be provided"),
        (
            {"ScalableTargetAction": {"MinCapacity": 5, "MaxCapacity": 4}},
            "Maximum capacity cannot be less than minimum capacity",
        ),
        ({"StartTime": START + 2, "EndTime": START + 1}, "StartTime must be before EndTime"),
        ({"Schedule": "cron(* * *)"}, "Invalid CRON expression: * * *"),
        ({"Timezone": "Mars"}, "Invalid timezone: Mars"),
    ],
)
def test_actions_that_cannot_be(scaling: ScalingInProcess, arguments: dict[str, Any], message: str) -> None:
    scaling.register()
    given = {
        "ScheduledActionName": "a",
        "Schedule": "rate(5 minutes)",
        "ScalableTargetAction": {"MinCapacity": 3},
    } | arguments
    assert scaling.refusal("PutScheduledAction", **given) == ("ValidationException", message)


# Tags and access


def test_tags(scaling: ScalingInProcess) -> None:
    arn = scaling.register(Tags={"team": "rides"})
    assert scaling.call("ListTagsForResource", ResourceARN=arn) == {"Tags": {"team": "rides"}}
    scaling.call("TagResource", ResourceARN=arn, Tags={"stage": "test", "team": "billing"})
    scaling.call("UntagResource", ResourceARN=arn, TagKeys=["stage", "never"])
    assert scaling.call("ListTagsForResource", ResourceARN=arn) == {"Tags": {"team": "billing"}}
    many = {f"k{number}": "" for number in range(50)}
    assert scaling.refusal("TagResource", ResourceARN=arn, Tags=many)[0] == "TooManyTagsException"
    assert scaling.refusal("TagResource", ResourceARN=arn, Tags={"aws:x": "y"})[0] == "ValidationException"
    nowhere = arn[:-32] + "0" * 32
    assert scaling.refusal("ListTagsForResource", ResourceARN=nowhere) == (
        "ResourceNotFoundException",
        f"The specified resource doesn't exist: {nowhere}",
    )
    again = scaling.refusal("RegisterScalableTarget", MinCapacity=1, Tags={"a": "b"})
    assert again[0] == "ValidationException"


def _user(*statements: dict[str, Any]) -> Principal:
    policy = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), "identity")
    return Principal("user", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDA", "ann", policies=(policy,))


def test_callers_need_permission(scaling: ScalingInProcess) -> None:
    arn = scaling.register(Tags={"team": "rides"})
    scaling.principal = _user({"Effect": "Deny", "Action": "iam:*", "Resource": "*"})
    code, message = scaling.refusal("DescribeScalableTargets")
    assert code == "AccessDeniedException"
    assert message.startswith(
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: "
        "application-autoscaling:DescribeScalableTargets"
    )
    assert scaling.refusal("DeregisterScalableTarget", ResourceId="x")[0] == "AccessDeniedException"
    scaling.principal = _user(
        {
            "Effect": "Allow",
            "Action": "application-autoscaling:*",
            "Resource": f"arn:aws:application-autoscaling:*:{ACCOUNT}:scalable-target/*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": "rides"}},
        }
    )
    assert scaling.register(2, 3) == arn
    code, _ = scaling.refusal("RegisterScalableTarget", ScalableDimension=WRITES, MinCapacity=1, MaxCapacity=2)
    assert code == "AccessDeniedException"
    scaling.principal = _user(
        {
            "Effect": "Allow",
            "Action": "application-autoscaling:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"application-autoscaling:scalable-dimension": WRITES}},
        }
    )
    scaling.register(ScalableDimension=WRITES)
    assert scaling.refusal("PutScalingPolicy", PolicyName="p")[0] == "AccessDeniedException"
