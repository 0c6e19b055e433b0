"""Values as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from blotter.crimes.web import text


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0, "0"), (999, "999"), (215551, "215,551"), (19399.6, "19,400")]
)
def test_counts(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0.0%"), (0.0004, "<0.1%"), (0.1123, "11.2%"), (0.9996, ">99.9%"), (1.0, "100.0%")],
)
def test_shares_never_round_to_certainty(value: float | None, shown: str) -> None:
    assert text.share(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (37587, "37.6 kB"),
        (5e9, "5.0 GB"),
    ],
)
def test_sizes(value: float | None, shown: str) -> None:
    assert text.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (-1, "–"),
        (0.83, "0.8 s"),
        (9.96, "10.0 s"),
        (59.7, "1 min 0 s"),
        (184, "3 min 4 s"),
        (7300, "2 h 1 min"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_instants_are_shown_in_utc_whatever_zone_they_came_in() -> None:
    assert text.utc("2026-11-22T14:06:09.120+01:00") == "Nov 22, 2026, 1:06:09 PM UTC"
    assert text.utc("2026-11-22T00:06:09Z") == "Nov 22, 2026, 12:06:09 AM UTC"
    assert text.iso(datetime(2026, 11, 22, 13, 6, 9, tzinfo=UTC)) == "2026-11-22T13:06:09Z"
    assert text.utc(None) == "–"
    assert text.iso("yesterday") == ""
    assert text.elapsed("2026-11-22T13:00:00Z", "2026-11-22T13:00:12.500Z") == 12.5
    assert text.elapsed(None, "2026-11-22T13:00:12Z") is None


def test_headings_and_sentences() -> None:
    assert text.title("MOTOR VEHICLE THEFT") == "Motor vehicle theft"
    assert text.title("Other") == "Other"
    assert text.sentence("the file is empty") == "The file is empty."
    assert text.sentence("Why?") == "Why?"


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0, "0"), (0.4, "0.4"), (9.94, "9.9"), (9.96, "10"), (23606.4, "23,606")]
)
def test_expected_counts_keep_a_decimal_while_they_are_small(value: float | None, shown: str) -> None:
    assert text.amount(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (527, "+527"), (-12.4, "−12"), (3, "+3"), (0.2, "+0.2"), (-1.75, "−1.8"), (-0.02, "0")],
)
def test_differences_have_a_sign(value: float | None, shown: str) -> None:
    assert text.signed(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.021, "+2.1 points"), (-0.176, "−17.6 points"), (-0.0001, "0.0 points")]
)
def test_differences_of_shares_are_points(value: float | None, shown: str) -> None:
    assert text.points(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (150_000, "150,000"), (1.5e6, "1.5M"), (6e8, "600M")])
def test_axes_have_room_for_huge_counts(value: float, shown: str) -> None:
    assert text.tick(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(None, "–"), ("2022-01-31", "Jan 31, 2022"), ("soon", "soon")])
def test_days(value: str | None, shown: str) -> None:
    assert text.day(value) == shown
