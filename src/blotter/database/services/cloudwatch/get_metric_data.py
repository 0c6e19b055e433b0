"""GetMetricData: values of many metrics and of expressions over them, in pages.

Periods begin at whole multiples of their length. A page holds up to MaxDatapoints values, taken query by query in
the order of the request and value by value in the order of ScanBy; a query whose values go on with the next page
is PartialData. Source: botocore's documentation of GetMetricData; messages of AWS as LocalStack (2025-09) and moto
have them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from blotter.database.metric_math.periods import rounded_start
from blotter.database.metric_math.queries import Evaluation, MetricDataQuery, Queries, check_queries
from blotter.database.metric_math.samples import Source, fetch_from
from blotter.database.metric_math.series import Array, ExpressionError, Window
from blotter.database.metrics.names import Metric
from blotter.database.metrics.points import Point
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall, converted
from blotter.database.services.cloudwatch.errors import invalid_token, joined, validation
from blotter.database.services.cloudwatch.labels import Labels
from blotter.database.services.cloudwatch.tokens import make_token, read_token
from blotter.database.storage.protocol import ReadTransaction

MOST_QUERIES: Final = 500
MOST_POINTS: Final = 100_800
MOST_READ: Final = 1_000_000
"""Points of the store that a request may read."""
_LONGEST_GRID: Final = MOST_POINTS
"""Periods that a request may ask of a metric: more values could not be returned on one page."""


class _Bounded:
    """A source of points that refuses to read more than a request may cost."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = MOST_READ

    def points(
        self, metric: Metric, start: float, end: float, period: int, unit: str | None = None
    ) -> list[tuple[str, list[Point]]]:
        found = self._source.points(metric, start, end, period, unit)
        self._left -= sum(len(points) for _, points in found)
        if self._left < 0:
            raise validation(f"The metrics have more than {MOST_READ} stored data points in this time range.")
        return found


class _Result(NamedTuple):
    """A time series that is returned; `units` names those of a metric that has more than one."""

    query: MetricDataQuery
    label: str
    points: list[tuple[int, float]]
    units: tuple[str, ...]


def get_metric_data(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    queries = _checked(arguments)
    start, end = _times(arguments, queries)
    place = _place(arguments)
    most = _most(arguments)

    def window(period: int) -> Window:
        return Window(rounded_start(start, period, call.now), end)

    fetch = fetch_from(_Bounded(call.reader.snapshot(tx)), call.account, call.region, call.now)
    descending = arguments.get("ScanBy") != "TimestampAscending"
    try:
        parsed = Queries(queries)
        results = _results(parsed, parsed.evaluation(window, fetch), Labels(call, queries), descending)
    except ExpressionError as error:
        raise validation(str(error)) from None
    return _page(arguments, results, place, most)


def _checked(arguments: dict[str, Any]) -> tuple[MetricDataQuery, ...]:
    if len(arguments["MetricDataQueries"]) > MOST_QUERIES:
        raise validation(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
    queries = converted(arguments["MetricDataQueries"], tuple[MetricDataQuery, ...])
    problems = check_queries(queries)
    if problems:
        raise validation(joined(problems))
    return queries


def _times(arguments: dict[str, Any], queries: tuple[MetricDataQuery, ...]) -> tuple[int, int]:
    start, end = int(arguments["StartTime"]), int(arguments["EndTime"])
    if start > end:
        raise validation("The parameter EndTime must be greater than StartTime.")
    if start == end:
        raise validation("The parameter StartTime must not equal parameter EndTime.")
    periods = [query.metric_stat.period for query in queries if query.metric_stat is not None]
    periods += [query.period for query in queries if query.period is not None]
    asked = (end - start) // min(periods, default=60)
    if asked > _LONGEST_GRID:
        raise validation(
            f"You have requested up to {asked} datapoints, which exceeds the limit of {_LONGEST_GRID}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    return start, end


def _place(arguments: dict[str, Any]) -> tuple[int, int]:
    """Number of the result that the page begins in, and of the value in it."""
    try:
        place = read_token(arguments)
        return (0, 0) if place is None else (int(place[0]), int(place[1]))
    except (ValueError, TypeError, IndexError):
        raise invalid_token() from None


def _most(arguments: dict[str, Any]) -> int:
    most: int = arguments.get("MaxDatapoints", MOST_POINTS)
    if most < 1:
        raise validation("The parameter MaxDatapoints must be greater than or equal to 1.")
    return min(most, MOST_POINTS)


def _results(queries: Queries, evaluation: Evaluation, labels: Labels, descending: bool) -> list[_Result]:
    """Every time series that is returned. What is not returned is evaluated too: it may be wrong."""
    results = []
    for query in queries.queries:
        value = evaluation.result(query)
        if not query.is_returned:
            continue
        for series in value.members if isinstance(value, Array) else (value,):
            points = sorted(series.values.items(), reverse=descending)
            label = labels.label(query, series, series.label if isinstance(value, Array) else "")
            results.append(_Result(query, label, points, evaluation.units.get(query.id, ())))
    return results


def _page(arguments: dict[str, Any], results: list[_Result], place: tuple[int, int], most: int) -> Output:
    shown: list[dict[str, Any]] = []
    room = most
    number, offset = place
    while number < len(results):
        result = results[number]
        points = result.points[offset : offset + room]
        is_whole = offset + len(points) == len(result.points)
        shown.append(_shown(result, points, "Complete" if is_whole else "PartialData"))
        room -= len(points)
        if not is_whole:
            offset += len(points)
            break
        number, offset = number + 1, 0
        if room == 0:
            break
    output: Output = {"MetricDataResults": shown, "Messages": []}
    if number < len(results) and (offset or any(result.points for result in results[number:])):
        output["NextToken"] = make_token(arguments, [number, offset])
    elif number < len(results):
        output["MetricDataResults"] += [_shown(result, [], "Complete") for result in results[number:]]
    return output


def _shown(result: _Result, points: list[tuple[int, float]], status: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Id": result.query.id,
        "Label": result.label,
        "Timestamps": [at for at, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": status,
    }
    if result.units:
        text = f"Multiple units returned: '[{', '.join(result.units)}]'"
        shown["Messages"] = [{"Code": "MultipleUnits", "Value": text}]
    return shown
