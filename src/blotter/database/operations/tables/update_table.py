"""UpdateTable: what may change in the life of a table, and what is refused because nothing would.

One call changes the billing mode and throughput, the stream, indexes (`update_indexes`), or one other setting;
what goes together was checked before (`validation.update_table`), what is admitted while something else is under
way is checked by `under_way`. Billing, throughput, table class, stream and new or deleted indexes put the table
into UPDATING; a change of an index's units shows as the index's UPDATING, encryption and warm throughput show
their own; the rest is done at once. Until a change is complete, the table shows what it had before.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html; order, messages and
responses as recorded in the ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-050, -055, -057, -059 to
-061, -064, -065, -140, -153, -155, -165, -177 to -180, -284, -410, -452, -462; 2026-10) and in dynalite's tests
(updateTable)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from blotter.database.model.errors import parameter_error, validation_error
from blotter.database.model.table import (
    Before,
    CountedSetting,
    Index,
    Table,
    TableChange,
    Throughput,
    WarmUnits,
    is_over,
)
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, get_table
from blotter.database.operations.streams.registry import disable_stream, enable_stream
from blotter.database.operations.tables import quotas
from blotter.database.operations.tables.catalog import save_table
from blotter.database.operations.tables.description import (
    describe_table,
    index_warm_units_at,
    warm_units,
    warm_units_at,
)
from blotter.database.operations.tables.request import (
    changed_encryption,
    on_demand_maxima,
    raised_warm_units,
    refuse_unimplemented,
)
from blotter.database.operations.tables.under_way import check_may_begin, is_reversal
from blotter.database.operations.tables.update_indexes import (
    change_indexes,
    changed_throughput,
    check_index_throughput_given,
    check_throughput_changes,
)
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.tables import on_demand_maxima_given, throughput_on_demand_error
from blotter.database.validation.update_table import is_empty
from blotter.database.wire import requests as wire


def update_table(request: wire.UpdateTableInput, tx: WriteTransaction, context: Context) -> bytes:
    refuse_unimplemented(request, "UpdateTable")
    table = get_table(tx, context, request.TableName)
    check_may_begin(table, request, context)
    if is_reversal(table, request, context):
        return _dropped(table, tx, context)
    counted = _counted(table, request)
    quotas.check_settings(table, counted, context)
    new = _change_billing(table, request, context)
    new = change_indexes(new, request, tx, context)
    new = _change_stream(new, request, tx, context)
    new = _change_settings(new, request, context)
    new = _keep_warm(table, new)
    quotas.check_change(tx, table, new, context)
    new = quotas.counted(new, counted, context)
    save_table(tx, _begun(table, new, request, context, context.settled_at))
    shown = _begun(table, new, request, context, max(context.settled_at, context.now + 1))
    if request.BillingMode is not None or request.TableClass is not None:
        # The response shows UPDATING even if nothing is different (-410).
        shown = replace(shown, updating_until=context.now + 1)
    description = describe_table(tx, shown, context.now)
    _show_requested(description, request, table, new, context.now)
    return answer((b"TableDescription", encoded(description)))


def _counted(table: Table, request: wire.UpdateTableInput) -> list[CountedSetting]:
    """The settings of which AWS limits how often they may be changed."""
    given: list[tuple[CountedSetting, bool]] = [
        ("billing mode", request.BillingMode == "PAY_PER_REQUEST" and table.billing_mode == "PROVISIONED"),
        ("encryption", request.SSESpecification is not None),
        ("table class", request.TableClass is not None),
    ]
    return [setting for setting, is_given in given if is_given]


def _dropped(table: Table, tx: WriteTransaction, context: Context) -> bytes:
    """The response to a switch back to on-demand mode while the table is still leaving it: it shows the mode that
    was requested, and nothing is done (DDB-TABLE-452)."""
    shown = replace(table, billing_mode="PAY_PER_REQUEST", throughput=Throughput(), before=None)
    description = describe_table(tx, replace(shown, on_demand_since=None), context.now)
    return answer((b"TableDescription", encoded(description)))


def _begun(old: Table, new: Table, request: wire.UpdateTableInput, context: Context, ends_at: float) -> Table:
    """The changed table with the states that its changes begin, which end at a time."""
    now = context.now
    before = {index.space: index for index in old.indexes}
    same_mode = old.billing_mode == new.billing_mode
    indexes = tuple(_begun_index(before.get(index.space), index, ends_at, same_mode) for index in new.indexes)
    warmed = _warmed_indexes(request)
    indexes = tuple(
        _begun_warming(old, before[index.space], index, now, ends_at)
        if index.space in before and index.name in warmed
        else index
        for index in indexes
    )
    if is_over(old.updating_until, now):
        new = replace(new, changing=None, before=None)
    change = _settling_change(old, new)
    if change is not None:
        new = replace(new, updating_until=ends_at, changing=change, before=_before(old, new, now))
    if request.WarmThroughput is not None:
        new = replace(new, warm_until=ends_at, warm_before=warm_units_at(old, now))
    if request.SSESpecification is not None:
        new = replace(new, encryption_until=ends_at, encryption_before=old.encryption)
    return replace(new, indexes=indexes)


def _settling_change(old: Table, new: Table) -> TableChange | None:
    """The change that puts the table into UPDATING."""
    if new.billing_mode != old.billing_mode:
        return "billing mode"
    if new.throughput != old.throughput:
        return "throughput"
    if new.table_class != old.table_class:
        return "table class"
    if new.stream != old.stream:
        return "stream"
    spaces = [[(index.space, index.deleting) for index in table.indexes] for table in (old, new)]
    return "indexes" if spaces[0] != spaces[1] else None


def _before(old: Table, new: Table, now: float) -> Before:
    """What the table shows until its change is complete; units of a new billing mode show at once."""
    return Before(
        throughput=old.throughput if old.billing_mode == new.billing_mode else new.throughput,
        warm=warm_units_at(old, now),
        table_class=old.table_class,
        table_class_changed_at=old.table_class_changed_at,
        on_demand_since=old.on_demand_since,
    )


def _begun_index(before: Index | None, index: Index, ends_at: float, same_mode: bool) -> Index:
    if before is None or index.deleting != before.deleting:
        return replace(index, active_at=ends_at)
    if (index.throughput, index.on_demand_maxima) != (before.throughput, before.on_demand_maxima):
        shown = before.throughput if same_mode else None
        return replace(index, updating_until=ends_at, throughput_before=shown)
    return index


def _warmed_indexes(request: wire.UpdateTableInput) -> set[str]:
    updates = [update.Update for update in request.GlobalSecondaryIndexUpdates or () if update.Update is not None]
    return {update.IndexName for update in updates if update.WarmThroughput is not None}


def _begun_warming(table: Table, before: Index, index: Index, now: float, ends_at: float) -> Index:
    """The index stays ACTIVE meanwhile; what it already has is there at once (DDB-TABLE-155)."""
    had = index_warm_units_at(table, before, now)
    if index.warm == had and is_over(before.warm_until, now):
        return index
    return replace(index, warm_until=ends_at, warm_before=had)


def _show_requested(
    description: dict[str, Any], request: wire.UpdateTableInput, old: Table, new: Table, now: float
) -> None:
    """What only the response shows: maxima that were taken away, as -1; when units were changed; no time of the
    switch to on-demand mode; a change of encryption as if nothing else were under way (DDB-TABLE-462)."""
    if request.SSESpecification is not None:
        description["TableStatus"] = "ACTIVE"
    for name, units in on_demand_maxima_given(request.OnDemandThroughput):
        description.setdefault("OnDemandThroughput", {})[name] = units
    units = description["ProvisionedThroughput"]
    if new.throughput.last_increase != old.throughput.last_increase:
        units["LastIncreaseDateTime"] = round(new.throughput.last_increase or 0.0, 3)
    if new.throughput.last_decrease != old.throughput.last_decrease:
        units["LastDecreaseDateTime"] = round(new.throughput.last_decrease or 0.0, 3)
    if new.billing_mode != old.billing_mode:
        if new.billing_mode == "PAY_PER_REQUEST":
            units["LastDecreaseDateTime"] = round(now, 3)
        for name in ("BillingModeSummary", "TableThroughputModeSummary"):
            description[name].pop("LastUpdateToPayPerRequestDateTime", None)


def _change_billing(table: Table, request: wire.UpdateTableInput, context: Context) -> Table:
    mode = request.BillingMode or table.billing_mode
    if mode == "PROVISIONED" and table.vector_indexes:
        raise parameter_error("Tables with vector indexes must be in PAY_PER_REQUEST mode")
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
    units = changed_throughput(table.throughput, wanted, context.now)
    if table.billing_mode != mode:  # a switch is neither an increase nor a decrease
        last = table.throughput
        units = replace(
            units,
            decreases_today=last.decreases_today,
            last_increase=last.last_increase,
            last_decrease=last.last_decrease,
        )
    return replace(table, billing_mode="PROVISIONED", throughput=units)


def _on_demand(table: Table, request: wire.UpdateTableInput, context: Context) -> Table:
    maxima = on_demand_maxima(request.OnDemandThroughput, table.on_demand_maxima)
    if table.billing_mode == "PAY_PER_REQUEST":
        return replace(table, on_demand_maxima=maxima)
    return replace(
        table,
        billing_mode="PAY_PER_REQUEST",
        on_demand_since=max(context.now, context.settled_at),
        on_demand_maxima=maxima,
        throughput=replace(table.throughput, read=0, write=0),
        # Only an index's switch counts as a decrease (DDB-TABLE-153).
        indexes=tuple(
            index if index.local else replace(index, throughput=_decreased_to_none(index.throughput, context.now))
            for index in table.indexes
        ),
    )


def _decreased_to_none(before: Throughput, now: float) -> Throughput:
    return Throughput(
        decreases_today=before.decreases_on(now) + 1, last_increase=before.last_increase, last_decrease=now
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
    if request.TableClass not in (None, table.table_class or "STANDARD"):
        changed_at = max(context.now, context.settled_at)
        table = replace(table, table_class=request.TableClass, table_class_changed_at=changed_at)
    if request.SSESpecification is not None:
        table = replace(table, encryption=changed_encryption(request.SSESpecification, table.encryption, context))
    return table
