"""Compressed bodies: what is understood, what is a 500, and that no body unpacks beyond its bound.

Behavior of AWS: ScyllaDB, test/alternator/test_compressed_request.py (recorded against DynamoDB).
"""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.http.content_encoding import ContentEncodingError, unpack

BODY = b'{"TableName":"t"}'
LIMIT = 1000


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        (" gzip ", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:5], mtime=0) + gzip.compress(BODY[5:], mtime=0)),
        ("gzip", gzip.compress(b"", mtime=0) + gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY, mtime=0) + b"junk"),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("", BODY),
    ],
)
def test_what_is_understood(encoding: str, packed: bytes) -> None:
    assert unpack(packed, encoding, LIMIT) == BODY


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("garbage", BODY),
        ("br", BODY),
        ("zstd", BODY),
        ("aws-chunked", BODY),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY, mtime=0))),
        ("gzip,deflate", gzip.compress(BODY, mtime=0)),
        ("gzip;q=1", gzip.compress(BODY, mtime=0)),
        ("gzip", BODY),
        ("gzip", b""),
        ("gzip", gzip.compress(BODY, mtime=0)[:-1]),
        ("gzip", gzip.compress(BODY, mtime=0)[:-8] + b"\0" * 8),  # the wrong checksum
        ("gzip", gzip.compress(BODY, mtime=0) + gzip.compress(BODY, mtime=0)[:12]),
        ("gzip", zlib.compress(BODY)),
        ("gzip", gzip.compress(b"", mtime=0) * 65),
        ("deflate", b""),
        ("deflate", zlib.compress(BODY)[:-1]),
        ("deflate", gzip.compress(BODY, mtime=0)),
    ],
)
def test_everything_else_is_an_internal_error(encoding: str, packed: bytes) -> None:
    with pytest.raises(ContentEncodingError) as refused:
        unpack(packed, encoding, LIMIT)
    assert refused.value.status == 500
    assert len(str(refused.value)) < 200


def test_the_bound_is_exact() -> None:
    assert len(unpack(gzip.compress(b"x" * LIMIT, mtime=0), "gzip", LIMIT)) == LIMIT
    two = gzip.compress(b"x" * (LIMIT // 2))
    assert len(unpack(two + two, "gzip", LIMIT)) == LIMIT
    for packed in (gzip.compress(b"x" * (LIMIT + 1)), two + two + gzip.compress(b"x", mtime=0)):
        with pytest.raises(ContentEncodingError) as refused:
            unpack(packed, "gzip", LIMIT)
        assert refused.value.status == 413


def test_a_bomb_is_not_unpacked() -> None:
    """Half a gigabyte in half a megabyte: no more is held than the bound."""
    packed = gzip.compress(b"\0" * 500_000_000, 1, mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(ContentEncodingError):
            unpack(packed, "gzip", 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_unpacked_or_refused(packed: bytes, encoding: str) -> None:
    with contextlib.suppress(ContentEncodingError):
        assert len(unpack(packed, encoding, LIMIT)) <= LIMIT
