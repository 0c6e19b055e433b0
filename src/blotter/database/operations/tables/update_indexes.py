"""What UpdateTable does to global indexes: new ones, deleted ones, and the units of those that stay.

An index that is added here is filled by background work (`background.index_entries`); writes keep it up to date
from the moment this transaction commits. A deleted index takes no entries and answers no reads from then on; its
entries go in the background. An attribute has one type in a table: the type that a key of the table or of an
index gave it stays (DDB-TABLE-162, -358; scylladb/scylladb#13870). Order and messages as recorded in the ACK
project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-151, -152, -155, -159, -164, -169, -380, -442; 2026-10)
and in dynalite's tests (updateTable)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from blotter.database.model.errors import DynamoDBError, parameter_error, table_not_found, validation_error
from blotter.database.model.table import Index, Table, Throughput, is_over
from blotter.database.operations.context import Context
from blotter.database.operations.tables.description import index_status, warm_units
from blotter.database.operations.tables.request import (
    AttributeTypes,
    attribute_types,
    key_schema,
    new_index,
    on_demand_maxima,
    raised_warm_units,
)
from blotter.database.operations.tables.under_way import still_in_use
from blotter.database.operations.tables.update_vector_indexes import (
    added_vector_index,
    existing_schema,
    limit_error,
    redefined_error,
    refuse_vector_as_key,
    schema_text,
    vector_index,
)
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.set_order import as_sized_set
from blotter.database.validation.tables import (
    MAX_GLOBAL_INDEXES,
    MAX_PROJECTED_ATTRIBUTES,
    on_demand_maxima_given,
    too_many_projected_error,
)
from blotter.database.wire import requests as wire


def change_indexes(table: Table, request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> Table:
    """The table after the request's index updates; `table` has the billing mode that the request sets."""
    updates = request.GlobalSecondaryIndexUpdates or ()
    vectors = request.VectorIndexUpdates or ()
    every = (*updates, *vectors)
    online = [update for update in every if update.Create is not None or update.Delete is not None]
    # An index that is being filled may be given up, but no other may be created or deleted meanwhile.
    given_up = {update.Delete.IndexName for update in online if update.Delete is not None}
    _refuse_twin(table, vectors, context)
    at_work = any(index.deleting or (index.backfilling and index.name not in given_up) for index in table.indexes)
    if len(online) > 1 or (online and at_work):
        raise limit_error("Only 1 online index can be created or deleted simultaneously per table")
    for update in updates:
        if update.Update is not None:
            table = _updated(table, update.Update, context)
        elif update.Create is not None:
            table = _created(table, update.Create, request, tx, context)
        elif update.Delete is not None:
            index = _global_index(table, update.Delete.IndexName, "delete")
            table = _with_index(table, replace(index, backfilling=False, deleting=True))
    for change in vectors:
        if change.Create is not None:
            table = added_vector_index(table, change.Create, request, tx, context)
        elif change.Delete is not None:
            index = vector_index(table, change.Delete.IndexName)
            table = _with_index(table, replace(index, backfilling=False, deleting=True))
    return table


def _refuse_twin(table: Table, vectors: Sequence[wire.VectorIndexUpdate], context: Context) -> None:
    """Raises ResourceInUseException for a new vector index with the name of one that is still being created
    (ExtendDB/extenddb, crates/core/src/types/table.rs: us-east-1, 2026-08-06; the two spaces are the
    service's)."""
    for update in vectors:
        twin = None if update.Create is None else table.index(update.Create.IndexName)
        if twin is not None and not twin.local and index_status(twin, context.now) == "CREATING":
            raise still_in_use(f"Index is being created.  Table: {table.name} Index: {twin.name}")


def check_index_throughput_given(table: Table, request: wire.UpdateTableInput) -> None:
    """A switch to PROVISIONED must state the throughput of every global index, too."""
    updates = [update.Update for update in request.GlobalSecondaryIndexUpdates or () if update.Update is not None]
    given = {update.IndexName for update in updates if update.ProvisionedThroughput is not None}
    missing = [index.name for index in table.indexes if index.is_global and index.name not in given]
    if missing:
        raise parameter_error(f"ProvisionedThroughput must be specified for index: {','.join(sorted(missing))}")


