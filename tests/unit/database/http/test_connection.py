"""A connection without a socket: order, fairness, back-pressure, time-outs and endings.

The transport is a stand-in that records; time is a number the test moves. `test_server.py` does it with sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from blotter.database.http.connection import Connection
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.http.server import HttpServer
from tests.unit.database.http.iterations import iterate, iterate_once
from tests.unit.database.http.transport import Transport


class _Bench:
    """A server and one of its connections; the handler answers with the request's body."""

    def __init__(self, handler: Callable[[Request], Any] | None = None, limits: Limits | None = None) -> None:
        self.now = 1000.0
        self.handled: list[bytes] = []
        self.server = HttpServer(handler or self._echo, limits, clock=lambda: self.now)
        self._transport = Transport()
        self.connection = Connection(self.server)
        self.connection.connection_made(self._transport)  # type: ignore[arg-type]

    @property
    def transport(self) -> Transport:
        """The transport, at the end of an iteration of the loop."""
        self.server.outbox.flush()
        return self._transport

    def _echo(self, request: Request) -> Response:
        self.handled.append(request.body)
        return Response(200, request.body)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.server.tick()


def _post(body: bytes, headers: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def _run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 30)

    asyncio.run(bounded())


def test_a_request_is_answered_in_the_call_that_brings_its_last_byte() -> None:
    async def work() -> None:
        bench = _Bench()
        data = _post(b"one")
        for at in range(len(data)):
            assert bench.transport.written == b""
            bench.connection.data_received(data[at : at + 1])
        assert bench.transport.bodies == [b"one"]

    _run(work)


def test_answers_leave_in_the_order_of_the_requests() -> None:
    """A write that waits delays the reads after it: they see it, and their answers follow its own."""

    async def work() -> None:
        written = Pending()
        seen: list[bytes] = []

        def handler(request: Request) -> Response | Pending:
            seen.append(request.body)
            return written if request.body == b"write" else Response(200, request.body)

        bench = _Bench(handler)
        bench.connection.data_received(_post(b"read 1") + _post(b"write") + _post(b"read 2"))
        bench.connection.data_received(_post(b"read 3"))
        await iterate()
        assert bench.transport.bodies == [b"read 1"]
        assert seen == [b"read 1", b"write"]
        written.settle(Response(200, b"written"))
        await iterate()
        assert bench.transport.bodies == [b"read 1", b"written", b"read 2", b"read 3"]

    _run(work)


def test_a_flood_of_pipelined_requests_takes_turns_with_others() -> None:
    async def work() -> None:
        bench = _Bench()
        bench.connection.data_received(_post(b"x") * 1000)
        assert len(bench.handled) == 1
        waited = 0
        while len(bench.handled) < 1000:
            waited += 1
            await iterate_once()
        assert waited >= 400  # `iterate` lets the loop run twice.
        assert bench.transport.bodies == [b"x"] * 1000

    _run(work)


def test_a_flood_is_parsed_as_it_is_answered() -> None:
    async def work() -> None:
        bench = _Bench(lambda _request: Pending())
        bench.connection.data_received(_post(b"x") * 5000)
        assert len(bench.connection._reader.requests) < 500

    _run(work)


def test_while_a_request_waits_the_client_is_soon_not_read() -> None:
    async def work() -> None:
        waiting = Pending()
        bench = _Bench(lambda request: waiting if request.body == b"wait" else Response(200, request.body))
        bench.connection.data_received(_post(b"wait"))
        sent = 0
        while bench.transport.reading and sent < 10_000:
            bench.connection.data_received(_post(b"y"))
            sent += 1
        assert sent * len(_post(b"y")) < 100_000
        waiting.settle(Response(200, b"done"))
        while len(bench.transport.bodies) < sent + 1:
            await iterate_once()
        assert bench.transport.reading

    _run(work)


def test_a_client_that_does_not_take_answers_gets_no_more_of_them() -> None:
    async def work() -> None:
        bench = _Bench()
        bench.connection.pause_writing()
        for _ in range(2000):
            bench.connection.data_received(_post(b"z"))
            if not bench.transport.reading:
                break
        assert not bench.transport.reading
        assert bench.handled == []
        bench.connection.resume_writing()
        while not bench.transport.reading:
            await iterate_once()
        assert len(bench.handled) > 1000

    _run(work)


