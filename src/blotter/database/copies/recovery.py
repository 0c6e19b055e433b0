"""The history of tables with point-in-time recovery, kept as objects beside the data.

One reader of the change log stands for all of them. Its entries are written into segments, one for each table,
once they are a few minutes old or many, and confirmed in one transaction that records the segments
(`history_index`). Until then they lie in the log, where a restore finds them too, so nothing depends on how often
this runs. What is older than a table's recovery period is removed; so is all of a table that was deleted or has
recovery switched off.

A crash before the confirmation leaves objects without a record. They are removed by the next process. If the
objects cannot be written for so long that trimming stops waiting (`storage.change_log`), the history of every
table begins anew, with a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from blotter.database.copies.history_index import (
    RECOVERY,
    HistoryPart,
    add_part,
    parts,
    remove_parts,
    tables_with_parts,
)
from blotter.database.copies.objects import Objects
from blotter.database.copies.segments import encode_segment
from blotter.database.encryption.files import FileCipher
from blotter.database.model.recovery import earliest_restorable
from blotter.database.model.table import Table
from blotter.database.storage.change_log import add_reader, confirm, find_reader
from blotter.database.storage.protocol import Change, ReadTransaction, Storage, WriteTransaction

log = logging.getLogger(__name__)

FOLDER: Final = "recovery/"
SHIP_SECONDS: Final = 240.0
"""Entries of the log are written into segments when the oldest is this old,"""
SHIP_BYTES: Final = 4 * 1024 * 1024
"""or when there are this many bytes of them."""
GRACE_SECONDS: Final = 60.0
"""Segments are kept so much longer than the recovery period: a restore may just have begun."""
_ENTRIES_AT_ONCE: Final = 20_000
_REMOVED_AT_ONCE: Final = 100


def ensure_reader(tx: WriteTransaction, now: float) -> None:
    """Registers the reader of the log for all tables with recovery. One that trimming has given up begins anew,
    and with it the history of every table."""
    reader = find_reader(tx, RECOVERY)
    if reader is not None and reader.lost_at is None:
        return
    add_reader(tx, RECOVERY, now)
    if reader is None:
        return
    for table in [table for table in tx.tables() if table.recovery is not None]:
        assert table.recovery is not None
        tx.save_table(replace(table, recovery=replace(table.recovery, since=now, position=tx.last_change())))
    tx.after_commit(
        lambda: log.warning("the history of the tables with point-in-time recovery has a gap and begins anew now")
    )


def without_recovery(table: Table) -> Table:
    """The table with recovery switched off."""
    readers = tuple(reader for reader in table.log_readers if reader != RECOVERY)
    return replace(table, recovery=None, log_readers=readers)


class RecoveryLog:
    """Keeps the history of all tables with recovery. `objects` are the database's own; `clock` gives seconds since
    the epoch."""

    def __init__(
        self,
        storage: Storage,
        objects: Objects,
        cipher: FileCipher,
        clock: Callable[[], float] = time.time,
        ship_seconds: float = SHIP_SECONDS,
    ) -> None:
        self._storage = storage
        self._objects = objects
        self._cipher = cipher
        self._clock = clock
        self._ship_seconds = ship_seconds
        self._has_looked = False

    async def run_once(self) -> None:
        """Does what is due now. Raises ObjectsUnavailable."""
        state = await self._storage.fetch(_look)
        if not state.is_read and not state.recorded:
            return
        if not self._has_looked:
            await self._remove_unconfirmed()
            self._has_looked = True
        if state.is_lost:
            await self._storage.write(partial(ensure_reader, now=self._clock()))
        while await self._ship():
            pass
        state = await self._storage.fetch(_look)
        for table_id, table in state.recorded.items():  # only `_ship` adds segments to them
            await self._trim(table_id, table)
        if not state.tables:
            await self._storage.write(_release_reader)

    async def _ship(self) -> bool:
        """Writes the next segments if they are due; returns whether there may be more."""
        batch = await self._storage.fetch(self._batch)
        if batch is None:
            return False
        written = []
        for table_id, changes in batch.changes.items():
            written.append(await asyncio.to_thread(self._write, table_id, batch, changes))
        await self._storage.write(partial(_confirm, batch=batch, written=written, now=self._clock()))
        return batch.is_full

    def _batch(self, tx: ReadTransaction) -> _Batch | None:
        """The next entries of the log, None as long as they can wait."""
        reader = find_reader(tx, RECOVERY)
        if reader is None or reader.lost_at is not None:
            return None
        entries = tx.log(reader.position, _ENTRIES_AT_ONCE, SHIP_BYTES)
        if not entries:
            return None
        is_full = entries[-1].sequence < tx.last_change()
        age = self._clock() - entries[0].time
        if not is_full and 0 <= age < self._ship_seconds:
            return None
        begins = {table.id: _begin(table) for table in tx.tables() if _has_history(table)}
        changes: dict[str, list[Change]] = defaultdict(list)
        for entry in entries:
            if entry.kind == "item" and entry.sequence > begins.get(entry.table_id, entry.sequence):
                changes[entry.table_id].append(entry)
        return _Batch(reader.position, entries[-1].sequence, changes, is_full)

    def _write(self, table_id: str, batch: _Batch, changes: list[Change]) -> HistoryPart:
        stored = encode_segment(table_id, batch.after, batch.last, changes, self._cipher)
        part = HistoryPart(
            table_id,
            batch.after,
            batch.last,
            max(change.time for change in changes),
            len(changes),
            len(stored),
            f"{FOLDER}{table_id}/{batch.after:016x}-{batch.last:016x}",
        )
        self._objects.put(part.object, stored)
        return part

    async def _trim(self, table_id: str, table: Table | None) -> None:
        """Removes the segments of a table that hold only what is older than it can be restored to."""
        while True:
            gone = await self._storage.fetch(partial(_outdated, table_id=table_id, table=table, now=self._clock()))
            if not gone:
                return
            # Objects first: a record without its object is removed by the next round, the opposite would stay.
            await asyncio.to_thread(self._delete, [part.object for part in gone])
            await self._storage.write(partial(remove_parts, parts=gone))

    async def _remove_unconfirmed(self) -> None:
        """Removes the objects that a crash has left without a record."""
        names = await asyncio.to_thread(lambda: [found.name for found in self._objects.list(FOLDER)])
        recorded = await self._storage.fetch(_object_names)
        unconfirmed = [name for name in names if name not in recorded]
        await asyncio.to_thread(self._delete, unconfirmed)

    def _delete(self, names: list[str]) -> None:
        for name in names:
            self._objects.delete(name)


class _State(NamedTuple):
    is_read: bool
    """Whether there is a reader of the log."""
    is_lost: bool
    tables: int
    """How many have recovery."""
    recorded: dict[str, Table | None]
    """The tables that have segments, by id; None for one that is gone."""


class _Batch(NamedTuple):
    after: int
    last: int
    changes: dict[str, list[Change]]
    is_full: bool


def _look(tx: ReadTransaction) -> _State:
    reader, recorded = find_reader(tx, RECOVERY), tables_with_parts(tx)
    if reader is None and not recorded:
        return _State(False, False, 0, {})
    tables = {table.id: table for table in tx.tables()}
    return _State(
        reader is not None,
        reader is not None and reader.lost_at is not None,
        sum(1 for table in tables.values() if _has_history(table)),
        {table_id: tables.get(table_id) for table_id in recorded},
    )


def _confirm(tx: WriteTransaction, batch: _Batch, written: list[HistoryPart], now: float) -> None:
    reader = find_reader(tx, RECOVERY)
    if reader is None or reader.position != batch.after:
        return  # it began anew meanwhile; what was written has no record and is removed
    for part in written:
        add_part(tx, part)
    confirm(tx, RECOVERY, batch.last, now)


def _release_reader(tx: WriteTransaction) -> None:
    """Once no table has recovery any more, the log is not kept for it."""
    if find_reader(tx, RECOVERY) is not None and not any(_has_history(table) for table in tx.tables()):
        tx.remove_log_reader(RECOVERY)


def _outdated(tx: ReadTransaction, table_id: str, table: Table | None, now: float) -> list[HistoryPart]:
    """The oldest segments of a table that nothing needs any more, some at a time."""
    gone: list[HistoryPart] = []
    if table is not None and table.is_being_copied:
        return gone
    for part in parts(tx, table_id):
        if table is not None and table.recovery is not None:
            outdated = part.latest < earliest_restorable(table.recovery, now) - GRACE_SECONDS
            if part.last > table.recovery.position and not outdated:
                break
        gone.append(part)
        if len(gone) == _REMOVED_AT_ONCE:
            break
    return gone


def _has_history(table: Table) -> bool:
    """Whether changes of the table are shipped. One that is being copied may be the source of a restore, which
    goes on when recovery is switched off meanwhile."""
    return table.recovery is not None or table.is_being_copied


def _begin(table: Table) -> int:
    """The position from which on its changes are kept."""
    return 0 if table.recovery is None else table.recovery.position


def _object_names(tx: ReadTransaction) -> set[str]:
    return {part.object for table_id in tables_with_parts(tx) for part in parts(tx, table_id)}
