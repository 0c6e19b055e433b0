"""The clock by which data are deleted does not jump ahead."""

from __future__ import annotations

import pytest

from blotter.database.background.steady_clock import HOLD_SECONDS, SteadyClock

START = 1_790_000_000.0


class Clocks:
    def __init__(self) -> None:
        self.wall, self.elapsed = START, 500.0
        self.steady = SteadyClock(lambda: self.wall, lambda: self.elapsed)

    def pass_(self, seconds: float) -> float:
        self.wall += seconds
        self.elapsed += seconds
        return self.steady()

    def jump(self, seconds: float) -> float:
        self.wall += seconds
        return self.steady()


def test_it_is_the_wall_clock_while_that_only_counts() -> None:
    clocks = Clocks()
    assert clocks.pass_(0) == START
    assert clocks.pass_(86_400 * 30) == START + 86_400 * 30
    assert clocks.jump(3) == clocks.wall  # what time services do
    assert clocks.jump(-3) == clocks.wall


def test_a_jump_ahead_is_believed_after_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    assert clocks.jump(86_400) == START
    assert "moved ahead by 86400 s" in caplog.records[0].getMessage()
    assert clocks.pass_(60) == START + 60
    assert clocks.pass_(HOLD_SECONDS - 61) == START + HOLD_SECONDS - 1
    assert clocks.pass_(1) == clocks.wall == START + 86_400 + HOLD_SECONDS
    assert len(caplog.records) == 2


def test_a_jump_that_is_taken_back_ends_the_hold() -> None:
    clocks = Clocks()
    clocks.jump(86_400)
    clocks.pass_(60)
    assert clocks.jump(-86_399) == clocks.wall
    assert clocks.pass_(60) == clocks.wall


def test_several_jumps_add_up() -> None:
    clocks = Clocks()
    assert clocks.jump(3600) == START
    clocks.pass_(HOLD_SECONDS - 1)
    assert clocks.jump(3600) == START + HOLD_SECONDS - 1  # the hour begins again
    assert clocks.pass_(HOLD_SECONDS - 1) == START + 2 * HOLD_SECONDS - 2
    assert clocks.pass_(1) == clocks.wall


def test_a_clock_that_is_set_back_is_believed_at_once() -> None:
    clocks = Clocks()
    assert clocks.jump(-86_400) == START - 86_400
    assert clocks.jump(86_400) == START  # where it was: no hold
    clocks.jump(-86_400)
    clocks.pass_(HOLD_SECONDS)
    assert clocks.jump(86_400) == START - 86_400 + HOLD_SECONDS
