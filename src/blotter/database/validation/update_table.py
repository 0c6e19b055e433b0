"""What UpdateTable can be refused for before the table is known: a request that changes nothing, that changes
things together which go only one by one, or whose index updates contradict themselves.

Encryption, table class and deletion protection are each the only change of a request, in this precedence; maxima
of an on-demand table go only with the billing mode; streams, indexes and provisioned units exclude each other.
An empty structure of maxima or warm throughput counts as absent, an empty list of index updates only where
nothing else is given. Order and messages as recorded from AWS in the ACK project's notes on DynamoDB
(ack-api-quirks, DDB-TABLE-015, -160, -174, -359, -382, -433, -456; 2026-10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import parameter_error, validation_error
from blotter.database.validation.tables import (
    check_encryption,
    check_global_index,
    check_on_demand_range,
    check_projection,
    check_stream_specification,
    check_unique_definitions,
    check_units,
    throughput_on_demand_error,
)
from blotter.database.validation.vector_indexes import check_vector_index_updates
from blotter.database.wire.requests import (
    GlobalSecondaryIndexUpdate,
    OnDemandThroughput,
    UpdateTableInput,
    WarmThroughput,
)

# The members that name the table, and its new keys, change nothing alone.
_NO_CHANGE = ("TableName", "AttributeDefinitions")

# Changes that go with no other, by precedence, and how the message calls them.
_ALONE = (
    ("SSESpecification", "Server-Side Encryption modification"),
    ("TableClass", "TableClass modification"),
    ("DeletionProtectionEnabled", "DeletionProtection modification"),
)


def check_update_table(request: UpdateTableInput) -> None:
    changes = _changes(request)
    if not changes:
        raise validation_error(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "
            "GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, "
            "ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, "
            "WarmThroughput or TableClass is required"
        )
    updates = request.GlobalSecondaryIndexUpdates
    if updates is not None and not updates:
        raise parameter_error("List of GlobalSecondaryIndexUpdates is empty")
    for index_update in updates or ():
        _check_warm_throughput(index_update)
    _check_together(request, changes)
    if request.BillingMode == "PROVISIONED" and request.ProvisionedThroughput is None:
        raise parameter_error("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    if request.BillingMode == "PAY_PER_REQUEST" and request.ProvisionedThroughput is not None:
        raise throughput_on_demand_error()
    check_units(request.ProvisionedThroughput)
    check_on_demand_range(request.OnDemandThroughput, "table", creating=False)
    if updates is not None:
        _check_index_updates(request, updates)
    if request.VectorIndexUpdates is not None:
        check_unique_definitions(request.AttributeDefinitions or ())
        check_vector_index_updates(request.VectorIndexUpdates, request.AttributeDefinitions or ())
        for update in request.VectorIndexUpdates:
            if update.Create is not None:
                check_projection(update.Create.Projection)
    check_stream_specification(request.StreamSpecification, creating=False)
    check_encryption(request.SSESpecification)


def is_empty(throughput: OnDemandThroughput | WarmThroughput | None) -> bool:
    """Whether a structure is missing or names no units, which means the same."""
    return throughput is None or all(getattr(throughput, name) is None for name in throughput.__struct_fields__)


def _changes(request: UpdateTableInput) -> set[str]:
    """The members of the request that change something."""
    changes = set()
    for name in request.__struct_fields__:
        value = getattr(request, name)
        empty = is_empty(value) if name in ("OnDemandThroughput", "WarmThroughput") else value in (None, [])
        if not empty and name not in _NO_CHANGE:
            changes.add(name)
    return changes


def _check_together(request: UpdateTableInput, changes: set[str]) -> None:
    for name, called in _ALONE:
        if name in changes and len(changes) > 1:
            raise parameter_error(f"{called} must be the only operation in the request")
    if "OnDemandThroughput" in changes and changes - {"OnDemandThroughput", "BillingMode"}:
        raise parameter_error("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request")
    updates = [*(request.GlobalSecondaryIndexUpdates or ()), *(request.VectorIndexUpdates or ())]
    if "WarmThroughput" in changes and len(changes) > 1:
        if any(update.Create is not None for update in request.GlobalSecondaryIndexUpdates or ()):
            raise parameter_error("Create global secondary index cannot be specified when updating WarmThroughput")
        raise parameter_error("WarmThroughput must be the only operation in the request")
    stream = "StreamSpecification" in changes
    units = "ProvisionedThroughput" in changes
    if stream and (units or request.BillingMode == "PROVISIONED"):
        raise parameter_error("You cannot modify stream status while updating table IOPS")
    if any(update.Create is not None or update.Delete is not None for update in updates):
        if units:
            raise parameter_error("You cannot create or delete index while updating table IOPS")
        if stream:
            raise parameter_error("You cannot create or delete index while changing stream status")


def _check_warm_throughput(update: GlobalSecondaryIndexUpdate) -> None:
    """This is looked at before anything else in the request (ack-api-quirks, DDB-TABLE-457)."""
    change = update.Update
    if change is not None and change.WarmThroughput is not None and is_empty(change.WarmThroughput):
        raise parameter_error(
            "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for "
            f"index: {change.IndexName}"
        )


def _check_index_updates(request: UpdateTableInput, updates: list[GlobalSecondaryIndexUpdate]) -> None:
    check_unique_definitions(request.AttributeDefinitions or ())
    names: set[str] = set()
    for update in updates:
        actions = [action for action in (update.Update, update.Create, update.Delete) if action is not None]
        if not actions:
            raise parameter_error(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        if len(actions) > 1:
            raise parameter_error(
                "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
            )
        name = actions[0].IndexName
        if name in names:
            raise parameter_error(
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
        names.add(name)
        _check_index_update(request, update)


def _check_index_update(request: UpdateTableInput, update: GlobalSecondaryIndexUpdate) -> None:
    change, create = update.Update, update.Create
    if change is not None:
        check_units(change.ProvisionedThroughput)
        check_on_demand_range(change.OnDemandThroughput, f"index : {change.IndexName}", creating=False)
    if create is not None:
        if request.AttributeDefinitions is None:
            raise parameter_error(f"AttributeDefinitions is not specified for index: {create.IndexName}")
        check_global_index(create)
        check_units(create.ProvisionedThroughput)
        check_on_demand_range(create.OnDemandThroughput, f"index : {create.IndexName}", creating=True)


CHECKS: dict[str, Callable[[Any], None]] = {"UpdateTable": check_update_table}
