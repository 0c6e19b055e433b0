"""The size of an UpdateExpression: UpdateItem limits its statement to 400 KB too, not only the item it makes.

It counts what the statement writes and reads by itself, with a fixed amount for each clause and function.
It depends on nothing but the request, so it is known before any condition is looked at. Updates in transactions,
in PartiQL and by AttributeUpdates are limited by the size of the item alone.
Source: amounts measured against AWS in the conformance suite paritysuite/dynamodb-conformance,
tests/tier3/limits/itemSizeBySurface (2026-10; 22 of 32 regions, us-east-1 among them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from blotter.database.expressions.paths import resolve
from blotter.database.expressions.syntax import Action, Arithmetic, Operand, Path, UpdateTree, Value

_UPDATE = 3
_CLAUSES = {"SET": 19, "ADD": 19, "REMOVE": 1, "DELETE": 1}
_OPERATORS = {"+": 34, "-": 37, "if_not_exists": 39, "list_append": 37}
_TARGET_STEP = 4
_OPERAND, _OPERAND_STEP = 1, 14


class Charge(NamedTuple):
    """The constant part in bytes, and the placeholders whose values count too, once for every use."""

    constant: int
    values: tuple[str, ...]


FREE = Charge(0, ())


def charge_of(tree: UpdateTree, names: Mapping[str, str]) -> Charge:
    clauses = [_clause(action, names) for action in tree.actions]
    return Charge(
        _UPDATE + sum(clause.constant for clause in clauses),
        tuple(placeholder for clause in clauses for placeholder in clause.values),
    )


def _clause(action: Action, names: Mapping[str, str]) -> Charge:
    first, *steps = resolve(action.path, names)
    constant = _CLAUSES[action.keyword] + _bytes(first) + sum(_TARGET_STEP + _bytes(step) for step in steps)
    if action.value is None or action.keyword == "DELETE":
        return Charge(constant, ())
    written = _operand(action.value, names)
    return Charge(constant + written.constant, written.values)


def _operand(operand: Operand | Arithmetic, names: Mapping[str, str]) -> Charge:
    if isinstance(operand, Value):
        return Charge(0, (operand.name,))
    if isinstance(operand, Path):
        return Charge(_OPERAND + sum(_OPERAND_STEP + _bytes(step) for step in resolve(operand, names)), ())
    operator: str
    parts: tuple[Operand, ...]
    if isinstance(operand, Arithmetic):
        operator, parts = operand.operator, (operand.left, operand.right)
    else:
        operator, parts = operand.function, operand.arguments
    charges = [_operand(part, names) for part in parts]
    return Charge(
        _OPERATORS[operator] + sum(charge.constant for charge in charges),
        tuple(placeholder for charge in charges for placeholder in charge.values),
    )


def _bytes(step: str | int) -> int:
    """A name's bytes, an index's digits."""
    return len(str(step).encode())
