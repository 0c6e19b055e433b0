"""GetMetricStatistics: statistics of one metric in periods that begin with the request's start.

Source: botocore's documentation of GetMetricStatistics; messages of AWS as LocalStack (2025-09) and moto have
them.
"""

from __future__ import annotations

from typing import Any, Final

from blotter.database.metric_math.periods import is_period, rounded_start
from blotter.database.metric_math.queries import Metric as NamedMetric
from blotter.database.metric_math.samples import identity, samples
from blotter.database.metric_math.series import Window
from blotter.database.metric_math.statistics import Statistic, parse_statistic
from blotter.database.metrics.points import Point
from blotter.database.services.api import Output
from blotter.database.services.cloudwatch.calls import CloudWatchCall, converted
from blotter.database.services.cloudwatch.errors import combination, invalid
from blotter.database.services.errors import shortened
from blotter.database.storage.protocol import ReadTransaction

MOST_POINTS: Final = 1440


def get_metric_statistics(call: CloudWatchCall, tx: ReadTransaction) -> Output:
    arguments = call.arguments
    simple, extended = _statistics(arguments)
    period, window = _window(arguments, call.now)
    metric = converted(arguments, NamedMetric)
    identified = identity(call.account, call.region, metric)
    source = call.reader.snapshot(tx)
    by_unit = samples(source, identified, window, period, call.now, arguments.get("Unit"))
    points = [
        datapoint
        for unit, found in by_unit.items()
        for at, point in sorted(found.items())
        if (datapoint := _datapoint(at, point, unit, simple, extended)) is not None
    ]
    return {"Label": metric.metric_name, "Datapoints": points}


def _statistics(arguments: dict[str, Any]) -> tuple[list[Statistic], list[Statistic]]:
    names, extended = arguments.get("Statistics"), arguments.get("ExtendedStatistics")
    if (names is None) == (extended is None):
        raise combination("Must specify either Statistics or ExtendedStatistics")
    found = []
    for name in extended or ():
        statistic = parse_statistic(name)
        if statistic is None:
            raise invalid(f"The value {shortened(name)} for parameter ExtendedStatistics is not supported.")
        found.append(statistic)
    return [statistic for name in names or () if (statistic := parse_statistic(name)) is not None], found


def _window(arguments: dict[str, Any], now: float) -> tuple[int, Window]:
    period = arguments["Period"]
    if not is_period(period):
        raise invalid("The parameter Period must be a value in the set [1, 5, 10, 20, 30] or a multiple of 60.")
    start, end = int(arguments["StartTime"]), int(arguments["EndTime"])
    if start >= end:
        raise invalid("The parameter StartTime must be less than the parameter EndTime.")
    asked = (end - start) // period
    if asked > MOST_POINTS:
        raise combination(
            f"You have requested up to {asked} datapoints, which exceeds the limit of {MOST_POINTS}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    begin = rounded_start(start, period, now)
    return period, Window(begin, end, begin)


def _datapoint(
    at: int, point: Point, unit: str, simple: list[Statistic], extended: list[Statistic]
) -> dict[str, Any] | None:
    """A point with its statistics; None where it tells none of them."""
    shown: dict[str, Any] = {"Timestamp": at, "Unit": unit}
    for statistic in simple:
        shown[statistic.name] = statistic.compute(point)
    if not extended:
        return shown
    values = {each.name: value for each in extended if (value := each.compute(point)) is not None}
    return shown | {"ExtendedStatistics": values} if values else None
