"""The queries of a request or of an alarm: metrics and expressions that name each other, each with its value.

`check_queries` says what is wrong without data, with AWS's message where it is known; `Evaluation` evaluates what
is asked for, each query once. How the values of a metric are found is the caller's (`Fetch`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from blotter.database.metric_math.evaluation import evaluate
from blotter.database.metric_math.expressions import Node, parse
from blotter.database.metric_math.periods import MINUTE, is_period
from blotter.database.metric_math.series import Array, ExpressionError, Series, Value, Window
from blotter.database.metric_math.statistics import parse_statistic


class _Shape(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A structure of CloudWatch's API: members are named as there, in Python's spelling."""


class Dimension(_Shape, frozen=True, omit_defaults=True, rename="pascal"):
    name: str
    value: str


class Metric(_Shape, frozen=True, omit_defaults=True, rename="pascal"):
    namespace: str = ""
    metric_name: str = ""
    dimensions: tuple[Dimension, ...] = ()

    @property
    def by_name(self) -> tuple[tuple[str, str], ...]:
        """The dimensions as what identifies the metric: their order says nothing."""
        return tuple(sorted((dimension.name, dimension.value) for dimension in self.dimensions))


class MetricStat(_Shape, frozen=True, omit_defaults=True, rename="pascal"):
    metric: Metric
    period: int
    stat: str
    unit: str | None = None


class MetricDataQuery(_Shape, frozen=True, omit_defaults=True, rename="pascal"):
    id: str
    metric_stat: MetricStat | None = None
    expression: str | None = None
    label: str | None = None
    return_data: bool | None = None
    period: int | None = None
    account_id: str | None = None

    @property
    def is_returned(self) -> bool:
        return self.return_data is not False


class Fetched(NamedTuple):
    """The values of a metric by the beginnings of their periods, and the units that it was published in."""

    values: dict[int, float]
    units: tuple[str, ...] = ()


Fetch: TypeAlias = Callable[[MetricStat, Window], Fetched]

MOST_COMPUTED: Final = 10_000_000
"""Points that one evaluation may compute, steps between included: some seconds of work."""
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*", re.ASCII)
_INSIGHTS = re.compile(r"\s*SELECT\s", re.IGNORECASE)
_PERIODS: Final = "a value in the set [1, 5, 10, 20, 30] or a multiple of 60"


def check_queries(queries: Sequence[MetricDataQuery]) -> list[str]:
    """What is wrong with queries one by one, each on a line as AWS has it; an empty list for nothing."""
    problems: list[str] = []
    for number, query in enumerate(queries, 1):
        path = f"MetricDataQueries.member.{number}"
        if not _ID.fullmatch(query.id):
            problems.append(
                f"The value {query.id} for parameter {path}.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$."
            )
        if query.metric_stat is not None and query.expression is not None:
            problems.append(
                f"The parameters {path}.Expression and {path}.MetricStat are mutually exclusive and you have "
                "specified both."
            )
        elif query.metric_stat is not None:
            problems.extend(_of_metric(query.metric_stat, f"{path}.MetricStat"))
        elif query.expression is None:
            problems.append(f"The parameter {path}.MetricStat is required.\n")
        if query.period is not None and not is_period(query.period):
            problems.append(f"The parameter {path}.Period must be {_PERIODS}.")
    if len({query.id for query in queries}) < len(queries):
        problems.append("The values for parameter id in MetricDataQueries are not unique.")
    return problems


def _of_metric(stat: MetricStat, path: str) -> list[str]:
    problems = []
    for name, value in (("Namespace", stat.metric.namespace), ("MetricName", stat.metric.metric_name)):
        if not value:
            problems.append(f"The parameter {path}.Metric.{name} is required.")
    if not is_period(stat.period):
        problems.append(f"The parameter {path}.Period must be {_PERIODS}.")
    if parse_statistic(stat.stat) is None:
        problems.append(f"The value for parameter {path}.Stat is not a valid statistic.")
    return problems


