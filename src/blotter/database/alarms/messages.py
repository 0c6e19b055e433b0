"""What an alarm's notification says: the subject and the message that SNS would deliver; pure.

Source: messages of AWS as LocalStack recorded them (2026-02), and those of alarms on expressions in tests of
public projects (2020 to 2022); names of regions: "AWS service endpoints".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from blotter.database.alarms.reasons import timestamp
from blotter.database.alarms.records import Alarm, Notification, Settings
from blotter.database.alarms.watching import period_of
from blotter.database.metric_math.queries import Dimension, MetricDataQuery

REGIONS: Final = {
    "af-south-1": "Africa (Cape Town)",
    "ap-east-1": "Asia Pacific (Hong Kong)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-northeast-2": "Asia Pacific (Seoul)",
    "ap-northeast-3": "Asia Pacific (Osaka)",
    "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
    "ca-central-1": "Canada (Central)",
    "eu-central-1": "EU (Frankfurt)",
    "eu-north-1": "EU (Stockholm)",
    "eu-south-1": "EU (Milan)",
    "eu-west-1": "EU (Ireland)",
    "eu-west-2": "EU (London)",
    "eu-west-3": "EU (Paris)",
    "me-south-1": "Middle East (Bahrain)",
    "sa-east-1": "South America (Sao Paulo)",
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
}


def notification(alarm: Alarm, old_state: str, action: str) -> Notification:
    """The notification of one action about the state that the alarm is in now."""
    region = REGIONS.get(alarm.region, alarm.region)
    return Notification(
        account=alarm.account,
        region=alarm.region,
        alarm=alarm.name,
        action=action,
        state=alarm.state,
        at=alarm.transitioned,
        subject=f'{alarm.state}: "{_one_line(alarm.name)}" in {region}',
        message=orjson.dumps(_message(alarm, old_state, region)).decode(),
    )


def _message(alarm: Alarm, old_state: str, region: str) -> dict[str, Any]:
    settings = alarm.settings
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": settings.alarm_description,
        "AWSAccountId": alarm.account,
        "AlarmConfigurationUpdatedTimestamp": timestamp(alarm.configured),
        "NewStateValue": alarm.state,
        "NewStateReason": alarm.reason,
        "StateChangeTime": timestamp(alarm.transitioned),
        "Region": region,
        "AlarmArn": alarm.arn,
        "OldStateValue": old_state,
        "OKActions": settings.ok_actions,
        "AlarmActions": settings.alarm_actions,
        "InsufficientDataActions": settings.insufficient_data_actions,
        "Trigger": _trigger(settings),
    }


def _trigger(settings: Settings) -> dict[str, Any]:
    trigger: dict[str, Any] = {}
    if not settings.metrics:
        trigger["MetricName"] = settings.metric_name
        trigger["Namespace"] = settings.namespace
        extended = settings.extended_statistic
        trigger["StatisticType"] = "Statistic" if extended is None else "ExtendedStatistic"
        if extended is None:
            trigger["Statistic"] = (settings.statistic or "").upper()
        else:
            trigger["ExtendedStatistic"] = extended
        trigger["Unit"] = settings.unit
        trigger["Dimensions"] = _dimensions(settings.dimensions)
    trigger["Period"] = period_of(settings)
    trigger["EvaluationPeriods"] = settings.evaluation_periods
    if settings.datapoints_to_alarm is not None:
        trigger["DatapointsToAlarm"] = settings.datapoints_to_alarm
    trigger["ComparisonOperator"] = settings.comparison_operator
    trigger["Threshold"] = settings.threshold
    trigger["TreatMissingData"] = settings.treat_missing_data or ""
    trigger["EvaluateLowSampleCountPercentile"] = settings.evaluate_low_sample_count_percentile or ""
    if settings.metrics:
        trigger["Metrics"] = [_query(query) for query in settings.metrics]
    return trigger


def _query(query: MetricDataQuery) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(query) | {"ReturnData": query.is_returned}
    if query.metric_stat is not None:
        metric = query.metric_stat.metric
        names = {"MetricName": metric.metric_name, "Namespace": metric.namespace}
        shown["MetricStat"]["Metric"] = {"Dimensions": _dimensions(metric.dimensions)} | names
    return dict(sorted(shown.items()))


def _dimensions(dimensions: tuple[Dimension, ...]) -> list[dict[str, str]]:
    return [{"value": dimension.value, "name": dimension.name} for dimension in dimensions]


def _one_line(text: str) -> str:
    """A name in a subject, which is a header of an e-mail: at most 100 characters of SNS's subjects are shown."""
    return text if len(text) <= 60 else f"{text[:59]}…"
