"""What the HTTP room trades in: a request that has arrived whole, its answer, and an answer that comes later.

A `Handler` takes one request and gives its answer back at once (a point read) or as `Pending` (a write waiting for
its commit, a scan in slices). What it may not do is touch the connection: order of answers, keep-alive, checksums,
compression and the headers every answer carries are the connection's business. Nothing here does I/O or knows
DynamoDB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator

import msgspec


class Request(msgspec.Struct, frozen=True, gc=False):
    """A complete HTTP request.

    `target` is the request target as it came ("/" or "/?X-Amz-Algorithm=…"). `headers` has lower-cased names and
    values without surrounding blanks; the values of a repeated header are joined by "," in order, as SigV4 wants
    them. Bytes above ASCII are kept as Latin-1 characters.
    `peer` is the client's address without its port. `id` is what the answer carries as `x-amzn-RequestId`.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: str = ""
    id: str = ""


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer before it is framed. A `Content-Type` among `headers` replaces the protocol's own;
    `close` ends the connection after this answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


class Pending:
    """An answer that comes later. Who makes it calls `settle` once, whatever happens; who waits says with `then`
    what to do with it, and is called in the same turn of the event loop.

    Less than a future on purpose: a write pays for one object instead of a coroutine, a task and two futures, and
    its answer leaves right after the commit instead of two turns of the loop later.
    """

    __slots__ = ("_response", "_taker", "abandoned")

    def __init__(self) -> None:
        self.abandoned = False
        """The client is gone: whoever has not begun the work may leave it undone."""
        self._response: Response | None = None
        self._taker: Callable[[Response], None] | None = None

    def settle(self, response: Response) -> None:
        self._response = response
        if self._taker is not None:
            self._taker(response)

    def then(self, taker: Callable[[Response], None]) -> None:
        self._taker = taker
        if self._response is not None:
            taker(self._response)

    def __await__(self) -> Generator[asyncio.Future[Response], None, Response]:
        """For who has a coroutine of his own to wait in."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.then(lambda response: None if future.done() else future.set_result(response))
        return future.__await__()


Handler = Callable[[Request], Response | Pending]
