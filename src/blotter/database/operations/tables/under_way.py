"""What UpdateTable and DeleteTable may begin while another change of the table is under way.

Admission goes by what is under way and what is requested, not by the table's status: deletion protection and warm
throughput go beside everything, encryption beside everything but itself, and an index whose resources are being
allocated or that is being deleted excludes changes of units and of the stream. As recorded from AWS in the ACK
project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-002, -063, -065, -069, -119, -120, -150, -163, -165, -286,
-175, -369, -370, -375, -376, -444, -452, -458, -462; 2026-10); a pair that was not recorded there gets the general
message.
"""

from __future__ import annotations

from typing import Final, Literal

from blotter.database.model.errors import DynamoDBError, parameter_error, resource_in_use
from blotter.database.model.table import Index, Table, TableStatus, is_over
from blotter.database.operations.context import Context
from blotter.database.operations.tables.description import index_status
from blotter.database.operations.tables.request import encryption
from blotter.database.validation.tables import on_demand_maxima_given
from blotter.database.wire import requests as wire

_OF_INDEXES: Final = ("indexes", "index units")
_Wanted = Literal["units", "stream", "table class", "maxima", "indexes", "index units"]

_STATES = {
    TableStatus.CREATING: "Table is being created",
    TableStatus.UPDATING: "Table is being updated",
    TableStatus.DELETING: "Table is being deleted",
}
_UNITS = "Table IOPS are currently being updated. Table: {table}"
_STREAM_BESIDE_UNITS = "Can't enable or disable stream while table IOPS are being updated. Table: {table}"
_INDEXES_BESIDE_UNITS = "Can't create or delete indexes while table IOPS are being updated. Table: {table}"
_CLASS = "TableClassUpdateInProgress: {table_class}"
_STREAM = "Table: {table} Stream: {stream} Operation: {operation}"

# (what is under way, what is requested) → the message.
_REFUSED: dict[tuple[str | None, _Wanted | None], str] = {
    ("throughput", "units"): _UNITS,
    ("billing mode", "units"): _UNITS,
    ("throughput", "stream"): _STREAM_BESIDE_UNITS,
    ("billing mode", "stream"): _STREAM_BESIDE_UNITS,
    ("billing mode", "maxima"): "OnDemandThroughput cannot be updated while BillingMode update is in progress",
    ("throughput", "indexes"): _INDEXES_BESIDE_UNITS,
    ("billing mode", "indexes"): _INDEXES_BESIDE_UNITS,
    ("stream", "stream"): "A stream status change is currently in progress. " + _STREAM,
    ("stream", "units"): "Can't change table IOPS when stream status is being updated. " + _STREAM,
    ("stream", "table class"): "Can't update table class when stream status is being updated. " + _STREAM,
    ("stream", "indexes"): "Can't create or delete an index when stream status is being updated. " + _STREAM,
    ("stream", "maxima"): "OnDemandThroughput cannot be updated while stream status update is in progress",
    ("table class", "table class"): (
        "Can't update table class when a table class update is in progress. Table: {table} " + _CLASS
    ),
    ("table class", "stream"): (
        "Can't change stream status when a table class update is in progress. Table: {table} " + _CLASS
    ),
    ("table class", "indexes"): (
        "Can't create or delete an index when a table class update is in progress. Table: {table} " + _CLASS
    ),
    ("table class", "maxima"): "OnDemandThroughput cannot be updated while TableClass update is in progress. "
    + _CLASS,
}


def check_may_begin(table: Table, request: wire.UpdateTableInput, context: Context) -> None:
    """Raises ResourceInUseException for an UpdateTable that what is under way excludes."""
    status = table.status_at(context.now)
    if status in (TableStatus.CREATING, TableStatus.DELETING):
        check_settled(table, context)
    _refuse_early_deletion(table, request, context)
    _check_encryption(table, request, context)
    wanted = _wanted(request)
    if wanted is None or is_reversal(table, request, context):
        return
    if _changes_no_mode(table, request) and any(index.deleting for index in table.indexes):
        return
    if wanted in ("units", "stream", "maxima"):
        _check_indexes(table, wanted, context)
    if status is not TableStatus.UPDATING or (wanted in _OF_INDEXES and table.changing == "indexes"):
        return
    if (table.changing, table.billing_mode, wanted) == ("billing mode", "PAY_PER_REQUEST", "maxima"):
        for name, _ in on_demand_maxima_given(request.OnDemandThroughput):  # it is not on demand yet
            raise parameter_error(
                f"{name} for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"
            )
    message = _REFUSED.get((table.changing, wanted))
    if message is None:
        check_settled(table, context)
    else:
        raise still_in_use(message.format(**_named(table)))


def _named(table: Table) -> dict[str, str | None]:
    """What a message names."""
    stream = table.stream
    return {
        "table": table.name,
        "table_class": table.table_class,
        "stream": None if stream is None else stream.label,
        "operation": "ENABLE" if stream is not None and stream.enabled else "DISABLE",
    }