class Queries:
    """Queries that `check_queries` found nothing wrong with. Raises ExpressionError for one that cannot be
    parsed."""

    def __init__(self, queries: Sequence[MetricDataQuery]) -> None:
        self.queries = tuple(queries)
        self._by_id = {query.id: query for query in queries}
        self._trees = {
            query.id: _parsed(query.id, query.expression) for query in queries if query.expression is not None
        }
        periods = [query.metric_stat.period for query in queries if query.metric_stat is not None]
        self._period = min(periods, default=MINUTE)

    def period_of(self, query: MetricDataQuery) -> int:
        """The period that the query names, or the shortest one of the metrics."""
        if query.metric_stat is not None:
            return query.metric_stat.period
        return query.period or self._period

    def tree(self, name: str) -> Node | None:
        """The expression of a query, None for a metric."""
        return self._trees.get(name)

    def evaluation(self, window: Callable[[int], Window], fetch: Fetch) -> Evaluation:
        """An evaluation over the window that a period has."""
        return Evaluation(self, window, fetch)

    def find(self, name: str) -> MetricDataQuery:
        query = self._by_id.get(name)
        if query is None:
            raise ExpressionError(f"ID '{name}' not found")
        return query


class Evaluation:
    """The values of queries, each computed when it is first needed."""

    def __init__(self, queries: Queries, window: Callable[[int], Window], fetch: Fetch) -> None:
        self._queries = queries
        self._window = window
        self._fetch = fetch
        self._values: dict[str, Value] = {}
        self._under_way: set[str] = set()
        self._computed = 0
        self.units: dict[str, tuple[str, ...]] = {}
        """The units that a metric of no stated unit was published in, by the ids of queries."""

    def value(self, name: str) -> Value:
        """The value of a query; a series or an array if it may be returned. Raises ExpressionError."""
        if name not in self._values:
            query = self._queries.find(name)
            if name in self._under_way:
                raise ExpressionError(f"Circular dependency of '{name}'")
            self._under_way.add(name)
            self._values[name] = self._metric(query) if query.metric_stat else self._expression(query)
            self._under_way.discard(name)
        return self._values[name]

    def result(self, query: MetricDataQuery) -> Series | Array:
        """What a query returns. Raises ExpressionError for one that makes a number."""
        try:
            value = self.value(query.id)
            if isinstance(value, (Series, Array)):
                return value
            raise ExpressionError("The expression has to make a time series or an array of time series")
        except ExpressionError as error:
            raise _in_expression(query.id, error) from None
        except RecursionError:
            raise _in_expression(query.id, ExpressionError("Expressions build upon too many others")) from None

    def _metric(self, query: MetricDataQuery) -> Series:
        stat = query.metric_stat
        if stat is None:
            raise ExpressionError(f"'{query.id}' is not a metric")
        fetched = self._fetch(stat, self._window(stat.period))
        if len(fetched.units) > 1 and stat.unit is None:
            self.units[query.id] = fetched.units
        return Series(fetched.values, stat.period, query.label or stat.metric.metric_name, is_metric=True)

    def _expression(self, query: MetricDataQuery) -> Value:
        tree = self._queries.tree(query.id)
        if tree is None:
            raise ExpressionError(f"'{query.id}' has no expression")
        value = evaluate(tree, _Scope(self, self._window, self._queries.period_of(query)))
        return Series(value.values, value.period, value.label) if isinstance(value, Series) else value

    def spend(self, points: int) -> None:
        self._computed += points
        if self._computed > MOST_COMPUTED:
            raise ExpressionError(f"Expressions may compute up to {MOST_COMPUTED} data points")

    def metrics(self, part: str) -> Array:
        members = []
        for query in self._queries.queries:
            if query.metric_stat is not None and part in query.id:
                value = self.value(query.id)
                if isinstance(value, Series):
                    members.append(value)
        return Array(tuple(members))


class _Scope:
    """What one expression is evaluated in."""

    def __init__(self, evaluation: Evaluation, window: Callable[[int], Window], period: int) -> None:
        self._evaluation = evaluation
        self.period = period
        self.window = window(period)

    def resolve(self, name: str) -> Value:
        return self._evaluation.value(name)

    def metrics(self, part: str) -> Array:
        return self._evaluation.metrics(part)

    def spend(self, points: int) -> None:
        self._evaluation.spend(points)


def _parsed(name: str, expression: str) -> Node:
    try:
        if _INSIGHTS.match(expression):
            raise ExpressionError("Blotter does not implement Metrics Insights queries")
        return parse(expression)
    except ExpressionError as error:
        raise _in_expression(name, error) from None


def _in_expression(name: str, error: ExpressionError) -> ExpressionError:
    text = str(error)
    return (
        error
        if text.startswith("Error in expression")
        else ExpressionError(f"Error in expression '{name}': {text}")
    )
