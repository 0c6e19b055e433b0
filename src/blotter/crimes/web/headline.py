"""What a result shows first: how many arrests to expect, and how that compares with what the file records.

The expected number is the sum of the probabilities, not the count of incidents above 0.5: with an arrest rate
of 11 % hardly any robbery passes 0.5, although one in twenty ends with an arrest. Results of older versions
lack the sum and its interval; then both are computed from the mean and the histogram. Also here: the movable
threshold, which shows what a cut at another probability would give. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from blotter.crimes.item import CalibrationBin, Group, Result

DEFAULT_THRESHOLD = 50
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Headline:
    """`low` and `high` are the 95 % interval, None when nothing is known of it."""

    expected: float
    low: float | None
    high: float | None
    share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Recorded against expected arrests over the `rows` incidents with a readable Arrest column."""

    rows: int
    actual: int
    expected: float
    brier: float
    roc_auc: float | None
    calibration_error: float
    bins: tuple[CalibrationBin, ...]

    @property
    def difference(self) -> float:
        """Recorded minus expected."""
        return self.actual - self.expected

    @property
    def relative(self) -> float | None:
        """The difference in shares of the expected number."""
        return self.difference / self.expected if self.expected else None


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a cut gives: `rows` incidents at or above it hold about `expected` arrests, a share `caught` of all.

    `actual`, `precision` and `recall` are None where the file records no arrests.
    """

    percent: int
    rows: int
    share: float
    expected: float
    caught: float | None
    actual: int | None
    precision: float | None
    recall: float | None


def expected_arrests(result: Result) -> float | None:
    """The sum of the probabilities; from the mean for results that do not carry it."""
    if result.expected_arrests is not None:
        return result.expected_arrests
    return None if result.mean_probability is None else result.mean_probability * result.rows_scored


def group_expected(group: Group) -> float:
    """The same for one entry of a breakdown."""
    return group.expected_arrests or group.mean_probability * group.rows


def headline_of(result: Result) -> Headline | None:
    """None when nothing was scored."""
    expected = expected_arrests(result)
    if expected is None or not result.rows_scored:
        return None
    low, high = result.expected_low, result.expected_high
    if low is None or high is None:
        low, high = _interval(expected, result.rows_scored, steps_of(result))
    return Headline(expected, low, high, expected / result.rows_scored)


def comparison_of(result: Result) -> Comparison | None:
    """None when the file has no readable Arrest column."""
    outcomes = result.outcomes
    if outcomes is None or not outcomes.rows:
        return None
    return Comparison(
        outcomes.rows,
        outcomes.actual_arrests,
        outcomes.expected_arrests,
        outcomes.brier,
        outcomes.roc_auc,
        outcomes.calibration_error,
        tuple(outcomes.calibration),
    )


def steps_of(result: Result) -> list[int]:
    """Scored rows in equal steps of probability: 100, or the histogram's 20 for older results."""
    return result.rows_by_step or result.probability_histogram


def threshold_of(result: Result, percent: int) -> Threshold | None:
    """What a cut at `percent` gives; None when the result has no steps. A cut inside a step moves to its start."""
    steps = steps_of(result)
    if not steps or not sum(steps):
        return None
    percent = min(max(percent, 0), 100)
    place = percent * len(steps) // 100
    percent = place * 100 // len(steps)
    rows = sum(steps[place:])
    expected, everything = _mass(steps, place), _mass(steps, 0)
    outcomes = result.outcomes
    actual = precision = recall = None
    if outcomes is not None and len(outcomes.arrests_by_step) == len(steps) == len(outcomes.rows_by_step):
        actual = sum(outcomes.arrests_by_step[place:])
        known, arrests = sum(outcomes.rows_by_step[place:]), sum(outcomes.arrests_by_step)
        precision = actual / known if known else None
        recall = actual / arrests if arrests else None
    return Threshold(
        percent,
        rows,
        rows / sum(steps),
        expected,
        expected / everything if everything else None,
        actual,
        precision,
        recall,
    )


def _mass(steps: Sequence[int], start: int) -> float:
    """About how many arrests the rows from a step on hold: each row counts its step's middle."""
    return sum(rows * (place + 0.5) / len(steps) for place, rows in enumerate(steps) if place >= start)


def _interval(expected: float, rows: int, steps: Sequence[int]) -> tuple[float | None, float | None]:
    """The spread that independent arrests with these probabilities have, from the steps' middles."""
    if not sum(steps):
        return None, None
    middles = [(place + 0.5) / len(steps) for place in range(len(steps))]
    spread = _NORMAL_95 * math.sqrt(sum(n * p * (1 - p) for n, p in zip(steps, middles, strict=True)))
    return max(0.0, expected - spread), min(float(rows), expected + spread)