def test_one_that_never_takes_them_is_cut_off() -> None:
    async def work() -> None:
        bench = _Bench(limits=Limits(write_timeout=60))
        bench.connection.pause_writing()
        bench.pass_time(59)
        assert not bench.transport.aborted
        bench.pass_time(2)
        assert bench.transport.aborted

    _run(work)


@pytest.mark.parametrize(
    ("sent", "seconds", "statuses"),
    [
        (b"", 9, None),
        (b"", 11, []),  # nothing at all after connecting
        (b"POST / HT", 9, None),
        (b"POST / HT", 11, [408]),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", 29, None),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", 31, [408]),
        (_post(b"done"), 99, None),
        (_post(b"done"), 101, [200]),
    ],
)
def test_slow_clients(sent: bytes, seconds: float, statuses: list[int] | None) -> None:
    """`statuses` None: the connection still lives."""

    async def work() -> None:
        bench = _Bench(limits=Limits(header_timeout=10, body_timeout=30, idle_timeout=100))
        if sent:
            bench.connection.data_received(sent)
        bench.pass_time(seconds)
        ended = bench.transport.closed or bench.transport.ended
        assert ended is (statuses is not None)
        if statuses is not None:
            assert bench.transport.statuses == statuses

    _run(work)


def test_a_byte_now_and_then_does_not_extend_the_time() -> None:
    async def work() -> None:
        bench = _Bench(limits=Limits(header_timeout=10))
        for byte in b"POST / HTTP/1.1":
            bench.connection.data_received(bytes([byte]))
            bench.pass_time(1)
        assert bench.transport.statuses == [408]

    _run(work)


def test_each_request_has_its_own_time() -> None:
    """Packets that always end in the middle of the next head are no slow client."""

    async def work() -> None:
        bench = _Bench(limits=Limits(header_timeout=10))
        data = _post(b"x")
        bench.connection.data_received(data[:9])
        for _ in range(10):
            bench.pass_time(5)
            bench.connection.data_received(data[9:] + data[:9])
        assert bench.transport.statuses == [200] * 10

    _run(work)


def test_a_request_under_way_has_all_the_time_it_needs() -> None:
    async def work() -> None:
        waiting = Pending()
        bench = _Bench(lambda _request: waiting)
        bench.connection.data_received(_post(b"x"))
        bench.pass_time(100_000)
        waiting.settle(Response(200, b"late"))
        await iterate()
        assert bench.transport.bodies == [b"late"]
        assert not bench.transport.closed

    _run(work)


def test_a_refused_client_can_read_why_before_it_is_cut_off() -> None:
    async def work() -> None:
        bench = _Bench(limits=Limits(body=100))
        bench.connection.data_received(
            _post(b"fine") + b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n"
        )
        assert bench.transport.statuses == [200, 413]
        assert b"Connection: close" in bench.transport.written
        assert bench.transport.bodies[1] == b""
        assert bench.transport.ended
        assert not bench.transport.closed
        bench.connection.data_received(b"x" * 10_000)
        assert bench.transport.statuses == [200, 413]
        bench.pass_time(5)
        assert bench.transport.aborted

    _run(work)


def test_a_refused_client_that_reads_slowly_is_refused_once() -> None:
    async def work() -> None:
        bench = _Bench()
        bench.connection.data_received(b"broken\r\n\r\n")
        bench.connection.pause_writing()
        bench.connection.resume_writing()
        assert bench.transport.statuses == [400]
        bench.pass_time(5)
        assert bench.transport.aborted

    _run(work)


def test_leave_to_send_a_body_is_given_after_the_answers_before_it() -> None:
    async def work() -> None:
        waiting = Pending()
        bench = _Bench(lambda request: waiting if request.body == b"first" else Response(200, request.body))
        expecting = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        bench.connection.data_received(_post(b"first"))
        bench.connection.data_received(expecting)
        assert bench.transport.written == b""
        waiting.settle(Response(200, b"first"))
        await iterate()
        assert bench.transport.statuses == [200, 100]
        bench.connection.data_received(b"{}")
        assert bench.transport.statuses == [200, 100, 200]

    _run(work)


