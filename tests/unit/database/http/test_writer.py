"""Answers as bytes, read by the standard library's HTTP client."""

from __future__ import annotations

import gzip
import http.client
import io
import zlib
from collections.abc import Callable

import pytest

from blotter.database.http.accept_encoding import Coding
from blotter.database.http.messages import Request, Response
from blotter.database.http.writer import ResponseWriter, compress, content_type

_ID = "A" * 52


def _request(method: str = "POST", **headers: str) -> Request:
    return Request(method, "/", {name.replace("_", "-"): value for name, value in headers.items()}, b"", id=_ID)


def _parse(data: bytes, method: str = "POST") -> http.client.HTTPResponse:
    class Socket:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    response = http.client.HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]
    response.begin()
    return response


def _writer(clock: Callable[[], float] = lambda: 1_700_000_000.0) -> ResponseWriter:
    return ResponseWriter(1024, clock)


def test_an_answer_carries_what_aws_sends() -> None:
    body = b'{"TableNames":[]}'
    request = _request(content_type="application/x-amz-json-1.0")
    answer = _parse(_writer().frame(request, Response(200, body), close=False))
    assert answer.status == 200
    assert answer.reason == "OK"
    assert dict(answer.getheaders()) == {
        "Server": "Blotter",
        "Date": "Tue, 14 Nov 2023 22:13:20 GMT",
        "Connection": "keep-alive",
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(body)),
        "x-amzn-RequestId": _ID,
        "x-amz-crc32": str(zlib.crc32(body)),
    }
    assert answer.read() == body


def test_the_date_moves_on() -> None:
    now = [1_700_000_000.0]
    writer = _writer(lambda: now[0])
    writer.frame(_request(), Response(200), close=False)
    now[0] += 1
    assert b"22:13:20" in writer.frame(_request(), Response(200), close=False)
    writer.new_second()
    assert b"22:13:21" in writer.frame(_request(), Response(200), close=False)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("application/x-amz-json-1.0", "application/x-amz-json-1.0"),
        ("  application/x-amz-json-1.0  ; charset=x", "application/x-amz-json-1.0"),
        ("application/json", "application/json"),
        ("text/plain", "application/json"),
        (None, "application/json"),
    ],
)
def test_the_content_type_is_the_one_asked_for(asked: str | None, answered: str) -> None:
    assert content_type(asked) == answered


def test_an_answer_may_bring_its_own_headers() -> None:
    answer = Response(404, b"<a/>", (("Content-Type", "application/xml"), ("X-Other", "1")))
    parsed = _parse(_writer().frame(_request(content_type="application/json"), answer, close=True))
    assert parsed.status == 404
    assert parsed.getheader("connection") == "close"
    assert parsed.headers.get_all("content-type") == ["application/xml"]
    assert parsed.getheader("x-other") == "1"
    assert parsed.read() == b"<a/>"


def test_head_is_answered_with_the_length_only() -> None:
    data = _writer().frame(_request("HEAD"), Response(200, b"12345"), close=False)
    assert _parse(data, "HEAD").getheader("content-length") == "5"
    assert data.endswith(b"\r\n\r\n")


def test_a_status_without_a_name() -> None:
    assert _parse(_writer().frame(_request(), Response(599), close=False)).status == 599


@pytest.mark.parametrize("accepted", ["gzip", "deflate"])
def test_who_gets_compressed_answers(accepted: str) -> None:
    writer = _writer()
    assert writer.coding(_request(accept_encoding=accepted), Response(200, b"x" * 1024)) == accepted
    assert writer.coding(_request(accept_encoding=accepted), Response(200, b"x" * 1023)) is None
    assert writer.coding(_request(), Response(200, b"x" * 1024)) is None


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_checksum_is_of_the_bytes_as_sent(coding: Coding) -> None:
    answer = _parse(_writer().frame(_request(), compress(Response(200, b"x" * 5000), coding), close=False))
    sent = answer.read()
    assert answer.getheader("content-encoding") == coding
    assert answer.getheader("x-amz-crc32") == str(zlib.crc32(sent))
    assert (gzip.decompress(sent) if coding == "gzip" else zlib.decompress(sent)) == b"x" * 5000
