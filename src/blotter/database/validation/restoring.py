"""Whether the overrides of a restore fit its source: billing, units, maxima, indexes, encryption, in this order.

Messages as recorded from AWS in the ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-273, -280, -281,
-442; 2026-10). The order between them was not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.table import Index, Table
from blotter.database.validation.tables import (
    check_encryption,
    check_new_name,
    check_units,
    on_demand_maxima_given,
)
from blotter.database.wire.requests import (
    GlobalSecondaryIndex,
    KeySchemaElement,
    LocalSecondaryIndex,
    OnDemandThroughput,
    Projection,
    ProvisionedThroughput,
    SSESpecification,
    VectorIndex,
)

_PREFIX = "Invalid Request: "


class Overrides(Protocol):
    """The members that the requests for restores share."""

    # ruff: noqa: N802
    @property
    def BillingModeOverride(self) -> Literal["PROVISIONED", "PAY_PER_REQUEST"] | None: ...
    @property
    def GlobalSecondaryIndexOverride(self) -> Sequence[GlobalSecondaryIndex] | None: ...
    @property
    def LocalSecondaryIndexOverride(self) -> Sequence[LocalSecondaryIndex] | None: ...
    @property
    def VectorIndexOverride(self) -> Sequence[VectorIndex] | None: ...
    @property
    def ProvisionedThroughputOverride(self) -> ProvisionedThroughput | None: ...
    @property
    def OnDemandThroughputOverride(self) -> OnDemandThroughput | None: ...
    @property
    def SSESpecificationOverride(self) -> SSESpecification | None: ...


def check_overrides(request: Overrides, source: Table) -> None:
    """Raises ValidationException for what does not fit the source, a table without indexes under deletion."""
    on_demand = (request.BillingModeOverride or source.billing_mode) == "PAY_PER_REQUEST"
    _check_units(request, on_demand)
    _check_maxima(request, on_demand)
    for local in request.LocalSecondaryIndexOverride or ():
        _check_match(local, [each for each in source.indexes if each.local])
    for index in request.GlobalSecondaryIndexOverride or ():
        _check_match(index, [each for each in source.indexes if each.is_global])
        _check_index_units(index.IndexName, index.ProvisionedThroughput, on_demand)
    if request.GlobalSecondaryIndexOverride is None and not on_demand:
        for kept in source.indexes:
            if kept.is_global and not kept.throughput.read:  # of a source that was on demand
                raise _refused(f"Must specify provisioned throughput for index {kept.name}")
    for vector_index in request.VectorIndexOverride or ():
        _check_vector_match(vector_index, source.vector_indexes)
    _check_names(request, source)
    restored = source.vector_indexes if request.VectorIndexOverride is None else request.VectorIndexOverride
    if restored and not on_demand:
        raise _refused("Vector indexes can only be restored to a table with BillingMode PAY_PER_REQUEST")
    check_encryption(request.SSESpecificationOverride)


def _check_names(request: Overrides, source: Table) -> None:
    """What the restored table's indexes are called, with those that are not overridden."""
    names: set[str] = set()
    for given, kept in (
        (request.LocalSecondaryIndexOverride, [each.name for each in source.indexes if each.local]),
        (request.GlobalSecondaryIndexOverride, [each.name for each in source.indexes if each.is_global]),
        (request.VectorIndexOverride, [each.name for each in source.vector_indexes]),
    ):
        for name in kept if given is None else [index.IndexName for index in given]:
            check_new_name(name, names)


def _check_units(request: Overrides, on_demand: bool) -> None:
    throughput = request.ProvisionedThroughputOverride
    if throughput is None:
        if request.BillingModeOverride == "PROVISIONED":
            raise _refused("Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED")
        return
    if request.BillingModeOverride == "PAY_PER_REQUEST":
        raise _refused("Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST")
    if on_demand:
        raise _refused("Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED")
    check_units(throughput)


def _check_maxima(request: Overrides, on_demand: bool) -> None:
    for name, units in on_demand_maxima_given(request.OnDemandThroughputOverride):
        if not on_demand:
            raise _refused(
                f"Cannot override {name} for OnDemandThroughput unless BillingModeOverride is PAY_PER_REQUEST"
            )
        if units < 1:
            raise _refused(f"Requested {name} for OnDemandThroughput is outside of valid range")


def _check_match(index: LocalSecondaryIndex | GlobalSecondaryIndex, sources: Sequence[Index]) -> None:
    """An index may have another name, but not other keys or another projection (DDB-TABLE-280)."""
    if not any(
        _has_keys(source, index.KeySchema) and _has_projection(source, index.Projection) for source in sources
    ):
        raise _no_match(index.IndexName)


def _check_index_units(name: str, throughput: ProvisionedThroughput | None, on_demand: bool) -> None:
    if throughput is None and not on_demand:
        raise _refused(f"Must specify provisioned throughput for index {name}")
    if throughput is not None and on_demand:
        raise _refused(
            "Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST for index "
            f"{name}"
        )
    check_units(throughput)


def _check_vector_match(index: VectorIndex, sources: Sequence[Index]) -> None:
    for source in sources:
        vector = source.vector
        if (
            vector is not None
            and (vector.attribute, vector.dimensions, vector.distance)
            == (index.VectorAttribute.AttributeName, index.Dimensions, index.DistanceFunction)
            and [(element.attribute.name, element.role) for element in vector.schema]
            == [(element.AttributeName, element.SearchSchemaElementType) for element in index.SearchSchema or ()]
            and _has_projection(source, index.Projection)
        ):
            return
    raise _no_match(index.IndexName)


def _has_keys(source: Index, keys: Sequence[KeySchemaElement]) -> bool:
    wanted = [(key.AttributeName, key.KeyType) for key in keys]
    return wanted == [(attribute.name, "HASH") for attribute in source.keys.partition] + [
        (attribute.name, "RANGE") for attribute in source.keys.sort
    ]


def _has_projection(source: Index, projection: Projection) -> bool:
    return (projection.ProjectionType or "ALL") == source.projection and set(
        projection.NonKeyAttributes or ()
    ) == set(source.included)


def _no_match(name: str) -> DynamoDBError:
    return _refused(
        f"Index {name} does not match a secondary index that existed in the source table and cannot be created "
        "during the restore operation"
    )


def _refused(message: str) -> DynamoDBError:
    return validation_error(_PREFIX + message)
