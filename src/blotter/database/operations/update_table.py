"""UpdateTable: what may change in the life of a table, and what AWS says when nothing would.

One call changes billing mode and throughput, deletion protection, the table class, the stream or one global index.
An index that is added here is filled by background work (`background.tables`); writes keep it up to date from the
moment this transaction commits. A deleted index is hidden at its time and its rows go in the background.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html; words as recorded in
dynalite's tests (updateTable).
"""

from __future__ import annotations

from msgspec.structs import replace

from blotter.database.model.errors import (
    DynamoDBError,
    parameter_error,
    table_not_found,
    validation_error,
)
from blotter.database.model.table import Index, KeyAttribute, Table, Throughput
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.catalog import save_table
from blotter.database.operations.context import Context, get_table
from blotter.database.operations.stream_registry import disable_stream, enable_stream
from blotter.database.operations.table_description import describe_table, describe_updated, warm_units
from blotter.database.operations.table_request import (
    AttributeTypes,
    attribute_types,
    encryption,
    new_index,
    on_demand_maxima,
    raised_warm_units,
    refuse_unimplemented,
)
from blotter.database.operations.tables import check_settled
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.tables import maxima_provisioned_error, throughput_on_demand_error
from blotter.database.wire import requests as wire

# Changes that put the table into UPDATING; deletion protection and the like take effect at once.
_SETTLING = (
    "billing_mode",
    "throughput",
    "on_demand_maxima",
    "warm",
    "table_class",
    "stream",
    "indexes",
    "encryption",
)


