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
    RestoreSummary,
    Table,
    TableStatus,
    Throughput,
    VectorSettings,
    WarmUnits,
    is_over,
)
from blotter.database.operations.tables import protection
from blotter.database.operations.vectors.journal import saved_by_all
from blotter.database.storage.protocol import ReadTransaction

# What a new on-demand table can serve at once, and what a provisioned one shows at least.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
ON_DEMAND_WARM_READS = 12_000
ON_DEMAND_WARM_WRITES = 4_000


def describe_table(tx: ReadTransaction, table: Table, now: float) -> dict[str, Any]:
    """TableDescription with exact item count and size (AWS refreshes its own only every six hours)."""
    status = table.status_at(now)
    statistics = tx.statistics(table.space)
    shown = table if table.before is None or is_over(table.updating_until, now) else table.before
    description: dict[str, Any] = {
        "AttributeDefinitions": [
            {"AttributeName": attribute.name, "AttributeType": attribute.type}
            for attribute in table.key_attributes
        ],
        "TableName": table.name,
        "KeySchema": describe_keys(table.keys),
        "TableStatus": status,
        "CreationDateTime": round(table.created_at, 3),
        "ProvisionedThroughput": describe_throughput(shown.throughput, now),
        "TableSizeBytes": statistics.bytes,
        "ItemCount": statistics.items,
        "TableArn": table.arn,
        "TableId": table.id,
        "DeletionProtectionEnabled": table.deletion_protection,
        **_billing(table, shown.on_demand_since),
        "WarmThroughput": _table_warmth(table, status, now),
    }
    if table.on_demand_maxima:
        description["OnDemandThroughput"] = describe_maxima(table.on_demand_maxima)
    if shown.table_class is not None:
        description["TableClassSummary"] = {"TableClass": shown.table_class}
        if shown.table_class_changed_at is not None:
            description["TableClassSummary"]["LastUpdateDateTime"] = round(shown.table_class_changed_at, 3)
    if table.stream is not None and table.stream.enabled:
        description["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view_type}
    if table.stream is not None:
        description["LatestStreamLabel"] = table.stream.label
        description["LatestStreamArn"] = f"{table.arn}/stream/{table.stream.label}"
    if not is_over(table.encryption_until, now):
        description["SSEDescription"] = {**(table.encryption_before or {}), "Status": "UPDATING"}
    elif table.encryption is not None:
        description["SSEDescription"] = table.encryption
    elif (kms_key := protection.kms_key()) is not None:
        description["SSEDescription"] = protection.described(kms_key)
    locals_ = [_describe_index(tx, table, index, now) for index in table.indexes if index.local]
    globals_ = [_describe_index(tx, table, index, now) for index in table.indexes if index.is_global]
    if locals_:
        description["LocalSecondaryIndexes"] = locals_
    if globals_:
        description["GlobalSecondaryIndexes"] = globals_
    if table.restore is not None:
        description["RestoreSummary"] = _describe_restore(table.restore)
        for index in description.get("GlobalSecondaryIndexes", ()):
            del index["IndexStatus"]  # DDB-TABLE-282
    if table.vector_indexes:
        description["VectorIndexes"] = [
            _describe_vector_index(tx, table, index, index.vector, now)
            for index in table.indexes
            if index.vector is not None
        ]
        description["TableSizeBytes"] -= _saved_bytes(tx, table)
    return description


def _describe_restore(restore: RestoreSummary) -> dict[str, Any]:
    """Shown until the table is ACTIVE (DDB-TABLE-216)."""
    summary: dict[str, Any] = (
        {} if restore.source_backup_arn is None else {"SourceBackupArn": restore.source_backup_arn}
    )
    summary |= {"SourceTableArn": restore.source_table_arn, "RestoreDateTime": round(restore.restored_to, 3)}
    return summary | {"RestoreInProgress": True}


def describe_created(tx: ReadTransaction, table: Table, now: float) -> dict[str, Any]:
    """The table as the response to its CreateTable shows it: CREATING, even if that is over at once, and without
    what AWS adds later, which for indexes is all warm throughput: ack-api-quirks, DDB-TABLE-033, -134, -138."""
    later = now + 1
    indexes = tuple(replace(index, active_at=later) for index in table.indexes)
    description = describe_table(tx, replace(table, active_at=later, indexes=indexes, on_demand_since=None), now)
    if table.warm == WarmUnits():
        del description["WarmThroughput"]
    for index in description.get("GlobalSecondaryIndexes", ()):
        del index["WarmThroughput"]
    return description


def describe_keys(keys: KeySchema) -> list[dict[str, str]]:
    partition = [{"AttributeName": attribute.name, "KeyType": "HASH"} for attribute in keys.partition]
    sort = [{"AttributeName": attribute.name, "KeyType": "RANGE"} for attribute in keys.sort]
    return partition + sort


def _throughput_at(index: Index, now: float) -> Throughput:
    """While it is UPDATING, an index still shows what it had before."""
    before = index.throughput_before
    return index.throughput if before is None or is_over(index.updating_until, now) else before


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


def _billing(table: Table, on_demand_since: float | None) -> dict[str, Any]:
    """Absent for a table that was provisioned all its life, as on AWS."""
    if table.billing_mode == "PROVISIONED" and table.on_demand_since is None:
        return {}
    since = {}
    if on_demand_since is not None:
        since = {"LastUpdateToPayPerRequestDateTime": round(on_demand_since, 3)}
    return {
        "BillingModeSummary": {"BillingMode": table.billing_mode, **since},
        "TableThroughputModeSummary": {"TableThroughputMode": table.billing_mode, **since},
    }


def warm_units(billing_mode: str, throughput: Throughput, warm: WarmUnits) -> WarmUnits:
    """What a table or index can serve at once: what was requested, or what its billing mode gives anyway."""
    if billing_mode == "PAY_PER_REQUEST":
        return WarmUnits(max(warm.read, ON_DEMAND_WARM_READS), max(warm.write, ON_DEMAND_WARM_WRITES))
    return WarmUnits(max(warm.read, throughput.read), max(warm.write, throughput.write))


def warm_units_at(table: Table, now: float) -> WarmUnits:
    """What the table shows at a time that it can serve at once."""
    if table.warm_before is not None and not is_over(table.warm_until, now):
        return table.warm_before
    if table.before is not None and not is_over(table.updating_until, now):
        return table.before.warm
    return warm_units(table.billing_mode, table.throughput, table.warm)


def _table_warmth(table: Table, status: str, now: float) -> dict[str, Any]:
    units = warm_units_at(table, now)
    created_warm = status == TableStatus.CREATING and table.warm != WarmUnits()
    return {
        "ReadUnitsPerSecond": units.read,
        "WriteUnitsPerSecond": units.write,
        "Status": "UPDATING" if created_warm or not is_over(table.warm_until, now) else "ACTIVE",
    }


def index_warm_units_at(table: Table, index: Index, now: float) -> WarmUnits:
    """What the index shows at a time that it can serve at once."""
    if index.warm_before is not None and not is_over(index.warm_until, now):
        return index.warm_before
    return warm_units(table.billing_mode, index.throughput, index.warm)


def _index_warmth(table: Table, index: Index, status: str, now: float) -> dict[str, Any]:
    units = index_warm_units_at(table, index, now)
    created_warm = status == TableStatus.CREATING and index.warm != WarmUnits()
    return {
        "ReadUnitsPerSecond": units.read,
        "WriteUnitsPerSecond": units.write,
        "Status": "UPDATING" if created_warm or not is_over(index.warm_until, now) else "ACTIVE",
    }


def _describe_index(tx: ReadTransaction, table: Table, index: Index, now: float) -> dict[str, Any]:
    described: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": describe_keys(index.keys),
        "Projection": describe_projection(index),
    }
    if not index.local:
        status = index_status(index, now)
        described |= _describe_state(index, status, now)
        described["ProvisionedThroughput"] = describe_throughput(_throughput_at(index, now), now)
        described["WarmThroughput"] = _index_warmth(table, index, status, now)
        if index.on_demand_maxima:
            described["OnDemandThroughput"] = describe_maxima(index.on_demand_maxima)
    return described | _describe_contents(tx, table, index)


