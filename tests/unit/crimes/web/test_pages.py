"""The pages as HTML: every state, escaping, the disclaimer, the form without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from fastapi.testclient import TestClient

from blotter.crimes import example
from blotter.crimes.failures import FILE_CODES, ROW_REASONS
from blotter.crimes.item import Summary
from blotter.crimes.jobs.processing import Processor
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable
from blotter.crimes.web import explain, file_list
from blotter.crimes.web.services import Services

HTML = {"accept": "text/html"}


def test_the_first_page_is_welcoming_while_empty(client: TestClient) -> None:
    page = client.get("/").text
    assert "No files yet" in page
    assert "up to 3.0 MB" in page


def test_the_list_shows_every_state_newest_first(client: TestClient, files: Any) -> None:
    files.uploaded("uploads/1/old.csv", "old.csv", "2026-11-20T10:00:00.000Z")
    files.uploaded("uploads/3/new.csv", "new.csv", "2026-11-22T10:00:00.000Z")
    files.uploaded("uploads/2/middle.csv", "middle.csv", "2026-11-21T10:00:00.000Z")
    files.completed("uploads/4/done.csv", "done.csv")
    files.failed("uploads/5/bad.csv", "NOT_CSV", "it is a PDF", "bad.csv")
    page = client.get("/").text
    assert page.index("new.csv</bdi>") < page.index("middle.csv</bdi>") < page.index("old.csv</bdi>")
    assert "5, newest first" in page
    for expected in ("Waiting", "Completed", "Failed", "NOT_CSV", "1,099", "11.2%", "123</td>"):
        assert expected in page
    assert page.count("data-follow=") == 3, "only unfinished files are followed"


def test_a_column_may_stand_anywhere_in_the_list(
    client: TestClient, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.completed("uploads/1/a.csv")
    files.uploaded("uploads/2/a.csv")
    size = file_list.Column("size", "Size", lambda result: result.size_bytes, lambda _: "its size")
    first, *others = file_list.COLUMNS
    monkeypatch.setattr(file_list, "COLUMNS", (size, *reversed(others), first))
    page = client.get("/").text
    headings = re.findall(r'<th scope="col"[^>]*><a href="[^"]+">([^<]+)</a></th>', page)
    assert headings == [column.heading for column in file_list.COLUMNS]
    rows = page.split("<tbody>")[1].split("</tr>")[:2]
    for row in rows:
        cells = re.findall(r"<t[dh][ >].*?</t[dh]>", row, flags=re.S)[1:]
        assert len(cells) == len(headings)
        assert "its size" in cells[0]
        assert "<bdi>" in cells[-1]


def test_every_result_of_a_large_table_can_be_reached(
    client: TestClient, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one window does not hold, the next one does; no window reads more than it may."""
    monkeypatch.setattr(file_list, "_SCAN_ITEMS", 2)
    monkeypatch.setattr(file_list, "MAX_PAGES", 2)
    for number in range(9):
        files.uploaded(f"uploads/{number}/a.csv")
    seen: list[str] = []
    address = "/?sort=file"
    while address:
        page = client.get(address).text
        rows = re.findall(r'<tr data-follow="[^"]+uploads%2F(\d)', page)
        assert len(rows) <= 4
        seen += rows
        following = re.search(r'<a href="([^"]+)">Look through the next', page)
        address = following[1].replace("&amp;", "&") if following else ""
        assert "sort=file" in address or not address
    assert sorted(seen) == list("012345678")


def test_the_list_is_searched_filtered_sorted_and_paged(
    client: TestClient, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_list, "PER_PAGE", 2)
    for number, name in enumerate(("b.csv", "A.csv", "c 100%.csv")):
        files.uploaded(f"uploads/{number}/x", name, f"2026-11-2{number}T00:00:00.000Z")
    files.completed("uploads/8/x", "done.csv")
    files.failed("uploads/9/x", "NOT_CSV", "it is a PDF", "bad.csv")

    def names(address: str) -> list[str]:
        return re.findall(r"<bdi>([^<]+)</bdi>", client.get(address).text)

    assert names("/?sort=file") == ["A.csv", "b.csv"]
    assert names("/?sort=file&page=2") == ["bad.csv", "c 100%.csv"]
    assert names("/?sort=file&page=99") == ["done.csv"]
    assert names("/?q=100%25") == ["c 100%.csv"]
    assert names("/?q=not_csv") == ["bad.csv"]
    assert names("/?status=COMPLETED") == ["done.csv"]
    assert names("/?sort=-expected")[0] == "done.csv", "what is not known comes last"
    assert names("/?sort=expected")[0] == "done.csv"
    assert names("/?sort=nonsense&status=nonsense&page=x&after=") == names("/")
    assert "No file matches" in client.get("/?q=%3Cscript%3E").text
    assert client.get("/?after=rubbish").status_code == 400


