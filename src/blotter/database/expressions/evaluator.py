"""Conditions compiled to functions of an item and the request's values.

A comparison of an attribute with a value, the common case, becomes one small function made for the value's type;
the rest is put together from operand functions. Logic is two-valued: what cannot be compared, because an
attribute is missing or types differ, is false, except for `<>`, which is true exactly when `=` is not. Types of
values are those the expression was checked for (`checks`), so that nothing here raises.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html;
behaviour for missing attributes and mixed types as in ScyllaDB Alternator's tests
(test_condition_expression.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

from blotter.database.expressions.paths import getter, resolve
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
from blotter.database.model.numbers import compare_numbers
from blotter.database.model.size import binary_size
from blotter.database.model.values import (
    SCALAR_TYPES,
    AttributeValue,
    Item,
    binary,
    compare_values,
    type_of,
    values_equal,
)

Values: TypeAlias = Mapping[str, AttributeValue]
Names: TypeAlias = Mapping[str, str]
Types: TypeAlias = Mapping[str, str]
"""The type of each `:placeholder`."""

Test: TypeAlias = Callable[[Item, Values], bool]
Read: TypeAlias = Callable[[Item, Values], AttributeValue | None]

_ORDERS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STRING_ORDERS: dict[str, Callable[[str, str], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_condition(tree: ConditionTree, names: Names, types: Types) -> Test:
    return _COMPILERS[type(tree)](tree, names, types)


# Logic


def _compile_and(tree: And, names: Names, types: Types) -> Test:
    tests = [compile_condition(condition, names, types) for condition in tree.conditions]
    if len(tests) == 2:
        first, second = tests
        return lambda item, values: first(item, values) and second(item, values)

    def all_hold(item: Item, values: Values) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would cost more than the tests
            if not test(item, values):
                return False
        return True

    return all_hold


def _compile_or(tree: Or, names: Names, types: Types) -> Test:
    tests = [compile_condition(condition, names, types) for condition in tree.conditions]

    def one_holds(item: Item, values: Values) -> bool:
        for test in tests:  # noqa: SIM110
            if test(item, values):
                return True
        return False

    return one_holds


def _compile_not(tree: Not, names: Names, types: Types) -> Test:
    test = compile_condition(tree.condition, names, types)
    return lambda item, values: not test(item, values)


# Comparisons


def _compile_comparison(tree: Comparison, names: Names, types: Types) -> Test:
    if isinstance(tree.left, Path) and isinstance(tree.right, Value):
        test = _compile_attribute_comparison(tree, tree.left, tree.right, names, types)
        if test is not None:
            return test
    left, right = _compile_operand(tree.left, names), _compile_operand(tree.right, names)
    if tree.operator == "=":
        return lambda item, values: _equal(left(item, values), right(item, values))
    if tree.operator == "<>":
        return lambda item, values: not _equal(left(item, values), right(item, values))
    holds = _ORDERS[tree.operator]

    def ordered(item: Item, values: Values) -> bool:
        a, b = left(item, values), right(item, values)
        if a is None or b is None:
            return False
        order = compare_values(a, b)
        return order is not None and holds(order, 0)

    return ordered


def _compile_attribute_comparison(
    tree: Comparison, path: Path, value: Value, names: Names, types: Types
) -> Test | None:
    """A path against a value of a type whose canonical text is all there is to compare."""
    get, placeholder, type_ = getter(resolve(path, names)), value.name, types[value.name]
    if tree.operator in ("=", "<>"):
        if type_ not in SCALAR_TYPES:
            return None
        if tree.operator == "=":
            return lambda item, values: get(item) == values[placeholder]
        return lambda item, values: get(item) != values[placeholder]
    if type_ == "S":
        holds_for = _STRING_ORDERS[tree.operator]

        def string_ordered(item: Item, values: Values) -> bool:
            attribute = get(item)
            if attribute is None:
                return False
            text = attribute.get("S")
            return text is not None and holds_for(text, values[placeholder]["S"])

        return string_ordered
    if type_ == "N":
        holds = _ORDERS[tree.operator]

        def number_ordered(item: Item, values: Values) -> bool:
            attribute = get(item)
            if attribute is None:
                return False
            number = attribute.get("N")
            return number is not None and holds(compare_numbers(number, values[placeholder]["N"]), 0)

        return number_ordered
    return None


def _equal(a: AttributeValue | None, b: AttributeValue | None) -> bool:
    return a is not None and b is not None and values_equal(a, b)


def _compile_between(tree: Between, names: Names, _: Types) -> Test:
    operand = _compile_operand(tree.operand, names)
    lower, upper = _compile_operand(tree.lower, names), _compile_operand(tree.upper, names)

    def between(item: Item, values: Values) -> bool:
        value, low, high = operand(item, values), lower(item, values), upper(item, values)
        if value is None or low is None or high is None:
            return False
        from_low, to_high = compare_values(low, value), compare_values(value, high)
        return from_low is not None and to_high is not None and from_low <= 0 and to_high <= 0

    return between


def _compile_in(tree: In, names: Names, _: Types) -> Test:
    operand = _compile_operand(tree.operand, names)
    candidates = [_compile_operand(candidate, names) for candidate in tree.candidates]

    def one_equal(item: Item, values: Values) -> bool:
        value = operand(item, values)
        if value is None:
            return False
        return any(_equal(value, candidate(item, values)) for candidate in candidates)

    return one_equal


# Functions that are conditions


def _compile_call(call: Call, names: Names, _: Types) -> Test:
    reads = [_compile_operand(argument, names) for argument in call.arguments]
    first = reads[0]
    if call.function == "attribute_exists":
        return lambda item, values: first(item, values) is not None
    if call.function == "attribute_not_exists":
        return lambda item, values: first(item, values) is None
    holds, second = _FUNCTIONS[call.function], reads[1]

    def call_holds(item: Item, values: Values) -> bool:
        a = first(item, values)
        if a is None:
            return False
        b = second(item, values)
        return b is not None and holds(a, b)

    return call_holds


def _has_type(value: AttributeValue, name: AttributeValue) -> bool:
    return bool(type_of(value) == name["S"])


def _begins_with(value: AttributeValue, prefix: AttributeValue) -> bool:
    if "S" in value and "S" in prefix:
        return str(value["S"]).startswith(prefix["S"])
    if "B" in value and "B" in prefix:
        return binary(value["B"]).startswith(binary(prefix["B"]))
    return False


def _contains(container: AttributeValue, value: AttributeValue) -> bool:
    """A part of a string or binary, a member of a set, or an element of a list."""
    ((type_, content),) = container.items()
    if type_ == "L":
        return any(values_equal(member, value) for member in content)
    ((value_type, part),) = value.items()
    if type_ in ("S", "B"):
        if value_type != type_:
            return False
        return str(part) in str(content) if type_ == "S" else binary(part) in binary(content)
    # A set's type is its members' with an S behind it.
    return bool(type_ == value_type + "S" and part in content)


_FUNCTIONS: dict[str, Callable[[AttributeValue, AttributeValue], bool]] = {
    "attribute_type": _has_type,
    "begins_with": _begins_with,
    "contains": _contains,
}


# Operands


def _compile_operand(operand: Operand, names: Names) -> Read:
    if isinstance(operand, Value):
        placeholder = operand.name
        return lambda _, values: values[placeholder]
    if isinstance(operand, Path):
        get = getter(resolve(operand, names))
        return lambda item, _: get(item)
    # Of the functions only size() is an operand in a condition.
    argument = _compile_operand(operand.arguments[0], names)

    def size(item: Item, values: Values) -> AttributeValue | None:
        value = argument(item, values)
        if value is None:
            return None
        ((type_, content),) = value.items()
        measure = _MEASURES.get(type_)
        return None if measure is None else {"N": str(measure(content))}

    return size


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

_COMPILERS: dict[type, Callable[..., Test]] = {
    And: _compile_and,
    Or: _compile_or,
    Not: _compile_not,
    Comparison: _compile_comparison,
    Between: _compile_between,
    In: _compile_in,
    Call: _compile_call,
}
