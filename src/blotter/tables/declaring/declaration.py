"""A table as `blotter.toml` declares it: the shape, its checks, and what each key means.

The Structs below are the one description of the format: they read the file, they make the JSON Schema for editors
(`schema.py`), and the reference in docs/tables.md is tested against them. Terms are DynamoDB's own in snake case.

Rule: what a declaration does not mention is left as the endpoint has it; None means "not mentioned" everywhere
here, False means "declared off", for everything that can be switched on. Must not depend on endpoints, requests or
the state of any table.
"""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from blotter.config import ConfiguredTable
from blotter.toml_lines import KeyPath
from blotter.user_files import DEEPEST, ConfigurationError, Document, deeper_than, read_text

Units = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Off = Literal[False]
AttributeName = Annotated[str, Meta(min_length=1, max_length=255)]
BillingMode = Literal["PAY_PER_REQUEST", "PROVISIONED"]
StreamView = Literal["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"]
TableClass = Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"]

AWS_OWNED = "AWS_OWNED"  # encryption with a key of Amazon's own: DynamoDB's default
AWS_MANAGED = "AWS_MANAGED"  # the account's key alias/aws/dynamodb

_KEY_ID = re.compile(
    r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/)?([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|mrk-[0-9a-f]{32})"
)
_INDEX_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
MAX_KEY_PARTS = 4  # of a global index's partition key, and of its sort key
MAX_GLOBAL_INDEXES, MAX_LOCAL_INDEXES = 20, 5


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every part of a declaration shares: no unknown keys, comparable, defaults left out when written."""


class Key(_Part, frozen=True):
    """One key attribute. Only key attributes are declared; all others may be added to items at any time."""

    name: AttributeName
    type: Annotated[Literal["S", "N", "B"], Meta(description="S string, N number, B binary")]


class ProvisionedThroughput(_Part, frozen=True):
    """Capacity that is paid for whether used or not."""

    read_capacity_units: Units
    write_capacity_units: Units


class OnDemandThroughput(_Part, frozen=True):
    """Upper bounds of an on-demand table: beyond them requests are throttled, not charged. False: no bound."""

    max_read_request_units: Units | Off | None = None
    max_write_request_units: Units | Off | None = None


class WarmThroughput(_Part, frozen=True):
    """What the table must be able to take at once, before traffic has grown it there. AWS charges for it."""

    read_units_per_second: Units | None = None
    write_units_per_second: Units | None = None


class Scaling(_Part, frozen=True):
    """Bounds between which AWS Application Auto Scaling moves one provisioned capacity."""

    min_capacity: Units
    max_capacity: Units
    target_utilization: Annotated[int, Meta(ge=20, le=90, description="percent")] = 70


class Autoscaling(_Part, frozen=True):
    """Autoscaling of reads, of writes, or of both. False ends it; the units stay as they are then."""

    read: Scaling | Off | None = None
    write: Scaling | Off | None = None

    def bounds(self, side: str) -> Scaling | None:
        """The bounds of "read" or "write"; None when that side is not scaled."""
        return getattr(self, side) or None


class PointInTimeRecovery(_Part, frozen=True):
    """How far back the table can be restored."""

    recovery_period_in_days: Annotated[int, Meta(ge=1, le=35)] = 35


class Index(_Part, frozen=True):
    """A secondary index: another key over the same items."""

    partition_key: Key | list[Key]
    sort_key: Key | list[Key] | None = None
    kind: Literal["global", "local"] = "global"
    projection: Annotated[
        Literal["ALL", "KEYS_ONLY"] | list[AttributeName], Meta(description="ALL, KEYS_ONLY, or attribute names")
    ] = "ALL"
    provisioned_throughput: ProvisionedThroughput | None = None
    on_demand_throughput: OnDemandThroughput | Off | None = None
    warm_throughput: WarmThroughput | None = None
    autoscaling: Autoscaling | Off | None = None

    def keys(self) -> tuple[list[Key], list[Key]]:
        """Partition key parts and sort key parts, in order."""
        return _parts(self.partition_key), _parts(self.sort_key)


class Alarm(_Part, frozen=True):
    """A CloudWatch alarm on one of the table's metrics (namespace AWS/DynamoDB)."""

    metric: Annotated[str, Meta(description="such as ThrottledRequests or ConsumedWriteCapacityUnits")]
    threshold: float
    statistic: Literal["Sum", "Average", "Maximum", "Minimum", "SampleCount"] = "Sum"
    comparison: Literal[
        "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
    ] = "GreaterThanOrEqualToThreshold"
    period: Annotated[int, Meta(ge=10, description="seconds")] = 60
    evaluation_periods: Units = 1
    operation: Annotated[str | None, Meta(description="for metrics counted by operation, such as PutItem")] = None
    actions: Annotated[list[str], Meta(description="ARNs notified, such as an SNS topic's")] = []


