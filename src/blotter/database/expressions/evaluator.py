"""Conditions compiled to functions of an item and the request's values.

A comparison of an attribute with a value, the common case, becomes one small function made for the value's type;
the rest is put together from operand functions. Logic is two-valued: what cannot be compared, because an
attribute is missing or types differ, is false, except for `<>`, which is true exactly when `=` is not. Types of
values are those the expression was checked for (`checks`), so that nothing here raises.

A few operations cost as much as their operand is large: `contains`, `=` of sets and documents, `IN`, the order of
binaries, `size`. A condition with more than `FEW_LINEAR` of them is evaluated over a `MemoItem`, which does the
linear work once for each operand, however often the text mentions it.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html;
behavior for missing attributes and mixed types as in ScyllaDB Alternator's tests
(test_condition_expression.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from blotter.database.expressions.functions import relation_of
from blotter.database.expressions.memo import MemoItem, MemoValues
from blotter.database.expressions.operands import (
    Names,
    Read,
    Scope,
    Test,
    Types,
    Values,
    compile_operand,
    equality,
    memo_of,
    order_of,
)
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
from blotter.database.model.values import SCALAR_TYPES, Item, comparable, type_of

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


MANY_CANDIDATES = 100
"""More scalar values in one IN, as the parameters before expressions may have, become a set."""
FEW_LINEAR = 4
"""So many operations of linear cost are evaluated directly; more of them share a `MemoItem`."""


def compile_condition(tree: ConditionTree, names: Names, types: Types) -> Test:
    """A function of an item and the request's values; raises nothing for a tree that passed `checks`."""
    if _linear_operations(tree, types) <= FEW_LINEAR:
        return _compile(tree, Scope(names, types, memoized=False))
    test = _compile(tree, Scope(names, types, memoized=True))
    return MemoTest(test)


class MemoTest:
    """A test that is evaluated over a `MemoItem`. `Condition` gives it `MemoValues`."""

    __slots__ = ("_test",)

    def __init__(self, test: Test) -> None:
        self._test = test

    def __call__(self, item: Item, values: Values) -> bool:
        return self._test(MemoItem(item, values.known if isinstance(values, MemoValues) else None), values)


def _compile(tree: ConditionTree, scope: Scope) -> Test:
    return _COMPILERS[type(tree)](tree, scope)


def _linear_operations(tree: ConditionTree, types: Types) -> int:
    """How many operations of a condition may cost as much as their operands are large."""
    if isinstance(tree, (And, Or)):
        return sum(_linear_operations(condition, types) for condition in tree.conditions)
    if isinstance(tree, Not):
        return _linear_operations(tree.condition, types)
    if isinstance(tree, In):
        if len(_scalars(tree, types)) > MANY_CANDIDATES:
            return len(tree.candidates)
        return sum(_is_linear(candidate, types) for candidate in tree.candidates)
    if isinstance(tree, Call):
        return int(tree.function == "contains")
    operands = (tree.left, tree.right) if isinstance(tree, Comparison) else (tree.operand, tree.lower, tree.upper)
    return int(all(_is_linear(operand, types) for operand in operands)) + sum(
        isinstance(operand, Call) for operand in operands
    )


def _is_linear(operand: Operand, types: Types) -> bool:
    """Whether comparing with an operand may be linear: not with a short scalar, to which all else is unequal."""
    return not isinstance(operand, Value) or types[operand.name] not in ("S", "N", "BOOL", "NULL")


# Logic


def _compile_and(tree: And, scope: Scope) -> Test:
    tests = [_compile(condition, scope) for condition in tree.conditions]
    if len(tests) == 2:
        first, second = tests
        return lambda item, values: first(item, values) and second(item, values)

    def all_hold(item: Item, values: Values) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would cost more than the tests
            if not test(item, values):
                return False
        return True

    return all_hold


def _compile_or(tree: Or, scope: Scope) -> Test:
    tests = [_compile(condition, scope) for condition in tree.conditions]

    def one_holds(item: Item, values: Values) -> bool:
        for test in tests:  # noqa: SIM110
            if test(item, values):
                return True
        return False

    return one_holds


def _compile_not(tree: Not, scope: Scope) -> Test:
    test = _compile(tree.condition, scope)
    return lambda item, values: not test(item, values)


# Comparisons


