"""Results of operations, and bodies as bytes: stored items are copied into them, never encoded again.

answer((b"Item", b'{"id":{"S":"a"}}'), (b"ConsumedCapacity", None))  →  b'{"Item":{"id":{"S":"a"}}}'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from blotter.database.model.capacity import ConsumedCapacity


class Returned:
    """What a read of many returned, for metrics: `count` items or, of a stream, records of `size` bytes."""

    __slots__ = ("count", "size", "stream", "table")

    def __init__(self, count: int, size: int = 0, table: str = "", stream: str | None = None) -> None:
        self.count = count
        self.size = size
        self.table = table
        self.stream = stream
        """The stream's label; `table` is its table then."""


class Result:
    """What an operation that succeeded hands back: the body of its response and the capacity it consumed, one
    entry for each table. `consumed` is always there, whether or not the response shows it. `returned` is set by
    what selects items or records."""

    __slots__ = ("body", "consumed", "returned")

    def __init__(
        self, body: bytes, consumed: Sequence[ConsumedCapacity] = (), returned: Returned | None = None
    ) -> None:
        self.body = body
        self.consumed = consumed
        self.returned = returned


def answer(*members: tuple[bytes, bytes | None]) -> bytes:
    """A JSON object of the members that have a value: names without quotes, values as encoded JSON."""
    return b"{" + b",".join([b'"%b":%b' % (name, value) for name, value in members if value is not None]) + b"}"


def encoded(value: Any) -> bytes | None:
    """JSON of a value, or None for "leave the member out"."""
    return None if value is None else orjson.dumps(value)


def encoded_capacity(consumed: ConsumedCapacity, mode: str | None) -> bytes | None:
    """The ConsumedCapacity of a request on one table."""
    return None if mode is None or mode == "NONE" else orjson.dumps(consumed.render(mode))


def encoded_capacities(consumed: Iterable[ConsumedCapacity], mode: str | None) -> bytes | None:
    """The ConsumedCapacity of a request on several tables: a list, empty when nothing was read or written."""
    if mode is None or mode == "NONE":
        return None
    return orjson.dumps([each.render(mode) for each in consumed])
