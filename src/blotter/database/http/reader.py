"""Bytes to requests, without I/O: httptools parses, this file assembles and refuses.

`feed` takes bytes as they come, one or a million at a time, and appends every request that is complete to
`requests`. What cannot become a request raises `Refused` with the status to answer; requests completed before it
stay in the queue and are still to be answered. A body announced as too large is refused at the end of its head,
before it is sent. Memory is bounded: heads and the framing of chunks by `Limits.head`, bodies by `Limits.body`
and, over all connections, by a `MemoryBudget`. Implements HTTP/1.1, independent of DynamoDB; times are the
connection's.

RFC 9112; what httptools' parser (llhttp, strict) refuses by itself: both Content-Length and Transfer-Encoding,
two lengths, bare line feeds, blanks before the colon. Transfer encodings other than chunked are refused here:
taking their bytes for the body would carry out another request than was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

import httptools

from blotter.database.http.budget import SMALL, MemoryBudget
from blotter.database.http.limits import Limits
from blotter.database.http.messages import Request, TlsSession

Phase = Literal["idle", "head", "body"]

_METHODS: dict[bytes, str] = {}
_HEADER_NAMES: dict[bytes, str] = {}
_CACHED_NAMES = 512
_LONGEST_CACHED_NAME = 64


class Refused(Exception):
    """What arrived is not answered as a request, but with this status; the connection ends with it."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


