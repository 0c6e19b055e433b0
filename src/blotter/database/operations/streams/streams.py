"""DynamoDB Streams: ListStreams, DescribeStream, GetShardIterator and GetRecords, all readers of the change log.

Streams are found in `registry`, their shards follow from `model.streams`; a position in a shard is a
sequence of the change log. GetRecords determines whether a shard is open, and reads its records, in one
snapshot: a shard seen closed gets no more records. After the last record of an open shard the next iterator points
to the end of the whole log, so that the reader of a quiet shard is never overtaken by the trimming. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html; order
of shards, empty responses and validation as recorded by ScyllaDB's tests, which also run against AWS
(test/alternator/test_streams.py); error messages as reported in docs/architecture/streams.md.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn

from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.streams import (
    RETENTION,
    Shard,
    is_trimmed,
    parse_sequence_number,
    readable_shards,
    sequence_number,
)
from blotter.database.model.table import is_over
from blotter.database.operations.answers import Result, Returned, answer, encoded
from blotter.database.operations.context import Context
from blotter.database.operations.operation import Slices
from blotter.database.operations.pages import LARGE_BODIES, Selecting
from blotter.database.operations.streams.records import StreamRecord, stream_record
from blotter.database.operations.streams.registry import Stream, find_stream, streams
from blotter.database.operations.streams.shard_iterators import (
    EXACTLY,
    FROM_HORIZON,
    LIFETIME,
    ShardIterator,
    parse_iterator,
    parse_stream_arn,
)
from blotter.database.operations.tables.description import describe_keys
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import Change, ReadTransaction, SnapshotTooOld, change_size
from blotter.database.wire import requests as wire

MAXIMUM_LISTED: Final = 100
MAXIMUM_RECORDS: Final = 1000
MAXIMUM_BYTES: Final = 1 << 20

# Changes read from the log at a time: few at first, because one may be of 800 KB.
_FIRST_CHANGES = 8
_MOST_CHANGES = 100
# Concurrent writers may commit in another order than their clocks show.
_CLOCK_DISORDER = 5.0


def list_streams(request: wire.ListStreamsInput, tx: ReadTransaction, context: Context) -> bytes:
    """Raises ValidationException for the limit, then for the start's ARN."""
    limit = _limit(request.Limit, MAXIMUM_LISTED)
    after = None
    if request.ExclusiveStartStreamArn is not None:
        start = parse_stream_arn(request.ExclusiveStartStreamArn)
        after = (start.table, start.label)
    found = streams(tx, context.account, context.region, request.TableName, after)
    readable = (stream for stream in found if not is_trimmed(stream.settings, context.now))
    page = list(islice(readable, limit + 1))
    listed = page[:limit]
    return answer(
        (
            b"Streams",
            encoded(
                [
                    {
                        "StreamArn": stream.arn,
                        "TableName": stream.table_name,
                        "StreamLabel": stream.settings.label,
                    }
                    for stream in listed
                ]
            ),
        ),
        (b"LastEvaluatedStreamArn", encoded(listed[-1].arn) if len(page) > limit else None),
    )


def describe_stream(request: wire.DescribeStreamInput, tx: ReadTransaction, context: Context) -> bytes:
    """Raises ValidationException for limit, filter and ARN, then ResourceNotFoundException for the stream."""
    limit = _limit(request.Limit, MAXIMUM_LISTED)
    _check_filter(request.ShardFilter)
    stream = _get_stream(request.StreamArn, tx, context)
    settings = stream.settings
    shards = readable_shards(settings, stream.table_id, context.now)
    if request.ShardFilter is not None:
        shards = [shard for shard in shards if shard.parent == request.ShardFilter.ShardId]
    shards = [shard for shard in shards if shard.id > (request.ExclusiveStartShardId or "")]
    first_change = tx.first_change()
    description: dict[str, Any] = {
        "StreamArn": stream.arn,
        "StreamLabel": settings.label,
        "StreamStatus": _status(stream, context.now),
        "StreamViewType": settings.view_type,
        "CreationRequestDateTime": round(settings.enabled_at, 3),
        "TableName": stream.table_name,
        "KeySchema": describe_keys(stream.keys),
        "Shards": [_describe_shard(shard, first_change) for shard in shards[:limit]],
    }
    if len(shards) > limit:
        description["LastEvaluatedShardId"] = shards[limit - 1].id
    return answer((b"StreamDescription", encoded(description)))


def get_shard_iterator(request: wire.GetShardIteratorInput, tx: ReadTransaction, context: Context) -> bytes:
    """Raises, in this order: ValidationException for the ARN and for missing or superfluous members;
    ResourceNotFoundException for stream and shard; ValidationException or TrimmedDataAccessException for the
    position."""
    parse_stream_arn(request.StreamArn)
    _check_position_given(request, context)
    stream = _get_stream(request.StreamArn, tx, context)
    shards = readable_shards(stream.settings, stream.table_id, context.now)
    shard = next((shard for shard in shards if shard.id == request.ShardId), None)
    if shard is None:
        _no_such_shard()
    position, since = _POSITIONS[request.ShardIteratorType](request, stream, shard, tx)
    iterator = ShardIterator(stream.arn, shard.number, position, since, context.now)
    return answer((b"ShardIterator", encoded(iterator.encode())))


