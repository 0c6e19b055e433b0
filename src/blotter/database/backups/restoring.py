"""The job that fills a table from a backup.

A backup that is damaged or incomplete cannot be restored by trying again: the table is removed then, and the log
names the object that is wrong. The backup stays, and so does everything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial

from msgspec.structs import replace

from blotter.database.backups.loading import Expected, LoadFailed, NotLoading, abandon, load, publish
from blotter.database.copies import jobs
from blotter.database.copies.format import DamagedCopy, Manifest, read_manifest, read_part
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import Objects
from blotter.database.model.table import Table
from blotter.database.operations.backups import records
from blotter.database.operations.backups.jobs import Progress, RestoreState
from blotter.database.operations.backups.records import Backup
from blotter.database.storage.protocol import ReadTransaction, Row, WriteTransaction

log = logging.getLogger(__name__)


async def run(job: Job, tools: Tools) -> None:
    """Raises ObjectsUnavailable and StorageUnavailable: try again later."""
    state = job.state_as(RestoreState)
    backup, table = await tools.storage.fetch(partial(_look, state=state))
    if table is None or table.loading != job.id:
        await tools.storage.write(partial(_end, job=job, state=state))
        return
    if backup is None:
        log.error("table %s cannot be restored and is removed: its backup is gone", table.arn)
        await tools.storage.write(partial(_fail, job=job, state=state, table=table))
        return

    def save(tx: WriteTransaction, progress: Progress) -> None:
        jobs.save(tx, job.with_state(replace(state, progress=progress)))

    try:
        objects = tools.objects.within(backup.place)
        manifest = await asyncio.to_thread(read_manifest, objects, tools.cipher)
        if manifest.id != backup.copy_id:
            raise DamagedCopy(f"{objects.place} holds copy {manifest.id}, not {backup.copy_id}")
        source = partial(_rows_after, tools=tools, objects=objects, manifest=manifest)
        expected = Expected(manifest.items, manifest.size)
        await load(tools, table, job.id, source, state.progress, save, expected)
        await tools.storage.write(partial(_complete, job=job, state=state, table=table))
    except NotLoading:
        await tools.storage.write(partial(_end, job=job, state=state))
    except (DamagedCopy, LoadFailed) as error:
        log.error("table %s cannot be restored and is removed: %s", table.arn, error)
        await tools.storage.write(partial(_fail, job=job, state=state, table=table))


async def _rows_after(
    after: bytes, tools: Tools, objects: Objects, manifest: Manifest
) -> AsyncIterator[list[Row]]:
    """The rows of a copy, a block of a part at a time, read on a thread."""
    for part in manifest.parts:
        if part.last <= after:
            continue
        blocks = read_part(objects, tools.cipher, manifest, part)
        while (rows := await asyncio.to_thread(next, blocks, None)) is not None:
            if rows[0][0] <= after:
                rows = [row for row in rows if row[0] > after]
            if rows:
                yield rows


def _look(tx: ReadTransaction, state: RestoreState) -> tuple[Backup | None, Table | None]:
    table = tx.find_table(state.account, state.target_region, state.target)
    same = None if table is None or table.id != state.target_id else table
    return records.find(tx, state.account, state.region, state.backup_id), same


def _complete(tx: WriteTransaction, job: Job, state: RestoreState, table: Table) -> None:
    publish(tx, table, job.id)
    _end(tx, job, state)


def _fail(tx: WriteTransaction, job: Job, state: RestoreState, table: Table) -> None:
    abandon(tx, table, job.id)
    _end(tx, job, state)


def _end(tx: WriteTransaction, job: Job, state: RestoreState) -> None:
    """Lets go of the backup, too."""
    backup = records.find(tx, state.account, state.region, state.backup_id)
    if backup is not None and backup.restoring == job.id:
        records.save(tx, replace(backup, restoring=None))
    jobs.end(tx, job.id)
