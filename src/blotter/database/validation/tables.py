"""What CreateTable can be refused for before anything is looked up, and the checks it shares with UpdateTable
(`validation.update_table`).

Checks come in AWS's order: billing and throughput, the table's key schema against the attribute definitions,
vector indexes, what no key uses, local indexes, global indexes, the stream, encryption, tags. A global index may
have up to four partition and four sort attributes; tables and local indexes one and one. Order and messages: the
ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-123 to -129, -038, -039, -442; 2026-10), conformance
suite nubo-db/dynamodb-conformance (tier3/error-messages, tier1/createTable), dynalite's recorded tests; limits:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.validation.set_order import as_set, as_sized_set
from blotter.database.validation.tags import check_tags
from blotter.database.validation.vector_indexes import check_vector_indexes
from blotter.database.wire.requests import (
    AttributeDefinition,
    CreateGlobalSecondaryIndexAction,
    CreateTableInput,
    GlobalSecondaryIndex,
    KeySchemaElement,
    LocalSecondaryIndex,
    OnDemandThroughput,
    Projection,
    ProvisionedThroughput,
    SSESpecification,
    StreamSpecification,
    VectorIndex,
)

MAX_UNITS = 1_000_000_000_000
MAX_LOCAL_INDEXES = 5
MAX_GLOBAL_INDEXES = 20
MAX_KEY_ATTRIBUTES = 4
MAX_PROJECTED_ATTRIBUTES = 100

AnyIndex = LocalSecondaryIndex | GlobalSecondaryIndex | CreateGlobalSecondaryIndexAction


def check_create_table(request: CreateTableInput) -> None:
    for member in ("AttributeDefinitions", "KeySchema"):
        # The published model requires neither any more; the service does, for a table that copies none.
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
    check_unique_definitions(definitions)
    _check_table_keys(keys, defined)
    vectors = request.VectorIndexes
    if vectors is not None:
        check_vector_indexes(vectors, definitions, on_demand=request.BillingMode == "PAY_PER_REQUEST")
    if request.LocalSecondaryIndexes is None and request.GlobalSecondaryIndexes is None and vectors is None:
        if len(keys) != len(defined):
            raise parameter_error(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in "
                "AttributeDefinitions"
            )
    else:
        _check_indexes(request, keys, defined)
    check_stream_specification(request.StreamSpecification, creating=True)
    check_encryption(request.SSESpecification)
    check_tags(request.Tags or ())


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
    Messages recorded from AWS in the ACK project's notes (ack-api-quirks, DDB-TABLE-442)."""
    if specification is None or specification.StreamEnabled == (specification.StreamViewType is not None):
        return
    raise parameter_error(_STREAM_MESSAGES[creating, specification.StreamEnabled])


# (the table is being created, the stream is enabled) → what is wrong with its view.
_STREAM_MESSAGES = {
    (True, True): "Table is being created with a stream enabled, UpdateViewType is required",
    (True, False): "Table is being created with a stream disabled, UpdateViewType should not be specified",
    (False, True): "If stream is being enabled then UpdateViewType is required",
    (False, False): "If stream is being disabled, then UpdateViewType must not be specified",
}


def check_encryption(specification: SSESpecification | None) -> None:
    """Raises ValidationException for a specification that contradicts itself."""
    if specification is None:
        return
    if specification.Enabled is False and specification.SSEType is not None:
        raise parameter_error("SSEType can not be specified if Enabled is false")
    if specification.Enabled is False and specification.KMSMasterKeyId is not None:
        raise parameter_error("KMSMasterKeyId can not be specified if Enabled is false")
    if specification.SSEType == "AES256":
        raise parameter_error("SSEType AES256 is not supported")
    if specification.KMSMasterKeyId is not None and specification.SSEType is None:
        raise parameter_error("SSEType KMS is required if KMSMasterKeyId is specified")


def on_demand_maxima_given(maxima: OnDemandThroughput | None) -> list[tuple[str, int]]:
    """The maxima that a request names; an empty structure names none and means nothing (DDB-TABLE-456)."""
    if maxima is None:
        return []
    given = (
        ("MaxReadRequestUnits", maxima.MaxReadRequestUnits),
        ("MaxWriteRequestUnits", maxima.MaxWriteRequestUnits),
    )
    return [(name, units) for name, units in given if units is not None]


