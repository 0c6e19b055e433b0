"""Document paths with their placeholders replaced: resolving, reading, and paths that must not meet.

A path is a tuple of names and list indexes. Reading a path never fails: what is not there is None. Paths of one
update or projection may share a beginning but not an end, and may not use one attribute both as map and as list.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.Attributes.html and, for
which paths a message names, dynalite's tests (getItem.js, updateItem.js) as recorded from the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from blotter.database.expressions import problems
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.expressions.syntax import Path
from blotter.database.model.values import AttributeValue, Item

MAX_DEPTH = 32

Getter: TypeAlias = Callable[[Item], AttributeValue | None]


def resolve(path: Path, names: Mapping[str, str]) -> ResolvedPath:
    """Raises `Problem` for an undefined placeholder and for a path that is too deep."""
    steps: list[str | int] = []
    for step in path.steps:
        if isinstance(step, str) and step[0] == "#":
            name = names.get(step)
            if name is None:
                raise problems.undefined_name(step)
            steps.append(name)
        else:
            steps.append(step)
    if len(steps) > MAX_DEPTH:
        raise problems.Problem(f"The document path has too many nesting levels; nesting levels: {len(steps)}")
    return tuple(steps)


def head(path: ResolvedPath) -> str:
    """The top-level attribute of a path."""
    name = path[0]
    if not isinstance(name, str):
        raise TypeError("a document path starts with a name")
    return name


def nested_names(paths: Iterable[ResolvedPath]) -> tuple[str, ...]:
    """The top-level attributes that paths look inside of, in the order of the paths."""
    return tuple(dict.fromkeys(head(path) for path in paths if len(path) > 1))


def getter(path: ResolvedPath) -> Getter:
    """A function from an item to the value at the path, or None."""
    name = head(path)
    if len(path) == 1:

        def get_attribute(item: Item) -> AttributeValue | None:
            return item.get(name)

        return get_attribute
    steps = path[1:]

    def get_nested(item: Item) -> AttributeValue | None:
        value = item.get(name)
        for step in steps:
            if value is None:
                return None
            if isinstance(step, int):
                members = value.get("L")
                value = members[step] if members is not None and step < len(members) else None
            else:
                members = value.get("M")
                value = members.get(step) if members is not None else None
        return value

    return get_nested


def refuse_meeting(paths: Sequence[ResolvedPath]) -> None:
    """Raises `Problem` when two paths overlap (equal, or one inside the other) or conflict (map against list).

    The last path that meets an earlier one is reported. For an overlap AWS names that earlier path and then,
    oddly, the last of all different paths, whichever it is.
    """
    if len(paths) < 2:
        return
    root = _Node()
    meeting = [number for number, path in enumerate(paths) if root.enter(path)]
    if not meeting:
        return
    last = meeting[-1]
    for earlier in reversed(paths[:last]):
        relation = _relation(earlier, paths[last])
        if relation == "overlap":
            raise problems.overlapping_paths(earlier, list(dict.fromkeys(paths))[-1])
        if relation == "conflict":
            raise problems.conflicting_paths(earlier, paths[last])


class _Node:
    """A step that paths share: a prefix tree, because comparing each path with each would take a tenth of a second
    for an expression of hundreds of paths."""

    __slots__ = ("children", "is_end", "kinds")

    def __init__(self) -> None:
        self.children: dict[str | int, _Node] = {}
        self.kinds: set[type] = set()
        self.is_end = False

    def enter(self, path: ResolvedPath) -> bool:
        """Adds a path; returns whether it overlaps or conflicts with one that was there."""
        node, meets = self, False
        for step in path:
            kind = type(step)
            meets = meets or node.is_end or bool(node.kinds - {kind})
            node.kinds.add(kind)
            node = node.children.setdefault(step, _Node())
        meets = meets or node.is_end or bool(node.children)
        node.is_end = True
        return meets


def _relation(one: ResolvedPath, two: ResolvedPath) -> str | None:
    for step_one, step_two in zip(one, two, strict=False):
        if isinstance(step_one, int) is not isinstance(step_two, int):
            return "conflict"
        if step_one != step_two:
            return None
    return "overlap"
