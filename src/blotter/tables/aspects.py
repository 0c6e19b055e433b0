"""The settings of a table one by one: what is wanted, what is there, and the requests that close the gap.

`ASPECTS` is the list; its order is the order of application. Each is a comparison of plain values in the
declaration's terms and a function to requests, so that a plan is data and nothing here talks to an endpoint.
Indexes have a file of their own. Source: the API reference's page on UpdateTable, for what one request may change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from blotter.tables import desired
from blotter.tables.changes import Request
from blotter.tables.declaration import AWS_OWNED, TableDeclaration, starting_throughput
from blotter.tables.observed import Observed

Value = Any


class Gap(NamedTuple):
    """One setting's two sides, and the table they belong to."""

    table: Observed
    declared: TableDeclaration
    found: Value
    wanted: Value

    def update(self, **parameters: Any) -> list[Request]:
        return [Request("UpdateTable", {"TableName": self.table.table["TableName"], **parameters})]


class Aspect(NamedTuple):
    """One setting. `wanted` answers None for "not declared"; a dict is compared only in the keys it has."""

    key: str
    wanted: Callable[[TableDeclaration], Value | None]
    found: Callable[[Observed], Value]
    requests: Callable[[Gap], list[Request]]
    same: Callable[[Value, Value], bool] | None = None
    note: str = ""
    at_creation: bool = True  # CreateTable takes it


def differs(aspect: Aspect, found: Value, wanted: Value) -> bool:
    """Whether what is found falls short of what is declared."""
    if aspect.same is not None:
        return not aspect.same(found, wanted)
    if isinstance(wanted, dict) and isinstance(found, dict):
        return any(found.get(key) != value for key, value in wanted.items())
    return bool(found != wanted)


def plain(part: msgspec.Struct | None) -> dict[str, Any] | None:
    """A part of a declaration as the plain values it mentions."""
    if part is None:
        return None
    return {key: value for key, value in msgspec.structs.asdict(part).items() if value is not None}


# --- billing and throughput


def _billing(gap: Gap) -> list[Request]:
    if gap.wanted == "PAY_PER_REQUEST":
        return gap.update(BillingMode="PAY_PER_REQUEST")
    # Going to PROVISIONED, the table and every global index need their units in the same request.
    indexes = [
        {"Update": {"IndexName": name, "ProvisionedThroughput": desired.provisioned(starting_throughput(index))}}
        for name, index in gap.declared.indexes_of("global").items()
        if name in gap.table.indexes("global")
    ]
    return gap.update(
        BillingMode="PROVISIONED",
        ProvisionedThroughput=desired.provisioned(starting_throughput(gap.declared)),
        **({"GlobalSecondaryIndexUpdates": indexes} if indexes else {}),
    )


def wanted_units(part: Any) -> dict[str, int] | None:
    """Declared units that autoscaling does not move; None when there are none."""
    units = plain(part.provisioned_throughput)
    if units is None or part.autoscaling is None:
        return units
    fixed = {"read": part.autoscaling.read is None, "write": part.autoscaling.write is None}
    return {key: value for key, value in units.items() if fixed[key.partition("_")[0]]} or None


def found_units(described: dict[str, Any]) -> dict[str, int]:
    units = described.get("ProvisionedThroughput") or {}
    return {
        "read_capacity_units": units.get("ReadCapacityUnits", 0),
        "write_capacity_units": units.get("WriteCapacityUnits", 0),
    }


def unit_parameters(found: dict[str, int], wanted: dict[str, int]) -> dict[str, Any]:
    both = found | wanted
    return {"ReadCapacityUnits": both["read_capacity_units"], "WriteCapacityUnits": both["write_capacity_units"]}


def found_on_demand(described: dict[str, Any]) -> dict[str, int | None]:
    maxima = described.get("OnDemandThroughput") or {}
    read, write = maxima.get("MaxReadRequestUnits", -1), maxima.get("MaxWriteRequestUnits", -1)
    return {
        "max_read_request_units": None if read == -1 else read,
        "max_write_request_units": None if write == -1 else write,
    }


def found_warm(described: dict[str, Any]) -> dict[str, int]:
    warm = described.get("WarmThroughput") or {}
    return {
        "read_units_per_second": warm.get("ReadUnitsPerSecond", 0),
        "write_units_per_second": warm.get("WriteUnitsPerSecond", 0),
    }


def warm_enough(found: dict[str, int], wanted: dict[str, int]) -> bool:
    """Warm throughput grows by itself and cannot be lowered."""
    return all(found.get(key, 0) >= value for key, value in wanted.items())


# --- features with an API of their own


def _same_key(found: str, wanted: str) -> bool:
    return found == wanted or found.endswith(f":key/{wanted}")


