"""What a table's secondary indexes lack, and the requests that add, change or remove them.

Rules: a global index is added or removed by an UpdateTable of its own, one at a time (DynamoDB allows no more);
its key and projection are fixed, so another key means delete and build again; a local index is fixed when the
table is created. Removing an index can stop an application, so it needs permission. Pure, like `aspects.py`.
"""

from __future__ import annotations

from typing import Any

from blotter.tables import desired
from blotter.tables.aspects import (
    Gap,
    found_on_demand,
    found_units,
    found_warm,
    plain,
    unit_parameters,
    wanted_units,
    warm_enough,
)
from blotter.tables.changes import Change
from blotter.tables.declaration import Index, TableDeclaration
from blotter.tables.observed import Observed

DELETE_FLAG = "--delete-indexes"
_ONE_AT_A_TIME = "one index at a time; building it reads the whole table"


def index_changes(table: Observed, declared: TableDeclaration, *, may_delete: bool) -> list[Change]:
    """Local indexes first (they can only be refused), then removals, then additions, then throughput."""
    gap = Gap(table, declared, None, None)
    wanted, found = declared.indexes_of("global"), table.indexes("global")
    changes = _local(table, declared)
    for name, described in found.items():
        if name not in wanted:
            changes.append(_removal(gap, name, shape(table, described), None, may_delete))
        elif shape(table, described) != wanted_shape(wanted[name]):
            changes.append(_removal(gap, name, shape(table, described), wanted_shape(wanted[name]), may_delete))
    changes += [_addition(gap, name, index) for name, index in wanted.items() if name not in found]
    for name, index in wanted.items():
        if name in found:
            changes += _throughput(gap, name, index, found[name])
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


def _local(table: Observed, declared: TableDeclaration) -> list[Change]:
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


def _addition(gap: Gap, name: str, index: Index) -> Change:
    partition, sort = index.keys()
    types = gap.table.attribute_types() | {key.name: key.type for key in partition + sort}
    requests = gap.update(
        AttributeDefinitions=desired.attribute_definitions(types),
        GlobalSecondaryIndexUpdates=[{"Create": desired.global_index(name, index)}],
    )
    return Change(
        what=f"index {name}", action="create", after=wanted_shape(index), requests=requests, note=_ONE_AT_A_TIME
    )


def _throughput(gap: Gap, name: str, index: Index, described: dict[str, Any]) -> list[Change]:
    """Units, maxima and warmth of one index; units only once the table is provisioned."""
    changes = []
    provisioned = gap.table.billing_mode() == "PROVISIONED" and gap.declared.billing_mode == "PROVISIONED"
    units, found = wanted_units(index) if provisioned else None, found_units(described)
    if units and any(found[key] != value for key, value in units.items()):
        changes.append(
            _index_update(gap, name, "provisioned_throughput", found, units, unit_parameters(found, units))
        )
    maxima, bounds = plain(index.on_demand_throughput), found_on_demand(described)
    if maxima and any(bounds[key] != value for key, value in maxima.items()):
        parameters = desired.on_demand(index.on_demand_throughput)
        changes.append(_index_update(gap, name, "on_demand_throughput", bounds, maxima, parameters))
    warm, warmth = plain(index.warm_throughput), found_warm(described)
    if warm and not warm_enough(warmth, warm):
        parameters = desired.warm(index.warm_throughput)
        changes.append(_index_update(gap, name, "warm_throughput", warmth, warm, parameters))
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