def check_on_demand_range(maxima: OnDemandThroughput | None, what: str, *, creating: bool) -> None:
    """Raises ValidationException for a maximum below 1; -1 takes a maximum away, which only an update can."""
    for name, units in on_demand_maxima_given(maxima):
        if units < 1 and (creating or units != -1):
            raise parameter_error(f"Requested {name} for OnDemandThroughput for {what} is outside of valid range")


def check_index_keys_defined(keys: Sequence[KeySchemaElement], defined: Sequence[str]) -> None:
    """Raises ValidationException for a key attribute without a definition."""
    names = [key.AttributeName for key in keys]
    if any(name not in defined for name in names):
        raise parameter_error(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(as_sized_set(defined))}]"
        )


def _check_billing(request: CreateTableInput) -> None:
    throughput = request.ProvisionedThroughput
    if request.BillingMode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise throughput_on_demand_error()
        check_on_demand_range(request.OnDemandThroughput, "table", creating=True)
        return
    for name, _ in on_demand_maxima_given(request.OnDemandThroughput):
        raise parameter_error(
            f"{name} for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."
        )
    if throughput is None:
        raise parameter_error(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    check_units(throughput)


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
    """A partition key, and perhaps a sort key of another name after it."""
    if len(keys) > 1 and keys[0].AttributeName == keys[1].AttributeName:
        raise validation_error("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if keys[0].KeyType != "HASH":
        raise validation_error("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(keys) > 1 and keys[1].KeyType != "RANGE":
        raise validation_error("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _check_global_key_roles(keys: Sequence[KeySchemaElement]) -> None:
    """Up to four partition attributes, then up to four sort attributes; one and one is reported as for a table.
    Messages: ack-api-quirks, DDB-TABLE-123 and -442."""
    kinds = [key.KeyType for key in keys]
    if _is_single(keys):
        _check_key_roles(keys)
        return
    if kinds[0] != "HASH":
        raise validation_error("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if kinds != sorted(kinds):
        raise parameter_error("All HASH key attributes must precede RANGE key attributes in the KeySchema")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > MAX_KEY_ATTRIBUTES:
            raise parameter_error(f"The KeySchema exceeds the maximum allowed number of {kind} key attributes")
    if len({key.AttributeName for key in keys}) < len(keys):
        raise validation_error("The KeySchema contains multiple key attributes with the same name")


def _is_single(keys: Sequence[KeySchemaElement]) -> bool:
    """Whether a key is written as a table's is: one partition attribute, and perhaps one sort attribute."""
    return len(keys) <= 2 and [key.KeyType for key in keys] != ["HASH", "HASH"]


def _check_indexes(request: CreateTableInput, keys: Sequence[KeySchemaElement], defined: Sequence[str]) -> None:
    names: set[str] = set()
    local = request.LocalSecondaryIndexes
    if local is not None and not local:
        raise parameter_error("List of LocalSecondaryIndexes is empty")
    indexes = request.GlobalSecondaryIndexes
    if indexes is not None and not indexes:
        raise parameter_error("List of GlobalSecondaryIndexes is empty")
    every: list[AnyIndex] = [*(local or ()), *(indexes or ())]
    for index in every:
        check_index_keys_defined(index.KeySchema, defined)
    for index in indexes or ():
        if not _is_single(index.KeySchema):
            _check_global_key_roles(index.KeySchema)
    vectors = request.VectorIndexes or ()
    _check_all_used(keys, every, vectors, defined)
    _check_local_indexes(local or (), keys, names)
    _check_global_indexes(indexes or (), names, on_demand=request.BillingMode == "PAY_PER_REQUEST")
    for vector in vectors:
        check_projection(vector.Projection)
        check_new_name(vector.IndexName, names)
    _check_projected_attributes(every)


def _check_all_used(
    keys: Sequence[KeySchemaElement],
    indexes: Sequence[AnyIndex],
    vectors: Sequence[VectorIndex],
    defined: Sequence[str],
) -> None:
    used = {key.AttributeName for key in keys}
    used.update(key.AttributeName for index in indexes for key in index.KeySchema)
    used.update(element.AttributeName for vector in vectors for element in vector.SearchSchema or ())
    if used != set(defined):
        keys_used = ", ".join(as_set([name for name in defined if name in used]))
        raise parameter_error(
            "Some AttributeDefinitions are not used. "
            f"AttributeDefinitions: [{', '.join(as_sized_set(defined))}], keys used: [{keys_used}]"
        )


def _check_local_indexes(
    indexes: Sequence[LocalSecondaryIndex], keys: Sequence[KeySchemaElement], names: set[str]
) -> None:
    if indexes and len(keys) != 2:
        raise parameter_error(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    for index in indexes:
        _check_key_roles(index.KeySchema)
        if len(index.KeySchema) != 2:
            raise parameter_error(f"Index KeySchema does not have a range key for index: {index.IndexName}")
        partition = index.KeySchema[0].AttributeName
        if partition != keys[0].AttributeName:
            raise parameter_error(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                f"{index.IndexName}. index hash key: {partition}, table hash key: {keys[0].AttributeName}"
            )
        check_projection(index.Projection)
        check_new_name(index.IndexName, names)
    if len(indexes) > MAX_LOCAL_INDEXES:
        raise parameter_error(f"Number of LocalSecondaryIndexes exceeds per-table limit of {MAX_LOCAL_INDEXES}")


def _check_global_indexes(indexes: Sequence[GlobalSecondaryIndex], names: set[str], *, on_demand: bool) -> None:
    for index in indexes:
        check_global_index(index)
        if on_demand and index.ProvisionedThroughput is not None:
            raise parameter_error(
                f"ProvisionedThroughput should not be specified for index: {index.IndexName} "
                "when BillingMode is PAY_PER_REQUEST"
            )
        if not on_demand:
            _check_provisioned_index(index)
        check_units(index.ProvisionedThroughput)
        check_on_demand_range(index.OnDemandThroughput, f"index : {index.IndexName}", creating=True)
        check_new_name(index.IndexName, names)
    if len(indexes) > MAX_GLOBAL_INDEXES:
        raise parameter_error(f"GlobalSecondaryIndex count exceeds the per-table limit of {MAX_GLOBAL_INDEXES}")


def _check_provisioned_index(index: GlobalSecondaryIndex) -> None:
    for name, _ in on_demand_maxima_given(index.OnDemandThroughput):
        raise parameter_error(
            f"{name} for OnDemandThroughput for index: {index.IndexName} cannot be specified when table "
            "BillingMode is PROVISIONED."
        )
    if index.ProvisionedThroughput is None:
        raise parameter_error(f"ProvisionedThroughput is not specified for index: {index.IndexName}")


def check_global_index(index: GlobalSecondaryIndex | CreateGlobalSecondaryIndexAction) -> None:
    """Raises ValidationException for the keys or the projection of a global index that no table can have."""
    _check_global_key_roles(index.KeySchema)
    check_projection(index.Projection)


def check_projection(projection: Projection) -> None:
    """Raises ValidationException for a projection that contradicts itself."""
    kind = projection.ProjectionType
    if kind is None:
        raise parameter_error("Unknown ProjectionType: null")
    if projection.NonKeyAttributes is not None and kind != "INCLUDE":
        raise parameter_error(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if projection.NonKeyAttributes is None and kind == "INCLUDE":
        raise parameter_error("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    seen: set[str] = set()
    for name in projection.NonKeyAttributes or ():
        if name in seen:
            raise parameter_error(f"Duplicate element in NonKeyAttributes: {name}")
        seen.add(name)


def _check_projected_attributes(indexes: Sequence[AnyIndex]) -> None:
    """The attributes included in all indexes together, each counted in every index that has it."""
    total = sum(len(index.Projection.NonKeyAttributes or ()) for index in indexes)
    if total > MAX_PROJECTED_ATTRIBUTES:
        raise too_many_projected_error()


def too_many_projected_error() -> DynamoDBError:
    return parameter_error(
        f"Number of projected non-key attributes over all indexes exceeds the limit of {MAX_PROJECTED_ATTRIBUTES}"
    )


def check_new_name(name: str, names: set[str]) -> None:
    """Adds the name of an index. Raises ValidationException if another has it."""
    if name in names:
        raise parameter_error(f"Duplicate index name: {name}")
    names.add(name)


def check_unique_definitions(definitions: Sequence[AttributeDefinition]) -> None:
    """Raises ValidationException when an attribute is defined twice, be it alike."""
    seen: set[str] = set()
    for definition in definitions:
        if definition.AttributeName in seen:
            raise validation_error(f"Attribute Name is duplicated: {definition.AttributeName}")
        seen.add(definition.AttributeName)


CHECKS: dict[str, Callable[[Any], None]] = {"CreateTable": check_create_table}
