"""Whether an answer is what the API promises: kinds of values, nothing missing that is read, the right table.

botocore turns JSON into Python values without checking them. The set-up decides by these values, so an answer that
is malformed or about another table must end as an error, never as success and never as an exception in the code
that reads it first. Shapes come from botocore's own service model. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

Answer = dict[str, Any]

_INDEX = ("IndexName", "KeySchema", "KeySchema[].AttributeName", "KeySchema[].KeyType")

# What is read without asking whether it is there: members by path, `[]` for every element of a list.
_NEEDED: dict[str, tuple[str, ...]] = {
    "DescribeTable": (
        "Table.TableName",
        "Table.TableStatus",
        "Table.TableArn",
        "Table.KeySchema",
        "Table.KeySchema[].AttributeName",
        "Table.KeySchema[].KeyType",
        "Table.AttributeDefinitions",
        "Table.AttributeDefinitions[].AttributeName",
        "Table.AttributeDefinitions[].AttributeType",
        *(f"Table.{kind}SecondaryIndexes[].{member}" for kind in ("Global", "Local") for member in _INDEX),
        "Table.Replicas[].RegionName",
    ),
    "ListTagsOfResource": ("Tags[].Key", "Tags[].Value"),
    "DescribeTimeToLive": ("TimeToLiveDescription",),
    "DescribeContinuousBackups": ("ContinuousBackupsDescription",),
    "GetResourcePolicy": ("Policy",),
    "DescribeKey": ("KeyMetadata",),
    "DescribeScalableTargets": (
        "ScalableTargets",
        "ScalableTargets[].ResourceId",
        "ScalableTargets[].ScalableDimension",
        "ScalableTargets[].MinCapacity",
        "ScalableTargets[].MaxCapacity",
    ),
    "DescribeScalingPolicies": ("ScalingPolicies", "ScalingPolicies[].ScalableDimension"),
    "DescribeAlarms": (
        "MetricAlarms",
        "MetricAlarms[].AlarmName",
        "MetricAlarms[].Dimensions[].Name",
        "MetricAlarms[].Dimensions[].Value",
    ),
    "GetMetricStatistics": ("Datapoints", "Datapoints[].Sum"),
    "GetCallerIdentity": ("Account",),
    "CreateBackup": ("BackupDetails.BackupArn", "BackupDetails.BackupStatus"),
    "DescribeBackup": (
        "BackupDescription.BackupDetails.BackupArn",
        "BackupDescription.BackupDetails.BackupName",
        "BackupDescription.BackupDetails.BackupStatus",
    ),
    "DeleteBackup": ("BackupDescription.BackupDetails.BackupArn",),
    "ListBackups": ("BackupSummaries", "BackupSummaries[].BackupArn"),
    "RestoreTableFromBackup": ("TableDescription.TableName", "TableDescription.TableStatus"),
    "RestoreTableToPointInTime": ("TableDescription.TableName", "TableDescription.TableStatus"),
    "ExportTableToPointInTime": ("ExportDescription.ExportArn", "ExportDescription.ExportStatus"),
    "DescribeExport": ("ExportDescription.ExportArn", "ExportDescription.ExportStatus"),
    "Scan": ("Items",),
}

_KINDS: dict[str, Any] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "character": str,
    "integer": int,
    "long": int,
    "float": (float, int),
    "double": (float, int),
    "boolean": bool,
    "timestamp": datetime,
    "blob": (bytes, bytearray),
}


def fault(operation: str, parameters: Answer, answer: Any, shape: Any) -> str | None:
    """What is wrong with an answer, None when nothing is. `shape` is the operation's output shape of botocore."""
    wrong = _wrong_kind(answer, shape, "the answer") if shape is not None else None
    if wrong:
        return wrong
    for path in _NEEDED.get(operation, ()):
        if any(value is None for value in _at(answer, path)):
            return f"{path} is missing"
    return _another_table(parameters, answer["Table"]) if operation == "DescribeTable" else None


def table_name(name: str) -> str:
    """The name alone, of a table's name or ARN."""
    return name.partition(":table/")[2] or name


def _another_table(parameters: Answer, table: Answer) -> str | None:
    requested = table_name(parameters["TableName"])
    for described in (table["TableName"], table_name(table["TableArn"])):
        if described != requested:
            return f"asked for {requested}, it describes {described}"
    if not table["KeySchema"]:
        return "the table has no key"
    return None


def _at(value: Any, path: str) -> Iterator[Any]:
    """The values at a path; None stands for a member that is missing. Elements of a missing list are none."""
    first, _, rest = path.partition(".")
    several = first.endswith("[]")
    found = value.get(first.removesuffix("[]"))
    if several:
        for element in found or []:
            yield from _at(element, rest)
    elif rest and found is not None:
        yield from _at(found, rest)
    else:
        yield found


def _wrong_kind(value: Any, shape: Any, place: str) -> str | None:
    """The first value that is not of its shape's kind. What the model calls required some endpoints leave out."""
    kind = _KINDS.get(shape.type_name)
    if kind is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return f"{place} is not a {shape.type_name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{place} is not a number"
    if shape.type_name == "list":
        return _first(_wrong_kind(element, shape.member, f"{place}[]") for element in value)
    if shape.type_name == "map":
        return _first(_wrong_kind(inner, shape.value, f"{place}.*") for inner in value.values())
    if shape.type_name != "structure":
        return None
    if shape.name == "AttributeValue" and len(value) != 1:
        return f"{place} is not one attribute value"
    members = shape.members
    return _first(
        _wrong_kind(inner, members[name], f"{place}.{name}")
        for name, inner in value.items()
        if name in members and inner is not None
    )


def _first(found: Iterator[str | None]) -> str | None:
    return next((one for one in found if one), None)
