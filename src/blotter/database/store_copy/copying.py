"""Copies a whole store into an empty one while the source is in use, up to a last short stop.

    1  all tables of the source are logged for the copy, and the log is kept for it (`change_log.STORE_COPY`)
    2  the rows of every table are copied in slices, each of its own moment, and so are records and metrics
    3  the log's entries from 1 on are applied, again and again, until few are left. The last entry of a key
       decides, so whatever moment a slice was of, the table is exact then (as in an archive, `archive.layout`)
    4  every row is compared with the source's (`online`)
    5  the source is stopped: nobody uses it any more, and nobody can
    6  the last entries are applied, and what the log does not show is copied: records, metrics, tables that a
       restore or an import is filling
    7  what has changed since 4 is compared again, and with it catalog, log, readers, counts and sizes

A source that nobody uses goes through the same steps, without waiting. If the copy is interrupted, the source
stays as it is, and the target is not used: copying begins anew.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from blotter.database.archive.layout import filled_by
from blotter.database.model.table import Table
from blotter.database.storage.change_log import STORE_COPY, add_reader, confirm, find_reader
from blotter.database.storage.protocol import (
    Change,
    LogReader,
    ReadTransaction,
    Row,
    Storage,
    StorageUnavailable,
    WriteTransaction,
)
from blotter.database.store_copy.comparing import OTHER_SPACES, Comparison, CopiedSpace, CopyFailed, replace_rows
from blotter.database.store_copy.differences import differences
from blotter.database.store_copy.online import OnlineComparison
from blotter.database.store_copy.target import BYTES_AT_ONCE, ROWS_AT_ONCE, Target, without_reader

CHANGES_AT_ONCE: Final = 4096
FEW_CHANGES: Final = 1000
"""With so few entries left, the source can be stopped."""
PAUSE_SECONDS: Final = 0.1
"""Between looks at whether the source has stopped, while there is nothing to apply."""
CONFIRM_SECONDS: Final = 10.0

Progress = Callable[[str, int], None]
"""Called now and then with what is being done and how many rows or changes are done."""


class Use(Protocol):
    """The use of the source by others."""

    async def try_stop(self) -> bool:
        """Whether nobody else uses the source; then nobody can until the copy is over."""

    async def ask_to_stop(self, behind: int) -> None:
        """Called once, when the copy is so few changes behind that the source can be stopped."""


class Copied(NamedTuple):
    tables: int
    items: int
    changes: int
    """Entries of the log that were applied."""
    stopped_seconds: float
    """How long the source had to be stopped."""
    spaces: list[CopiedSpace]


async def copy_store(source: Storage, target: Storage, use: Use, progress: Progress) -> Copied:
    """Copies everything. Raises CopyFailed, StorageUnavailable; the target is not to be used then. The source is
    left without a trace of the copy."""
    copy = _Copy(source, Target(target), use, progress)
    try:
        return await copy.run()
    finally:
        with suppress(StorageUnavailable):  # Trimming stops waiting for the copy by itself.
            await source.write(_release)


class _Copy:
    def __init__(self, source: Storage, target: Target, use: Use, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._use = use
        self._progress = progress
        self._position = 0
        """The last entry of the log that the target has."""
        self._applied = 0
        self._rows = 0
        self._online = OnlineComparison(source, target, progress)
        self._is_stopped = False
        self._confirmed_at = time.monotonic()

    async def run(self) -> Copied:
        is_stopped = await self._use.try_stop()
        begun_at = time.monotonic()
        start, tables = await self._source.write(partial(_begin, now=time.time()))
        await self._target.begin(tables)
        await self._copy_old_log(start)
        for table in tables:
            if table.loading is None:
                await self._copy_rows(table)
        for space, name in OTHER_SPACES.items():
            await self._equalize(space, name)
        if not is_stopped:
            await self._catch_up()
            await self._online.run(self._apply_through)
            await self._follow()
            begun_at = time.monotonic()
        return await self._finish(begun_at)

    # While the source is in use

    async def _copy_old_log(self, start: int) -> None:
        """The entries from before the copy began, whose effect the rows have."""
        first = await self._source.fetch(lambda tx: tx.first_change())
        self._position = first - 1
        while self._position < start:
            changes = [change for change in await self._next_changes() if change.sequence <= start]
            if not changes:
                break
            await self._target.storage.write(partial(_restore_changes, changes=changes))
            self._position = changes[-1].sequence
            self._progress("copying the change log", self._position)
        self._position = start

    async def _copy_rows(self, table: Table) -> None:
        """The rows of a table, slice by slice, unless it is deleted meanwhile."""
        key = b""
        while rows := await self._source.fetch(partial(_slice, table=table, start=key)):
            await self._target.put(table.id, rows)
            self._rows += len(rows)
            self._progress("copying items", self._rows)
            key = rows[-1][0] + b"\x00"
        self._target.filled.add(table.id)

    async def _follow(self) -> None:
        """Applies the log until the source is stopped."""
        asked = False
        while True:
            is_stopped = await self._use.try_stop()
            applied = await self._apply_next()
            if is_stopped:
                return
            behind = await self._behind()
            if not asked and behind <= FEW_CHANGES:
                asked = True
                await self._use.ask_to_stop(behind)
            if not applied:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _behind(self) -> int:
        return await self._source.fetch(lambda tx: tx.last_change()) - self._position

    async def _catch_up(self) -> None:
        """Applies the log until few entries are left."""
        while await self._behind() > FEW_CHANGES:
            await self._apply_next()

    async def _apply_through(self, position: int) -> None:
        """Applies the log's entries up to this one, and none after it."""
        while self._position < position and await self._apply_next(position):
            pass

    async def _apply_next(self, last: int = sys.maxsize) -> int:
        """Applies the next entries, up to one; returns how many there were."""
        changes = [change for change in await self._next_changes() if change.sequence <= last]
        for run in _until_filled(changes):
            await self._target.apply(run)
            self._online.note(run)
            self._position = run[-1].sequence
            filled = self._target.tables.get(filled_by(run[-1]) or "")
            if filled is not None and filled.id not in self._target.filled:
                await self._copy_rows(filled)
        self._applied += len(changes)
        if changes:
            self._progress("applying changes", self._applied)
            await self._confirm()
        return len(changes)

    async def _next_changes(self) -> list[Change]:
        reader, changes = await self._source.fetch(partial(_changes_after, position=self._position))
        if not self._is_stopped and (reader is None or reader.lost_at is not None):
            raise CopyFailed("the source no longer keeps the changes for the copy, which is too far behind")
        return changes

    async def _confirm(self) -> None:
        """Lets the source trim what was applied."""
        now = time.monotonic()
        if now - self._confirmed_at >= CONFIRM_SECONDS and not self._is_stopped:
            self._confirmed_at = now
            await self._source.write(partial(confirm, name=STORE_COPY, position=self._position, now=time.time()))

    # While it is stopped

    async def _finish(self, stopped_at: float) -> Copied:
        not_logged = await self._source.fetch(_not_logged)
        if not_logged:
            raise CopyFailed(f"changes of {not_logged} were not logged: its server is of an older version")
        self._is_stopped = True
        await self._source.write(_release)
        while await self._apply_next():
            pass
        tables, readers, last = await self._source.fetch(
            lambda tx: (list(tx.tables()), tx.log_readers(), tx.last_change())
        )
        for table in tables:
            if table.id not in self._target.filled:
                await self._copy_rows(table)
        for space, name in OTHER_SPACES.items():
            await self._equalize(space, name)
        await self._target.finish(readers, last)
        await self._online.finish(tables)
        comparison = Comparison(self._source, self._target.storage, self._progress)
        spaces = await comparison.run(tables, self._online.spaces)
        items = await self._source.fetch(lambda tx: sum(tx.statistics(table.space).items for table in tables))
        return Copied(len(tables), items, self._applied, time.monotonic() - stopped_at, spaces)

    async def _equalize(self, space: int, name: str) -> None:
        """Makes a key space of no table what it is in the source."""
        async for found in differences(self._source, self._target.storage, space):
            if found:
                await self._target.storage.write(partial(replace_rows, space=space, found=found))
                self._rows += len(found)
                self._progress(f"copying {name}", self._rows)


