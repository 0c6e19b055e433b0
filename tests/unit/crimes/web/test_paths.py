"""Keys in addresses: routed whole, whatever they contain."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from blotter.crimes.web import schemas

KEYS = [
    "uploads/20260101T000000.000Z-ab/january.csv",
    "uploads/x/a b.csv",
    'uploads/x/it\'s "quoted".csv',
    "uploads/x/100%.csv",
    "uploads/x/%2F.csv",
    "uploads/x/50%25.csv",
    "uploads/x/squad 🚓 é.csv",
    "uploads/x/what?.csv",
    "uploads/x/a#1&b=c+d.csv",
    "uploads/x/events",
    "uploads/x/predictions.csv",
    "uploads/x/<b>.csv",
]


@pytest.mark.parametrize("key", KEYS)
def test_an_encoded_key_reaches_its_result_and_its_page(client: TestClient, files: Any, key: str) -> None:
    files.completed(key, key.rsplit("/", 1)[-1])
    address = quote(key, safe="")
    assert client.get(f"/api/results/{address}").json()["file_key"] == key
    assert client.get(f"/results/{address}").status_code == 200
    assert client.get(f"/api/results/{address}/predictions.csv").status_code == 200
    assert client.get(f"/api/results/{address}/events").headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("key", KEYS[:7])
def test_plain_slashes_work_too(client: TestClient, files: Any, key: str) -> None:
    files.completed(key)
    assert client.get(f"/api/results/{quote(key)}").json()["file_key"] == key
    assert client.get(f"/api/results/{quote(key)}/predictions.csv").status_code == 200


@pytest.mark.parametrize("key", KEYS)
def test_the_addresses_that_the_application_writes_lead_back(client: TestClient, files: Any, key: str) -> None:
    files.completed(key)
    links = schemas.accepted(key)
    assert client.get(links["result_url"]).json()["file_key"] == key
    assert client.get(links["page_url"]).status_code == 200
    detail = client.get(links["result_url"]).json()
    assert client.get(detail["predictions_url"]).status_code == 200
