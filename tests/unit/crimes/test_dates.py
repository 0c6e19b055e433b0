"""Dates: the forms that files really have, and nothing that is no date."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.crimes.dates import Moment, find_moment

EVENING = Moment(datetime(2022, 9, 16).toordinal(), 9, 16, 4, 21 * 60 + 30)


@pytest.mark.parametrize(
    "text",
    [
        "2022-09-16 21:30:00",
        "2022-09-16T21:30:00.000",
        "2022-09-16T21:30:00Z",
        "2022-09-16 21:30",
        "09/16/2022 09:30:00 PM",
        "9/16/2022 21:30",
        "9/16/2022 9:30 pm",
    ],
)
def test_forms(text: str) -> None:
    assert find_moment(text) == EVENING


@pytest.mark.parametrize(("text", "minute"), [("01/01/2022 12:00:00 AM", 0), ("01/01/2022 12:01 PM", 721)])
def test_twelve_o_clock(text: str, minute: int) -> None:
    moment = find_moment(text)
    assert moment is not None
    assert moment.minute == minute


def test_a_day_alone_is_midnight() -> None:
    assert find_moment("2022-09-16") == EVENING._replace(minute=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2022-02-30",
        "2022-13-01",
        "13/01/2022",
        "2022-09-16 24:00:00",
        "2022-09-16 21:60",
        "09/16/2022 13:00 PM",
        "09/16/2022 0:30 AM",
        "16.09.2022",
        "1663363800",
        "2022-09-16 21:30:00 tomorrow",
        "٢٠٢٢-٠٩-١٦",
        "2022-09-16" + " " * 100,
        "0000-01-01",
    ],
)
def test_no_date(text: str) -> None:
    assert find_moment(text) is None


@given(st.datetimes())
def test_every_moment_of_the_calendar(moment: datetime) -> None:
    for text in (f"{moment:%Y-%m-%d %H:%M:%S}".zfill(19), moment.replace(microsecond=0).isoformat()):
        found = find_moment(text)
        assert found is not None
        assert found == Moment(
            moment.toordinal(), moment.month, moment.day, moment.weekday(), moment.hour * 60 + moment.minute
        )
