"""The report of a rule between two times, as CloudWatch's GetInsightRuleReport has it. Pure but for reading
points.

Data points are aligned to the period. The last day is read from the points of minutes, what is older from those of
hours: periods of less than an hour show an hour's sum at its begin there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from blotter.database.insights.points import MINUTES_KEPT, Point, read_points
from blotter.database.insights.settings import Insights, Kind
from blotter.database.insights.sketch import estimated_keys
from blotter.database.storage.protocol import ReadTransaction

METRICS: Final = (
    "UniqueContributors",
    "MaxContributorValue",
    "SampleCount",
    "Sum",
    "Minimum",
    "Maximum",
    "Average",
)
_decode_key = msgspec.json.Decoder(list[str]).decode


class Report(msgspec.Struct, frozen=True):
    """What a rule has found: by the begin of each period, in seconds since the epoch."""

    periods: dict[int, Point]
    contributors: list[tuple[list[str], float]]
    """Key values and sums (or greatest values of a period), greatest first."""
    total: float
    unique: int


def make_report(
    tx: ReadTransaction,
    insights: Insights,
    kind: Kind,
    start: float,
    end: float,
    period: int,
    now: float,
    *,
    count: int,
    by_maximum: bool = False,
) -> Report:
    """The report of what happened from `start` on and before `end`."""
    first, last = int(start // 60), -int(-end // 60)
    oldest = (int(now // 60) - MINUTES_KEPT) // 60 * 60 + 60
    periods: dict[int, Point] = {}
    whole = Point()
    parts = (
        read_points(tx, insights, kind, first // 60 * 60, min(last, oldest), hourly=True),
        read_points(tx, insights, kind, max(first, oldest), last, hourly=False),
    )
    for part in parts:
        for minute, point in part:
            whole.add(point)
            periods.setdefault(minute * 60 // period * period, Point()).add(point)
    if by_maximum:
        greatest: dict[str, float] = {}
        for point in periods.values():
            for key, amount in point.contributors.items():
                greatest[key] = max(amount, greatest.get(key, 0.0))
        whole.contributors = greatest
    contributors = [(_decode_key(key), amount) for key, amount in whole.heaviest(count)]
    return Report(periods, contributors, whole.total, estimated_keys(whole.bits))


def datapoint(point: Point, metric: str) -> float:
    """One of METRICS of a period. As on AWS, only MaxContributorValue and Maximum are exact; what is not among the
    heaviest contributors is in Sum alone."""
    values = point.contributors.values()
    unique = max(len(point.contributors), estimated_keys(point.bits))
    match metric:
        case "UniqueContributors":
            return float(unique)
        case "MaxContributorValue" | "Maximum":
            return max(values, default=0.0)
        case "Minimum":
            return min(values, default=0.0)
        case "Sum":
            return point.total
        case "SampleCount":
            return float(unique)
        case _:
            return point.total / unique if unique else 0.0
