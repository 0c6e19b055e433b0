"""UpdateTable: what may change in the life of a table, and what is refused because nothing would.

One call changes the billing mode and throughput, the stream, indexes (`update_indexes`), or one other setting;
what goes together was checked before (`validation.update_table`). Billing, throughput, table class, stream and
new or deleted indexes put the table into UPDATING; a change of an index's units shows as the index's UPDATING;
the rest is done at once, though the answer shows encryption and warm throughput as still being changed. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html; order and messages as
recorded in the ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-050, -057, -059, -061, -153, -165,
-178, -179, -410; 2026-10) and in dynalite's tests (updateTable)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from blotter.database.model.errors import parameter_error, validation_error
from blotter.database.model.table import Index, Table, TableStatus, Throughput, WarmUnits
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, get_table
from blotter.database.operations.stream_registry import disable_stream, enable_stream
from blotter.database.operations.tables.catalog import save_table
from blotter.database.operations.tables.description import describe_table, warm_units
from blotter.database.operations.tables.lifecycle import check_settled
from blotter.database.operations.tables.request import (
    changed_encryption,
    on_demand_maxima,
    raised_warm_units,
    refuse_unimplemented,
)
from blotter.database.operations.tables.update_indexes import (
    change_indexes,
    changed_throughput,
    check_index_throughput_given,
    check_throughput_changes,
    refuse_early_deletion,
)
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.tables import on_demand_maxima_given, throughput_on_demand_error
from blotter.database.validation.update_table import is_empty
from blotter.database.wire import requests as wire

# Changes that put the table into UPDATING.
_SETTLING = ("billing_mode", "throughput", "table_class", "stream")


def update_table(request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> bytes:
    refuse_unimplemented(request, "UpdateTable")
    table = get_table(tx, context, request.TableName)
    refuse_early_deletion(table, request, context)
    if not (_goes_beside_others(request) and table.status_at(context.now) is TableStatus.UPDATING):
        check_settled(table, context)
    new = _change_billing(table, request, context)
    new = change_indexes(new, request, tx, context)
    new = _change_stream(new, request, tx, context)
    new = _change_settings(new, request, context)
    new = _keep_warm(table, new)
    save_table(tx, _begun(table, new, context.settled_at))
    shown = _begun(table, new, max(context.settled_at, context.now + 1))
    if request.BillingMode is not None or request.TableClass is not None:
        # The response shows UPDATING even if nothing is different (-410).
        shown = replace(shown, updating_until=context.now + 1)
    description = describe_table(tx, shown, context.now)
    _show_under_way(description, request, table)
    return answer((b"TableDescription", encoded(description)))


def _goes_beside_others(request: wire.UpdateTableInput) -> bool:
    """Deletion protection and encryption change while something else is UPDATING (DDB-TABLE-376, -462)."""
    return request.DeletionProtectionEnabled is not None or request.SSESpecification is not None


def _begun(old: Table, new: Table, ends_at: float) -> Table:
    """The changed table with the states that its changes begin, which end at a time. Meanwhile it shows the
    throughput of before, unless its billing mode changed."""
    before = {index.space: index for index in old.indexes}
    same_mode = old.billing_mode == new.billing_mode
    indexes = tuple(_begun_index(before.get(index.space), index, ends_at, same_mode) for index in new.indexes)
    comes_or_goes = [(index.space, index.deleting) for index in old.indexes] != [
        (index.space, index.deleting) for index in new.indexes
    ]
    if comes_or_goes or any(getattr(new, name) != getattr(old, name) for name in _SETTLING):
        new = replace(new, updating_until=ends_at, throughput_before=old.throughput if same_mode else None)
    return replace(new, indexes=indexes)


def _begun_index(before: Index | None, index: Index, ends_at: float, same_mode: bool) -> Index:
    if before is None or index.deleting != before.deleting:
        return replace(index, active_at=ends_at)
    if (index.throughput, index.on_demand_maxima) != (before.throughput, before.on_demand_maxima):
        shown = before.throughput if same_mode else None
        return replace(index, updating_until=ends_at, throughput_before=shown)
    return index


def _show_under_way(description: dict[str, Any], request: wire.UpdateTableInput, before: Table) -> None:
    """What only the answer shows: changes that are done by the next look."""
    for name, units in on_demand_maxima_given(request.OnDemandThroughput):
        description.setdefault("OnDemandThroughput", {})[name] = units
    if request.WarmThroughput is not None:
        units_before = warm_units(before.billing_mode, before.throughput, before.warm)
        description["WarmThroughput"] = {
            "ReadUnitsPerSecond": units_before.read,
            "WriteUnitsPerSecond": units_before.write,
            "Status": "UPDATING",
        }
    if request.SSESpecification is not None:
        description["SSEDescription"] = {
            **description.get("SSEDescription", before.encryption or {}),
            "Status": "UPDATING",
        }


def _change_billing(table: Table, request: wire.UpdateTableInput, context: Context) -> Table:
    mode = request.BillingMode or table.billing_mode
    wanted = request.ProvisionedThroughput
    if mode == "PAY_PER_REQUEST":
        if wanted is not None:
            raise throughput_on_demand_error()
        return _on_demand(table, request, context)
    for name, _ in on_demand_maxima_given(request.OnDemandThroughput):
        raise parameter_error(
            f"{name} for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"
        )
    if wanted is None:
        return table
    if table.billing_mode == mode:
        check_throughput_changes(table.throughput, wanted, "the table")
    else:
        check_index_throughput_given(table, request)
        table = _without_maxima(table)
    return replace(
        table, billing_mode="PROVISIONED", throughput=changed_throughput(table.throughput, wanted, context.now)
    )


def _on_demand(table: Table, request: wire.UpdateTableInput, context: Context) -> Table:
    maxima = on_demand_maxima(request.OnDemandThroughput, table.on_demand_maxima)
    if table.billing_mode == "PAY_PER_REQUEST":
        return replace(table, on_demand_maxima=maxima)
    return replace(
        table,
        billing_mode="PAY_PER_REQUEST",
        on_demand_since=context.now,
        on_demand_maxima=maxima,
        throughput=_no_units(table.throughput, context.now, decreases=0),
        # Only an index's switch counts as a decrease (DDB-TABLE-153).
        indexes=tuple(
            index
            if index.local
            else replace(index, throughput=_no_units(index.throughput, context.now, decreases=1))
            for index in table.indexes
        ),
    )


def _no_units(before: Throughput, now: float, *, decreases: int) -> Throughput:
    return Throughput(
        decreases_today=before.decreases_on(now) + decreases,
        last_increase=before.last_increase,
        last_decrease=now,
    )


def _without_maxima(table: Table) -> Table:
    """A table that leaves on-demand mode loses its maxima, and its indexes lose theirs (DDB-TABLE-153)."""
    indexes = tuple(replace(index, on_demand_maxima=None) for index in table.indexes)
    return replace(table, on_demand_maxima=None, indexes=indexes)


def _keep_warm(old: Table, new: Table) -> Table:
    """What a table or index could serve at once it can always serve (DDB-TABLE-061, -134)."""
    if old.throughput != new.throughput or old.billing_mode != new.billing_mode:
        new = replace(new, warm=_greatest(_warm(old, old), _warm(new, new)))
    before = {index.space: index for index in old.indexes}
    indexes = []
    for index in new.indexes:
        was = before.get(index.space)
        if was is not None and (was.throughput != index.throughput or old.billing_mode != new.billing_mode):
            index = replace(index, warm=_greatest(_warm(old, was), _warm(new, index)))
        indexes.append(index)
    return replace(new, indexes=tuple(indexes))


def _warm(table: Table, part: Table | Index) -> WarmUnits:
    return warm_units(table.billing_mode, part.throughput, part.warm)


def _greatest(one: WarmUnits, other: WarmUnits) -> WarmUnits:
    return WarmUnits(max(one.read, other.read), max(one.write, other.write))


def _change_stream(table: Table, request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> Table:
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


def _change_settings(table: Table, request: wire.UpdateTableInput, context: Context) -> Table:
    if request.WarmThroughput is not None and not is_empty(request.WarmThroughput):
        units = warm_units(table.billing_mode, table.throughput, table.warm)
        table = replace(table, warm=raised_warm_units(request.WarmThroughput, units, "table"))
    if request.DeletionProtectionEnabled is not None:
        table = replace(table, deletion_protection=request.DeletionProtectionEnabled)
    if request.TableClass is not None:
        table = replace(table, table_class=request.TableClass, table_class_changed_at=context.now)
    if request.SSESpecification is not None:
        table = replace(table, encryption=changed_encryption(request.SSESpecification, table.encryption, context))
    return table
