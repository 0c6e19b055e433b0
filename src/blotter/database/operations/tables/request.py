"""Converts requests of CreateTable and UpdateTable into the catalog's values.

The requests were validated before (`validation`); what is left to refuse here depends on the table or the index.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from blotter.database.model.errors import DynamoDBError, parameter_error
from blotter.database.model.table import (
    Index,
    KeyAttribute,
    KeySchema,
    KeyType,
    OnDemandMaxima,
    SearchElement,
    Table,
    Throughput,
    VectorSettings,
    WarmUnits,
)
from blotter.database.operations.context import Context
from blotter.database.operations.streams.registry import enable_stream
from blotter.database.operations.tables import protection
from blotter.database.operations.tables.description import warm_units
from blotter.database.storage.change_log import readers_of_new_table
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.wire import requests as wire

AttributeTypes = dict[str, KeyType]


def new_table(request: wire.CreateTableInput, name: str, tx: WriteTransaction, context: Context) -> Table:
    types = attribute_types(request.AttributeDefinitions)
    on_demand = request.BillingMode == "PAY_PER_REQUEST"
    active_at = context.settled_at
    indexes = [new_index(index, types, tx, active_at, local=True) for index in request.LocalSecondaryIndexes or ()]
    indexes += [
        new_index(index, types, tx, active_at, local=False) for index in request.GlobalSecondaryIndexes or ()
    ]
    indexes += [new_vector_index(index, types, tx, active_at) for index in request.VectorIndexes or ()]
    table = Table(
        account=context.account,
        region=context.region,
        name=name,
        id=str(uuid.uuid4()),
        log_readers=readers_of_new_table(tx),
        space=tx.new_space(),
        keys=key_schema(request.KeySchema or (), types),
        created_at=context.now,
        active_at=active_at,
        indexes=tuple(indexes),
        billing_mode="PAY_PER_REQUEST" if on_demand else "PROVISIONED",
        on_demand_since=context.now if on_demand else None,
        throughput=throughput(request.ProvisionedThroughput),
        on_demand_maxima=on_demand_maxima(request.OnDemandThroughput),
        warm=new_warm_units(request, "table"),
        deletion_protection=bool(request.DeletionProtectionEnabled),
        table_class=request.TableClass,
        encryption=encryption(request.SSESpecification, context),
        tags=tag_pairs(request.Tags or ()),
    )
    stream = request.StreamSpecification
    if stream is None or stream.StreamViewType is None:
        return table
    return enable_stream(tx, table, stream.StreamViewType, context)


def tag_pairs(tags: Sequence[wire.Tag]) -> tuple[tuple[str, str], ...]:
    """Keys and values of tags that were validated."""
    return tuple((tag.Key or "", tag.Value or "") for tag in tags)


def refuse_unimplemented(request: wire.CreateTableInput | wire.UpdateTableInput, operation: str) -> None:
    """What this database cannot do yet is refused, never dropped."""
    for name in _UNIMPLEMENTED:
        if getattr(request, name, None) is not None:
            raise DynamoDBError(
                "UnknownOperationException", f"Blotter does not implement {name} of {operation} yet."
            )


_UNIMPLEMENTED = (
    "ReplicaUpdates", "MultiRegionConsistency", "GlobalTableWitnessUpdates", "GlobalTableSourceArn",
    "GlobalTableSettingsReplicationMode", "DisassociationProtectionEnabled",
)  # fmt: skip


def attribute_types(definitions: Sequence[wire.AttributeDefinition] | None) -> AttributeTypes:
    return {definition.AttributeName: definition.AttributeType for definition in definitions or ()}


def attribute_types_of(table: Table) -> AttributeTypes:
    """The types of all attributes that are keys of a table or of its indexes."""
    return {attribute.name: attribute.type for attribute in table.key_attributes}


def key_schema(elements: Sequence[wire.KeySchemaElement], types: AttributeTypes) -> KeySchema:
    attributes = [
        (element.KeyType, KeyAttribute(element.AttributeName, types[element.AttributeName]))
        for element in elements
    ]
    return KeySchema(
        partition=tuple(attribute for kind, attribute in attributes if kind == "HASH"),
        sort=tuple(attribute for kind, attribute in attributes if kind == "RANGE"),
    )


def new_index(
    index: wire.LocalSecondaryIndex | wire.GlobalSecondaryIndex | wire.CreateGlobalSecondaryIndexAction,
    types: AttributeTypes,
    tx: WriteTransaction,
    active_at: float,
    *,
    local: bool,
    backfilling: bool = False,
) -> Index:
    return Index(
        name=index.IndexName,
        space=tx.new_space(),
        local=local,
        keys=key_schema(index.KeySchema, types),
        projection=index.Projection.ProjectionType or "ALL",
        included=tuple(index.Projection.NonKeyAttributes or ()),
        throughput=throughput(None if local else getattr(index, "ProvisionedThroughput", None)),
        on_demand_maxima=on_demand_maxima(None if local else getattr(index, "OnDemandThroughput", None)),
        warm=WarmUnits() if local else new_warm_units(index, f"index {index.IndexName}"),
        active_at=active_at,
        backfilling=backfilling,
        verified=True,
    )


def new_vector_index(
    index: wire.VectorIndex | wire.CreateVectorIndexAction,
    types: AttributeTypes,
    tx: WriteTransaction,
    active_at: float,
    *,
    backfilling: bool = False,
) -> Index:
    schema = tuple(
        SearchElement(
            KeyAttribute(element.AttributeName, types[element.AttributeName]), element.SearchSchemaElementType
        )
        for element in index.SearchSchema or ()
    )
    space = tx.new_space()
    return Index(
        name=index.IndexName,
        space=space,
        local=False,
        keys=KeySchema(tuple(element.attribute for element in schema if element.role == "HASH")),
        projection=index.Projection.ProjectionType or "ALL",
        included=tuple(index.Projection.NonKeyAttributes or ()),
        active_at=active_at,
        backfilling=backfilling,
        verified=True,
        vector=VectorSettings(
            index.VectorAttribute.AttributeName,
            index.Dimensions,
            index.DistanceFunction,
            tx.new_space(),
            schema,
        ),
    )


def throughput(requested: wire.ProvisionedThroughput | None) -> Throughput:
    if requested is None:
        return Throughput()
    return Throughput(requested.ReadCapacityUnits, requested.WriteCapacityUnits)


def new_warm_units(requested: Any, what: str) -> WarmUnits:
    """The warm throughput of a table or index that is being made; `requested` is the part of the request that
    states what it shall be. Raises ValidationException for less than its billing mode gives anyway."""
    wanted: wire.WarmThroughput | None = requested.WarmThroughput
    if wanted is None:
        return WarmUnits()
    # Without units of its own it is on demand; an index has no billing mode of its own.
    provisioned = requested.ProvisionedThroughput is not None
    mode = "PROVISIONED" if provisioned else "PAY_PER_REQUEST"
    current = warm_units(mode, throughput(requested.ProvisionedThroughput), WarmUnits())
    for kind, units, least in _warm_wishes(wanted, current):
        if units is not None and units < least:
            floor = f"{kind}CapacityUnits of ProvisionedThroughput" if provisioned else _ON_DEMAND_FLOOR
            raise parameter_error(
                f"Requested {kind}UnitsPerSecond for WarmThroughput for {what} is lower than {floor}"
            )
    return _warm_units(wanted, current)


# ack-api-quirks, DDB-TABLE-039.
_ON_DEMAND_FLOOR = (
    "initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
    "on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
)


def raised_warm_units(wanted: wire.WarmThroughput, current: WarmUnits, what: str) -> WarmUnits:
    """Raises ValidationException for a wish below what there is, for warm throughput only grows.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html"""
    for kind, units, least in _warm_wishes(wanted, current):
        if units is not None and units < least:
            raise parameter_error(
                f"Requested {kind}UnitsPerSecond for WarmThroughput for {what} is lower than current "
                "WarmThroughput, decreasing WarmThroughput is not supported"
            )
    return _warm_units(wanted, current)


def _warm_wishes(wanted: wire.WarmThroughput, least: WarmUnits) -> tuple[tuple[str, int | None, int], ...]:
    return ("Read", wanted.ReadUnitsPerSecond, least.read), ("Write", wanted.WriteUnitsPerSecond, least.write)


def _warm_units(wanted: wire.WarmThroughput, current: WarmUnits) -> WarmUnits:
    read, write = wanted.ReadUnitsPerSecond, wanted.WriteUnitsPerSecond
    return WarmUnits(current.read if read is None else read, current.write if write is None else write)


def on_demand_maxima(
    requested: wire.OnDemandThroughput | None, current: OnDemandMaxima | None = None
) -> OnDemandMaxima | None:
    """The maxima after a request: what it does not name stays, -1 takes a maximum away."""
    if requested is None:
        return current
    before = current or OnDemandMaxima()

    def maximum(units: int | None, present: int | None) -> int | None:
        return present if units is None else None if units == -1 else units

    maxima = OnDemandMaxima(
        maximum(requested.MaxReadRequestUnits, before.read), maximum(requested.MaxWriteRequestUnits, before.write)
    )
    return maxima or None


def encryption(requested: wire.SSESpecification | None, context: Context) -> dict[str, str | float] | None:
    """SSEDescription of a table created with a KMS key; None for the default, an AWS-owned key. SSEType alone
    is enough (ack-api-quirks, DDB-TABLE-044)."""
    if requested is None or not (requested.Enabled or (requested.Enabled is None and requested.SSEType == "KMS")):
        return None
    return protection.described(_key_arn(requested.KMSMasterKeyId or protection.kms_key(), context))


def changed_encryption(
    requested: wire.SSESpecification, current: dict[str, str | float] | None, context: Context
) -> dict[str, str | float] | None:
    """SSEDescription after an update. Raises ValidationException where nothing would change: no key before and
    after, or the ARN of the key in use (ack-api-quirks, DDB-TABLE-141)."""
    wanted = encryption(requested, context)
    if wanted is None and current is None:
        raise parameter_error("Table is already encrypted by default")
    if current is not None and requested.KMSMasterKeyId == current["KMSMasterKeyArn"]:
        raise parameter_error(
            "Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you want to "
            "change Master Key"
        )
    return wanted


def _key_arn(key: str | None, context: Context) -> str:
    if key is not None and key.startswith("arn:"):
        if ":alias/" not in key:
            return key
        key = "alias/" + key.partition(":alias/")[2]
    if key is None or key.startswith("alias/"):
        # An alias stands for a key; which one it is here follows from its name.
        name = f"kms/{context.region}/{context.account}/{key or 'alias/aws/dynamodb'}"
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    return f"arn:aws:kms:{context.region}:{context.account}:key/{key}"
