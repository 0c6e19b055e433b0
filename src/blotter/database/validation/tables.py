"""What CreateTable and UpdateTable can be refused for before the table is known.

Checks come in AWS's order: billing and throughput, the table's key schema against the attribute definitions,
local indexes, global indexes, then what no key uses. A global index may have up to four partition and four sort
attributes; tables and local indexes one and one.
Order and words: dynalite's recorded tests, conformance suite nubo-db/dynamodb-conformance
(tier3/error-messages, tier1/createTable); limits:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.wire.requests import (
    AttributeDefinition,
    CreateGlobalSecondaryIndexAction,
    CreateTableInput,
    GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate,
    KeySchemaElement,
    LocalSecondaryIndex,
    Projection,
    ProvisionedThroughput,
    StreamSpecification,
    UpdateTableInput,
)

MAX_UNITS = 1_000_000_000_000
MAX_LOCAL_INDEXES = 5
MAX_GLOBAL_INDEXES = 20
MAX_KEY_ATTRIBUTES = 4
MAX_PROJECTED_ATTRIBUTES = 100

# What says which table is meant, and what its new keys are, changes nothing alone.
_NO_CHANGE = ("TableName", "AttributeDefinitions")

AnyIndex = LocalSecondaryIndex | GlobalSecondaryIndex | CreateGlobalSecondaryIndexAction


def check_create_table(request: CreateTableInput) -> None:
    for member in ("AttributeDefinitions", "KeySchema"):
        # The published model asks for neither any more; the service does, of a table that copies none.
        if getattr(request, member) is None:
            lower = member[0].lower() + member[1:]
            raise validation_error(
                f"1 validation error detected: Value null at '{lower}' failed to satisfy constraint: "
                "Member must not be null"
            )
    definitions = request.AttributeDefinitions or []
    keys = request.KeySchema or []
    _check_billing(request)
    defined = [definition.AttributeName for definition in definitions]
    _check_unique_definitions(definitions)
    _check_table_keys(keys, defined)
    if request.LocalSecondaryIndexes is None and request.GlobalSecondaryIndexes is None:
        # A vector index may use definitions of its own.
        if len(keys) != len(defined) and request.VectorIndexes is None:
            raise parameter_error(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in "
                "AttributeDefinitions"
            )
    else:
        _check_indexes(request, keys, defined)
    check_stream_specification(request.StreamSpecification, creating=True)


def check_update_table(request: UpdateTableInput) -> None:
    updates = request.GlobalSecondaryIndexUpdates
    # Replicas, vector indexes and the rest are changes too; an empty list of index updates is none.
    changes = [getattr(request, name) for name in request.__struct_fields__ if name not in _NO_CHANGE]
    if all(change is None or change == [] for change in changes):
        raise validation_error(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates "
            "or SSESpecification or ReplicaUpdates is required"
        )
    if request.BillingMode == "PROVISIONED" and request.ProvisionedThroughput is None:
        raise parameter_error("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    if request.BillingMode == "PAY_PER_REQUEST" and request.ProvisionedThroughput is not None:
        raise throughput_on_demand_error()
    check_units(request.ProvisionedThroughput)
    if updates is not None:
        _check_index_updates(updates, request.AttributeDefinitions or [])
    check_stream_specification(request.StreamSpecification, creating=False)


def check_units(throughput: ProvisionedThroughput | None) -> None:
    """Raises ValidationException for provisioned units that no table can have."""
    if throughput is None:
        return
    for name in ("ReadCapacityUnits", "WriteCapacityUnits"):
        units = getattr(throughput, name)
        if units > MAX_UNITS:
            raise validation_error(f"Given value {units} for {name} is out of bounds")


def check_stream_specification(specification: StreamSpecification | None, *, creating: bool) -> None:
    """Raises ValidationException when a stream is enabled without a view, or given a view while disabled.
    Words recorded from AWS in the ACK project's notes (ack-api-quirks, DDB-TABLE-442)."""
    if specification is None or specification.StreamEnabled == (specification.StreamViewType is not None):
        return
    raise parameter_error(_STREAM_WORDS[creating, specification.StreamEnabled])


