"""An existing table as a declaration: the way into blotter.toml for tables made by other means.

Contains what differs from DynamoDB's defaults and leaves the rest out, so that the result reads like one written
by hand. Planned against the table it came from, it differs in nothing: every setting is tried with the parser and
the plan that will read it, and what they do not take (an alarm of a kind that cannot be declared, a tag that AWS
made) is left out and named in a comment, like what the endpoint does not offer or the credentials may not read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from blotter.config import ConfiguredTable
from blotter.printable import one_line
from blotter.tables.applying.apply import shown
from blotter.tables.calls.endpoint import Caller
from blotter.tables.declaring.declaration import AWS_OWNED, parse_table
from blotter.tables.errors import Exit, SetupError
from blotter.tables.output.quoting import toml, toml_key
from blotter.tables.planning import aspects
from blotter.tables.planning.observed import READERS, Described, Observed, with_settings
from blotter.tables.planning.plan import make_plan
from blotter.user_files import ConfigurationError, Document

# Why a setting may be unreadable and the import still go on: not offered, or not permitted.
_SKIPPED = (Exit.REFUSED, Exit.DENIED, Exit.CONFIGURATION)
_OF_OTHER_SERVICES = ("autoscaling", "alarms")
"""Read from services that an endpoint for tables need not have: it may not even speak their protocols."""
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
            elsewhere = key in _OF_OTHER_SERVICES and error.exit_code is Exit.UNREACHABLE
            if error.exit_code not in _SKIPPED and not elsewhere:
                raise
            if key != "encryption":  # DescribeTable names the key, which is as good an answer
                unread[key] = str(error)
    return observed, unread


def declaration_of(observed: Observed, unread: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The declaration as plain values, ready for TOML or JSON, and why parts of the table are not in it, by key.

    Raises SetupError when not even the key and the billing mode can be declared.
    """
    candidates = _candidates(observed)
    base = {key: candidates.pop(key) for key in _BASE if key in candidates}
    extras = {
        (name, field): index.pop(field)
        for name, index in base.get("indexes", {}).items()
        for field in ("on_demand_throughput", "autoscaling")
        if field in index
    }
    if wrong := _mistake(base, observed):
        raise SetupError(f"{observed.table['TableName']}: cannot be declared: {wrong}", Exit.REFUSED)
    declaration, left_out = base, dict(unread)
    for (name, field), value in extras.items():
        indexes = declaration["indexes"]
        tried = declaration | {"indexes": indexes | {name: indexes[name] | {field: value}}}
        wrong = _mistake(tried, observed)
        if wrong is None:
            declaration = tried
        else:
            left_out[f"index {name} {field}"] = wrong
    for key, value in candidates.items():
        parts = value.items() if key in _GROUPS else [(None, value)]
        for part, inner in parts:
            tried = declaration | {key: value if part is None else declaration.get(key, {}) | {part: inner}}
            wrong = _mistake(tried, observed)
            if wrong is None:
                declaration = tried
            else:
                left_out[key if part is None else f"{key} {part}"] = wrong
    return declaration, left_out


_BASE = ("partition_key", "sort_key", "billing_mode", "provisioned_throughput", "indexes")
_GROUPS = ("tags", "alarms")  # whose parts stand by themselves: one may be left out


def _mistake(declaration: dict[str, Any], observed: Observed) -> str | None:
    """Why the declaration does not describe the table; None when it does."""
    table = ConfiguredTable(label="t", name=observed.table["TableName"], source="", declaration=declaration)
    try:
        toml(declaration)
        declared = parse_table(table, Document(Path("as declared")))
    except (ConfigurationError, ValueError, TypeError) as error:
        return str(error)
    for change in make_plan("t", table.name, declared, observed, may_delete=True).changes:
        if change.what.partition(" ")[0] in (*declaration, "index"):
            return f"{change.what} is {shown(change.before)}, which a declaration cannot say"
    return None


def _candidates(observed: Observed) -> dict[str, Any]:
    """Everything about the table in a declaration's terms, whether or not it can be declared."""
    table, settings = observed.table, observed.settings
    types = observed.attribute_types()
    provisioned = observed.billing_mode() == "PROVISIONED"
    found: dict[str, Any] = _table_key(table["KeySchema"], types)
    found["billing_mode"] = observed.billing_mode()
    found |= _throughput(table, provisioned)
    scaling = settings.get("autoscaling", {})
    indexes = {name: _index(index, types, "local", False) for name, index in observed.indexes("local").items()}
    for name, index in observed.indexes("global").items():
        indexes[name] = _index(index, types, "global", provisioned)
        if provisioned and f"index {name}" in scaling:
            indexes[name]["autoscaling"] = scaling[f"index {name}"]
    for aspect in aspects.ASPECTS:
        value = aspect.found(observed)
        default = _SCALAR_DEFAULTS.get(aspect.key, value)
        if value != default or (aspect.key == "replicas" and value):
            found[aspect.key] = value
    if settings.get("time_to_live"):
        found["time_to_live"] = settings["time_to_live"]
    recovery = settings.get("point_in_time_recovery", {})
    if recovery.get("enabled"):
        found["point_in_time_recovery"] = {"recovery_period_in_days": recovery["recovery_period_in_days"]}
    if settings.get("resource_policy"):
        found["resource_policy"] = settings["resource_policy"]
    # AWS's own tags cannot be set by anyone else.
    found["tags"] = {key: value for key, value in settings.get("tags", {}).items() if not key.startswith("aws:")}
    found["alarms"] = {label: _without_none(alarm) for label, alarm in settings.get("alarms", {}).items()}
    if provisioned and "table" in scaling:
        found["autoscaling"] = scaling["table"]
    found["indexes"] = indexes
    return {key: value for key, value in found.items() if value != {}}


def to_toml(label: str, name: str, declaration: dict[str, Any], left_out: dict[str, str]) -> str:
    """A `[tables.<label>]` section with its subsections."""
    lines = [one_line(f"# left out: {key}: {why}") for key, why in left_out.items()]
    lines += _section(["tables", label], {"name": name, **declaration})
    return "\n".join(lines)


def label_of(name: str) -> str:
    """A label for a table that has none in the file: its name, in the characters a label may have."""
    label = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    return label if label[:1].isalpha() else f"table-{label}"


def _section(path: list[str], values: dict[str, Any]) -> list[str]:
    """Short tables stand inline, named parts (indexes, alarms) as sections of their own."""
    sections = {key: value for key, value in values.items() if key in ("indexes", "alarms")}
    lines = [f"[{'.'.join(map(toml_key, path))}]"]
    lines += [f"{toml_key(key)} = {toml(value)}" for key, value in values.items() if key not in sections]
    for group, parts in sections.items():
        for part, inner in parts.items():
            lines += ["", *_section([*path, group, part], inner)]
    return lines


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
    maxima = {key: value for key, value in aspects.found_on_demand(described).items() if value is not False}
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
