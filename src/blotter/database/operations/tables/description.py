"""A table as DescribeTable shows it: the catalog's `Table` turned into TableDescription's members.

AttributeDefinitions and NonKeyAttributes are sorted by name, indexes are in the order in which they were created
(ack-api-quirks, DDB-TABLE-125).
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html and the
conformance suite nubo-db/dynamodb-conformance (tests/tier1/createTable, describeTable, updateTable).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from blotter.database.model.table import (
    Index,
    KeySchema,
    OnDemandMaxima,
    Table,
    TableStatus,
    Throughput,
    WarmUnits,
    is_over,
)
from blotter.database.storage.protocol import ReadTransaction

# What a new on-demand table can serve at once, and what a provisioned one shows at least.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
ON_DEMAND_WARM_READS = 12_000
ON_DEMAND_WARM_WRITES = 4_000


def describe_table(tx: ReadTransaction, table: Table, now: float) -> dict[str, Any]:
    """TableDescription with exact item count and size (AWS refreshes its own only every six hours)."""
    status = table.status_at(now)
    statistics = tx.statistics(table.space)
    description: dict[str, Any] = {
        "AttributeDefinitions": [
            {"AttributeName": attribute.name, "AttributeType": attribute.type}
            for attribute in table.key_attributes
        ],
        "TableName": table.name,
        "KeySchema": describe_keys(table.keys),
        "TableStatus": status,
        "CreationDateTime": round(table.created_at, 3),
        "ProvisionedThroughput": describe_throughput(_throughput_at(table, now), now),
        "TableSizeBytes": statistics.bytes,
        "ItemCount": statistics.items,
        "TableArn": table.arn,
        "TableId": table.id,
        "DeletionProtectionEnabled": table.deletion_protection,
        **_billing(table),
        "WarmThroughput": _warm_throughput(table, table.throughput, table.warm, status),
    }
    if table.on_demand_maxima:
        description["OnDemandThroughput"] = describe_maxima(table.on_demand_maxima)
    if table.table_class is not None:
        description["TableClassSummary"] = {"TableClass": table.table_class}
        if table.table_class_changed_at is not None:
            description["TableClassSummary"]["LastUpdateDateTime"] = round(table.table_class_changed_at, 3)
    if table.stream is not None and table.stream.enabled:
        description["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view_type}
    if table.stream is not None:
        description["LatestStreamLabel"] = table.stream.label
        description["LatestStreamArn"] = f"{table.arn}/stream/{table.stream.label}"
    if table.encryption is not None:
        description["SSEDescription"] = table.encryption
    locals_ = [_describe_index(tx, table, index, now) for index in table.indexes if index.local]
    globals_ = [_describe_index(tx, table, index, now) for index in table.indexes if not index.local]
    if locals_:
        description["LocalSecondaryIndexes"] = locals_
    if globals_:
        description["GlobalSecondaryIndexes"] = globals_
    return description


def describe_created(tx: ReadTransaction, table: Table, now: float) -> dict[str, Any]:
    """The table as the answer to its CreateTable shows it: CREATING, even if that is over at once."""
    later = now + 1
    indexes = tuple(replace(index, active_at=later) for index in table.indexes)
    return describe_table(tx, replace(table, active_at=later, indexes=indexes), now)


def describe_keys(keys: KeySchema) -> list[dict[str, str]]:
    partition = [{"AttributeName": attribute.name, "KeyType": "HASH"} for attribute in keys.partition]
    sort = [{"AttributeName": attribute.name, "KeyType": "RANGE"} for attribute in keys.sort]
    return partition + sort


def _throughput_at(part: Table | Index, now: float) -> Throughput:
    """While it is UPDATING, a table or index still works with, and shows, what it had before."""
    before = part.throughput_before
    return part.throughput if before is None or is_over(part.updating_until, now) else before


def describe_throughput(throughput: Throughput, now: float) -> dict[str, Any]:
    described: dict[str, Any] = {
        "NumberOfDecreasesToday": throughput.decreases_on(now),
        "ReadCapacityUnits": throughput.read,
        "WriteCapacityUnits": throughput.write,
    }
    if throughput.last_increase is not None:
        described["LastIncreaseDateTime"] = round(throughput.last_increase, 3)
    if throughput.last_decrease is not None:
        described["LastDecreaseDateTime"] = round(throughput.last_decrease, 3)
    return described


def describe_maxima(maxima: OnDemandMaxima) -> dict[str, int]:
    """What was taken away is left out (ack-api-quirks, DDB-TABLE-178)."""
    members = {"MaxReadRequestUnits": maxima.read, "MaxWriteRequestUnits": maxima.write}
    return {name: units for name, units in members.items() if units is not None}


def _billing(table: Table) -> dict[str, Any]:
    """Absent for a table that was provisioned all its life, as on AWS."""
    if table.billing_mode == "PROVISIONED" and table.on_demand_since is None:
        return {}
    since = {}
    if table.on_demand_since is not None:
        since = {"LastUpdateToPayPerRequestDateTime": round(table.on_demand_since, 3)}
    return {
        "BillingModeSummary": {"BillingMode": table.billing_mode, **since},
        "TableThroughputModeSummary": {"TableThroughputMode": table.billing_mode, **since},
    }


def warm_units(billing_mode: str, throughput: Throughput, warm: WarmUnits) -> WarmUnits:
    """What a table or index can serve at once: what was requested, or what its billing mode gives anyway."""
    if billing_mode == "PAY_PER_REQUEST":
        return WarmUnits(max(warm.read, ON_DEMAND_WARM_READS), max(warm.write, ON_DEMAND_WARM_WRITES))
    return WarmUnits(max(warm.read, throughput.read), max(warm.write, throughput.write))


def _warm_throughput(table: Table, throughput: Throughput, warm: WarmUnits, status: str) -> dict[str, Any]:
    units = warm_units(table.billing_mode, throughput, warm)
    return {
        "ReadUnitsPerSecond": units.read,
        "WriteUnitsPerSecond": units.write,
        "Status": "UPDATING" if status == TableStatus.CREATING and warm != WarmUnits() else "ACTIVE",
    }


def _describe_index(tx: ReadTransaction, table: Table, index: Index, now: float) -> dict[str, Any]:
    statistics = tx.statistics(index.space)
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = sorted(index.included)
    described: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": describe_keys(index.keys),
        "Projection": projection,
    }
    if not index.local:
        status = index_status(index, now)
        described["IndexStatus"] = status
        if index.backfilling:  # false while resources are allocated, which comes first (DDB-TABLE-138)
            described["Backfilling"] = is_over(index.active_at, now)
        described["ProvisionedThroughput"] = describe_throughput(_throughput_at(index, now), now)
        described["WarmThroughput"] = _warm_throughput(table, index.throughput, index.warm, status)
        if index.on_demand_maxima:
            described["OnDemandThroughput"] = describe_maxima(index.on_demand_maxima)
    described["IndexSizeBytes"] = statistics.bytes
    described["ItemCount"] = statistics.items
    described["IndexArn"] = f"{table.arn}/index/{index.name}"
    return described


def index_status(index: Index, now: float) -> str:
    if index.deleting:
        return "DELETING"
    if index.backfilling or not is_over(index.active_at, now):
        return "CREATING"
    return "ACTIVE" if is_over(index.updating_until, now) else "UPDATING"
