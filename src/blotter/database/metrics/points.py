"""What a metric was in a period: a point with its sample count, sum, extremes and distribution.

Points add up: the point of an hour is the sum of its minutes, in any order. A distribution counts samples in
buckets whose bounds grow by 2^(1/36), so that a value is off by less than 1 %; a bucket all of whose samples are
equal has their exact value. A statistic set with several values and a negative sample tell no distribution, and
neither does a sum of points one of which has none. Pure: no store, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from blotter.database.metrics.buckets import bucket_of, middle_of

Value = tuple[float, float]
"""A value and how many samples have it."""
NOTHING: Final[dict[int, Value]] = {}


class Point(msgspec.Struct):
    """`time` is the beginning of the period in seconds since the epoch; values are in the metric's unit."""

    time: int
    count: float
    """Samples. CloudWatch allows fractions."""
    total: float
    low: float
    high: float
    values: dict[int, Value] = {}
    """Values by bucket; empty if all samples are equal, and where none are known."""

    @property
    def average(self) -> float:
        return self.total / self.count if self.count else 0.0

    def distribution(self) -> list[Value] | None:
        """Values and how many samples have them, ascending; None if that is not known."""
        if self.low < 0 or not (self.values or self.low == self.high):
            return None
        return [self.values[bucket] for bucket in sorted(self.values)] or [(self.low, self.count)]

    def percentile(self, percent: float) -> float | None:
        """The value below which so many percent of the samples are; None if that is not known."""
        distribution = self.distribution()
        if distribution is None or not self.count:
            return None
        wanted = self.count * percent / 100.0
        seen = 0.0
        for value, count in distribution:
            seen += count
            if seen >= wanted * (1 - 1e-12):
                return min(max(value, self.low), self.high)
        return self.high

    def add(self, other: Point) -> None:
        """Adds the samples of another point of the same period."""
        if other.count == 0:
            return
        if self.count == 0:
            self.count, self.total, self.low, self.high = other.count, other.total, other.low, other.high
            self.values = other.values
            return
        if self.low == self.high == other.low == other.high:
            self.values = NOTHING
        else:
            self.values = _merged(self.distribution(), other.distribution())
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)

    def copy(self, time: int) -> Point:
        """The same samples at another time."""
        return Point(time, self.count, self.total, self.low, self.high, self.values)


def _merged(one: list[Value] | None, other: list[Value] | None) -> dict[int, Value]:
    if one is None or other is None:
        return NOTHING
    return values_of((*one, *other))


def values_of(values: Iterable[Value]) -> dict[int, Value]:
    """Values by bucket. Different ones in one bucket become their average."""
    found: dict[int, Value] = {}
    for value, count in values:
        bucket = bucket_of(value)
        known = found.get(bucket)
        if known is None:
            found[bucket] = value, count
        elif known[0] == value:
            found[bucket] = value, known[1] + count
        else:
            both = known[1] + count
            found[bucket] = _average(known, (value, count), bucket), both
    return found


def _average(one: Value, other: Value, bucket: int) -> float:
    """Of two values in a bucket. Rounding must not move it out of the bucket."""
    value = (one[0] * one[1] + other[0] * other[1]) / (one[1] + other[1])
    return value if bucket_of(value) == bucket else middle_of(bucket)


def point(time: int, values: Iterable[Value]) -> Point:
    """A point of samples, given as values and how often each was seen."""
    given = [(value, count) for value, count in values if count]
    if not given:
        return Point(time, 0.0, 0.0, 0.0, 0.0)
    low, high = min(value for value, _ in given), max(value for value, _ in given)
    count = math.fsum(count for _, count in given)
    total = math.fsum(value * count for value, count in given)
    return Point(time, count, total, low, high, NOTHING if low == high or low < 0 else values_of(given))


def statistic_set(time: int, count: float, total: float, low: float, high: float) -> Point:
    """A point of which only these are known."""
    return Point(time, count, total, low, high)


def added(points: Iterable[Point], period: int) -> list[Point]:
    """Points of longer periods, each of which begins at a multiple of `period`. Ascending."""
    sums: dict[int, Point] = {}
    for each in points:
        start = each.time - each.time % period
        if start in sums:
            sums[start].add(each)
        else:
            sums[start] = each.copy(start)
    return [sums[start] for start in sorted(sums)]
