"""GetMetricData: values of many metrics and of expressions over them, in pages.

Periods begin at whole multiples of their length. A page holds up to MaxDatapoints values, taken query by query in
the order of the request and value by value in the order of ScanBy; a query whose values go on with the next page
is PartialData. A page evaluates only what it returns, so an expression that is wrong is an error of its page.
Source: botocore's documentation of GetMetricData; messages of AWS as LocalStack (2025-09) and moto have them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from blotter.database.metric_math.periods import rounded_start
from blotter.database.metric_math.queries import MetricDataQuery, Queries, check_queries
from blotter.database.metric_math.samples import Source, fetch_from
from blotter.database.metric_math.series import Array, ExpressionError, Series, Window
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
ENOUGH_READ: Final = 250_000
"""Points of the store after which a page ends with the query that has read them."""
MOST_READ: Final = 1_000_000
"""Points of the store that a page may read."""
_LONGEST_GRID: Final = MOST_POINTS
"""Periods that a request may ask of a metric: more values could not be returned on one page."""


class _Bounded:
    """A source of points that counts what is read, and refuses to read more than a page may cost."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.read = 0

    def points(
        self, metric: Metric, start: float, end: float, period: int, unit: str | None = None
    ) -> list[tuple[str, list[Point]]]:
        found = self._source.points(metric, start, end, period, unit)
        self.read += sum(len(points) for _, points in found)
        if self.read > MOST_READ:
            raise validation(f"The metrics have more than {MOST_READ} stored data points in this time range.")
        return found


class _Place(NamedTuple):
    """Where a page begins: a query, one of the time series that it makes, and a value of that."""

    query: int = 0
    series: int = 0
    value: int = 0


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
    room = _most(arguments)

    def window(period: int) -> Window:
        return Window(rounded_start(start, period, call.now), end)

    source = _Bounded(call.reader.snapshot(tx))
    labels = Labels(call, queries)
    descending = arguments.get("ScanBy") != "TimestampAscending"
    shown: list[dict[str, Any]] = []
    output: Output = {"MetricDataResults": shown, "Messages": []}
    try:
        evaluation = Queries(queries).evaluation(window, fetch_from(source, call.account, call.region, call.now))
        for number, query in enumerate(queries[place.query :], place.query):
            is_full = shown and (room == 0 or source.read >= ENOUGH_READ)
            if is_full and any(each.is_returned for each in queries[number:]):
                output["NextToken"] = make_token(arguments, [number, 0, 0])
                break
            value = evaluation.result(query)
            if query.is_returned:
                results = _results(query, value, labels, evaluation.units.get(query.id, ()), descending)
                first = place if number == place.query else _Place(number)
                room, following = _fill(shown, results, first, room)
                if following is not None:
                    output["NextToken"] = make_token(arguments, list(following))
                    break
    except ExpressionError as error:
        raise validation(str(error)) from None
    return output


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


def _place(arguments: dict[str, Any]) -> _Place:
    try:
        place = read_token(arguments)
        query, series, value = (0, 0, 0) if place is None else (max(0, int(part)) for part in place)
        return _Place(query, series, value)
    except (ValueError, TypeError):
        raise invalid_token() from None


def _most(arguments: dict[str, Any]) -> int:
    most: int = arguments.get("MaxDatapoints", MOST_POINTS)
    if most < 1:
        raise validation("The parameter MaxDatapoints must be greater than or equal to 1.")
    return min(most, MOST_POINTS)


def _results(
    query: MetricDataQuery, value: Series | Array, labels: Labels, units: tuple[str, ...], descending: bool
) -> list[_Result]:
    """The time series that a query returns."""
    is_array = isinstance(value, Array)
    return [
        _Result(
            query,
            labels.label(query, series, series.label if is_array else ""),
            sorted(series.values.items(), reverse=descending),
            units,
        )
        for series in (value.members if isinstance(value, Array) else (value,))
    ]


def _fill(
    shown: list[dict[str, Any]], results: list[_Result], place: _Place, room: int
) -> tuple[int, _Place | None]:
    """Adds results of one query to the page, from a place on. Returns the room that is left, and where the next
    page begins if it does not take them all."""
    offset = place.value
    for number, result in enumerate(results[place.series :], place.series):
        if room == 0:
            return 0, _Place(place.query, number)
        points = result.points[offset : offset + room]
        is_whole = offset + len(points) >= len(result.points)
        shown.append(_shown(result, points, "Complete" if is_whole else "PartialData"))
        room -= len(points)
        if not is_whole:
            return 0, _Place(place.query, number, offset + len(points))
        offset = 0
    return room, None


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
