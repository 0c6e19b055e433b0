"""The parameters that expressions replaced, compiled to what expressions compile to.

Expected, QueryFilter and ScanFilter become conditions, AttributeUpdates an update, KeyConditions a key
condition, AttributesToGet a projection. They make syntax trees of the same kind as the parser's, so one
evaluator serves both; attribute names become placeholders, because here they may be any text. What the
parameters may hold has been checked before (`validation.legacy`), and their values are validated; what only a
table or an item shows is refused with the legacy parameters' own messages.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html;
dynalite's tests (query.js, updateItem.js); for missing attributes ScyllaDB Alternator's tests
(test_expected.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from blotter.database.expressions.condition import Condition, paths_of
from blotter.database.expressions.evaluator import compile_condition
from blotter.database.expressions.key_condition import KeyClause, KeyCondition, KeyOperator
from blotter.database.expressions.projection import Projection
from blotter.database.expressions.syntax import (
    And,
    Between,
    Call,
    Comparison,
    ConditionTree,
    In,
    Not,
    Or,
    Path,
    Value,
)
from blotter.database.expressions.update import CompiledAction, Compute, Update, UpdateProgram
from blotter.database.model import numbers
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.values import AttributeValue, Item, set_difference, set_union, type_of


class LegacyCondition(Protocol):
    """An entry of KeyConditions, QueryFilter or ScanFilter."""

    @property
    def ComparisonOperator(self) -> str: ...  # noqa: N802 - the wire's name

    @property
    def AttributeValueList(self) -> list[AttributeValue] | None: ...  # noqa: N802


class LegacyExpectation(Protocol):
    """An entry of Expected."""

    @property
    def ComparisonOperator(self) -> str | None: ...  # noqa: N802

    @property
    def AttributeValueList(self) -> list[AttributeValue] | None: ...  # noqa: N802

    @property
    def Value(self) -> AttributeValue | None: ...  # noqa: N802

    @property
    def Exists(self) -> bool | None: ...  # noqa: N802


class LegacyUpdate(Protocol):
    """An entry of AttributeUpdates."""

    @property
    def Action(self) -> str | None: ...  # noqa: N802

    @property
    def Value(self) -> AttributeValue | None: ...  # noqa: N802


def attributes_to_get(names: Iterable[str]) -> Projection:
    return Projection((name,) for name in names)


# Conditions


def expected(entries: Mapping[str, LegacyExpectation], conditional_operator: str | None) -> Condition | None:
    """The condition of Expected, or None when it is empty."""
    return _condition(
        [(name, *_expectation(entry)) for name, entry in entries.items()], conditional_operator, "Expected"
    )


def query_filter(entries: Mapping[str, LegacyCondition], conditional_operator: str | None) -> Condition | None:
    """The condition of QueryFilter, or None when it is empty."""
    return _filter(entries, conditional_operator, "QueryFilter")


def scan_filter(entries: Mapping[str, LegacyCondition], conditional_operator: str | None) -> Condition | None:
    """The condition of ScanFilter, or None when it is empty."""
    return _filter(entries, conditional_operator, "ScanFilter")


def _filter(
    entries: Mapping[str, LegacyCondition], conditional_operator: str | None, parameter: str
) -> Condition | None:
    return _condition(
        [(name, entry.ComparisonOperator, entry.AttributeValueList or []) for name, entry in entries.items()],
        conditional_operator,
        parameter,
    )


def _expectation(entry: LegacyExpectation) -> tuple[str, list[AttributeValue]]:
    values = entry.AttributeValueList or ([entry.Value] if entry.Value is not None else [])
    if entry.ComparisonOperator is not None:
        return entry.ComparisonOperator, values
    return ("NULL", []) if entry.Exists is False else ("EQ", values)


def _condition(
    entries: list[tuple[str, str, list[AttributeValue]]], conditional_operator: str | None, parameter: str
) -> Condition | None:
    if not entries:
        return None
    names: dict[str, str] = {}
    values: dict[str, AttributeValue] = {}
    conditions: list[ConditionTree] = []
    for number, (name, operator, operands) in enumerate(entries):
        placeholder = f"#{number}"
        names[placeholder] = name
        values.update((f":{number}_{position}", operand) for position, operand in enumerate(operands))
        read = tuple(Value(f":{number}_{position}") for position in range(len(operands)))
        conditions.append(_TREES[operator](Path((placeholder,)), read))
    tree = conditions[0]
    if len(conditions) > 1:
        tree = Or(tuple(conditions)) if conditional_operator == "OR" else And(tuple(conditions))
    test = compile_condition(tree, names, {placeholder: type_of(value) for placeholder, value in values.items()})
    return Condition(test, values, paths_of(tree, names), parameter)


_Tree = Callable[[Path, tuple[Value, ...]], ConditionTree]


def _not_contains(path: Path, values: tuple[Value, ...]) -> ConditionTree:
    """Unlike a NOT before contains(), this does not hold for an attribute that is not there."""
    return And((Call("attribute_exists", (path,)), Not(Call("contains", (path, values[0])))))


_TREES: dict[str, _Tree] = {
    "EQ": lambda path, values: Comparison("=", path, values[0]),
    "NE": lambda path, values: Comparison("<>", path, values[0]),
    "LT": lambda path, values: Comparison("<", path, values[0]),
    "LE": lambda path, values: Comparison("<=", path, values[0]),
    "GT": lambda path, values: Comparison(">", path, values[0]),
    "GE": lambda path, values: Comparison(">=", path, values[0]),
    "NULL": lambda path, _: Call("attribute_not_exists", (path,)),
    "NOT_NULL": lambda path, _: Call("attribute_exists", (path,)),
    "CONTAINS": lambda path, values: Call("contains", (path, values[0])),
    "NOT_CONTAINS": _not_contains,
    "BEGINS_WITH": lambda path, values: Call("begins_with", (path, values[0])),
    "IN": lambda path, values: In(path, values),
    "BETWEEN": lambda path, values: Between(path, values[0], values[1]),
}


# Key conditions

_KEY_OPERATORS: dict[str, KeyOperator] = {
    "EQ": "=",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}


def key_conditions(entries: Mapping[str, LegacyCondition]) -> KeyCondition:
    """Raises ValidationException when there is none; what does not fit a key is refused by `resolve`."""
    if not entries:
        raise validation_error("Conditions can be of length 1 or 2 only")
    clauses = []
    not_indexable = []
    for name, entry in entries.items():
        operator = _KEY_OPERATORS.get(entry.ComparisonOperator)
        if operator is None:
            not_indexable.append(name)
        clauses.append(KeyClause(name, operator or "=", tuple(entry.AttributeValueList or ())))
    return KeyCondition(clauses, not_indexable)


# Updates


def attribute_updates(entries: Mapping[str, LegacyUpdate]) -> Update:
    actions = []
    values: dict[str, AttributeValue] = {}
    for number, (name, entry) in enumerate(entries.items()):
        placeholder = f":{number}"
        if entry.Value is None:
            actions.append(CompiledAction("REMOVE", (name,), _nothing))
            continue
        values[placeholder] = entry.Value
        if entry.Action in _COMBINE:
            compute = _changed(name, entry.Action, placeholder)
            kind = CompiledAction(
                "ADD" if entry.Action == "ADD" else "DELETE", (name,), compute, given=placeholder
            )
            actions.append(kind)
        else:
            actions.append(CompiledAction("SET", (name,), _put(placeholder), given=placeholder))
    return Update(UpdateProgram(actions), values)


def _nothing(_: Item, __: Mapping[str, AttributeValue]) -> None:
    return None


def _put(placeholder: str) -> Compute:
    return lambda _, values: values[placeholder]


def _changed(name: str, action: str, placeholder: str) -> Compute:
    combine = _COMBINE[action]

    def compute(item: Item, values: Mapping[str, AttributeValue]) -> AttributeValue | None:
        ((type_, content),) = values[placeholder].items()
        current = item.get(name)
        if current is None:
            return values[placeholder] if action == "ADD" else None
        if type_ not in current:
            raise _type_mismatch()
        combined = combine(type_, current[type_], content)
        return None if combined == [] and action == "DELETE" else {type_: combined}

    return compute


def _added(type_: str, current: object, content: object) -> object:
    """Numbers are summed up, sets united, lists joined."""
    if isinstance(current, str) and isinstance(content, str):
        return numbers.add(current, content)
    if isinstance(current, list) and isinstance(content, list):
        return [*current, *content] if type_ == "L" else set_union(type_, current, content)
    raise _type_mismatch()


def _deleted(type_: str, current: object, content: object) -> object:
    if isinstance(current, list) and isinstance(content, list):
        return set_difference(type_, current, content)
    raise _type_mismatch()


_COMBINE: dict[str, Callable[[str, object, object], object]] = {"ADD": _added, "DELETE": _deleted}


def _type_mismatch() -> DynamoDBError:
    return validation_error("Type mismatch for attribute to update")
