"""The items that changed in a period, for an incremental export: each once, with what it was before the period and
what it was at its end.

An item that was made and deleted within the period is none of them. The period may hold more changes than fit into
memory: then only those of the first keys are kept, and the history is read again for the next ones.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html (incremental).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from blotter.database.exporting.files import ExportRow
from blotter.database.storage.protocol import Change, change_size

MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Images that are kept at a time."""
_ENTRY_BYTES = 400
_ROWS_AT_ONCE: Final = 512

ReadHistory = Callable[[], AsyncIterator[list[Change]]]
"""The changes of the table in the period, in the order of commits."""


class ChangedItem:
    """`micros`: when it was last written, in microseconds since the epoch; the images are stored bodies."""

    __slots__ = ("micros", "new", "old")

    def __init__(self, micros: int, old: bytes | None, new: bytes | None) -> None:
        self.micros = micros
        self.old = old
        self.new = new


async def changed_items(
    history: ReadHistory, start: bytes, end: bytes | None, most_bytes: int = MEMORY_BYTES
) -> AsyncIterator[list[ExportRow]]:
    """The changed items with start <= key < end, in key order. The bytes of a row are those of all its changes."""
    while True:
        found, next_start = await _collect(history, start, end, most_bytes)
        rows = [
            (key, size, item)
            for key, (size, item) in sorted(found.items())
            if item.old is not None or item.new is not None
        ]
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            yield rows[first : first + _ROWS_AT_ONCE]
        if next_start is None:
            return
        start = next_start


async def _collect(
    history: ReadHistory, start: bytes, end: bytes | None, most_bytes: int
) -> tuple[dict[bytes, tuple[int, ChangedItem]], bytes | None]:
    """The first changed items, and the key of the next ones; None if these are all."""
    found: dict[bytes, tuple[int, ChangedItem]] = {}
    held = 0
    cut: bytes | None = None
    async for changes in history():
        for change in changes:
            key = change.key
            if key < start or (end is not None and key >= end) or (cut is not None and key >= cut):
                continue
            known = found.get(key)
            if known is None:
                size, item = 0, ChangedItem(0, change.old, change.new)
                held += _ENTRY_BYTES + len(change.old or b"")
            else:
                size, item = known
                held -= len(item.new or b"")
            item.new = change.new
            item.micros = round(change.time * 1_000_000)
            held += len(change.new or b"")
            found[key] = size + change_size(change), item
        if held > most_bytes and len(found) > 1:
            cut = sorted(found)[len(found) // 2]
            for key in [key for key in found if key >= cut]:
                del found[key]
            held = sum(_ENTRY_BYTES + len(item.old or b"") + len(item.new or b"") for _, item in found.values())
    return found, cut
