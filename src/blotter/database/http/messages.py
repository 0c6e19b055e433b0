"""The two values the HTTP room trades in: a request that has arrived whole, and the answer to it.

A `Handler` takes one request and gives its answer back at once (a point read) or as something to await (a write
waiting for its commit, a scan in slices). What it may not do is touch the connection: order of answers,
keep-alive, checksums, compression and the headers every answer carries are the connection's business.
Nothing here does I/O or knows DynamoDB.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

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


Handler = Callable[[Request], Response | Awaitable[Response]]