class GetRecordsPlan(NamedTuple):
    iterator: ShardIterator
    limit: int

    def touches(self) -> tuple[Touch]:
        return (Touch("dynamodb:GetRecords", self.iterator.arn),)


def prepare_get_records(request: wire.GetRecordsInput) -> GetRecordsPlan:
    return GetRecordsPlan(parse_iterator(request.ShardIterator), _limit(request.Limit, MAXIMUM_RECORDS))


def get_records(plan: GetRecordsPlan, tx: ReadTransaction, context: Context) -> Slices:
    """Raises, in this order: ExpiredIteratorException; ResourceNotFoundException for stream and shard;
    TrimmedDataAccessException."""
    iterator = plan.iterator
    if context.now > iterator.created_at + LIFETIME:
        raise DynamoDBError("ExpiredIteratorException", "Shard iterator has expired")
    stream = _get_stream(iterator.arn, tx, context)
    shards = readable_shards(stream.settings, stream.table_id, context.now)
    shard = next((shard for shard in shards if shard.number == iterator.shard), None)
    if shard is None:
        _no_such_shard()
    page = _Page(plan.limit)
    yield from _read_changes(page, stream, iterator, tx, context.now - RETENTION)
    following = None
    if page.ended and shard.last_sequence is None:
        following = ShardIterator(stream.arn, shard.number, tx.last_change(), EXACTLY, context.now)
    elif not page.ended:
        since = EXACTLY if page.records else iterator.since
        following = ShardIterator(stream.arn, shard.number, page.position, since, context.now)
    body = answer(
        (b"Records", b"[" + b",".join([record.body for record in page.records]) + b"]"),
        (b"NextShardIterator", None if following is None else encoded(following.encode())),
    )
    size = sum([record.size for record in page.records])
    return Result(body, (), Returned(len(page.records), size, stream.table_name, stream.settings.label))