def _changes_no_mode(table: Table, request: wire.UpdateTableInput) -> bool:
    """Whether only the mode is requested that the table has: accepted while an index is deleted (-375)."""
    same = request.BillingMode == table.billing_mode == "PAY_PER_REQUEST"
    return same and request.StreamSpecification is None and request.OnDemandThroughput is None


def is_reversal(table: Table, request: wire.UpdateTableInput, context: Context) -> bool:
    """Whether this is a switch back to on-demand mode while the table is still leaving it: AWS accepts and drops
    it (DDB-TABLE-452)."""
    leaving = table.changing == "billing mode" and table.billing_mode == "PROVISIONED"
    return leaving and request.BillingMode == "PAY_PER_REQUEST" and not is_over(table.updating_until, context.now)


def check_may_delete(table: Table, context: Context) -> None:
    """Raises ResourceInUseException for a DeleteTable that what is under way excludes."""
    now = context.now
    status = table.status_at(now)
    if status in (TableStatus.ACTIVE, TableStatus.UPDATING):
        if any(not index.local and index_status(index, now) != "ACTIVE" for index in table.indexes):
            raise still_in_use("Cannot delete table while indexes are being created, updated, or deleted.")
        if status is TableStatus.UPDATING and table.changing == "stream":
            raise still_in_use("Cannot delete table while stream is being enabled/disabled.")
        others = (table.encryption_until, table.warm_until)
        if status is TableStatus.UPDATING or not all(is_over(moment, now) for moment in others):
            raise still_in_use(f"Table: {table.name} is in the process of being updated.")
    check_settled(table, context)


def check_settled(table: Table, context: Context) -> None:
    """Raises ResourceInUseException for a change of a table that is still changing."""
    status = table.status_at(context.now)
    if status in _STATES:
        raise in_use_error(status, table.name)


def in_use_error(status: TableStatus, name: str) -> DynamoDBError:
    return still_in_use(f"{_STATES[status]}: {name}")


def still_in_use(what: str) -> DynamoDBError:
    return resource_in_use(f"Attempt to change a resource which is still in use: {what}")


def _wanted(request: wire.UpdateTableInput) -> _Wanted | None:
    """What is requested, as far as other changes exclude it."""
    if request.StreamSpecification is not None:
        return "stream"
    if request.ProvisionedThroughput is not None or request.BillingMode is not None:
        return "units"
    if request.TableClass is not None:
        return "table class"
    if request.OnDemandThroughput is not None:
        return "maxima"
    updates = (*(request.GlobalSecondaryIndexUpdates or ()), *(request.VectorIndexUpdates or ()))
    if any(update.Create is not None or update.Delete is not None for update in updates):
        return "indexes"
    return "index units" if updates else None


def _check_encryption(table: Table, request: wire.UpdateTableInput, context: Context) -> None:
    if request.SSESpecification is None or is_over(table.encryption_until, context.now):
        return
    if encryption(request.SSESpecification, context) != table.encryption:  # the same again is accepted
        raise still_in_use("Server-Side Encryption is still being updated")


def _check_indexes(table: Table, wanted: _Wanted, context: Context) -> None:
    """Units, maxima and the stream stay as they are while an index is deleted or gets its resources."""
    deleting = [index.name for index in table.indexes if index.deleting]
    created = [index.name for index in table.indexes if _is_allocated(index, context.now)]
    if wanted == "maxima":
        for names, state in ((created, "creation"), (deleting, "deletion")):
            if names:
                raise still_in_use(
                    f"OnDemandThroughput cannot be updated while index {state} is in progress for indexes: "
                    f"[{', '.join(names)}]"
                )
        return
    what = "table IOPS" if wanted == "units" else "stream status"
    for names, state in ((created, "created"), (deleting, "deleted")):
        if names:
            raise still_in_use(
                f"Can't change {what} when an index is being {state}. "
                f"Table: {table.name} Indexes: [{', '.join(names)}]"
            )


def _is_allocated(index: Index, now: float) -> bool:
    """Whether the index is new and its resources are still being allocated."""
    return index.backfilling and not index.deleting and not is_over(index.active_at, now)


def _refuse_early_deletion(table: Table, request: wire.UpdateTableInput, context: Context) -> None:
    """Raises ResourceInUseException for a change of an index that is not there yet, or not any more."""
    for update in (*(request.GlobalSecondaryIndexUpdates or ()), *(request.VectorIndexUpdates or ())):
        changed = update.Update if isinstance(update, wire.GlobalSecondaryIndexUpdate) else None
        action = changed or update.Create or update.Delete
        index = None if action is None else table.index(action.IndexName)
        if index is None:
            continue
        where = f"Table: {table.name} Index: {index.name}"
        if index.deleting:
            raise still_in_use(f"Index is being deleted. {where}")
        if _is_allocated(index, context.now) and update.Delete is not None:
            raise still_in_use(
                "Index creation is in resource allocation phase. Retry deletion during backfilling phase or when "
                f"the index is active. {where}"
            )
        if _is_allocated(index, context.now) and changed is not None:
            # Two spaces, as in the service's (-444).
            raise still_in_use(f"Index is being created but is not backfilling yet.  {where}")