def _stream(gap: Gap) -> list[Request]:
    """Another view needs the stream off first; the next pass turns it on."""
    change = gap.wanted if gap.found is False else False
    return gap.update(StreamSpecification=desired.stream(change))


def _found_stream(observed: Observed) -> str | bool:
    specification = observed.table.get("StreamSpecification") or {}
    return specification.get("StreamViewType", False) if specification.get("StreamEnabled") else False


def _time_to_live(gap: Gap) -> list[Request]:
    """Another attribute needs the old one off first; the next pass turns the new one on."""
    enable = gap.found is False
    specification = {"Enabled": enable, "AttributeName": gap.wanted if enable else gap.found}
    return [
        Request(
            "UpdateTimeToLive",
            {"TableName": gap.table.table["TableName"], "TimeToLiveSpecification": specification},
        )
    ]


def _wanted_recovery(table: TableDeclaration) -> dict[str, Any] | None:
    declared = table.point_in_time_recovery
    if declared is None or isinstance(declared, bool):
        return None if declared is None else {"enabled": declared}
    return {"enabled": True, "recovery_period_in_days": declared.recovery_period_in_days}


def _recovery(gap: Gap) -> list[Request]:
    specification = {"PointInTimeRecoveryEnabled": gap.wanted["enabled"]}
    if "recovery_period_in_days" in gap.wanted:
        specification["RecoveryPeriodInDays"] = gap.wanted["recovery_period_in_days"]
    parameters = {
        "TableName": gap.table.table["TableName"],
        "PointInTimeRecoverySpecification": specification,
    }
    return [Request("UpdateContinuousBackups", parameters)]


def _tags(gap: Gap) -> list[Request]:
    changed = {key: value for key, value in gap.wanted.items() if gap.found.get(key) != value}
    return [Request("TagResource", {"ResourceArn": gap.table.arn, "Tags": desired.tags(changed)})]


def _resource_policy(gap: Gap) -> list[Request]:
    return [Request("PutResourcePolicy", {"ResourceArn": gap.table.arn, "Policy": json.dumps(gap.wanted)})]


