"""One client's connection: with `tls.py` below it, the only file that touches a socket's bytes.

Requests of a connection are worked on one after another, so answers leave in order and a pipelined read sees the
write before it. While one is worked on, what arrives is held unparsed and soon no longer read; a client that
does not take its answers is not read either, and its answers count in the worker's memory budget. After each
answer a pipelining client waits for the event loop to serve others. `states.py` has the states and the ways
between them. Deadlines are plain numbers that the server's one timer compares (`expire`), never a timer for each
request. Imports neither services nor `server.py`: `host.py` declares what it needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from math import inf
from typing import Any

from blotter.database.http.accept_encoding import Coding
from blotter.database.http.budget import SMALL
from blotter.database.http.host import Host
from blotter.database.http.messages import Pending, Request, Response, TlsSession
from blotter.database.http.reader import Refused, RequestReader
from blotter.database.http.states import State
from blotter.database.http.writer import CONTINUE, INLINE_COMPRESSION, compress

log = logging.getLogger(__name__)

# Looking up a member in its enumeration costs 0.1 µs.
_IDLE, _HEAD, _BODY, _BUSY = State.IDLE, State.HEAD, State.BODY, State.BUSY
_BLOCKED, _LINGERING, _CLOSED = State.BLOCKED, State.LINGERING, State.CLOSED

# Parsed at a time outside of bodies: bounds the requests that one read of the socket can become.
_STEP = 8 * 1024
# Held unparsed before the socket is no longer read.
_HOLD = 64 * 1024
# How long a refused client may go on sending before it is cut off.
_LINGER = 2.0


class Connection(asyncio.Protocol):
    """Reads requests from a socket, has them answered and writes the answers."""

    __slots__ = (
        "_budget",
        "_current",
        "_deadline",
        "_decoded",
        "_ending",
        "_eof",
        "_handler",
        "_held",
        "_held_size",
        "_host",
        "_loop",
        "_outbox",
        "_pending",
        "_reader",
        "_reading",
        "_refusal",
        "_state",
        "_tls",
        "_transport",
        "_writable",
        "_writer",
        "since",
        "unsent",
    )

    def __init__(self, host: Host, tls: TlsSession | None = None) -> None:
        self._host = host
        self._tls = tls
        self._handler = host.handler
        self._writer = host.writer
        self._budget = host.budget
        self._loop = host.loop
        self._outbox = host.outbox
        self._transport: Any = None
        self._reader: RequestReader = None  # type: ignore[assignment]  # set before any byte arrives
        self._held: deque[memoryview] = deque()
        self._held_size = 0
        self._refusal: Refused | None = None
        self._current: Request | None = None
        self._pending: Pending | None = None
        self._decoded = 0
        self._ending = False
        self._eof = False
        self._reading = True
        self._writable = True
        self._state = _IDLE
        self._deadline = inf
        self.since = host.next_number()
        self.unsent = 0

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        """`transport` is the socket's, or the TLS layer above it."""
        self._transport = transport
        address = transport.get_extra_info("peername")
        peer = address[0] if isinstance(address, tuple) else ""
        host = self._host
        self._reader = RequestReader(host.limits, host.budget, host.new_id, peer, self._tls)
        self._deadline = host.now + host.limits.header_timeout
        host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self._pending is not None:
            self._pending.abandoned = True
        self._held.clear()
        self._reader.release()
        self._release_unsent()
        self._enter(_CLOSED)
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is _LINGERING or self._reader.last:
            return
        ready = state is not _BUSY and state is not _BLOCKED
        if ready and not self._held and len(data) <= _STEP:
            try:
                self._reader.feed(data)
            except Refused as refusal:
                self._refusal = refusal.with_traceback(None)  # Its frames hold all that arrived, and this.
        else:
            self._held.append(memoryview(data))
            self._held_size += len(data)
        if ready:
            self._advance()
        if self._held_size > _HOLD and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self._outbox.flush()  # The transport may be closed after this.
        # Requests that arrived before the client closed its side are still answered.
        state = self._state
        return state is not _LINGERING and (state is _BUSY or state is _BLOCKED or bool(self._held))

    def pause_writing(self) -> None:
        self._writable = False
        if self._state is _LINGERING:
            return
        self._deadline = self._host.now + self._host.limits.write_timeout
        if self._state is not _BUSY:
            self._enter(_BLOCKED)

    def resume_writing(self) -> None:
        self._writable = True
        self._release_unsent()
        if self._state is _BLOCKED:
            self._advance()
        elif self._state is _BUSY:
            self._deadline = inf

    # What the server calls.

    @property
    def answering(self) -> bool:
        return self._state is _BUSY

    def expire(self, now: float) -> None:
        if now < self._deadline or self._transport is None:
            return
        if self._state is _IDLE:
            self._close()
        elif self._state is _HEAD or self._state is _BODY:
            self.refuse(Refused(408, f"the request's {self._state.value} took too long"))
        else:
            self.abort()

    def drain(self) -> None:
        self._ending = True
        if self._state is _IDLE and self._transport is not None:
            self._close()

    def abort(self) -> None:
        self._release_unsent()
        if self._transport is not None:
            self._transport.abort()

    # The work.

    def _enter(self, state: State) -> None:
        """The one place where the state changes, so that a test can watch it."""
        self._state = state

    def _advance(self, answered: bool = False) -> None:
        """Answers one request (none if one was `answered` just now) and parses, until nothing is left to do or
        something has to be waited for."""
        requests = self._reader.requests
        while self._transport is not None:
            if not self._writable:
                self._enter(_BLOCKED)
                return
            if requests:
                self._enter(_BUSY)
                self._deadline = inf
                if (
                    answered
                ):  # The loop serves others first, or a flood of pipelined requests would be all it does.
                    self._loop.call_soon(self._go_on)
                    return
                answered = True
                if not self._serve(requests.popleft()):
                    return
            elif self._refusal is not None:
                self.refuse(self._refusal)
                return
            elif self._held and not self._reader.last:
                self._parse_held()
            else:
                self._rest()
                return

    def _close(self) -> None:
        self._outbox.flush()
        self._transport.close()

    def _go_on(self) -> None:
        if self._state is _BUSY:
            self._advance()

    def _serve(self, request: Request) -> bool:
        """Has a request answered; False when its answer comes later."""
        if len(request.body) > SMALL:
            self._decoded = self._budget.decode(request.body)
            if self._decoded < 0:
                self._decoded = 0
                return self._answer(request, self._host.overloaded)
        outbox = self._outbox
        if outbox.waiting:
            outbox.flush_old()
        try:
            answer = self._handler(request)
            if isinstance(answer, Response):
                return self._answer(request, answer)
            self._wait_for(request, answer)
            return False
        except Exception:
            log.exception("request %s failed", request.id)
            return self._answer(request, self._host.failure)

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
        """Everything that arrived is answered; what does the client have to send next?"""
        reader = self._reader
        state = _STATES[reader.phase]
        if self._eof or reader.last or (self._ending and state is _IDLE):
            self._close()
            return
        if reader.expects_continue:
            reader.expects_continue = False
            self._outbox.flush()
            self._transport.write(CONTINUE)
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        # The time for a head or a body runs from its start, however many pieces it comes in.
        if state is not self._state or state is _IDLE:
            host = self._host
            self._enter(state)
            self.since = host.next_number()
            self._deadline = host.now + host.timeouts[reader.phase]

    def _wait_for(self, request: Request, answer: Pending) -> None:
        self._current = request
        self._pending = answer
        answer.then(self._finished)

    def _finished(self, response: Response) -> None:
        request = self._current
        self._current = self._pending = None
        assert request is not None  # one request at a time, and an answer is settled once
        if self._transport is None:
            self._release(request)
            return
        try:
            if not self._answer(request, response, together=False):
                return
        except Exception:
            log.exception("request %s could not be answered", request.id)
            self.abort()
            return
        self._advance(answered=True)

    def _answer(self, request: Request, response: Response, *, together: bool = True) -> bool:
        """Writes an answer; False when it is first compressed in another thread. `together`: with those of this
        iteration of the loop. Answers that came later, as those of writes, come together by themselves."""
        if "accept-encoding" in request.headers:
            coding = self._writer.coding(request, response)
            if coding and len(response.body) > INLINE_COMPRESSION:
                self._wait_for_compression(request, response, coding)
                return False
            if coding:
                response = compress(response, coding)
        reader = self._reader
        if response.close or self._ending:
            reader.last = True
            reader.release()
        close = reader.last and not reader.requests
        frame = self._writer.frame(request, response, close)
        self._release(request)
        size = len(frame)
        if together and size <= SMALL:
            self._outbox.put(self._transport, frame)
            return True
        self._outbox.flush()
        self._transport.write(frame)
        if not self._writable:
            self._count_unsent(size)
        return True

    def _release(self, request: Request) -> None:
        """Gives back what a request took."""
        self._budget.release(len(request.body))
        if self._decoded > 0:
            self._budget.release_decoded(self._decoded)
            self._decoded = 0

    def _count_unsent(self, size: int) -> None:
        """The client has not taken this answer at once: until it has, it takes up memory."""
        if not self.unsent:
            self.since = self._host.next_number()
        self.unsent += size
        self._budget.used += size
        if self._budget.exceeded:
            self._host.relieve()

    def _release_unsent(self) -> None:
        self._budget.used -= self.unsent
        self.unsent = 0

    def _wait_for_compression(self, request: Request, response: Response, coding: Coding) -> None:
        """Compresses in a thread, then answers; uncompressed where that fails."""
        answer = Pending()

        def compressed(done: asyncio.Future[Response]) -> None:
            failed = done.cancelled() or done.exception() is not None
            answer.settle(response if failed else done.result())

        self._loop.run_in_executor(None, compress, response, coding).add_done_callback(compressed)
        self._wait_for(request.with_headers(_without_coding(request)), answer)

    def refuse(self, refusal: Refused) -> None:
        """Answers what never became a request, then waits for the client to stop sending.

        Closing at once would reset the connection under a client that is still sending, and it would never read
        the answer.
        """
        self._enter(_LINGERING)
        self._held.clear()
        self._held_size = 0
        self._reader.release()
        self._deadline = self._host.now + _LINGER
        body = f"{refusal.reason}\n".encode() if refusal.reason else b""
        request = Request("POST", "/", {}, b"", id=self._host.new_id())
        answer = Response(refusal.status, body, (("Content-Type", "text/plain"),))
        self._outbox.flush()
        self._transport.write(self._writer.frame(request, answer, close=True))
        self._transport.write_eof()
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()


_STATES = {"idle": _IDLE, "head": _HEAD, "body": _BODY}


def _without_coding(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name != "accept-encoding"}
