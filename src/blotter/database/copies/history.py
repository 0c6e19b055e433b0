"""The past of a table that is logged: its changes in order, and all its items as they were at a position of the
log.

A *position* is a sequence of the change log: the state after that entry and before the next. `position_at` gives
the position of a time: before the first change of the table that arrived later. So everything that was
acknowledged before the time is in, nothing that arrived after it is, and no transaction is split, since all its
entries have one time.

Changes lie in segments as far as they were shipped (`history_index`), and in the live log from there on. One
transaction tells which: `_next` looks for a segment first, and reads the log only when there is none.

`rows_at` reads the live table, in key order and in slices, and puts back what changed since. One transaction reads
the next rows together with all of the log that was not seen yet. Of each changed key the body before its first
change after the position is kept aside (`storage.scratch`): a key that is kept aside had that body at the
position, or was not there; every other key has not changed since, so its live row is right. Each slice is exact by
itself, so writers go on meanwhile, no snapshot lives long, and reading can begin again after any key. It works for
any position since logging began: a moment ago, or 35 days.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import orjson

from blotter.database.copies.history_index import RECOVERY, HistoryPart, first_part, parts
from blotter.database.copies.objects import ObjectNotFound, Objects
from blotter.database.copies.segments import DamagedSegment, decode_segment
from blotter.database.encryption.files import FileCipher
from blotter.database.model.size import item_size
from blotter.database.model.table import Table
from blotter.database.storage.change_log import find_reader
from blotter.database.storage.protocol import Change, ReadTransaction, Row, Storage
from blotter.database.storage.scratch import Scratch

CHANGES_AT_ONCE: Final = 1000
CHANGE_BYTES_AT_ONCE: Final = 1024 * 1024
ROWS_AT_ONCE: Final = 500
ROW_BYTES_AT_ONCE: Final = 512 * 1024


class HistoryLost(Exception):
    """Changes that are needed are gone: the table was deleted, recovery was switched off, or its segments cannot
    be found. The text says what."""


class TableHistory:
    """The history of one table. `reader` is the name of the log's reader that holds what is not shipped: that of
    recovery, or one that the caller has registered before the position it asks for."""

    def __init__(
        self, storage: Storage, objects: Objects, cipher: FileCipher, table_id: str, reader: str = RECOVERY
    ) -> None:
        self._storage = storage
        self._objects = objects
        self._cipher = cipher
        self._table_id = table_id
        self._reader = reader

    async def position_at(self, time: float) -> int:
        """The position of a time. Raises HistoryLost, DamagedSegment, ObjectsUnavailable."""
        begin = await self._storage.fetch(partial(_begin_for, table_id=self._table_id, time=time))
        through = await self._storage.fetch(lambda tx: tx.last_change())
        async for changes in self.changes(begin, through):
            for change in changes:
                if change.time > time:
                    return change.sequence - 1
        return through

    async def changes(self, after: int, through: int) -> AsyncIterator[list[Change]]:
        """The changes of the table after one position up to another, in the order of commits, some at a time.
        Raises HistoryLost, DamagedSegment, ObjectsUnavailable."""
        while after < through:
            found, after = await self.next_changes(after)
            wanted = [change for change in found if change.sequence <= through]
            if wanted:
                yield wanted

    async def next_changes(self, after: int) -> tuple[list[Change], int]:
        """Some changes after a position, and the position up to which they reach."""
        look = await self._storage.fetch(partial(self._look, after=after))
        if look.part is not None:
            return await self._shipped(look.part, after), look.part.last
        return look.changes, look.seen

    async def rows_at(self, table: Table, position: int, start: bytes = b"") -> AsyncIterator[list[Row]]:
        """The items of the table at a position, as (key, size, body) in key order, some at a time, from a key on.
        Raises HistoryLost, DamagedSegment, ObjectsUnavailable."""
        before = self._storage.open_scratch()
        try:
            seen, key = position, start
            while True:
                look = await self._storage.fetch(partial(self._look, after=seen, table=table, start=key))
                if look.part is not None:
                    _remember(before, await self._shipped(look.part, seen))
                    seen = look.part.last
                    continue
                _remember(before, look.changes)
                seen = look.seen
                if look.rows is None:  # there is more of the log to see first
                    continue
                rows, following = _merged(before, look.rows, key, look.is_end)
                if rows:
                    yield rows
                    await self._storage.give_way()
                if following is None:
                    return
                key = following
        finally:
            before.close()

    def _look(self, tx: ReadTransaction, after: int, table: Table | None = None, start: bytes = b"") -> _Look:
        """One transaction's view of what comes after a position, and with a table its next rows, once all of the
        log has been seen."""
        if table is not None:
            current = tx.find_table(table.account, table.region, table.name)
            if current is None or current.id != table.id:
                raise HistoryLost(f"the table {table.arn} was deleted")
        part = first_part(tx, self._table_id, after)
        if part is not None:
            return _Look(part, [], after, None, False)
        reader = find_reader(tx, self._reader)
        if reader is None or reader.lost_at is not None:
            raise HistoryLost("its changes are no longer kept")
        entries = tx.log(max(after, reader.position), CHANGES_AT_ONCE, CHANGE_BYTES_AT_ONCE)
        last = tx.last_change()
        seen = entries[-1].sequence if entries else last
        changes = [
            entry
            for entry in entries
            if entry.table_id == self._table_id and entry.kind == "item" and entry.sequence > after
        ]
        if table is None or seen < last:
            return _Look(None, changes, seen, None, False)
        rows = tx.items(table.space, start, None, ROWS_AT_ONCE, ROW_BYTES_AT_ONCE)
        is_end = len(rows) < ROWS_AT_ONCE and sum(row[1] for row in rows) < ROW_BYTES_AT_ONCE
        return _Look(None, changes, seen, rows, is_end)

    async def _shipped(self, part: HistoryPart, after: int) -> list[Change]:
        """The changes of a segment after a position."""
        changes = await asyncio.to_thread(read_part, self._objects, self._cipher, part)
        return [change for change in changes if change.sequence > after]


class _Look(NamedTuple):
    part: HistoryPart | None
    changes: list[Change]
    seen: int
    rows: list[Row] | None
    is_end: bool
    """Whether there are no rows after these."""


def read_part(objects: Objects, cipher: FileCipher, part: HistoryPart) -> list[Change]:
    """The changes of a segment; blocks. Raises HistoryLost, DamagedSegment, ObjectsUnavailable."""
    name = f"{objects.place}/{part.object}"
    try:
        stored = objects.get(part.object)
    except ObjectNotFound:
        raise HistoryLost(f"the segment {name} is missing") from None
    segment = decode_segment(name, stored, cipher)
    if (segment.source, segment.after, segment.last) != (part.table_id, part.after, part.last):
        raise DamagedSegment(f"{name} belongs to another place of the history")
    return segment.changes


def _begin_for(tx: ReadTransaction, table_id: str, time: float) -> int:
    """A position before the first change after a time, without reading any segment."""
    reached = 0
    for part in parts(tx, table_id):
        if part.latest > time:
            return part.after
        reached = part.last
    return reached


def _remember(before: Scratch, changes: Sequence[Change]) -> None:
    before.add([(change.key, change.old) for change in changes])


def _merged(before: Scratch, rows: list[Row], start: bytes, is_end: bool) -> tuple[list[Row], bytes | None]:
    """The rows from `start` on as they were, as far as both live rows and what is kept aside are known; and where
    to go on, None at the end."""
    end = None if is_end else rows[-1][0] + b"\x00"
    aside = before.items(start, end, ROWS_AT_ONCE)
    if len(aside) == ROWS_AT_ONCE:
        end = aside[-1][0] + b"\x00"
        rows = [row for row in rows if row[0] < end]
    return list(_merge(rows, aside)), end


def _merge(rows: list[Row], aside: list[tuple[bytes, bytes | None]]) -> Iterator[Row]:
    position = 0
    for key, body in aside:
        while position < len(rows) and rows[position][0] < key:
            yield rows[position]
            position += 1
        if position < len(rows) and rows[position][0] == key:
            position += 1
        if body is not None:
            yield key, item_size(orjson.loads(body)), body
    yield from rows[position:]
