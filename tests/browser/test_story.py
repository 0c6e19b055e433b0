"""The story a user lives: drop a file, watch it complete, read the charts, take the predictions home."""

from __future__ import annotations

import base64
import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

HEADER = "Date,Primary Type,Description,Location Description,Domestic,Community Area\n"
ROW = "2022-03-04 21:30:00,NARCOTICS,POSSESS - CANNABIS,STREET,False,25\n"
_DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "text/csv" }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def completed(page: Page) -> None:
    """Waits until the result page shows the completed result, by itself."""
    expect(page.get_by_role("heading", name="Distribution of probabilities")).to_be_visible(timeout=60_000)
    expect(page.locator(".result-head [data-status]")).to_have_text("Completed")


def key_of(page: Page) -> str:
    return page.locator(".pairs div", has_text="File key").locator("code").inner_text()


def test_choose_watch_read_download(page: Page, sample: Path, application: Any, tmp_path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Choose a file").click()
    chooser.value.set_files(sample)
    page.wait_for_url("**/results/**")
    completed(page)
    expect(page).to_have_title(re.compile(r"chicago-crimes-2025-first-100\.csv · Completed"))
    tiles = page.locator(".tiles")
    assert tiles.locator("dt").first.inner_text() == "Expected arrests"
    expect(tiles.locator("div", has_text="Incidents scored").locator("dd").first).to_have_text("100")
    assert page.locator("path.area").count() == 77
    assert page.locator("#types-table tbody tr").count() > 5
    expect(page.get_by_text("preliminary information")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions").click()
    assert download.value.suggested_filename == "chicago-crimes-2025-first-100-predictions.csv"
    target = tmp_path / "predictions.csv"
    download.value.save_as(target)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with sample.open(newline="", encoding="utf-8") as file:
        given = list(csv.DictReader(file))
    assert len(rows) == 100
    assert [row["case_number"] for row in rows] == [row["case_number"] for row in given]
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)

    item = application.item(key_of(page))
    assert item["status"] == {"S": "COMPLETED"}
    assert item["rows_scored"] == {"N": "100"}

    page.get_by_role("link", name="All files").click()
    row = page.locator("tbody tr", has_text="chicago-crimes-2025-first-100.csv")
    expect(row).to_contain_text("Completed")


def test_a_dropped_file_is_taken(page: Page, sample: Path) -> None:
    page.evaluate(_DROP, ["dropped.csv", base64.b64encode(sample.read_bytes()).decode()])
    page.wait_for_url("**/results/**dropped.csv")
    completed(page)
    expect(page.locator("h1")).to_have_text("dropped.csv")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('it\'s "quoted" & <b>bold</b> 100% ü 🚓.csv', "b> 100% ü 🚓.csv"),
        ("../../etc/pass wd.csv", "pass wd.csv"),
        ("events", "events"),
        ("%2e%2e%2f?x=1#y.csv", "%2e%2e%2f?x=1#y.csv"),
    ],
)
def test_hostile_names_lead_to_their_own_page(page: Page, name: str, shown: str) -> None:
    page.evaluate(_DROP, [name, base64.b64encode((HEADER + ROW).encode()).decode()])
    page.wait_for_url("**/results/**")
    completed(page)
    expect(page.locator("h1")).to_have_text(shown)
    assert key_of(page).endswith(f"/{shown}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions").click()
    assert Path(download.value.path()).read_text().count("\n") == 2
    page.get_by_role("link", name="All files").click()
    page.locator("tbody a").first.click()
    expect(page.locator("h1")).to_have_text(shown)


