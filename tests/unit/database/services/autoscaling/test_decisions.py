"""Decisions as a function. Thresholds: ack-api-quirks, DDB-TABLE-314: 210 and 150 a minute for 5 units, 70 %."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.services.autoscaling.alarms import high_threshold, low_threshold, names
from blotter.database.services.autoscaling.decisions import MINUTES, bounded, decide
from blotter.database.services.autoscaling.records import Place, Policy, Target

PLACE = Place("1" * 12, "us-east-1", "table/rides", "dynamodb:table:ReadCapacityUnits")
NOW = 1_800_000_000.0


def _target(least: int = 1, most: int = 1000) -> Target:
    return Target(PLACE, "id", least, most, NOW)


def _policy(goal: float = 70.0) -> Policy:
    metric = "DynamoDBReadCapacityUtilization"
    return Policy(PLACE, "p", "id", goal, metric, NOW, NOW, names(PLACE))


def test_thresholds_are_those_of_aws() -> None:
    assert high_threshold(70, 5) == pytest.approx(210)
    assert low_threshold(70, 5) == pytest.approx(150)


@pytest.mark.parametrize(
    ("minutes", "capacity"),
    [
        ([211.0, 211.0], 6),
        ([210.0, 211.0], None),
        ([211.0], None),
        ([0.0] * 13 + [420.0, 300.0], 10),
        ([149.0] * 15, 4),
        ([149.0] * 14, None),
        ([149.0] * 14 + [150.0], None),
        ([0.0] * 15, 1),
    ],
)
def test_which_minutes_change_five_units(minutes: list[float], capacity: int | None) -> None:
    decision = decide(_target(), _policy(), 5, minutes, NOW)
    assert (None if decision is None else decision.capacity) == capacity


@given(
    st.integers(1, 500),
    st.floats(10, 90),
    st.lists(st.floats(0, 1e6), max_size=MINUTES),
    st.integers(1, 100),
    st.integers(100, 1000),
)
def test_a_decision_is_within_the_bounds_and_settles(
    capacity: int, goal: float, minutes: list[float], least: int, most: int
) -> None:
    """With the same minutes, the new capacity is left as it is."""
    target, policy = _target(least, most), _policy(goal)
    decision = decide(target, policy, capacity, minutes, NOW)
    if decision is None:
        return
    assert least <= decision.capacity <= most or bounded(target, capacity) is not None
    again = decide(target, policy, decision.capacity, minutes, NOW)
    if again is not None:
        raised, raised_again = decision.capacity > capacity, again.capacity > decision.capacity
        assert raised == raised_again, "never back"


def test_bounded() -> None:
    assert bounded(_target(5, 10), 4) == 5
    assert bounded(_target(5, 10), 11) == 10
    assert bounded(_target(5, 10), 7) is None
