"""Key conditions: what a query requires of the key attributes.

The grammar is that of conditions; what may stand in a key condition is checked here in two steps.
`compile_key_condition` needs no table: AND of comparisons of one attribute with values. `KeyCondition.resolve`
needs the key schema: an equality for every partition attribute, then a prefix of the sort attributes without a
gap, of which only the last may have another operator. Both walk in the order of the text and stop at the first
fault.
Sources: dynalite's tests (query.js); paritysuite/dynamodb-conformance, tests/tier3/error-messages/
queryKeyConditionOperands.test.ts and tests/tier1/query/multiAttributeGsiKey.test.ts, recorded in October 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NoReturn, TypeAlias

import msgspec

from blotter.database.expressions.paths import resolve
from blotter.database.expressions.problems import Problem
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
    Value,
)
from blotter.database.model.errors import parameter_error, validation_error
from blotter.database.model.table import KeyAttribute, KeySchema
from blotter.database.model.values import AttributeValue

KeyOperator: TypeAlias = Literal["=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"]

_MIRRORED: dict[str, KeyOperator] = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_EMPTY_KEYS = {"S": "string", "B": "binary"}


class KeyClause(msgspec.Struct, frozen=True):
    """One condition on one attribute. Two operands for BETWEEN, one for every other operator."""

    attribute: str
    operator: KeyOperator
    operands: tuple[AttributeValue, ...]


class KeyTemplate(msgspec.Struct, frozen=True):
    """A clause of an expression whose operands are still `:placeholders`."""

    attribute: str
    operator: KeyOperator
    placeholders: tuple[str, ...]

    def bound(self, values: Mapping[str, AttributeValue]) -> KeyClause:
        if len(self.placeholders) == 1:
            return KeyClause(self.attribute, self.operator, (values[self.placeholders[0]],))
        return KeyClause(self.attribute, self.operator, tuple([values[name] for name in self.placeholders]))


class ResolvedKeyCondition(msgspec.Struct, frozen=True):
    """A key condition fitted to a key: the partition's values in the key's order, then the conditions on a prefix
    of the sort attributes in the key's order, of which all but the last are equalities."""

    partition: tuple[AttributeValue, ...]
    sort: tuple[KeyClause, ...]


class KeyCondition:
    """A compiled KeyConditionExpression or KeyConditions."""

    __slots__ = ("_not_indexable", "clauses")

    def __init__(self, clauses: Iterable[KeyClause], not_indexable: Iterable[str] = ()) -> None:
        """`not_indexable` are attributes whose condition, of a legacy operator, no key can answer."""
        self.clauses = tuple(clauses)
        self._not_indexable = tuple(not_indexable)

    @property
    def top_level_names(self) -> frozenset[str]:
        """The attributes it is about."""
        return frozenset(clause.attribute for clause in self.clauses)

    def resolve(self, keys: KeySchema) -> ResolvedKeyCondition:
        """Fits the condition to the key of a table or index; raises ValidationException when it does not fit."""
        if self._not_indexable:
            self._refuse(keys)
        clauses = {clause.attribute: clause for clause in self.clauses}
        partition: list[AttributeValue] = []
        for attribute in keys.partition:
            clause = clauses.get(attribute.name)
            if clause is None or clause.operator != "=" or not clause.operands[0].get(attribute.type):
                self._refuse(keys)
            partition.append(clause.operands[0])
        sort: list[KeyClause] = []
        last = False  # nothing may follow what is no equality
        for attribute in keys.sort:
            clause = clauses.get(attribute.name)
            if clause is None:
                last = True
                continue
            if last:
                self._refuse(keys)
            for operand in clause.operands:
                if not operand.get(attribute.type):
                    self._refuse(keys)
            sort.append(clause)
            last = clause.operator != "="
        if len(partition) + len(sort) < len(self.clauses):
            self._refuse(keys)
        return ResolvedKeyCondition(tuple(partition), tuple(sort))

    def _refuse(self, keys: KeySchema) -> NoReturn:
        """Raises what AWS finds first in a condition that does not fit."""
        if len(self.clauses) > len(keys.attributes):
            raise validation_error(
                f"The number of query conditions ({len(self.clauses)}) exceeds the number of key attributes "
                f"defined in the schema ({len(keys.attributes)})"
            )
        clauses = {clause.attribute: clause for clause in self.clauses}
        _require_key_attributes(clauses, keys)
        if self._not_indexable:
            raise validation_error("Attempted conditional constraint is not an indexable operation")
        for attribute in keys.attributes:
            if attribute.name in clauses:
                _check_operands(clauses[attribute.name], attribute)
        if clauses[keys.partition[0].name].operator != "=":
            raise validation_error("Query key condition not supported")
        _refuse_gap(clauses, keys)
        raise RuntimeError("a key condition was refused for no reason")


