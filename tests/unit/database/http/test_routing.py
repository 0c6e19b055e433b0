"""What reaches the services, what is answered before them, and what web pages get.

Messages, statuses and checksums of the answers outside DynamoDB's API: dynalite, test/connection.js.
"""

from __future__ import annotations

import zlib

import orjson
import pytest

from blotter.database.http.messages import Request, Response
from blotter.database.http.origins import Origins, split_port
from blotter.database.http.routing import Router
from blotter.database.services.dynamodb import DynamoDBService, health
from blotter.hosts import is_loopback

_INSIDE = Response(200, b"inside")


def _router(bound: str = "127.0.0.1", allowed: tuple[str, ...] = ()) -> Router:
    return _router_for(Origins(bound, allowed))


def _router_for(origins: Origins | None) -> Router:
    service = DynamoDBService(lambda _request: _INSIDE)
    probes = {"/": lambda: health("eu-west-1"), "/ready": lambda: Response(503, b"no")}
    return Router(service.answer, service.refuse, probes, origins)


def _ask(
    router: Router | None = None, method: str = "POST", target: str = "/", body: bytes = b"{}", **headers: str
) -> Response:
    named = {"host": "localhost:8000", "content-type": "application/x-amz-json-1.0"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    answer = (router or _router())(Request(method, target, named, body))
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize("target", ["/", "/?", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-amz-json-1.0", "  application/json  ;   charset=utf-8"]
)
def test_dynamodb_requests_go_in(target: str, content_type: str) -> None:
    assert _ask(target=target, content_type=content_type) is _INSIDE


def test_without_a_body_the_content_type_does_not_matter() -> None:
    assert _ask(body=b"", content_type="whatever") is _INSIDE


def test_the_health_answer_is_awss() -> None:
    answer = _ask(method="GET")
    assert (answer.status, answer.body) == (200, b"healthy: dynamodb.eu-west-1.amazonaws.com ")
    assert _ask(method="HEAD").status == 200
    assert zlib.crc32(health("us-east-1").body) == 3128867991


def test_probes_are_answered_for_their_path_and_method_only() -> None:
    assert _ask(method="GET", target="/ready").status == 503
    assert _ask(method="GET", target="/ready?").status == 404
    assert _ask(method="POST", target="/ready").status == 404


@pytest.mark.parametrize(
    ("method", "target", "content_type"),
    [
        ("PUT", "/", "application/json"),
        ("DELETE", "/", "application/json"),
        ("OPTIONS", "/", "application/json"),
        ("GET", "/shell", "application/json"),
        ("POST", "/tables", "application/json"),
        ("POST", "/", "whatever"),
        ("POST", "/", "application/x-amz-json-1.1"),
        ("POST", "/", "application/jsonasdf"),
        ("POST", "/", ""),
    ],
)
def test_everything_else_is_a_wrong_address(method: str, target: str, content_type: str) -> None:
    answer = _ask(method=method, target=target, content_type=content_type)
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
    assert zlib.crc32(answer.body) == 3552371480


def _refused(answer: Response) -> bool:
    if answer.status != 403:
        return False
    assert orjson.loads(answer.body)["__type"] == "com.amazon.coral.service#AccessDeniedException"
    return True


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "db.localhost"],
)
def test_loopback_names_are_trusted(host: str) -> None:
    assert _ask(host=host) is _INSIDE


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5:8000",
        "notlocalhost",
        "2130706433",
        "",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_page_that_rebinds_its_name_is_refused(host: str, method: str) -> None:
    assert _refused(_ask(host=host, method=method))


def test_names_the_operator_allows() -> None:
    router = _router(allowed=("blotter",))
    assert _ask(router, host="blotter:8000") is _INSIDE
    assert _refused(_ask(router, host="other:8000"))


def test_beyond_loopback_addresses_are_trusted_and_names_are_not() -> None:
    router = _router("0.0.0.0")
    assert _ask(router, host="192.168.1.5:8000") is _INSIDE
    assert _ask(router, host="[fd00::1]:8000") is _INSIDE
    assert _refused(_ask(router, host="evil.example"))
    named = _router("db.internal")
    assert _ask(named, host="db.internal:8000") is _INSIDE


def test_without_a_host_only_http_1_0_comes_this_far() -> None:
    answer = _router()(Request("GET", "/", {}, b""))
    assert isinstance(answer, Response)
    assert answer.status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:3000",
        "http://localhost",
        "file://",
        "http://127.0.0.1:8000",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
def test_other_origins_are_refused_and_told_nothing(origin: str, method: str) -> None:
    answer = _ask(origin=origin, method=method)
    assert _refused(answer)
    assert not any(name.lower().startswith("access-control") for name, _ in answer.headers)


def test_the_servers_own_pages_are_trusted() -> None:
    assert _ask(origin="http://localhost:8000") is _INSIDE
    assert _ask(host="127.0.0.1:8000", origin="http://127.0.0.1:8000") is _INSIDE


def test_a_trusted_host_does_not_make_an_origin_trusted() -> None:
    router = _router()
    assert _ask(router) is _INSIDE
    assert _refused(_ask(router, origin="http://evil.example"))


def test_with_signatures_required_hosts_do_not_matter() -> None:
    router = _router_for(None)
    assert _ask(router, host="anything", origin="http://anything") is _INSIDE


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_ports_are_taken_off() -> None:
    assert split_port("a:80") == ("a", "80")
    assert split_port("a") == ("a", "")
    assert split_port("[::1]:80") == ("::1", "80")
    assert split_port("[::1]") == ("::1", "")
