"""The functions that are conditions of two operands: `attribute_type`, `begins_with`, `contains`.

Each becomes a relation of an item and the two operands' values, both of which are there. The existence of an
attribute is the evaluator's own matter, `size` is an operand (`operands.py`). Sources as in `evaluator.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from blotter.database.expressions.operands import Scope, key_of, memo_of
from blotter.database.expressions.syntax import Call
from blotter.database.model.values import SCALAR_TYPES, AttributeValue, Item, binary, type_of, values_equal

Relation: TypeAlias = Callable[[Item, AttributeValue, AttributeValue], bool]


def relation_of(call: Call, scope: Scope) -> Relation:
    """What the function's two operands must satisfy."""
    return _FUNCTIONS.get(call.function) or _containment(call, scope)


def _containment(call: Call, scope: Scope) -> Relation:
    if not scope.memoized:
        return _contains
    container_key, part_key = (key_of(argument, scope) for argument in call.arguments)

    def contains(item: Item, a: AttributeValue, b: AttributeValue) -> bool:
        return memo_of(item).contains(container_key, a, part_key, b)

    return contains


def _has_type(_: Item, value: AttributeValue, name: AttributeValue) -> bool:
    return bool(type_of(value) == name["S"])


def _begins_with(_: Item, value: AttributeValue, prefix: AttributeValue) -> bool:
    if "S" in value and "S" in prefix:
        return str(value["S"]).startswith(prefix["S"])
    if "B" in value and "B" in prefix:
        start = binary(prefix["B"])
        # Four characters of the text are three bytes: no more of a long value is decoded than is compared.
        return binary(value["B"][: (len(start) + 2) // 3 * 4]).startswith(start)
    return False


def _contains(_: Item, container: AttributeValue, value: AttributeValue) -> bool:
    """A part of a string or binary, a member of a set, or an element of a list."""
    ((type_, content),) = container.items()
    ((value_type, part),) = value.items()
    if type_ == "L":
        # Equal scalars are equal dicts, which C compares.
        return value in content if value_type in SCALAR_TYPES else any(values_equal(m, value) for m in content)
    if type_ == "S":
        return value_type == type_ and str(part) in str(content)
    if type_ == "B":
        return value_type == type_ and binary(part) in binary(content)
    # The type of a set is the type of its members followed by an S.
    return bool(type_ == value_type + "S" and part in content)


_FUNCTIONS: dict[str, Relation] = {
    "attribute_type": _has_type,
    "begins_with": _begins_with,
}