def _require_key_attributes(clauses: Mapping[str, KeyClause], keys: KeySchema) -> None:
    """A partition attribute without a condition, or a condition on something else where one on a sort attribute
    could stand."""
    if len(keys.partition) > 1:
        without_equality = [
            attribute.name
            for attribute in keys.partition
            if attribute.name not in clauses or clauses[attribute.name].operator != "="
        ]
        if without_equality:
            # The end of this message is not recorded; it is worded as that about sort attributes begins.
            raise validation_error(
                f"HASH key attributes {', '.join(without_equality)} must have equality conditions specified in "
                "the query"
            )
    elif keys.partition[0].name not in clauses:
        raise _missed(keys.partition[0])
    if any(name not in keys.names for name in clauses):
        for attribute in keys.sort:
            if attribute.name not in clauses:
                raise _missed(attribute)


def _missed(attribute: KeyAttribute) -> Exception:
    return validation_error(f"Query condition missed key schema element: {attribute.name}")


def _check_operands(clause: KeyClause, attribute: KeyAttribute) -> None:
    for operand in clause.operands:
        content = operand.get(attribute.type)
        if content is None:
            raise parameter_error("Condition parameter type does not match schema type")
        if content == "":
            raise validation_error(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
                f"contain an empty {_EMPTY_KEYS[attribute.type]} value. Key: {attribute.name}"
            )


def _refuse_gap(clauses: Mapping[str, KeyClause], keys: KeySchema) -> None:
    without_equality: list[str] = []
    for attribute in keys.sort:
        clause = clauses.get(attribute.name)
        if clause is not None and without_equality:
            raise validation_error(
                f"RANGE key attributes {', '.join(without_equality)} must have equality conditions specified in "
                f"the query because a condition is present on key attribute {attribute.name}"
            )
        if clause is None or clause.operator != "=":
            without_equality.append(attribute.name)


# From a condition's tree


def compile_key_condition(tree: ConditionTree, names: Mapping[str, str]) -> tuple[KeyTemplate, ...]:
    """The clauses of a checked condition; raises `Problem` for what a key condition may not hold."""
    templates: dict[str, KeyTemplate] = {}
    for condition in _conjuncts(tree):
        template = _template(condition, names)
        if template.attribute in templates:
            raise Problem("KeyConditionExpressions must only contain one condition per key")
        templates[template.attribute] = template
    return tuple(templates.values())


def _conjuncts(tree: ConditionTree) -> Iterator[Comparison | Between | Call]:
    if isinstance(tree, And):
        for condition in tree.conditions:
            yield from _conjuncts(condition)
    elif isinstance(tree, Or):
        raise _invalid_operator("OR")
    elif isinstance(tree, Not):
        raise _invalid_operator("NOT")
    elif isinstance(tree, In):
        raise _invalid_operator("IN")
    else:
        yield tree


def _template(tree: Comparison | Between | Call, names: Mapping[str, str]) -> KeyTemplate:
    operator, operands = _operator_and_operands(tree)
    if operator in ("BETWEEN", "begins_with") and not isinstance(operands[0], Path):
        raise Problem(
            f"Invalid condition in KeyConditionExpression: {operator} operator must have the key attribute "
            "as its first operand"
        )
    attribute: str | None = None
    position = 0
    for number, operand in enumerate(operands):
        if isinstance(operand, Call):
            raise Problem("KeyConditionExpressions cannot contain nested operations")
        if isinstance(operand, Path):
            attribute, position = _key_attribute(operand, attribute, names), number
    if attribute is None:
        raise Problem("Invalid condition in KeyConditionExpression: No key attribute specified")
    if position:
        operator = _MIRRORED[operator]
    return KeyTemplate(attribute, operator, tuple(o.name for o in operands if isinstance(o, Value)))


def _operator_and_operands(tree: Comparison | Between | Call) -> tuple[KeyOperator, tuple[Operand, ...]]:
    if isinstance(tree, Between):
        return "BETWEEN", (tree.operand, tree.lower, tree.upper)
    if isinstance(tree, Call):
        if tree.function != "begins_with":
            raise _invalid_operator(tree.function)
        return "begins_with", tree.arguments
    if tree.operator == "<>":
        raise _invalid_operator("<>")
    return tree.operator, (tree.left, tree.right)


def _key_attribute(path: Path, attribute: str | None, names: Mapping[str, str]) -> str:
    if attribute is not None:
        raise Problem(
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
        )
    steps = resolve(path, names)
    if len(steps) > 1:
        raise Problem("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(steps[0])


def _invalid_operator(operator: str) -> Problem:
    return Problem(f"Invalid operator used in KeyConditionExpression: {operator}")
