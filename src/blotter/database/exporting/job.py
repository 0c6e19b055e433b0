"""The job of an export: reads the table at its moment, or what changed in its period, and writes AWS's files.

    _started → data files → manifest-files.json → manifest-summary.json → the record says COMPLETED

Whatever is interrupted is done again from behind the last data file that was saved; every file has the same name
then. The summary manifest is written last: who finds it finds a whole export. A store of objects that cannot be
reached is waited for. What will not pass ends the export FAILED, with AWS's code: a bucket that is not there, or
to which access is denied, a KMS key where there is no KMS. In a folder (`--objects file://…`) a bucket is made
when an export needs it. Codes: ack-api-quirks, DDB-EXPORT-005, -010, -011 (2026-10).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

import orjson
from msgspec.structs import replace

from blotter.database.copies import copier, jobs
from blotter.database.copies.copier import CopyImpossible
from blotter.database.copies.history import HistoryLost, TableHistory
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import (
    INTERNAL,
    BucketMissing,
    ObjectNotFound,
    Objects,
    ObjectsDenied,
    ObjectsUnavailable,
)
from blotter.database.copies.segments import DamagedSegment
from blotter.database.exporting.changes import ChangedItem, changed_items
from blotter.database.exporting.files import ExportRow, write_files
from blotter.database.exporting.layout import (
    Places,
    Summary,
    checksum_key,
    files_manifest,
    md5_text,
    summary_manifest,
)
from blotter.database.exporting.lines import FORMATS, LineFormat
from blotter.database.model.keys import segment_range
from blotter.database.model.streams import ON_DEMAND_SLOTS, PROVISIONED_SLOTS
from blotter.database.model.table import Table
from blotter.database.model.values import Item
from blotter.database.operations.exports.filters import EVERYTHING, ExportFilter, filter_of
from blotter.database.operations.exports.records import Export, ExportState, find_export, save_export
from blotter.database.storage.protocol import Change, ReadTransaction, WriteTransaction

log = logging.getLogger(__name__)

LEAST_BILLED: Final = 10_000_000
"""What an incremental export is billed at least."""


class ExportFailed(Exception):
    """An export that will not succeed however often it is tried."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def run(job: Job, tools: Tools) -> None:
    """Runs the export from where it is. Raises ObjectsUnavailable when the store of objects is out of reach."""
    state = job.state_as(ExportState)
    export, table = await tools.storage.fetch(lambda tx: _find(tx, state))
    if export is None or export.status != "IN_PROGRESS":
        await tools.storage.write(lambda tx: jobs.end(tx, job.id))
        return
    try:
        if table is None:
            raise ExportFailed("TableNotFoundException", f"Table not found: {export.table_arn}")
        finished = await _Exporting(job, tools, export, table).run(state)
    except (CopyImpossible, HistoryLost, DamagedSegment) as error:
        finished = _failed(export, "PointInTimeRecoveryUnavailableException", str(error), tools)
    except ExportFailed as error:
        finished = _failed(export, error.code, str(error), tools)
    await tools.storage.write(lambda tx: _end(tx, job, finished, table))
    if finished.status == "COMPLETED":
        log.info("export %s has ended with %d items", export.arn, finished.items)


def _find(tx: ReadTransaction, state: ExportState) -> tuple[Export | None, Table | None]:
    export = find_export(tx, state.account, state.region, state.export_id)
    if export is None:
        return None, None
    table = tx.find_table(export.account, export.region, export.table)
    return export, table if table is not None and table.id == export.table_id else None


def _failed(export: Export, code: str, message: str, tools: Tools) -> Export:
    log.warning("export %s failed: %s: %s", export.arn, code, message)
    return replace(export, status="FAILED", ended_at=tools.clock(), failure_code=code, failure_message=message)


def _end(tx: WriteTransaction, job: Job, export: Export, table: Table | None) -> None:
    save_export(tx, export)
    if table is not None:
        copier.end(tx, table, export.copy_name)
    jobs.end(tx, job.id)


