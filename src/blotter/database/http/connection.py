"""One client's connection: the only file that touches a socket's bytes.

Requests of a connection are worked on one after another, so answers leave in order and a pipelined read sees the
write before it. While one is worked on, what arrives is held unparsed and soon no longer read; a client that does
not take its answers is not read either. After each answer a pipelining client waits for its next turn.
Deadlines are plain numbers that the server's one timer compares (`expire`), never a timer for each request.
Knows no DynamoDB: the handler answers, `server.py` keeps the books.

    idle ─ bytes ─→ head ─→ body ─→ busy ─ answer ─→ idle        (refused: answer, linger until the client has
                                                                  stopped sending, so that it can read why)
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.http.reader import Refused, RequestReader
from blotter.database.http.writer import CONTINUE, INLINE_COMPRESSION, compress

if TYPE_CHECKING:
    from blotter.database.http.server import HttpServer

log = logging.getLogger(__name__)

# Parsed at a time outside of bodies: bounds the requests that one read of the socket can become.
_STEP = 8 * 1024
# Held unparsed before the socket is no longer read.
_HOLD = 64 * 1024
# How long a refused client may go on sending before it is cut off.
_LINGER = 2.0


class Connection(asyncio.Protocol):
    """Reads requests from a socket, has them answered and writes the answers."""

    __slots__ = (
        "_asked",
        "_busy",
        "_deadline",
        "_ending",
        "_eof",
        "_handler",
        "_held",
        "_held_size",
        "_lingering",
        "_loop",
        "_phase",
        "_reader",
        "_reading",
        "_refusal",
        "_server",
        "_transport",
        "_writable",
        "_writer",
        "since",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._handler = server.handler
        self._writer = server.writer
        self._loop = server.loop
        self._transport: Any = None
        self._reader: RequestReader = None  # type: ignore[assignment]  # set before any byte arrives
        self._held: deque[memoryview] = deque()
        self._held_size = 0
        self._refusal: Refused | None = None
        self._asked: Request | None = None
        self._busy = False
        self._ending = False
        self._eof = False
        self._lingering = False
        self._reading = True
        self._writable = True
        self._phase = "idle"
        self._deadline = inf
        self.since = server.next_turn()
        """Grows whenever a connection turns idle: the one with the least makes room for others."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        address = transport.get_extra_info("peername")
        peer = address[0] if isinstance(address, tuple) else ""
        server = self._server
        self._reader = RequestReader(server.limits, server.budget, server.new_id, peer)
        self._deadline = server.now + server.limits.header_timeout
        server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._held.clear()
        self._reader.release()
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._reader.last:
            return
        if self._busy or self._held or len(data) > _STEP or not self._writable:
            self._held.append(memoryview(data))
            self._held_size += len(data)
        else:
            try:
                self._reader.feed(data)
            except Refused as refusal:
                self._refusal = refusal.with_traceback(None)  # Its frames hold all that arrived, and this.
        if not self._busy:
            self._advance()
        if self._held_size > _HOLD and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        # What was asked before the client closed its side is still answered.
        return not self._lingering and (self._busy or bool(self._held) or not self._writable)

    def pause_writing(self) -> None:
        self._writable = False
        if not self._lingering:
            self._deadline = self._server.now + self._server.limits.write_timeout

    def resume_writing(self) -> None:
        self._writable = True
        if self._lingering:
            return
        self._deadline = inf
        if not self._busy:
            self._advance()

    # What the server calls.

    @property
    def answering(self) -> bool:
        """Whether a complete request is being worked on."""
        return self._busy

    @property
    def working(self) -> bool:
        """Whether a request is under way."""
        return self._busy or self._phase != "idle" or bool(self._held) or not self._writable

    def expire(self, now: float) -> None:
        """Ends the connection if the deadline of what it is at has passed."""
        if now < self._deadline or self._transport is None:
            return
        if self._lingering or not self._writable:
            self._transport.abort()
        elif self._phase == "idle":
            self._transport.close()
        else:
            self._refuse(Refused(408, f"the request's {self._phase} took too long"))

    def drain(self) -> None:
        """Lets a request under way be the last; without one, closes."""
        self._ending = True
        if not self.working and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # The work.

    def _advance(self) -> None:
        """Answers and parses until nothing is left to do, or something has to be waited for."""
        requests = self._reader.requests
        answered = False
        while self._transport is not None and self._writable:
            if requests:
                if answered:  # Others have their turn first, or a flood of pipelined requests would be all.
                    self._busy = True
                    self._deadline = inf
                    self._loop.call_soon(self._next_turn)
                    return
                answered = True
                request = requests.popleft()
                try:
                    answer = self._handler(request)
                    if isinstance(answer, Response):
                        self._answer(request, answer)
                    else:
                        self._wait_for(request, answer)
                except Exception:
                    log.exception("request %s failed", request.id)
                    self._answer(request, self._server.failure)
                if self._busy:
                    return
            elif self._refusal is not None:
                self._refuse(self._refusal)
                return
            elif self._held and not self._reader.last:
                self._parse_held()
            else:
                self._rest()
                return

    def _next_turn(self) -> None:
        self._busy = False
        self._advance()

    def _parse_held(self) -> None:
        data = self._held.popleft()
        step = max(_STEP, self._reader.body_missing)
        if len(data) > step:
            self._held.appendleft(data[step:])
            data = data[:step]
        self._held_size -= len(data)
        try:
            self._reader.feed(data)
        except Refused as refusal:
            self._refusal = refusal.with_traceback(None)  # Its frames hold all that arrived, and this.

    def _rest(self) -> None:
        """Everything that arrived is answered; what is the client at?"""
        reader = self._reader
        phase = reader.phase
        if self._eof or reader.last or (self._ending and phase == "idle"):
            self._transport.close()
            return
        if reader.expects_continue:
            reader.expects_continue = False
            self._transport.write(CONTINUE)
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if phase != self._phase or phase == "idle":
            server = self._server
            self._phase = phase
            self.since = server.next_turn()
            self._deadline = server.now + server.timeouts[phase]

    def _wait_for(self, request: Request, answer: Pending) -> None:
        self._busy = True
        self._asked = request
        self._deadline = inf
        answer.then(self._finished)

    def _finished(self, response: Response) -> None:
        request = self._asked
        self._asked = None
        assert request is not None  # one request at a time, and an answer is settled once
        self._busy = False
        if self._transport is None:
            self._server.budget.release(len(request.body))
            return
        try:
            self._answer(request, response)
        except Exception:
            log.exception("request %s could not be answered", request.id)
            self.abort()
            return
        if not self._busy:
            self._advance()

    def _answer(self, request: Request, response: Response) -> None:
        if "accept-encoding" in request.headers and self._writer.wants_gzip(request, response):
            if len(response.body) > INLINE_COMPRESSION:
                self._wait_for_compression(request, response)
                return
            response = compress(response)
        self._server.budget.release(len(request.body))
        reader = self._reader
        if response.close or self._ending:
            reader.last = True
            reader.release()
        close = reader.last and not reader.requests
        self._phase = "answered"
        self._transport.write(self._writer.frame(request, response, close))

    def _wait_for_compression(self, request: Request, response: Response) -> None:
        """Compresses in a thread, then answers; uncompressed where that fails."""
        answer = Pending()

        def compressed(done: asyncio.Future[Response]) -> None:
            failed = done.cancelled() or done.exception() is not None
            answer.settle(response if failed else done.result())

        self._loop.run_in_executor(None, compress, response).add_done_callback(compressed)
        self._wait_for(msgspec.structs.replace(request, headers=_without_coding(request)), answer)

    def _refuse(self, refusal: Refused) -> None:
        """Answers what never became a request, then waits for the client to stop sending.

        Closing at once would reset the connection under a client that is still sending, and it would never read
        the answer.
        """
        self._lingering = True
        self._held.clear()
        self._held_size = 0
        self._reader.release()
        self._deadline = self._server.now + _LINGER
        body = f"{refusal.reason}\n".encode() if refusal.reason else b""
        request = Request("POST", "/", {}, b"", id=self._server.new_id())
        answer = Response(refusal.status, body, (("Content-Type", "text/plain"),))
        self._transport.write(self._writer.frame(request, answer, close=True))
        self._transport.write_eof()
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()


def _without_coding(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name != "accept-encoding"}
