"""The job of StartBulkPutItems: puts the items of files into a table that is in use, as PutItem would put them.

Items are written in slices that hold the write lock for a few milliseconds. How far the operation has come is
saved in the same transactions, so that one that was interrupted goes on with the next item: no condition is
evaluated twice. Lines of the report are kept in the job's record until an object holds them. The rate is limited
by the write units that the slices used.

    <prefix>/AWSDynamoDB/<operation id>/_started                              empty, written first
    <prefix>/AWSDynamoDB/<operation id>/ERROR/000001.json                     one line for each item or object
    <prefix>/AWSDynamoDB/<operation id>/CONDITION_CHECK_FAILURE/000002.json
    <prefix>/AWSDynamoDB/<operation id>/manifest-summary.json                 written last
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from msgspec.structs import replace

from blotter.database.copies import jobs
from blotter.database.copies.jobs import Job, Tools
from blotter.database.copies.objects import Objects, ObjectsDenied, ObjectsUnavailable
from blotter.database.importing.formats import Put, format_of
from blotter.database.importing.reading import Fault, Position, Reader, Slice
from blotter.database.importing.sources import ACCESS_DENIED, NO_BUCKET, SourceRefused, open_bucket, source_of
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import Table
from blotter.database.operations.context import Context
from blotter.database.operations.imports.bulk import BulkState
from blotter.database.operations.imports.bulk_records import (
    BulkCounts,
    BulkOperation,
    find_bulk,
    save_bulk,
    save_counts,
)
from blotter.database.operations.item_store import write_item
from blotter.database.operations.items import (
    PutPlan,
    check_condition_paths,
    prepare_put,
    read_item,
    require_condition,
)
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.items import check_put_item
from blotter.database.validation.keys import check_item_keys
from blotter.database.wire.requests import PutItemInput

SLICE_SECONDS: Final = 0.003
"""A slice writes no further items after this long."""
PENDING_BYTES: Final = 256 * 1024
"""Lines of the report are put into an object when they have so many bytes."""

log = logging.getLogger(__name__)


class Planned(NamedTuple):
    """An item that is to be put, and where it stands."""

    plan: PutPlan
    put: Put


class _Cancelled(Exception):
    """The operation was canceled."""


async def run(job: Job, tools: Tools) -> None:
    """Runs or resumes the bulk operation of a job."""
    state = job.state_as(BulkState)
    record = await tools.storage.fetch(lambda tx: find_bulk(tx, state.account, state.region, state.id))
    if record is None:
        await tools.storage.write(partial(jobs.end, job_id=job.id))
        return
    work = _Work(job, tools, state, record)
    try:
        await work.run()
        failed = work.record.counts.failed
        await work.finish("COMPLETED_WITH_ERRORS" if failed else "COMPLETED")
    except _Cancelled:
        await work.finish("CANCELLED", "CancelledByUser", "The bulk operation was canceled.")
    except SourceRefused as refusal:
        await work.finish("FAILED", refusal.code, refusal.message)
        log.warning("%s failed: %s: %s", record.arn, refusal.code, refusal.message)


class _Work:
    def __init__(self, job: Job, tools: Tools, state: BulkState, record: BulkOperation) -> None:
        self._job = job
        self._tools = tools
        self._state = state
        self.record = record
        self._kinds = frozenset(record.request.OutputS3Configuration.OutputType)

    async def run(self) -> None:
        """Raises SourceRefused, _Cancelled, and what makes the job try again later."""
        await self._tools.storage.fetch(self._current)
        source = self.record.request.InputS3Configuration
        objects = await asyncio.to_thread(
            open_bucket, self._tools.objects, source.S3Bucket, source.S3BucketOwner, self.record.account
        )
        if self.record.total_bytes is None:
            total = await asyncio.to_thread(_total_bytes, objects, source.S3KeyPrefix or "")
            await self._tools.storage.write(partial(self._save_total, total=total))
        await asyncio.to_thread(self._begin_report)
        reader = Reader(
            source_of(objects, source.S3KeyPrefix or ""),
            format_of(source.InputFormat),
            source.InputCompressionType or "NONE",
            partial(_plan, table=self.record.request.TableName),
        )
        slices = reader.slices(msgspec.json.decode(self._state.position, type=Position))
        pace = _Pace(self._tools, self.record.request.MaxWriteRequestUnits)
        try:
            while (piece := await asyncio.to_thread(_next, slices)) is not None:
                await self._write(piece, pace)
        except ObjectsDenied:
            raise SourceRefused("S3AccessDenied", ACCESS_DENIED) from None
        await self._flush()

    async def finish(self, status: Any, code: str | None = None, message: str | None = None) -> None:
        """Writes the manifest, and ends the operation."""
        ended = replace(
            self.record,
            status=status,
            ended_at=round(self._tools.clock(), 3),
            failure_code=code,
            failure_message=message,
        )
        try:
            await self._flush()
            await asyncio.to_thread(self._write_manifest, ended)
        except (SourceRefused, ObjectsUnavailable) as error:
            lasts = isinstance(error, SourceRefused | ObjectsDenied)
            if status != "CANCELLED" and not (status == "FAILED" and lasts):
                raise
            log.warning("%s has no full report: %s", ended.arn, error)
        await self._tools.storage.write(partial(self._end, record=ended))

    async def _write(self, piece: Slice[Planned], pace: _Pace) -> None:
        """Writes a slice, its errors first; each part of it in a transaction of its own."""
        while True:
            done = await self._tools.storage.write(partial(self._write_part, piece=piece))
            self._state, self.record, finished, units = done
            if _size(self._state.errors) + _size(self._state.unmet) >= PENDING_BYTES:
                await self._flush()
            await pace.rest(units)
            if finished:
                return

    def _write_part(
        self, tx: WriteTransaction, piece: Slice[Planned]
    ) -> tuple[BulkState, BulkOperation, bool, float]:
        """Puts the next items of a slice: the state and the record as they are saved, whether the slice is done,
        and the write units used. May run more than once: it changes nothing of this object."""
        record = self._current(tx)
        table = self._table(tx)
        context = Context(record.account, record.region, self._tools.clock())
        consumed = ConsumedCapacity(table.name, True)
        state, lines, unmet = self._state, list(self._state.errors), list(self._state.unmet)
        failed = misses = 0
        if state.done == 0:
            lines += map(_line, piece.faults)
            failed = len(piece.faults)
        deadline = self._tools.monotonic() + SLICE_SECONDS
        number = state.done
        for number in range(state.done, len(piece.made)):
            planned = piece.made[number]
            place = {"S3Key": piece.position.name, "ItemIndex": piece.numbers[number]}
            try:
                _put(tx, table, planned.plan, context, consumed)
            except DynamoDBError as error:
                if error.code == "ConditionalCheckFailedException":
                    misses += 1
                    unmet.append(_unmet_line(place, planned.put, error))
                else:
                    failed += 1
                    lines.append(_json({**place, "ErrorMessage": error.message, "Item": planned.put.Item}))
            if self._tools.monotonic() > deadline:
                break
        end = min(number + 1, len(piece.made)) if piece.made else 0
        finished = end == len(piece.made)
        processed = end - state.done + (len(piece.faults) if state.done == 0 else 0)
        counts = _added(record.counts, consumed, processed, failed, misses, piece.stored if finished else 0)
        record = replace(record, counts=counts)
        state = replace(state, errors=tuple(lines), unmet=tuple(unmet), done=end)
        if finished:
            state = replace(state, position=msgspec.Raw(msgspec.json.encode(piece.position)), done=0)
        save_counts(tx, record)
        jobs.save(tx, self._job.with_state(state))
        return state, record, finished, consumed.total

    def _current(self, tx: ReadTransaction) -> BulkOperation:
        record = find_bulk(tx, self.record.account, self.record.region, self.record.id)
        if record is None or record.status == "CANCELLING":
            raise _Cancelled
        return record

    def _table(self, tx: WriteTransaction) -> Table:
        record = self.record
        table = tx.find_table(record.account, record.region, record.table)
        if table is None or table.id != record.table_id or not table.has_items_at(self._tools.clock()):
            raise SourceRefused("ResourceNotFoundException", "Requested resource not found")
        return table.serving

    def _save_total(self, tx: WriteTransaction, total: int) -> None:
        self.record = replace(self._current(tx), total_bytes=total)
        save_bulk(tx, self.record)

    def _end(self, tx: WriteTransaction, record: BulkOperation) -> None:
        save_bulk(tx, record)
        jobs.end(tx, self._job.id)

    # The report

    async def _flush(self) -> None:
        """Puts the lines that wait into objects, and saves that they are there."""
        state = self._state
        if not (state.errors or state.unmet):
            return
        objects = await asyncio.to_thread(self._write_lines, state)
        self._state = replace(state, errors=(), unmet=(), objects=objects)
        await self._tools.save(self._job.with_state(self._state))

    def _write_lines(self, state: BulkState) -> int:
        output, number = self._output(), state.objects
        for kind, lines in (("ERROR", state.errors), ("CONDITION_CHECK_FAILURE", state.unmet)):
            if lines and kind in self._kinds:
                number += 1
                output.put(f"{kind}/{number:06d}.json", "".join(f"{line}\n" for line in lines).encode())
        return number

    def _write_manifest(self, record: BulkOperation) -> None:
        counts = record.counts
        summary = {
            "bulkOperationArn": record.arn,
            "status": record.status,
            "tableArn": record.table_arn,
            "tableId": record.table_id,
            "startTime": record.started_at,
            "endTime": record.ended_at,
            "processedItemCount": counts.processed,
            "failedItemCount": counts.failed,
            "conditionCheckFailureCount": counts.unmet,
            "outputFiles": [info.name for info in self._output().list() if info.name.endswith(".json")],
        }
        self._output().put("manifest-summary.json", orjson.dumps(summary))

    def _begin_report(self) -> None:
        """Finds out whether a report can be written. Raises SourceRefused, and ObjectsUnavailable."""
        try:
            self._output().put("_started", b"")
        except ObjectsDenied:
            raise SourceRefused("S3AccessDenied", ACCESS_DENIED) from None

    def _output(self) -> Objects:
        """Where the report goes. Raises SourceRefused."""
        output = self.record.request.OutputS3Configuration
        bucket = output.S3Bucket or ""
        objects = self._tools.objects
        try:
            if objects.makes_buckets:
                if output.S3BucketOwner not in (None, self.record.account):
                    raise SourceRefused("S3AccessDenied", ACCESS_DENIED)
            elif not objects.has_bucket(bucket, output.S3BucketOwner):
                raise SourceRefused("S3NoSuchBucket", NO_BUCKET)
        except ObjectsDenied:
            raise SourceRefused("S3AccessDenied", ACCESS_DENIED) from None
        prefix = (output.S3KeyPrefix or "").strip("/")
        place = f"{prefix}/AWSDynamoDB/{self.record.id}" if prefix else f"AWSDynamoDB/{self.record.id}"
        try:
            return objects.bucket(bucket).within(place)
        except ValueError as error:
            raise SourceRefused("S3InvalidPrefix", f"The output prefix cannot be used: {error}") from None


class _Pace:
    """Keeps a rate of write units a second."""

    def __init__(self, tools: Tools, most: int | None) -> None:
        self._monotonic = tools.monotonic
        self._most = most
        self._due = tools.monotonic()

    async def rest(self, units: float) -> None:
        """Waits as long as the units take at the rate; without one, lets others run."""
        if self._most is None:
            await asyncio.sleep(0)
            return
        self._due = max(self._due, self._monotonic()) + units / self._most
        await asyncio.sleep(max(0.0, self._due - self._monotonic()))


def _plan(put: Put, table: str) -> Planned:
    request = PutItemInput(
        TableName=table,
        Item=put.Item,
        ConditionExpression=put.ConditionExpression,
        ExpressionAttributeNames=put.ExpressionAttributeNames,
        ExpressionAttributeValues=put.ExpressionAttributeValues,
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    check_put_item(request)
    return Planned(prepare_put(request), put)


def _put(tx: WriteTransaction, table: Table, plan: PutPlan, context: Context, consumed: ConsumedCapacity) -> None:
    """Raises DynamoDBError before anything is written."""
    check_item_keys(table, plan.item)
    check_condition_paths(table, plan.options)
    current = read_item(tx, table, plan.item)
    require_condition(table, plan.options, current)
    write_item(tx, table, current, plan.item, plan.size, context, consumed)


def _line(fault: Fault) -> str:
    shown: dict[str, Any] = {"S3Key": fault.name, "ItemIndex": fault.number, "Line": fault.line}
    shown |= {"ErrorMessage": fault.message, "Item": None if fault.put is None else fault.put.Item}
    return _json({name: value for name, value in shown.items() if value is not None})


def _unmet_line(place: dict[str, Any], put: Put, error: DynamoDBError) -> str:
    existing = (error.members or {}).get("Item")
    shown = {**place, "Item": put.Item, "ConditionExpression": put.ConditionExpression, "ExistingItem": existing}
    return _json({name: value for name, value in shown.items() if value is not None})


def _added(
    counts: BulkCounts, consumed: ConsumedCapacity, processed: int, failed: int, unmet: int, stored: int
) -> BulkCounts:
    return BulkCounts(
        counts.processed + processed,
        counts.failed + failed,
        counts.unmet + unmet,
        counts.input_bytes + stored,
        counts.units + consumed.table_units,
        _sums(counts.local, consumed.local_indexes),
        _sums(counts.global_, consumed.global_indexes),
        _sums(counts.vectors, consumed.vector_bytes),
    )


def _sums(before: dict[str, Any], more: dict[str, Any] | None) -> dict[str, Any]:
    return {name: before.get(name, 0) + (more or {}).get(name, 0) for name in {**before, **(more or {})}}


def _total_bytes(objects: Objects, prefix: str) -> int:
    try:
        return sum(info.size for info in objects.list(prefix))
    except ValueError:
        return 0


def _next(slices: Iterator[Slice[Planned]]) -> Slice[Planned] | None:
    return next(slices, None)


def _size(lines: tuple[str, ...]) -> int:
    return sum(map(len, lines))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
