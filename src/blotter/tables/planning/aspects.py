"""The settings of a table one by one: what is wanted, what is there, and the requests that make one the other.

`ASPECTS` is the list; its order is the order of application. Each compares plain values in the declaration's terms
and turns a difference into requests, so that a plan is data and nothing here talks to an endpoint. Requests are
built from the present state and must be valid in it. What belongs to one billing mode is marked (`needs_mode`).
Services beside DynamoDB (autoscaling, alarms) are in `aspects_around.py`, indexes in `indexes.py`. Source: the API
reference's page on UpdateTable, for what one request may change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from blotter.tables.declaring.declaration import TableDeclaration, starting_throughput
from blotter.tables.planning import aspects_around, desired
from blotter.tables.planning.changes import Request
from blotter.tables.planning.observed import Observed

Value = Any


class Gap(NamedTuple):
    """One setting's two sides, and the table they belong to."""

    table: Observed
    declared: TableDeclaration
    found: Value
    wanted: Value

    @property
    def name(self) -> str:
        return str(self.table.table["TableName"])

    def update(self, **parameters: Any) -> list[Request]:
        return [Request("UpdateTable", {"TableName": self.name, **parameters})]


class Aspect(NamedTuple):
    """One setting. `wanted` returns None for "not declared"; a dict is compared only in the keys it has."""

    key: str
    wanted: Callable[[TableDeclaration], Value | None]
    found: Callable[[Observed], Value]
    requests: Callable[[Gap], list[Request]]
    same: Callable[[Value, Value], bool] | None = None
    note: str = ""
    at_creation: bool = True  # CreateTable takes it
    needs_mode: str = ""  # the billing mode it belongs to


def differs(aspect: Aspect, found: Value, wanted: Value) -> bool:
    """Whether what is found falls short of what is declared."""
    if aspect.same is not None:
        return not aspect.same(found, wanted)
    if isinstance(wanted, dict) and isinstance(found, dict):
        return any(found.get(key) != value for key, value in wanted.items())
    return bool(found != wanted)


def is_off(wanted: Value) -> bool:
    """Whether what is declared is that the setting be off, in whole."""
    if isinstance(wanted, dict):
        return bool(wanted) and all(is_off(value) for value in wanted.values())
    return wanted is False


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
    if units is None or not part.autoscaling:
        return units
    fixed = {side: part.autoscaling.bounds(side) is None for side in ("read", "write")}
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


def wanted_on_demand(part: Any) -> dict[str, int | bool] | None:
    """Declared maxima; False for a side that is to have none, and for both when all of it is off."""
    if part.on_demand_throughput is False:
        return {"max_read_request_units": False, "max_write_request_units": False}
    return plain(part.on_demand_throughput) or None


def found_on_demand(described: dict[str, Any]) -> dict[str, int | bool]:
    """The maxima in force; DynamoDB answers -1, or nothing, for none."""
    maxima = described.get("OnDemandThroughput") or {}
    read, write = maxima.get("MaxReadRequestUnits", -1), maxima.get("MaxWriteRequestUnits", -1)
    return {
        "max_read_request_units": False if read == -1 else read,
        "max_write_request_units": False if write == -1 else write,
    }


def on_demand_parameters(wanted: dict[str, int | bool]) -> dict[str, int]:
    """The declared sides as UpdateTable takes them; the others stay."""
    names = {"max_read_request_units": "MaxReadRequestUnits", "max_write_request_units": "MaxWriteRequestUnits"}
    return {names[key]: desired.NO_MAXIMUM if value is False else value for key, value in wanted.items()}


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


def _found_encryption(observed: Observed) -> str:
    return str(observed.settings.get("encryption", observed.encryption()))


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
            {"TableName": gap.name, "TimeToLiveSpecification": specification},
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
        "TableName": gap.name,
        "PointInTimeRecoverySpecification": specification,
    }
    return [Request("UpdateContinuousBackups", parameters)]


def _same_tags(found: dict[str, str], wanted: dict[str, str | bool]) -> bool:
    return all(found.get(key, False) == value for key, value in wanted.items())


def _tags(gap: Gap) -> list[Request]:
    changed = {
        key: value for key, value in gap.wanted.items() if value is not False and gap.found.get(key) != value
    }
    unwanted = [key for key, value in gap.wanted.items() if value is False and key in gap.found]
    arn = {"ResourceArn": gap.table.arn}
    set_them = [Request("TagResource", arn | {"Tags": desired.tags(changed)})] if changed else []
    return set_them + ([Request("UntagResource", arn | {"TagKeys": unwanted})] if unwanted else [])


def _resource_policy(gap: Gap) -> list[Request]:
    arn = {"ResourceArn": gap.table.arn}
    if gap.wanted is False:
        return [Request("DeleteResourcePolicy", arn)]
    return [Request("PutResourcePolicy", arn | {"Policy": json.dumps(gap.wanted)})]


def same_policy(found: Value, wanted: Value) -> bool:
    """Whether two policies say the same to AWS, which returns a policy in its own form: a list of one as its
    value, an account as its root's ARN, Effect capitalized, the oldest version for none."""
    return bool(_normal_policy(found or False) == _normal_policy(wanted))


def _normal_policy(policy: Value) -> Value:
    normal = _normal(policy)
    return {"Version": "2008-10-17", **normal} if isinstance(normal, dict) else normal


def _normal(value: Value, element: str = "") -> Value:
    if isinstance(value, dict):
        within = element if element in ("Principal", "NotPrincipal") else ""
        return {key: _normal(inner, within or key) for key, inner in value.items()}
    if isinstance(value, list):
        inner = sorted((_normal(item, element) for item in value), key=_sorting)
        if element in ("Principal", "NotPrincipal"):
            inner = [item for number, item in enumerate(inner) if item not in inner[:number]]
        return inner[0] if len(inner) == 1 else inner
    if element == "Effect" and isinstance(value, str):
        return value.capitalize()
    if element in ("Principal", "NotPrincipal") and isinstance(value, str) and _ACCOUNT.fullmatch(value):
        return f"arn:aws:iam::{value}:root"
    return value


def _sorting(item: Value) -> str:
    return json.dumps(item, sort_keys=True)


_ACCOUNT = re.compile(r"[0-9]{12}")


def _replicas(gap: Gap) -> list[Request]:
    """One region: DynamoDB takes one replica update per request, and one at a time."""
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
        needs_mode="PROVISIONED",
    ),
    Aspect(
        "on_demand_throughput",
        wanted_on_demand,
        lambda observed: found_on_demand(observed.table),
        lambda gap: gap.update(OnDemandThroughput=on_demand_parameters(gap.wanted)),
        needs_mode="PAY_PER_REQUEST",
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
        _found_encryption,
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
        same=_same_tags,
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
        aspects_around.wanted_autoscaling,
        lambda observed: observed.settings.get("autoscaling", {}),
        lambda gap: aspects_around.autoscaling_requests(gap.name, gap.found, gap.wanted),
        same=aspects_around.same_autoscaling,
        at_creation=False,
        needs_mode="PROVISIONED",
    ),
    Aspect(
        "alarms",
        aspects_around.wanted_alarms,
        lambda observed: observed.settings.get("alarms", {}),
        lambda gap: aspects_around.alarm_requests(gap.name, gap.found, gap.wanted),
        same=aspects_around.same_alarms,
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
