"""The samples of a metric in periods of any length and alignment, out of the points that the store keeps.

The store has points of a minute, of five and of an hour; periods here may begin at any minute. A metric that was
published in several units is as many series, of which a query that states no unit takes the first, in the order
that AWS has been seen to prefer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from blotter.database.metric_math.periods import kept_period
from blotter.database.metric_math.queries import Fetch, Fetched, MetricStat
from blotter.database.metric_math.queries import Metric as NamedMetric
from blotter.database.metric_math.series import Window
from blotter.database.metric_math.statistics import parse_statistic
from blotter.database.metrics.names import Metric
from blotter.database.metrics.points import Point

UNITS: Final = (
    *("Megabits", "Terabits", "Gigabits", "Count", "Bytes", "Gigabytes", "Gigabytes/Second", "Kilobytes"),
    *("Kilobits/Second", "Terabytes", "Terabits/Second", "Bytes/Second", "Percent", "Megabytes"),
    *("Megabits/Second", "Milliseconds", "Microseconds", "Kilobytes/Second", "Gigabits/Second"),
    *(
        "Megabytes/Second",
        "Bits",
        "Bits/Second",
        "Count/Second",
        "Seconds",
        "Kilobits",
        "Terabytes/Second",
        "None",
    ),
)
"""The order of preference (LocalStack's notes on AWS, tests/aws/services/cloudwatch/test_cloudwatch.py)."""


class Source(Protocol):
    """What has the points: `metrics.series.MetricSnapshot`."""

    def points(
        self, metric: Metric, start: float, end: float, period: int, unit: str | None = None
    ) -> list[tuple[str, list[Point]]]:
        """The points of each unit that begin in a time, at multiples of their period."""


def samples(
    source: Source, metric: Metric, window: Window, period: int, now: float, unit: str | None = None
) -> dict[str, dict[int, Point]]:
    """The samples of each period by its beginning, for each unit in the order of preference. A period that is no
    multiple of those that are kept since the window's start has none."""
    base = kept_period(window, period, now)
    if base is None:
        return {}
    found = source.points(metric, window.begin(window.start, period), window.end, base, unit)
    by_unit = {name: _summed(points, window, period) for name, points in found}
    return {name: by_unit[name] for name in UNITS if by_unit.get(name)}


def fetch_from(source: Source, account: str, region: str, now: float) -> Fetch:
    """Finds the values of metrics of an account and region."""

    def fetch(stat: MetricStat, window: Window) -> Fetched:
        statistic = parse_statistic(stat.stat)
        metric = identity(account, region, stat.metric)
        by_unit = samples(source, metric, window, stat.period, now, stat.unit)
        if statistic is None or not by_unit:
            return Fetched({})
        points = next(iter(by_unit.values()))
        values = {at: value for at, point in points.items() if (value := statistic.compute(point)) is not None}
        return Fetched(values, tuple(by_unit))

    return fetch


def identity(account: str, region: str, metric: NamedMetric) -> Metric:
    """A metric as requests name it, as the store does."""
    return Metric(account, region, metric.namespace, metric.metric_name, metric.by_name)


def _summed(points: Iterable[Point], window: Window, period: int) -> dict[int, Point]:
    sums: dict[int, Point] = {}
    for point in points:
        begin = window.begin(point.time, period)
        if begin in sums:
            sums[begin].add(point)
        elif point.count:
            sums[begin] = point.copy(begin)
    return sums
