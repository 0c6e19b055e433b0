"""What a command reports, for people and for machines: the seed's report of a table, a plan, a status.

Pure: values in; lines of text or plain values out. Several lines are a list, so that `terminal` can clean each of
them. The JSON forms are part of the tool's interface (docs/tables.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from blotter.config import Configuration
from blotter.tables.applying.apply import Outcome, shown
from blotter.tables.calls.endpoint import Endpoint
from blotter.tables.errors import SetupError
from blotter.tables.planning.changes import Change, Plan
from blotter.tables.planning.observed import Observed

_MARKS = {"create": "+", "update": "~", "delete": "-"}


def heading(configuration: Configuration, endpoint: Endpoint) -> str:
    """Where a run works: the endpoint is the one that requests really go to. A value that is not from the file is
    shown with its origin. Raises SetupError when the SDK cannot be set up."""
    file = str(configuration.document.path)
    values = {
        "environment": configuration.environment,
        "endpoint": endpoint.address,
        "region": configuration.region,
        "profile": configuration.profile,
    }
    sources = configuration.sources | ({"endpoint": endpoint.origin} if endpoint.origin else {})
    parts = []
    for title, value in values.items():
        source = sources.get(title, "default")
        from_file = source == "default" or (bool(configuration.app) and source.startswith(file))
        parts += [f"{title} {value}" + ("" if from_file else f" ({source})")] if value else []
    return f"{file}: {', '.join(parts)}" if configuration.app else ", ".join(parts)


def place(configuration: Configuration, endpoint: Endpoint) -> dict[str, Any]:
    """The heading for machines; `endpoint` is null for Amazon DynamoDB."""
    address = endpoint.address
    return {
        "environment": configuration.environment or None,
        "region": configuration.region,
        "endpoint": None if address == "AWS" else address,
        "profile": configuration.profile,
        "account": configuration.account,
    }


def facts(observed: Observed) -> dict[str, Any]:
    """The seed's report (name, key, billing mode, status, ARN, item count, size in bytes) and the indexes."""
    indexes = {**observed.indexes("local"), **observed.indexes("global")}
    return {
        "table": observed.table["TableName"],
        "key": observed.key(),
        "billing_mode": observed.billing_mode(),
        "status": observed.status,
        "arn": observed.arn,
        "item_count": observed.table.get("ItemCount", 0),
        "size_bytes": observed.table.get("TableSizeBytes", 0),
        "indexes": {
            name: {"key": observed.key(index["KeySchema"]), "status": index.get("IndexStatus", observed.status)}
            for name, index in indexes.items()
        },
    }


def outcome_facts(outcome: Outcome, configuration: Configuration) -> dict[str, Any]:
    return {
        "label": outcome.label,
        "result": "created" if "table" in outcome.changed else "changed" if outcome.changed else "unchanged",
        "changed": outcome.changed,
        "seconds": round(outcome.seconds, 3),
        **facts(outcome.observed),
        "next": next_step(outcome, configuration),
    }


def outcome_text(outcome: Outcome, configuration: Configuration) -> list[str]:
    observed = outcome.observed
    name = observed.table["TableName"]
    if not outcome.changed:
        first = f"{name} exists, {observed.status}, nothing to do"
    elif "table" in outcome.changed:
        first = f"{name} created, {observed.status}, verified ({outcome.seconds:.1f} s)"
    else:
        first = (
            f"{name} changed ({', '.join(outcome.changed)}), {observed.status}, verified ({outcome.seconds:.1f} s)"
        )
    return [first, *_rows(observed), _row("next", next_step(outcome, configuration))]


def facts_text(observed: Observed) -> list[str]:
    return [f"{observed.table['TableName']} {observed.status}", *_rows(observed)]


def _rows(observed: Observed) -> list[str]:
    known = facts(observed)
    rows = {
        "table": known["table"],
        "key": known["key"],
        "billing mode": known["billing_mode"],
        "status": known["status"],
        "ARN": known["arn"],
        "items": f"{known['item_count']:,}",
        "size": f"{known['size_bytes']:,} bytes",
    }
    rows |= {f"index {name}": f"{index['key']}, {index['status']}" for name, index in known["indexes"].items()}
    return [_row(title, value) for title, value in rows.items()]


def _row(title: str, value: str) -> str:
    return f"  {title:<13} {value}"


def next_step(outcome: Outcome, configuration: Configuration) -> str:
    """What to do with a table that is ready: give its name to what uses it."""
    variable = f"{outcome.label}_TABLE".upper().replace("-", "_")
    name = outcome.observed.table["TableName"]
    return (
        f"the table can be used; what reads {configuration.document.path} finds it as tables.{outcome.label},"
        f" everything else needs {variable}={name}"
    )


def plan_text(plan: Plan) -> list[str]:
    if not plan.changes:
        return [f"{plan.name}: as declared ({plan.status})"]
    first = f"{plan.name}: does not exist" if plan.status is None else f"{plan.name}: differs ({plan.status})"
    return [first, *(f"  {line}" for change in plan.changes for line in _change_lines(change))]


def _change_lines(change: Change) -> Iterable[str]:
    if change.refused:
        yield f"! {change.what}: {_sides(change)}"
        yield f"    refused: {change.refused}"
    else:
        yield f"{_MARKS[change.action]} {change.what}: {_sides(change)}"
        for request in change.requests:
            yield f"    by {request.operation}"
    if change.note:
        yield f"    note: {change.note}"


def _sides(change: Change) -> str:
    if change.before is None:
        return shown(change.after)
    return f"{shown(change.before)} -> {'nothing' if change.after is None else shown(change.after)}"


def plan_facts(plan: Plan) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(plan)
    return facts | {"differs": bool(plan.changes)}


def diff_text(plan: Plan) -> list[str]:
    """The differences alone: what is there with -, what is declared with +."""
    lines = [f"{plan.name}: as declared" if not plan.changes else f"{plan.name}:"]
    for change in plan.changes:
        lines += [f"- {change.what}: {shown(change.before)}"] if change.before is not None else []
        lines += [f"+ {change.what}: {shown(change.after)}"] if change.after is not None else []
    return lines


def status_facts(plan: Plan, observed: Observed | None) -> dict[str, Any]:
    """One table's line. `ready`: it exists, and it, its indexes and its replicas are ACTIVE."""
    return {
        "label": plan.label,
        "table": plan.name,
        "status": plan.status,
        "ready": observed is not None and observed.usable(),
        "differs": [change.what for change in plan.changes],
        "item_count": observed.table.get("ItemCount", 0) if observed else None,
        "size_bytes": observed.table.get("TableSizeBytes", 0) if observed else None,
    }


def status_text(row: dict[str, Any]) -> str:
    if row["status"] is None:
        return f"{row['table']}  does not exist"
    agrees = f"differs in {', '.join(row['differs'])}" if row["differs"] else "as declared"
    return f"{row['table']}  {row['status']}  {row['item_count']:,} items  {row['size_bytes']:,} bytes  {agrees}"


def error_facts(errors: Mapping[str, SetupError]) -> dict[str, Any]:
    """Errors by table label, with their exit codes."""
    return {
        label: {"message": str(error), "exit_code": int(error.exit_code), "code": error.code}
        for label, error in errors.items()
    }
