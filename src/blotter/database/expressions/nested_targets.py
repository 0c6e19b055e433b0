"""Where an update writes inside documents: the tree of its nested paths, and values rebuilt along it.

Actions on nested paths form a tree for each attribute, which is rebuilt once. A list's elements keep their old
positions until all actions on it are done; then elements set beyond its end are appended in the order of their
indexes, and removed ones close up. What no path leads through is shared with the old item.
Source: list behavior in ScyllaDB Alternator's tests (test_update_expression.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from blotter.database.expressions import problems
from blotter.database.expressions.paths import getter, head
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.model.values import AttributeValue, Item, type_of

Node: TypeAlias = "int | dict[str | int, Node]"
"""Steps below an attribute; an action's number where its path ends."""


def nested_targets(paths: Iterable[ResolvedPath]) -> dict[str, dict[str | int, Node]]:
    """The nested ones of the actions' paths, by attribute: `a.b` and `a.c[1]` as the actions 0 and 1 are
    {"a": {"b": 0, "c": {1: 1}}}."""
    targets: dict[str, dict[str | int, Node]] = {}
    for number, path in enumerate(paths):
        if len(path) == 1:
            continue
        node = targets.setdefault(head(path), {})
        for step in path[1:-1]:
            below = node.get(step)
            if not isinstance(below, dict):
                below = node[step] = {}
            node = below
        node[path[-1]] = number
    return targets


def rebuilt(
    value: AttributeValue | None, node: dict[str | int, Node], results: Sequence[AttributeValue | None]
) -> AttributeValue:
    """A value with the actions' results at the paths of `node`. Raises ValidationException where a path leads
    through what is not there or is of another kind."""
    if value is None:
        raise problems.invalid_update_path()
    if isinstance(next(iter(node)), int):
        return {"L": _rebuilt_list(value, node, results)}
    members = value.get("M")
    if members is None:
        raise problems.invalid_update_path()
    members = dict(members)
    for step, below in node.items():
        if isinstance(below, dict):
            members[step] = rebuilt(members.get(step), below, results)
        elif (result := results[below]) is not None:
            members[step] = result
        else:
            members.pop(step, None)
    return {"M": members}


def _rebuilt_list(
    value: AttributeValue, node: dict[str | int, Node], results: Sequence[AttributeValue | None]
) -> list[AttributeValue]:
    elements = value.get("L")
    if elements is None:
        raise problems.invalid_update_path()
    kept: list[AttributeValue | None] = list(elements)
    for index in sorted(step for step in node if isinstance(step, int)):
        below, exists = node[index], index < len(elements)
        if isinstance(below, dict):
            kept[index : index + 1] = [rebuilt(elements[index] if exists else None, below, results)]
        elif exists:
            kept[index] = results[below]
        else:
            kept.append(results[below])
    return [element for element in kept if element is not None]


def parent(path: ResolvedPath, item: Item) -> AttributeValue | None:
    """The document that a nested path's last step is in; None when it is not there."""
    return getter(path[:-1])(item) if len(path) > 1 else None


def is_writable(path: ResolvedPath, item: Item) -> bool:
    if len(path) == 1:
        return True
    document = parent(path, item)
    return document is not None and type_of(document) == ("L" if isinstance(path[-1], int) else "M")