def test_a_completed_result_shows_all_of_it(client: TestClient, files: Any) -> None:
    page = client.get(f"/results/{files.completed('uploads/x/a.csv')}").text
    for expected in (
        "Completed",
        "1,099",
        "1 skipped",
        ROW_REASONS["BAD_DATE"],
        "2026-11-22.1",
        "Download predictions",
        "Theft",
        "Near North Side",
        "Distribution of probabilities",
        "By hour of the day",
        "By day of the week",
        "37.6 kB",
    ):
        assert expected in page, expected
    assert page.count('<path class="area ') == 77
    assert page.index("Expected arrests") < page.index("Incidents scored")
    assert "data-events" not in page


def test_what_users_wrote_is_escaped_everywhere(client: TestClient, files: Any) -> None:
    name = "\"><img src=x onerror=alert(1)> & 'é' 🚓.csv"
    files.completed(f"uploads/x/{name}", name)
    files.failed("uploads/y/a.csv", "NOT_CSV", "<img src=y onerror=alert(2)>", name)
    page = client.get("/results/uploads%2Fy%2Fa.csv").text
    assert "<img" not in page
    assert "&lt;img src=y onerror=alert(2)&gt;" in page
    page = client.get("/").text
    assert "<img" not in page
    assert "&#34;&gt;&lt;img src=x" in page
    assert "🚓" in page
    completed = client.get(re.findall(r'href="(/results/uploads%2Fx[^"]+)"', page)[0]).text
    assert "<img" not in completed
    assert "<script>alert(1)" not in completed
    assert "&lt;script&gt;alert(1)" in completed


def test_an_unfinished_result_follows_itself(client: TestClient, files: Any) -> None:
    files.processing("uploads/x/events")
    page = client.get("/results/uploads%2Fx%2Fevents").text
    assert 'data-events="/api/results/uploads%2Fx%2Fevents/events"' in page
    assert 'http-equiv="refresh"' in page
    assert "Download predictions" not in page


@pytest.mark.parametrize("code", [*FILE_CODES, "SOMETHING_NEWER"])
def test_a_failed_result_says_code_message_and_what_to_do(client: TestClient, files: Any, code: str) -> None:
    key = files.failed("uploads/x/a.csv", code, "what was found in this very file")
    page = client.get(f"/results/{key}").text
    assert code in page
    assert "What was found in this very file." in page
    assert "What to do:" in page
    assert "<progress" not in page


def test_every_code_of_the_application_has_its_own_advice() -> None:
    assert set(explain.REMEDIES) == set(FILE_CODES)
    assert explain.skipped("BAD_DATE") == ROW_REASONS["BAD_DATE"]
    assert explain.skipped("A_NEWER_REASON") == "A_NEWER_REASON"


def test_every_page_with_data_carries_the_disclaimer(client: TestClient, files: Any) -> None:
    files.completed("uploads/1/a.csv")
    files.failed("uploads/2/a.csv", "NOT_CSV", "x")
    files.processing("uploads/3/a.csv")
    for path in ("/", "/results/uploads/1/a.csv", "/results/uploads/2/a.csv", "/results/uploads/3/a.csv"):
        expected = " ".join(client.get(path).text.split())
        assert "City of Chicago Data Portal" in expected
        assert "preliminary information" in expected
        assert "block level only" in expected
        assert "accuracy, timeliness or completeness" in expected


def test_the_example_is_a_click_away(client: TestClient, objects: ObjectStore) -> None:
    answer = client.post("/example", follow_redirects=False)
    assert answer.status_code == 303
    assert "chicago-crimes-2022-autumn.csv" in client.get(answer.headers["location"]).text
    (stored,) = objects.list("uploads")
    assert b"".join(objects.read(stored)) == example.content()


