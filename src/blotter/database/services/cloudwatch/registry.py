"""The operations of CloudWatch: what each does, whether it changes the store, and what it is authorized on.

Every call goes the same way: check the input against the model, authorize, run. Operations on metrics have words
of their own for inputs that are not valid (`checks`), those on alarms AWS's common ones (`services.constraints`).
Source of resources and condition keys:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from blotter.database.alarms.records import alarm_arn, find_alarm
from blotter.database.metrics.series import MetricReader
from blotter.database.services.api import Call, Operation, Output, Reading, Writing
from blotter.database.services.authorization import authorize
from blotter.database.services.cloudwatch import change_alarms, describe_alarms, insight_rules
from blotter.database.services.cloudwatch.calls import CloudWatchCall
from blotter.database.services.cloudwatch.checks import check_metric_input
from blotter.database.services.cloudwatch.get_metric_data import get_metric_data
from blotter.database.services.cloudwatch.get_metric_statistics import get_metric_statistics
from blotter.database.services.cloudwatch.list_metrics import list_metrics
from blotter.database.services.cloudwatch.put_metric_alarm import put_metric_alarm
from blotter.database.services.cloudwatch.put_metric_data import put_metric_data
from blotter.database.services.constraints import Wording, check_constraints
from blotter.database.services.model import load_model
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

MODEL: Final = "monitoring"
WORDING: Final = Wording(lists_enumerations=True, code="ValidationException")
EVERYTHING: Final = "*"

Check = Literal["metrics", "metric data", "alarms"]
Context = dict[str, tuple[str, ...]]


class Asked(NamedTuple):
    """An action that the caller has to be allowed, the resource, and the condition keys of the service."""

    action: str
    resource: str
    context: Context


Required = Callable[[CloudWatchCall, ReadTransaction], Iterator[Asked]]


class Entry(NamedTuple):
    run: Callable[[CloudWatchCall, Any], Output]
    check: Check
    required: Required


def _everything(call: CloudWatchCall, _: ReadTransaction) -> Iterator[Asked]:
    namespace = call.argument("Namespace")
    named = call.operation == "PutMetricData" and namespace is not None
    yield Asked(call.operation, EVERYTHING, {"cloudwatch:namespace": (namespace,)} if named else {})


def _insight_rule(call: CloudWatchCall, _: ReadTransaction) -> Iterator[Asked]:
    name = call.arguments["RuleName"]
    yield Asked(call.operation, f"arn:aws:cloudwatch:{call.region}:{call.account}:insight-rule/{name}", {})


def _alarms(call: CloudWatchCall, tx: ReadTransaction) -> Iterator[Asked]:
    """The alarms that are named, or all of them."""
    name = call.argument("AlarmName")
    names = call.argument("AlarmNames") or ([name] if name is not None else [])
    for each in dict.fromkeys(names) or [EVERYTHING]:
        yield Asked(call.operation, alarm_arn(call.account, call.region, each), _tags_of(call, tx, each))


def _new_alarm(call: CloudWatchCall, tx: ReadTransaction) -> Iterator[Asked]:
    name = call.arguments["AlarmName"]
    arn = alarm_arn(call.account, call.region, name)
    lists = ("OKActions", "AlarmActions", "InsufficientDataActions")
    actions = tuple(action for each in lists for action in call.arguments.get(each, ()))
    context = _tags_of(call, tx, name) | _tags_given(call)
    if actions:
        context["cloudwatch:alarmactions"] = actions
    yield Asked(call.operation, arn, context)
    if call.argument("Tags"):
        yield Asked("TagResource", arn, context)


def _resource(call: CloudWatchCall, tx: ReadTransaction) -> Iterator[Asked]:
    arn = call.arguments["ResourceARN"]
    context = _tags_of(call, tx, arn.rpartition(":alarm:")[2]) | _tags_given(call)
    yield Asked(call.operation, arn, context)


def _tags_of(call: CloudWatchCall, tx: ReadTransaction, name: str) -> Context:
    alarm = find_alarm(tx, call.account, call.region, name)
    tags = {} if alarm is None else alarm.tags
    return {f"aws:resourcetag/{key.lower()}": (value,) for key, value in tags.items()}


def _tags_given(call: CloudWatchCall) -> Context:
    tags = {tag["Key"]: tag["Value"] for tag in call.arguments.get("Tags", ())}
    keys = (*tags, *call.arguments.get("TagKeys", ()))
    context: Context = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    return context | ({"aws:tagkeys": keys} if keys else {})


READING: Final[dict[str, Entry]] = {
    "GetMetricData": Entry(get_metric_data, "metric data", _everything),
    "GetMetricStatistics": Entry(get_metric_statistics, "metrics", _everything),
    "ListMetrics": Entry(list_metrics, "metrics", _everything),
    "DescribeInsightRules": Entry(insight_rules.describe_insight_rules, "metrics", _everything),
    "GetInsightRuleReport": Entry(insight_rules.get_insight_rule_report, "metrics", _insight_rule),
    "DescribeAlarms": Entry(describe_alarms.describe_alarms, "alarms", _alarms),
    "DescribeAlarmsForMetric": Entry(describe_alarms.describe_alarms_for_metric, "alarms", _everything),
    "DescribeAlarmHistory": Entry(describe_alarms.describe_alarm_history, "alarms", _alarms),
    "ListTagsForResource": Entry(change_alarms.list_tags_for_resource, "alarms", _resource),
}

HEAVY: Final = frozenset(
    {
        *("GetMetricData", "GetMetricStatistics", "ListMetrics", "GetInsightRuleReport"),
        *("DescribeAlarmsForMetric", "DescribeAlarmHistory"),
    }
)
"""Those of READING that may take long: they read years of points, or all that there is."""

WRITING: Final[dict[str, Entry]] = {
    "PutMetricData": Entry(put_metric_data, "metrics", _everything),
    "PutMetricAlarm": Entry(put_metric_alarm, "alarms", _new_alarm),
    "SetAlarmState": Entry(change_alarms.set_alarm_state, "alarms", _alarms),
    "EnableAlarmActions": Entry(change_alarms.enable_alarm_actions, "alarms", _alarms),
    "DisableAlarmActions": Entry(change_alarms.disable_alarm_actions, "alarms", _alarms),
    "DeleteAlarms": Entry(change_alarms.delete_alarms, "alarms", _alarms),
    "TagResource": Entry(change_alarms.tag_resource, "alarms", _resource),
    "UntagResource": Entry(change_alarms.untag_resource, "alarms", _resource),
}


def make_registry(reader: MetricReader) -> Mapping[str, Operation]:
    """The registry of a server whose metrics are read through `reader`."""
    reading = {name: Reading(partial(_read, reader, entry), name in HEAVY) for name, entry in READING.items()}
    writing = {name: Writing(partial(_write, reader, entry)) for name, entry in WRITING.items()}
    return {**reading, **writing}


def _read(reader: MetricReader, entry: Entry, call: Call, tx: ReadTransaction) -> Output:
    return entry.run(_allowed(reader, entry, call, tx), tx)


def _write(reader: MetricReader, entry: Entry, call: Call, tx: WriteTransaction) -> Output:
    return entry.run(_allowed(reader, entry, call, tx), tx)


def _allowed(reader: MetricReader, entry: Entry, call: Call, tx: ReadTransaction) -> CloudWatchCall:
    """The call, once it is checked and authorized."""
    model = load_model(MODEL)
    if entry.check == "alarms":
        check_constraints(model, call.operation, call.arguments, WORDING)
    else:
        check_metric_input(model, call.operation, call.arguments, one_code=entry.check == "metric data")
    caller = call.caller
    asked = CloudWatchCall(
        operation=call.operation,
        arguments=call.arguments,
        account=caller.account,
        now=call.now,
        region=caller.region,
        reader=reader,
    )
    if caller.principal is not None:
        for action, resource, context in entry.required(asked, tx):
            authorize(call, caller.principal, f"cloudwatch:{action}", resource, context)
    return asked