@pytest.mark.parametrize(
    ("content", "code", "expected"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "NOT_CSV", "PDF"),
        (b"", "EMPTY_FILE", "no content"),
        (HEADER.encode(), "NO_ROWS", "no rows"),
        (b"a,b\n1,2\n", "MISSING_COLUMNS", "issing: Date"),
        (b"Date~Primary Type\n2022-01-01~THEFT\n", "WRONG_DELIMITER", "tildes"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_what_to_do(
    page: Page, content: bytes, code: str, expected: str
) -> None:
    page.evaluate(_DROP, ["bad.csv", base64.b64encode(content).decode()])
    page.wait_for_url("**/results/**")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(code, timeout=60_000)
    expect(alert).to_contain_text(expected)
    expect(alert).to_contain_text("What to do:")
    expect(page.locator("progress")).to_have_count(0)
    page.get_by_role("link", name="All files").click()
    expect(page.locator("tbody tr").first).to_contain_text(code)


def test_several_files_complete_in_the_list_without_a_reload(page: Page) -> None:
    page.evaluate("window.still = true")
    payloads = [
        {"name": f"part-{part}.csv", "mimeType": "text/csv", "buffer": (HEADER + ROW * 200).encode()}
        for part in "abc"
    ]
    page.locator("#file").set_input_files(payloads)  # type: ignore[arg-type]
    for part in "abc":
        row = page.locator("tbody tr", has_text=f"part-{part}.csv")
        expect(row).to_contain_text("Completed", timeout=60_000)
        expect(row).to_contain_text("200")
    assert page.evaluate("window.still") is True
    assert page.locator(".uploads li").count() == 0


def test_the_page_follows_a_file_from_waiting_to_completed(page: Page) -> None:
    """Every state a person sees comes from the running work; the page is never loaded again."""
    page.evaluate(_DROP, ["long.csv", base64.b64encode((HEADER + ROW * 60_000).encode()).decode()])
    page.wait_for_url("**/results/**")
    page.evaluate("window.still = true")
    completed(page)
    assert page.evaluate("window.still") is True
    expect(page.locator(".tiles div", has_text="Incidents scored").locator("dd").first).to_have_text("60,000")
    expect(page.locator("[data-announce]")).to_have_text(re.compile("long.csv · Completed"))


def test_a_file_that_vanishes_from_the_table_leaves_the_list(
    open_page: Callable[..., Page], application: Any
) -> None:
    key = {"file_key": {"S": "elsewhere/vanishing.csv"}}
    uploaded = {"status": {"S": "UPLOADED"}, "uploaded_at": {"S": "2126-01-01T00:00:00.000Z"}}
    application.dynamodb.put_item(TableName=application.table, Item=key | uploaded)
    page = open_page(quiet=False)
    expect(page.locator("tbody tr", has_text="vanishing.csv")).to_contain_text("Waiting")
    application.dynamodb.delete_item(TableName=application.table, Key=key)
    expect(page.locator("tbody tr", has_text="vanishing.csv")).to_have_count(0)


def test_a_refused_upload_is_explained_on_the_page(page: Page) -> None:
    page.evaluate("document.querySelector('[data-upload]').dataset.maxBytes = '10'")
    page.evaluate(_DROP, ["large.csv", base64.b64encode(b"x" * 11).decode()])
    expect(page.locator(".uploads .problem")).to_contain_text("FILE_TOO_LARGE")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator(".uploads li")).to_have_count(0)


def test_it_works_without_javascript(open_page: Callable[..., Page], sample: Path) -> None:
    page = open_page(java_script_enabled=False)
    page.locator("#file").set_input_files(sample)
    page.get_by_role("button", name="Upload").click()
    completed(page)
    assert page.locator("path.area").count() == 77


def test_a_running_file_is_canceled_tried_again_and_deleted(page: Page) -> None:
    page.evaluate(_DROP, ["again.csv", base64.b64encode((HEADER + ROW * 150_000).encode()).decode()])
    page.wait_for_url("**/results/**")
    page.get_by_role("button", name="Cancel").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("CANCELED")
    page.get_by_role("button", name="Try again").click()
    completed(page)
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url(re.compile(r"/$"))
    expect(page.locator("tbody tr", has_text="again.csv")).to_have_count(0)


def test_a_result_that_is_deleted_elsewhere_leaves_its_page(
    open_page: Callable[..., Page], application: Any
) -> None:
    key = {"file_key": {"S": "elsewhere/leaving.csv"}}
    uploaded = {"status": {"S": "UPLOADED"}, "uploaded_at": {"S": "2126-01-01T00:00:00.000Z"}}
    application.dynamodb.put_item(TableName=application.table, Item=key | uploaded)
    page = open_page("/results/elsewhere%2Fleaving.csv", quiet=False)
    expect(page.locator(".result-head [data-status]")).to_have_text("Waiting")
    application.dynamodb.delete_item(TableName=application.table, Key=key)
    page.wait_for_url(re.compile(r"/$"))


def test_a_result_that_is_gone_before_its_page_listens_is_left_too(
    open_page: Callable[..., Page], application: Any
) -> None:
    key = {"file_key": {"S": "elsewhere/early.csv"}}
    uploaded = {"status": {"S": "UPLOADED"}, "uploaded_at": {"S": "2126-01-01T00:00:00.000Z"}}
    application.dynamodb.put_item(TableName=application.table, Item=key | uploaded)

    def delete_first(route: Route) -> None:
        application.dynamodb.delete_item(TableName=application.table, Key=key)
        route.continue_()

    page = open_page(quiet=False)
    page.route("**/events", delete_first)
    page.goto(application.url + "/results/elsewhere%2Fearly.csv")
    page.wait_for_url(re.compile(r"/$"))
