"""Foreign hosts and origins are refused, and every answer carries the protective headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from blotter.crimes.web.security import SECURITY_HEADERS, AllowedHosts, host_name
from blotter.crimes.web.services import Services, WebSettings


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080"])
def test_loopback_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost:x", "", "u@localhost", "localhost/x"]
)
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "HOST_NOT_ALLOWED"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/files", "/"])
def test_uploads_from_other_sites_are_refused(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = client.post(path, files={"file": ("a.csv", b"x")}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "CROSS_ORIGIN"


def test_every_route_that_changes_something_is_protected(client: TestClient, app: FastAPI, files: Any) -> None:
    """Whatever route is added: with a foreign origin it answers 403 before it does anything."""
    key = quote(files.completed("uploads/x/a.csv"), safe="")
    routes = {
        (method, path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method.upper() not in ("GET", "HEAD", "OPTIONS")
    }
    routes |= {("post", path) for path in ("/", "/results/{file_key}/delete", "/results/{file_key}/retry")}
    assert len(routes) >= 7
    for method, path in routes:
        for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            answer = client.request(method, path.replace("{file_key}", key), headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CROSS_ORIGIN"), path
    assert files.results.find("uploads/x/a.csv").status == "COMPLETED"


def test_a_page_of_another_site_reads_nothing(client: TestClient) -> None:
    assert client.get("/api/results", headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("bound", "host", "accepted"),
    [
        ("127.0.0.1", "127.0.0.1:8080", True),
        ("127.0.0.1", "127.9.9.9", True),
        ("127.0.0.1", "app.localhost:8080", True),
        ("127.0.0.1", "localhost.", True),
        ("127.0.0.1", "192.168.1.5", False),
        ("127.0.0.1", "pages.example", True),
        ("0.0.0.0", "192.168.1.5:8080", True),
        ("0.0.0.0", "[2001:db8::1]", True),
        ("0.0.0.0", "evil.example", False),
        ("::", "evil.example:8080", False),
        ("box.lan", "BOX.LAN:8080", True),
        ("box.lan", "box.lan.evil.example", False),
    ],
)
def test_hosts_are_accepted_as_by_the_database(bound: str, host: str, accepted: bool) -> None:
    assert AllowedHosts.of(bound, ["Pages.example", ""]).accept(host) is accepted


def test_two_host_headers_are_refused(client: TestClient) -> None:
    answer = client.get("/health", headers=[("host", "127.0.0.1"), ("host", "evil.example")])
    assert answer.status_code == 400


@pytest.mark.parametrize("headers", [{}, {"origin": "http://127.0.0.1:8080"}, {"sec-fetch-site": "same-origin"}])
def test_our_own_pages_and_programs_may_upload(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/files", files={"file": ("a.csv", b"x")}, headers=headers).status_code == 202


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/nothing", "/static/app.css", "/api/results/nothing"])
def test_every_answer_is_protected(client: TestClient, path: str) -> None:
    answer = client.get(path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "cache-control" in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_crash_tells_nothing_and_is_protected(app: FastAPI) -> None:
    @app.get("/crash")
    def crash() -> None:
        raise RuntimeError("secret")

    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as client:
        answer = client.get("/crash")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "INTERNAL_ERROR"
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


def test_pages_have_no_inline_script_style_or_foreign_address(client: TestClient, files: Any) -> None:
    files.completed("uploads/x/a.csv")
    for path in ("/", "/docs", "/results/uploads%2Fx%2Fa.csv"):
        page = client.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert "<script>" not in page
        assert "onclick" not in page
        assert "https://" not in page


def test_without_a_list_of_hosts_something_in_front_decides(
    services: Services, make_client_of: Callable[[Services], TestClient]
) -> None:
    open_services = Services(services.results, services.objects, services.intake, WebSettings(allowed_hosts=None))
    assert make_client_of(open_services).get("/health", headers={"host": "abc.example"}).status_code == 200


@pytest.mark.parametrize(
    ("header", "name"),
    [("Localhost:80", "localhost"), ("[::1]:80", "::1"), ("a/b", None), ("a:b", None), ("[", None), ("", None)],
)
def test_host_names(header: str, name: str | None) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize("path", ["/", "/health", "/static/app.css"])
def test_head_is_get_without_its_body(client: TestClient, path: str) -> None:
    answer = client.head(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == client.get(path).headers["content-type"]


def test_head_is_still_checked(client: TestClient) -> None:
    assert client.head("/", headers={"host": "evil.example"}).status_code == 421