class _Page:
    """What one GetRecords has read so far. `ended`: nothing more is in the shard."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.records: list[StreamRecord] = []
        self.size = 0
        self.position = 0
        self.full = False
        self.ended = False

    def take(self, stream: Stream, changes: list[Change], iterator: ShardIterator, oldest: float) -> None:
        """Takes changes into the page until it is full. Raises TrimmedDataAccessException for changes that are too
        old, where the iterator may not skip them."""
        for change in changes:
            if not self.records and change.time < oldest:
                if iterator.since == EXACTLY:
                    _trimmed()
                self.position = change.sequence
                continue
            record = stream_record(stream, change)
            if self.records and self.size + record.size > MAXIMUM_BYTES:
                self.full = True
                return
            self.records.append(record)
            self.size += record.size
            self.position = change.sequence

    def wanted(self) -> int:
        """How many changes to read next, so that few are read that do not fit."""
        if not self.records:
            return min(self.limit, _FIRST_CHANGES)
        fitting = (MAXIMUM_BYTES - self.size) * len(self.records) // self.size
        return max(1, min(self.limit - len(self.records), fitting, _MOST_CHANGES))


def _read_changes(
    page: _Page, stream: Stream, iterator: ShardIterator, tx: ReadTransaction, horizon: float
) -> Generator[Selecting, None, None]:
    """Fills the page from the iterator's position, slice by slice. Ends it early when the store takes the snapshot
    back: the next page goes on from there."""
    page.position = iterator.position
    if iterator.since == EXACTLY and iterator.position + 1 < tx.first_change():
        _trimmed()
    oldest = horizon if iterator.since == FROM_HORIZON else max(iterator.since, horizon)
    while len(page.records) < page.limit:
        wanted = page.wanted()
        try:
            changes = tx.changes(stream.table_id, iterator.shard, page.position, wanted)
        except SnapshotTooOld:
            if page.position == iterator.position:
                raise
            return
        if sum([change_size(change) for change in changes]) > LARGE_BODIES:
            yield partial(page.take, stream, changes, iterator, oldest)
        else:
            page.take(stream, changes, iterator, oldest)
        if page.full:
            return
        if len(changes) < wanted:
            page.ended = True
            return
        yield None


# Where an iterator begins: (position, since)


def _at_sequence(
    request: wire.GetShardIteratorInput, _: Stream, shard: Shard, tx: ReadTransaction
) -> tuple[int, float]:
    sequence = _checked_sequence(request, shard, tx)
    # A closed shard of which nothing is left is described by its last number alone.
    if sequence < tx.first_change() and sequence != shard.last_sequence:
        _trimmed()
    return max(sequence, tx.first_change()) - 1, EXACTLY


def _after_sequence(
    request: wire.GetShardIteratorInput, _: Stream, shard: Shard, tx: ReadTransaction
) -> tuple[int, float]:
    return _checked_sequence(request, shard, tx), EXACTLY


def _checked_sequence(request: wire.GetShardIteratorInput, shard: Shard, tx: ReadTransaction) -> int:
    sequence = parse_sequence_number(request.SequenceNumber or "")
    last = tx.last_change() + 1 if shard.last_sequence is None else shard.last_sequence
    if sequence is None or not shard.first_sequence <= sequence <= last:
        raise validation_error(f"Invalid SequenceNumber: {request.SequenceNumber}")
    if sequence < tx.first_change() - 1:
        _trimmed()
    return sequence


def _at_horizon(
    _: wire.GetShardIteratorInput, __: Stream, shard: Shard, ___: ReadTransaction
) -> tuple[int, float]:
    return shard.first_sequence - 1, FROM_HORIZON


def _at_end(_: wire.GetShardIteratorInput, __: Stream, ___: Shard, tx: ReadTransaction) -> tuple[int, float]:
    return tx.last_change(), EXACTLY


def _at_timestamp(
    request: wire.GetShardIteratorInput, stream: Stream, shard: Shard, tx: ReadTransaction
) -> tuple[int, float]:
    """A binary search for a position a little before the time; GetRecords skips the rest."""
    assert request.Timestamp is not None
    before = request.Timestamp - _CLOCK_DISORDER
    low, high = shard.first_sequence - 1, tx.last_change()
    while low < high:
        middle = (low + high) // 2
        following = tx.changes(stream.table_id, shard.number, middle, 1)
        if following and following[0].time < before:
            low = following[0].sequence
        else:
            high = middle
    return low, request.Timestamp


_POSITIONS = {
    "TRIM_HORIZON": _at_horizon,
    "LATEST": _at_end,
    "AT_SEQUENCE_NUMBER": _at_sequence,
    "AFTER_SEQUENCE_NUMBER": _after_sequence,
    "AT_TIMESTAMP": _at_timestamp,
}
# The member that a type of iterator needs; no other type may have it.
_NEEDED = {
    "AT_SEQUENCE_NUMBER": "SequenceNumber",
    "AFTER_SEQUENCE_NUMBER": "SequenceNumber",
    "AT_TIMESTAMP": "Timestamp",
}


def _check_position_given(request: wire.GetShardIteratorInput, context: Context) -> None:
    kind = request.ShardIteratorType
    for member in ("SequenceNumber", "Timestamp"):
        given = getattr(request, member) is not None
        needed = _NEEDED.get(kind) == member
        if needed and not given:
            raise validation_error(f"{member} must be specified when ShardIteratorType is {kind}")
        if given and not needed:
            raise validation_error(f"{member} must not be specified when ShardIteratorType is {kind}")
    if request.Timestamp is not None and request.Timestamp > context.now:
        raise validation_error("Timestamp must not be in the future")


def _check_filter(shard_filter: wire.ShardFilter | None) -> None:
    if shard_filter is not None and (shard_filter.Type is None or shard_filter.ShardId is None):
        raise validation_error("ShardFilter must specify both Type and ShardId")


def _limit(wanted: int | None, most: int) -> int:
    """The service has an upper bound for limits that its model does not have. Raises ValidationException."""
    if wanted is not None and wanted > most:
        raise validation_error(
            f"1 validation error detected: Value '{wanted}' at 'limit' failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )
    return most if wanted is None else wanted


def _get_stream(arn: str, tx: ReadTransaction, context: Context) -> Stream:
    name = parse_stream_arn(arn)
    stream = None
    if name.region == context.region and (name.account == context.account or context.reaches):
        stream = find_stream(tx, name.account, name.region, name.table, name.label)
    if stream is None or is_trimmed(stream.settings, context.now):
        raise table_not_found(f"Requested resource not found: Stream: {arn} not found")
    return stream


def _no_such_shard() -> NoReturn:
    raise table_not_found("Requested resource not found: Shard does not exist")


def _trimmed() -> NoReturn:
    raise DynamoDBError("TrimmedDataAccessException", "The data you are trying to access has been trimmed")


_STATUS = {  # (enabled, settled)
    (True, False): "ENABLING",
    (True, True): "ENABLED",
    (False, False): "DISABLING",
    (False, True): "DISABLED",
}


def _status(stream: Stream, now: float) -> str:
    return _STATUS[stream.settings.enabled, is_over(stream.settings.settles_at, now)]


def _describe_shard(shard: Shard, first_change: int) -> dict[str, Any]:
    """A shard is described from its first record that is not trimmed."""
    first = max(shard.first_sequence, first_change)
    numbers = {"StartingSequenceNumber": sequence_number(first)}
    if shard.last_sequence is not None:
        first = min(first, shard.last_sequence)
        numbers = {
            "StartingSequenceNumber": sequence_number(first),
            "EndingSequenceNumber": sequence_number(shard.last_sequence),
        }
    described: dict[str, Any] = {"ShardId": shard.id, "SequenceNumberRange": numbers}
    if shard.parent is not None:
        described["ParentShardId"] = shard.parent
    return described
