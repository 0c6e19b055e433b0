"""Changes of alarms: the record, the entry of its history and the notifications that follow, in one transaction.

A notification is stored with the state that it is about, so a server that is killed sends it after its next start.
Source of the entries of the history: LocalStack's recordings (2026-02) and the examples of
https://docs.aws.amazon.com/cli/latest/reference/cloudwatch/describe-alarm-history.html
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from blotter.database.alarms.evaluation import State
from blotter.database.alarms.messages import notification
from blotter.database.alarms.reasons import INITIAL
from blotter.database.alarms.records import (
    Alarm,
    HistoryItem,
    Settings,
    add_history,
    add_notification,
    delete_alarm,
    find_alarm,
    raise_generation,
    save_alarm,
)
from blotter.database.storage.protocol import WriteTransaction

_LONGEST_SUMMARY = 255


def put_alarm(
    tx: WriteTransaction,
    account: str,
    region: str,
    name: str,
    settings: Settings,
    tags: dict[str, str],
    now: float,
) -> None:
    """Makes an alarm, or gives one that exists other settings; its state and its tags stay then."""
    before = find_alarm(tx, account, region, name)
    if before is None:
        alarm = Alarm(account, region, name, settings, now, now, "INSUFFICIENT_DATA", INITIAL, now, now, tags=tags)
        _record(tx, alarm, now, f'Alarm "{name}" created', {"type": "Create", "createdAlarm": _shown(settings)})
    else:
        alarm = msgspec.structs.replace(before, settings=settings, configured=now)
        data = {"type": "Update", "updatedAlarm": _shown(settings), "previousAlarm": _shown(before.settings)}
        _record(tx, alarm, now, f'Alarm "{name}" updated', data)
    save_alarm(tx, alarm)
    raise_generation(tx)


def remove_alarm(tx: WriteTransaction, alarm: Alarm, now: float) -> None:
    """Deletes an alarm; its history stays."""
    _record(
        tx, alarm, now, f'Alarm "{alarm.name}" deleted', {"type": "Delete", "deletedAlarm": _shown(alarm.settings)}
    )
    delete_alarm(tx, alarm)
    raise_generation(tx)


def enable_actions(tx: WriteTransaction, alarm: Alarm, enabled: bool, now: float) -> None:
    if alarm.settings.actions_enabled == enabled:
        return
    settings = msgspec.structs.replace(alarm.settings, actions_enabled=enabled)
    put_alarm(tx, alarm.account, alarm.region, alarm.name, settings, alarm.tags, now)


def set_state(
    tx: WriteTransaction, alarm: Alarm, state: State, reason: str, reason_data: str | None, now: float
) -> Alarm:
    """Gives an alarm a state and a reason. If the state is another one, the actions of it are notified."""
    changed = state != alarm.state
    after = msgspec.structs.replace(
        alarm,
        state=state,
        reason=reason,
        reason_data=reason_data,
        updated_state=now,
        transitioned=now if changed else alarm.transitioned,
    )
    save_alarm(tx, after)
    if not changed:
        return after
    data = {"version": "1.0", "oldState": _state(alarm), "newState": _state(after)}
    summary = f"Alarm updated from {alarm.state} to {state}"
    add_history(tx, alarm.account, alarm.region, HistoryItem(alarm.name, now, "StateUpdate", summary, _json(data)))
    if after.settings.actions_enabled:
        for action in dict.fromkeys(after.settings.actions_for(state)):
            add_notification(tx, notification(after, alarm.state, action))
    return after


def record_action(
    tx: WriteTransaction, account: str, region: str, name: str, action: str, state: State, now: float, problem: str
) -> None:
    """Notes in the history that an action was executed, or why not."""
    status = "Failed" if problem else "Succeeded"
    summary = f"{'Failed to execute' if problem else 'Successfully executed'} action {action}"
    data: dict[str, Any] = {"actionState": status, "stateUpdateTimestamp": int(now * 1000)}
    data |= {"notificationResource": action, "stateValue": state}
    if problem:
        data["error"] = problem
    item = HistoryItem(name, now, "Action", summary[:_LONGEST_SUMMARY], _json(data))
    add_history(tx, account, region, item)


def _record(tx: WriteTransaction, alarm: Alarm, now: float, summary: str, data: dict[str, Any]) -> None:
    item = HistoryItem(
        alarm.name, now, "ConfigurationUpdate", summary[:_LONGEST_SUMMARY], _json({"version": "1.0"} | data)
    )
    add_history(tx, alarm.account, alarm.region, item)


def _state(alarm: Alarm) -> dict[str, Any]:
    shown: dict[str, Any] = {"stateValue": alarm.state, "stateReason": alarm.reason}
    if alarm.reason_data is not None:
        shown["stateReasonData"] = _parsed(alarm.reason_data)
    return shown


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _shown(settings: Settings) -> dict[str, Any]:
    """Settings as the history has them: the names begin with a small letter."""
    members: dict[str, Any] = msgspec.to_builtins(settings)
    return {name[:1].lower() + name[1:]: value for name, value in members.items()}


def _json(data: dict[str, Any]) -> str:
    return orjson.dumps(data).decode()
