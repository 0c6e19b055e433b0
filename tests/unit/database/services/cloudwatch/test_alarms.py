"""Metric alarms: settings, states, history, tags.

What AWS answers was recorded by LocalStack (test_cloudwatch.snapshot.json, 2025-09 and 2026-02); messages for
settings that are not valid are cited in `services.cloudwatch.put_metric_alarm`.
"""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.alarms.records import notifications
from tests.cloudwatch_in_process import ACCOUNT, NOON, CloudWatchInProcess, expression, metric

TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"

BASE: dict[str, Any] = {
    "Namespace": "N",
    "MetricName": "m",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


def test_an_alarm_as_it_is_described(each: CloudWatchInProcess) -> None:
    each.alarm(Dimensions=[{"Name": "a", "Value": "b"}], AlarmActions=[TOPIC], TreatMissingData="ignore")
    alarm = each.described()
    times = [alarm.pop(name) for name in list(alarm) if name.endswith("Timestamp")]
    assert [time.timestamp() for time in times] == [NOON] * 3
    assert alarm == {
        "AlarmName": "busy",
        "AlarmArn": f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:busy",
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [TOPIC],
        "InsufficientDataActions": [],
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "MetricName": "m",
        "Namespace": "N",
        "Statistic": "Sum",
        "Dimensions": [{"Name": "a", "Value": "b"}],
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 10.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
    }
    empty = each.call("DescribeAlarms", AlarmNames=["other"])
    assert empty == {"CompositeAlarms": [], "MetricAlarms": [], "LogAlarms": []}


def test_an_alarm_on_an_expression(each: CloudWatchInProcess) -> None:
    metrics = [
        expression("rate", "errors / requests", Label="rate", ReturnData=True),
        metric("errors", "errors", Unit="Count", ReturnData=False),
        metric("requests", "requests", ReturnData=False),
    ]
    metrics[2]["MetricStat"]["Metric"]["Dimensions"] = [{"Name": "a", "Value": "b"}]
    each.call(
        "PutMetricAlarm",
        AlarmName="rate",
        Metrics=metrics,
        EvaluationPeriods=2,
        DatapointsToAlarm=1,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
    )
    alarm = each.described("rate")
    assert alarm["Metrics"] == metrics
    assert alarm["DatapointsToAlarm"] == 1
    assert not {"MetricName", "Namespace", "Period", "Statistic"} & alarm.keys()


def test_a_state_follows_from_the_data(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm()
    cloudwatch.now = NOON + 65
    cloudwatch.put("m", 5, 6, at=NOON)
    assert cloudwatch.evaluate() == 1
    alarm = cloudwatch.described()
    assert alarm["StateValue"] == "ALARM"
    assert alarm["StateReason"] == (
        "Threshold Crossed: 1 datapoint [11.0 (30/11/26 12:00:00)] was greater than the threshold (10.0)."
    )
    assert (
        '"evaluatedDatapoints":[{"timestamp":"2026-11-30T12:00:00.000+0000","sampleCount":2.0,"value":11.0}]'
        in (alarm["StateReasonData"])
    )
    assert cloudwatch.evaluate() == 0
    cloudwatch.now += 60
    cloudwatch.put("m", 1, at=NOON + 60)
    assert cloudwatch.evaluate() == 1
    assert cloudwatch.described()["StateReason"] == (
        "Threshold Crossed: 1 datapoint [1.0 (30/11/26 12:01:00)] was not greater than the threshold (10.0)."
    )
    cloudwatch.now += 300
    assert cloudwatch.evaluate() == 1
    assert cloudwatch.described()["StateReason"] == "Insufficient Data: 1 datapoint was unknown."
    assert [summary for summary, _ in cloudwatch.history()] == [
        "Alarm updated from OK to INSUFFICIENT_DATA",
        "Alarm updated from ALARM to OK",
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        'Alarm "busy" created',
    ]


def test_points_are_not_looked_at_before_they_are_whole(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm()
    cloudwatch.put("m", 100)
    assert cloudwatch.evaluate() == 0
    cloudwatch.now = NOON + 61  # The minute has just ended; requests of it may still be counted.
    assert cloudwatch.evaluate() == 0
    cloudwatch.now = NOON + 62
    assert cloudwatch.evaluate() == 1


def test_m_out_of_n(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm(EvaluationPeriods=3, DatapointsToAlarm=2, Period=300)
    for minute, value in ((-15, 20), (-10, 1), (-4, 20)):
        cloudwatch.put("m", value, at=NOON + 60 * minute)
    cloudwatch.now = NOON + 3
    cloudwatch.evaluate()
    assert cloudwatch.described()["StateReason"] == (
        "Threshold Crossed: 2 out of the last 3 datapoints [20.0 (30/11/26 11:55:00), 20.0 (30/11/26 11:45:00)] "
        "were greater than the threshold (10.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    cloudwatch.put("m", 1, at=NOON)
    cloudwatch.now = NOON + 303
    cloudwatch.evaluate()
    assert cloudwatch.described()["StateValue"] == "OK"


def test_an_expression_is_watched(cloudwatch: CloudWatchInProcess) -> None:
    metrics = [
        expression("rate", "100 * FILL(errors, 0) / requests"),
        metric("errors", "errors", ReturnData=False),
        metric("requests", "requests", ReturnData=False),
    ]
    settings = {"Metrics": metrics, "EvaluationPeriods": 1, "Threshold": 50.0}
    cloudwatch.call("PutMetricAlarm", AlarmName="r", ComparisonOperator="GreaterThanThreshold", **settings)
    cloudwatch.put("requests", 4)
    cloudwatch.put("errors", 3)
    cloudwatch.now = NOON + 62
    cloudwatch.evaluate()
    alarm = cloudwatch.described("r")
    assert (alarm["StateValue"], "[75.0 (30/11/26 12:00:00)]" in alarm["StateReason"]) == ("ALARM", True)
    assert '"sampleCount"' not in alarm["StateReasonData"]


def test_a_percentile_of_few_samples_can_be_ignored(cloudwatch: CloudWatchInProcess) -> None:
    settings = {"Statistic": None, "ExtendedStatistic": "p90", "Threshold": 5.0}
    cloudwatch.alarm("few", **settings, EvaluateLowSampleCountPercentile="ignore")
    cloudwatch.alarm("any", **settings)
    cloudwatch.put("m", 50)
    cloudwatch.put("n", 50, Counts=[100])
    cloudwatch.alarm("enough", **settings, MetricName="n", EvaluateLowSampleCountPercentile="ignore")
    cloudwatch.now = NOON + 62
    cloudwatch.evaluate()
    states = [cloudwatch.described(name)["StateValue"] for name in ("few", "any", "enough")]
    assert states == ["INSUFFICIENT_DATA", "ALARM", "ALARM"]


def test_missing_data_of_dynamodb_are_ignored_unless_stated(cloudwatch: CloudWatchInProcess) -> None:
    """CloudWatch's user guide, "Configuring how CloudWatch alarms treat missing data"."""
    settings = {"Namespace": "AWS/DynamoDB", "MetricName": "UserErrors"}
    cloudwatch.alarm("silent", **settings)
    cloudwatch.alarm("stated", **settings, TreatMissingData="breaching")
    cloudwatch.call("SetAlarmState", AlarmName="silent", StateValue="ALARM", StateReason="test")
    cloudwatch.now = NOON + 62
    cloudwatch.evaluate()
    assert [cloudwatch.described(name)["StateValue"] for name in ("silent", "stated")] == ["ALARM", "ALARM"]
    assert cloudwatch.described("silent")["StateReason"] == "test"


def test_a_state_that_was_set_lasts_until_the_next_evaluation(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm(TreatMissingData="notBreaching", AlarmActions=[TOPIC], OKActions=[TOPIC, TOPIC])
    cloudwatch.evaluate()
    data = '{"some": "json"}'
    arguments = {"AlarmName": "busy", "StateValue": "ALARM", "StateReason": "testing", "StateReasonData": data}
    cloudwatch.call("SetAlarmState", **arguments)
    alarm = cloudwatch.described()
    assert (alarm["StateValue"], alarm["StateReason"], alarm["StateReasonData"]) == ("ALARM", "testing", data)
    assert cloudwatch.evaluate() == 0
    cloudwatch.now += 65
    assert cloudwatch.evaluate() == 1
    assert cloudwatch.described()["StateValue"] == "OK"
    waiting = cloudwatch.run(cloudwatch.storage.fetch(lambda tx: notifications(tx, 10)))
    assert [(each.action, each.state) for _, each in waiting] == [(TOPIC, "OK"), (TOPIC, "ALARM"), (TOPIC, "OK")]


def test_settings_that_change_are_judged_at_once_and_keep_the_state(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("m", 100, at=NOON - 60)
    cloudwatch.now = NOON + 5
    cloudwatch.alarm(Threshold=1000.0, Tags=[{"Key": "a", "Value": "1"}])
    cloudwatch.evaluate()
    assert cloudwatch.described()["StateValue"] == "OK"
    cloudwatch.now += 1
    cloudwatch.alarm(Threshold=10.0, Tags=[{"Key": "b", "Value": "2"}])
    assert cloudwatch.described()["StateValue"] == "OK"
    cloudwatch.evaluate()
    assert cloudwatch.described()["StateValue"] == "ALARM"
    arn = cloudwatch.described()["AlarmArn"]
    assert cloudwatch.call("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_actions_can_be_switched_off(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm(AlarmActions=[TOPIC])
    cloudwatch.call("DisableAlarmActions", AlarmNames=["busy", "other"])
    assert cloudwatch.described()["ActionsEnabled"] is False
    cloudwatch.call("SetAlarmState", AlarmName="busy", StateValue="ALARM", StateReason="x")
    assert cloudwatch.run(cloudwatch.storage.fetch(lambda tx: notifications(tx, 10))) == []
    cloudwatch.call("EnableAlarmActions", AlarmNames=["busy"])
    assert cloudwatch.described()["ActionsEnabled"] is True


def test_alarms_are_found(cloudwatch: CloudWatchInProcess) -> None:
    for n in range(5):
        cloudwatch.alarm(f"a{n}", AlarmActions=[f"{TOPIC}{n}"])
    cloudwatch.alarm("b", MetricName="other", Period=300)
    cloudwatch.call("SetAlarmState", AlarmName="a3", StateValue="OK", StateReason="x")

    def found(**arguments: Any) -> list[str]:
        return [alarm["AlarmName"] for alarm in cloudwatch.call("DescribeAlarms", **arguments)["MetricAlarms"]]

    assert found(AlarmNamePrefix="a") == ["a0", "a1", "a2", "a3", "a4"]
    assert found(AlarmNames=["b", "a0", "none"]) == ["a0", "b"]
    assert found(StateValue="OK") == ["a3"]
    assert found(ActionPrefix=f"{TOPIC}2") == ["a2"]
    assert found(AlarmTypes=["CompositeAlarm"]) == []
    assert found(AlarmTypes=["CompositeAlarm", "MetricAlarm"], AlarmNamePrefix="b") == ["b"]
    assert found(ChildrenOfAlarmName="x") == []
    page = cloudwatch.call("DescribeAlarms", MaxRecords=4)
    rest = cloudwatch.call("DescribeAlarms", MaxRecords=4, NextToken=page["NextToken"])
    assert [len(page["MetricAlarms"]), [alarm["AlarmName"] for alarm in rest["MetricAlarms"]]] == [4, ["a4", "b"]]
    assert "NextToken" not in rest
    assert cloudwatch.refusal("DescribeAlarms", NextToken="x")[0] == "InvalidNextToken"
    assert cloudwatch.refusal("DescribeAlarms", AlarmNames=["a"], AlarmNamePrefix="a") == (
        "InvalidParameterCombination",
        "AlarmNamePrefix and AlarmNames.member are mutually exclusive",
    )
    of_metric = {"Namespace": "N", "MetricName": "m"}
    assert len(cloudwatch.call("DescribeAlarmsForMetric", **of_metric)["MetricAlarms"]) == 5
    assert cloudwatch.call("DescribeAlarmsForMetric", **of_metric, Period=300)["MetricAlarms"] == []
    assert cloudwatch.call("DescribeAlarmsForMetric", **of_metric, Dimensions=[{"Name": "x", "Value": "y"}]) == {
        "MetricAlarms": []
    }


def test_regions_have_their_own_alarms(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm()
    cloudwatch.region = "us-east-1b"
    assert cloudwatch.call("DescribeAlarms")["MetricAlarms"] == []
    assert cloudwatch.history() == []
    assert cloudwatch.refusal("SetAlarmState", AlarmName="busy", StateValue="OK", StateReason="x")[0] == (
        "ResourceNotFound"
    )


def test_the_history_is_kept_and_comes_in_pages(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.alarm()
    cloudwatch.alarm("busyness")
    for state in ("OK", "ALARM", "OK"):
        cloudwatch.now += 10
        cloudwatch.call("SetAlarmState", AlarmName="busy", StateValue=state, StateReason=state)
    cloudwatch.call("DeleteAlarms", AlarmNames=["busy", "none"])
    assert len(cloudwatch.history()) == 6
    summaries = [summary for summary, _ in cloudwatch.history(AlarmName="busy", ScanBy="TimestampAscending")]
    assert summaries == [
        'Alarm "busy" created',
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
        'Alarm "busy" deleted',
    ]
    assert len(cloudwatch.history(HistoryItemType="StateUpdate")) == 3
    assert len(cloudwatch.history(StartDate=NOON + 15, EndDate=NOON + 25)) == 1
    for order in ("TimestampAscending", "TimestampDescending"):
        seen: list[str] = []
        arguments: dict[str, Any] = {"MaxRecords": 2, "ScanBy": order}
        while True:
            page = cloudwatch.call("DescribeAlarmHistory", **arguments)
            seen += [item["HistorySummary"] for item in page["AlarmHistoryItems"]]
            if "NextToken" not in page:
                break
            arguments["NextToken"] = page["NextToken"]
        assert len(seen) == len(set(seen)) == 6
    cloudwatch.now += 31 * 86_400
    cloudwatch.evaluate()
    assert cloudwatch.history() == []


def test_tags(each: CloudWatchInProcess) -> None:
    each.alarm(Tags=[{"Key": "Environment", "Value": "Production"}])
    arn = each.described()["AlarmArn"]
    each.call("TagResource", ResourceARN=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    each.call("UntagResource", ResourceARN=arn, TagKeys=["a", "none"])
    tags = each.call("ListTagsForResource", ResourceARN=arn)["Tags"]
    assert tags == [{"Key": "Environment", "Value": "Production"}, {"Key": "b", "Value": ""}]
    each.call("DeleteAlarms", AlarmNames=["busy"])
    assert each.call("ListTagsForResource", ResourceARN=arn)["Tags"] == []
    for operation, more in (("TagResource", {"Tags": []}), ("UntagResource", {"TagKeys": []})):
        assert each.refusal(operation, ResourceARN=arn, **more) == ("ResourceNotFoundException", "Unknown")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Statistic": None}, "PutMetricAlarm request should have a Statistic parameter"),
        ({"Threshold": None}, "PutMetricAlarm request should have valid Threshold parameter"),
        ({"Threshold": float("nan")}, "PutMetricAlarm request should have valid Threshold parameter"),
        ({"EvaluationPeriods": None}, "PutMetricAlarm request should have an EvaluationPeriods parameter"),
        ({"ComparisonOperator": None}, "PutMetricAlarm request should have a valid ComparisonOperator parameter"),
        ({"MetricName": None}, "MetricName must not be null"),
        ({"Namespace": None}, "Namespace must not be null"),
        ({"Period": None}, "Period must not be null"),
        ({"Period": 1}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"Period": 90}, "Period must be 10, 20, 30 or a multiple of 60"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm must be less than or equal to EvaluationPeriods"),
        (
            {"EvaluationPeriods": 1441},
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400) for "
            "alarms using period < 3600",
        ),
        (
            {"Period": 86_400, "EvaluationPeriods": 8},
            "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800) for "
            "alarms using period >= 3600",
        ),
        (
            {"TreatMissingData": "perhaps"},
            "Option perhaps is not supported. Supported options for parameter TreatMissingData are breaching, "
            "notBreaching, ignore and missing.",
        ),
        (
            {"Statistic": None, "ExtendedStatistic": "p90", "EvaluateLowSampleCountPercentile": "unknown"},
            "Option unknown is not supported. Supported options for parameter EvaluateLowSampleCountPercentile "
            "are evaluate and ignore.",
        ),
        (
            {"EvaluateLowSampleCountPercentile": "ignore"},
            "Option evaluateLowSampleCountPercentile can not be applied with statistic Sum. This option is "
            "enabled only for percentile statistics.",
        ),
        (
            {"ExtendedStatistic": "p90"},
            "PutMetricAlarm request can not be made with both Statistic and ExtendedStatistic parameters. Only "
            "one of them should be present",
        ),
        ({"AlarmActions": ["ops"]}, "Invalid arn syntax: ops"),
        ({"Metrics": [metric("m", "m")]}, "MetricName should not be set if list of Metrics is set."),
        ({"ThresholdMetricId": "t"}, "Blotter does not implement alarms on anomaly detection yet."),
        (
            {"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 5}},
            "Blotter does not implement warm-up periods of alarms yet.",
        ),
        (
            {"AlarmActions": [TOPIC] * 6},
            "1 validation error detected: Value '[arn:aws:sns",
        ),
    ],
)
def test_settings_that_are_not_valid(
    cloudwatch: CloudWatchInProcess, settings: dict[str, Any], message: str
) -> None:
    given = {name: value for name, value in (BASE | settings).items() if value is not None}
    code, text = cloudwatch.refusal("PutMetricAlarm", AlarmName="a", **given)
    assert (code, text[: len(message)]) == ("ValidationError", message)
    assert cloudwatch.call("DescribeAlarms")["MetricAlarms"] == []


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([metric("m", "m"), metric("n", "m")], "Exactly one element of the metrics list should return data."),
        ([metric("m", "m", ReturnData=False)], "Exactly one element of the metrics list should return data."),
        ([metric("m", "m", stat="median")], "Invalid metrics list"),
        ([expression("e", "TIME_SERIES(1)")], "Period must not be null"),
        (
            [
                expression("e", "m + n"),
                metric("m", "m", ReturnData=False),
                metric("n", "n", period=300, ReturnData=False),
            ],
            "All metrics of the metrics list should have the same period.",
        ),
        (
            [expression("e", "METRICS()"), metric("m", "m", ReturnData=False)],
            "Metrics expression that return multi time series are only allowed for MetricsInsights expression "
            "with an "
            "ORDER BY clause",
        ),
        (
            [expression("e", "SUM(m)"), metric("m", "m", ReturnData=False)],
            "Error in expression 'e': The expression has to make a time series or an array of time series",
        ),
        (
            [expression("e", "ANOMALY_DETECTOR(m)"), metric("m", "m", ReturnData=False)],
            "Error in expression 'e': Function 'ANOMALY_DETECTOR' not found",
        ),
        (
            [expression("e", "SUM(METRICS())"), *[metric(f"m{n}", "m", ReturnData=False) for n in range(11)]],
            "An alarm can have at most 10 metrics and 10 expressions.",
        ),
    ],
)
def test_metrics_that_are_not_valid(
    cloudwatch: CloudWatchInProcess, metrics: list[dict[str, Any]], message: str
) -> None:
    settings = {"EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "LessThanThreshold"}
    refused = cloudwatch.refusal("PutMetricAlarm", AlarmName="a", Metrics=metrics, **settings)
    assert refused == ("ValidationError", message)


def test_requests_that_are_not_valid(each: CloudWatchInProcess) -> None:
    state = {"AlarmName": "busy", "StateReason": "x"}
    assert each.refusal("SetAlarmState", **state, StateValue="INVALID") == (
        "ValidationError",
        "1 validation error detected: Value 'INVALID' at 'stateValue' failed to satisfy constraint: Member must "
        "satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]",
    )
    assert each.refusal("SetAlarmState", **state, StateValue="OK") == ("ResourceNotFound", "")
    each.alarm()
    assert each.refusal("SetAlarmState", **state, StateValue="OK", StateReasonData="{")[0] == "InvalidFormat"
    assert each.refusal("PutMetricAlarm", AlarmName="a\nb")[1] == (
        "AlarmName must not contain ASCII Control characters"
    )
    assert each.refusal("ListTagsForResource", ResourceARN="nonsense")[0] == "InvalidParameterValue"
    many = [{"Key": str(n), "Value": ""} for n in range(51)]
    arn = each.described()["AlarmArn"]
    for problem in (
        each.refusal("TagResource", ResourceARN=arn, Tags=many),
        each.refusal("PutMetricAlarm", AlarmName="tagged", Tags=many, **BASE),
    ):
        assert problem == ("InvalidParameterValue", "The number of tags must not be greater than 50.")
    extended = {name: value for name, value in BASE.items() if name != "Statistic"} | {
        "ExtendedStatistic": "tm90%"
    }
    assert each.refusal("PutMetricAlarm", AlarmName="x", **extended) == (
        "InvalidParameterValue",
        "The value tm90% for parameter ExtendedStatistic is not supported.",
    )
    assert each.refusal("DeleteAlarms")[1] == (
        "1 validation error detected: Value null at 'alarmNames' failed to satisfy constraint: Member must not be "
        "null"
    )


def test_errors_are_named_as_each_protocol_names_them(each: CloudWatchInProcess) -> None:
    status, headers, body = each.raw("SetAlarmState", {"AlarmName": "x", "StateValue": "OK", "StateReason": "x"})
    assert status == 404
    if each.protocol == "query":
        assert b"<Code>ResourceNotFound</Code></Error>" in body
        return
    assert headers["x-amzn-query-error"] == "ResourceNotFound;Sender"
    assert b"com.amazonaws.cloudwatch.v2010_08_01#ResourceNotFound" in body
    assert b"message" not in body
    _, headers, body = each.raw(
        "PutMetricData", {"Namespace": "AWS/x", "MetricData": [{"MetricName": "m", "Value": 1}]}
    )
    assert headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"
    assert b"com.amazonaws.cloudwatch.v2010_08_01#InvalidParameterValueException" in body
    _, headers, body = each.raw("SetAlarmState", {"AlarmName": "x", "StateValue": "NO", "StateReason": "x"})
    assert headers["x-amzn-query-error"] == "ValidationError;Sender"
    assert b"com.amazon.coral.validate#ValidationException" in body
