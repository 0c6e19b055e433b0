"""What a table's secondary indexes lack, and the requests that add, change or remove them.

Rules: a global index is added or removed by an UpdateTable of its own, one at a time (DynamoDB allows no more);
its key and projection are fixed, so another key means delete and build again; a local index is fixed when the
table is created. Removing an index can stop an application, so it needs permission. A plan removes before it
switches the billing mode, and switches before it adds, so that every index has the units that the mode of the
moment requires. Pure, like `aspects.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from blotter.tables.declaring.declaration import Index, ProvisionedThroughput, TableDeclaration
from blotter.tables.planning import desired
from blotter.tables.planning.aspects import (
    Gap,
    found_on_demand,
    found_units,
    found_warm,
    is_off,
    on_demand_parameters,
    plain,
    unit_parameters,
    wanted_on_demand,
    wanted_units,
    warm_enough,
)
from blotter.tables.planning.changes import Change
from blotter.tables.planning.observed import Observed

DELETE_FLAG = "--delete-indexes"
NEEDS_ON_DEMAND = 'the table is provisioned; declare billing_mode = "PAY_PER_REQUEST" to switch it'
_ONE_AT_A_TIME = "one index at a time; building it reads the whole table"


def local_changes(table: Observed, declared: TableDeclaration) -> list[Change]:
    """Local indexes that differ; they can only be refused."""
    wanted = {name: wanted_shape(index) for name, index in declared.indexes_of("local").items()}
    found = {name: shape(table, described) for name, described in table.indexes("local").items()}
    return [
        Change(
            what=f"index {name}",
            action="update",
            before=found.get(name),
            after=wanted.get(name),
            refused="a local index is fixed when its table is created; it needs a new table",
        )
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]


def index_removals(table: Observed, declared: TableDeclaration, *, may_delete: bool) -> list[Change]:
    """Global indexes that are not declared, or have another key or projection. Valid in either billing mode."""
    wanted = declared.indexes_of("global")
    changes = []
    for name, described in table.indexes("global").items():
        before, after = shape(table, described), wanted_shape(wanted[name]) if name in wanted else None
        if before != after:
            changes.append(_removal(Gap(table, declared, None, None), name, before, after, may_delete))
    return changes


def index_additions(table: Observed, declared: TableDeclaration) -> list[Change]:
    """Global indexes that are missing, built for the billing mode that the table has by then: the
    declared one, since a plan switches before it adds."""
    found = table.indexes("global")
    wanted = declared.indexes_of("global")
    return [_addition(table, declared, name, index) for name, index in wanted.items() if name not in found]


def index_throughput(table: Observed, declared: TableDeclaration) -> list[Change]:
    """Units, maxima and warm throughput of the global indexes that are there and stay."""
    found = table.indexes("global")
    changes = []
    for name, index in declared.indexes_of("global").items():
        if name in found:
            changes += _throughput(Gap(table, declared, None, None), name, index, found[name])
    return changes


def shape(table: Observed, described: dict[str, Any]) -> dict[str, Any]:
    """What of an index can never change: key and projection."""
    projection = described.get("Projection", {})
    kind = projection.get("ProjectionType", "ALL")
    return {
        "key": table.key(described.get("KeySchema", [])),
        "projection": sorted(projection.get("NonKeyAttributes", [])) if kind == "INCLUDE" else kind,
    }


def wanted_shape(index: Index) -> dict[str, Any]:
    partition, sort = index.keys()
    parts = [f"{key.name} ({key.type}) HASH" for key in partition] + [f"{k.name} ({k.type}) RANGE" for k in sort]
    projection = index.projection
    return {
        "key": ", ".join(parts),
        "projection": projection if isinstance(projection, str) else sorted(projection),
    }


def _removal(gap: Gap, name: str, before: Any, after: Any, may_delete: bool) -> Change:
    why = (
        f"it is not declared; declare it, or permit its removal with {DELETE_FLAG}"
        if after is None
        else f"its key and projection are fixed; permit removing and building it again with {DELETE_FLAG}"
    )
    return Change(
        what=f"index {name}",
        action="delete",
        before=before,
        after=after,
        requests=gap.update(GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}]),
        refused="" if may_delete else why,
        note=_ONE_AT_A_TIME if after else "",
    )


def _addition(table: Observed, declared: TableDeclaration, name: str, index: Index) -> Change:
    partition, sort = index.keys()
    types = _types_in_use(table) | {key.name: key.type for key in partition + sort}
    mode = declared.billing_mode or table.billing_mode()
    # With no billing mode declared no units can be either: a provisioned table then gives the index its own.
    units = _units_of(table) if mode == "PROVISIONED" else None
    requests = Gap(table, declared, None, None).update(
        AttributeDefinitions=desired.attribute_definitions(dict(sorted(types.items()))),
        GlobalSecondaryIndexUpdates=[{"Create": desired.global_index(name, index, units)}],
    )
    refused = "" if mode == "PAY_PER_REQUEST" or not index.on_demand_throughput else NEEDS_ON_DEMAND
    return Change(
        what=f"index {name}",
        action="create",
        after=wanted_shape(index),
        requests=requests,
        refused=refused,
        note=_ONE_AT_A_TIME,
    )


def _units_of(table: Observed) -> ProvisionedThroughput:
    units = found_units(table.table)
    return ProvisionedThroughput(**{side: max(value, 1) for side, value in units.items()})


def _types_in_use(table: Observed) -> dict[str, str]:
    """The key attributes of the table and its indexes; an endpoint may still have those of a deleted index."""
    schemas = [table.table.get("KeySchema", [])]
    schemas += [index["KeySchema"] for kind in ("local", "global") for index in table.indexes(kind).values()]
    used = {part["AttributeName"] for schema in schemas for part in schema}
    return {name: kind for name, kind in table.attribute_types().items() if name in used}


def _throughput(gap: Gap, name: str, index: Index, described: dict[str, Any]) -> list[Change]:
    """Units only when the table is provisioned, maxima only when it is on demand: else the switch comes first."""
    changes = []
    mode = gap.table.billing_mode()
    units, found = wanted_units(index), found_units(described)
    if mode == "PROVISIONED" and units and any(found[key] != value for key, value in units.items()):
        changes.append(
            _index_update(gap, name, "provisioned_throughput", found, units, unit_parameters(found, units))
        )
    maxima, bounds = wanted_on_demand(index), found_on_demand(described)
    if maxima and any(bounds[key] != value for key, value in maxima.items()):
        change = _index_update(gap, name, "on_demand_throughput", bounds, maxima, on_demand_parameters(maxima))
        if mode == "PAY_PER_REQUEST":
            changes.append(change)
        elif gap.declared.billing_mode is None and not is_off(maxima):
            changes.append(msgspec.structs.replace(change, requests=[], refused=NEEDS_ON_DEMAND))
    warm, present = plain(index.warm_throughput), found_warm(described)
    if warm and not warm_enough(present, warm):
        parameters = desired.warm(index.warm_throughput)
        changes.append(_index_update(gap, name, "warm_throughput", present, warm, parameters))
    return changes


_PARAMETERS = {
    "provisioned_throughput": "ProvisionedThroughput",
    "on_demand_throughput": "OnDemandThroughput",
    "warm_throughput": "WarmThroughput",
}


def _index_update(gap: Gap, name: str, field: str, before: Any, after: Any, parameters: Any) -> Change:
    update = {"Update": {"IndexName": name, _PARAMETERS[field]: parameters}}
    return Change(
        what=f"index {name} {field}",
        action="update",
        before=before,
        after=after,
        requests=gap.update(GlobalSecondaryIndexUpdates=[update]),
    )
