"""Time to live: a walk over the tables that have it, which deletes expired items.

An item is expired when its TTL attribute is a number, seconds since the epoch, in the past, and not more than five
years ago. Readers still see it until it is deleted here, as on AWS. The walk is made of quick reads, each of which
continues after the last key of the one before; an item is read as bytes and decoded only if its body holds an
expired number after the attribute's name. What looks expired is checked again inside the transaction that deletes
it, so that an item that was renewed meanwhile stays. The change log records that the service deleted it, not a
user. After each slice the walk rests many times as long as the slice took: it uses a small part of one core at
most, whatever the size of the tables. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import orjson

from blotter.database.background.attempts import Attempts
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.table import Table
from blotter.database.operations.context import Context
from blotter.database.operations.item_store import read_current, write_item
from blotter.database.storage.protocol import ReadTransaction, Storage, WriteTransaction

OLDEST_SECONDS: Final = 5 * 365 * 86_400
"""Items that expired longer ago are left alone: the attribute may not be a time at all."""

SLICE_SECONDS = 0.003
"""A read or a deletion takes no further items after this long."""
DELETED_AT_ONCE = 25
DELETED_BYTES_AT_ONCE = 1 << 20

# A walk that finds nothing rests this many times as long as it reads.
_REST_FACTOR = 19
_SHORTEST_REST = 0.005
# Items between two looks at the time.
_ITEMS_BETWEEN_LOOKS = 16


class Slice(NamedTuple):
    expired: list[bytes]
    """Storage keys."""
    following: bytes | None
    """Where the walk goes on; None at the end of the table."""


class TimeToLiveSweeper:
    """`clock` gives seconds since the epoch, `monotonic` measures slices and the pauses of tables that failed."""

    def __init__(
        self,
        storage: Storage,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        attempts: Attempts | None = None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._monotonic = monotonic
        self._attempts = Attempts(monotonic) if attempts is None else attempts
        self._slices = asyncio.Lock()
        self.deleted: Callable[[Table, int], object] = lambda *_: None
        """Called after each deletion with the table and how many items went."""
        self._seen_version: int | None = None
        self._tables: list[Table] = []
        """Those that have a time to live in the catalog of that version."""

    async def run_once(self) -> int:
        """One walk over every table that has a time to live; returns how many items were deleted. Tables alternate
        slice by slice. One that fails stops none of the others and waits for its next attempt."""
        version, tables = await self._storage.fetch(self._look)
        self._seen_version, self._tables = version, tables
        walks = [_Walk(table) for table in tables if self._attempts.may_run(_job(table))]
        names = (f"deleting expired items of table {walk.table.arn}" for walk in walks)
        await asyncio.gather(
            *(
                self._attempts.run(_job(walk.table), name, partial(self._sweep, walk))
                for walk, name in zip(walks, names, strict=True)
            )
        )
        return sum(walk.deleted for walk in walks)

    def _look(self, tx: ReadTransaction) -> tuple[int, list[Table]]:
        version = tx.catalog_version()
        if version == self._seen_version:
            return version, self._tables
        return version, [table for table in tx.tables() if _attribute(table) is not None]

    async def _sweep(self, walk: _Walk) -> None:
        table = walk.table
        while walk.position is not None:
            async with self._slices:
                started, now = self._monotonic(), self._clock()
                read = partial(self._read_slice, table=table, start=walk.position, now=now)
                found = await self._storage.fetch(read)
                took = self._monotonic() - started
                if found.expired:
                    await self._delete(walk, found.expired, now)
                walk.position = found.following
                if walk.position is not None:
                    await asyncio.sleep(max(took * _REST_FACTOR, _SHORTEST_REST))
        if walk.failure is not None:
            raise walk.failure

    async def _delete(self, walk: _Walk, keys: list[bytes], now: float) -> None:
        """Deletes all, in slices that hold the write lock briefly; if one fails, each item of it by itself: one
        that cannot be deleted stops no other. If none can, it is not for the items' sake, and the walk breaks
        off."""
        while keys:
            work = partial(delete_expired, table=walk.table, keys=keys, now=now, monotonic=self._monotonic)
            try:
                deleted, handled = await self._storage.write(work)
            except Exception:
                await self._delete_singly(walk, keys, now)
                return
            self._count(walk, deleted)
            keys = keys[handled:]

    async def _delete_singly(self, walk: _Walk, keys: list[bytes], now: float) -> None:
        failures: list[Exception] = []
        for key in keys:
            work = partial(delete_expired, table=walk.table, keys=[key], now=now, monotonic=self._monotonic)
            try:
                self._count(walk, (await self._storage.write(work))[0])
            except Exception as error:
                failures.append(error)
        if failures:
            walk.failure = failures[-1]
        if len(failures) == len(keys):
            raise failures[-1]

    def _count(self, walk: _Walk, deleted: int) -> None:
        walk.deleted += deleted
        if deleted:
            self.deleted(walk.table, deleted)

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


class _Walk:
    """How far a walk over one table has come."""

    __slots__ = ("deleted", "failure", "position", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.position: bytes | None = b""
        self.deleted = 0
        self.failure: Exception | None = None
        """Why an item could not be deleted; the walk goes on, and fails at its end."""


def _job(table: Table) -> tuple[str, str]:
    return "time to live", table.id


def delete_expired(
    tx: WriteTransaction, table: Table, keys: list[bytes], now: float, monotonic: Callable[[], float]
) -> tuple[int, int]:
    """Deletes those of the items that are still expired by the table's present setting, at least one and no more
    than fit into a slice. Returns how many were deleted and how many keys were looked at."""
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id or current.deleting_until is not None:
        return 0, len(keys)
    attribute = _attribute(current)
    if attribute is None:
        return 0, len(keys)
    context = Context(current.account, current.region, now, origin="ttl")
    deadline = monotonic() + SLICE_SECONDS
    deleted = 0
    for handled, key in enumerate(keys, 1):
        item = read_current(tx, current.space, key)
        if item.item is not None and _is_expired(item.item.get(attribute), now):
            write_item(tx, current, item, None, 0, context, ConsumedCapacity(current.name, True))
            deleted += 1
        if monotonic() > deadline:
            return deleted, handled
    return deleted, len(keys)


def _attribute(table: Table) -> str | None:
    setting = table.time_to_live
    return setting.attribute if setting is not None and setting.enabled else None


def _is_expired(value: dict[str, str] | None, now: float) -> bool:
    return value is not None and "N" in value and now - OLDEST_SECONDS <= float(value["N"]) < now


def _finder(attribute: str, now: float) -> Callable[[bytes], bool]:
    """A check of an item's body. The name may also stand inside a document or a string: only then does a body have
    to be decoded to tell."""
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