def test_buttons_work_without_scripts(client: TestClient, files: Any) -> None:
    waiting, done = files.uploaded("uploads/x/a.csv"), files.completed("uploads/y/b.csv")
    answer = client.post(f"/results/{waiting}/cancel", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/results/uploads%2Fx%2Fa.csv")
    assert "Canceled" in client.get(f"/results/{waiting}").text
    files.objects.put_stream(done, [b"Date,Primary Type\n"])
    client.post(f"/results/{done}/retry", headers=HTML)
    assert files.results.find(done).status == "UPLOADED"
    answer = client.post(f"/results/{done}/delete", headers=HTML, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert files.results.find(done) is None
    assert "WRONG_STATE" in client.post(f"/results/{waiting}/cancel", headers=HTML).text


def test_a_result_with_everything_and_one_of_an_older_version_render(
    client: TestClient, files: Any, processor: Processor
) -> None:
    """The first is made by the application itself from its example, the second is what version 0.1.0 wrote."""
    address = client.post("/example", follow_redirects=False).headers["location"]
    key = unquote(address.removeprefix("/results/"))
    assert processor.process(key).what == "COMPLETED"
    page = client.get(f"{address}?threshold=20").text
    for expected in ("Expected arrests", "What would a threshold give?", "By community area", "Browse incidents"):
        assert expected in page, expected
    old = client.get(f"/results/{files.completed('uploads/x/old.csv')}").text
    for expected in ("Expected arrests", "What would a threshold give?"):
        assert expected in old, expected
    assert "Recorded arrests" not in old
    both = client.get("/compare", params={"file": [key, "uploads/x/old.csv"]}).text
    assert "Types of crime, by how much their share changed" in both
    for some in ([], [key], [key, "uploads/x/old.csv", "z"]):
        assert client.get("/compare", params={"file": some}).status_code == 200
    assert client.get("/compare", params={"file": [key, "none"]}).status_code == 404


def test_a_small_expected_number_is_the_same_on_every_page(
    client: TestClient, files: Any, summary: Summary
) -> None:
    """It keeps its decimal: 1.8 arrests are not 2."""
    small = msgspec.structs.replace(summary, expected_arrests=1.75, expected_low=0.0, expected_high=4.3)
    keys = [files.completed(f"uploads/{name}/x", f"{name}.csv", small) for name in "ab"]
    pages = [client.get("/"), client.get(f"/results/{keys[0]}"), client.get("/compare", params={"file": keys})]
    for page in pages:
        assert ">1.8<" in page.text, page.url


def test_two_different_files_are_offered_for_comparison(client: TestClient, files: Any) -> None:
    for name in "ab":
        files.completed(f"uploads/x/{name}.csv")
    found = re.findall(r'<option value="([^"]+)" selected', client.get("/compare").text)
    assert len(set(found)) == len(found) == 2


def test_the_form_works_without_scripts(client: TestClient) -> None:
    answer = client.post("/", files={"file": ("a b.csv", b"x,y\n")}, headers=HTML, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/results/uploads%2F")
    assert client.get(answer.headers["location"]).status_code == 200


def test_errors_are_pages_for_people_and_json_for_programs(client: TestClient) -> None:
    page = client.get("/results/nothing", headers=HTML)
    assert page.status_code == 404
    assert "RESULT_NOT_FOUND" in page.text
    assert page.headers["content-type"].startswith("text/html")
    assert client.get("/results/nothing", headers={"accept": "*/*"}).json()["error"]["code"] == "RESULT_NOT_FOUND"
    assert client.get("/api/results/nothing", headers=HTML).json()["error"]["code"] == "RESULT_NOT_FOUND"
    assert "NOT_FOUND" in client.get("/favicon.ico", headers=HTML).text
    empty = client.post("/", files={"file": ("", b"")}, headers=HTML)
    assert empty.status_code == 400
    assert "INVALID_UPLOAD" in empty.text


def test_a_missing_table_is_a_clear_page(
    services: Services, make_client: Callable[[str], object], make_client_of: Callable[[Services], TestClient]
) -> None:
    elsewhere = ResultsTable(make_client("dynamodb"), "no-such-table")  # type: ignore[arg-type]
    client = make_client_of(Services(elsewhere, services.objects, services.intake, services.settings))
    page = client.get("/", headers=HTML)
    assert page.status_code == 503
    assert "blotter tables apply" in page.text
    assert "data-upload" in page.text, "uploads are stored without the table"
    assert client.get("/results/x", headers=HTML).status_code == 503
    assert client.get("/health").json()["error"]["code"] == "TABLE_REFUSED"


def test_the_documentation_covers_the_whole_api(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    page = client.get("/docs").text
    for path, operations in schema["paths"].items():
        assert path in page
        for operation in operations.values():
            assert operation["summary"] in page
    for name in schema["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert "curl -F file=@incidents.csv http://127.0.0.1:8080/api/files" in page
    assert set(schema["paths"]) == {
        "/api/files",
        "/api/results",
        "/api/results/{file_key}",
        "/api/results/{file_key}/cancel",
        "/api/results/{file_key}/events",
        "/api/results/{file_key}/predictions.csv",
        "/api/results/{file_key}/retry",
        "/health",
    }
    assert "HTTPValidationError" not in schema["components"]["schemas"]
