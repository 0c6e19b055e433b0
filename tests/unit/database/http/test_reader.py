"""The reader is fed whole, in halves and byte by byte, with what clients send and with what attackers send."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.database.http.limits import Limits
from blotter.database.http.messages import Request
from blotter.database.http.reader import MemoryBudget, Refused, RequestReader
from tests.examples import examples

_POST = (
    b"POST / HTTP/1.1\r\nHost: localhost:8000\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"X-Amz-Target: DynamoDB_20120810.ListTables\r\nContent-Length: 11\r\n\r\n"
    b'{"Limit":1}'
)
_CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5;ext=1\r\n{"Lim\r\n6\r\nit":1}\r\n0\r\nX-Trailer: t\r\n\r\n'
)
_SMALL = Limits(body=1000, head=2000)


def _reader(limits: Limits = _SMALL, budget: MemoryBudget | None = None) -> RequestReader:
    numbers = count()
    budget = budget or MemoryBudget(limits.buffered)
    return RequestReader(limits, budget, lambda: f"id-{next(numbers)}", "10.0.0.1")


def _read(data: bytes, step: int, limits: Limits = _SMALL) -> RequestReader:
    reader = _reader(limits)
    _feed(reader, data, step)
    return reader


def _refusal(data: bytes, step: int = 1, limits: Limits = _SMALL) -> tuple[int, list[Request]]:
    """The status of the refusal, and the requests before it."""
    reader = _reader(limits)
    with pytest.raises(Refused) as refused:
        _feed(reader, data, step)
    return refused.value.status, list(reader.requests)


def _feed(reader: RequestReader, data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])


def _status(data: bytes, step: int) -> int | None:
    """The status of the refusal, None when there is none."""
    try:
        _feed(_reader(), data, step)
    except Refused as refused:
        return refused.status
    return None


@pytest.mark.parametrize("step", [1, 2, 7, 64, 10_000])
def test_a_request_arrives_whole_however_it_is_cut(step: int) -> None:
    reader = _read(_POST, step)
    (request,) = reader.requests
    assert (request.method, request.target, request.peer, request.id) == ("POST", "/", "10.0.0.1", "id-0")
    assert request.headers == {
        "host": "localhost:8000",
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.ListTables",
        "content-length": "11",
    }
    assert request.body == b'{"Limit":1}'
    assert reader.phase == "idle"
    assert not reader.last


@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_chunks_are_joined_and_trailers_are_no_headers(step: int) -> None:
    request = _read(_CHUNKED, step).requests[0]
    assert request.body == b'{"Limit":1}'
    assert "x-trailer" not in request.headers


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(1, 400), max_size=30))
def test_any_cut_of_several_requests_gives_the_same_requests(cuts: list[int]) -> None:
    data = _POST + _CHUNKED + _POST
    reader = _reader()
    at = 0
    for length in [*cuts, len(data)]:
        reader.feed(data[at : at + length])
        at += length
    assert [request.body for request in reader.requests] == [b'{"Limit":1}'] * 3
    assert [request.id for request in reader.requests] == ["id-0", "id-1", "id-2"]


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=600), st.integers(1, 50))
def test_no_bytes_do_anything_but_be_read_or_refused(noise: bytes, step: int) -> None:
    assert _status(noise, step) in (None, 400, 405, 413, 417, 431, 501)


@settings(max_examples=examples(300), deadline=None)
@given(st.integers(0, len(_CHUNKED) - 1), st.binary(min_size=1, max_size=4), st.integers(1, 50))
def test_a_damaged_request_is_read_or_refused(at: int, damage: bytes, step: int) -> None:
    data = _CHUNKED[:at] + damage + _CHUNKED[at + len(damage) :]
    assert _status(data, step) in (None, 400, 405, 413, 417, 431, 501)


def test_header_values_lose_their_blanks_and_repeated_ones_are_joined() -> None:
    reader = _read(b"GET / HTTP/1.1\r\nHost: h \r\nX-A:  one \t\r\nx-a: two\r\n\r\n", 1)
    assert reader.requests[0].headers == {"host": "h", "x-a": "one,two"}


def test_the_phase_tells_what_the_client_is_at() -> None:
    reader = _reader()
    phases = [reader.phase]
    for part in (b"POST / HT", b"TP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", b"{", b"}"):
        reader.feed(part)
        phases.append(reader.phase)
    assert phases == ["idle", "head", "body", "body", "idle"]
    assert reader.body_missing == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),  # TLS to a plain port
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),  # no Host
        (b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity,chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
        (b"POST / HTTP/1.1\nHost: a\n\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + b"\r\n\r\n", 431),
        (b"POST /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 1000 + b"\r\n", 431),
        (b"\r\n" * 3000, 431),
    ],
)
@pytest.mark.parametrize("step", [1, 100])
def test_what_is_no_request_is_refused(data: bytes, status: int, step: int) -> None:
    assert _refusal(data, step) == (status, [])


def test_a_large_body_is_refused_at_the_end_of_its_head() -> None:
    reader = _reader()
    with pytest.raises(Refused) as refused:
        reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
    assert refused.value.status == 413


def test_a_body_of_just_the_limit_passes() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    assert len(_read(head + b"x" * 1000, 100).requests[0].body) == 1000


def test_chunks_beyond_the_limit_are_refused_as_they_come() -> None:
    chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    limits = Limits(body=20_000)
    assert len(_read(head + chunk * 200 + b"0\r\n\r\n", 50, limits).requests[0].body) == 20_000
    assert _refusal(head + chunk * 201, 50, limits) == (413, [])


@pytest.mark.parametrize("furniture", [b"5;" + b"e" * 5000, b"1\r\nx\r\n0\r\nTrailer: " + b"t" * 5000])
def test_endless_chunk_extensions_and_trailers_are_refused(furniture: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _refusal(head + furniture, 50) == (431, [])


def test_requests_before_a_broken_one_are_kept() -> None:
    status, requests = _refusal(_POST + _POST + b"broken\r\n\r\n", 10_000)
    assert status == 400
    assert len(requests) == 2


def _announced(sender: str, size: int) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: h\r\nFrom: {sender}\r\nContent-Length: {size}\r\n\r\n".encode()


def test_strangers_leave_room_for_the_others() -> None:
    """Who is not known holds back the ends of large bodies: together they get a quarter of the memory."""
    limits = Limits(body=200_000, buffered=400_000)
    budget = MemoryBudget(limits.buffered, lambda headers: headers["from"] == "ann")
    readers = [_reader(limits, budget) for _ in range(4)]
    for reader in readers[:2]:
        reader.feed(_announced("eve", 90_000))
    readers[0].feed(b"x" * 89_999)
    readers[1].feed(b"x" * 10_000)
    assert budget.of_strangers == 99_999
    with pytest.raises(Refused) as refused:
        readers[1].feed(b"x" * 2)
    assert refused.value.status == 503
    readers[1].release()

    readers[2].feed(_announced("ann", 199_999) + b"x" * 199_999)
    assert len(readers[2].requests) == 1, "a known sender is not hindered"
    readers[0].feed(b"x")
    assert (budget.of_strangers, len(readers[0].requests)) == (0, 1), "whole: its signature is verified now"
    readers[3].feed(_announced("eve", 90_000) + b"x" * 50_000)
    assert budget.of_strangers == 50_000
    for reader in readers:
        reader.release()
    assert (budget.of_strangers, budget.used) == (0, 0)


def test_large_bodies_share_a_budget_and_give_it_back() -> None:
    limits = Limits(body=100_000, buffered=150_000)
    budget = MemoryBudget(limits.buffered)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    first, second = _reader(limits, budget), _reader(limits, budget)
    first.feed(head + b"x" * 99_000)
    second.feed(head + b"x" * 50_000)
    assert budget.used == 149_000
    with pytest.raises(Refused) as refused:
        second.feed(b"x" * 2_000)
    assert refused.value.status == 503
    second.release()
    first.feed(b"x" * 1_000)
    assert budget.used == 100_000
    budget.release(len(first.requests.popleft().body))
    assert budget.used == 0


def test_small_bodies_are_not_counted() -> None:
    budget = MemoryBudget(0)
    reader = _reader(Limits(), budget)
    reader.feed(_POST)
    reader.release()
    assert budget.used == 0


@pytest.mark.parametrize(
    ("line", "headers", "last"),
    [
        (b"HTTP/1.1", b"", False),
        (b"HTTP/1.1", b"Connection: close\r\n", True),
        (b"HTTP/1.0", b"", True),
        (b"HTTP/1.0", b"Connection: keep-alive\r\n", False),
    ],
)
def test_when_the_connection_ends(line: bytes, headers: bytes, last: bool) -> None:
    reader = _read(b"POST / " + line + b"\r\nHost: h\r\nContent-Length: 2\r\n" + headers + b"\r\n{}", 5)
    assert reader.requests[0].body == b"{}"
    assert reader.last is last


def test_bytes_after_the_last_request_are_nothing() -> None:
    reader = _reader()
    reader.feed(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + _POST)
    assert len(reader.requests) == 1
    assert reader.last


@pytest.mark.parametrize("step", [1, 10, 10_000])
def test_an_offer_to_upgrade_is_not_taken_up(step: int) -> None:
    data = (
        b"POST /?a=b HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAEAAEAA\r\nX-Amz-Target: T\r\nContent-Length: 2\r\n\r\n{}"
    )
    reader = _read(data + _POST, step)
    first, second = reader.requests
    assert (first.target, first.body, first.headers["x-amz-target"]) == ("/?a=b", b"{}", "T")
    assert second.body == b'{"Limit":1}'


def test_a_client_that_waits_for_leave_to_send_its_body() -> None:
    reader = _reader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
    assert reader.expects_continue
    reader.feed(b"{}")
    assert not reader.expects_continue
    assert reader.requests[0].body == b"{}"


def test_one_that_sends_its_body_anyway_needs_no_leave() -> None:
    reader = _reader()
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}")
    assert not reader.expects_continue
