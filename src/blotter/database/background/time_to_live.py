"""Time to live: a walk over the tables that have it, which deletes the items whose time is over.

An item is expired when its TTL attribute is a number, seconds since the epoch, in the past, and not more than five
years ago. Readers still see it until it is deleted here, as on AWS. The walk is made of quick reads, each of which
goes on behind the last key of the one before; an item is looked at as bytes and decoded only if its body holds an
expired number behind the attribute's name. What looks expired is judged again inside the transaction that deletes
it, so an item that was renewed meanwhile stays. The change log says that the service deleted it, not a user.
After each slice the walk rests many times as long as the slice took: it uses a small part of one core at most,
whatever the size of the tables.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import orjson

from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.table import Table
from blotter.database.operations.context import Context
from blotter.database.operations.item_store import Current, write_item
from blotter.database.storage.protocol import ReadTransaction, Storage, WriteTransaction

OLDEST_SECONDS: Final = 5 * 365 * 86_400
"""Items that expired longer ago are left alone: the attribute may not be a time at all."""

SLICE_SECONDS = 0.003
"""A read takes no further items after this long."""
DELETED_AT_ONCE = 25
DELETED_BYTES_AT_ONCE = 1 << 20

# A walk that finds nothing rests this many times as long as it reads.
_REST_FACTOR = 19
_SHORTEST_REST = 0.005
# Items between looks at the watch.
_ITEMS_BETWEEN_LOOKS = 16


class Slice(NamedTuple):
    expired: list[bytes]
    """Storage keys."""
    following: bytes | None
    """Where the walk goes on; None at the end of the table."""


class TimeToLiveSweeper:
    """`clock` gives seconds since the epoch, `monotonic` measures slices."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._monotonic = monotonic

    async def run_once(self) -> int:
        """One walk over every table that has a time to live; returns how many items were deleted."""
        tables = await self._storage.fetch(
            lambda tx: [table for table in tx.tables() if _attribute(table) is not None]
        )
        return sum([await self._sweep(table) for table in tables])

    async def _sweep(self, table: Table) -> int:
        deleted = 0
        position: bytes | None = b""
        while position is not None:
            started, now = self._monotonic(), self._clock()
            found = await self._storage.fetch(partial(self._read_slice, table=table, start=position, now=now))
            took = self._monotonic() - started
            if found.expired:
                keys = found.expired
                deleted += await self._storage.write(lambda tx: delete_expired(tx, table, keys, now))  # noqa: B023
            position = found.following
            if position is not None:
                await asyncio.sleep(max(took * _REST_FACTOR, _SHORTEST_REST))
        return deleted

    def _read_slice(self, tx: ReadTransaction, table: Table, start: bytes, now: float) -> Slice:
        attribute = _attribute(table)
        assert attribute is not None
        looks_expired = _finder(attribute, now)
        deadline = self._monotonic() + SLICE_SECONDS
        expired: list[bytes] = []
        size = 0
        while rows := tx.items(table.space, start, None, _ITEMS_BETWEEN_LOOKS):
            for key, item_size, body in rows:
                start = key + b"\x00"
                if looks_expired(body):
                    expired.append(key)
                    size += item_size
                    if len(expired) == DELETED_AT_ONCE or size >= DELETED_BYTES_AT_ONCE:
                        return Slice(expired, start)
            if self._monotonic() > deadline:
                return Slice(expired, start)
        return Slice(expired, None)


def delete_expired(tx: WriteTransaction, table: Table, keys: list[bytes], now: float) -> int:
    """Deletes those of the items that are still expired by the table's present setting; returns how many."""
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id or current.deleting_until is not None:
        return 0
    attribute = _attribute(current)
    if attribute is None:
        return 0
    context = Context(current.account, current.region, now, origin="ttl")
    deleted = 0
    for key in keys:
        item = Current(key, tx.get(current.space, key))
        if item.item is not None and _is_expired(item.item.get(attribute), now):
            write_item(tx, current, item, None, 0, context, ConsumedCapacity(current.name, True))
            deleted += 1
    return deleted


def _attribute(table: Table) -> str | None:
    setting = table.time_to_live
    return setting.attribute if setting is not None and setting.enabled else None


def _is_expired(value: dict[str, str] | None, now: float) -> bool:
    return value is not None and "N" in value and now - OLDEST_SECONDS <= float(value["N"]) < now


def _finder(attribute: str, now: float) -> Callable[[bytes], bool]:
    """A look at an item's body. The name may also stand inside a document, or in a text: only then does a body
    have to be decoded to tell."""
    start = orjson.dumps(attribute) + b':{"N":"'
    length = len(start)

    def looks_expired(body: bytes) -> bool:
        at = body.find(start)
        while at >= 0:
            at += length
            if now - OLDEST_SECONDS <= float(body[at : body.index(b'"', at)]) < now:
                return _is_expired(orjson.loads(body).get(attribute), now)
            at = body.find(start, at)
        return False

    return looks_expired
