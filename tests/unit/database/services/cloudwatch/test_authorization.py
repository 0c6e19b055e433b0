"""What the operations of CloudWatch are authorized on: actions, ARNs and condition keys as AWS lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from blotter.database.insights.settings import Insights, Mode, save_insights
from blotter.database.model.table import PAST, KeyAttribute, KeySchema, Table
from blotter.database.security.policy import parse_policy
from blotter.database.security.principal import Principal
from blotter.database.services.model import load_model
from blotter.database.storage.protocol import WriteTransaction
from tests.cloudwatch_in_process import ACCOUNT, NOON, CloudWatchInProcess, metric

ALARM = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:busy"
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"
SETTINGS: dict[str, Any] = {
    "AlarmName": "busy",
    "Namespace": "N",
    "MetricName": "m",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
RULE = "DynamoDBContributorInsights-PKC-books-1"
TIMES = {"StartTime": NOON - 300, "EndTime": NOON}
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "GetMetricData": (TIMES | {"MetricDataQueries": [metric("m", "m")]}, "*"),
    "GetMetricStatistics": (
        TIMES | {"Namespace": "N", "MetricName": "m", "Period": 60, "Statistics": ["Sum"]},
        "*",
    ),
    "ListMetrics": ({}, "*"),
    "DescribeInsightRules": ({}, "*"),
    "GetInsightRuleReport": (
        TIMES | {"RuleName": RULE, "Period": 60},
        f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:insight-rule/{RULE}",
    ),
    "PutMetricData": ({"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1}]}, "*"),
    "PutMetricAlarm": (SETTINGS, ALARM),
    "DescribeAlarms": ({"AlarmNames": ["busy"]}, ALARM),
    "DescribeAlarmsForMetric": ({"MetricName": "m", "Namespace": "N"}, "*"),
    "DescribeAlarmHistory": ({"AlarmName": "busy"}, ALARM),
    "SetAlarmState": ({"AlarmName": "busy", "StateValue": "OK", "StateReason": "x"}, ALARM),
    "EnableAlarmActions": ({"AlarmNames": ["busy"]}, ALARM),
    "DisableAlarmActions": ({"AlarmNames": ["busy"]}, ALARM),
    "DeleteAlarms": ({"AlarmNames": ["busy"]}, ALARM),
    "TagResource": ({"ResourceARN": ALARM, "Tags": [{"Key": "team", "Value": "b"}]}, ALARM),
    "UntagResource": ({"ResourceARN": ALARM, "TagKeys": ["team"]}, ALARM),
    "ListTagsForResource": ({"ResourceARN": ALARM}, ALARM),
}


def _add_rule(tx: WriteTransaction) -> None:
    """A table with contributor insights, whose rule is RULE."""
    keys = KeySchema((KeyAttribute("id", "S"),))
    tx.save_table(Table(ACCOUNT, "us-east-1", "books", "table-id", tx.new_space(), keys, NOON, PAST))
    mode: Mode = "ACCESSED_AND_THROTTLED_KEYS"
    save_insights(tx, Insights(ACCOUNT, "us-east-1", "books", "table-id", keys, mode, True, 1, NOON))


@pytest.fixture
def cloudwatch() -> Iterator[CloudWatchInProcess]:
    cloudwatch = CloudWatchInProcess()
    cloudwatch.call("PutMetricAlarm", **SETTINGS, Tags=[{"Key": "team", "Value": "a"}])
    cloudwatch.run(cloudwatch.storage.write(_add_rule))
    yield cloudwatch
    cloudwatch.close()


def become(cloudwatch: CloudWatchInProcess, *statements: dict[str, Any]) -> None:
    """The caller is a user who is allowed this."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | each for each in statements]}
    policy = parse_policy(json.dumps(document), "identity")
    arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
    cloudwatch.caller = Principal("user", ACCOUNT, arn, "AIDA", "ann", policies=(policy,))


def test_every_operation_is_here() -> None:
    model = load_model("monitoring")
    assert {name for name, operation in model.operations.items() if operation.implemented} == CALLS.keys()


@pytest.mark.parametrize("operation", CALLS)
def test_an_operation_needs_its_action_on_its_resource(cloudwatch: CloudWatchInProcess, operation: str) -> None:
    arguments, resource = CALLS[operation]
    elsewhere = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:other"
    become(cloudwatch, {"Action": f"cloudwatch:{operation}", "Resource": elsewhere})
    code, message = cloudwatch.refusal(operation, **arguments)
    assert code == "AccessDenied"
    assert message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: cloudwatch:{operation} on resource: "
        f"{resource} because no identity-based policy allows the cloudwatch:{operation} action"
    )
    become(cloudwatch, {"Action": f"cloudwatch:{operation}", "Resource": resource})
    cloudwatch.call(operation, **arguments)


def test_the_namespace_of_what_is_published(cloudwatch: CloudWatchInProcess) -> None:
    condition = {"StringEquals": {"cloudwatch:namespace": "N"}}
    become(cloudwatch, {"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": condition})
    cloudwatch.put("m", 1)
    datum = {"MetricName": "m", "Value": 1}
    assert cloudwatch.refusal("PutMetricData", Namespace="Other", MetricData=[datum])[0] == "AccessDenied"


def test_what_alarms_may_trigger(cloudwatch: CloudWatchInProcess) -> None:
    condition = {"ForAllValues:StringEquals": {"cloudwatch:AlarmActions": [TOPIC]}}
    become(cloudwatch, {"Action": "cloudwatch:PutMetricAlarm", "Resource": ALARM, "Condition": condition})
    cloudwatch.call("PutMetricAlarm", **SETTINGS, AlarmActions=[TOPIC])
    for kind in ("OKActions", "AlarmActions", "InsufficientDataActions"):
        settings = SETTINGS | {kind: [TOPIC, TOPIC + "2"]}
        assert cloudwatch.refusal("PutMetricAlarm", **settings)[0] == "AccessDenied"


def test_an_alarm_with_tags_needs_tag_resource_too(cloudwatch: CloudWatchInProcess) -> None:
    become(cloudwatch, {"Action": "cloudwatch:PutMetricAlarm", "Resource": ALARM})
    tagged = SETTINGS | {"Tags": [{"Key": "team", "Value": "a"}]}
    assert "perform: cloudwatch:TagResource on" in cloudwatch.refusal("PutMetricAlarm", **tagged)[1]
    become(cloudwatch, {"Action": ["cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"], "Resource": ALARM})
    cloudwatch.call("PutMetricAlarm", **tagged)


def test_tags_of_the_alarm_and_of_the_request(cloudwatch: CloudWatchInProcess) -> None:
    own = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    become(cloudwatch, {"Action": "cloudwatch:DeleteAlarms", "Resource": "*", "Condition": own})
    assert cloudwatch.refusal("DeleteAlarms", AlarmNames=["busy", "other"])[0] == "AccessDenied"
    given = {"StringEquals": {"aws:RequestTag/team": "a"}, "ForAllValues:StringEquals": {"aws:TagKeys": "team"}}
    become(
        cloudwatch,
        {"Action": "cloudwatch:DeleteAlarms", "Resource": "*", "Condition": own},
        {"Action": "cloudwatch:TagResource", "Resource": ALARM, "Condition": given},
    )
    other = [{"Key": "team", "Value": "b"}]
    assert cloudwatch.refusal("TagResource", ResourceARN=ALARM, Tags=other)[0] == "AccessDenied"
    cloudwatch.call("TagResource", ResourceARN=ALARM, Tags=[{"Key": "team", "Value": "a"}])
    cloudwatch.call("DeleteAlarms", AlarmNames=["busy"])
