"""Autoscaling and alarms: the settings of a table that are other services' (Application Auto Scaling, CloudWatch).

The same kind of functions as in `aspects.py`, which lists them. Wanted and found values have one shape each:
`{"table" or "index <name>": {"read" or "write": bounds}}` and `{label: alarm}`; False in the wanted one stands for
what is to be taken away. Pure.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from blotter.tables.declaring.declaration import Autoscaling, TableDeclaration
from blotter.tables.planning.changes import Request

Sides = dict[str, Any]
_Declared = Autoscaling | Literal[False] | None

_SCALING = "application-autoscaling"
_DIMENSIONS = {"read": "ReadCapacityUnits", "write": "WriteCapacityUnits"}
_METRICS = {"read": "DynamoDBReadCapacityUtilization", "write": "DynamoDBWriteCapacityUtilization"}


def wanted_autoscaling(table: TableDeclaration) -> dict[str, Sides] | None:
    """The declared bounds by owner and side, None when autoscaling is not declared at all."""
    owners: dict[str, _Declared] = {"table": table.autoscaling}
    owners |= {f"index {name}": index.autoscaling for name, index in table.indexes_of("global").items()}
    wanted = {owner: _sides(scaling) for owner, scaling in owners.items() if scaling is not None}
    return {owner: sides for owner, sides in wanted.items() if sides} or None


def _sides(scaling: Autoscaling | Literal[False]) -> Sides:
    if scaling is False:
        return dict.fromkeys(_DIMENSIONS, False)
    declared = {side: getattr(scaling, side) for side in _DIMENSIONS}
    return {
        side: bounds if bounds is False else msgspec.structs.asdict(bounds)
        for side, bounds in declared.items()
        if bounds is not None
    }


def same_autoscaling(found: dict[str, Sides], wanted: dict[str, Sides]) -> bool:
    return not any(_differing(found, wanted))


def _differing(found: dict[str, Sides], wanted: dict[str, Sides]) -> list[tuple[str, str, Any]]:
    return [
        (owner, side, bounds)
        for owner, sides in wanted.items()
        for side, bounds in sides.items()
        if found.get(owner, {}).get(side, False) != bounds
    ]


def autoscaling_requests(table: str, found: dict[str, Sides], wanted: dict[str, Sides]) -> list[Request]:
    """Register and put for what is scaled, deregister (which removes its policies too) for what is not to be."""
    requests = []
    for owner, side, bounds in _differing(found, wanted):
        kind, _, index = owner.partition(" ")
        resource = f"table/{table}/index/{index}" if index else f"table/{table}"
        target = {
            "ServiceNamespace": "dynamodb",
            "ResourceId": resource,
            "ScalableDimension": f"dynamodb:{kind}:{_DIMENSIONS[side]}",
        }
        if bounds is False:
            requests.append(Request("DeregisterScalableTarget", target, _SCALING))
            continue
        limits = {"MinCapacity": bounds["min_capacity"], "MaxCapacity": bounds["max_capacity"]}
        goal = {
            "TargetValue": float(bounds["target_utilization"]),
            "PredefinedMetricSpecification": {"PredefinedMetricType": _METRICS[side]},
        }
        policy = {
            "PolicyName": f"{resource}-{side}-target",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": goal,
        }
        requests.append(Request("RegisterScalableTarget", target | limits, _SCALING))
        requests.append(Request("PutScalingPolicy", target | policy, _SCALING))
    return requests


def wanted_alarms(table: TableDeclaration) -> dict[str, Any] | None:
    """The declared alarms by label; False for one that is not to be there."""
    if table.alarms is None:
        return None
    return {label: alarm and msgspec.structs.asdict(alarm) for label, alarm in table.alarms.items()}


def same_alarms(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(found.get(label, False) == alarm for label, alarm in wanted.items())


def alarm_requests(table: str, found: dict[str, Any], wanted: dict[str, Any]) -> list[Request]:
    requests = []
    unwanted = [f"{table}-{label}" for label, alarm in wanted.items() if alarm is False and label in found]
    if unwanted:
        requests.append(Request("DeleteAlarms", {"AlarmNames": unwanted}, "cloudwatch"))
    for label, alarm in wanted.items():
        if alarm is False or found.get(label) == alarm:
            continue
        operation = [{"Name": "Operation", "Value": alarm["operation"]}] if alarm["operation"] else []
        parameters = {
            "AlarmName": f"{table}-{label}",
            "Namespace": "AWS/DynamoDB",
            "MetricName": alarm["metric"],
            "Dimensions": [{"Name": "TableName", "Value": table}, *operation],
            "Statistic": alarm["statistic"],
            "Threshold": alarm["threshold"],
            "ComparisonOperator": alarm["comparison"],
            "Period": alarm["period"],
            "EvaluationPeriods": alarm["evaluation_periods"],
            "AlarmActions": alarm["actions"],
            "TreatMissingData": "notBreaching",
        }
        requests.append(Request("PutMetricAlarm", parameters, "cloudwatch"))
    return requests
