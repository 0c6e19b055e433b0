"""The state of a table as the endpoint describes it, in the declaration's terms.

DescribeTable answers most of it. Settings with an API of their own (time to live, recovery, tags, policy,
autoscaling, alarms) are each read by one reader, and only when asked for: an endpoint that does not offer what
nobody declared is still a good endpoint, and a role needs no permission for what it does not manage. Must not know
what is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from blotter.tables.declaration import AWS_MANAGED, AWS_OWNED
from blotter.tables.endpoint import Caller
from blotter.tables.errors import SetupError

Described = dict[str, Any]

BUSY = frozenset({"CREATING", "UPDATING", "DELETING"})

# state → what a person can do about it; waiting does not help
UNUSABLE = {
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": (
        "its encryption key cannot be used; enable the KMS key or restore the grants on it"
    ),
    "ARCHIVING": "AWS archives it, its encryption key having been inaccessible for seven days; restore the backup",
    "ARCHIVED": "AWS archived it, its encryption key having been inaccessible for seven days; restore the backup",
    "REPLICATION_NOT_AUTHORIZED": "a replica's region or role is not authorized; restore the permission",
}


class Observed(msgspec.Struct, frozen=True):
    """One table at one moment: `table` is DescribeTable's Table, `settings` what the readers read, by key."""

    table: Described
    settings: dict[str, Any] = {}

    @property
    def status(self) -> str:
        return str(self.table.get("TableStatus", "ACTIVE"))

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
        """A table that was never on demand has no summary."""
        return str(self.table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"))

    def indexes(self, kind: str) -> dict[str, Described]:
        listed = self.table.get("GlobalSecondaryIndexes" if kind == "global" else "LocalSecondaryIndexes") or []
        return {index["IndexName"]: index for index in listed}

    def busy(self) -> dict[str, str]:
        """What is still on its way, by name: the table (""), its indexes, its replicas, its encryption."""
        on_the_way = {"": self.status} if self.status in BUSY else {}
        for name, index in self.indexes("global").items():
            if (status := index.get("IndexStatus", "ACTIVE")) != "ACTIVE":
                on_the_way[f"index {name}"] = f"{status}, backfilling" if index.get("Backfilling") else status
        for replica in self.table.get("Replicas") or []:
            if (status := replica.get("ReplicaStatus", "ACTIVE")) in BUSY:
                on_the_way[f"replica {replica['RegionName']}"] = status
        if (status := self.table.get("SSEDescription", {}).get("Status", "")) in (
            "ENABLING",
            "DISABLING",
            "UPDATING",
        ):
            on_the_way["encryption"] = status
        return on_the_way


def describe(endpoint: Caller, name: str) -> Observed | None:
    """What DescribeTable says, None when there is no such table."""
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
        return str(answer["AttributeName"])
    return False


def _point_in_time_recovery(endpoint: Caller, table: Described) -> Described:
    answer = endpoint.call("DescribeContinuousBackups", TableName=table["TableName"])[
        "ContinuousBackupsDescription"
    ]
    recovery = answer.get("PointInTimeRecoveryDescription", {})
    enabled = recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
    days = {"recovery_period_in_days": recovery.get("RecoveryPeriodInDays", 35)} if enabled else {}
    return {"enabled": enabled, **days}


def _tags(endpoint: Caller, table: Described) -> dict[str, str]:
    tags: dict[str, str] = {}
    page: dict[str, Any] = {"ResourceArn": table["TableArn"]}
    while True:
        answer = endpoint.call("ListTagsOfResource", **page)
        tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
        if not answer.get("NextToken"):
            return tags
        page["NextToken"] = answer["NextToken"]


def _resource_policy(endpoint: Caller, table: Described) -> Described | None:
    try:
        policy: Described = json.loads(endpoint.call("GetResourcePolicy", ResourceArn=table["TableArn"])["Policy"])
    except SetupError as error:
        if error.code == "PolicyNotFoundException":
            return None
        raise
    return policy


def _encryption(endpoint: Caller, table: Described) -> str:
    """AWS_OWNED, AWS_MANAGED or the key's ARN. DescribeTable does not tell whose key it is, so KMS is asked."""
    described = table.get("SSEDescription", {})
    if described.get("SSEType") != "KMS" or described.get("Status") in ("DISABLED", "DISABLING"):
        return AWS_OWNED
    arn = str(described.get("KMSMasterKeyArn", ""))
    if arn.endswith("alias/aws/dynamodb"):  # some endpoints name the alias, which answers the question
        return AWS_MANAGED
    key = endpoint.call("DescribeKey", service="kms", KeyId=arn)["KeyMetadata"]
    return AWS_MANAGED if key.get("KeyManager") == "AWS" else arn


_SIDES = {"ReadCapacityUnits": "read", "WriteCapacityUnits": "write"}


def _autoscaling(endpoint: Caller, table: Described) -> dict[str, dict[str, Described]]:
    """{"table" or "index <name>": {"read": {min_capacity, max_capacity, target_utilization}, "write": …}}"""
    bounds: dict[str, dict[str, Described]] = {}
    prefix = f"table/{table['TableName']}"
    indexes = [f"{prefix}/index/{index['IndexName']}" for index in table.get("GlobalSecondaryIndexes") or []]
    for resource in [prefix, *indexes]:
        owner = f"index {resource.rpartition('/')[2]}" if "/index/" in resource else "table"
        scope = {"service": "application-autoscaling", "ServiceNamespace": "dynamodb"}
        targets = endpoint.call("DescribeScalableTargets", **scope, ResourceIds=[resource])["ScalableTargets"]
        for target in targets:
            side = _SIDES.get(target["ScalableDimension"].rpartition(":")[2])
            if side:
                bounds.setdefault(owner, {})[side] = {
                    "min_capacity": target["MinCapacity"],
                    "max_capacity": target["MaxCapacity"],
                }
        if not targets:
            continue
        policies = endpoint.call("DescribeScalingPolicies", **scope, ResourceId=resource)["ScalingPolicies"]
        for policy in policies:
            side = _SIDES.get(policy["ScalableDimension"].rpartition(":")[2])
            goal = policy.get("TargetTrackingScalingPolicyConfiguration", {}).get("TargetValue")
            if side in bounds.get(owner, {}) and goal is not None:
                bounds[owner][side]["target_utilization"] = int(goal)
    return bounds


def _alarms(endpoint: Caller, table: Described) -> dict[str, Described]:
    """The alarms named `<table>-<label>`, by label, in the declaration's terms."""
    prefix = f"{table['TableName']}-"
    answer = endpoint.call("DescribeAlarms", service="cloudwatch", AlarmNamePrefix=prefix)
    found = {}
    for alarm in answer.get("MetricAlarms", []):
        dimensions = {d["Name"]: d["Value"] for d in alarm.get("Dimensions", [])}
        if alarm.get("Namespace") == "AWS/DynamoDB" and dimensions.get("TableName") == table["TableName"]:
            found[alarm["AlarmName"].removeprefix(prefix)] = {
                "metric": alarm.get("MetricName"),
                "threshold": alarm.get("Threshold"),
                "statistic": alarm.get("Statistic"),
                "comparison": alarm.get("ComparisonOperator"),
                "period": alarm.get("Period"),
                "evaluation_periods": alarm.get("EvaluationPeriods"),
                "operation": dimensions.get("Operation"),
                "actions": alarm.get("AlarmActions", []),
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
