"""The server on real sockets and uvloop: accepting, sharing, evicting, draining, and large bodies both ways."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from blotter.database.http.host import HostedConnection
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Handler, Pending, Request, Response
from blotter.database.http.server import ConnectionCounts, HttpServer
from tests.unit.database.http.iterations import iterate, until


def _post(body: bytes, headers: str = "") -> bytes:
    return f"POST / HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One answer's status and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


def later(work: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[[Request], Pending]:
    """A handler whose answer is what a coroutine will return."""

    def handler(request: Request) -> Pending:
        answer = Pending()
        task = asyncio.get_running_loop().create_task(work(request))
        task.add_done_callback(lambda done: None if done.cancelled() else answer.settle(done.result()))
        return answer

    return handler


class _Running:
    """A server on a free loopback port, for one test."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = self.listener.getsockname()
        self.handled = 0
        self.opened = 0
        self.server = HttpServer(self._counting(handler), limits)
        opened = self.server.opened

        def count(connection: HostedConnection) -> None:
            self.opened += 1
            opened(connection)

        self.server.opened = count  # type: ignore[method-assign]
        self.server.start(self.listener)

    def _counting(self, handler: Handler) -> Handler:
        def counting(request: Request) -> Response | Pending:
            self.handled += 1
            return handler(request)

        return counting

    @property
    def unsent(self) -> int:
        return sum(connection.unsent for connection in self.server.connections)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address, limit=1 << 26)

    async def stop(self) -> None:
        await self.server.drain()
        self.listener.close()


def _serve(
    test: Callable[[_Running], Awaitable[None]], handler: Handler | None = None, limits: Limits | None = None
) -> None:
    async def work() -> None:
        running = _Running(handler or (lambda request: Response(200, request.body)), limits)
        try:
            await asyncio.wait_for(test(running), 60)
        finally:
            await running.stop()

    uvloop.run(work())


def test_many_requests_over_one_connection() -> None:
    async def test(running: _Running) -> None:
        reader, writer = await running.connect()
        for number in range(200):
            writer.write(_post(b"%d" % number))
            assert await _answer(reader) == (200, b"%d" % number)

    _serve(test)


def test_a_body_of_sixteen_megabytes_and_its_echo() -> None:
    async def test(running: _Running) -> None:
        reader, writer = await running.connect()
        body = bytes(range(256)) * 65536
        writer.write(_post(body))
        assert await _answer(reader) == (200, body)
        writer.write(_post(b"still here"))
        assert await _answer(reader) == (200, b"still here")
        assert running.server.budget.used == 0

    _serve(test)


def test_one_byte_more_is_refused_and_the_client_reads_why() -> None:
    async def test(running: _Running) -> None:
        reader, writer = await running.connect()
        writer.write(_post(b"x" * (16 * 1024 * 1024 + 1)))
        assert await _answer(reader) == (413, b"")
        assert await reader.read() == b""

    _serve(test)


def test_pipelined_answers_keep_their_order_under_back_pressure() -> None:
    """While the client reads nothing, no more is answered than the socket takes; then all is there, in order."""
    requests = 400
    handled: list[int] = []

    async def test(running: _Running) -> None:
        reader, writer = await running.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(requests):
            writer.write(_post(b"%d" % number))
        await until(lambda: bool(running.unsent) or len(handled) == requests)
        await iterate()
        assert len(handled) < requests, "the client took nothing, and all was answered"
        assert 100_000 <= running.unsent <= running.server.budget.used
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        for number in range(requests):
            status, body = await _answer(reader)
            assert status == 200
            assert body.startswith(b"%d|" % number)
        assert handled == list(range(requests))
        assert running.server.budget.used == 0

    @later
    async def slow(request: Request) -> Response:
        await iterate(3)
        return Response(200, request.body + b"|" + b"x" * 100_000)

    def handler(request: Request) -> Response | Pending:
        handled.append(int(request.body))
        if handled[-1] % 3 == 0:
            return slow(request)
        return Response(200, request.body + b"|" + b"x" * 100_000)

    _serve(test, handler)


