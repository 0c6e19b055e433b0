"""PutScalingPolicy, DescribeScalingPolicies, DeleteScalingPolicy: target tracking of consumed over provisioned
units, the only kind that AWS has for tables.

A policy has one name and one metric in its target; put again, it keeps its ARN. Messages:
badmintoncryer/cdk-preflight (rules pf-appautoscaling-*, measured 2026); step scaling and metrics of one's own are
refused as in ack-api-quirks, DDB-TABLE-196, where the message of the first is not recorded.
"""

from __future__ import annotations

import uuid
from typing import Any

from msgspec.structs import replace

from blotter.database.services.api import Output
from blotter.database.services.autoscaling.alarms import names as new_alarm_names
from blotter.database.services.autoscaling.alarms import put_alarms, remove_alarms
from blotter.database.services.autoscaling.calls import ScalingCall, invalid, not_found, page
from blotter.database.services.autoscaling.records import Place, Policy, delete, find, of_account, of_place
from blotter.database.services.autoscaling.resources import look_up
from blotter.database.services.autoscaling.targets import the_target
from blotter.database.services.errors import ServiceError
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

TRACKING = "TargetTrackingScaling"
LEAST_GOAL, MOST_GOAL = 10.0, 90.0


def put_scaling_policy(call: ScalingCall, tx: WriteTransaction) -> Output:
    place, name = call.place, call.arguments["PolicyName"]
    the_target(tx, place)
    before = find(tx, Policy, place, f"\0{name}")
    kind = call.argument("PolicyType") or ("StepScaling" if before is None else TRACKING)
    if kind != TRACKING:
        raise _refused(kind)
    settings = call.argument("TargetTrackingScalingPolicyConfiguration")
    if settings is None:
        raise invalid(f"{kind} policy configuration must be specified")
    metric = _metric(place, settings)
    goal = settings["TargetValue"]
    if not LEAST_GOAL <= goal <= MOST_GOAL:
        raise invalid(
            f"For predefined metric type {metric}, target value must be between '{LEAST_GOAL}' and '{MOST_GOAL}'"
        )
    cooldowns = settings.get("ScaleOutCooldown"), settings.get("ScaleInCooldown")
    if any(each is not None and each < 0 for each in cooldowns):
        raise invalid("Cooldown cannot be negative")
    if before is None and any(of_place(tx, Policy, place)):
        raise invalid("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
    policy_id = str(uuid.uuid4())
    policy = before or Policy(place, name, policy_id, goal, metric, call.now, call.now, new_alarm_names(place))
    policy = replace(
        policy,
        goal=goal,
        changed=call.now,
        out_cooldown=cooldowns[0],
        in_cooldown=cooldowns[1],
        disable_scale_in=settings.get("DisableScaleIn"),
    )
    put_alarms(tx, policy, look_up(tx, place, call.now), call.now)
    tx.notify_background()
    return {"PolicyARN": policy.arn, "Alarms": _alarms(policy)}


def describe_scaling_policies(call: ScalingCall, tx: ReadTransaction) -> Output:
    names = call.argument("PolicyNames")
    found = (
        policy
        for policy in of_account(tx, Policy, call.account, call.region)
        if call.wants(policy.place) and (not names or policy.name in names)
    )
    return page(call, found, lambda policy: policy.place.key + policy.suffix, _view, "ScalingPolicies", most=10)


def delete_scaling_policy(call: ScalingCall, tx: WriteTransaction) -> Output:
    place, name = call.place, call.arguments["PolicyName"]
    policy = find(tx, Policy, place, f"\0{name}")
    if policy is None:
        raise not_found("scaling policy found", place, f", policy name: {name}")
    delete(tx, policy)
    remove_alarms(tx, policy, call.now)
    return {}


def _refused(kind: str) -> ServiceError:
    if kind == "StepScaling":
        return ServiceError("AccessDeniedException", "Step scaling policies are not supported for DynamoDB.")
    return invalid(f"{kind} policies are not supported for service namespace dynamodb")


def _metric(place: Place, settings: dict[str, Any]) -> str:
    """The metric of a configuration. Raises ValidationException for one that the dimension does not have."""
    predefined, customized = (settings.get(f"{kind}MetricSpecification") for kind in ("Predefined", "Customized"))
    if predefined is not None and customized is not None:
        raise invalid(
            "Only one of PredefinedMetricSpecification or CustomizedMetricSpecification can be set for target "
            "tracking scaling."
        )
    if customized is not None:
        raise invalid(f"Scalable dimension {place.dimension} does not support CustomizedMetricSpecification.")
    if predefined is None:
        raise invalid(
            "PredefinedMetricSpecification or CustomizedMetricSpecification must be set for target tracking "
            "scaling."
        )
    side = "Write" if place.dimension.endswith(":WriteCapacityUnits") else "Read"
    metric = f"DynamoDB{side}CapacityUtilization"
    if predefined["PredefinedMetricType"] != metric:
        raise invalid(
            f"Scalable dimension {place.dimension} only supports the following predefined metric types: {metric}"
        )
    return metric


def _view(policy: Policy) -> dict[str, Any]:
    place = policy.place
    settings: dict[str, Any] = {
        "TargetValue": policy.goal,
        "PredefinedMetricSpecification": {"PredefinedMetricType": policy.metric},
    }
    given = {
        "ScaleOutCooldown": policy.out_cooldown,
        "ScaleInCooldown": policy.in_cooldown,
        "DisableScaleIn": policy.disable_scale_in,
    }
    settings |= {name: value for name, value in given.items() if value is not None}
    return {
        "PolicyARN": policy.arn,
        "PolicyName": policy.name,
        "ServiceNamespace": "dynamodb",
        "ResourceId": place.resource,
        "ScalableDimension": place.dimension,
        "PolicyType": TRACKING,
        "TargetTrackingScalingPolicyConfiguration": settings,
        "Alarms": _alarms(policy),
        "CreationTime": round(policy.created, 3),
    }


def _alarms(policy: Policy) -> list[dict[str, str]]:
    place = policy.place
    prefix = f"arn:aws:cloudwatch:{place.region}:{place.account}:alarm:"
    return [{"AlarmName": name, "AlarmARN": f"{prefix}{name}"} for name in policy.alarms]
