"""Lines out of pieces of bytes, with bounded memory.

A line ends with a line feed, which a carriage return may precede; the last one may end with the object. A line
longer than any item can be ends the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from blotter.database.importing.compression import MalformedObject

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""The longest line that is read. An item of 400 KB, every character escaped and every member of a list written
out, needs less than half of it."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of an object, without their ends. Raises MalformedObject after the last readable one."""
    begun: list[bytes] = []  # the pieces of a line that has not ended
    length = 0
    for piece in _without_mark(pieces):
        end = piece.rfind(b"\n")
        if end < 0:
            begun.append(piece)
            length += len(piece)
            if length > MAX_LINE_BYTES:
                raise _too_long()
            continue
        begun.append(piece[:end])
        whole = b"".join(begun) if len(begun) > 1 else begun[0]
        for line in whole.split(b"\n"):
            if len(line) > MAX_LINE_BYTES:
                raise _too_long()
            yield line[:-1] if line.endswith(b"\r") else line
        begun = [piece[end + 1 :]]
        length = len(begun[0])
    last = b"".join(begun)
    if last:
        yield last[:-1] if last.endswith(b"\r") else last


def _without_mark(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces without a byte order mark at their beginning."""
    head = b""
    started = False
    for piece in pieces:
        if started:
            yield piece
            continue
        head += piece
        if len(head) >= len(BYTE_ORDER_MARK):
            started = True
            yield head.removeprefix(BYTE_ORDER_MARK)
    if not started and head:
        yield head


def _too_long() -> MalformedObject:
    return MalformedObject(f"A line is longer than {MAX_LINE_BYTES} bytes")
