"""Bases of an archive: copies of all tables, from which a recovery replays the log; and what is no longer needed.

A base is made when an epoch has none, and when more of the log was shipped since the last one than that base
holds: so a recovery never replays more than it loads, and all that is written for bases is at most what is written
anyway. Tables are read in short slices while writers go on; the log makes the copy exact (`layout`). A base that a
crash leaves without its last object is removed, and made again.

An archive goes back as far as its retention: the newest base that is older is kept, with the log from there on.
Older ones, and epochs that end before it, are removed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final

from msgspec.structs import replace

from blotter.database.archive.layout import (
    COMPLETE,
    EPOCHS,
    START,
    Complete,
    Start,
    base_folder,
    bases,
    epochs,
    loaded_folder,
    read_value,
    segments,
    write_value,
)
from blotter.database.archive.state import State, find_state, save_state
from blotter.database.copies.format import Manifest, Part, PartWriter, write_manifest, write_part
from blotter.database.copies.objects import Objects
from blotter.database.encryption.files import FileCipher
from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    ReadTransaction,
    Row,
    Storage,
    WriteTransaction,
)
from blotter.database.storage.records import records_in
from blotter.database.storage.sqlite.catalog import encode_table

log = logging.getLogger(__name__)

LEAST_BYTES: Final = 256 * 1024 * 1024
"""As long as less of the log was shipped, no further base is made."""
CLEAN_SECONDS: Final = 3600.0
ROWS_AT_ONCE: Final = 1000
BYTES_AT_ONCE: Final = 1024 * 1024
_RECORDS_AT_ONCE: Final = 500

NOT_ARCHIVED: Final = (b"archive/", b"history/", b"job/", b"server/", b"token/")
"""Records that mean nothing in another data directory."""


class BaseMaker:
    """Makes bases and removes what is old, one task at a time. `retention` is in seconds."""

    def __init__(
        self,
        storage: Storage,
        objects: Objects,
        cipher: FileCipher,
        retention: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._objects = objects
        self._cipher = cipher
        self._retention = retention
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._cleaned_at = float("-inf")
        self._is_failing = False
        self._not_before = float("-inf")

    def start_if_due(self, state: State) -> None:
        """Begins the next work, unless some is under way."""
        if self._task is not None and not self._task.done():
            return
        now = self._clock()
        if now < self._not_before:
            return
        if state.loaded:
            self._task = asyncio.create_task(self._attempt(self.copy_loaded(state)))
        elif is_due(state):
            self._task = asyncio.create_task(self._attempt(self.make(state)))
        elif abs(now - self._cleaned_at) > CLEAN_SECONDS:
            self._task = asyncio.create_task(self._attempt(self.clean(state)))

    async def finish(self) -> None:
        """Returns when what is under way has ended. Raises what it has failed with."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def make(self, state: State) -> None:
        """A base of everything. Raises ObjectsUnavailable."""
        epoch = self._objects.within(state.epoch)
        await asyncio.to_thread(_remove_incomplete, epoch)
        start = await self._storage.fetch(partial(_start, now=self._clock()))
        place = epoch.within(base_folder(start.position))
        await asyncio.to_thread(write_value, place, START, start, self._cipher)
        copied: list[str] = []
        size = 0
        for table in await self._storage.fetch(lambda tx: list(tx.tables())):
            if table.loading is not None:
                continue  # what is put into it is copied when it is complete
            manifest = await self._copy(place.within(table.id), table, start.position, start.time)
            if manifest is not None:
                copied.append(table.id)
                size += manifest.size
        end = await self._storage.fetch(lambda tx: tx.last_change())
        complete = Complete(start.position, end, self._clock(), copied, size)
        await asyncio.to_thread(write_value, place, COMPLETE, complete, self._cipher)
        await self._storage.write(
            partial(_note_base, epoch=state.epoch, complete=complete, shipped=state.shipped_bytes)
        )
        await self.clean(state)

    async def copy_loaded(self, state: State) -> None:
        """Copies the next table that a job has filled. Raises ObjectsUnavailable."""
        table_id = state.loaded[0]
        place = self._objects.within(state.epoch).within(loaded_folder(table_id))
        begin, table = await self._storage.fetch(partial(_table_now, table_id=table_id))
        now = self._clock()
        manifest = None if table is None else await self._copy(place, table, begin, now)
        if manifest is not None:
            end = await self._storage.fetch(lambda tx: tx.last_change())
            complete = Complete(begin, end, now, [table_id], manifest.size)
            await asyncio.to_thread(write_value, place, COMPLETE, complete, self._cipher)
        await self._storage.write(partial(_note_loaded, epoch=state.epoch, table_id=table_id))

    async def clean(self, state: State) -> None:
        """Removes what is older than the retention. Raises ObjectsUnavailable."""
        await asyncio.to_thread(self._clean, state)
        self._cleaned_at = self._clock()

    async def _attempt(self, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except Exception as error:
            self._not_before = self._clock() + 30.0
            if not self._is_failing:
                log.error(
                    "a base of the archive %s cannot be made, and it will be tried again: %s: %s",
                    self._objects.place,
                    type(error).__name__,
                    error,
                )
            self._is_failing = True
        else:
            self._is_failing = False

    async def _copy(self, place: Objects, table: Table, position: int, now: float) -> Manifest | None:
        """Copies a table; None if it was deleted meanwhile."""
        copy_id = secrets.token_hex(16)
        parts: list[Part] = []
        writer = PartWriter(copy_id, 1)
        async for rows in self._rows(table):
            if rows is None:
                return None
            await asyncio.to_thread(writer.add, rows)
            if writer.is_full:
                parts.append(await asyncio.to_thread(self._write, place, writer))
                writer = PartWriter(copy_id, len(parts) + 1)
        if not writer.is_empty:
            parts.append(await asyncio.to_thread(self._write, place, writer))
        manifest = Manifest.of(copy_id, table, position, now, parts)
        await asyncio.to_thread(write_manifest, place, self._cipher, manifest)
        return manifest

    def _write(self, place: Objects, writer: PartWriter) -> Part:
        part, content = writer.finish()
        write_part(place, self._cipher, part, content)
        return part

    async def _rows(self, table: Table) -> AsyncIterator[list[Row] | None]:
        """The rows of a table, of different moments; None at the end if it was deleted."""
        key = b""
        while True:
            started = time.monotonic()
            rows = await self._storage.fetch(partial(_slice, table=table, start=key))
            if rows is None:
                yield None
                return
            if rows:
                yield rows
                key = rows[-1][0] + b"\x00"
            if not rows:
                return
            await asyncio.sleep(time.monotonic() - started)  # half of the time is others'

    def _clean(self, state: State) -> None:
        oldest_needed = self._clock() - self._retention
        epoch = self._objects.within(state.epoch)
        complete = {
            position: read_value(epoch.within(base_folder(position)), COMPLETE, Complete, self._cipher)
            for position, names in bases(epoch).items()
            if COMPLETE in names
        }
        old = [position for position, base in complete.items() if base.time <= oldest_needed]
        if not old:
            return
        kept = max(old)
        for position in complete:
            if position < kept:
                _remove_base(epoch, position)
        for segment in segments(epoch):
            if segment.last <= kept:
                epoch.delete(segment.name)
        for info in list(epoch.list("loaded/")):
            if info.name.endswith(f"/{COMPLETE}"):
                folder = info.name.removesuffix(f"/{COMPLETE}")
                if read_value(epoch, info.name, Complete, self._cipher).end <= kept:
                    _remove_copy(epoch.within(folder))
        for other in epochs(self._objects):
            if other.id < state.epoch and other.directory == state.directory:
                _remove_epoch(self._objects, other.id)


def is_due(state: State) -> bool:
    """Whether a base is to be made."""
    if state.base is None:
        return True
    return state.shipped_bytes - state.base_shipped_bytes > max(LEAST_BYTES, state.base_size)


def _start(tx: ReadTransaction, now: float) -> Start:
    tables = [encode_table(table) for table in tx.tables()]
    return Start(tx.last_change(), now, tables, list(_records(tx)))


def _records(tx: ReadTransaction) -> Iterable[tuple[bytes, bytes]]:
    for key, _, body in records_in(tx, b"", None, _RECORDS_AT_ONCE):
        if not key.startswith(NOT_ARCHIVED):
            yield key, body


def _slice(tx: ReadTransaction, table: Table, start: bytes) -> list[Row] | None:
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id:
        return None
    return tx.items(table.space, start, None, ROWS_AT_ONCE, BYTES_AT_ONCE)


def _table_now(tx: ReadTransaction, table_id: str) -> tuple[int, Table | None]:
    return tx.last_change(), next((table for table in tx.tables() if table.id == table_id), None)


def _note_loaded(tx: WriteTransaction, epoch: str, table_id: str) -> None:
    state = find_state(tx)
    if state is not None and state.epoch == epoch:
        save_state(tx, replace(state, loaded=tuple(other for other in state.loaded if other != table_id)))


def _note_base(tx: WriteTransaction, epoch: str, complete: Complete, shipped: int) -> None:
    state = find_state(tx)
    if state is not None and state.epoch == epoch:
        save_state(
            tx,
            replace(
                state,
                base=complete.position,
                base_size=complete.size,
                base_shipped_bytes=shipped,
                base_time=complete.time,
            ),
        )


def _remove_incomplete(epoch: Objects) -> None:
    for position, names in bases(epoch).items():
        if COMPLETE not in names:
            _remove_base(epoch, position)


def _remove_base(epoch: Objects, position: int) -> None:
    _remove_copy(epoch.within(base_folder(position)))


def _remove_copy(place: Objects) -> None:
    place.delete(COMPLETE)  # first: what is left is no base any more
    for info in list(place.list()):
        place.delete(info.name)


def _remove_epoch(objects: Objects, epoch_id: str) -> None:
    place = objects.within(epoch_id)
    for position in bases(place):
        place.within(base_folder(position)).delete(COMPLETE)
    for info in list(place.list()):
        place.delete(info.name)
    objects.delete(EPOCHS + epoch_id)
