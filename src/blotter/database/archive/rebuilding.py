"""The tables of a data directory while they are built out of an archive: the rows of a base, then the log up to a
moment, then the indexes.

Key spaces get new numbers; tables keep their ids, and the log goes on after the entry at which the recovery ended,
so the streams of the recovered tables go on too, without the records from before. A table that was being restored
or imported is left out. Point-in-time recovery stays switched on and begins anew.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import orjson
from msgspec.structs import replace

from blotter.database.archive.bases import NOT_ARCHIVED
from blotter.database.archive.choosing import Choice, NotRecoverable
from blotter.database.archive.layout import (
    COMPLETE,
    Complete,
    DamagedArchive,
    Epoch,
    Segment,
    Start,
    filled_by,
    loaded_folder,
    read_value,
)
from blotter.database.copies.batching import BATCH_BYTES, BATCH_ROWS, batches
from blotter.database.copies.format import Manifest, read_manifest, read_part
from blotter.database.copies.history_index import RECOVERY
from blotter.database.copies.objects import ObjectNotFound, Objects
from blotter.database.copies.segments import DamagedSegment, decode_segment
from blotter.database.encryption.files import FileCipher
from blotter.database.model.size import item_size
from blotter.database.model.table import Index, Recovery, Table
from blotter.database.operations.backups import records as backups
from blotter.database.operations.item_store import write_index_entry
from blotter.database.operations.vectors.entries import write_vector_entry
from blotter.database.storage.change_log import add_reader
from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    Change,
    Row,
    Storage,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.sqlite.catalog import decode_table

CHANGES_AT_ONCE: Final = 5000
"""Entries of the log that are replayed in one transaction. Each is synced."""
SEGMENTS_AHEAD: Final = 4
"""Segments that are fetched while one is replayed."""

Progress = Callable[[str, int], None]
"""Called now and then with what is being done and how many items or changes are done."""


class Recovered(NamedTuple):
    tables: int
    items: int
    changes: int
    """Entries of the log that were replayed."""
    time: float
    """The time of the last of them, or of the base."""
    left_out: list[str]
    """The ARNs of tables that were being filled."""
    passed_over: float | None
    """When a newer epoch began that has no complete base yet, so that what is only in it was not recovered."""


class Building:
    """The tables of the new directory while they are built. `_tables` has them by id, `_spaces` their key spaces
    by (table id, key space in the archive). Handlers change both: nobody else writes to the directory, so each is
    alone in its batch and runs once, and if it fails nothing is kept."""

    def __init__(self, storage: Storage, progress: Progress) -> None:
        self._storage = storage
        self._progress = progress
        self._tables: dict[str, Table] = {}
        self._spaces: dict[tuple[str, int], int] = {}
        self._exact_from: dict[str, int] = {}
        """The positions from which on the tables that a job has filled are complete."""
        self._position = 0
        self._replayed = 0
        self._items = 0
        self._reached = 0.0

    async def begin(self, start: Start) -> None:
        """The catalog and the records of the base."""
        self._reached, self._position = start.time, start.position

        def write(tx: WriteTransaction) -> None:
            for description in start.tables:
                self._save(tx, decode_table(description))
            for key, body in start.records:
                tx.put(RECORDS_SPACE, StoredItem(key, 0, body), None)

        await self._storage.write(write)

    async def load(self, place: Objects, cipher: FileCipher, table_id: str) -> None:
        """The rows of a table's copy."""
        manifest = await asyncio.to_thread(read_manifest, place, cipher)
        table = self._tables.get(table_id)
        if manifest.table.id != table_id:
            raise DamagedArchive(f"{place.place} is a copy of another table")
        if table is None:  # made after the base was begun: all of it is in the log
            return
        async for rows in batches(_rows(place, cipher, manifest)):
            await self._storage.write(partial(_put_rows, space=table.space, rows=rows))
            self._items += len(rows)
            self._progress("loading items", self._items)

    async def replay(self, place: Objects, choice: Choice, cipher: FileCipher, at: float | None) -> None:
        """The log from the base on, up to a time."""
        position = choice.base.position
        async for segment, changes in _fetched(place, choice.epoch, choice.segments, cipher):
            cut = next((change.sequence for change in changes if at is not None and change.time > at), None)
            wanted = [
                change
                for change in changes
                if change.sequence > position and (cut is None or change.sequence < cut)
            ]
            for some, loaded in _runs(wanted):
                await self._storage.write(partial(self._apply, changes=some))
                self._replayed += len(some)
                self._progress("replaying changes", self._replayed)
                if loaded is not None and loaded not in choice.base.tables:
                    await self._load_filled(place, cipher, loaded)
            if wanted:
                self._reached = max(self._reached, wanted[-1].time)
                self._position = wanted[-1].sequence
            if cut is not None:
                if cut <= choice.base.end:
                    raise NotRecoverable(
                        f"the base of the archive became complete just then; use --at after {choice.base.time:.0f}"
                    )
                return
            position = self._position = segment.last

    async def _load_filled(self, place: Objects, cipher: FileCipher, table_id: str) -> None:
        """The rows of a table that a job had filled just before this place of the log. The log has the changes
        since, and the copy is exact only from its own end on."""
        folder = place.within(loaded_folder(table_id))
        try:
            complete = await asyncio.to_thread(read_value, folder, COMPLETE, Complete, cipher)
        except DamagedArchive:
            self._exact_from[table_id] = sys.maxsize
            return
        self._exact_from[table_id] = complete.end
        await self.load(folder, cipher, table_id)

    async def finish(self, base: Complete, now: float) -> Recovered:
        """Fills the indexes; brings settings into a state that makes sense here."""
        left_out = []
        for table in list(self._tables.values()):
            if table.loading is not None or self._position < self._exact_from.get(table.id, 0):
                left_out.append(table.arn)
                await self._storage.write(partial(_remove, table=table))
                del self._tables[table.id]
                continue
            if table.indexes:
                await self._fill(table)
        await self._storage.write(partial(_settle, tables=list(self._tables.values()), now=now))
        items = await self._storage.fetch(
            lambda tx: sum(tx.statistics(table.space).items for table in self._tables.values())
        )
        return Recovered(len(self._tables), items, self._replayed, max(self._reached, base.time), left_out, None)

    def _apply(self, tx: WriteTransaction, changes: list[Change]) -> None:
        for change in changes:
            if change.kind == "table":
                self._change_table(tx, change)
            elif change.kind == "record":
                _change_record(tx, change)
            else:
                self._change_item(tx, change)

    def _change_item(self, tx: WriteTransaction, change: Change) -> None:
        table = self._tables.get(change.table_id)
        if table is None:
            return  # it is deleted later in the log, and was gone when the base was begun
        previous = tx.get(table.space, change.key)
        if change.new is None:
            if previous is not None:
                tx.delete(table.space, previous)
            return
        size = item_size(orjson.loads(change.new))
        tx.put(table.space, StoredItem(change.key, size, change.new), previous)

    def _change_table(self, tx: WriteTransaction, change: Change) -> None:
        if change.new is not None:
            self._save(tx, decode_table(change.new))
            return
        table = self._tables.pop(change.table_id, None)
        if table is not None:
            tx.remove_table(table)

    def _save(self, tx: WriteTransaction, archived: Table) -> None:
        """Adds or changes a table, with key spaces of its own here."""
        before = self._tables.get(archived.id)
        table = replace(
            archived,
            space=self._space(tx, archived.id, archived.space),
            indexes=tuple(self._index(tx, archived.id, index) for index in archived.indexes),
            log_readers=(),
        )
        kept = {space for index in table.indexes for space in index.spaces}
        for index in () if before is None else before.indexes:
            for space in index.spaces:
                if space not in kept:
                    tx.drop_space(space)
        tx.save_table(table)
        self._tables[table.id] = table

    def _index(self, tx: WriteTransaction, table_id: str, index: Index) -> Index:
        vector = index.vector
        if vector is not None:
            vector = replace(vector, journal=self._space(tx, table_id, vector.journal))
        return replace(index, space=self._space(tx, table_id, index.space), vector=vector)

    def _space(self, tx: WriteTransaction, table_id: str, space: int) -> int:
        place = (table_id, space)
        if place not in self._spaces:
            self._spaces[place] = tx.new_space()
        return self._spaces[place]

    async def _fill(self, table: Table) -> None:
        """Enters every item into the indexes of its table."""
        key = b""
        filled = 0
        while rows := await self._storage.fetch(
            lambda tx: tx.items(table.space, key, None, BATCH_ROWS, BATCH_BYTES)  # noqa: B023 (runs at once)
        ):
            await self._storage.write(partial(_enter, table=table, rows=rows))
            key = rows[-1][0] + b"\x00"
            filled += len(rows)
            self._progress(f"filling the indexes of {table.name}", filled)


