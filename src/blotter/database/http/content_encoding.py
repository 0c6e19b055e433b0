"""Request bodies that come compressed (`Content-Encoding`), unpacked within a bound. Pure.

SDKs can compress requests, and sign the compressed bytes, so unpacking is up to the service, after
authentication has seen the body as sent. What AWS does was recorded by ScyllaDB
(test/alternator/test_compressed_request.py) and is kept: gzip of one or several members and deflate are
understood; an unknown encoding, an empty or broken body are a 500; what follows the last gzip member is ignored.
Unlike AWS, the unpacked size has the limit of a plain body: 16 KB can unpack to 16 MB, and must not to 16 GB.
"""

from __future__ import annotations

import zlib

# `wbits` of zlib for a format with its header: gzip (RFC 1952), zlib (RFC 1950; that is what HTTP calls deflate).
_FORMATS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_GZIP_MAGIC = b"\x1f\x8b"
# Each member copies what follows it, and a member needs only 20 bytes.
_MAX_MEMBERS = 64


class ContentEncodingError(Exception):
    """The body cannot be unpacked (`status` 500) or would be too large (413)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The body that was packed, of at most `limit` bytes. Raises ContentEncodingError."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    wbits = _FORMATS.get(name)
    if wbits is None:
        raise ContentEncodingError(500, f"unknown content encoding '{encoding[:80]}'")
    parts: list[bytes] = []
    size = 0
    rest = body
    for _ in range(_MAX_MEMBERS):
        part, rest = _member(rest, wbits, limit - size)
        parts.append(part)
        size += len(part)
        if wbits != 31 or not rest.startswith(_GZIP_MAGIC):
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise ContentEncodingError(500, f"more than {_MAX_MEMBERS} gzip members")


def _member(packed: bytes, wbits: int, limit: int) -> tuple[bytes, bytes]:
    """One member unpacked, and what follows it."""
    unpacker = zlib.decompressobj(wbits)
    try:
        # One byte more than allowed shows that there is more; zero would mean no limit.
        unpacked = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        raise ContentEncodingError(500, f"the body does not match its content encoding: {error}") from None
    if len(unpacked) > limit:
        raise ContentEncodingError(413, f"the unpacked body is larger than {limit} bytes")
    if not unpacker.eof:
        raise ContentEncodingError(500, "the compressed body is cut off")
    return unpacked, unpacker.unused_data
