"""The operations of Application Auto Scaling: what each does, whether it changes the store, and what it is
authorized on: the scalable target, or everything for lists. Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html

Every call goes the same way: check the input against the model, find the target, authorize, run. The one operation
that is left out (GetPredictiveScalingForecast) is about policies that tables cannot have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from blotter.database.services.api import Call, Operation, Output, Reading, Writing
from blotter.database.services.authorization import authorize
from blotter.database.services.autoscaling import activities, policies, scheduled_actions, tags, targets
from blotter.database.services.autoscaling.calls import ScalingCall
from blotter.database.services.autoscaling.records import Target, find
from blotter.database.services.constraints import Wording, check_constraints
from blotter.database.services.errors import ServiceError
from blotter.database.services.model import load_model
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

MODEL: Final = "application-autoscaling"
WORDING: Final = Wording(lists_enumerations=True, code="ValidationException")
EVERYTHING: Final = "*"

Run = Callable[[ScalingCall, Any], Output]
FindTarget = Callable[[ScalingCall, ReadTransaction], "Target | None"]


def _named(call: ScalingCall, tx: ReadTransaction) -> Target | None:
    return find(tx, Target, call.place)


def _by_arn(call: ScalingCall, tx: ReadTransaction) -> Target | None:
    return tags.tagged_target(call, tx)


def _all(_: ScalingCall, __: ReadTransaction) -> None:
    return None


class Entry(NamedTuple):
    """An operation. `target` is what it is authorized on; None: on everything."""

    run: Run
    target: FindTarget


READING: dict[str, Entry] = {
    "DescribeScalableTargets": Entry(targets.describe_scalable_targets, _all),
    "DescribeScalingPolicies": Entry(policies.describe_scaling_policies, _all),
    "DescribeScheduledActions": Entry(scheduled_actions.describe_scheduled_actions, _all),
    "DescribeScalingActivities": Entry(activities.describe_scaling_activities, _all),
    "ListTagsForResource": Entry(tags.list_tags_for_resource, _by_arn),
}

WRITING: dict[str, Entry] = {
    "RegisterScalableTarget": Entry(targets.register_scalable_target, _named),
    "DeregisterScalableTarget": Entry(targets.deregister_scalable_target, _named),
    "PutScalingPolicy": Entry(policies.put_scaling_policy, _named),
    "DeleteScalingPolicy": Entry(policies.delete_scaling_policy, _named),
    "PutScheduledAction": Entry(scheduled_actions.put_scheduled_action, _named),
    "DeleteScheduledAction": Entry(scheduled_actions.delete_scheduled_action, _named),
    "TagResource": Entry(tags.tag_resource, _by_arn),
    "UntagResource": Entry(tags.untag_resource, _by_arn),
}


def make_registry() -> Mapping[str, Operation]:
    return {name: Reading(_reading(entry)) for name, entry in READING.items()} | {
        name: Writing(_writing(entry)) for name, entry in WRITING.items()
    }


def _reading(entry: Entry) -> Callable[[Call, ReadTransaction], Output]:
    return lambda call, tx: _run(entry, call, tx)


def _writing(entry: Entry) -> Callable[[Call, WriteTransaction], Output]:
    return lambda call, tx: _run(entry, call, tx)


def _run(entry: Entry, call: Call, tx: Any) -> Output:
    check_constraints(load_model(MODEL), call.operation, call.arguments, WORDING)
    caller = call.caller
    scaling = ScalingCall(
        operation=call.operation,
        arguments=call.arguments,
        account=caller.account,
        now=call.now,
        region=caller.region,
    )
    if caller.principal is not None:
        _authorize(entry, call, scaling, tx)
    return entry.run(scaling, tx)


def _authorize(entry: Entry, call: Call, scaling: ScalingCall, tx: ReadTransaction) -> None:
    """Raises AccessDeniedException. A target that does not exist, or is being made, is authorized as any."""
    principal = call.caller.principal
    if principal is None:
        return
    target: Target | None = None
    with suppress(ServiceError):  # The operation refuses it, after its caller was allowed to call it.
        target = entry.target(scaling, tx)
    context: dict[str, tuple[str, ...]] = {}
    if target is None:
        place = f"{scaling.region}:{scaling.account}"
        resource = EVERYTHING
        if entry.target is not _all:
            resource = f"arn:aws:application-autoscaling:{place}:scalable-target/*"
    else:
        resource = target.arn
        context |= {f"aws:resourcetag/{key.lower()}": (value,) for key, value in target.tags.items()}
    for name, member in (("service-namespace", "ServiceNamespace"), ("scalable-dimension", "ScalableDimension")):
        if scaling.argument(member) is not None:
            context[f"application-autoscaling:{name}"] = (scaling.argument(member),)
    given = scaling.argument("Tags") or {}
    context |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in given.items()}
    keys = tuple(given) or tuple(scaling.argument("TagKeys") or ())
    if keys:
        context["aws:tagkeys"] = keys
    try:
        authorize(call, principal, f"application-autoscaling:{call.operation}", resource, context)
    except ServiceError as error:
        raise ServiceError("AccessDeniedException", error.message) from None