def _runs(changes: list[Change]) -> Iterator[tuple[list[Change], str | None]]:
    """The changes, some at a time; a run may end with the entry by which a job has filled a table, whose id comes
    with it."""
    run: list[Change] = []
    for change in changes:
        run.append(change)
        filled = filled_by(change)
        if filled is not None or len(run) == CHANGES_AT_ONCE:
            yield run, filled
            run = []
    if run:
        yield run, None


async def _rows(place: Objects, cipher: FileCipher, manifest: Manifest) -> AsyncIterator[list[Row]]:
    """The rows of a copy, a block at a time, read on a thread."""
    for part in manifest.parts:
        blocks = read_part(place, cipher, manifest, part)
        while (rows := await asyncio.to_thread(next, blocks, None)) is not None:
            yield rows


def _put_rows(tx: WriteTransaction, space: int, rows: list[Row]) -> None:
    for key, size, body in rows:
        tx.put(space, StoredItem(key, size, body), None)


def _change_record(tx: WriteTransaction, change: Change) -> None:
    if change.key.startswith(NOT_ARCHIVED):
        return
    previous = tx.get(RECORDS_SPACE, change.key)
    if change.new is not None:
        tx.put(RECORDS_SPACE, StoredItem(change.key, 0, change.new), previous)
    elif previous is not None:
        tx.delete(RECORDS_SPACE, previous)


