"""When schedules are due. The expressions are the examples of
https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html and
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html; what is refused:
badmintoncryer/cdk-preflight (measured 2026)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.services.autoscaling.schedules import parse_schedule
from blotter.database.services.errors import ServiceError

CREATED = datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC).timestamp()  # a Sunday


def _times(
    expression: str, count: int = 3, zone: str | None = None, after: str = "2026-11-29T01:02:03"
) -> list[str]:
    place = ZoneInfo(zone or "UTC")
    moment: float | None = datetime.fromisoformat(after).replace(tzinfo=place).timestamp()
    schedule = parse_schedule(expression, zone, CREATED)
    found = []
    for _ in range(count):
        assert moment is not None
        moment = schedule.after(moment)
        if moment is None:
            break
        found.append(datetime.fromtimestamp(moment, place).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("at(2026-12-24T18:00:00)", ["2026-12-24 18:00"]),
        ("at(2026-11-29T01:02:03)", []),
        ("rate(5 minutes)", ["2026-11-29 01:07", "2026-11-29 01:12", "2026-11-29 01:17"]),
        ("rate(1 hour)", ["2026-11-29 02:02", "2026-11-29 03:02", "2026-11-29 04:02"]),
        ("rate(1 day)", ["2026-11-30 01:02", "2026-12-01 01:02", "2026-12-02 01:02"]),
        ("cron(0 10 * * ? *)", ["2026-11-29 10:00", "2026-11-30 10:00", "2026-12-01 10:00"]),
        ("cron(15 12 * * ? *)", ["2026-11-29 12:15", "2026-11-30 12:15", "2026-12-01 12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-11-30 18:00", "2026-12-01 18:00", "2026-12-02 18:00"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01 08:00", "2027-01-01 08:00", "2027-02-01 08:00"]),
        ("cron(0/15 * * * ? *)", ["2026-11-29 01:15", "2026-11-29 01:30", "2026-11-29 01:45"]),
        ("cron(0/10 * ? * MON-FRI *)", ["2026-11-30 00:00", "2026-11-30 00:10", "2026-11-30 00:20"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["2026-11-30 08:00", "2026-11-30 08:05", "2026-11-30 08:10"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", ["2026-11-30 00:00", "2026-11-30 00:30", "2026-11-30 01:00"]),
        ("cron(0 9 ? * 2#1 *)", ["2026-12-07 09:00", "2027-01-04 09:00", "2027-02-01 09:00"]),
        ("cron(0 9 ? * 6L *)", ["2026-12-25 09:00", "2027-01-29 09:00", "2027-02-26 09:00"]),
        ("cron(0 9 L * ? *)", ["2026-11-30 09:00", "2026-12-31 09:00", "2027-01-31 09:00"]),
        ("cron(0 9 LW * ? *)", ["2026-11-30 09:00", "2026-12-31 09:00", "2027-01-29 09:00"]),
        ("cron(0 9 15W * ? *)", ["2026-12-15 09:00", "2027-01-15 09:00", "2027-02-15 09:00"]),
        ("cron(0 9 1W 8 ? 2026-2027)", ["2027-08-02 09:00"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("cron(0 0 1 1 ? 2030)", ["2030-01-01 00:00"]),
        ("cron(0 0 1 1 ? 2020)", []),
        ("cron(0 0 30 2 ? *)", []),
        ("cron(30 3 ? JAN,MAR SUN *)", ["2027-01-03 03:30", "2027-01-10 03:30", "2027-01-17 03:30"]),
    ],
)
def test_when_expressions_are_due(expression: str, due: list[str]) -> None:
    assert _times(expression) == due


def test_a_time_that_the_clock_skips_is_due_when_it_was_moved() -> None:
    found = _times("cron(30 2 * * ? *)", 2, "Europe/Berlin", "2027-03-27T12:00:00")
    assert found == ["2027-03-28 03:30", "2027-03-29 02:30"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    found = _times("cron(30 2 * * ? *)", 2, "Europe/Berlin", "2026-10-24T12:00:00")
    assert found == ["2026-10-25 02:30", "2026-10-26 02:30"]


def test_a_zone_counts_for_once_too() -> None:
    schedule = parse_schedule("at(2026-12-24T18:00:00)", "America/New_York", CREATED)
    assert schedule.after(CREATED) == datetime(2026, 12, 24, 23, tzinfo=UTC).timestamp()


SYNTAX = (
    "Invalid schedule expression. Schedule expressions must have the following syntax: rate(<number>\\s?(minutes?|"
    "hours?|days?)), cron(<cron_expression>) or at(yyyy-MM-dd'T'HH:mm:ss)"
)


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("5 minutes", None, SYNTAX),
        ("rate(5 weeks)", None, SYNTAX),
        ("rate(-5 minutes)", None, SYNTAX),
        ("rate(0 minutes)", None, "Invalid schedule frequency. Runs are less than 60 seconds apart"),
        ("at(tomorrow)", None, "Invalid schedule at DateTime expression: tomorrow"),
        ("at(2026-13-01T00:00:00)", None, "Invalid schedule at DateTime expression: 2026-13-01T00:00:00"),
        ("cron(* * * * * *)", None, "Invalid CRON expression: * * * * * *"),
        ("cron(0 25 * * ? *)", None, "Invalid CRON expression: 0 25 * * ? *"),
        ("cron(0 9 ? * XYZ *)", None, "Invalid CRON expression: 0 9 ? * XYZ *"),
        ("cron(0 9 32W * ? *)", None, "Invalid CRON expression: 0 9 32W * ? *"),
        ("cron(0 9 ? * 2#6 *)", None, "Invalid CRON expression: 0 9 ? * 2#6 *"),
        ("cron(0/0 9 * * ? *)", None, "Invalid CRON expression: 0/0 9 * * ? *"),
        ("cron(1/ 9 * * ? *)", None, "Invalid CRON expression: 1/ 9 * * ? *"),
        ("cron(0 9)", None, "Invalid CRON expression: 0 9"),
        ("cron(٣ 9 * * ? *)", None, "Invalid CRON expression: ٣ 9 * * ? *"),
        ("rate(5 minutes)", "Mars/Olympus", "Invalid timezone: Mars/Olympus"),
        ("rate(5 minutes)", "../../etc/passwd", "Invalid timezone: ../../etc/passwd"),
    ],
)
def test_what_is_no_schedule(expression: str, zone: str | None, message: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_schedule(expression, zone, CREATED)
    assert (refused.value.code, refused.value.message) == ("ValidationException", message)


@given(st.text("0123456789*/-,?LW#MON ", min_size=1, max_size=30), st.sampled_from(["cron", "rate", "at"]))
def test_any_expression_is_refused_or_due_later(text: str, kind: str) -> None:
    try:
        schedule = parse_schedule(f"{kind}({text})", None, CREATED)
    except ServiceError:
        return
    due = schedule.after(CREATED)
    assert due is None or due > CREATED
