"""Expressions: a tree and the series that it names, into a value.

Between two time series an operator is applied wherever either has a value, and the other one's missing value is 0;
between a time series and a number, wherever the series has a value. A result that is no finite number (a division
by zero) is left out. Source: "Basic arithmetic functions", "Comparison and logical operators" in CloudWatch's user
guide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from blotter.database.metric_math.expressions import Call, List, Name, Negation, Node, Number, Operation, Text
from blotter.database.metric_math.functions import FUNCTIONS, KEYWORDS, UNSUPPORTED
from blotter.database.metric_math.series import Array, ExpressionError, Series, Value, Window


class Scope(Protocol):
    """What an expression is evaluated in."""

    @property
    def window(self) -> Window: ...

    @property
    def period(self) -> int:
        """The period of a series that is made of a number."""

    def resolve(self, name: str) -> Value:
        """The value of another query. Raises ExpressionError."""

    def metrics(self, part: str) -> Array:
        """The queries that are metrics and whose ids contain a text, in the order of the request."""

    def spend(self, points: int) -> None:
        """Notes that so many points were computed. Raises ExpressionError where they are too many."""


def evaluate(node: Node, scope: Scope) -> Value:
    """The value of an expression. Raises ExpressionError."""
    value = _evaluated(node, scope)
    if isinstance(value, (Series, Array)):
        scope.spend(sum(len(series.values) for series in _members(value)))
    return value


def _evaluated(node: Node, scope: Scope) -> Value:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Text):
        return node.value
    if isinstance(node, Name):
        return node.name if node.name in KEYWORDS else scope.resolve(node.name)
    if isinstance(node, List):
        return _array([evaluate(member, scope) for member in node.members])
    if isinstance(node, Negation):
        return _each(evaluate(node.operand, scope), lambda number: -number)
    if isinstance(node, Operation):
        left, right = evaluate(node.left, scope), evaluate(node.right, scope)
        return _combined(OPERATORS[node.operator], left, right)
    return _called(node, scope)


def _called(node: Call, scope: Scope) -> Value:
    if node.function in UNSUPPORTED:
        raise ExpressionError(f"Blotter does not implement the function {node.function}")
    if node.function not in FUNCTIONS and node.function != "METRICS":
        raise ExpressionError(f"Function '{node.function}' not found")
    arguments = [evaluate(argument, scope) for argument in node.arguments]
    if node.function == "METRICS":
        if len(arguments) > 1 or not all(isinstance(argument, str) for argument in arguments):
            raise ExpressionError("METRICS takes a text or nothing")
        return scope.metrics(str(arguments[0]) if arguments else "")
    return FUNCTIONS[node.function](arguments, scope.window, scope.period)


def _array(values: list[Value]) -> Array:
    members: list[Series] = []
    for value in values:
        if isinstance(value, Series):
            members.append(value)
        elif isinstance(value, Array):
            members.extend(value.members)
        else:
            raise ExpressionError("An array holds time series only")
    return Array(tuple(members))


def _each(value: Value, function: Callable[[float], float]) -> Value:
    """A function of every number of a value."""
    if isinstance(value, Series):
        return value.with_values(finite({at: function(number) for at, number in value.values.items()}))
    if isinstance(value, Array):
        return Array(
            tuple(series for each in value.members if isinstance(series := _each(each, function), Series))
        )
    if isinstance(value, str):
        raise ExpressionError(f"'{value}' is not a number or a time series")
    return function(value)


def _changed(series: Series, function: Callable[[float], float]) -> Series:
    return series.with_values(finite({at: function(number) for at, number in series.values.items()}))


def _combined(operator: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        raise ExpressionError("An operator takes numbers and time series only")
    if not isinstance(right, (Series, Array)):
        return _each(left, lambda number: operator(number, right))
    if not isinstance(left, (Series, Array)):
        return _each(right, lambda number: operator(left, number))
    if isinstance(left, Series) and isinstance(right, Series):
        return _both(operator, left, right)
    if isinstance(left, Array) and isinstance(right, Array):
        raise ExpressionError("An operator cannot take two arrays of time series")
    if isinstance(left, Series):
        return Array(tuple(_both(operator, left, each, each.label) for each in _members(right)))
    return Array(tuple(_both(operator, each, right) for each in left.members if isinstance(right, Series)))


def _members(value: Series | Array) -> tuple[Series, ...]:
    return value.members if isinstance(value, Array) else (value,)


def _both(
    operator: Callable[[float, float], float], left: Series, right: Series, label: str | None = None
) -> Series:
    times = left.values.keys() | right.values.keys()
    values = {at: operator(left.values.get(at, 0.0), right.values.get(at, 0.0)) for at in times}
    period = min(left.period, right.period)
    return Series(finite(values), period, left.label if label is None else label)


def finite(values: dict[int, float]) -> dict[int, float]:
    return {at: number for at, number in values.items() if math.isfinite(number)}


def _divided(left: float, right: float) -> float:
    return left / right if right else math.nan


def _power(left: float, right: float) -> float:
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError):
        return math.nan
    return result if isinstance(result, (int, float)) else math.nan


OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "^": _power,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "AND": lambda left, right: float(bool(left) and bool(right)),
    "OR": lambda left, right: float(bool(left) or bool(right)),
}