def _enter(tx: WriteTransaction, table: Table, rows: list[Row]) -> None:
    for key, _, body in rows:
        item = orjson.loads(body)
        for index in table.indexes:
            if index.deleting:
                continue
            if index.vector is None:
                write_index_entry(tx, table, index, key, None, item)
            else:
                write_vector_entry(tx, table, index, key, None, item)


def _remove(tx: WriteTransaction, table: Table) -> None:
    tx.remove_table(table)


def _settle(tx: WriteTransaction, tables: list[Table], now: float) -> None:
    """Indexes are filled; recovery begins anew; what jobs were doing is not done."""
    for backup in list(backups.every(tx)):
        if not backup.available:
            backups.remove(tx, backup)
        elif backup.restoring is not None:
            backups.save(tx, replace(backup, restoring=None))
    if any(table.recovery is not None for table in tables):
        add_reader(tx, RECOVERY, now)
    for table in tables:
        indexes = tuple(replace(index, backfilling=False) for index in table.indexes)
        recovery = table.recovery
        readers: tuple[str, ...] = ()
        if recovery is not None:
            recovery = Recovery(recovery.period_days, now, tx.last_change())
            readers = (RECOVERY,)
        tx.save_table(replace(table, indexes=indexes, recovery=recovery, log_readers=readers))


async def _fetched(
    place: Objects, epoch: Epoch, names: list[Segment], cipher: FileCipher
) -> AsyncIterator[tuple[Segment, list[Change]]]:
    """The segments in order, some fetched ahead."""
    waiting: list[asyncio.Task[list[Change]]] = []
    following: Iterator[Segment] = iter(names)
    try:
        for segment in names:
            while len(waiting) < SEGMENTS_AHEAD and (ahead := next(following, None)) is not None:
                waiting.append(asyncio.create_task(asyncio.to_thread(_read, place, epoch, ahead, cipher)))
            yield segment, await waiting.pop(0)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _read(place: Objects, epoch: Epoch, segment: Segment, cipher: FileCipher) -> list[Change]:
    name = f"{place.place}/{segment.name}"
    try:
        found = decode_segment(name, place.get(segment.name), cipher)
    except ObjectNotFound:
        raise DamagedArchive(f"{name} is missing") from None
    if (found.source, found.after, found.last) != (epoch.id, segment.after, segment.last):
        raise DamagedSegment(f"{name} belongs to another place of the log")
    return found.changes