def test_a_handler_that_breaks_is_an_internal_error() -> None:
    async def work() -> None:
        def handler(_request: Request) -> Any:
            raise RuntimeError("broken")

        bench = _Bench(handler)
        bench.connection.data_received(_post(b"x") + _post(b"y"))
        await iterate()
        assert bench.transport.statuses == [500, 500]
        assert b"Internal server error" in bench.transport.bodies[0]
        assert b"broken" not in bench.transport.written

    _run(work)


def test_the_answer_may_end_the_connection() -> None:
    async def work() -> None:
        bench = _Bench(lambda _request: Response(200, b"bye", close=True))
        bench.connection.data_received(_post(b"x") + _post(b"y"))
        assert bench.transport.bodies == [b"bye"]
        assert b"Connection: close" in bench.transport.written
        assert bench.transport.closed

    _run(work)


def test_so_may_the_request() -> None:
    async def work() -> None:
        bench = _Bench()
        bench.connection.data_received(_post(b"x") + _post(b"y", b"Connection: close\r\n") + _post(b"z"))
        await iterate()
        assert bench.transport.bodies == [b"x", b"y"]
        assert bench.transport.written.count(b"Connection: close") == 1
        assert bench.transport.closed

    _run(work)


def test_a_client_that_closes_its_side_still_gets_its_answers() -> None:
    async def work() -> None:
        waiting = Pending()
        bench = _Bench(lambda request: waiting if request.body == b"x" else Response(200, request.body))
        bench.connection.data_received(_post(b"x"))
        bench.connection.data_received(_post(b"y"))
        assert bench.connection.eof_received()
        waiting.settle(Response(200, b"x"))
        await iterate()
        assert bench.transport.bodies == [b"x", b"y"]
        assert bench.transport.closed
        assert not _Bench().connection.eof_received()

    _run(work)


def test_an_answer_for_a_client_that_left_goes_nowhere() -> None:
    async def work() -> None:
        waiting = Pending()
        bench = _Bench(lambda _request: waiting)
        bench.connection.data_received(_post(b"x" * 10_000))
        assert bench.server.budget.used == 10_000
        bench.connection.connection_lost(None)
        waiting.settle(Response(200, b"late"))
        await iterate()
        assert bench.transport.written == b""
        assert bench.server.budget.used == 0
        assert bench.server.connections == set()

    _run(work)


def test_the_budget_for_bodies_comes_back_whatever_happens() -> None:
    async def work() -> None:
        bench = _Bench(limits=Limits(body=50_000))
        bench.connection.data_received(_post(b"x" * 20_000))
        assert bench.transport.statuses == [200]
        assert bench.server.budget.used == 0
        bench.connection.data_received(_post(b"x" * 20_000)[:-1])
        assert bench.server.budget.used > 0
        bench.connection.connection_lost(None)
        assert bench.server.budget.used == 0

    _run(work)


def test_large_answers_are_compressed_beside_the_loop() -> None:
    async def work() -> None:
        bench = _Bench(lambda _request: Response(200, b"x" * 200_000))
        bench.connection.data_received(_post(b"", b"Accept-Encoding: gzip\r\n"))
        assert bench.transport.written == b""
        await bench.transport.was_written.wait()
        assert b"Content-Encoding: gzip" in bench.transport.written
        assert len(bench.transport.written) < 2_000

    _run(work)


def test_drain_closes_idle_connections_and_ends_others_after_their_answer() -> None:
    async def work() -> None:
        idle = _Bench()
        idle.connection.drain()
        assert idle.transport.closed

        waiting = Pending()
        busy = _Bench(lambda _request: waiting)
        busy.connection.data_received(_post(b"x") + _post(b"y"))
        busy.connection.drain()
        assert not busy.transport.closed
        waiting.settle(Response(200, b"last"))
        await iterate()
        assert busy.transport.bodies == [b"last"]
        assert b"Connection: close" in busy.transport.written
        assert busy.transport.closed

        half = _Bench()
        half.connection.data_received(_post(b"abc")[:-1])
        half.connection.drain()
        assert not half.transport.closed
        half.connection.data_received(b"c")
        assert half.transport.bodies == [b"abc"]
        assert half.transport.closed

    _run(work)
