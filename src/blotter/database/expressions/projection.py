"""Projections: the part of an item that a set of document paths names.

Paths form a tree, so that each attribute is looked up once; a leaf takes the whole value (shared, not copied,
since values are never changed in place). Elements of a list come out in the list's order without gaps, whatever
the order or number of the requested indexes; paths through one element are merged into one. A map or list of
which nothing is left is left out.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ProjectionExpressions.html;
nubo-db/dynamodb-conformance, tests/tier1/getItem/projection.test.ts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from blotter.database.expressions.paths import head, nested_names
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.model.values import AttributeValue, Item

_Tree: TypeAlias = "dict[str | int, _Tree | None]"
"""Steps and what to take below them; None takes everything."""


class Projection:
    """A compiled ProjectionExpression or AttributesToGet. Paths must not overlap or conflict."""

    __slots__ = ("_branches", "_names", "paths")

    def __init__(self, paths: Iterable[ResolvedPath]) -> None:
        self.paths = tuple(paths)
        self._names = tuple(head(path) for path in self.paths if len(path) == 1)
        self._branches = _branches(path for path in self.paths if len(path) > 1)

    @property
    def top_level_names(self) -> frozenset[str]:
        """The attributes it reads from."""
        return frozenset(head(path) for path in self.paths)

    @property
    def nested_names(self) -> tuple[str, ...]:
        """The top-level attributes it looks inside of, in the order of the text."""
        return nested_names(self.paths)

    def project(self, item: Item) -> Item:
        projected = {name: item[name] for name in self._names if name in item}
        for name, tree in self._branches.items():
            value = item.get(name)
            if value is not None:
                part = _part(value, tree)
                if part is not None:
                    projected[name] = part
        return projected


def _branches(paths: Iterable[ResolvedPath]) -> dict[str, _Tree]:
    branches: dict[str, _Tree] = {}
    for path in paths:
        node = branches.setdefault(head(path), {})
        for step in path[1:-1]:
            below = node.get(step)
            if below is None:
                below = node[step] = {}
            node = below
        node[path[-1]] = None
    return branches


def _part(value: AttributeValue, tree: _Tree | None) -> AttributeValue | None:
    """The part of a value that a tree of steps names, or None for nothing."""
    if tree is None:
        return value
    members = value.get("M")
    if members is not None:
        parts = {}
        for step, subtree in tree.items():
            if isinstance(step, str) and step in members:
                part = _part(members[step], subtree)
                if part is not None:
                    parts[step] = part
        return {"M": parts} if parts else None
    elements = value.get("L")
    if elements is None:
        return None
    chosen = []
    for index in sorted(step for step in tree if isinstance(step, int) and step < len(elements)):
        part = _part(elements[index], tree[index])
        if part is not None:
            chosen.append(part)
    return {"L": chosen} if chosen else None
