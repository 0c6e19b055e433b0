"""A condition or filter as operations use it: compiled, with the request's values.

`paths` are what it reads, for the checks that need the table: a query's filter may not look at the key attributes,
and no expression may look inside one.
"""

from __future__ import annotations

from collections.abc import Iterable

from blotter.database.expressions.evaluator import MemoTest
from blotter.database.expressions.memo import MemoValues
from blotter.database.expressions.operands import Names, Test, Values
from blotter.database.expressions.paths import head, nested_names, resolve
from blotter.database.expressions.problems import ResolvedPath
from blotter.database.expressions.syntax import (
    And,
    Between,
    Call,
    Comparison,
    ConditionTree,
    In,
    Not,
    Operand,
    Or,
    Path,
)
from blotter.database.model.errors import validation_error
from blotter.database.model.values import Item

_NO_ITEM: Item = {}


class Condition:
    """What ConditionExpression, FilterExpression or their legacy counterparts ask for."""

    __slots__ = ("_filter", "_test", "_values", "paths")

    def __init__(self, test: Test, values: Values, paths: tuple[ResolvedPath, ...], filter_name: str) -> None:
        self._test = test
        self._values = MemoValues(values) if isinstance(test, MemoTest) else values
        self._filter = filter_name
        self.paths = paths

    def matches(self, item: Item | None) -> bool:
        """Whether it holds for an item; None is an item that does not exist."""
        return self._test(_NO_ITEM if item is None else item, self._values)

    @property
    def top_level_names(self) -> frozenset[str]:
        """The attributes it reads from."""
        return frozenset(head(path) for path in self.paths)

    @property
    def nested_names(self) -> tuple[str, ...]:
        """The top-level attributes it looks inside of, in the order of the text."""
        return nested_names(self.paths)

    def refuse_keys(self, keys: Iterable[str]) -> None:
        """Raises ValidationException when a query's filter reads a key attribute of what is queried."""
        names = set(keys)
        for path in self.paths:
            if path[0] in names:
                raise validation_error(
                    f"{self._filter} can only contain non-primary key attributes: Primary key attribute: {path[0]}"
                )


def paths_of(tree: ConditionTree | Operand, names: Names) -> tuple[ResolvedPath, ...]:
    """The paths a condition reads, in the order of the text, with repetitions."""
    if isinstance(tree, Path):
        return (resolve(tree, names),)
    return tuple(path for part in _parts(tree) for path in paths_of(part, names))


def _parts(tree: ConditionTree | Operand) -> Iterable[ConditionTree | Operand]:
    if isinstance(tree, (And, Or)):
        return tree.conditions
    if isinstance(tree, Not):
        return (tree.condition,)
    if isinstance(tree, Comparison):
        return (tree.left, tree.right)
    if isinstance(tree, Between):
        return (tree.operand, tree.lower, tree.upper)
    if isinstance(tree, In):
        return (tree.operand, *tree.candidates)
    if isinstance(tree, Call):
        return tree.arguments
    return ()