# (the table is being created, the stream is enabled) → what is wrong with its view.
_STREAM_WORDS = {
    (True, True): "Table is being created with a stream enabled, UpdateViewType is required",
    (True, False): "Table is being created with a stream disabled, UpdateViewType should not be specified",
    (False, True): "If stream is being enabled then UpdateViewType is required",
    (False, False): "If stream is being disabled, then UpdateViewType must not be specified",
}


def check_index_keys_defined(keys: Sequence[KeySchemaElement], defined: Sequence[str]) -> None:
    """Raises ValidationException for a key attribute without a definition."""
    names = [key.AttributeName for key in keys]
    if any(name not in defined for name in names):
        raise parameter_error(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(defined)}]"
        )


def _check_billing(request: CreateTableInput) -> None:
    throughput = request.ProvisionedThroughput
    if request.BillingMode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise throughput_on_demand_error()
        return
    if request.OnDemandThroughput is not None:
        raise maxima_provisioned_error()
    if throughput is None:
        raise parameter_error(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    check_units(throughput)


def maxima_provisioned_error() -> DynamoDBError:
    """On-demand maxima for a table that is billed by provisioned units."""
    return parameter_error(
        "Neither MaxReadRequestUnits nor MaxWriteRequestUnits can be specified when BillingMode is PROVISIONED"
    )


def throughput_on_demand_error() -> DynamoDBError:
    """Provisioned units for a table, or an index of one, that is billed by request."""
    return parameter_error(
        "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
    )


def _check_table_keys(keys: Sequence[KeySchemaElement], defined: Sequence[str]) -> None:
    if len(keys) > len(defined):
        raise validation_error("Invalid KeySchema: Some index key attribute have no definition")
    check_index_keys_defined(keys, defined)
    _check_key_roles(keys)


def _check_key_roles(keys: Sequence[KeySchemaElement]) -> None:
    """A partition key, and perhaps a sort key of another name behind it."""
    if len(keys) > 1 and keys[0].AttributeName == keys[1].AttributeName:
        raise validation_error("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if keys[0].KeyType != "HASH":
        raise validation_error("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(keys) > 1 and keys[1].KeyType != "RANGE":
        raise validation_error("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _check_global_key_roles(keys: Sequence[KeySchemaElement]) -> None:
    """Up to four partition attributes, then up to four sort attributes; one and one is worded as for a table."""
    names = [key.AttributeName for key in keys]
    kinds = [key.KeyType for key in keys]
    if len(keys) <= 2 and kinds != ["HASH", "HASH"]:
        _check_key_roles(keys)
        return
    if kinds[0] != "HASH":
        raise validation_error("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if kinds != sorted(kinds):
        raise validation_error("Invalid KeySchema: All HASH key elements must come before RANGE key elements")
    for name in names:
        if names.count(name) > 1:
            raise validation_error(f"Invalid KeySchema: Duplicate attribute name in KeySchema: {name}")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > MAX_KEY_ATTRIBUTES:
            raise validation_error(
                f"Invalid KeySchema: The number of {kind} key elements exceeds the limit of {MAX_KEY_ATTRIBUTES}"
            )


def _check_indexes(request: CreateTableInput, keys: Sequence[KeySchemaElement], defined: Sequence[str]) -> None:
    names: set[str] = set()
    local = request.LocalSecondaryIndexes
    if local is not None:
        _check_local_indexes(local, keys, defined, names)
    indexes = request.GlobalSecondaryIndexes
    if indexes is not None:
        _check_global_indexes(indexes, defined, names, on_demand=request.BillingMode == "PAY_PER_REQUEST")
    every: list[AnyIndex] = [*(local or ()), *(indexes or ())]
    _check_projected_attributes(every)
    used = {key.AttributeName for key in keys}
    used.update(key.AttributeName for index in every for key in index.KeySchema)
    if used != set(defined) and request.VectorIndexes is None:
        keys_used = ", ".join(name for name in defined if name in used)
        raise parameter_error(
            "Some AttributeDefinitions are not used. "
            f"AttributeDefinitions: [{', '.join(defined)}], keys used: [{keys_used}]"
        )


def _check_local_indexes(
    indexes: Sequence[LocalSecondaryIndex],
    keys: Sequence[KeySchemaElement],
    defined: Sequence[str],
    names: set[str],
) -> None:
    if not indexes:
        raise parameter_error("List of LocalSecondaryIndexes is empty")
    if len(keys) != 2:
        raise parameter_error(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    for index in indexes:
        check_index_keys_defined(index.KeySchema, defined)
        _check_key_roles(index.KeySchema)
        if len(index.KeySchema) != 2:
            raise parameter_error(f"Index KeySchema does not have a range key for index: {index.IndexName}")
        partition = index.KeySchema[0].AttributeName
        if partition != keys[0].AttributeName:
            raise parameter_error(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                f"{index.IndexName}. index hash key: {partition}, table hash key: {keys[0].AttributeName}"
            )
        _check_projection(index.Projection)
        _check_new_name(index.IndexName, names)
    if len(indexes) > MAX_LOCAL_INDEXES:
        raise parameter_error(f"Number of LocalSecondaryIndexes exceeds per-table limit of {MAX_LOCAL_INDEXES}")


def _check_global_indexes(
    indexes: Sequence[GlobalSecondaryIndex], defined: Sequence[str], names: set[str], *, on_demand: bool
) -> None:
    if not indexes:
        raise parameter_error("List of GlobalSecondaryIndexes is empty")
    for index in indexes:
        check_global_index(index, defined)
        if on_demand and index.ProvisionedThroughput is not None:
            raise parameter_error(
                f"ProvisionedThroughput should not be specified for index: {index.IndexName} "
                "when BillingMode is PAY_PER_REQUEST"
            )
        if not on_demand and index.ProvisionedThroughput is None:
            raise parameter_error(f"ProvisionedThroughput is not specified for index: {index.IndexName}")
        check_units(index.ProvisionedThroughput)
        _check_new_name(index.IndexName, names)
    if len(indexes) > MAX_GLOBAL_INDEXES:
        raise parameter_error(f"GlobalSecondaryIndex count exceeds the per-table limit of {MAX_GLOBAL_INDEXES}")


def check_global_index(
    index: GlobalSecondaryIndex | CreateGlobalSecondaryIndexAction, defined: Sequence[str]
) -> None:
    """Raises ValidationException for a global index that no table can have; `defined` are all attributes with a
    definition."""
    check_index_keys_defined(index.KeySchema, defined)
    _check_global_key_roles(index.KeySchema)
    _check_projection(index.Projection)


def _check_projection(projection: Projection) -> None:
    kind = projection.ProjectionType
    if kind is None:
        raise parameter_error("Unknown ProjectionType: null")
    if projection.NonKeyAttributes is not None and kind != "INCLUDE":
        raise parameter_error(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if projection.NonKeyAttributes is None and kind == "INCLUDE":
        raise parameter_error("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")


def _check_projected_attributes(indexes: Sequence[AnyIndex]) -> None:
    """The attributes included in all indexes together, each counted in every index that has it."""
    total = sum(len(index.Projection.NonKeyAttributes or ()) for index in indexes)
    if total > MAX_PROJECTED_ATTRIBUTES:
        raise parameter_error(
            "Number of projected non-key attributes over all indexes exceeds the limit of "
            f"{MAX_PROJECTED_ATTRIBUTES}"
        )


def _check_new_name(name: str, names: set[str]) -> None:
    if name in names:
        raise parameter_error(f"Duplicate index name: {name}")
    names.add(name)


def _check_unique_definitions(definitions: Sequence[AttributeDefinition]) -> None:
    seen: set[str] = set()
    for definition in definitions:
        if definition.AttributeName in seen:
            raise parameter_error(f"Duplicate AttributeName in AttributeDefinitions: {definition.AttributeName}")
        seen.add(definition.AttributeName)


def _check_index_updates(
    updates: Sequence[GlobalSecondaryIndexUpdate], definitions: Sequence[AttributeDefinition]
) -> None:
    _check_unique_definitions(definitions)
    names: set[str] = set()
    for update in updates:
        change = update.Update or update.Create or update.Delete
        if change is None:
            raise parameter_error(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        if change.IndexName in names:
            raise parameter_error(
                "Only one global secondary index update per index is allowed simultaneously. "
                f"Index: {change.IndexName}"
            )
        names.add(change.IndexName)
        if update.Create is not None:
            check_global_index(update.Create, [definition.AttributeName for definition in definitions])


CHECKS: dict[str, Callable[[Any], None]] = {
    "CreateTable": check_create_table,
    "UpdateTable": check_update_table,
}
