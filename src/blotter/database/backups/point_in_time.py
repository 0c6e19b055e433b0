"""The job that fills a table with the items that another had at a time.

It reads the source as it was (`copies.history`), while others write to it, and goes on after the last stored item
when it was interrupted. Where the past cannot be read (a segment is missing or damaged), trying again would not
help: the new table is removed, and the log names what is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial

from msgspec.structs import replace

from blotter.database.backups.loading import NotLoading, abandon, load, publish
from blotter.database.copies import copier, jobs
from blotter.database.copies.history import HistoryLost, TableHistory
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import INTERNAL
from blotter.database.copies.segments import DamagedSegment
from blotter.database.model.table import Table
from blotter.database.operations.backups.jobs import Progress, RestoreToTimeState
from blotter.database.storage.protocol import ReadTransaction, Row, WriteTransaction

log = logging.getLogger(__name__)


async def run(job: Job, tools: Tools) -> None:
    """Raises ObjectsUnavailable and StorageUnavailable: try again later."""
    state = job.state_as(RestoreToTimeState)
    source, table = await tools.storage.fetch(partial(_look, state=state))
    if table is None or table.loading != job.id:
        await tools.storage.write(partial(_end, job=job, source=source))
        return
    if source is None:
        log.error("table %s cannot be restored and is removed: its source is gone", table.arn)
        await tools.storage.write(partial(_fail, job=job, source=source, table=table))
        return
    try:
        history = TableHistory(tools.storage, tools.objects.within(INTERNAL), tools.cipher, source.id)
        if state.position is None:
            state = replace(state, position=await history.position_at(state.time))
            job = await tools.save(job.with_state(state))

        def save(tx: WriteTransaction, progress: Progress) -> None:
            jobs.save(tx, job.with_state(replace(state, progress=progress)))

        rows = partial(_rows_after, history=history, source=source, position=state.position or 0)
        await load(tools, table, job.id, rows, state.progress, save)
        await tools.storage.write(partial(_complete, job=job, source=source, table=table))
    except NotLoading:
        await tools.storage.write(partial(_end, job=job, source=source))
    except (HistoryLost, DamagedSegment) as error:
        log.error("table %s cannot be restored and is removed: %s", table.arn, error)
        await tools.storage.write(partial(_fail, job=job, source=source, table=table))


async def _rows_after(
    after: bytes, history: TableHistory, source: Table, position: int
) -> AsyncIterator[Sequence[Row]]:
    async for rows in history.rows_at(source, position, after and after + b"\x00"):
        yield rows


def _look(tx: ReadTransaction, state: RestoreToTimeState) -> tuple[Table | None, Table | None]:
    source = tx.find_table(state.account, state.region, state.source)
    table = tx.find_table(state.account, state.target_region, state.target)
    return (
        source if source is not None and source.id == state.source_id else None,
        table if table is not None and table.id == state.target_id else None,
    )


def _complete(tx: WriteTransaction, job: Job, source: Table, table: Table) -> None:
    publish(tx, table, job.id)
    _end(tx, job, source)


def _fail(tx: WriteTransaction, job: Job, source: Table | None, table: Table) -> None:
    abandon(tx, table, job.id)
    _end(tx, job, source)


def _end(tx: WriteTransaction, job: Job, source: Table | None) -> None:
    """Lets go of the source, too."""
    if source is not None:
        copier.end(tx, source, job.id)
    jobs.end(tx, job.id)