def update_table(request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> bytes:
    refuse_unimplemented(request, "UpdateTable")
    table = get_table(tx, context, request.TableName)
    check_settled(table, context)
    new = _change_billing(table, request, context)
    new = _change_indexes(new, request, tx, context)
    new = _change_stream(new, request, tx, context)
    new = _change_settings(new, request, context)
    describe = describe_table
    if any(getattr(new, name) != getattr(table, name) for name in _SETTLING):
        new = _updating(table, new, context)
        describe = describe_updated
    save_table(tx, new)
    return answer((b"TableDescription", encoded(describe(tx, new, context.now))))


def _updating(old: Table, new: Table, context: Context) -> Table:
    """The changed table, in UPDATING for its time; what it shows meanwhile is its throughput of before."""
    before = {index.name: index.throughput for index in old.indexes}
    return replace(
        new,
        updating_until=context.settled_at,
        throughput_before=old.throughput,
        indexes=tuple(replace(index, throughput_before=before.get(index.name)) for index in new.indexes),
    )


def _change_billing(
    table: Table,
    request: wire.UpdateTableInput,
    context: Context,
) -> Table:
    mode = request.BillingMode or table.billing_mode
    wanted = request.ProvisionedThroughput
    if mode == "PAY_PER_REQUEST":
        if wanted is not None:
            raise throughput_on_demand_error()
        return _on_demand(table, request, context)
    if request.OnDemandThroughput is not None:
        raise maxima_provisioned_error()
    if wanted is None:
        if request.BillingMode == "PROVISIONED":
            raise parameter_error("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
        return table
    current = table.throughput
    if table.billing_mode == mode:
        _check_throughput_changes(current, wanted, "table")
    else:
        _check_index_throughput_given(table, request)
    return replace(
        table,
        billing_mode="PROVISIONED",
        throughput=_changed_throughput(current, wanted, context.now),
        on_demand_maxima=None,
    )


def _on_demand(table: Table, request: wire.UpdateTableInput, context: Context) -> Table:
    maxima = table.on_demand_maxima
    if request.OnDemandThroughput is not None:
        maxima = on_demand_maxima(request.OnDemandThroughput)
    if table.billing_mode == "PAY_PER_REQUEST":
        return replace(table, on_demand_maxima=maxima)
    return replace(
        table,
        billing_mode="PAY_PER_REQUEST",
        on_demand_since=context.now,
        on_demand_maxima=maxima,
        throughput=Throughput(
            decreases_today=table.throughput.decreases_today,
            last_increase=table.throughput.last_increase,
            last_decrease=context.now,
        ),
        indexes=tuple(replace(index, throughput=Throughput()) for index in table.indexes),
    )


def _check_index_throughput_given(table: Table, request: wire.UpdateTableInput) -> None:
    """A switch to PROVISIONED must say the throughput of every global index, too."""
    updates = [update.Update for update in request.GlobalSecondaryIndexUpdates or () if update.Update is not None]
    given = {update.IndexName for update in updates if update.ProvisionedThroughput is not None}
    missing = [index.name for index in table.indexes if not index.local and index.name not in given]
    if missing:
        raise parameter_error(f"ProvisionedThroughput must be specified for index: {','.join(sorted(missing))}")


def _check_throughput_changes(current: Throughput, wanted: wire.ProvisionedThroughput, what: str) -> None:
    if (current.read, current.write) == (wanted.ReadCapacityUnits, wanted.WriteCapacityUnits):
        raise validation_error(
            f"The provisioned throughput for the {what} will not change. "
            "The requested value equals the current value. "
            f"Current ReadCapacityUnits provisioned for the {what}: {current.read}. "
            f"Requested ReadCapacityUnits: {wanted.ReadCapacityUnits}. "
            f"Current WriteCapacityUnits provisioned for the {what}: {current.write}. "
            f"Requested WriteCapacityUnits: {wanted.WriteCapacityUnits}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        )


def _changed_throughput(current: Throughput, wanted: wire.ProvisionedThroughput, now: float) -> Throughput:
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


def _change_indexes(table: Table, request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> Table:
    updates = request.GlobalSecondaryIndexUpdates or ()
    online = [update for update in updates if update.Create is not None or update.Delete is not None]
    # An index that is being filled may be given up, but nothing else may happen to indexes beside it.
    given_up = {update.Delete.IndexName for update in online if update.Delete is not None}
    filling = any(index.backfilling and index.name not in given_up for index in table.indexes)
    if len(online) > 1 or (online and filling):
        raise DynamoDBError(
            "LimitExceededException",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        )
    for update in updates:
        if update.Update is not None:
            table = _updated_index(table, update.Update, context)
        elif update.Create is not None:
            table = _created_index(table, update.Create, request, tx, context)
        elif update.Delete is not None:
            table = _deleted_index(table, update.Delete.IndexName, context)
    return table


def _updated_index(table: Table, update: wire.UpdateGlobalSecondaryIndexAction, context: Context) -> Table:
    index = table.index(update.IndexName)
    if index is None or index.local:
        raise validation_error(
            "This operation cannot be performed with given input values. "
            "Please contact DynamoDB service team for more info: Action Blocked: IndexUpdate"
        )
    if update.ProvisionedThroughput is not None:
        wanted = update.ProvisionedThroughput
        if table.billing_mode == "PAY_PER_REQUEST":
            raise throughput_on_demand_error()
        _check_throughput_changes(index.throughput, wanted, "index")
        index = replace(index, throughput=_changed_throughput(index.throughput, wanted, context.now))
    if update.WarmThroughput is not None:
        units = warm_units(table.billing_mode, index.throughput, index.warm)
        index = replace(index, warm=raised_warm_units(update.WarmThroughput, units, f"index {index.name}"))
    if update.OnDemandThroughput is not None:
        index = replace(index, on_demand_maxima=on_demand_maxima(update.OnDemandThroughput))
    return _with_index(table, index)


def _created_index(
    table: Table,
    create: wire.CreateGlobalSecondaryIndexAction,
    request: wire.UpdateTableInput,
    tx: WriteTransaction,
    context: Context,
) -> Table:
    if table.index(create.IndexName) is not None:
        raise validation_error(f"Attempting to create an index which already exists: {create.IndexName}")
    types = {attribute.name: attribute.type for attribute in table.attribute_definitions}
    types |= attribute_types(request.AttributeDefinitions)
    missing = [element.AttributeName for element in create.KeySchema if element.AttributeName not in types]
    if missing:
        raise parameter_error(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(element.AttributeName for element in create.KeySchema)}], "
            f"AttributeDefinitions: [{', '.join(types)}]"
        )
    active_at = context.settled_at
    index = new_index(create, types, tx, active_at, local=False, backfilling=True)
    return _defining_only_keys(replace(table, indexes=(*table.indexes, index)), types)


def _deleted_index(table: Table, name: str, context: Context) -> Table:
    index = table.index(name)
    if index is None or index.local:
        raise table_not_found(f"Requested resource not found: Index: {name} not found")
    gone_at = context.settled_at
    table = _with_index(table, replace(index, backfilling=False, deleting=True, active_at=gone_at))
    return _defining_only_keys(
        table, {attribute.name: attribute.type for attribute in table.attribute_definitions}
    )


def _with_index(table: Table, changed: Index) -> Table:
    indexes = tuple(changed if index.name == changed.name else index for index in table.indexes)
    return replace(table, indexes=indexes)


def _defining_only_keys(table: Table, types: AttributeTypes) -> Table:
    """AttributeDefinitions hold the key attributes of the table and of its indexes, and nothing else."""
    used = set(table.keys.names)
    for index in table.indexes:
        if not index.deleting:
            used.update(index.keys.names)
    definitions = tuple(KeyAttribute(name, type_) for name, type_ in types.items() if name in used)
    return replace(table, attribute_definitions=definitions)


def _change_stream(table: Table, request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> Table:
    """Words recorded from AWS by the ACK project's notes on DynamoDB (DDB-TABLE-050, 2026-10)."""
    wanted = request.StreamSpecification
    if wanted is None:
        return table
    enabled = table.stream is not None and table.stream.enabled
    if wanted.StreamEnabled and enabled:
        raise validation_error(f"Table already has an enabled stream: TableName: {table.name}")
    if not wanted.StreamEnabled and not enabled:
        raise validation_error(f"Table has no stream to disable: TableName: {table.name}")
    if wanted.StreamViewType is None:
        return disable_stream(tx, table, context)
    return enable_stream(tx, table, wanted.StreamViewType, context)


def _change_settings(
    table: Table,
    request: wire.UpdateTableInput,
    context: Context,
) -> Table:
    if request.WarmThroughput is not None:
        units = warm_units(table.billing_mode, table.throughput, table.warm)
        table = replace(table, warm=raised_warm_units(request.WarmThroughput, units, "table"))
    if request.DeletionProtectionEnabled is not None:
        table = replace(table, deletion_protection=request.DeletionProtectionEnabled)
    if request.TableClass is not None:
        table = replace(table, table_class=request.TableClass, table_class_changed_at=context.now)
    if request.SSESpecification is not None:
        table = replace(table, encryption=encryption(request.SSESpecification, context))
    return table