class RequestReader:
    """Reads the requests of one connection.

    `phase` is where in a request the last byte fed was. `last` is true once no further request can follow on this
    connection. `expects_continue` is set while the client waits for "100 Continue"; the sender of that resets it.
    """

    __slots__ = (
        "_body",
        "_budget",
        "_headers",
        "_limits",
        "_new_id",
        "_parser",
        "_peer",
        "_progress",
        "_refusal",
        "_size",
        "_stranger",
        "_target",
        "_tls",
        "_unheard",
        "_upgrading",
        "body_missing",
        "expects_continue",
        "last",
        "phase",
        "requests",
    )

    def __init__(
        self,
        limits: Limits,
        budget: MemoryBudget,
        new_id: Callable[[], str],
        peer: str = "",
        tls: TlsSession | None = None,
    ) -> None:
        self.requests: deque[Request] = deque()
        self.phase: Phase = "idle"
        self.last = False
        self.expects_continue = False
        self.body_missing = 0
        self._limits = limits
        self._budget = budget
        self._new_id = new_id
        self._peer = peer
        self._tls = tls
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._stranger = False
        self._progress = 0
        self._unheard = 0
        self._refusal: Refused | None = None
        self._upgrading = False

    def feed(self, data: bytes | memoryview) -> None:
        """Takes the next bytes. Raises `Refused`; after that the reader takes no more."""
        progress = self._progress
        refusal: Refused | None = None
        rest: bytes | memoryview | None = data
        try:
            while rest:
                rest = self._parse(rest)
        except httptools.HttpParserError as error:
            if self.last and self._refusal is None:
                return  # Bytes after a request with "Connection: close" are ignored.
            self.last = True
            refusal = self._refusal or Refused(400, f"not an HTTP/1.1 request: {error}")
            self._refusal = None
        if refusal is not None:  # Not raised in the handler: it would keep the parser's error and its frames.
            raise refusal
        if progress != self._progress:
            self._unheard = 0
            return
        # Nothing was finished: the bytes went into a header, a trailer or a chunk extension that is still open.
        self._unheard += len(data)
        if self._unheard > self._limits.head:
            self.last = True
            raise Refused(431, "the request's head is too large")

    def release(self) -> None:
        """Drops unanswered requests and a half-read body, and gives back what they hold of the budget."""
        self._budget.release(self._size)
        self._known_now()
        self._size = 0
        self._body.clear()
        for request in self.requests:
            self._budget.release(len(request.body))
        self.requests.clear()

    # httptools calls these by name while it parses. An exception ends the parse; `_refuse` records why.

    def on_url(self, part: bytes) -> None:
        self.phase = "head"
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase == "body":
            return  # A trailer: no AWS protocol uses them.
        key = _HEADER_NAMES.get(name) or _header_name(name)
        text = value.decode("latin-1").rstrip()
        earlier = self._headers.get(key)
        if earlier is None:
            self._headers[key] = text
        elif key == "host":
            self._refuse(400, "two Host headers")
        else:
            self._headers[key] = f"{earlier},{text}"

    def on_headers_complete(self) -> None:
        self._progress += 1
        if self._parser.should_upgrade() and not self._upgrading:
            self._upgrading = True
            return
        self.phase = "body"
        headers = self._headers
        if "host" not in headers and self._parser.get_http_version() != "1.0":
            self._refuse(400, "no Host header")
        declared = headers.get("content-length")
        # With a length there is no transfer encoding: the parser refuses both together.
        if declared is None and headers.get("transfer-encoding", "chunked").lower() != "chunked":
            self._refuse(501, "unknown transfer encoding")
        length = 0 if declared is None else int(declared)
        if length > self._limits.body:
            self._refuse(413)
        self.body_missing = length
        if "expect" in headers:
            self._expect(headers["expect"])

    def on_body(self, data: bytes) -> None:
        self._progress += 1
        length = len(data)
        before = self._size
        size = self._size = before + length
        if size > SMALL:
            if size > self._limits.body:
                self._refuse(413)
            self._count(length if before > SMALL else size, first=before <= SMALL)
        self.body_missing -= length
        self._body.append(data)

    def on_message_complete(self) -> None:
        self._progress += 1
        if self._upgrading:
            return
        body = self._body
        parser = self._parser
        method = parser.get_method()
        self.requests.append(
            Request(
                _METHODS.get(method) or _method(method),
                self._target.decode("latin-1"),
                self._headers,
                body[0] if len(body) == 1 else b"".join(body),
                self._peer,
                self._new_id(),
                self._tls,
            )
        )
        if not parser.should_keep_alive():
            self.last = True
        self._next_message()

    def _count(self, size: int, *, first: bool) -> None:
        """Counts a part of a large body in the budget."""
        budget = self._budget
        budget.used += size
        if first:
            self._stranger = budget.is_stranger(self._headers)
        if self._stranger:
            budget.of_strangers += size
        if budget.exceeded or (self._stranger and budget.exceeded_by_strangers):
            self._refuse(503, "too many large requests at once")

    def _known_now(self) -> None:
        """The body is whole or dropped."""
        if self._stranger:
            self._budget.of_strangers -= self._size
            self._stranger = False

    def _next_message(self) -> None:
        self._known_now()
        self.phase = "idle"
        self.expects_continue = False
        self.body_missing = 0
        self._target = b""
        self._headers = {}
        self._body = []
        self._size = 0

    def _expect(self, expectation: str) -> None:
        if expectation.lower() != "100-continue":
            self._refuse(417, "unknown expectation")
        # A client that has already sent its whole body needs no answer; the same call of `feed` will complete
        # the request.
        self.expects_continue = self._parser.get_http_version() == "1.1"

    def _refuse(self, status: int, reason: str = "") -> None:
        self._refusal = Refused(status, reason)
        raise self._refusal

    def _parse(self, data: bytes | memoryview) -> memoryview | None:
        """Parses up to the end, or to an offer of another protocol; returns what follows that. No recursion: a
        client may send any number of such offers in one piece."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return memoryview(data)[upgrade.args[0] :]
        return None

    def _ignore_upgrade(self) -> None:
        """Reads a request that offers another protocol as if it had not (RFC 9110, 7.8).

        httptools takes the body of such a request for the other protocol's bytes, so its head goes through a
        second parser without the offer. Java's HTTP client offers h2c on every plain connection.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self.last = True
            raise Refused(405, "this is not a proxy")
        head = [b"%b %b HTTP/1.1\r\n" % (method, self._target)]
        for name, value in self._headers.items():
            if name not in ("upgrade", "connection", "http2-settings"):
                head.append(f"{name}: {value}\r\n".encode("latin-1"))
        self._next_message()
        self._upgrading = False
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"".join([*head, b"\r\n"]))


def _header_name(name: bytes) -> str:
    key = name.decode("latin-1").lower()
    if len(_HEADER_NAMES) < _CACHED_NAMES and len(name) <= _LONGEST_CACHED_NAME:
        _HEADER_NAMES[bytes(name)] = key
    return key


def _method(method: bytes) -> str:
    return _METHODS.setdefault(method, method.decode("ascii"))
