"""The job that makes a backup: copies the table at its moment into the store of objects, part by part.

Each part is saved in the job's state once it is written; an interrupted copy continues after the last one. The
manifest completes the copy, and only then is the backup AVAILABLE. If the changes that the copy needs are lost
(`storage.change_log` waits a week, or 16 GB) or damaged, the copy begins anew, at a new moment: better a later
backup than none.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from msgspec.structs import replace

from blotter.database.copies import copier, jobs
from blotter.database.copies.batching import batches
from blotter.database.copies.copier import CopyImpossible
from blotter.database.copies.format import Manifest, Part, PartWriter, write_manifest, write_part
from blotter.database.copies.history import HistoryLost
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.segments import DamagedSegment
from blotter.database.operations.backups import records
from blotter.database.operations.backups.backups import remove_backup, remove_contents
from blotter.database.operations.backups.jobs import CreateState
from blotter.database.operations.backups.records import Backup
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction

log = logging.getLogger(__name__)


async def run(job: Job, tools: Tools) -> None:
    """Raises ObjectsUnavailable and StorageUnavailable: try again later."""
    state = job.state_as(CreateState)
    backup = await tools.storage.fetch(partial(_backup, state=state))
    if backup is None:
        await tools.storage.write(partial(_call_off, job=job))
        return
    try:
        await tools.storage.fetch(lambda tx: copier.check_possible(tx, backup.table, job.id))
        state = await _copy(job, tools, backup, state)
    except (CopyImpossible, HistoryLost, DamagedSegment) as error:
        log.warning("backup %s begins anew: %s", backup.arn, error)
        await tools.storage.write(partial(_begin_anew, job=job, backup=backup, tools=tools))
        return
    manifest = Manifest.of(backup.copy_id, backup.table, state.position, backup.created_at, state.parts)
    objects = tools.objects.within(backup.place)
    await asyncio.to_thread(write_manifest, objects, tools.cipher, manifest)
    await tools.storage.write(partial(_complete, job=job, backup=backup, manifest=manifest))


async def _copy(job: Job, tools: Tools, backup: Backup, state: CreateState) -> CreateState:
    """Writes the parts that are missing."""
    objects = tools.objects.within(backup.place)
    start = state.parts[-1].last + b"\x00" if state.parts else b""
    source = batches(copier.rows(tools, backup.table, job.id, state.position, start))
    writer = PartWriter(backup.copy_id, len(state.parts) + 1)

    async def complete(part: Part, content: bytes) -> CreateState:
        await asyncio.to_thread(write_part, objects, tools.cipher, part, content)
        saved = replace(state, parts=(*state.parts, part))
        await tools.save(job.with_state(saved))
        return saved

    async for rows in source:
        await asyncio.to_thread(writer.add, rows)
        if writer.is_full:
            state = await complete(*await asyncio.to_thread(writer.finish))
            writer = PartWriter(backup.copy_id, len(state.parts) + 1)
    if not writer.is_empty:
        state = await complete(*await asyncio.to_thread(writer.finish))
    return state


def _call_off(tx: WriteTransaction, job: Job) -> None:
    """Ends the job of a backup that was called off, and has what is written removed."""
    state = job.state_as(CreateState)
    copier.release(tx, job.id)
    jobs.end(tx, job.id)
    remove_contents(tx, state.account, state.region, state.backup_id, job.started_at)


def _backup(tx: ReadTransaction, state: CreateState) -> Backup | None:
    return records.find(tx, state.account, state.region, state.backup_id)


def _complete(tx: WriteTransaction, job: Job, backup: Backup, manifest: Manifest) -> None:
    """The backup is AVAILABLE, if it has as many items and bytes as the table had at the moment. A backup that has
    not is none: it is removed, and the log says so."""
    if _backup(tx, job.state_as(CreateState)) is None:
        _call_off(tx, job)
        return
    copier.end(tx, backup.table, job.id)
    jobs.end(tx, job.id)
    if (manifest.items, manifest.size) == (backup.items, backup.size):
        records.save(tx, replace(backup, available=True))
        return
    remove_backup(tx, backup, job.started_at)
    tx.after_commit(
        lambda: log.error(
            "backup %s failed and is gone: %d items of %d bytes were copied, the table had %d of %d. "
            "Run `blotter check`",
            backup.arn,
            manifest.items,
            manifest.size,
            backup.items,
            backup.size,
        )
    )


def _begin_anew(tx: WriteTransaction, job: Job, backup: Backup, tools: Tools) -> None:
    """The job with a new moment. A table that is gone is not copied any more: the backup goes with it."""
    if _backup(tx, job.state_as(CreateState)) is None:
        _call_off(tx, job)
        return
    table = backup.table
    copier.end(tx, table, job.id)
    try:
        moment = copier.begin(tx, table, job.id, tools.clock())
    except CopyImpossible:
        jobs.end(tx, job.id)
        remove_backup(tx, backup, job.started_at)
        tx.after_commit(lambda: log.error("backup %s failed and is gone: its table is gone", backup.arn))
        return
    statistics = tx.statistics(table.space)
    records.save(tx, replace(backup, items=statistics.items, size=statistics.bytes))
    state = job.state_as(CreateState)
    jobs.save(tx, job.with_state(replace(state, position=moment.position, parts=())))
