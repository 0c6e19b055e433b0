"""The state of a table as the endpoint describes it, in the declaration's terms.

DescribeTable answers most of it. Settings with an API of their own (time to live, recovery, tags, policy,
autoscaling, alarms, whose key encrypts) are each read by one reader, and only when needed: an endpoint need not
offer what is not declared, and a role needs no permission for what it does not manage. Must not depend on what is
wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from blotter.tables.calls.endpoint import Caller
from blotter.tables.declaring.declaration import AWS_MANAGED, AWS_OWNED
from blotter.tables.errors import Exit, SetupError
from blotter.user_files import DEEPEST, deeper_than

Described = dict[str, Any]

BUSY = frozenset({"CREATING", "UPDATING", "DELETING"})

# state → what a person can do about it; waiting does not help
_UNUSABLE = {
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": (
        "its encryption key cannot be used; enable the KMS key or restore the grants on it"
    ),
    "ARCHIVING": "AWS archives it, its encryption key having been inaccessible for seven days; restore the backup",
    "ARCHIVED": "AWS archived it, its encryption key having been inaccessible for seven days; restore the backup",
    "REPLICATION_NOT_AUTHORIZED": "a replica's region or role is not authorized; restore the permission",
    "CREATION_FAILED": "it could not be made; delete it and look at the account's limits and permissions there",
    "REGION_DISABLED": "the account does not use that region any more; enable the region or delete the replica",
}
_UNKNOWN = "a state this version of blotter does not know, so it is not taken for ready"


class Observed(msgspec.Struct, frozen=True):
    """One table at one moment: `table` is DescribeTable's Table, `settings` what the readers read, by key."""

    table: Described
    settings: dict[str, Any] = {}

    @property
    def status(self) -> str:
        return str(self.table.get("TableStatus", "ACTIVE"))

    def unusable(self) -> str | None:
        """What keeps the table or a replica from ever becoming ACTIVE by waiting; None when nothing does."""
        states = {str(self.table.get("TableName")): self.status}
        for replica in self.table.get("Replicas") or []:
            states[f"{self.table.get('TableName')} in {replica['RegionName']}"] = replica.get(
                "ReplicaStatus", "ACTIVE"
            )
        for what, state in states.items():
            if state not in BUSY and state != "ACTIVE":
                return f"{what} is {state}: {_UNUSABLE.get(state, _UNKNOWN)}"
        return None

    def usable(self) -> bool:
        """Everything is ACTIVE: the table, its indexes, its replicas, its encryption."""
        return not self.busy() and self.unusable() is None

    @property
    def arn(self) -> str:
        return str(self.table.get("TableArn", ""))

    def attribute_types(self) -> dict[str, str]:
        return {d["AttributeName"]: d["AttributeType"] for d in self.table.get("AttributeDefinitions", [])}

    def key(self, schema: list[Described] | None = None) -> str:
        """`file_key (S) HASH, at (N) RANGE`, of the table or of the index whose KeySchema is given."""
        types = self.attribute_types()
        parts = self.table.get("KeySchema", []) if schema is None else schema
        return ", ".join(
            f"{p['AttributeName']} ({types.get(p['AttributeName'], '?')}) {p['KeyType']}" for p in parts
        )

    def billing_mode(self) -> str:
        """A table that was never on demand has no summary, and then at least one unit."""
        units = self.table.get("ProvisionedThroughput") or {}
        default = "PAY_PER_REQUEST" if units.get("ReadCapacityUnits") == 0 else "PROVISIONED"
        return str((self.table.get("BillingModeSummary") or {}).get("BillingMode", default))

    def encryption(self) -> str:
        """AWS_OWNED or the ARN of the KMS key; only KMS knows whose key that is."""
        described = self.table.get("SSEDescription") or {}
        if described.get("SSEType") != "KMS" or described.get("Status") in ("DISABLED", "DISABLING"):
            return AWS_OWNED
        return str(described.get("KMSMasterKeyArn", ""))

    def indexes(self, kind: str) -> dict[str, Described]:
        listed = self.table.get("GlobalSecondaryIndexes" if kind == "global" else "LocalSecondaryIndexes") or []
        return {index["IndexName"]: index for index in listed}

    def busy(self) -> dict[str, str]:
        """What is still changing, by name: the table (""), its indexes, its replicas, its encryption."""
        changing = {"": self.status} if self.status in BUSY else {}
        for name, index in self.indexes("global").items():
            if (status := index.get("IndexStatus", "ACTIVE")) != "ACTIVE":
                changing[f"index {name}"] = f"{status}, backfilling" if index.get("Backfilling") else status
        for replica in self.table.get("Replicas") or []:
            if (status := replica.get("ReplicaStatus", "ACTIVE")) in BUSY:
                changing[f"replica {replica['RegionName']}"] = status
        if (status := (self.table.get("SSEDescription") or {}).get("Status", "")) in (
            "ENABLING",
            "DISABLING",
            "UPDATING",
        ):
            changing["encryption"] = status
        return changing


def describe(endpoint: Caller, name: str) -> Observed | None:
    """What DescribeTable returns, None when there is no such table. Raises SetupError."""
    try:
        return Observed(endpoint.call("DescribeTable", TableName=name)["Table"])
    except SetupError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise


def with_settings(endpoint: Caller, observed: Observed, keys: Iterable[str]) -> Observed:
    """The same table with the named settings read. Keys without a reader are in DescribeTable's answer."""
    read = {key: READERS[key](endpoint, observed.table) for key in keys if key in READERS}
    return Observed(observed.table, observed.settings | read)


