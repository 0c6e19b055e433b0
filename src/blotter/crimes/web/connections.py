"""The bounds of one connection that uvicorn does not set: the time and the bytes of a request's head, and the time
a client may take to read.

A connection that has not sent a whole head within `HEAD_SECONDS` (from the connection's start, or from the
head's first byte on a connection that is kept alive) is closed; a head of more than `HEAD_BYTES` is answered
431. Together with the limit on connections (`server.py`) this bounds what silent clients can hold.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 15.0
HEAD_BYTES = 64 * 1024
SEND_SECONDS = 60.0
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the head of a request."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._expect_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._count(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._count(len(name) + len(value) + 4):
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_there()
        if self._head_bytes <= HEAD_BYTES:
            super().on_headers_complete()

    def _count(self, size: int) -> bool:
        self._head_bytes += size
        if self._head_bytes <= HEAD_BYTES:
            return True
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        return False

    def _expect_head(self) -> None:
        self._head_is_there()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_there(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class SendTimeoutMiddleware:
    """Ends an answer whose client does not read: each piece has to leave within `SEND_SECONDS`."""

    def __init__(self, app: ASGIApp, seconds: float = SEND_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bounded_send(message: Message) -> None:
            with anyio.fail_after(self._seconds):
                await send(message)

        await self._app(scope, receive, bounded_send if scope["type"] == "http" else send)
