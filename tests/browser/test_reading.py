"""Reading a result: the map's metrics, sorting, tooltips, times, keyboard, narrow screens, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from blotter.crimes.storage.attributes import to_item

PHONE = {"width": 390, "height": 844}
# Whether in one of the charts two neighboring labels touch.
_OVERLAPS = """(charts) => charts.some((chart) => {
  const boxes = [...chart.querySelectorAll("text.label")].map((label) => label.getBoundingClientRect());
  const shown = boxes.filter((box) => box.width);
  return shown.some((box, place) => place && shown[place - 1].right > box.left);
})"""


@pytest.fixture(scope="module")
def result_path(application: Any, sample: Path) -> str:
    """The page of the completed sample."""
    with sample.open("rb") as file:
        answer = httpx.post(f"{application.url}/api/files", files={"file": (sample.name, file)})
    assert answer.status_code == 202
    accepted = answer.json()
    with httpx.stream("GET", application.url + accepted["events_url"], timeout=60) as events:
        assert '"COMPLETED"' in events.read().decode()
    return str(accepted["page_url"])


def test_the_map_shows_what_is_chosen(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path)
    fill = "(area) => getComputedStyle(area).fill"
    areas = page.locator("path.area:not(.none)")
    before = areas.evaluate_all("(all) => all.map((area) => getComputedStyle(area).fill)")
    assert len(set(before)) > 1
    page.locator("#areas").scroll_into_view_if_needed()
    page.locator(".choice label", has_text="Incidents").click()
    expect(page.locator(".legend.r")).to_be_visible()
    expect(page.locator(".legend.p")).to_be_hidden()
    assert areas.evaluate_all("(all) => all.map((area) => getComputedStyle(area).fill)") != before
    assert "url" in page.locator("path.area.none").first.evaluate(fill)


def test_tables_sort_by_a_click_and_by_keyboard(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path)
    table = page.locator("#types-table")
    column = "(table) => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value))"
    table.get_by_role("button", name="Mean probability").click()
    values = table.evaluate(column)
    assert values == sorted(values, reverse=True)
    table.get_by_role("button", name="Mean probability").press("Enter")
    assert table.evaluate(column) == sorted(values)
    assert table.locator("th[aria-sort]").count() == 1
    expect(table.locator("th[aria-sort=ascending]")).to_contain_text("Mean probability")


def test_long_tables_unfold(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path)
    rows = page.locator("#areas-table tbody tr")
    assert rows.count() > 12
    expect(rows.nth(12)).to_be_hidden()
    page.locator(".breakdown", has=page.locator("#areas-table")).get_by_text("Show all").click()
    expect(rows.nth(12)).to_be_visible()


def test_pointing_at_a_bar_or_an_area_tells_its_figures(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path)
    tip = page.locator(".tip")
    expect(tip).to_be_hidden()
    page.locator(".columns .column").first.hover()
    expect(tip).to_contain_text("0–5%: ")
    page.locator("path.area").nth(31).hover()
    expect(tip).to_contain_text("Loop (Central)")


def test_the_map_is_walked_and_opened_by_keyboard(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path)
    links = page.locator(".areas a")
    assert links.count() > 30
    assert page.locator(".areas a[tabindex='0']").count() == 1, "one stop of the Tab key, not seventy"
    links.first.focus()
    before = page.evaluate("document.activeElement.getAttribute('aria-label')")
    expect(page.locator(".tip")).to_contain_text(before)
    page.keyboard.press("ArrowDown")
    after = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert after != before
    page.keyboard.press("Enter")
    page.wait_for_url("**/incidents?area=*")
    expect(page.get_by_role("heading", level=1)).to_contain_text(after.partition(" (")[0])
    assert page.locator("table.incidents tbody tr").count() >= 1


def test_a_type_leads_to_its_incidents_and_back(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path)
    row = page.locator("#types-table tbody tr").first
    rows = int(row.locator("td").first.get_attribute("data-value") or 0)
    row.get_by_role("link").press("Enter")
    expect(page.locator("table.incidents tbody tr")).to_have_count(rows)
    page.get_by_label("Order").select_option("unlikely")
    page.get_by_role("button", name="Show").click()
    shown = page.locator("table.incidents tbody .meter span").all_inner_texts()
    values = [float(text.strip("<>%")) for text in shown]
    assert values == sorted(values)
    page.locator(".crumb a").click()
    expect(page.get_by_role("heading", name="By type of crime")).to_be_visible()


@pytest.fixture(scope="module")
def outcomes_path(application: Any) -> str:
    """The page of a result with recorded arrests, written as the worker writes it."""
    steps, arrests = [40, *[0] * 29, 10, *[0] * 69], [1, *[0] * 29, 4, *[0] * 69]
    result = {
        "file_key": "outcomes.csv",
        "status": "COMPLETED",
        "file_name": "outcomes.csv",
        "rows_read": 50,
        "rows_scored": 50,
        "mean_probability": 0.065,
        "expected_arrests": 3.25,
        "expected_low": 0.5,
        "expected_high": 6.5,
        "midnight_rows": 7,
        "rows_by_step": steps,
        "probability_histogram": [40, *[0] * 5, 10, *[0] * 13],
        "by_hour": {"0": {"rows": 50, "mean_probability": 0.065, "predicted_arrests": 0}},
        "timeline": {
            "unit": "month",
            "groups": {
                month: {
                    "rows": 25,
                    "mean_probability": 0.065,
                    "predicted_arrests": 0,
                    "expected_arrests": 1.6,
                    "outcome_rows": 25,
                    "actual_arrests": 2,
                }
                for month in ("2022-11", "2023-01")
            },
        },
        "outcomes": {
            "rows": 50,
            "actual_arrests": 5,
            "expected_arrests": 3.25,
            "brier": 0.06,
            "roc_auc": 0.7,
            "calibration_error": 0.035,
            "calibration": [
                {"low": 0.0, "high": 0.1, "rows": 40, "predicted": 0.005, "observed": 0.025},
                {"low": 0.3, "high": 0.4, "rows": 10, "predicted": 0.305, "observed": 0.4},
            ],
            "rows_by_step": steps,
            "arrests_by_step": arrests,
        },
        "notes": [{"code": "TRAINING_OVERLAP", "message": "Half of it was training data."}],
    }
    application.dynamodb.put_item(TableName=application.table, Item=to_item(result))
    return "/results/outcomes.csv"


def test_recorded_arrests_are_compared_with_expected_ones(
    open_page: Callable[..., Page], outcomes_path: str
) -> None:
    page = open_page(outcomes_path)
    tiles = page.locator(".tiles")
    expect(tiles).to_contain_text("95% interval 0.5 – 6.5")
    expect(tiles.locator("div", has_text="Recorded arrests")).to_contain_text("+1.8 against 3.2 expected")
    expect(page.get_by_role("list", name="Notes")).to_contain_text("Half of it was training data.")
    assert page.locator(".calibration .dot").count() == 2
    page.locator(".calibration .dot").last.hover()
    expect(page.locator(".tip")).to_have_text("10 incidents: predicted 30.5%, recorded 40.0%")
    assert page.locator("#timeline ~ figure .column").count() == 6, "the month without incidents has its place"
    assert page.locator("#timeline ~ figure .mark").count() == 2
    assert page.locator(".column .hatched").count() == 1
    expect(page.locator("#hours ~ p")).to_contain_text("7 incidents at exactly 00:00:00")


def test_the_threshold_moves_and_agrees_with_the_server(
    open_page: Callable[..., Page], outcomes_path: str
) -> None:
    page = open_page(outcomes_path)
    slider = page.get_by_role("slider", name="Incidents with a probability of at least")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("output")).to_have_text("0%")
    slider.fill("30")
    expect(page.locator("output")).to_have_text("30%")
    given = page.locator(".gives").inner_text()
    assert "80.0% of the recorded ones" in given
    assert "40.0%" in given
    again = open_page(f"{outcomes_path}?threshold=30", java_script_enabled=False)
    assert again.locator(".gives").inner_text() == given


def test_the_list_is_searched_sorted_and_compared(
    open_page: Callable[..., Page], result_path: str, sample: Path
) -> None:
    page = open_page(result_path)
    page.get_by_role("link", name="All files").click()
    page.get_by_role("button", name="Try it with an example").click()
    expect(page.get_by_role("heading", name="By community area")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="All files").click()
    page.get_by_role("searchbox").fill("autumn")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("table.files tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.get_by_role("link", name="Expected arrests").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Expected arrests")
    first = page.locator("table.files tbody tr").first
    expect(first).to_contain_text("autumn")
    first.get_by_role("checkbox").check()
    page.get_by_role("checkbox", name=f"Compare {sample.name}").first.check()
    page.get_by_role("button", name="Compare two files").click()
    expect(page.get_by_role("heading", name="Figures")).to_be_visible()
    expect(page.get_by_role("row", name="Incidents scored")).to_contain_text("954")


_UNLABELED = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [role=img]")]
  .filter((one) => {
    const name = one.getAttribute("aria-label") || one.innerText || one.textContent || one.title
      || [...(one.labels ?? [])].map((label) => label.textContent).join("");
    return one.type !== "hidden" && !name.trim();
  }).map((one) => one.outerHTML.slice(0, 120))"""
