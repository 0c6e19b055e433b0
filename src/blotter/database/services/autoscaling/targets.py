"""RegisterScalableTarget, DescribeScalableTargets, DeregisterScalableTarget.

What is enforced when: a target's bounds once after they were set, by the background process, which is notified.
Messages: badmintoncryer/cdk-preflight (rules pf-appautoscaling-*, measured 2026); ack-api-quirks, DDB-TABLE-195,
-322; for a table that is not there users of Terraform.
"""

from __future__ import annotations

import uuid
from typing import Any

from msgspec.structs import replace

from blotter.database.services.api import Output
from blotter.database.services.autoscaling.alarms import remove_alarms
from blotter.database.services.autoscaling.calls import ScalingCall, invalid, not_found, page
from blotter.database.services.autoscaling.records import (
    Place,
    Policy,
    ScheduledAction,
    Suspended,
    Target,
    delete,
    find,
    of_account,
    of_place,
    save,
)
from blotter.database.services.autoscaling.resources import look_up
from blotter.database.services.autoscaling.tags import check_tags
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction


def register_scalable_target(call: ScalingCall, tx: WriteTransaction) -> Output:
    place = call.place
    target = find(tx, Target, place)
    least, most = call.argument("MinCapacity"), call.argument("MaxCapacity")
    if target is None and (least is None or most is None):
        raise invalid("Both minimum capacity and maximum capacity must be specified for a new scalable target")
    check_exists(call, tx, place)
    check_bounds(least, most, target)
    if target is None:
        target = Target(place, uuid.uuid4().hex, least, most, call.now)
    elif call.argument("Tags"):
        raise invalid("Tags can only be specified when a scalable target is registered for the first time")
    changed = replace(
        target,
        least=target.least if least is None else least,
        most=target.most if most is None else most,
        suspended=_suspended(call.argument("SuspendedState") or {}, target.suspended),
        tags=target.tags | check_tags(call.argument("Tags") or {}, target),
        bounds_set=target.bounds_set or least is not None or most is not None,
    )
    save(tx, changed)
    tx.notify_background()
    return {"ScalableTargetARN": changed.arn}


def describe_scalable_targets(call: ScalingCall, tx: ReadTransaction) -> Output:
    resources = call.argument("ResourceIds")
    found = (
        target
        for target in of_account(tx, Target, call.account, call.region)
        if call.wants(target.place) and (not resources or target.place.resource in resources)
    )
    return page(call, found, lambda target: target.place.key, _view, "ScalableTargets")


def deregister_scalable_target(call: ScalingCall, tx: WriteTransaction) -> Output:
    """With its policies and its scheduled actions."""
    target = the_target(tx, call.place)
    for policy in list(of_place(tx, Policy, target.place)):
        delete(tx, policy)
        remove_alarms(tx, policy, call.now)
    for action in list(of_place(tx, ScheduledAction, target.place)):
        delete(tx, action)
    delete(tx, target)
    return {}


def the_target(tx: ReadTransaction, place: Place) -> Target:
    """Raises ObjectNotFoundException."""
    target = find(tx, Target, place)
    if target is None:
        raise not_found("scalable target registered", place)
    return target


def check_exists(call: ScalingCall, tx: ReadTransaction, place: Place) -> None:
    """Raises ValidationException unless the table, or the index, is there."""
    scaled = look_up(tx, place, call.now)
    if scaled.table is None:
        raise invalid(f"DynamoDB table does not exist: table/{scaled.name}")
    index = None if scaled.index is None else scaled.table.index(scaled.index)
    if scaled.index is not None and (index is None or not index.is_global):
        raise invalid(f"DynamoDB index does not exist: {place.resource}")


def check_bounds(least: int | None, most: int | None, target: Target | None) -> None:
    """Raises ValidationException for bounds that contradict themselves or those that the target has."""
    for name, bound in (("Minimum", least), ("Maximum", most)):
        if bound is not None and bound < 1:
            raise invalid(f"{name} capacity cannot be less than 1")
    low = least if least is not None or target is None else target.least
    high = most if most is not None or target is None else target.most
    if low is not None and high is not None and high < low:
        raise invalid("Maximum capacity cannot be less than minimum capacity")


def _suspended(given: dict[str, bool], before: Suspended) -> Suspended:
    return Suspended(
        given.get("DynamicScalingInSuspended", before.scaling_in),
        given.get("DynamicScalingOutSuspended", before.scaling_out),
        given.get("ScheduledScalingSuspended", before.scheduled),
    )


def _view(target: Target) -> dict[str, Any]:
    place = target.place
    return {
        "ServiceNamespace": "dynamodb",
        "ResourceId": place.resource,
        "ScalableDimension": place.dimension,
        "MinCapacity": target.least,
        "MaxCapacity": target.most,
        "RoleARN": (
            f"arn:aws:iam::{place.account}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
        ),
        "CreationTime": round(target.created, 3),
        "SuspendedState": {
            "DynamicScalingInSuspended": target.suspended.scaling_in,
            "DynamicScalingOutSuspended": target.suspended.scaling_out,
            "ScheduledScalingSuspended": target.suspended.scheduled,
        },
        "ScalableTargetARN": target.arn,
    }