def _describe_vector_index(
    tx: ReadTransaction, table: Table, index: Index, vector: VectorSettings, now: float
) -> dict[str, Any]:
    """Order and absence of members: Parity Suite, tests/tier2/vectorSearch (lifecycle, updateLifecycle)."""
    described: dict[str, Any] = {"IndexName": index.name}
    if vector.schema:
        described["SearchSchema"] = [
            {"AttributeName": element.attribute.name, "SearchSchemaElementType": element.role}
            for element in vector.schema
        ]
    described |= {
        "Projection": describe_projection(index),
        "VectorAttribute": {"AttributeName": vector.attribute},
        "Dimensions": vector.dimensions,
        "DistanceFunction": vector.distance,
    }
    described |= _describe_state(index, index_status(index, now), now)
    return described | _describe_contents(tx, table, index)


def describe_projection(index: Index) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = sorted(index.included)
    return projection


def _describe_state(index: Index, status: str, now: float) -> dict[str, Any]:
    if not index.backfilling:
        return {"IndexStatus": status}
    # False while resources are allocated, which comes first (DDB-TABLE-138).
    return {"IndexStatus": status, "Backfilling": is_over(index.active_at, now)}


def _describe_contents(tx: ReadTransaction, table: Table, index: Index) -> dict[str, Any]:
    statistics = tx.statistics(index.space)
    return {
        "IndexSizeBytes": statistics.bytes,
        "ItemCount": statistics.items,
        "IndexArn": f"{table.arn}/index/{index.name}",
    }


def _saved_bytes(tx: ReadTransaction, table: Table) -> int:
    """By how much the table's size is less than that of its items, because a vector that an index reads counts
    4 bytes for each dimension (Parity Suite, consumedCapacity). Of several indexes on one vector, the one with
    most entries knows best."""
    saved: dict[str, int] = {}
    for index in table.vector_indexes:
        vector = index.vector
        if vector is not None and not index.deleting:
            saved[vector.attribute] = max(
                saved_by_all(tx, vector.journal), saved.get(vector.attribute, 0), key=abs
            )
    return sum(saved.values())


def index_status(index: Index, now: float) -> str:
    if index.deleting:
        return "DELETING"
    if index.backfilling or not is_over(index.active_at, now):
        return "CREATING"
    return "ACTIVE" if is_over(index.updating_until, now) else "UPDATING"