def same_policy(found: Value, wanted: Value) -> bool:
    """IAM reads a single value and a list of one alike, and AWS may answer with either."""

    def normal(value: Value) -> Value:
        if isinstance(value, dict):
            return {key: normal(inner) for key, inner in value.items()}
        if isinstance(value, list):
            inner = sorted((normal(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
            return inner[0] if len(inner) == 1 else inner
        return value

    return bool(normal(found) == normal(wanted))


_DIMENSIONS = {"read": "ReadCapacityUnits", "write": "WriteCapacityUnits"}
_SCALING_METRICS = {"read": "DynamoDBReadCapacityUtilization", "write": "DynamoDBWriteCapacityUtilization"}


def _wanted_autoscaling(table: TableDeclaration) -> dict[str, dict[str, Any]] | None:
    owners: dict[str, Any] = {"table": table.autoscaling}
    owners |= {f"index {name}": index.autoscaling for name, index in table.indexes_of("global").items()}
    wanted = {
        owner: {side: plain(bounds) for side in _DIMENSIONS if (bounds := getattr(scaling, side)) is not None}
        for owner, scaling in owners.items()
        if scaling is not None
    }
    return wanted or None


def _same_autoscaling(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(
        found.get(owner, {}).get(side) == bounds
        for owner, sides in wanted.items()
        for side, bounds in sides.items()
    )


def _autoscaling(gap: Gap) -> list[Request]:
    name = gap.table.table["TableName"]
    requests = []
    for owner, sides in gap.wanted.items():
        kind, _, index = owner.partition(" ")
        resource = f"table/{name}/index/{index}" if index else f"table/{name}"
        for side, bounds in sides.items():
            if gap.found.get(owner, {}).get(side) == bounds:
                continue
            target = {
                "ServiceNamespace": "dynamodb",
                "ResourceId": resource,
                "ScalableDimension": f"dynamodb:{kind}:{_DIMENSIONS[side]}",
            }
            limits = {"MinCapacity": bounds["min_capacity"], "MaxCapacity": bounds["max_capacity"]}
            goal = {
                "TargetValue": float(bounds["target_utilization"]),
                "PredefinedMetricSpecification": {"PredefinedMetricType": _SCALING_METRICS[side]},
            }
            policy = {
                "PolicyName": f"{resource}-{side}-target",
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": goal,
            }
            requests.append(Request("RegisterScalableTarget", target | limits, "application-autoscaling"))
            requests.append(Request("PutScalingPolicy", target | policy, "application-autoscaling"))
    return requests


def _wanted_alarms(table: TableDeclaration) -> dict[str, dict[str, Any]] | None:
    if table.alarms is None:
        return None
    return {label: msgspec.structs.asdict(alarm) for label, alarm in table.alarms.items()}


def _alarms(gap: Gap) -> list[Request]:
    name = gap.table.table["TableName"]
    requests = []
    for label, alarm in gap.wanted.items():
        if gap.found.get(label) == alarm:
            continue
        operation = [{"Name": "Operation", "Value": alarm["operation"]}] if alarm["operation"] else []
        parameters = {
            "AlarmName": f"{name}-{label}",
            "Namespace": "AWS/DynamoDB",
            "MetricName": alarm["metric"],
            "Dimensions": [{"Name": "TableName", "Value": name}, *operation],
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


def _replicas(gap: Gap) -> list[Request]:
    """One region a time: DynamoDB takes one replica update per request and per moment."""
    missing = [region for region in gap.wanted if region not in gap.found]
    return gap.update(ReplicaUpdates=[{"Create": {"RegionName": missing[0]}}])


def _found_replicas(observed: Observed) -> list[str]:
    own = observed.arn.split(":")[3] if observed.arn.count(":") > 3 else ""
    return sorted(r["RegionName"] for r in observed.table.get("Replicas") or [] if r["RegionName"] != own)


ASPECTS: tuple[Aspect, ...] = (
    Aspect(
        "billing_mode",
        lambda table: table.billing_mode,
        lambda observed: observed.billing_mode(),
        _billing,
        note="AWS limits how often a table may be switched to on-demand",
    ),
    Aspect(
        "provisioned_throughput",
        wanted_units,
        lambda observed: found_units(observed.table),
        lambda gap: gap.update(ProvisionedThroughput=unit_parameters(gap.found, gap.wanted)),
        note="AWS limits how often a day units may be lowered",
    ),
    Aspect(
        "on_demand_throughput",
        lambda table: plain(table.on_demand_throughput),
        lambda observed: found_on_demand(observed.table),
        lambda gap: gap.update(OnDemandThroughput=desired.on_demand(gap.declared.on_demand_throughput)),
    ),
    Aspect(
        "warm_throughput",
        lambda table: plain(table.warm_throughput),
        lambda observed: found_warm(observed.table),
        lambda gap: gap.update(WarmThroughput=desired.warm(gap.declared.warm_throughput)),
        same=warm_enough,
        note="AWS charges for it once",
    ),
    Aspect(
        "table_class",
        lambda table: table.table_class,
        lambda observed: (observed.table.get("TableClassSummary") or {}).get("TableClass", "STANDARD"),
        lambda gap: gap.update(TableClass=gap.wanted),
        note="AWS allows two changes in 30 days",
    ),
    Aspect(
        "deletion_protection",
        lambda table: table.deletion_protection,
        lambda observed: bool(observed.table.get("DeletionProtectionEnabled", False)),
        lambda gap: gap.update(DeletionProtectionEnabled=gap.wanted),
    ),
    Aspect(
        "encryption",
        lambda table: table.encryption,
        lambda observed: observed.settings.get("encryption", AWS_OWNED),
        lambda gap: gap.update(SSESpecification=desired.encryption(gap.wanted)),
        same=_same_key,
    ),
    Aspect(
        "stream",
        lambda table: table.stream,
        _found_stream,
        _stream,
        note="changing the view ends the stream and begins a new one",
    ),
    Aspect(
        "resource_policy",
        lambda table: table.resource_policy,
        lambda observed: observed.settings.get("resource_policy"),
        _resource_policy,
        same=same_policy,
    ),
    Aspect(
        "tags",
        lambda table: table.tags,
        lambda observed: observed.settings.get("tags", {}),
        _tags,
    ),
    Aspect(
        "time_to_live",
        lambda table: table.time_to_live,
        lambda observed: observed.settings.get("time_to_live", False),
        _time_to_live,
        note="AWS allows one change an hour",
        at_creation=False,
    ),
    Aspect(
        "point_in_time_recovery",
        _wanted_recovery,
        lambda observed: observed.settings.get("point_in_time_recovery", {"enabled": False}),
        _recovery,
        at_creation=False,
    ),
    Aspect(
        "autoscaling",
        _wanted_autoscaling,
        lambda observed: observed.settings.get("autoscaling", {}),
        _autoscaling,
        same=_same_autoscaling,
        at_creation=False,
    ),
    Aspect(
        "alarms",
        _wanted_alarms,
        lambda observed: observed.settings.get("alarms", {}),
        _alarms,
        at_creation=False,
    ),
    Aspect(
        "replicas",
        lambda table: table.replicas,
        _found_replicas,
        _replicas,
        same=lambda found, wanted: set(wanted) <= set(found),
        note="one region at a time; AWS copies the table there",
        at_creation=False,
    ),
)
