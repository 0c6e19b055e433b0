"""The items that changed in a period, for an incremental export: each once, with what it was before the period and
what it was at its end.

An item that was made and deleted within the period is none of them. The changes come in the order of commits and
are needed in the order of keys: they are sorted in working storage (`storage.scratch`), so memory does not grow
with the period. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final

import msgspec

from blotter.database.exporting.files import ExportRow
from blotter.database.storage.protocol import Change
from blotter.database.storage.scratch import Scratch

_READ_AT_ONCE: Final = 64
"""Changes that are read back at once: an item may have 400 KB, and a change two of them."""
_BYTES_AT_ONCE: Final = 512 * 1024
_SEQUENCE_BYTES: Final = 8
_END: Final = b"\x00\x01"
"""Behind a key, whose zero bytes are followed by 0xFF: no key is the beginning of another, and their order
stays."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[float, bytes | None, bytes | None]).decode


class ChangedItem:
    """`micros`: when it was last written, in microseconds since the epoch; the images are stored bodies."""

    __slots__ = ("micros", "new", "old")

    def __init__(self, micros: int, old: bytes | None, new: bytes | None) -> None:
        self.micros = micros
        self.old = old
        self.new = new


async def changed_items(
    history: AsyncIterator[list[Change]], scratch: Scratch, start: bytes, end: bytes | None
) -> AsyncGenerator[list[ExportRow]]:
    """The changed items with start <= key < end, in key order. The bytes of a row are those of all its changes;
    `history` has all changes in the period, in the order of commits. `scratch` is empty, and the caller's to
    close."""
    async for changes in history:
        scratch.add(
            (_sorting(change), _encode((change.time, change.old, change.new)))
            for change in changes
            if change.key >= start and (end is None or change.key < end)
        )
    rows: list[ExportRow] = []
    size = 0
    for row in _merged(scratch):
        rows.append(row)
        size += row[1]
        if size >= _BYTES_AT_ONCE:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _merged(scratch: Scratch) -> Iterator[ExportRow]:
    """One row for all changes of a key."""
    current = b""
    size, item = 0, ChangedItem(0, None, None)
    for sorting, value in _sorted(scratch):
        key = sorting[:-_SEQUENCE_BYTES]
        time, old, new = _decode(value)
        if key != current:
            if item.old is not None or item.new is not None:
                yield _key_of(current), size, item
            current, size, item = key, 0, ChangedItem(0, old, None)
        item.new = new
        item.micros = round(time * 1_000_000)
        size += len(key) + len(old or b"") + len(new or b"")
    if item.old is not None or item.new is not None:
        yield _key_of(current), size, item


def _sorted(scratch: Scratch) -> Iterator[tuple[bytes, bytes]]:
    after = b""
    while rows := scratch.items(after, None, _READ_AT_ONCE):
        for key, value in rows:
            if value is not None:
                yield key, value
        after = rows[-1][0] + b"\x00"


def _sorting(change: Change) -> bytes:
    """Sorts by key, then by sequence."""
    escaped = change.key.replace(b"\x00", b"\x00\xff")
    return escaped + _END + change.sequence.to_bytes(_SEQUENCE_BYTES, "big")


def _key_of(sorting: bytes) -> bytes:
    return sorting[: -len(_END)].replace(b"\x00\xff", b"\x00")
