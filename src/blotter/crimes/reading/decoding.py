"""From an object's bytes to lines of text, in bounded memory: gzip, limits, UTF-8, and files that are not CSV.

Rules: gzip is known by its first bytes, not by the name; unpacked data are never held beyond one block, whatever
the ratio; a line has a maximum length, because the splitter must hold a whole one. Each kind of damage has its own
code (TRUNCATED_GZIP, CORRUPT_GZIP, TOO_LARGE, NOT_UTF8, NOT_CSV) because each has its own fix. Sources: RFC 1952
(gzip members follow each other; zero bytes may pad the end).
Must not depend on columns or rows.
"""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from blotter.crimes.failures import FileRefused

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_MAGIC = 16
_BOMB_RATIO = 200
_BOMB_BLOCK = BLOCK // 4

# first bytes → what such a file is
_FORMATS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Office workbook",
    b"PK\x05\x06": "a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    _GZIP_MAGIC: "gzip data within gzip data",
    b"{\\rtf": "an RTF document",
}
_MARKUP = {b"<": "an HTML or XML document", b"{": "a JSON document", b"[": "a JSON document"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def text_lines(
    chunks: Iterable[bytes], max_bytes: int, max_line: int, on_block: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """The lines of a CSV or CSV.gz, endings kept, a BOM removed. At most one block and one line are in memory.

    `max_bytes` limits the unpacked size, `max_line` one line's. `on_block` is called for every block of at most
    BLOCK unpacked bytes and may raise to stop the work. Raises FileRefused, also while iterating.
    """
    stream = _Stream(_unpacked((chunk for chunk in chunks if chunk), max_bytes), max_line, on_block)
    # newline="" keeps "\r\n", "\n" and "\r" as they are and splits at each, as the csv module requires.
    text = io.TextIOWrapper(io.BufferedReader(stream, BLOCK), encoding="utf-8-sig", newline="")
    try:
        yield from text
    except UnicodeDecodeError as error:
        raise FileRefused(
            "NOT_UTF8", f"the text is not UTF-8: {error.reason} near its byte {stream.taken:,}"
        ) from error


class _Stream(io.RawIOBase):
    """The blocks as a raw stream, refusing a line that grows beyond the limit."""

    def __init__(self, blocks: Iterator[bytes], max_line: int, on_block: Callable[[], None]) -> None:
        self._blocks = blocks
        self._on_block = on_block
        self._block = memoryview(b"")
        self._max_line = max_line
        self._line = 0
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        if not self._block:
            block = next(self._blocks, b"")
            self._on_block()
            self._measure(block)
            self._block = memoryview(block)
        target = memoryview(buffer)
        count = min(len(target), len(self._block))
        target[:count] = self._block[:count]
        self._block = self._block[count:]
        self.taken += count
        return count

    def _measure(self, block: bytes) -> None:
        """Follows the length of the line that is still open at the end of a block."""
        last_end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line = self._line + len(block) if last_end < 0 else len(block) - last_end - 1
        if self._line > self._max_line:
            raise FileRefused("FIELD_TOO_LONG", f"a line is longer than {self._max_line:,} bytes")


def _unpacked(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """The content in blocks of at most BLOCK bytes, unpacked when it is gzip, up to the limit."""
    first = next(chunks, b"")
    while 0 < len(first) < _LONGEST_MAGIC and (more := next(chunks, b"")):
        first += more
    packed = itertools.chain((first,), chunks)
    size = 0
    for block in _gunzipped(packed) if first.startswith(_GZIP_MAGIC) else _sliced(packed):
        if size == 0:
            _refuse_other_formats(block)
        size += len(block)
        if size > max_bytes:
            raise FileRefused("TOO_LARGE", f"the content is larger than the limit of {max_bytes:,} bytes")
        yield block


def _sliced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), BLOCK):
            yield chunk[start : start + BLOCK]


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpacks gzip members. Raises FileRefused when they are damaged, end early or hide a bomb."""
    member = zlib.decompressobj(wbits=31)
    for chunk in _sliced(chunks):
        pending = chunk
        while pending:
            if member.eof:
                pending = pending.lstrip(b"\0")
                if not pending:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                block = member.decompress(pending, BLOCK)
            except zlib.error as error:
                raise FileRefused("CORRUPT_GZIP", f"the gzip data are damaged: {error}") from error
            consumed = len(pending) - len(member.unconsumed_tail) - len(member.unused_data)
            _refuse_bomb(block, consumed)
            pending = member.unused_data if member.eof else member.unconsumed_tail
            if block:
                yield block
    if not member.eof:
        raise FileRefused("TRUNCATED_GZIP", "the gzip data end before their end mark: the file was cut off")


def _refuse_bomb(block: bytes, consumed: int) -> None:
    """Refuses a large block that a few bytes unpack to and that has no line end: no real CSV looks like that."""
    if len(block) < _BOMB_BLOCK or consumed * _BOMB_RATIO > len(block) or b"\n" in block or b"\r" in block:
        return
    raise FileRefused("TOO_LARGE", f"the file unpacks to over {_BOMB_RATIO} times its size, without any rows")


def _refuse_other_formats(block: bytes) -> None:
    """Checks the first block of the content."""
    for magic, name in _FORMATS.items():
        if block.startswith(magic):
            raise FileRefused("NOT_CSV", f"the file is {name}, not CSV")
    if block.startswith(_UTF16):
        raise FileRefused("NOT_UTF8", "the text is encoded as UTF-16; save it as UTF-8")
    name = _MARKUP.get(block.removeprefix(b"\xef\xbb\xbf").lstrip()[:1], "")
    if name:
        raise FileRefused("NOT_CSV", f"the file is {name}, not CSV")
    if b"\0" in block:
        raise FileRefused("NOT_CSV", "the file is binary, not CSV")