def check_throughput_changes(current: Throughput, wanted: wire.ProvisionedThroughput, what: str) -> None:
    """Raises ValidationException for the units that the table ("the table") or index ("index x") has already."""
    if (current.read, current.write) == (wanted.ReadCapacityUnits, wanted.WriteCapacityUnits):
        raise validation_error(
            f"The provisioned throughput for {what if what == 'the table' else f'the {what}'} will not change. "
            "The requested value equals the current value. "
            f"Current ReadCapacityUnits provisioned for {what}: {current.read}. "
            f"Requested ReadCapacityUnits: {wanted.ReadCapacityUnits}. "
            f"Current WriteCapacityUnits provisioned for {what}: {current.write}. "
            f"Requested WriteCapacityUnits: {wanted.WriteCapacityUnits}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        )


def changed_throughput(current: Throughput, wanted: wire.ProvisionedThroughput, now: float) -> Throughput:
    read, write = wanted.ReadCapacityUnits, wanted.WriteCapacityUnits
    increases = read > current.read or write > current.write
    decreases = read < current.read or write < current.write
    return Throughput(
        read,
        write,
        decreases_today=current.decreases_on(now) + decreases,
        last_increase=now if increases else current.last_increase,
        last_decrease=now if decreases else current.last_decrease,
    )


def _updated(table: Table, update: wire.UpdateGlobalSecondaryIndexAction, context: Context) -> Table:
    index = _global_index(table, update.IndexName, "update")
    if not is_over(index.updating_until, context.now):
        raise still_in_use(f"Index is being updated. Table: {table.name} Index: {index.name}")
    maxima = on_demand_maxima_given(update.OnDemandThroughput)
    if table.billing_mode == "PAY_PER_REQUEST":
        if update.ProvisionedThroughput is not None or not (maxima or update.WarmThroughput is not None):
            raise parameter_error(
                f"The only Updates for index: {index.name} when TableThroughputMode is PAY_PER_REQUEST can be to "
                "OnDemandThroughput, WarmThroughput"
            )
    else:
        for name, _ in maxima:
            raise parameter_error(
                f"{name} for OnDemandThroughput for index : {index.name} cannot be specified when the table "
                "BillingMode is PROVISIONED"
            )
        if update.ProvisionedThroughput is None and update.WarmThroughput is None:
            raise _units_missing_error(index.name)
    if update.ProvisionedThroughput is not None:
        wanted = update.ProvisionedThroughput
        check_throughput_changes(index.throughput, wanted, f"index {index.name}")
        index = replace(index, throughput=changed_throughput(index.throughput, wanted, context.now))
    if update.WarmThroughput is not None:
        units = warm_units(table.billing_mode, index.throughput, index.warm)
        index = replace(index, warm=raised_warm_units(update.WarmThroughput, units, f"index {index.name}"))
    if maxima:
        index = replace(
            index, on_demand_maxima=on_demand_maxima(update.OnDemandThroughput, index.on_demand_maxima)
        )
    return _with_index(table, index)


def _created(
    table: Table,
    create: wire.CreateGlobalSecondaryIndexAction,
    request: wire.UpdateTableInput,
    tx: WriteTransaction,
    context: Context,
) -> Table:
    if table.index(create.IndexName) is not None:
        raise validation_error("Attempting to create an index which already exists")
    if sum(index.is_global for index in table.indexes) >= MAX_GLOBAL_INDEXES:
        raise limit_error(f"Number of global secondary indexes exceeds per-table limit of {MAX_GLOBAL_INDEXES}")
    _check_units(table, create)
    types = _key_types(table, create, attribute_types(request.AttributeDefinitions))
    index = new_index(create, types, tx, context.settled_at, local=False, backfilling=True)
    table = replace(table, indexes=(*table.indexes, index))
    if sum(len(index.included) for index in table.indexes if index.vector is None) > MAX_PROJECTED_ATTRIBUTES:
        raise too_many_projected_error()
    return table


def _check_units(table: Table, create: wire.CreateGlobalSecondaryIndexAction) -> None:
    """An index is billed as its table is."""
    name = create.IndexName
    if table.billing_mode == "PROVISIONED":
        for member, _ in on_demand_maxima_given(create.OnDemandThroughput):
            raise parameter_error(
                f"{member} for OnDemandThroughput for index : {name} cannot be specified when the table "
                "BillingMode is PROVISIONED"
            )
        if create.ProvisionedThroughput is None:
            raise _units_missing_error(name)
    elif create.ProvisionedThroughput is not None:
        raise parameter_error(
            f"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} when "
            "BillingMode is PAY_PER_REQUEST"
        )


def _key_types(
    table: Table, create: wire.CreateGlobalSecondaryIndexAction, given: AttributeTypes
) -> AttributeTypes:
    """The types of all attributes that can be keys of the new index. Raises ValidationException for a key
    attribute without a type, and for one that has another type already; what else the request defines anew is
    ignored."""
    stored: AttributeTypes = {attribute.name: attribute.type for attribute in table.key_attributes}
    names = [element.AttributeName for element in create.KeySchema]
    if any(name not in given and name not in stored for name in names):
        raise parameter_error(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(as_sized_set(list(given)))}]"
        )
    for name in names:
        if name in stored and given.get(name, stored[name]) != stored[name]:
            raise redefined_error(
                existing_schema(table, name), schema_text(key_schema(create.KeySchema, stored | given))
            )
    refuse_vector_as_key(table, key_schema(create.KeySchema, stored | given))
    return given | stored


def _global_index(table: Table, name: str, action: str) -> Index:
    index = table.index(name)
    if index is None or index.vector is not None:
        raise table_not_found(f"Requested resource not found: Index {name} for table {table.name}")
    if index.local:
        raise validation_error(f"Cannot {action} an index that is not a GlobalSecondaryIndex: {name}")
    return index


def _units_missing_error(name: str) -> DynamoDBError:
    return parameter_error(f"Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}")


def _with_index(table: Table, changed: Index) -> Table:
    indexes = tuple(changed if index.name == changed.name else index for index in table.indexes)
    return replace(table, indexes=indexes)
