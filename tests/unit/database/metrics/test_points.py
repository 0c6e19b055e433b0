"""Points add up in any order, and their percentiles are those of the samples, to a percent."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.metrics.buckets import ZERO, bucket_of, middle_of
from blotter.database.metrics.points import Point, added, point, statistic_set

SAMPLES = st.lists(st.floats(min_value=1e-9, max_value=1e12), min_size=1, max_size=40)


@given(st.floats(min_value=1e-100, max_value=1e100))
def test_a_bucket_is_narrower_than_two_percent(value: float) -> None:
    assert abs(middle_of(bucket_of(value)) / value - 1) < 0.01
    assert bucket_of(middle_of(bucket_of(value))) == bucket_of(value)


def test_powers_of_two_begin_buckets() -> None:
    for exponent in range(-40, 40):
        assert bucket_of(2.0**exponent) == 36 * exponent
    assert bucket_of(0.0) == ZERO
    assert middle_of(ZERO) == 0.0


@given(SAMPLES, SAMPLES)
def test_points_add_up(one: list[float], other: list[float]) -> None:
    whole = point(60, [(value, 1.0) for value in one + other])
    first, second = (point(60, [(value, 1.0) for value in values]) for values in (one, other))
    first.add(second)
    assert (first.count, first.low, first.high) == (whole.count, whole.low, whole.high)
    assert first.total == pytest.approx(whole.total)
    ours, theirs = first.distribution(), whole.distribution()
    assert ours is not None
    assert theirs is not None
    assert [count for _, count in ours] == [count for _, count in theirs]
    assert [value for value, _ in ours] == pytest.approx([value for value, _ in theirs])


@pytest.mark.parametrize("percent", [0.1, 10, 50, 90, 99, 99.9, 100])
def test_percentiles_are_those_of_the_samples(percent: float) -> None:
    chance = random.Random(14)
    samples = sorted(chance.lognormvariate(0, 2) for _ in range(5000))
    exact = samples[max(0, math.ceil(len(samples) * percent / 100) - 1)]
    found = point(0, [(value, 1.0) for value in samples]).percentile(percent)
    assert found == pytest.approx(exact, rel=0.02)


def test_values_that_are_alone_in_a_bucket_are_exact() -> None:
    found = point(0, [(0.5, 3.0), (1.0, 4.0), (17.0, 1.0), (0.0, 2.0)])
    assert found.distribution() == [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0), (17.0, 1.0)]
    assert [found.percentile(percent) for percent in (20, 50, 90, 95)] == [0.0, 0.5, 1.0, 17.0]


def test_a_statistic_set_tells_no_percentile_unless_its_values_are_equal() -> None:
    several = statistic_set(0, 10, 100, 1, 30)
    assert several.distribution() is None
    assert several.percentile(50) is None
    equal = statistic_set(0, 10, 30, 3, 3)
    assert equal.percentile(99) == 3
    equal.add(several)
    assert equal.distribution() is None
    assert (equal.count, equal.total, equal.low, equal.high) == (20, 130, 1, 30)


def test_negative_samples_tell_no_percentile() -> None:
    found = point(0, [(-1.0, 1.0), (5.0, 1.0)])
    assert (found.low, found.high, found.total) == (-1.0, 5.0, 4.0)
    assert found.percentile(50) is None


def test_longer_periods_are_sums_of_shorter_ones() -> None:
    minutes = [point(60 * minute, [(float(minute), 1.0)]) for minute in (0, 1, 4, 5, 9)]
    assert [(each.time, each.count, each.total) for each in added(minutes, 300)] == [(0, 3, 5), (300, 2, 14)]
    assert minutes[0].count == 1  # what was added up is as it was


def test_a_point_without_samples_adds_nothing() -> None:
    empty = point(0, [])
    other = point(0, [(2.0, 1.0)])
    other.add(empty)
    assert (other.count, other.low) == (1, 2.0)
    empty.add(other)
    assert empty == Point(0, 1.0, 2.0, 2.0, 2.0)
