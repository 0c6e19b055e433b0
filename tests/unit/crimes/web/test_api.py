"""The HTTP API: what it answers, in which shape, with which status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from fastapi.testclient import TestClient

from blotter import __version__
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.storage.results import ResultsTable
from blotter.crimes.web import downloads
from blotter.crimes.web.services import Services, WebSettings

SAMPLE = Path(__file__).parents[4] / "examples" / "chicago-crimes-2025-first-100.csv"


def test_an_upload_becomes_object_item_and_event(
    client: TestClient, services: Services, queue: LocalQueue
) -> None:
    answer = client.post("/api/files", files={"file": ("first 100.csv", SAMPLE.read_bytes())})
    assert answer.status_code == 202
    accepted = answer.json()
    key = accepted["file_key"]
    assert answer.headers["location"] == accepted["result_url"]
    info = services.objects.head(key)
    assert b"".join(services.objects.read(info)) == SAMPLE.read_bytes()
    result = client.get(accepted["result_url"]).json()
    assert (result["status"], result["file_name"], result["size_bytes"]) == (
        "UPLOADED",
        "first 100.csv",
        info.size,
    )
    assert len(list(queue.due())) == 1


def test_the_same_name_twice_is_two_files(client: TestClient) -> None:
    keys = [client.post("/api/files", files={"file": ("a.csv", b"x")}).json()["file_key"] for _ in range(2)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.csv", "a.csv"),
        ("squad 🚓 'é'.csv", "squad 🚓 'é'.csv"),
        ('say "hi".csv', 'say "hi".csv'),
    ],
)
def test_file_names_are_not_trusted_but_kept_readable(client: TestClient, name: str, shown: str) -> None:
    accepted = client.post("/api/files", files={"file": (name, b"x")}).json()
    assert ".." not in accepted["file_key"]
    assert client.get(accepted["result_url"]).json()["file_name"] == shown


def test_results_are_listed_page_by_page(client: TestClient, files: Any) -> None:
    keys = {files.completed(f"uploads/{number}/a.csv") for number in range(5)}
    seen: list[str] = []
    token = None
    while True:
        page = client.get("/api/results", params={"limit": 2} | ({"next": token} if token else {})).json()
        assert len(page["results"]) <= 2
        assert "by_hour" not in (page["results"] or [{}])[0]
        seen += [result["file_key"] for result in page["results"]]
        token = page["next"]
        if token is None:
            break
    assert sorted(seen) == sorted(keys)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x"])
def test_a_limit_out_of_range_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/results?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "INVALID_PARAMETER"
    assert answer.json()["error"]["message"].startswith("limit: ")


def test_a_token_that_is_none_is_refused(client: TestClient) -> None:
    answer = client.get("/api/results?next=!!")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_PARAMETER"


def test_a_result_is_described_as_the_schema_says(client: TestClient, files: Any) -> None:
    answer = client.get(f"/api/results/{files.completed('uploads/x/a.csv')}").json()
    schema = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(answer) == set(schema["ResultDetail"]["properties"])
    assert answer["risk"] == {"high": 80, "medium": 119, "low": 900}
    assert answer["by_community_area"]["8"] == {
        "rows": 500,
        "mean_probability": 0.2,
        "predicted_arrests": 60,
        "expected_arrests": 0.0,
        "outcome_rows": 0,
        "actual_arrests": None,
    }
    assert answer["predictions_url"].endswith("/predictions.csv")
    listed = client.get("/api/results").json()["results"][0]
    assert set(listed) == set(schema["ResultSummary"]["properties"])
    assert not {"lease_owner", "lease_until", "attempt"} & set(answer), "how the work is done stays inside"


def test_a_slash_too_many_is_not_found(client: TestClient) -> None:
    answer = client.get("/api/results/", follow_redirects=False)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Not Found: GET /api/results/")


@pytest.mark.parametrize("length", [2048, 2049, 9000])
def test_a_key_longer_than_any_in_a_table_is_not_found(client: TestClient, length: int) -> None:
    answer = client.get("/api/results/" + "x" * length)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RESULT_NOT_FOUND")


def test_predictions_are_downloaded_under_the_name_of_the_upload(client: TestClient, files: Any) -> None:
    key = files.completed("uploads/x/a.csv", "Jänner “22” 🚓.csv.gz")
    answer = client.get(f"/api/results/{key}/predictions.csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.text.startswith("Date,Primary Type,probability")
    disposition = answer.headers["content-disposition"]
    assert "filename*=UTF-8''J%C3%A4nner%20%E2%80%9C22%E2%80%9D%20%F0%9F%9A%93-predictions.csv" in disposition
    assert 'filename="J_nner _22_ _-predictions.csv"' in disposition


@pytest.mark.parametrize(
    ("name", "download"),
    [
        ("a.csv", "a-predictions.csv"),
        ("A.CSV.GZ", "A-predictions.csv"),
        ("a", "a-predictions.csv"),
        (".csv", "incidents-predictions.csv"),
        ("x" * 251 + ".csv", "x" * 239 + "-predictions.csv"),
        ("é" * 125 + ".csv", "é" * 119 + "-predictions.csv"),
    ],
)
def test_download_names(name: str, download: str) -> None:
    assert downloads.download_name(name) == download


def test_predictions_that_are_not_there(client: TestClient, files: Any, services: Services) -> None:
    files.processing("uploads/x/a.csv")
    answer = client.get("/api/results/uploads/x/a.csv/predictions.csv")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NOT_COMPLETED")
    files.completed("uploads/y/a.csv")
    services.objects.delete("uploads/y/a.csv.predictions.csv")
    answer = client.get("/api/results/uploads/y/a.csv/predictions.csv")
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "PREDICTIONS_GONE")
    assert client.get("/api/results/none/predictions.csv").status_code == 404


def test_predictions_too_long_to_send_say_where_they_are(
    files: Any, services: Services, make_client_of: Callable[[Services], TestClient]
) -> None:
    key = files.completed("uploads/x/a.csv")
    small = Services(services.results, services.objects, services.intake, WebSettings(max_download_bytes=10))
    answer = make_client_of(small).get(f"/api/results/{key}/predictions.csv")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "PREDICTIONS_TOO_LARGE")
    assert f"{key}.predictions.csv" in answer.json()["error"]["message"]


def test_health(client: TestClient, services: Services) -> None:
    table = services.results.table_name
    assert client.get("/health").json() == {"status": "ok", "version": __version__, "table": table}


def test_an_unreachable_table_is_503_everywhere(
    services: Services, make_client_of: Callable[[Services], TestClient]
) -> None:
    nowhere = boto3.client(
        "dynamodb",
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    lost = Services(ResultsTable(nowhere, "r"), services.objects, services.intake, services.settings)
    client = make_client_of(lost)
    for path in (
        "/health",
        "/api/results",
        "/api/results/x",
        "/api/results/x/events",
        "/api/results/x/predictions.csv",
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "TABLE_UNREACHABLE"), path
        assert "127.0.0.1:1" not in answer.text


def test_unknown_paths_and_methods_have_the_one_shape(client: TestClient) -> None:
    for method, path, status, code in (
        ("GET", "/api/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/api/files", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", 405, "METHOD_NOT_ALLOWED"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == code
        assert set(answer.json()) == {"error"}
        assert set(answer.json()["error"]) == {"code", "message"}


def test_the_openapi_document_names_the_multipart_field(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    body = schema["paths"]["/api/files"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["file"]["format"] == "binary"
    assert "202" in schema["paths"]["/api/files"]["post"]["responses"]
    json.dumps(schema)
