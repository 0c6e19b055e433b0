"""Dates: the forms that files really have, and nothing that is no date."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.crimes.reading.dates import NO_TIME, Moment, decide_order, describe, find_moment

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
        "2022/9/16 21:30",
        "2022-09-16 21:30:00 UTC",
        "2022-09-16 21:30:00.000000 UTC",
        "2022-09-16T21:30:00+00:00",
        "2022-09-16 21:30:00-05:00",
        "2022-09-16 21:30 CDT",
        "09/16/2022 09:30:00\u202fPM",
        "9/16/2022, 9:30:00\u202fPM",
        "09/16/2022\u00a009:30:00 p.m.",
        "9/16/22 21:30",
        "09/16/22 9:30 PM",
        "16.09.2022 21:30",
        "16.9.22 21:30:00",
        "09-16-2022 21:30",
        "16-Sep-2022 21:30",
        "16 Sep 22 21:30",
        "Sep 16, 2022 9:30 PM",
        "September 16, 2022, 21:30",
        "2022 Sep 16 09:30:00 PM",
        "  2022-09-16   21:30 ",
        "Fri Sep 16 21:30:00 2022",
        "Fri Sep 16 21:30:00 CDT 2022",
        "Fri, 16 Sep 2022 21:30:00 GMT",
        "Friday, September 16, 2022 09:30:00 PM",
        "Fri 9/16/2022 21:30",
        "20220916T213000",
        "20220916 2130",
        "20220916213000",
        "20220916T213000Z",
        "2022-09-16t21:30:00z",
        "2022-09-16 21:30:00 America/Chicago",
        "2022-09-16T21:30:00-05:00[America/Chicago]",
        "16.09.2022 21.30",
        "16.09.2022, 21:30 Uhr",
        "16-Sep-22 09.30.00.000000 PM",
        "\u200e9/16/2022\u200e 9:30\u202fPM",
    ],
)
def test_forms(text: str) -> None:
    assert find_moment(text) == EVENING


@pytest.mark.parametrize("text", ["16-09-22 21:30", "22-09-16 21:30", "202209161", "20220916.5", "1663363800"])
def test_numbers_that_could_be_read_in_two_ways_are_not_guessed(text: str) -> None:
    assert find_moment(text) is None


@pytest.mark.parametrize(("text", "minute"), [("01/01/2022 12:00:00 AM", 0), ("01/01/2022 12:01 PM", 721)])
def test_twelve_o_clock(text: str, minute: int) -> None:
    moment = find_moment(text)
    assert moment is not None
    assert moment.minute == minute


@pytest.mark.parametrize("text", ["2022-09-16", "9/16/22", "16.09.2022", "16-Sep-2022", "2022 Sep 16"])
def test_a_day_alone_has_no_time(text: str) -> None:
    """Midnight would be a guess, and the model has learned what midnight means."""
    assert find_moment(text) == EVENING._replace(minute=NO_TIME)
    assert find_moment("2022-09-16 00:00") == EVENING._replace(minute=0)


def test_the_order_of_day_and_month_is_the_files() -> None:
    assert find_moment("16/09/2022 21:30", day_first=True) == EVENING
    assert find_moment("16/09/2022 21:30") is None
    assert find_moment("16-09-22", day_first=True) is None, "two digits with dashes could be anything"
    assert find_moment("2022-09-16 21:30", day_first=True) == EVENING


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["2022-01-02", "2022-01-13"], "year first"),
        (["01/02/2022", "01/13/2022"], "month first"),
        (["01/02/2022", "13/01/2022"], "day first"),
        (["01/02/2022"] * 9_000 + ["28-02-2022"], "day first"),
        (["13/01/2022", "01/13/2022"], "month first"),
        (["13/01/2022", "01/13/2022", "01/14/2022"], "month first"),
        ([f"{day:02}/01/2022 10:00" for day in range(1, 13)], "day first"),
        ([f"{day:02}/01/2022 10:00 AM" for day in range(1, 13)], "month first"),
        ([f"01/{day:02}/2022" for day in range(1, 13)], "month first"),
        (["01/01/2022"], "month first"),
        (["16.09.2022", "Sep 16, 2022", ""], ""),
        ([], ""),
    ],
)
def test_one_order_is_decided_for_a_file(texts: list[str], name: str) -> None:
    order = decide_order(texts)
    assert order.name == name
    assert bool(order.reason) == ("first" in name and name != "year first")


def test_a_moment_is_described_without_doubt() -> None:
    assert describe(EVENING) == "September 16, 2022, 21:30"
    assert describe(EVENING._replace(minute=NO_TIME)) == "September 16, 2022"


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
        "09.16.2022",
        "0022-09-16",
        "1899-12-31",
        "2101-01-01",
        "22-09-16",
        "16 Foo 2022",
        "2022-09-16 21:30 XYZ",
        "1663363800",
        "2022-09-16 21:30:00 tomorrow",
        "٢٠٢٢-٠٩-١٦",
        "2022-09-16" + " " * 100,
        "0000-01-01",
    ],
)
def test_no_date(text: str) -> None:
    assert find_moment(text) is None


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31)))
def test_every_moment_of_the_calendar(moment: datetime) -> None:
    for text in (f"{moment:%Y-%m-%d %H:%M:%S}".zfill(19), moment.replace(microsecond=0).isoformat()):
        found = find_moment(text)
        assert found is not None
        assert found == Moment(
            moment.toordinal(), moment.month, moment.day, moment.weekday(), moment.hour * 60 + moment.minute
        )
