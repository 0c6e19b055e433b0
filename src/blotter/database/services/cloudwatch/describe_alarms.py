"""DescribeAlarms, DescribeAlarmsForMetric, DescribeAlarmHistory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from blotter.database.alarms.records import (
    Alarm,
    HistoryItem,
    alarms_of,
    find_alarm,
    history_prefix,
    moment_of,
    read_history,
)
from blotter.database.metric_math.queries import Metric
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall, converted
from blotter.database.services.cloudwatch.errors import combination, invalid_token
from blotter.database.services.cloudwatch.tokens import make_token, read_token
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction

ALARMS_ON_A_PAGE: Final = 50
ITEMS_ON_A_PAGE: Final = 100
_KEPT_FOR: Final = 30 * 86_400
_AT_ONCE: Final = 256
_METRIC_ALARM: Final = "MetricAlarm"


def describe_alarms(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    output: Output = {"CompositeAlarms": [], "MetricAlarms": [], "LogAlarms": []}
    if "AlarmNames" in arguments and "AlarmNamePrefix" in arguments:
        raise combination("AlarmNamePrefix and AlarmNames.member are mutually exclusive")
    after = _place(arguments, str)
    if _METRIC_ALARM not in arguments.get("AlarmTypes", [_METRIC_ALARM]):
        return output
    if "ChildrenOfAlarmName" in arguments or "ParentsOfAlarmName" in arguments:
        return output  # Composite alarms have those, and there are none.
    most = arguments.get("MaxRecords", ALARMS_ON_A_PAGE)
    for alarm in _candidates(call, tx, after):
        if not _matches(alarm, arguments):
            continue
        if len(output["MetricAlarms"]) == most:
            output["NextToken"] = make_token(arguments, output["MetricAlarms"][-1]["AlarmName"])
            break
        output["MetricAlarms"].append(shown(alarm))
    return output


def describe_alarms_for_metric(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    """Alarms on exactly this metric; those on expressions are left out, as on AWS."""
    arguments = call.arguments
    wanted = converted(arguments, Metric)
    found = [
        alarm
        for alarm in alarms_of(tx, call.account, call.region)
        if not alarm.settings.metrics and _is_on(alarm, wanted, arguments)
    ]
    return {"MetricAlarms": [shown(alarm) for alarm in found]}


def describe_alarm_history(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    if _METRIC_ALARM not in arguments.get("AlarmTypes", [_METRIC_ALARM]) or "AlarmContributorId" in arguments:
        return {"AlarmHistoryItems": []}
    after = _place(arguments, list)
    descending = arguments.get("ScanBy") != "TimestampAscending"
    most = arguments.get("MaxRecords", ITEMS_ON_A_PAGE)
    items = (entry for entry in _history(call, tx) if after is None or _is_after(entry[:2], after, descending))
    choose = heapq.nlargest if descending else heapq.nsmallest
    page = choose(most + 1, items, key=lambda entry: entry[:2])
    output: Output = {"AlarmHistoryItems": [_shown_item(item) for _, _, item in page[:most]]}
    if len(page) > most:
        at, key, _ = page[most - 1]
        output["NextToken"] = make_token(arguments, [at, key])
    return output


def shown(alarm: Alarm) -> dict[str, Any]:
    """An alarm as it is described."""
    settings: dict[str, Any] = msgspec.to_builtins(alarm.settings)
    always = {"OKActions": [], "AlarmActions": [], "InsufficientDataActions": [], "ActionsEnabled": True}
    if not alarm.settings.metrics:
        always["Dimensions"] = []
    described = {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.updated_state,
        "StateTransitionedTimestamp": alarm.transitioned,
    }
    if alarm.reason_data is not None:
        described["StateReasonData"] = alarm.reason_data
    return described | always | settings


def _candidates(call: CloudWatchCall, tx: ReadTransaction, after: str | None) -> Iterator[Alarm]:
    """The alarms that are named, or have the prefix, after the one that a page ended with."""
    names = call.argument("AlarmNames")
    if names is None:
        yield from alarms_of(tx, call.account, call.region, call.argument("AlarmNamePrefix") or "", after)
        return
    for name in sorted(set(names)):
        if after is None or name > after:
            alarm = find_alarm(tx, call.account, call.region, name)
            if alarm is not None:
                yield alarm


def _matches(alarm: Alarm, arguments: dict[str, Any]) -> bool:
    settings = alarm.settings
    actions = (*settings.ok_actions, *settings.alarm_actions, *settings.insufficient_data_actions)
    prefix = arguments.get("ActionPrefix")
    return arguments.get("StateValue", alarm.state) == alarm.state and (
        prefix is None or any(action.startswith(prefix) for action in actions)
    )


def _is_on(alarm: Alarm, wanted: Metric, arguments: dict[str, Any]) -> bool:
    settings = alarm.settings
    metric = Metric(settings.namespace or "", settings.metric_name or "", settings.dimensions)
    if (metric.namespace, metric.metric_name, metric.by_name) != (
        wanted.namespace,
        wanted.metric_name,
        wanted.by_name,
    ):
        return False
    stated = {
        "Statistic": settings.statistic,
        "ExtendedStatistic": settings.extended_statistic,
        "Period": settings.period,
        "Unit": settings.unit,
    }
    return all(arguments.get(name, value) == value for name, value in stated.items())


# History


def _history(call: CloudWatchCall, tx: ReadTransaction) -> Iterator[tuple[float, str, HistoryItem]]:
    """The items that match, with their times and the end of their keys."""
    arguments = call.arguments
    start_date = max(arguments.get("StartDate", 0.0), call.now - _KEPT_FOR)
    end_date = arguments.get("EndDate", call.now + 60)
    wanted = arguments.get("HistoryItemType")
    prefix = history_prefix(call.account, call.region, arguments.get("AlarmName"))
    start, end = prefix, prefix + b"\xff" * 16
    while True:
        rows = tx.items(RECORDS_SPACE, start, end, _AT_ONCE)
        for key, _, body in rows:
            at = moment_of(key)
            if start_date <= at <= end_date:
                item = read_history(body)
                if wanted is None or item.type == wanted:
                    yield at, key[len(prefix) :].hex(), item
        if len(rows) < _AT_ONCE:
            return
        start = rows[-1][0] + b"\x00"


def _is_after(entry: tuple[float, str], place: list[Any], descending: bool) -> bool:
    last = (place[0], place[1])
    return entry < last if descending else entry > last


def _shown_item(item: HistoryItem) -> dict[str, Any]:
    return {
        "AlarmName": item.name,
        "AlarmType": _METRIC_ALARM,
        "Timestamp": item.at,
        "HistoryItemType": item.type,
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    }


def _place(arguments: dict[str, Any], kind: type) -> Any:
    try:
        place = read_token(arguments)
    except ValueError:
        raise invalid_token() from None
    if place is not None and not isinstance(place, kind):
        raise invalid_token()
    return place