def _until_filled(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """The entries, cut after each with which a job has finished filling a table."""
    start = 0
    for number, change in enumerate(changes, 1):
        if filled_by(change) is not None:
            yield changes[start:number]
            start = number
    if start < len(changes):
        yield changes[start:]


# Handlers


def _begin(tx: WriteTransaction, now: float) -> tuple[int, list[Table]]:
    """From now on the changes of all tables are logged and kept. The position of the log, and the catalog then."""
    for table in list(tx.tables()):
        if STORE_COPY not in table.log_readers:
            tx.save_table(replace(table, log_readers=(*table.log_readers, STORE_COPY)))
    return add_reader(tx, STORE_COPY, now).position, list(tx.tables())


def _release(tx: WriteTransaction) -> None:
    """Leaves nothing of the copy in the source. Does nothing if that was done before."""
    if find_reader(tx, STORE_COPY) is None:
        return
    tx.remove_log_reader(STORE_COPY)
    for table in list(tx.tables()):
        if STORE_COPY in table.log_readers:
            tx.save_table(without_reader(table))


def _not_logged(tx: ReadTransaction) -> str | None:
    """A table whose changes were not logged for the copy."""
    return next((table.arn for table in tx.tables() if STORE_COPY not in table.log_readers), None)


def _slice(tx: ReadTransaction, table: Table, start: bytes) -> list[Row]:
    current = tx.find_table(table.account, table.region, table.name)
    if current is None or current.id != table.id:
        return []
    return tx.items(table.space, start, None, ROWS_AT_ONCE, BYTES_AT_ONCE)


def _changes_after(tx: ReadTransaction, position: int) -> tuple[LogReader | None, list[Change]]:
    """The copy's reader, None if the log has been trimmed beyond the position, and the next entries."""
    reader = find_reader(tx, STORE_COPY) if tx.first_change() <= position + 1 else None
    return reader, tx.log(position, CHANGES_AT_ONCE, BYTES_AT_ONCE)


def _restore_changes(tx: WriteTransaction, changes: Sequence[Change]) -> None:
    tx.restore_changes(changes)
