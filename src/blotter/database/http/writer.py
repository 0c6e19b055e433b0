"""Answers to bytes, without I/O: status line, headers, checksum, compression.

The part of a head that answers share is made once a second (it holds the date) and reused; an answer costs one
formatting operation. Every answer carries what AWS's do: `x-amzn-RequestId`, `x-amz-crc32` over the bytes as they
are sent (compressed or not: that is what the SDKs check), `Content-Type` as the client requested, `Date`,
`Server`. There are no CORS headers here or anywhere: see `origins.py`.
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from blotter.database.http.accept_encoding import Coding, response_coding
from blotter.database.http.messages import Request, Response

JSON_1_0 = "application/x-amz-json-1.0"
# What is compressed in the event loop's own thread; more than this would make others wait.
INLINE_COMPRESSION = 32 * 1024

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class ResponseWriter:
    """Frames answers for all connections of a worker."""

    __slots__ = ("_clock", "_heads", "compress_from")

    def __init__(self, compress_from: int, clock: Callable[[], float] = time.time) -> None:
        self.compress_from = compress_from
        self._clock = clock
        self._heads: dict[tuple[int, str | None, bool], bytes] = {}

    def new_second(self) -> None:
        """Forgets the heads, and with them their date."""
        self._heads.clear()

    def frame(self, request: Request, response: Response, close: bool) -> bytes:
        """The answer to a request as it goes over the wire; `close` announces the end of the connection."""
        body = response.body
        key = (response.status, request.headers.get("content-type"), close)
        head = self._heads.get(key) or self._head(key)
        if response.headers or request.method == "HEAD":
            return self._special(request, response, head)
        return b"%bContent-Length: %d\r\nx-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\n\r\n%b" % (
            head,
            len(body),
            request.id.encode(),
            zlib.crc32(body),
            body,
        )

    def coding(self, request: Request, response: Response) -> Coding | None:
        """How the answer is to be compressed for this client, if it is worth that."""
        asked = request.headers.get("accept-encoding")
        return None if asked is None or len(response.body) < self.compress_from else response_coding(asked)

    def _head(self, key: tuple[int, str | None, bool]) -> bytes:
        status, asked, close = key
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}",
            "Server: Blotter",
            f"Date: {formatdate(self._clock(), usegmt=True)}",
            f"Connection: {'close' if close else 'keep-alive'}",
            f"Content-Type: {content_type(asked)}\r\n",
        ]
        head = "\r\n".join(lines).encode("ascii")
        if len(self._heads) < 64 and len(asked or "") <= 256:
            self._heads[key] = head
        return head

    def _special(self, request: Request, response: Response, head: bytes) -> bytes:
        if any(name.lower() == "content-type" for name, _ in response.headers):
            head = head[: head.index(b"Content-Type:")]
        extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers).encode("latin-1")
        return b"%b%bContent-Length: %d\r\nx-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\n\r\n%b" % (
            head,
            extra,
            len(response.body),
            request.id.encode(),
            zlib.crc32(response.body),
            b"" if request.method == "HEAD" else response.body,
        )


def content_type(asked: str | None) -> str:
    """The content type of an answer: JSON 1.0, or plain JSON for a client that sent it (or none), as AWS does."""
    media_type = (asked or "").split(";", 1)[0].strip()
    return JSON_1_0 if media_type == JSON_1_0 else "application/json"


def compress(response: Response, coding: Coding) -> Response:
    """The answer compressed. Level 1: on DynamoDB's JSON it gives most of the saving for a third of the time."""
    body = zlib.compress(response.body, 1) if coding == "deflate" else gzip.compress(response.body, 1, mtime=0)
    headers = (*response.headers, ("Content-Encoding", coding))
    return Response(response.status, body, headers, response.close)
