"""PutScheduledAction, DescribeScheduledActions, DeleteScheduledAction: bounds that are set at times.

What an update does not give stays, except the start and end, which it takes away. A recurring action runs at its
start time too. Messages: badmintoncryer/cdk-preflight (rules pf-appautoscaling-*, measured 2026).
"""

from __future__ import annotations

import uuid
from typing import Any

from msgspec.structs import replace

from blotter.database.services.api import Output
from blotter.database.services.autoscaling.calls import ScalingCall, invalid, not_found, page
from blotter.database.services.autoscaling.records import ScheduledAction, delete, find, of_account, save
from blotter.database.services.autoscaling.schedules import parse_schedule
from blotter.database.services.autoscaling.targets import check_bounds, the_target
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def put_scheduled_action(call: ScalingCall, tx: WriteTransaction) -> Output:
    place, name = call.place, call.arguments["ScheduledActionName"]
    the_target(tx, place)
    before = find(tx, ScheduledAction, place, f"\0{name}")
    schedule = call.argument("Schedule") or (None if before is None else before.schedule)
    if schedule is None:
        raise invalid("Schedule must be set")
    bounds = call.argument("ScalableTargetAction")
    if bounds is None and before is None:
        raise invalid("ScalableTargetAction must be set")
    action = before or ScheduledAction(place, name, str(uuid.uuid4()), schedule, call.now)
    if bounds is not None:
        least, most = bounds.get("MinCapacity"), bounds.get("MaxCapacity")
        if least is None and most is None:
            raise invalid("At least one of minimum capacity and maximum capacity should be provided")
        check_bounds(least, most, None)
        action = replace(action, least=least, most=most)
    starts, ends = call.argument("StartTime"), call.argument("EndTime")
    if starts is not None and ends is not None and starts >= ends:
        raise invalid("StartTime must be before EndTime")
    zone = call.argument("Timezone") or action.timezone
    action = replace(action, schedule=schedule, timezone=zone, starts=starts, ends=ends)
    save(tx, replace(action, next_at=due_after(action, call.now)))
    tx.notify_background()
    return {}


def due_after(action: ScheduledAction, moment: float) -> float | None:
    """When an action is due next after a moment; None: never again. Raises ValidationException for a schedule that
    is none."""
    schedule = parse_schedule(action.schedule, action.timezone, action.created)
    once = action.schedule.strip().lower().startswith("at(")
    if action.starts is not None and action.starts > moment:
        due = schedule.after(action.starts - 1) if once else action.starts
    else:
        due = schedule.after(moment)
    if due is None or (action.ends is not None and due > action.ends):
        return None
    return due


def describe_scheduled_actions(call: ScalingCall, tx: ReadTransaction) -> Output:
    names = call.argument("ScheduledActionNames")
    found = (
        action
        for action in of_account(tx, ScheduledAction, call.account, call.region)
        if call.wants(action.place) and (not names or action.name in names)
    )
    return page(call, found, lambda action: action.place.key + action.suffix, _view, "ScheduledActions")


def delete_scheduled_action(call: ScalingCall, tx: WriteTransaction) -> Output:
    place, name = call.place, call.arguments["ScheduledActionName"]
    action = find(tx, ScheduledAction, place, f"\0{name}")
    if action is None:
        raise not_found("scheduled action found", place, f", scheduled action name: {name}")
    delete(tx, action)
    return {}


def _view(action: ScheduledAction) -> dict[str, Any]:
    place = action.place
    bounds = {"MinCapacity": action.least, "MaxCapacity": action.most}
    shown: dict[str, Any] = {
        "ScheduledActionName": action.name,
        "ScheduledActionARN": action.arn,
        "ServiceNamespace": "dynamodb",
        "Schedule": action.schedule,
        "ResourceId": place.resource,
        "ScalableDimension": place.dimension,
        "ScalableTargetAction": {name: bound for name, bound in bounds.items() if bound is not None},
        "CreationTime": round(action.created, 3),
    }
    more = {"Timezone": action.timezone, "StartTime": action.starts, "EndTime": action.ends}
    return shown | {name: value for name, value in more.items() if value is not None}
