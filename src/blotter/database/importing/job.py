"""The job of ImportTable: makes the table, sorts what the objects hold, and fills the table in key order.

Rows are sorted on disk before the first one is stored (`copies.sorting`): stored in the order of the files, every
row would change a page of its own. Of rows with the same key, the last one read stays. A job that was interrupted
reads the objects again, and stores what comes after the last stored row (`backups.loading`). Its results show when
it has ended, in the transaction that makes the table ACTIVE.

Errors of items and objects are counted and logged, one JSON object on each line, in objects below
`_blotter/imports/<import id>/error/`, in the form in which AWS writes them to CloudWatch Logs:

    {"itemS3Pointer": {"bucket": "b", "key": "data/1.csv", "itemIndex": 0, "line": 2}, "importArn": "arn:…",
     "errorMessages": ["One or more parameter values were invalid: Missing the key pk in the item"]}

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Validation.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from blotter.database.backups.loading import LoadFailed, NotLoading, load, publish
from blotter.database.copies import jobs
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import INTERNAL, Objects, ObjectsDenied
from blotter.database.copies.sorting import SortedRuns
from blotter.database.importing.error_log import ErrorLog, ItemErrors
from blotter.database.importing.formats import Format, format_of
from blotter.database.importing.reading import Position, Reader, Slice
from blotter.database.importing.rows import RowMaker, key_types
from blotter.database.importing.sources import ACCESS_DENIED, SourceRefused, open_bucket, source_of
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import Table
from blotter.database.operations.backups.jobs import Progress
from blotter.database.operations.context import Context
from blotter.database.operations.imports.imports import ImportState, Totals
from blotter.database.operations.imports.records import Import, find_import, save_import
from blotter.database.operations.tables.request import new_table
from blotter.database.storage.protocol import Row, StorageUnavailable, WriteTransaction
from blotter.database.validation.imports import creation

INVALID_ITEMS: Final = (
    "Some of the items failed validation checks and were not imported. "
    "Please check CloudWatch error logs for more details."
)

log = logging.getLogger(__name__)


async def run(job: Job, tools: Tools) -> None:
    """Runs or resumes the import of a job."""
    state = job.state_as(ImportState)
    record = await tools.storage.fetch(lambda tx: find_import(tx, state.account, state.region, state.id))
    if record is None:
        await tools.storage.write(partial(jobs.end, job_id=job.id))
        return
    work = _Work(job, tools, state, record)
    try:
        totals = await work.run()
    except SourceRefused as failure:
        failed = replace(record, status="FAILED", failure_code=failure.code, failure_message=failure.message)
        await tools.storage.write(partial(work.end, record=failed))
        log.warning("%s failed: %s: %s", record.arn, failure.code, failure.message)
        return
    await tools.storage.write(partial(work.end, record=_counted(record, totals)))
    if totals.errors:
        log.warning(
            "%s: %d of %d items are not valid: %s", record.arn, totals.errors, totals.processed, work.errors
        )


def _counted(record: Import, totals: Totals) -> Import:
    record = replace(
        record,
        processed=totals.processed,
        imported=totals.processed - totals.errors,
        errors=totals.errors,
        size=totals.size,
    )
    if totals.errors:
        return replace(record, status="FAILED", failure_code="ItemValidationError", failure_message=INVALID_ITEMS)
    return replace(record, status="COMPLETED")


class _Work:
    def __init__(self, job: Job, tools: Tools, state: ImportState, record: Import) -> None:
        self._job = job
        self._tools = tools
        self._state = state
        self._record = record
        self.errors = f"imports/{record.id}/error"
        """Where the errors are logged."""

    async def run(self) -> Totals:
        """Raises SourceRefused, and what makes the job try again later."""
        record, state = self._record, self._state
        source = record.request.S3BucketSource
        objects = await asyncio.to_thread(
            open_bucket, self._tools.objects, source.S3Bucket, source.S3BucketOwner, record.account
        )
        table = await self._tools.storage.write(self._make_table)
        scratch = self._tools.scratch
        folder = None if scratch is None else scratch / f"import-{record.id}"
        runs = SortedRuns(folder, self._tools.cipher, disk=self._tools.disk)
        try:
            totals = state.totals
            if totals is None or not state.progress.has_all_items:
                totals = await self._read(objects, table, runs)
                self._state = replace(self._state, totals=totals)
                await self._tools.save(self._job.with_state(self._state))
            await self._load(table, runs)
        except OSError as error:
            raise StorageUnavailable(f"{folder} cannot be used: {error.strerror}") from error
        finally:
            await asyncio.to_thread(runs.remove)
        return totals

    def end(self, tx: WriteTransaction, record: Import) -> None:
        """The result shows, together with the table that may have been made."""
        table = tx.find_table(record.account, record.region, record.table)
        if table is not None and table.loading == self._job.id:
            publish(tx, table, self._job.id)
        save_import(tx, replace(record, ended_at=round(self._tools.clock(), 3)))
        jobs.end(tx, self._job.id)

    def _make_table(self, tx: WriteTransaction) -> Table:
        """The table, as it is if it was made before. Raises SourceRefused when its name is taken."""
        record = self._record
        now = self._tools.clock()
        found = tx.find_table(record.account, record.region, record.table)
        if found is not None and found.loading == self._job.id:
            return found
        if found is not None and not found.is_gone_at(now):
            raise SourceRefused("TableAlreadyExists", f"Table already exists: {record.table}")
        if found is not None:
            tx.remove_table(found)
        context = Context(record.account, record.region, now)
        try:
            made = new_table(creation(record.request.TableCreationParameters), record.table, tx, context)
        except DynamoDBError as error:
            raise SourceRefused(error.code, error.message) from error
        indexes = tuple(replace(index, backfilling=index.vector is not None) for index in made.indexes)
        table = replace(made, id=record.table_id, loading=self._job.id, indexes=indexes)
        tx.save_table(table)
        return table

    async def _read(self, objects: Objects, table: Table, runs: SortedRuns) -> Totals:
        """Reads all objects into runs; what is wrong with them goes into the log of errors."""
        request = self._record.request
        reader = Reader(
            source_of(objects, request.S3BucketSource.S3KeyPrefix or ""),
            _format(self._record, table),
            request.InputCompressionType or "NONE",
            RowMaker(table),
        )
        internal = self._tools.objects.within(INTERNAL)
        error_log = ErrorLog(internal, self.errors)
        errors = ItemErrors(request.S3BucketSource.S3Bucket, self._record.arn)
        totals = Totals()
        slices = reader.slices(Position())
        try:
            while (piece := await asyncio.to_thread(_next, slices)) is not None:
                runs.add(piece.made)
                totals = _with(totals, piece)
                error_log.add([errors.line(fault) for fault in piece.faults])
                if error_log.is_full:
                    await asyncio.to_thread(error_log.write)
                if runs.is_full:
                    await asyncio.to_thread(runs.spill)
        except ObjectsDenied:
            raise SourceRefused("S3AccessDenied", ACCESS_DENIED) from None
        await asyncio.to_thread(partial(error_log.write, last=True))
        return totals

    async def _load(self, table: Table, runs: SortedRuns) -> None:
        try:
            await load(
                self._tools, table, self._job.id, partial(_rows_after, runs), self._state.progress, self._save
            )
        except (NotLoading, LoadFailed) as error:
            raise SourceRefused("InternalServerError", str(error)) from error

    def _save(self, tx: WriteTransaction, progress: Progress) -> None:
        self._state = replace(self._state, progress=progress)
        jobs.save(tx, self._job.with_state(self._state))


def _format(record: Import, table: Table) -> Format:
    request = record.request
    csv = None if request.InputFormatOptions is None else request.InputFormatOptions.Csv
    if csv is None:
        return format_of(request.InputFormat, key_types=key_types(table))
    return format_of(request.InputFormat, csv.Delimiter or ",", csv.HeaderList, key_types(table))


def _with(totals: Totals, piece: Slice[Row]) -> Totals:
    faults = len(piece.faults)
    return Totals(totals.processed + len(piece.made) + faults, totals.errors + faults, totals.size + piece.content)


def _next(slices: Iterator[Slice[Row]]) -> Slice[Row] | None:
    return next(slices, None)


async def _rows_after(runs: SortedRuns, after: bytes) -> AsyncIterator[Sequence[Row]]:
    blocks = runs.merged(after or None)
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
