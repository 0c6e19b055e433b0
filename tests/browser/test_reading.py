"""Reading a result: the map's metrics, sorting, tooltips, times, keyboard, narrow screens, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

PHONE = {"width": 390, "height": 844}
# Whether in one of the charts two neighbouring labels touch.
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
    page.get_by_text("Predicted arrests").first.scroll_into_view_if_needed()
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


def test_times_are_the_viewers_own_with_utc_in_the_title(open_page: Callable[..., Page], result_path: str) -> None:
    shown = {}
    for zone in ("Asia/Tokyo", "America/Chicago"):
        time = open_page(result_path, timezone_id=zone).locator(".facts time")
        expect(time).not_to_contain_text("UTC")
        title = time.get_attribute("title")
        assert title is not None
        assert title.endswith(" UTC")
        shown[zone] = time.inner_text()
    assert shown["Asia/Tokyo"] != shown["America/Chicago"]


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
    for path in ("/", result_path, "/docs"):
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
