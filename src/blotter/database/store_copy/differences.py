"""How a key space of the target differs from the source's: both are read side by side, in key order.

Slices that are alike, which is nearly all of them, are compared as they come; only where two slices differ are
their rows looked at one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Final, NamedTuple

import orjson

from blotter.database.model.values import values_equal
from blotter.database.storage.protocol import ReadTransaction, Row, Storage
from blotter.database.store_copy.target import BYTES_AT_ONCE, ROWS_AT_ONCE

_DIGEST_BYTES: Final = 16


class Difference(NamedTuple):
    """What the two stores have under one key; None for nothing."""

    source: Row | None
    target: Row | None

    @property
    def key(self) -> bytes:
        row = self.source or self.target
        assert row is not None
        return row[0]

    @property
    def is_order_only(self) -> bool:
        """Whether both rows hold the same item: only the order of its members differs. Such a change of an item is
        not in the log."""
        if self.source is None or self.target is None or self.source[1] != self.target[1]:
            return False
        try:
            source, target = orjson.loads(self.source[2]), orjson.loads(self.target[2])
            return values_equal({"M": source}, {"M": target})
        except (ValueError, TypeError, AttributeError):
            return False


class Content:
    """What was read of a key space of the source: the number of its rows, and a checksum over them."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)

    def add(self, rows: list[Row]) -> None:
        self.rows += len(rows)
        for key, size, body in rows:
            self._digest.update(b"%d %d %d " % (len(key), size, len(body)))
            self._digest.update(key)
            self._digest.update(body)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


class Compared(NamedTuple):
    """Two slices that begin at the same key, as far as both were read."""

    source: list[Row]
    differences: list[Difference]
    following: bytes | None
    """Where to go on; None at the end of both."""


def compared(here: list[Row], there: list[Row]) -> Compared:
    """The slice of the source and that of the target."""
    if here == there:
        return Compared(here, [], here[-1][0] + b"\x00" if here else None)
    # A slice that is not the last one has read nothing after its end.
    ends = [rows[-1][0] for rows in (here, there) if rows]
    bound = min(ends) if here and there else ends[0]
    here, there = ([row for row in rows if row[0] <= bound] for rows in (here, there))
    return Compared(here, _compared(here, there), bound + b"\x00")


async def differences(
    source: Storage, target: Storage, space: int, content: Content | None = None
) -> AsyncIterator[list[Difference]]:
    """The differences of a key space that nobody changes, some at a time; a list may be empty, which tells that it
    goes on. `content` takes in what the source has."""
    start: bytes | None = b""
    while start is not None:
        read = partial(slice_of, space=space, start=start)
        found = compared(await source.fetch(read), await target.fetch(read))
        if content is not None:
            content.add(found.source)
        if found.following is not None:
            yield found.differences
        start = found.following


def _compared(here: list[Row], there: list[Row]) -> list[Difference]:
    ours, theirs = {row[0]: row for row in here}, {row[0]: row for row in there}
    found = (Difference(ours.get(key), theirs.get(key)) for key in sorted(ours.keys() | theirs.keys()))
    return [each for each in found if each.source != each.target]


def slice_of(tx: ReadTransaction, space: int, start: bytes) -> list[Row]:
    return tx.items(space, start, None, ROWS_AT_ONCE, BYTES_AT_ONCE)
