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


class Request:
    """A complete HTTP request. It never changes.

    `target` is the request target as it came ("/" or "/?X-Amz-Algorithm=…"). `headers` has lower-cased names and
    values without surrounding blanks; the values of a repeated header are joined by "," in order, as SigV4 wants
    them. Bytes above ASCII are kept as Latin-1 characters.
    `peer` is the client's address without its port. `id` is what the answer carries as `x-amzn-RequestId`.
    `tls` is None for a request that came unencrypted.

    Here and in the other values that are made for every request, a class of our own: compiled, it is made and read
    in a third of the instructions that a msgspec.Struct takes.
    """

    __slots__ = ("body", "headers", "id", "method", "peer", "target", "tls")

    def __init__(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        peer: str = "",
        id: str = "",  # noqa: A002
        tls: TlsSession | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.peer = peer
        self.id = id
        self.tls = tls

    def with_body(self, body: bytes) -> Request:
        return Request(self.method, self.target, self.headers, body, self.peer, self.id, self.tls)

    def with_headers(self, headers: dict[str, str]) -> Request:
        return Request(self.method, self.target, headers, self.body, self.peer, self.id, self.tls)


class Response:
    """An answer before it is framed. A `Content-Type` among `headers` replaces the protocol's own;
    `close` ends the connection after this answer."""

    __slots__ = ("body", "close", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", headers: tuple[tuple[str, str], ...] = (), close: bool = False
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.close = close


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

    def settle_with(self, response: Response | Pending) -> None:
        """Settles it with a response that may itself come later."""
        if isinstance(response, Pending):
            response.then(self.settle)
        else:
            self.settle(response)

    def __await__(self) -> Generator[asyncio.Future[Response], None, Response]:
        """For a coroutine that waits for the response."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.then(lambda response: None if future.done() else future.set_result(response))
        return future.__await__()


Handler = Callable[[Request], Response | Pending]