_SMALL = """() => [...document.querySelectorAll("button, .button, [type=checkbox], [type=range], select")]
  .map((one) => [one, (one.closest("label") ?? one).getBoundingClientRect()])
  .filter(([one, box]) => box.width && box.height && (box.width < 16 || box.height < 16))
  .map(([one]) => one.outerHTML.slice(0, 120))"""


def test_everything_that_can_be_used_has_a_name_and_a_size(
    open_page: Callable[..., Page], result_path: str
) -> None:
    for path in ("/", result_path, f"{result_path}/incidents", "/compare", "/docs"):
        page = open_page(path)
        assert page.evaluate(_UNLABELED) == [], path
        assert page.evaluate(_SMALL) == [], path
        assert page.locator("h1").count() == 1, path
        levels = [
            int(name[1]) for name in page.locator("h1, h2, h3").evaluate_all("(all) => all.map((h) => h.tagName)")
        ]
        assert all(after - before <= 1 for before, after in pairwise(levels)), path
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
        assert len(ids) == len(set(ids)), path


def test_a_phone_shows_every_column(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path, viewport=PHONE)
    row = page.locator("#types-table tbody tr").first
    for cell in row.locator("th, td").all():
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    assert row.locator("td").count() >= 3
    assert row.locator("td").last.evaluate("(cell) => getComputedStyle(cell, '::before').content") != "none"


