"""The message of a notification: as AWS sent it for the same alarm."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from blotter.database.alarms.messages import notification
from blotter.database.alarms.records import Alarm, Settings
from blotter.database.metric_math.queries import Dimension, Metric, MetricDataQuery, MetricStat

TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"
BASE = Settings(
    evaluation_periods=2,
    threshold=1.0,
    comparison_operator="GreaterThanThreshold",
    alarm_actions=(TOPIC,),
)


def trigger(settings: Settings) -> dict[str, Any]:
    alarm = Alarm("123456789012", "us-east-1", "busy", settings, 0.0, 0.0, "ALARM", "it was", 0.0, 0.0)
    sent = notification(alarm, "OK", TOPIC)
    assert sent.subject == 'ALARM: "busy" in US East (N. Virginia)'
    message: dict[str, Any] = json.loads(sent.message)
    assert (message["OldStateValue"], message["NewStateValue"]) == ("OK", "ALARM")
    assert message["NewStateReason"] == "it was"
    found: dict[str, Any] = message["Trigger"]
    return found


def test_an_alarm_on_a_metric() -> None:
    settings = msgspec.structs.replace(
        BASE,
        namespace="N",
        metric_name="m",
        extended_statistic="p90",
        period=300,
        dimensions=(Dimension("Host", "a"),),
        datapoints_to_alarm=1,
        treat_missing_data="ignore",
    )
    assert list(trigger(settings).items()) == [
        ("MetricName", "m"),
        ("Namespace", "N"),
        ("StatisticType", "ExtendedStatistic"),
        ("ExtendedStatistic", "p90"),
        ("Unit", None),
        ("Dimensions", [{"value": "a", "name": "Host"}]),
        ("Period", 300),
        ("EvaluationPeriods", 2),
        ("DatapointsToAlarm", 1),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("Threshold", 1.0),
        ("TreatMissingData", "ignore"),
        ("EvaluateLowSampleCountPercentile", ""),
    ]


def test_an_alarm_on_an_expression() -> None:
    stat = MetricStat(Metric("N", "m", (Dimension("Host", "a"),)), 60, "Average")
    queries = (
        MetricDataQuery("e1", expression="FILL(m1, 0)", label="filled"),
        MetricDataQuery("m1", metric_stat=stat, return_data=False),
    )
    assert json.dumps(trigger(msgspec.structs.replace(BASE, metrics=queries))) == json.dumps(
        {
            "Period": 60,
            "EvaluationPeriods": 2,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 1.0,
            "TreatMissingData": "",
            "EvaluateLowSampleCountPercentile": "",
            "Metrics": [
                {"Expression": "FILL(m1, 0)", "Id": "e1", "Label": "filled", "ReturnData": True},
                {
                    "Id": "m1",
                    "MetricStat": {
                        "Metric": {
                            "Dimensions": [{"value": "a", "name": "Host"}],
                            "MetricName": "m",
                            "Namespace": "N",
                        },
                        "Period": 60,
                        "Stat": "Average",
                    },
                    "ReturnData": False,
                },
            ],
        }
    )
