"""An existing table as a declaration: the way into blotter.toml for tables made by other means.

Says what differs from DynamoDB's defaults and leaves the rest out, so that the result reads like one written by
hand; planned against the table it came from, it differs in nothing (tested). Settings the endpoint does not offer
or the credentials may not read are named in a comment instead of being guessed.
"""

from __future__ import annotations

import json
from typing import Any

from blotter.tables import aspects
from blotter.tables.declaration import AWS_OWNED
from blotter.tables.endpoint import Caller
from blotter.tables.errors import Exit, SetupError
from blotter.tables.observed import READERS, Described, Observed, with_settings

# What cannot be read without stopping the import: not offered, or not permitted.
_SKIPPED = (Exit.REFUSED, Exit.DENIED, Exit.CONFIGURATION)
_SCALAR_DEFAULTS = {
    "table_class": "STANDARD",
    "deletion_protection": False,
    "encryption": AWS_OWNED,
    "stream": False,
}


def read_all(endpoint: Caller, observed: Observed) -> tuple[Observed, dict[str, str]]:
    """The table with every setting that can be read, and why the others could not, by key."""
    unread: dict[str, str] = {}
    for key in READERS:
        try:
            observed = with_settings(endpoint, observed, [key])
        except SetupError as error:
            if error.exit_code not in _SKIPPED:
                raise
            unread[key] = str(error)
    return observed, unread


def declaration_of(observed: Observed) -> dict[str, Any]:
    """The declaration as plain values, ready for TOML or JSON."""
    table, settings = observed.table, observed.settings
    types = observed.attribute_types()
    provisioned = observed.billing_mode() == "PROVISIONED"
    declaration: dict[str, Any] = _table_key(table["KeySchema"], types)
    declaration["billing_mode"] = observed.billing_mode()
    declaration |= _throughput(table, provisioned)
    for aspect in aspects.ASPECTS:
        if aspect.key in _SCALAR_DEFAULTS and (found := aspect.found(observed)) != _SCALAR_DEFAULTS[aspect.key]:
            declaration[aspect.key] = found
    if settings.get("time_to_live"):
        declaration["time_to_live"] = settings["time_to_live"]
    recovery = settings.get("point_in_time_recovery", {})
    if recovery.get("enabled"):
        declaration["point_in_time_recovery"] = {"recovery_period_in_days": recovery["recovery_period_in_days"]}
    for key in ("resource_policy", "tags", "alarms"):
        if settings.get(key):
            declaration[key] = _without_none(settings[key])
    replicas = next(aspect for aspect in aspects.ASPECTS if aspect.key == "replicas").found(observed)
    if replicas:
        declaration["replicas"] = replicas
    scaling = settings.get("autoscaling", {})
    if "table" in scaling:
        declaration["autoscaling"] = scaling["table"]
    indexes = {name: _index(index, types, "local", False) for name, index in observed.indexes("local").items()}
    for name, index in observed.indexes("global").items():
        indexes[name] = _index(index, types, "global", provisioned)
        if f"index {name}" in scaling:
            indexes[name]["autoscaling"] = scaling[f"index {name}"]
    return declaration | ({"indexes": indexes} if indexes else {})


def to_toml(label: str, name: str, declaration: dict[str, Any], unread: dict[str, str]) -> str:
    """A `[tables.<label>]` section with its subsections."""
    lines = [f"# not read: {key}: {why}" for key, why in unread.items()]
    lines += _section(["tables", label], {"name": name, **declaration})
    return "\n".join(lines)


def _section(path: list[str], values: dict[str, Any]) -> list[str]:
    """Short tables stand inline, named parts (indexes, alarms) as sections of their own."""
    sections = {key: value for key, value in values.items() if key in ("indexes", "alarms")}
    lines = [f"[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items() if key not in sections]
    for group, parts in sections.items():
        for part, inner in parts.items():
            lines += ["", *_section([*path, group, part], inner)]
    return lines


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    return key if bare else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _table_key(schema: list[Described], types: dict[str, str]) -> dict[str, Any]:
    """partition_key and sort_key; several parts become lists."""
    keys: dict[str, Any] = {}
    for field, kind in (("partition_key", "HASH"), ("sort_key", "RANGE")):
        parts = [
            {"name": part["AttributeName"], "type": types[part["AttributeName"]]}
            for part in schema
            if part["KeyType"] == kind
        ]
        if parts:
            keys[field] = parts[0] if len(parts) == 1 else parts
    return keys


def _throughput(described: Described, provisioned: bool) -> dict[str, Any]:
    if provisioned:
        return {"provisioned_throughput": aspects.found_units(described)}
    maxima = {key: value for key, value in aspects.found_on_demand(described).items() if value is not None}
    return {"on_demand_throughput": maxima} if maxima else {}


def _index(described: Described, types: dict[str, str], kind: str, provisioned: bool) -> dict[str, Any]:
    projection = described.get("Projection", {})
    include = projection.get("ProjectionType") == "INCLUDE"
    index = _table_key(described["KeySchema"], types)
    index["projection"] = projection["NonKeyAttributes"] if include else projection.get("ProjectionType", "ALL")
    if kind == "local":
        return {"kind": "local", **index}
    return index | _throughput(described, provisioned)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value
