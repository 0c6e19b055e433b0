"""The operands of a condition: what they read from an item or from the request's values, and how two are compared.

A condition with many operations of linear cost is compiled for a `MemoItem` (`Scope.memoized`), which keeps what
an operand cost under the operand's key. Sources as in `evaluator.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from blotter.database.expressions.memo import MemoItem, OperandKey
from blotter.database.expressions.paths import getter, resolve
from blotter.database.expressions.syntax import Operand, Path, Value
from blotter.database.model.size import binary_size
from blotter.database.model.values import AttributeValue, Item, compare_values, values_equal

Values: TypeAlias = Mapping[str, AttributeValue]
Names: TypeAlias = Mapping[str, str]
Types: TypeAlias = Mapping[str, str]
"""The type of each `:placeholder`."""

Test: TypeAlias = Callable[[Item, Values], bool]
Read: TypeAlias = Callable[[Item, Values], AttributeValue | None]


class Scope(NamedTuple):
    """What a text is compiled for: the meaning of its names, the types of its values, and whether it will be
    evaluated over a `MemoItem`."""

    names: Names
    types: Types
    memoized: bool


def compile_operand(operand: Operand, scope: Scope) -> Read:
    if isinstance(operand, Value):
        placeholder = operand.name
        return lambda _, values: values[placeholder]
    if isinstance(operand, Path):
        get = getter(resolve(operand, scope.names))
        return lambda item, _: get(item)
    # Of the functions only size() is an operand in a condition.
    argument = compile_operand(operand.arguments[0], scope)
    measure, key = _size, key_of(operand.arguments[0], scope)
    if scope.memoized:
        return lambda item, values: memo_of(item).once("size", key, measure, argument(item, values))
    return lambda item, values: measure(argument(item, values))


def _size(value: AttributeValue | None) -> AttributeValue | None:
    if value is None:
        return None
    ((type_, content),) = value.items()
    measure = _MEASURES.get(type_)
    return None if measure is None else {"N": str(measure(content))}


def key_of(operand: Operand, scope: Scope) -> OperandKey:
    """What identifies an operand within one evaluation."""
    if isinstance(operand, Value):
        return operand.name
    if isinstance(operand, Path):
        return resolve(operand, scope.names)
    return (operand.function, *[key_of(argument, scope) for argument in operand.arguments])


def memo_of(item: Item) -> MemoItem:
    if not isinstance(item, MemoItem):
        raise TypeError("a memoized condition is evaluated over a MemoItem")
    return item


def _string_length(text: str) -> int:
    """UTF-16 code units, as DynamoDB's size() counts them (recorded by paritysuite/dynamodb-conformance)."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


_MEASURES: dict[str, Callable[..., int]] = {
    "S": _string_length,
    "B": binary_size,
    "SS": len,
    "NS": len,
    "BS": len,
    "L": len,
    "M": len,
}


def equality(
    left: Operand, right: Operand, scope: Scope
) -> Callable[[Item, AttributeValue | None, AttributeValue | None], bool]:
    """Whether two operands' values are equal; false when one of them is not there."""
    if not scope.memoized:
        return lambda _, a, b: a is not None and b is not None and values_equal(a, b)
    left_key, right_key = key_of(left, scope), key_of(right, scope)

    def equal(item: Item, a: AttributeValue | None, b: AttributeValue | None) -> bool:
        return a is not None and b is not None and memo_of(item).equal(left_key, a, right_key, b)

    return equal


def order_of(
    left: Operand, right: Operand, scope: Scope
) -> Callable[[Item, AttributeValue, AttributeValue], int | None]:
    """`compare_values` for two operands."""
    if not scope.memoized:
        return lambda _, a, b: compare_values(a, b)
    left_key, right_key = key_of(left, scope), key_of(right, scope)

    def order(item: Item, a: AttributeValue, b: AttributeValue) -> int | None:
        if "B" in a and "B" in b:
            memo = memo_of(item)
            x, y = memo.binary(left_key, a), memo.binary(right_key, b)
            return (x > y) - (x < y)
        return compare_values(a, b)

    return order