def _time_to_live(endpoint: Caller, table: Described) -> str | bool:
    answer = endpoint.call("DescribeTimeToLive", TableName=table["TableName"])["TimeToLiveDescription"]
    if answer.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        if not (name := answer.get("AttributeName")):
            raise SetupError("DescribeTimeToLive: the endpoint's answer names no attribute", Exit.UNREACHABLE)
        return str(name)
    return False


def _point_in_time_recovery(endpoint: Caller, table: Described) -> Described:
    answer = endpoint.call("DescribeContinuousBackups", TableName=table["TableName"])[
        "ContinuousBackupsDescription"
    ]
    recovery = answer.get("PointInTimeRecoveryDescription", {})
    enabled = recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
    days = {"recovery_period_in_days": recovery.get("RecoveryPeriodInDays", 35)} if enabled else {}
    return {"enabled": enabled, **days}


def _pages(
    endpoint: Caller, operation: str, token: str = "NextToken", /, service: str = "dynamodb", **parameters: Any
) -> Iterator[Described]:
    """Every page of a list. A repeated one would never end; the deadline of the calls ends the rest."""
    before = None
    while True:
        page = endpoint.call(operation, service, **parameters)
        yield page
        if not (following := page.get(token)):
            return
        if following == before:
            raise SetupError(f"{operation}: the endpoint gives the same page again and again", Exit.REFUSED)
        before = parameters[token] = following


def _tags(endpoint: Caller, table: Described) -> dict[str, str]:
    pages = _pages(endpoint, "ListTagsOfResource", ResourceArn=table["TableArn"])
    return {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags") or []}


def _resource_policy(endpoint: Caller, table: Described) -> Described | None:
    try:
        text = endpoint.call("GetResourcePolicy", ResourceArn=table["TableArn"])["Policy"]
        policy = json.loads(text)
    except SetupError as error:
        if error.code == "PolicyNotFoundException":
            return None
        raise
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict) or deeper_than(policy, DEEPEST):
        raise SetupError("GetResourcePolicy: the endpoint's answer holds no policy", Exit.UNREACHABLE)
    return policy


def _encryption(endpoint: Caller, table: Described) -> str:
    """AWS_OWNED, AWS_MANAGED or the key's ARN. DescribeTable does not show whose key it is, so KMS is called."""
    found = Observed(table).encryption()
    if found == AWS_OWNED:
        return AWS_OWNED
    if found.endswith("alias/aws/dynamodb"):  # some endpoints name the alias, which answers the question
        return AWS_MANAGED
    key = endpoint.call("DescribeKey", service="kms", KeyId=found)["KeyMetadata"]
    return AWS_MANAGED if key.get("KeyManager") == "AWS" else found


_SCALING = "application-autoscaling"
_SIDES = {"ReadCapacityUnits": "read", "WriteCapacityUnits": "write"}


def _autoscaling(endpoint: Caller, table: Described) -> dict[str, dict[str, Described]]:
    """{"table" or "index <name>": {"read": {min_capacity, max_capacity, target_utilization}, "write": …}}"""
    bounds: dict[str, dict[str, Described]] = {}
    prefix = f"table/{table['TableName']}"
    indexes = [f"{prefix}/index/{index['IndexName']}" for index in table.get("GlobalSecondaryIndexes") or []]
    for resource in [prefix, *indexes]:
        owner = f"index {resource.rpartition('/')[2]}" if "/index/" in resource else "table"
        scope = {"ServiceNamespace": "dynamodb"}
        sides: dict[str, Described] = {}
        for page in _pages(endpoint, "DescribeScalableTargets", service=_SCALING, **scope, ResourceIds=[resource]):
            for target in page["ScalableTargets"]:
                side = _SIDES.get(target["ScalableDimension"].rpartition(":")[2])
                if side and target["ResourceId"] == resource:
                    sides[side] = {"min_capacity": target["MinCapacity"], "max_capacity": target["MaxCapacity"]}
        if not sides:
            continue
        bounds[owner] = sides
        for page in _pages(endpoint, "DescribeScalingPolicies", service=_SCALING, **scope, ResourceId=resource):
            for policy in page["ScalingPolicies"]:
                side = _SIDES.get(policy["ScalableDimension"].rpartition(":")[2])
                goal = (policy.get("TargetTrackingScalingPolicyConfiguration") or {}).get("TargetValue")
                if side in sides and goal is not None and math.isfinite(goal):
                    sides[side]["target_utilization"] = int(goal) if goal == int(goal) else goal
    return bounds


def _alarms(endpoint: Caller, table: Described) -> dict[str, Described]:
    """The alarms named `<table>-<label>`, by label, in the declaration's terms."""
    prefix = f"{table['TableName']}-"
    found = {}
    for page in _pages(endpoint, "DescribeAlarms", service="cloudwatch", AlarmNamePrefix=prefix):
        for alarm in page["MetricAlarms"]:
            dimensions = {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []}
            if alarm.get("Namespace") == "AWS/DynamoDB" and dimensions.get("TableName") == table["TableName"]:
                found[alarm["AlarmName"].removeprefix(prefix)] = {
                    "metric": alarm.get("MetricName"),
                    "threshold": alarm.get("Threshold"),
                    "statistic": alarm.get("Statistic"),
                    "comparison": alarm.get("ComparisonOperator"),
                    "period": alarm.get("Period"),
                    "evaluation_periods": alarm.get("EvaluationPeriods"),
                    "operation": dimensions.get("Operation"),
                    "actions": alarm.get("AlarmActions") or [],
                }
    return found


# declaration key → how the endpoint's state of it is read
READERS: dict[str, Callable[[Caller, Described], Any]] = {
    "time_to_live": _time_to_live,
    "point_in_time_recovery": _point_in_time_recovery,
    "tags": _tags,
    "resource_policy": _resource_policy,
    "encryption": _encryption,
    "autoscaling": _autoscaling,
    "alarms": _alarms,
}