class _Exporting:
    """One run of an export that is IN_PROGRESS."""

    def __init__(self, job: Job, tools: Tools, export: Export, table: Table) -> None:
        self._job = job
        self._tools = tools
        self._export = export
        self._table = table
        self._filter = None if export.filter is None else filter_of(export.filter, table)
        self._format: LineFormat = FORMATS[export.format]
        self._places = Places(
            export.prefix or "",
            export.id,
            "INCREMENTAL_EXPORT" if export.incremental else "FULL_EXPORT",
            export.format,
        )

    async def run(self, state: ExportState) -> Export:
        """The record of the export when it is complete."""
        has_begun = state.done or bool(state.files) or state.next > b""
        bucket = await asyncio.to_thread(self._open_bucket, has_begun)
        if not state.done:
            await self._check_log(state)
            state = await self._write_data(bucket, state)
        await self._check_log(state)
        return await asyncio.to_thread(self._write_manifests, bucket, state)

    def _open_bucket(self, has_begun: bool) -> Objects:
        """The bucket, into which `_started` was written. Who may write need not be allowed to look whether it is
        there: only an owner is asked for. An export that has begun was allowed, and waits to be again."""
        export, objects = self._export, self._tools.objects
        try:
            if objects.makes_buckets:
                if export.bucket_owner not in (None, export.account):
                    raise ExportFailed("S3AccessDenied", "Access Denied")
            elif export.bucket_owner is not None and not objects.has_bucket(export.bucket, export.bucket_owner):
                raise ObjectNotFound(export.bucket)
            bucket = objects.bucket(export.bucket)
            if export.sse_algorithm == "KMS":
                bucket = _encrypted(bucket, export.sse_key)
            bucket.put(self._places.started, b"")
        except (ObjectNotFound, BucketMissing):
            raise ExportFailed("S3NoSuchBucket", "The specified bucket does not exist") from None
        except ObjectsDenied as error:
            if has_begun:
                raise
            raise ExportFailed("S3AccessDenied", str(error)) from None
        except ObjectsUnavailable as error:
            if export.sse_algorithm == "KMS" and "KMS." in str(error):
                raise ExportFailed("KmsNotFoundException", str(error)) from None
            raise
        except ValueError as error:
            raise ExportFailed("S3InvalidKey", str(error)) from None
        return bucket

    async def _write_data(self, bucket: Objects, state: ExportState) -> ExportState:
        start, end = EVERYTHING if self._filter is None else self._filter.range
        if state.next < start:
            state = replace(state, next=start)
        starts = _starts(self._table) if (start, end) == EVERYTHING else []
        encode = self._encode_changes if self._export.incremental else self._encode_items
        async with aclosing(self._slices(state.next, state.position, end)) as slices:
            return await write_files(slices, encode, bucket, self._places, starts, state, self._save)

    async def _check_log(self, state: ExportState) -> None:
        """Raises CopyImpossible when the log no longer goes back to the moment: changes may be missing then."""
        if state.position is not None:
            table, name = self._table, self._export.copy_name
            await self._tools.storage.fetch(lambda tx: copier.check_possible(tx, table, name))

    async def _save(self, state: ExportState) -> None:
        await self._tools.save(self._job.with_state(state))

    async def _slices(
        self, start: bytes, position: int | None, end: bytes | None
    ) -> AsyncGenerator[Sequence[ExportRow]]:
        """What is to be exported, with start <= key < end."""
        storage, table = self._tools.storage, self._table
        if self._export.incremental:
            scratch = storage.open_scratch()
            try:
                async for rows in changed_items(self._changes(), scratch, start, end):
                    yield rows
            finally:
                scratch.close()
            return
        if position is not None:
            items = copier.rows(self._tools, table, self._export.copy_name, position, start)
        else:
            history = self._history()
            items = history.rows_at(table, await history.position_at(self._export.moment), start)
        async for rows in items:
            if end is not None and rows[-1][0] >= end:
                yield [row for row in rows if row[0] < end]
                return
            yield rows

    async def _changes(self) -> AsyncIterator[list[Change]]:
        """The beginning of the period is in it, its end is not."""
        export, history = self._export, self._history()
        after = await history.position_at(_just_before(export.from_time or 0.0))
        through = await history.position_at(_just_before(export.moment))
        async for changes in history.changes(after, through):
            yield changes

    def _history(self) -> TableHistory:
        tools = self._tools
        return TableHistory(tools.storage, tools.objects.within(INTERNAL), tools.cipher, self._export.table_id)

    def _encode_items(self, rows: Sequence[ExportRow]) -> tuple[bytes, int]:
        form, chosen = self._format, self._filter
        if chosen is None:
            lines = [form.stored(row[2]) for row in rows]
        else:
            items = [orjson.loads(row[2]) for row in rows]
            lines = [form.item(chosen.part(item)) for item in items if chosen.matches(item)]
        return b"".join(lines), len(lines)

    def _encode_changes(self, rows: Sequence[ExportRow]) -> tuple[bytes, int]:
        lines = [line for row in rows if (line := self._change_line(row[2])) is not None]
        return b"".join(lines), len(lines)

    def _change_line(self, changed: ChangedItem) -> bytes | None:
        """None for an item that the filter leaves out: it looks at the new image, or at the old one of an item
        that was deleted."""
        old: Item | None = None if changed.old is None else orjson.loads(changed.old)
        new: Item | None = None if changed.new is None else orjson.loads(changed.new)
        latest = old if new is None else new
        if latest is None or (self._filter is not None and not self._filter.matches(latest)):
            return None
        keys = {name: latest[name] for name in self._table.keys.names}
        if self._export.view == "NEW_IMAGE":
            old = None
        return self._format.change(changed.micros, keys, _part(self._filter, old), _part(self._filter, new))

    def _write_manifests(self, bucket: Objects, state: ExportState) -> Export:
        export, places = self._export, self._places
        items = sum(file.items for file in state.files)
        billed = max(LEAST_BILLED, state.billed_bytes) if export.incremental else state.billed_bytes
        ended = self._tools.clock()
        summary = Summary(
            export_arn=export.arn,
            started_at=export.started_at,
            ended_at=ended,
            table_arn=export.table_arn,
            table_id=export.table_id,
            export_time=export.export_time,
            from_time=export.from_time,
            to_time=export.to_time,
            bucket=export.bucket,
            prefix=export.prefix,
            sse_algorithm=export.sse_algorithm,
            sse_key=export.sse_key,
            files_manifest=places.files_manifest,
            billed_bytes=billed,
            items=items,
            format=export.format,
            view=export.view,
        )
        for name, content in (
            (places.files_manifest, files_manifest(state.files)),
            (places.summary, summary_manifest(summary)),
        ):
            bucket.put(checksum_key(name), md5_text(content))
            bucket.put(name, content)
        return replace(
            export,
            status="COMPLETED",
            ended_at=ended,
            manifest=places.summary,
            items=items,
            billed_bytes=billed,
        )


def _encrypted(bucket: Objects, key: str | None) -> Objects:
    try:
        return bucket.encrypted_by(key)
    except ValueError:
        raise ExportFailed(
            "KmsNotFoundException",
            f"Key '{key or 'alias/aws/s3'}' does not exist: exports to {bucket.place} cannot be encrypted by KMS",
        ) from None


def _part(chosen: ExportFilter | None, image: Item | None) -> Item | None:
    return image if chosen is None or image is None else chosen.part(image)


def _starts(table: Table) -> list[bytes]:
    """Where the second and each further data file begins: a new table of AWS's has as many partitions."""
    count = ON_DEMAND_SLOTS if table.billing_mode == "PAY_PER_REQUEST" else PROVISIONED_SLOTS
    return [segment_range(number, count)[0] for number in range(1, count)]


def _just_before(time: float) -> float:
    return math.nextafter(time, -math.inf)