class TableDeclaration(_Part, frozen=True):
    """A table. Only the partition key is required."""

    partition_key: Key
    sort_key: Key | None = None
    billing_mode: Annotated[
        BillingMode | None, Meta(description="PAY_PER_REQUEST when a table is created and nothing is said")
    ] = None
    provisioned_throughput: ProvisionedThroughput | None = None
    on_demand_throughput: OnDemandThroughput | Off | None = None
    warm_throughput: WarmThroughput | None = None
    autoscaling: Autoscaling | Off | None = None
    table_class: TableClass | None = None
    deletion_protection: bool | None = None
    encryption: Annotated[str | None, Meta(description="AWS_OWNED, AWS_MANAGED, or a KMS key's id or ARN")] = None
    stream: Annotated[
        StreamView | Literal[False] | None, Meta(description="what a stream record holds; false: off")
    ] = None
    time_to_live: Annotated[
        AttributeName | Literal[False] | None, Meta(description="the attribute with the expiry time; false: off")
    ] = None
    point_in_time_recovery: PointInTimeRecovery | bool | None = None
    resource_policy: Annotated[
        str | dict[str, Any] | Off | None,
        Meta(description="a JSON file beside blotter.toml, or the policy itself; false: none"),
    ] = None
    tags: Annotated[dict[str, str | Off] | None, Meta(description="false removes the tag of that key")] = None
    replicas: Annotated[list[str] | None, Meta(description="other regions of a global table")] = None
    indexes: dict[str, Index] = {}
    alarms: Annotated[dict[str, Alarm | Off] | None, Meta(description="false deletes the alarm")] = None

    def indexes_of(self, kind: Literal["global", "local"]) -> dict[str, Index]:
        return {name: index for name, index in self.indexes.items() if index.kind == kind}

    def attributes(self) -> dict[str, str]:
        """Every key attribute of the table and its indexes with its type, sorted by name."""
        keys = [self.partition_key, *_parts(self.sort_key)]
        for index in self.indexes.values():
            keys += [key for parts in index.keys() for key in parts]  # noqa: SIM118
        return dict(sorted((key.name, key.type) for key in keys))


def parse_table(table: ConfiguredTable, document: Document) -> TableDeclaration:
    """The declaration of one configured table, checked. Raises ConfigurationError with line and key."""
    at: KeyPath = ("tables", table.label)
    raw = dict(table.declaration)
    # Named parts are converted one by one: msgspec does not report under which name a mistake lies.
    named: tuple[tuple[str, Any], ...] = (("indexes", Index), ("alarms", Alarm | Off))
    for group, kind in named:
        if isinstance(raw.get(group), dict):
            raw[group] = {
                name: document.convert(value, kind, (*at, group, name)) for name, value in raw[group].items()
            }
    declaration = document.convert(raw, TableDeclaration, at)
    for path, what in _contradictions(declaration):
        raise document.error((*at, *path), what)
    policy = declaration.resource_policy
    if isinstance(policy, str):
        policy = _policy(document, at, policy)
    if policy is not None and (wrong := _not_json(policy)):
        raise document.error((*at, "resource_policy"), wrong)
    return msgspec.structs.replace(declaration, resource_policy=policy)