def _compile_comparison(tree: Comparison, scope: Scope) -> Test:
    if isinstance(tree.left, Path) and isinstance(tree.right, Value):
        test = _compile_attribute_comparison(tree, tree.left, tree.right, scope)
        if test is not None:
            return test
    left, right = compile_operand(tree.left, scope), compile_operand(tree.right, scope)
    if tree.operator in ("=", "<>"):
        equal = equality(tree.left, tree.right, scope)
        if tree.operator == "=":
            return lambda item, values: equal(item, left(item, values), right(item, values))
        return lambda item, values: not equal(item, left(item, values), right(item, values))
    holds, compare = _ORDERS[tree.operator], order_of(tree.left, tree.right, scope)

    def ordered(item: Item, values: Values) -> bool:
        a, b = left(item, values), right(item, values)
        if a is None or b is None:
            return False
        order = compare(item, a, b)
        return order is not None and holds(order, 0)

    return ordered


def _compile_attribute_comparison(tree: Comparison, path: Path, value: Value, scope: Scope) -> Test | None:
    """A path against a value of a type whose canonical text is all there is to compare."""
    get, placeholder, type_ = getter(resolve(path, scope.names)), value.name, scope.types[value.name]
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


def _compile_between(tree: Between, scope: Scope) -> Test:
    operand = compile_operand(tree.operand, scope)
    lower, upper = compile_operand(tree.lower, scope), compile_operand(tree.upper, scope)
    from_lower, to_upper = order_of(tree.lower, tree.operand, scope), order_of(tree.operand, tree.upper, scope)

    def between(item: Item, values: Values) -> bool:
        value, low, high = operand(item, values), lower(item, values), upper(item, values)
        if value is None or low is None or high is None:
            return False
        from_low, to_high = from_lower(item, low, value), to_upper(item, value, high)
        return from_low is not None and to_high is not None and from_low <= 0 and to_high <= 0

    return between


def _compile_in(tree: In, scope: Scope) -> Test:
    operand = compile_operand(tree.operand, scope)
    scalars = _scalars(tree, scope.types)
    if len(scalars) > MANY_CANDIDATES:
        others = tuple(each for each in tree.candidates if not (isinstance(each, Value) and each.name in scalars))
        return _compile_in_set(operand, scalars, _compile_in(In(tree.operand, others), scope))
    candidates = [
        (compile_operand(candidate, scope), equality(tree.operand, candidate, scope))
        for candidate in tree.candidates
    ]

    def one_equal(item: Item, values: Values) -> bool:
        value = operand(item, values)
        if value is None:
            return False
        return any(equal(item, value, candidate(item, values)) for candidate, equal in candidates)

    return one_equal


def _scalars(tree: In, types: Types) -> frozenset[str]:
    """The candidates that are scalar values of the request."""
    return frozenset(
        candidate.name
        for candidate in tree.candidates
        if isinstance(candidate, Value) and types[candidate.name] in SCALAR_TYPES
    )


def _compile_in_set(operand: Read, scalars: frozenset[str], one_of_the_others: Test) -> Test:
    key = " ".join(sorted(scalars))

    def members(values: Values) -> frozenset[tuple[str, Any]]:
        return frozenset(comparable(values[placeholder]) for placeholder in scalars)

    def in_set(item: Item, values: Values) -> bool:
        value = operand(item, values)
        if value is None:
            return False
        if type_of(value) in SCALAR_TYPES and comparable(value) in memo_of(item).once("set", key, members, values):
            return True
        return one_of_the_others(item, values)

    return in_set


# Functions that are conditions


def _compile_call(call: Call, scope: Scope) -> Test:
    reads = [compile_operand(argument, scope) for argument in call.arguments]
    first = reads[0]
    if call.function == "attribute_exists":
        return lambda item, values: first(item, values) is not None
    if call.function == "attribute_not_exists":
        return lambda item, values: first(item, values) is None
    second = reads[1]
    holds = relation_of(call, scope)

    def call_holds(item: Item, values: Values) -> bool:
        a = first(item, values)
        if a is None:
            return False
        b = second(item, values)
        return b is not None and holds(item, a, b)

    return call_holds


_COMPILERS: dict[type, Callable[..., Test]] = {
    And: _compile_and,
    Or: _compile_or,
    Not: _compile_not,
    Comparison: _compile_comparison,
    Between: _compile_between,
    In: _compile_in,
    Call: _compile_call,
}
