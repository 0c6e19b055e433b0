"""SetAlarmState, EnableAlarmActions, DisableAlarmActions, DeleteAlarms, and the tags of alarms.

Names of alarms that do not exist are passed over where several are named, as on AWS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import orjson

from blotter.database.alarms.changes import enable_actions, remove_alarm, set_state
from blotter.database.alarms.records import Alarm, find_alarm, save_alarm
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall
from blotter.database.services.cloudwatch.errors import invalid, no_such_alarm
from blotter.database.services.cloudwatch.put_metric_alarm import MOST_TAGS
from blotter.database.services.errors import ServiceError, shortened
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

_PARTS_OF_ARN: Final = 7


def set_alarm_state(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    arguments = call.arguments
    data = arguments.get("StateReasonData")
    if data is not None:
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError:
            raise ServiceError("InvalidFormatFault", "StateReasonData is not valid JSON.") from None
    alarm = find_alarm(tx, call.account, call.region, arguments["AlarmName"])
    if alarm is None:
        raise no_such_alarm()
    set_state(tx, alarm, arguments["StateValue"], arguments["StateReason"], data, call.now)
    return {}


def enable_alarm_actions(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    for alarm in _named(call, tx):
        enable_actions(tx, alarm, True, call.now)
    return {}


def disable_alarm_actions(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    for alarm in _named(call, tx):
        enable_actions(tx, alarm, False, call.now)
    return {}


def delete_alarms(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    for alarm in _named(call, tx):
        remove_alarm(tx, alarm, call.now)
    return {}


def list_tags_for_resource(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    """No tags for an alarm that does not exist, as AWS answers (LocalStack's recordings, 2026-02)."""
    alarm = _of_arn(call, tx)
    tags = {} if alarm is None else alarm.tags
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tag_resource(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    alarm = _existing(call, tx)
    tags = alarm.tags | {tag["Key"]: tag["Value"] for tag in call.arguments["Tags"]}
    if len(tags) > MOST_TAGS:
        raise invalid(f"The number of tags must not be greater than {MOST_TAGS}.")
    save_alarm(tx, msgspec.structs.replace(alarm, tags=tags))
    return {}


def untag_resource(call: CloudWatchCall, tx: WriteTransaction) -> Output:
    alarm = _existing(call, tx)
    gone = set(call.arguments["TagKeys"])
    tags = {key: value for key, value in alarm.tags.items() if key not in gone}
    save_alarm(tx, msgspec.structs.replace(alarm, tags=tags))
    return {}


def _named(call: CloudWatchCall, tx: ReadTransaction) -> Iterator[Alarm]:
    for name in dict.fromkeys(call.arguments["AlarmNames"]):
        alarm = find_alarm(tx, call.account, call.region, name)
        if alarm is not None:
            yield alarm


def _existing(call: CloudWatchCall, tx: ReadTransaction) -> Alarm:
    alarm = _of_arn(call, tx)
    if alarm is None:
        raise ServiceError("ResourceNotFoundException", "Unknown", 404)
    return alarm


def _of_arn(call: CloudWatchCall, tx: ReadTransaction) -> Alarm | None:
    """The alarm of an ARN; None for one of another account or region, and for what is not an alarm."""
    arn = call.arguments["ResourceARN"]
    parts = arn.split(":", _PARTS_OF_ARN - 1)
    if len(parts) < _PARTS_OF_ARN or parts[0] != "arn" or parts[2] != "cloudwatch":
        raise invalid(f"The value {shortened(arn)} for parameter ResourceARN is invalid.")
    if parts[3:6] != [call.region, call.account, "alarm"]:
        return None
    return find_alarm(tx, call.account, call.region, parts[6])