def _not_json(policy: object) -> str | None:
    """Why a policy cannot be sent as JSON: TOML has dates, infinities and integers without a limit."""
    if deeper_than(policy, DEEPEST):
        return f"a policy has no more than {DEEPEST} objects or arrays within each other"
    try:
        json.dumps(policy, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        return f"the policy cannot be written as JSON: {error}"
    return None


def _policy(document: Document, at: KeyPath, name: str) -> dict[str, Any]:
    path = document.path.parent / name
    try:
        policy = json.loads(read_text(path))
    except ConfigurationError as error:
        raise document.error((*at, "resource_policy"), str(error)) from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigurationError(f"{path}: not valid JSON: {what}") from None
    if not isinstance(policy, dict):
        raise ConfigurationError(f"{path}: a policy is a JSON object")
    return policy


def _contradictions(table: TableDeclaration) -> list[tuple[KeyPath, str]]:
    """What is well-formed and still cannot be: DynamoDB's own rules, found before any request."""
    found: list[tuple[KeyPath, str]] = []
    if table.sort_key and table.sort_key.name == table.partition_key.name:
        found.append((("sort_key",), "the sort key must be another attribute than the partition key"))
    if wrong := _encryption_mistake(table.encryption):
        found.append((("encryption",), wrong))
    for label, alarm in (table.alarms or {}).items():
        if alarm and not math.isfinite(alarm.threshold):
            found.append((("alarms", label, "threshold"), f"{alarm.threshold} is not a number to compare with"))
    found += _billing_contradictions(table)
    types: dict[str, str] = {}
    for path, key in _all_keys(table):
        if types.setdefault(key.name, key.type) != key.type:
            found.append((path, f"attribute {key.name!r} is {key.type} here and {types[key.name]} elsewhere"))
    for name, index in table.indexes.items():
        found += [(("indexes", name, *path), what) for path, what in _index_contradictions(table, name, index)]
    for kind, most in (("global", MAX_GLOBAL_INDEXES), ("local", MAX_LOCAL_INDEXES)):
        if len(table.indexes_of(kind)) > most:  # type: ignore[arg-type]
            found.append((("indexes",), f"a table has at most {most} {kind} secondary indexes"))
    if table.replicas and table.stream not in (None, "NEW_AND_OLD_IMAGES"):
        found.append((("stream",), 'replicas need stream = "NEW_AND_OLD_IMAGES"'))
    return found


def _encryption_mistake(encryption: str | None) -> str | None:
    if encryption in (None, AWS_OWNED, AWS_MANAGED) or _KEY_ID.fullmatch(encryption or ""):
        return None
    if re.search(r"(^|:)alias/aws/dynamodb$", encryption or ""):
        return f'that is the key the account has from AWS; write "{AWS_MANAGED}"'
    if re.search(r"(^|:)alias/", encryption or ""):
        return "an alias may move; give the key's id or ARN (`aws kms describe-key` has it)"
    return f'{encryption!r} is no KMS key\'s id or ARN; nor is it "{AWS_OWNED}" or "{AWS_MANAGED}"'


def _billing_contradictions(table: TableDeclaration) -> list[tuple[KeyPath, str]]:
    provisioned = table.billing_mode == "PROVISIONED"
    only_provisioned, only_on_demand = ("provisioned_throughput", "autoscaling"), ("on_demand_throughput",)
    found: list[tuple[KeyPath, str]] = []
    parts: list[tuple[KeyPath, TableDeclaration | Index]] = [((), table)]
    parts += [(("indexes", name), index) for name, index in table.indexes.items()]
    for path, part in parts:
        for field in only_on_demand if provisioned else only_provisioned:
            if getattr(part, field):  # what is declared off requires no billing mode
                mode = "PAY_PER_REQUEST" if provisioned else "PROVISIONED"
                found.append(((*path, field), f'{field} needs billing_mode = "{mode}"'))
        local = isinstance(part, Index) and part.kind == "local"
        if provisioned and not local and starting_throughput(part) is None:
            found.append(
                (
                    (*path, "billing_mode"),
                    "PROVISIONED needs provisioned_throughput, or autoscaling of read and write",
                )
            )
        for side in ("read", "write"):
            bounds = part.autoscaling.bounds(side) if part.autoscaling else None
            if bounds and bounds.min_capacity > bounds.max_capacity:
                found.append(((*path, "autoscaling", side), "min_capacity is above max_capacity"))
    return found


def starting_throughput(part: TableDeclaration | Index) -> ProvisionedThroughput | None:
    """The capacity a provisioned table or index starts with: the declared one, else autoscaling's lower bounds."""
    if part.provisioned_throughput or not part.autoscaling:
        return part.provisioned_throughput
    read, write = part.autoscaling.bounds("read"), part.autoscaling.bounds("write")
    return ProvisionedThroughput(read.min_capacity, write.min_capacity) if read and write else None


def _index_contradictions(table: TableDeclaration, name: str, index: Index) -> list[tuple[KeyPath, str]]:
    found: list[tuple[KeyPath, str]] = []
    partition, sort = index.keys()
    if not _INDEX_NAME.fullmatch(name):
        found.append(((), f"{name!r} is not an index name; use 3 to 255 of A-Z a-z 0-9 _ . -"))
    for field, parts in (("partition_key", partition), ("sort_key", sort)):
        if len(parts) > MAX_KEY_PARTS or (field == "partition_key" and not parts):
            found.append(((field,), f"a key has 1 to {MAX_KEY_PARTS} attributes"))
    if isinstance(index.projection, list):
        if not index.projection:
            found.append((("projection",), 'an empty list projects nothing more than "KEYS_ONLY"; write that'))
        if len(set(index.projection)) < len(index.projection):
            found.append((("projection",), "an attribute appears twice"))
    names = [key.name for key in partition + sort]
    if len(set(names)) < len(names):
        found.append(((), "an attribute appears twice in the index's key"))
    if index.kind == "local":
        if table.sort_key is None:
            found.append((("kind",), "a local index needs a table with a sort key"))
        if partition != [table.partition_key] or len(sort) != 1:
            found.append(((), "a local index has the table's partition key and one sort key"))
        shared = ("provisioned_throughput", "on_demand_throughput", "warm_throughput", "autoscaling")
        mentioned = [field for field in shared if getattr(index, field) is not None]
        found += [((field,), "a local index shares the table's throughput") for field in mentioned]
    return found


def _all_keys(table: TableDeclaration) -> list[tuple[KeyPath, Key]]:
    found: list[tuple[KeyPath, Key]] = [(("partition_key",), table.partition_key)]
    found += [(("sort_key",), key) for key in _parts(table.sort_key)]
    for name, index in table.indexes.items():
        partition, sort = index.keys()
        found += [(("indexes", name, "partition_key"), key) for key in partition]
        found += [(("indexes", name, "sort_key"), key) for key in sort]
    return found


def _parts(key: Key | list[Key] | None) -> list[Key]:
    if key is None:
        return []
    return key if isinstance(key, list) else [key]
