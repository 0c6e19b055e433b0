"""Statistics of the samples of a period: "Average", "p99", "TM(10%:90%)" and the others.

A `Statistic` is parsed once and computed for every period. All but the simple five need the distribution of the
samples, which is not known where statistic sets were published, and not used where a sample is negative. A bound
in percent cuts through samples of equal value; of bounds that are values, the upper one is part of the range, the
lower one is not. Source: "CloudWatch statistics definitions" in CloudWatch's user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

Distribution = Sequence[tuple[float, float]]
"""Distinct values, ascending, each with how often it occurred."""

SIMPLE: Final = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


class Samples(Protocol):
    """What is known of the samples of a period; there is at least one."""

    @property
    def count(self) -> float: ...
    @property
    def total(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    def distribution(self) -> Distribution | None: ...


class Bounds(NamedTuple):
    """A part of the samples: from `low` to `high`, None for no bound; in percent of their number, or as values."""

    low: float | None
    high: float | None
    percent: bool


class Statistic(NamedTuple):
    """`name` as it was written. `compute` returns None where the samples do not tell."""

    name: str
    compute: Callable[[Samples], float | None]
    percentile: float | None = None
    """The p of a percentile, which few samples do not tell much about."""


_NUMBER = r"\d{1,15}(?:\.\d{1,10})?"
_SHORT = re.compile(rf"(p|tm|wm|tc|ts)({_NUMBER})", re.ASCII)
_RANGE = re.compile(rf"(PR|TM|WM|TC|TS)\((?:({_NUMBER})(%?))?:(?:({_NUMBER})(%?))?\)", re.ASCII)


@lru_cache(512)
def parse_statistic(name: str) -> Statistic | None:
    """The statistic of a name; None if there is none."""
    simple = _SIMPLE.get(name)
    if simple is not None:
        return Statistic(name, simple)
    if name == "IQM":
        return Statistic(name, _of_distribution(_trimmed_mean, Bounds(25.0, 75.0, True)))
    short = _SHORT.fullmatch(name)
    if short is not None:
        return _percentile(name, short[1], float(short[2]))
    ranged = _RANGE.fullmatch(name)
    return None if ranged is None else _ranged(name, ranged)


def _percentile(name: str, kind: str, percent: float) -> Statistic | None:
    if percent > 100:
        return None
    if kind == "p":
        return Statistic(name, _of_distribution(_high_value, Bounds(None, percent, True)), percent)
    return Statistic(name, _of_distribution(_COMPUTATIONS[kind.upper()], Bounds(None, percent, True)))


def _ranged(name: str, match: re.Match[str]) -> Statistic | None:
    kind, low, low_sign, high, high_sign = match.groups()
    signs = {sign for number, sign in ((low, low_sign), (high, high_sign)) if number is not None}
    if len(signs) != 1:
        return None  # Neither bound, or one in percent and one not.
    bounds = Bounds(None if low is None else float(low), None if high is None else float(high), signs == {"%"})
    if bounds.percent and (kind == "PR" or max(bounds.low or 0.0, bounds.high or 0.0) > 100):
        return None
    if bounds.low is not None and bounds.high is not None and bounds.low >= bounds.high:
        return None
    return Statistic(name, _of_distribution(_COMPUTATIONS[kind], bounds))


def _of_distribution(
    compute: Callable[[Distribution, Bounds], float | None], bounds: Bounds
) -> Callable[[Samples], float | None]:
    def computed(samples: Samples) -> float | None:
        distribution = samples.distribution()
        if not distribution or distribution[0][0] < 0:
            return None
        value = compute(distribution, bounds)
        return None if value is None else float(value)

    return computed


_SIMPLE: Final[dict[str, Callable[[Samples], float | None]]] = {
    "SampleCount": lambda samples: float(samples.count),
    "Average": lambda samples: samples.total / samples.count if samples.count else None,
    "Sum": lambda samples: float(samples.total),
    "Minimum": lambda samples: float(samples.low),
    "Maximum": lambda samples: float(samples.high),
}


# Parts of a distribution


def _part(distribution: Distribution, bounds: Bounds) -> list[tuple[float, float]]:
    """The samples between the bounds; where a bound in percent cuts through equal ones, a part of them."""
    if not bounds.percent:
        return [
            (value, times)
            for value, times in distribution
            if (bounds.low is None or value > bounds.low) and (bounds.high is None or value <= bounds.high)
        ]
    total = sum(times for _, times in distribution)
    first = total * (bounds.low or 0.0) / 100
    last = total * (100.0 if bounds.high is None else bounds.high) / 100
    part, before = [], 0.0
    for value, times in distribution:
        taken = min(before + times, last) - max(before, first)
        if taken > 0:
            part.append((value, taken))
        before += times
    return part


def _high_value(distribution: Distribution, bounds: Bounds) -> float:
    """The percentile: the smallest value that is not exceeded by so many percent of the samples."""
    return _value_at(distribution, bounds.high or 0.0)


def _value_at(distribution: Distribution, percent: float) -> float:
    rank = sum(times for _, times in distribution) * percent / 100
    reached = 0.0
    for value, times in distribution:
        reached += times
        if reached >= rank - 1e-9:
            return value
    return distribution[-1][0]


def _trimmed_mean(distribution: Distribution, bounds: Bounds) -> float | None:
    part = _part(distribution, bounds)
    times = sum(times for _, times in part)
    return sum(value * times for value, times in part) / times if times else None


def _trimmed_count(distribution: Distribution, bounds: Bounds) -> float:
    return sum(times for _, times in _part(distribution, bounds))


def _trimmed_sum(distribution: Distribution, bounds: Bounds) -> float:
    return sum(value * times for value, times in _part(distribution, bounds))


def _winsorized_mean(distribution: Distribution, bounds: Bounds) -> float:
    """The mean with what is outside of the bounds moved to them."""
    low, high = bounds.low, bounds.high
    if bounds.percent:
        low = None if low is None else _value_at(distribution, low)
        high = None if high is None else _value_at(distribution, high)
    least = distribution[0][0] if low is None else low
    most = distribution[-1][0] if high is None else high
    total = sum(times for _, times in distribution)
    return sum(min(max(value, least), most) * times for value, times in distribution) / total


def _percentile_rank(distribution: Distribution, bounds: Bounds) -> float:
    return 100 * _trimmed_count(distribution, bounds) / sum(times for _, times in distribution)


_COMPUTATIONS: Final[dict[str, Callable[[Distribution, Bounds], float | None]]] = {
    "TM": _trimmed_mean,
    "WM": _winsorized_mean,
    "TC": _trimmed_count,
    "TS": _trimmed_sum,
    "PR": _percentile_rank,
}
