"""Compares a copy with its source, row by row, while nobody uses either: what a copy is only called whole after.

Only the order of an item's members may differ, because such a change is not logged; the source's order is taken
over. An index is not compared while it is being filled, emptied or verified: the target's is complete already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from blotter.database.model.table import Table
from blotter.database.storage.protocol import (
    LOG_SPACE,
    METRICS_SPACE,
    RECORDS_SPACE,
    Change,
    ReadTransaction,
    Storage,
    StoredItem,
    WriteTransaction,
)
from blotter.database.store_copy.differences import Content, Difference, differences
from blotter.database.store_copy.target import BYTES_AT_ONCE, ROWS_AT_ONCE

OTHER_SPACES: Final = {RECORDS_SPACE: "records", METRICS_SPACE: "metrics"}
"""Key spaces of no table: what is in them is not, or not wholly, in the log."""


class CopyFailed(Exception):
    """The source cannot be copied, or the copy is not what the source is; the text names it."""


class CopiedSpace(NamedTuple):
    """What was copied and compared: a table, an index of it, records, metrics."""

    name: str
    rows: int
    checksum: str | None
    """Over keys, sizes and bodies of the source's rows; None if they were compared while the source was in use."""


class Comparison:
    """Compares the two stores. Raises CopyFailed where they differ."""

    def __init__(self, source: Storage, target: Storage, progress: Callable[[str, int], None]) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._rows = 0

    async def run(self, tables: Sequence[Table], done: Collection[int] = ()) -> list[CopiedSpace]:
        """`done` are key spaces that were compared before (`online`)."""
        await self._compare_log()
        places = [*OTHER_SPACES.items(), *(place for table in tables for place in compared_spaces(table))]
        spaces = [
            await self._counted(space, name) if space in done else await self._compare(space, name)
            for space, name in places
        ]
        await self._compare_values("the catalog", lambda tx: sorted(tx.tables(), key=lambda table: table.arn))
        await self._compare_values("the readers of the change log", lambda tx: tx.log_readers())
        for space in (LOG_SPACE, *(space for space, _ in places)):
            await self._compare_values(f"the statistics of key space {space}", partial(_statistics, space=space))
        return spaces

    async def _counted(self, space: int, name: str) -> CopiedSpace:
        rows, _ = await self._source.fetch(partial(_statistics, space=space))
        return CopiedSpace(name, rows, None)

    async def _compare(self, space: int, name: str) -> CopiedSpace:
        content = Content()
        async for found in differences(self._source, self._target, space, content):
            if space in OTHER_SPACES and found:
                raise CopyFailed(f"the copy of {name} differs from the source at key {found[0].key.hex()}")
            check_differences(found, name)
            if found:
                await self._target.write(partial(replace_rows, space=space, found=found))
            self._progress("comparing", self._rows + content.rows)
        self._rows += content.rows
        return CopiedSpace(name, content.rows, content.checksum)

    async def _compare_log(self) -> None:
        await self._compare_values("the position of the change log", lambda tx: tx.last_change())
        position = await self._source.fetch(lambda tx: tx.first_change() - 1)
        while True:
            ours, theirs = [
                await store.fetch(partial(_log, after=position)) for store in (self._source, self._target)
            ]
            if ours != theirs:
                raise CopyFailed(f"the copy of the change log differs from the source after entry {position}")
            if not ours:
                return
            position = ours[-1].sequence
            self._progress("comparing the change log", position)

    async def _compare_values(self, what: str, read: Callable[[ReadTransaction], object]) -> None:
        if await self._source.fetch(read) != await self._target.fetch(read):
            raise CopyFailed(f"{what} of the copy differs from the source's")


def compared_spaces(table: Table) -> Iterator[tuple[int, str]]:
    """The key spaces of a table that are compared, and what they are called."""
    yield table.space, table.arn
    for index in table.indexes:
        if index.verified and not index.backfilling and not index.deleting and table.loading is None:
            yield index.space, f"{table.arn}/index/{index.name}"


def check_differences(found: Sequence[Difference], name: str) -> None:
    """Raises CopyFailed unless only the order of members differs."""
    for each in found:
        if not each.is_order_only:
            raise CopyFailed(f"the copy of {name} differs from the source at key {each.key.hex()}")


def replace_rows(tx: WriteTransaction, space: int, found: Sequence[Difference]) -> None:
    """Makes rows of the target what they are in the source."""
    new = [each.source for each in found if each.target is None and each.source is not None]
    if new:
        tx.put_new(space, new)
    for source, target in found:
        if target is not None:
            previous = StoredItem(*target)
            if source is None:
                tx.delete(space, previous)
            else:
                tx.put(space, StoredItem(*source), previous)


def _statistics(tx: ReadTransaction, space: int) -> tuple[int, int]:
    return tx.statistics(space)


def _log(tx: ReadTransaction, after: int) -> list[Change]:
    return tx.log(after, ROWS_AT_ONCE, BYTES_AT_ONCE)
