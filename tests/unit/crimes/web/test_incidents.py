"""The incidents of a file: as many as the result page shows; filters, order, pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from blotter.crimes.jobs.processing import Processor
from blotter.crimes.web import incidents
from blotter.crimes.web.incidents import Filters

PREDICTIONS = (
    b"Date,Primary Type,Description,Community Area,Arrest,probability,skipped_reason\n"
    b"2022-01-03 21:30:00,theft ,OVER $500,8,true,0.2,\n"
    b"2022-01-04 21:59:00,THEFT,=1+1,8.0,false,0.4,\n"
    b"2022-01-05 03:00:00,,,,,0.4,\n"
    b"rubbish,THEFT,,8,true,,BAD_DATE\n"
    b"2022-01-06 00:00:00,NARCOTICS,<b>x</b>,25,Y,1.0,\n"
)


def numbers(**filters: Any) -> list[int]:
    return [one.number for one in incidents.read([PREDICTIONS], Filters.of(filters)).incidents]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [5, 2, 3, 1]),
        ({"order": "unlikely"}, [1, 2, 3, 5]),
        ({"order": "file"}, [1, 2, 3, 5]),
        ({"type": "THEFT"}, [2, 1]),
        ({"type": "unknown"}, [3]),
        ({"area": "8"}, [2, 1]),
        ({"area": "unknown"}, [3]),
        ({"hour": "21"}, [2, 1]),
        ({"hour": "0"}, [5]),
        ({"weekday": "0"}, [1]),
        ({"low": "40"}, [5, 2, 3]),
        ({"high": "40"}, [1]),
        ({"type": "THEFT", "hour": "3"}, []),
        ({"order": "nonsense", "page": "x", "low": "-1", "hour": "99x"}, [5, 2, 3, 1]),
    ],
)
def test_filters_and_order(filters: dict[str, str], found: list[int]) -> None:
    assert numbers(**filters) == found


def test_dates_are_read_in_the_order_of_the_file() -> None:
    content = b"Date,probability\n03/01/2022 10:00:00,0.5\n"  # January 3 was a Monday, March 1 a Tuesday
    for day_first, weekday in ((True, "0"), (False, "1")):
        page = incidents.read([content], Filters.of({"weekday": weekday, "hour": "10"}), day_first=day_first)
        assert len(page.incidents) == 1
    undated = incidents.read([b"Date,probability\n2022-01-03,0.5\n"], Filters.of({"hour": "0"}))
    assert undated.incidents == (), "a day without a time is not midnight"


def test_recorded_arrests_are_read_as_the_summary_reads_them() -> None:
    found = incidents.read([PREDICTIONS], Filters.of({"order": "file"}))
    assert [one.arrest for one in found.incidents] == [True, False, None, True]


@pytest.mark.parametrize("order", ["likely", "unlikely", "file"])
def test_pages_hold_every_incident_once(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    monkeypatch.setattr(incidents, "PER_PAGE", 3)
    first, second = (incidents.read([PREDICTIONS], Filters.of({"order": order, "page": page})) for page in "12")
    assert (len(first.incidents), first.more, len(second.incidents), second.more) == (3, True, 1, False)
    assert sorted(one.number for one in (*first.incidents, *second.incidents)) == [1, 2, 3, 5]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"probability\n\n0.5\nx\n"])
def test_a_strange_predictions_file_is_no_error(content: bytes) -> None:
    assert len(incidents.read([content], Filters()).incidents) <= 1


def test_every_number_of_the_result_page_can_be_listed(client: TestClient, processor: Processor) -> None:
    address = client.post("/example", follow_redirects=False).headers["location"]
    key = client.get("/api/results").json()["results"][0]["file_key"]
    processor.process(key)
    result = client.get(f"/api{address}").json()

    def count(query: str) -> int:
        shown, page = 0, 1
        while True:
            rows = client.get(f"{address}/incidents?{query}&page={page}").text.count('<td data-head="Incident"')
            shown, page = shown + rows, page + 1
            if rows < incidents.PER_PAGE:
                return shown

    for query, groups, names in (
        ("type", result["by_primary_type"], ("THEFT", "NARCOTICS")),
        ("area", result["by_community_area"], ("8", "25")),
        ("hour", result["by_hour"], ("0", "21")),
        ("weekday", result["by_weekday"], ("6",)),
    ):
        for name in names:
            assert count(f"{query}={name}") == groups[name]["rows"], name


def test_what_users_wrote_is_escaped(client: TestClient, files: Any) -> None:
    key = files.completed("uploads/x/a.csv")
    files.objects.put_stream(f"{key}.predictions.csv", [PREDICTIONS])
    page = client.get("/results/uploads%2Fx%2Fa.csv/incidents?type=NARCOTICS").text
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert re.search(r'<option value="&lt;script&gt;alert\(1\)&lt;/script&gt;">', page)
    waiting = client.get(f"/results/{files.uploaded('uploads/y/b.csv')}/incidents")
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (409, "NOT_COMPLETED")
