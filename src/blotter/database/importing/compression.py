"""The bytes of an object, unpacked piece by piece: plain, gzip or zstd.

Memory stays bounded whatever an object claims to hold: input is unpacked in small pieces, and a zstd frame may not
ask for a larger window than its compressors use by default. Objects that end early, are damaged, or are not
compressed at all raise `MalformedObject`. An object may consist of several gzip members or zstd frames. One of no
bytes holds nothing, compressed or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    import zstandard

Compression = Literal["NONE", "GZIP", "ZSTD"]

PIECE_BYTES: Final = 64 * 1024
"""What is yielded at once, at most, of plain and gzip objects."""
ZSTD_INPUT_BYTES: Final = 1024
"""What is unpacked at once: four bytes can stand for 128 KB, so that these give 32 MB at most."""
ZSTD_WINDOW_BYTES: Final = 128 * 1024 * 1024

_GZIP = 16 + zlib.MAX_WBITS  # with a gzip header, and with no other


class MalformedObject(Exception):
    """The rest of an object cannot be read. `str()` says why."""


def unpacked(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The content of an object, in pieces. `chunks` are its bytes as they are stored. Raises MalformedObject,
    after what could be unpacked."""
    return _UNPACK[compression](chunks)


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE_BYTES):
            yield chunk[start : start + PIECE_BYTES]


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member: Any = None
    for waiting in _plain(chunks):  # What follows a member is copied: there may be a member every 20 bytes.
        while waiting:
            if member is None:
                member = zlib.decompressobj(_GZIP)
            try:
                piece = member.decompress(waiting, PIECE_BYTES)
            except zlib.error as error:
                raise MalformedObject(f"The object is not in GZIP format: {error}") from None
            if piece:
                yield piece
            if member.eof:
                waiting, member = member.unused_data, None
            else:
                waiting = member.unconsumed_tail
    if member is not None:
        raise MalformedObject("The object is not in GZIP format: it ends before its end marker")


class _Frame(Protocol):
    """A zstd frame that is being unpacked."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    decompressor: zstandard.ZstdDecompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    frame: _Frame | None = None
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            part = chunk[start : start + ZSTD_INPUT_BYTES]
            start += len(part)
            if frame is None:
                frame = decompressor.decompressobj()
            try:
                piece = frame.decompress(part)
            except zstandard.ZstdError as error:
                raise MalformedObject(f"The object is not in ZSTD format: {error}") from None
            if piece:
                yield piece
            if frame.eof:
                start -= len(frame.unused_data)
                frame = None
    if frame is not None:
        raise MalformedObject("The object is not in ZSTD format: it ends before its last frame does")


_UNPACK: dict[str, Callable[[Iterable[bytes]], Iterator[bytes]]] = {"NONE": _plain, "GZIP": _gzip, "ZSTD": _zstd}
