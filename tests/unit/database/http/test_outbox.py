"""Answers that leave together: after all requests of an iteration, and never long after their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from blotter.database.http.connection import Connection
from blotter.database.http.messages import Request, Response
from blotter.database.http.outbox import LONGEST_SECONDS, MOST
from blotter.database.http.server import HttpServer
from tests.unit.database.http.iterations import iterate
from tests.unit.database.http.transport import Transport

SMALL = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n"


class _Bench:
    """A server whose events are recorded in order: "handle" and "write" with the number of the connection."""

    def __init__(self, connections: int = 1) -> None:
        self.now = 1000.0
        self.events: list[str] = []
        self.server = HttpServer(self._handle, clock=lambda: self.now)
        self.transports = [_Watched(str(number), self.events) for number in range(connections)]
        self.connections = [Connection(self.server) for _ in self.transports]
        for connection, transport in zip(self.connections, self.transports, strict=True):
            connection.connection_made(transport)

    def _handle(self, request: Request) -> Response:
        self.events.append("handle")
        return Response(200, b"x" * (100_000 if request.target == "/large" else 10))

    def send(self, number: int, data: bytes = SMALL) -> None:
        self.connections[number].data_received(data)


class _Watched(Transport):
    def __init__(self, name: str, events: list[str]) -> None:
        super().__init__()
        self._name = name
        self._events = events
        self.fails = False

    def write(self, data: bytes) -> None:
        self._events.append(f"write {self._name}")
        if self.fails:
            raise RuntimeError("the handler is closed")
        super().write(data)


def _run(work: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 30))  # type: ignore[arg-type]


def test_answers_leave_after_the_requests_that_came_with_theirs() -> None:
    async def work() -> None:
        bench = _Bench(3)
        for number in range(3):
            bench.send(number)
        assert bench.events == ["handle"] * 3
        await iterate()
        assert bench.events == ["handle"] * 3 + ["write 0", "write 1", "write 2"]
        bench.send(1)
        await iterate()
        assert bench.events[-2:] == ["handle", "write 1"]

    _run(work)


def test_an_answer_does_not_wait_for_long_or_in_a_crowd() -> None:
    async def work() -> None:
        bench = _Bench(MOST)
        bench.send(0)
        bench.now += 2 * LONGEST_SECONDS
        bench.send(1)
        assert bench.events == ["handle", "write 0", "handle"]
        for number in range(2, MOST):
            bench.send(number)
        assert bench.events.count("write 1") == 0
        bench.send(0)
        assert len([event for event in bench.events if event.startswith("write")]) == MOST + 1

    _run(work)


def test_a_large_answer_leaves_at_once_behind_those_before_it() -> None:
    async def work() -> None:
        bench = _Bench(2)
        bench.send(0)
        bench.send(1, LARGE)
        assert bench.events == ["handle", "handle", "write 0", "write 1"]

    _run(work)


@pytest.mark.parametrize("ending", ["eof", "close", "refusal", "drain", "idle"])
def test_nothing_overtakes_an_answer(ending: str) -> None:
    """Whatever ends the connection in the same iteration, the answer has been written before."""

    async def work() -> None:
        bench = _Bench()
        connection, transport = bench.connections[0], bench.transports[0]
        bench.send(0, SMALL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") if ending == "close" else SMALL)
        if ending == "eof":
            assert not connection.eof_received()
        elif ending == "refusal":
            bench.send(0, b"no HTTP\r\n\r\n")
        elif ending == "drain":
            connection.drain()
        elif ending == "idle":
            bench.now += 3600.0
            bench.server.tick()
        assert transport.statuses == ([200, 400] if ending == "refusal" else [200])
        assert transport.closed == (ending in ("close", "drain", "idle"))

    _run(work)


def test_one_client_that_is_gone_keeps_no_answer_from_others(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        bench = _Bench(3)
        bench.transports[1].fails = True
        for number in range(3):
            bench.send(number)
        bench.connections[0].abort()
        await iterate()
        assert bench.events[3:] == ["write 1", "write 2"]
        assert bench.transports[1].aborted

    _run(work)
    assert "an answer could not be sent" in caplog.text
