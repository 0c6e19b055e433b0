"""What reaches the pipeline, what is answered before it, and what web pages get.

Words, statuses and checksums of the answers outside DynamoDB's API: dynalite, test/connection.js.
"""

from __future__ import annotations

import zlib

import orjson
import pytest

from blotter.database.http.gate import Gate
from blotter.database.http.messages import Request, Response
from blotter.database.http.origins import Origins, is_loopback, split_port

_INSIDE = Response(200, b"inside")


def _gate(bound: str = "127.0.0.1", allowed: tuple[str, ...] = ()) -> Gate:
    return Gate(lambda _request: _INSIDE, "eu-west-1", Origins(bound, allowed))


def _ask(
    gate: Gate | None = None, method: str = "POST", target: str = "/", body: bytes = b"{}", **headers: str
) -> Response:
    named = {"host": "localhost:8000", "content-type": "application/x-amz-json-1.0"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    answer = (gate or _gate())(Request(method, target, named, body))
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
    assert zlib.crc32(Gate(lambda _r: _INSIDE, "us-east-1", None)._health.body) == 3128867991


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
def test_loopback_names_are_believed(host: str) -> None:
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
    gate = _gate(allowed=("blotter",))
    assert _ask(gate, host="blotter:8000") is _INSIDE
    assert _refused(_ask(gate, host="other:8000"))


def test_beyond_loopback_addresses_are_believed_and_names_are_not() -> None:
    gate = _gate("0.0.0.0")
    assert _ask(gate, host="192.168.1.5:8000") is _INSIDE
    assert _ask(gate, host="[fd00::1]:8000") is _INSIDE
    assert _refused(_ask(gate, host="evil.example"))
    named = _gate("db.internal")
    assert _ask(named, host="db.internal:8000") is _INSIDE


def test_without_a_host_only_http_1_0_comes_this_far() -> None:
    answer = _gate()(Request("GET", "/", {}, b""))
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


def test_the_servers_own_pages_are_believed() -> None:
    assert _ask(origin="http://localhost:8000") is _INSIDE
    assert _ask(host="127.0.0.1:8000", origin="http://127.0.0.1:8000") is _INSIDE


def test_a_believed_host_does_not_open_the_door_for_an_origin() -> None:
    gate = _gate()
    assert _ask(gate) is _INSIDE
    assert _refused(_ask(gate, origin="http://evil.example"))


def test_with_signatures_required_hosts_do_not_matter() -> None:
    gate = Gate(lambda _request: _INSIDE, "us-east-1", None)
    assert _ask(gate, host="anything", origin="http://anything") is _INSIDE


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