def test_clients_that_do_not_read_are_cut_when_memory_is_used_up() -> None:
    """The one that waits longest is closed first; clients that read are served all the same."""

    async def test(running: _Running) -> None:
        silent = []
        for _ in range(12):
            reader, writer = await running.connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(_post(b"large"))
            silent.append((reader, writer))
            await until(lambda: running.handled == len(silent))
            await iterate()
            assert running.server.budget.used <= running.server.budget.limit
        reader, writer = await running.connect()
        writer.write(_post(b"small"))
        assert await _answer(reader) == (200, b"small")
        first = silent[0]
        first[1].transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await _answer(first[0])
        last = silent[-1]
        last[1].transport.resume_reading()  # type: ignore[attr-defined]
        assert await _answer(last[0]) == (200, b"x" * 16_000_000)

    _serve(
        test,
        lambda request: Response(200, b"x" * 16_000_000 if request.body == b"large" else request.body),
        Limits(buffered=64_000_000),
    )


def test_gzip_for_who_asks() -> None:
    async def test(running: _Running) -> None:
        reader, writer = await running.connect()
        for size in (1_000, 10_000, 1_000_000):
            writer.write(_post(b"x" * size, "Accept-Encoding: gzip\r\n"))
            status, body = await _answer(reader)
            assert status == 200
            assert (gzip.decompress(body) if size > 4096 else body) == b"x" * size

    _serve(test)


def test_who_is_idle_longest_makes_room() -> None:
    async def test(running: _Running) -> None:
        busy_reader, busy_writer = await running.connect()
        busy_writer.write(_post(b"wait"))
        clients = [await running.connect() for _ in range(40)]
        await until(lambda: running.opened == 41)
        await iterate()
        assert len(running.server.connections) <= 20
        reader, writer = clients[-1]
        writer.write(_post(b"newest"))
        assert await _answer(reader) == (200, b"newest")
        released.set()
        assert await _answer(busy_reader) == (200, b"wait")

    released = asyncio.Event()

    @later
    async def waiting(request: Request) -> Response:
        await released.wait()
        return Response(200, request.body)

    _serve(
        test,
        lambda request: waiting(request) if request.body == b"wait" else Response(200, request.body),
        Limits(connections=20),
    )


def test_drain_waits_for_what_is_under_way_and_accepts_nothing_new() -> None:
    async def test(running: _Running) -> None:
        idle_reader, _ = await running.connect()
        reader, writer = await running.connect()
        writer.write(_post(b"x"))
        await started.wait()
        draining = asyncio.create_task(running.server.drain())
        assert await idle_reader.read() == b""
        assert not draining.done()
        released.set()
        assert await _answer(reader) == (200, b"finished")
        assert await reader.read() == b""
        await draining

    started, released = asyncio.Event(), asyncio.Event()

    @later
    async def handler(_request: Request) -> Response:
        started.set()
        await released.wait()
        return Response(200, b"finished")

    _serve(test, handler)


def test_drain_is_bounded() -> None:
    async def test(running: _Running) -> None:
        reader, writer = await running.connect()
        writer.write(_post(b"x"))
        await started.wait()
        await running.server.drain()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)

    started = asyncio.Event()

    @later
    async def handler(_request: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        return Response(200)

    _serve(test, handler, Limits(drain_timeout=0.1))


def test_idle_and_slow_clients_do_not_slow_others() -> None:
    async def test(running: _Running) -> None:
        idle = [await running.connect() for _ in range(200)]
        for _, writer in idle[:100]:
            writer.write(b"POST / HTTP/1.1\r\nHos")
        reader, writer = await running.connect()
        for _ in range(50):
            writer.write(_post(b"x"))
            assert await _answer(reader) == (200, b"x")
        for _, idle_writer in idle:
            idle_writer.close()

    _serve(test)


def test_two_servers_on_one_socket_share_the_connections() -> None:
    async def work() -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        counts = [ConnectionCounts.GONE] * 3
        servers = [
            HttpServer(lambda request: Response(200, request.body), counts=ConnectionCounts(counts, slot))
            for slot in range(2)
        ]
        for server in servers:
            server.start(listener.dup())  # As after a fork: two descriptors of one socket.
        clients = [await asyncio.open_connection(*listener.getsockname()) for _ in range(40)]
        await until(lambda: sum(counts[:2]) == 40)
        assert abs(counts[0] - counts[1]) <= 2
        assert counts[2] == ConnectionCounts.GONE
        await servers[0].drain()
        assert counts[0] == ConnectionCounts.GONE
        # The remaining one takes everything, and waits for no other.
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(_post(b"x"))
        assert await _answer(reader) == (200, b"x")
        await servers[1].drain()
        for _, client in clients:
            client.close()
        listener.close()

    uvloop.run(work())
