"""The values of the HTTP package: a complete request, its response, and a response that comes later.

A `Handler` takes one request and returns its response at once (a point read) or as `Pending` (a write waiting for
its commit, a scan in slices). What it may not do is touch the connection: order of answers, keep-alive, checksums,
compression and the headers every answer carries are the connection's business. Nothing here does I/O or depends on
DynamoDB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator

import msgspec


class TlsSession(msgspec.Struct, frozen=True):
    """What a connection over TLS negotiated: version ("TLSv1.3") and cipher suite, as OpenSSL names them."""

    version: str
    cipher: str


class Request(msgspec.Struct, frozen=True, gc=False):
    """A complete HTTP request.

    `target` is the request target as it came ("/" or "/?X-Amz-Algorithm=…"). `headers` has lower-cased names and
    values without surrounding blanks; the values of a repeated header are joined by "," in order, as SigV4 wants
    them. Bytes above ASCII are kept as Latin-1 characters.
    `peer` is the client's address without its port. `id` is what the answer carries as `x-amzn-RequestId`.
    `tls` is None for a request that came unencrypted.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str = ""
    id: str = ""
    tls: TlsSession | None = None


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer before it is framed. A `Content-Type` among `headers` replaces the protocol's own;
    `close` ends the connection after this answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


class Pending:
    """A response that is settled later. The producer calls `settle` exactly once; the consumer registers a
    callback with `then`, which is called in the same iteration of the event loop.

    Less than a future on purpose: a write pays for one object instead of a coroutine, a task and two futures, and
    its response leaves right after the commit instead of two iterations of the loop later.
    """

    __slots__ = ("_callback", "_response", "abandoned")

    def __init__(self) -> None:
        self.abandoned = False
        """The client is gone: work that has not begun may be skipped."""
        self._response: Response | None = None
        self._callback: Callable[[Response], None] | None = None

    def settle(self, response: Response) -> None:
        self._response = response
        if self._callback is not None:
            self._callback(response)

    def then(self, callback: Callable[[Response], None]) -> None:
        self._callback = callback
        if self._response is not None:
            callback(self._response)

    def __await__(self) -> Generator[asyncio.Future[Response], None, Response]:
        """For a coroutine that waits for the response."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.then(lambda response: None if future.done() else future.set_result(response))
        return future.__await__()


Handler = Callable[[Request], Response | Pending]
