"""SearchConditionExpression: equalities of top-level attributes, joined by AND.

It is parsed as any condition is; only what it may hold is less. Whether an attribute is in the search schema of
the index, and whether a value fits there, is the operation's business. Messages: Parity Suite,
tests/tier3/error-messages/searchVectors; nubo-db/dynoxide, tests/search_vectors.rs (eu-west-2, 2026-08-19) for
nested and repeated attributes; ExtendDB/extenddb, expression/search_condition.rs for their number. What else a
condition may hold gets the message about comparators, which is recorded for comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from blotter.database.expressions.paths import resolve
from blotter.database.expressions.problems import Problem
from blotter.database.expressions.syntax import And, Comparison, ConditionTree, Path, Value
from blotter.database.model.values import AttributeValue

_PARAMETER = "SearchConditionExpression"
_MAX_CONDITIONS: Final = 21


class SearchClause(NamedTuple):
    """`attribute = value`."""

    attribute: str
    value: AttributeValue


class SearchTemplate(NamedTuple):
    """An equality whose value is still a placeholder."""

    attribute: str
    placeholder: str

    def bound(self, values: Mapping[str, AttributeValue]) -> SearchClause:
        return SearchClause(self.attribute, values[self.placeholder])


def compile_search_condition(tree: ConditionTree, names: Mapping[str, str]) -> tuple[SearchTemplate, ...]:
    """Raises `Problem` for what a search condition may not hold."""
    found = list(_equalities(tree))
    paths = [resolve(path, names) for path, _ in found]
    if any(len(path) > 1 for path in paths):
        raise Problem(f"{_PARAMETER} cannot have conditions on nested attributes")
    if len(set(paths)) < len(paths):
        raise Problem(f"{_PARAMETER} must only contain one condition per attribute")
    if len(paths) > _MAX_CONDITIONS:
        raise Problem(
            f"{_PARAMETER} cannot have more than 1 partition key and more than {_MAX_CONDITIONS - 1} inline "
            "filter key attributes"
        )
    return tuple(SearchTemplate(str(path[0]), value.name) for path, (_, value) in zip(paths, found, strict=True))


def _equalities(tree: ConditionTree) -> Iterator[tuple[Path, Value]]:
    if isinstance(tree, And):
        for part in tree.conditions:
            yield from _equalities(part)
        return
    if isinstance(tree, Comparison) and tree.operator == "=":
        left, right = tree.left, tree.right
        if isinstance(left, Path) and isinstance(right, Value):
            yield left, right
            return
        if isinstance(left, Value) and isinstance(right, Path):
            yield right, left
            return
    raise Problem(f"Invalid comparator used in {_PARAMETER}")
