"""The state of an alarm, out of the points of its evaluation range; pure.

The range is longer than the evaluation periods N, so that older points stand in for missing ones. With N points or
more, the newest N decide: M of them breaching is ALARM. With fewer, what is missing of N is filled as the alarm
treats missing data:

    breaching      as breaching points
    notBreaching   as points within the threshold
    missing        not at all; without any point INSUFFICIENT_DATA
    ignore         not at all; where the points do not decide, the state stays

If every point that there is breaches, but they are fewer than M, `missing` is ALARM only once the oldest of them
is at least M periods old: the next point may be fine ("premature transitions"), and the state stays until then.
Source: "Configuring how CloudWatch alarms treat missing data" in CloudWatch's user guide, whose tables are the
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Treatment = Literal["breaching", "notBreaching", "ignore", "missing"]

TREATMENTS: Final[tuple[Treatment, ...]] = ("breaching", "notBreaching", "ignore", "missing")

EXTRA_PERIODS: Final = 2
"""Periods of the evaluation range beyond the evaluation periods, as in AWS's examples; how many there are on AWS
depends on the alarm in a way that it does not tell."""

COMPARISONS: Final[dict[str, tuple[Callable[[float, float], bool], str]]] = {
    "GreaterThanOrEqualToThreshold": (lambda value, limit: value >= limit, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, limit: value > limit, "greater than"),
    "LessThanThreshold": (lambda value, limit: value < limit, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, limit: value <= limit, "less than or equal to"),
}
"""Whether a value breaches a threshold, and how that is said."""


class Point(NamedTuple):
    """The value of one period, which begins at `at`; None where there is none. `samples` is their number, if it is
    a metric."""

    at: int
    value: float | None
    samples: float | None = None


class Rule(NamedTuple):
    """What an alarm watches for: `breaching` of the last `periods` points."""

    comparison: str
    threshold: float
    periods: int
    breaching: int
    treatment: Treatment

    def is_breached_by(self, value: float) -> bool:
        return COMPARISONS[self.comparison][0](value, self.threshold)


class Verdict(NamedTuple):
    """`state` is None where it stays as it is. `points` are those that have a value and were judged, the newest
    first; `missing` are the newest of those that were not there and had to be, `filled` of which were treated as
    breaching or not."""

    state: State | None
    points: tuple[Point, ...]
    missing: tuple[Point, ...] = ()
    filled: int = 0


def judge(rule: Rule, newest_first: Sequence[Point]) -> Verdict:
    """The verdict on the points of the evaluation range, one for each period."""
    real = [point for point in newest_first if point.value is not None]
    judged = tuple(real[: rule.periods])
    breaching = _breaching(rule, judged)
    absent = [point for point in newest_first if point.value is None][: rule.periods - len(judged)]
    missing = tuple(absent)
    if not missing:
        return Verdict(_by_count(rule, breaching), judged)
    if rule.treatment == "breaching":
        return Verdict(_by_count(rule, breaching + len(missing)), judged, missing, len(missing))
    if rule.treatment == "notBreaching":
        return Verdict(_by_count(rule, breaching), judged, missing, len(missing))
    return Verdict(_of_few(rule, newest_first, judged, breaching), judged, missing)


def _of_few(rule: Rule, newest_first: Sequence[Point], judged: tuple[Point, ...], breaching: int) -> State | None:
    """The state of fewer points than there should be, if missing ones are not filled."""
    if not judged:
        return None if rule.treatment == "ignore" else "INSUFFICIENT_DATA"
    if breaching >= rule.breaching or breaching < len(judged):
        return _by_count(rule, breaching)
    age = 1 + newest_first.index(judged[-1])
    return "ALARM" if rule.treatment == "missing" and age >= rule.breaching else None


def _by_count(rule: Rule, breaching: int) -> State:
    return "ALARM" if breaching >= rule.breaching else "OK"


def _breaching(rule: Rule, points: Sequence[Point]) -> int:
    return sum(1 for point in points if point.value is not None and rule.is_breached_by(point.value))
