"""Periods: where they begin, and which points of the store they are made of."""

from __future__ import annotations

import pytest

from blotter.database.metric_math.periods import DAY, finest, is_period, kept_period, rounded_start
from blotter.database.metric_math.series import Window

NOW = 1_796_040_000
"""2026-11-30T12:00:00Z."""


def test_which_periods_there_are() -> None:
    assert [seconds for seconds in range(-60, 130) if is_period(seconds)] == [1, 5, 10, 20, 30, 60, 120]


@pytest.mark.parametrize(
    ("days", "period", "expected"),
    [
        (0, 60, NOW - 60),
        (0, 10, NOW - 10),
        (1, 60, NOW - DAY - 60),
        (16, 60, NOW - 16 * DAY - 300),
        (64, 60, NOW - 64 * DAY - 3600),
    ],
)
def test_a_start_is_rounded_down(days: int, period: int, expected: int) -> None:
    assert rounded_start(NOW - days * DAY - 7, period, NOW) == expected


@pytest.mark.parametrize(
    ("start", "end", "anchor", "period", "expected"),
    [
        (NOW - 3600, NOW, 0, 60, 60),
        (NOW - 3600, NOW, 0, 300, 300),
        (NOW - 3600, NOW + 1, 0, 300, 300),  # What is to come tells nothing.
        (NOW - 3600, NOW - 100, 0, 300, 60),  # Cut through by the end.
        (NOW - 3660, NOW, NOW - 3660, 300, 60),  # Begins at another minute.
        (NOW - 7200, NOW, 0, 3600, 3600),
        (NOW - 3600, NOW, 0, 10, 60),
        (NOW - 16 * DAY, NOW, 0, 60, None),
        (NOW - 16 * DAY, NOW, 0, 300, 300),
        (NOW - 64 * DAY, NOW, 0, 300, None),
        (NOW - 64 * DAY, NOW, 0, 7200, 3600),
        (NOW - 4 * 3600, NOW, 0, 10, 60),
    ],
)
def test_the_points_that_a_period_is_made_of(
    start: int, end: int, anchor: int, period: int, expected: int | None
) -> None:
    assert kept_period(Window(start, end, anchor), period, NOW) == expected


def test_a_window_has_whole_periods() -> None:
    assert list(Window(1000, 1300).grid(300)) == [900, 1200]
    assert list(Window(1000, 1300, 1000).grid(300)) == [1000]
    assert Window(0, 0, 40).begin(100, 60) == 100
    assert finest(NOW - 3 * 3600, NOW) == 1