def test_times_are_the_viewers_own_with_their_zone_and_utc_in_the_title(
    open_page: Callable[..., Page], result_path: str
) -> None:
    shown = {}
    for zone in ("Asia/Tokyo", "America/Chicago"):
        time = open_page(result_path, timezone_id=zone).locator(".facts time")
        expect(time).not_to_contain_text("UTC")
        title = time.get_attribute("title")
        assert title is not None
        assert title.endswith(" UTC")
        shown[zone] = time.inner_text()
        assert re.search(r"[AP]M (GMT[+-]\d+|C[SD]T)$", shown[zone]), "the zone is named"
    assert shown["Asia/Tokyo"] != shown["America/Chicago"]


def test_numbers_and_dates_look_the_same_for_every_viewer(
    open_page: Callable[..., Page], result_path: str
) -> None:
    facts = {
        open_page(result_path, locale=name).locator(".facts").inner_text() for name in ("en-US", "de-DE", "ar")
    }
    assert len(facts) == 1


def test_the_keyboard_reaches_content_and_file_picker(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(open_page: Callable[..., Page], result_path: str, scheme: str) -> None:
    for path in ("/", result_path, f"{result_path}/incidents", "/compare", "/docs"):
        page = open_page(path, viewport=PHONE, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) > 380) == (
            scheme == "light"
        )


def test_charts_keep_their_text_readable_on_a_phone(open_page: Callable[..., Page], result_path: str) -> None:
    page = open_page(result_path, viewport=PHONE)
    sizes = page.locator(".columns text").evaluate_all(
        "(all) => all.map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 12
    overlaps = page.locator("svg.columns").evaluate_all(_OVERLAPS)
    assert overlaps is False
