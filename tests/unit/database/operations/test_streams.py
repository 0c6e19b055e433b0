"""Shards over time, trimming and iterators: what golden scripts cannot show, because it needs a clock.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.background.change_log import ChangeLogTrimmer
from blotter.database.model.streams import RETENTION, SHARD_LIFETIME
from blotter.database.storage.protocol import SnapshotTooOld
from blotter.database.storage.sqlite.snapshots import SqliteSnapshot
from tests.stream_database import START, StreamDatabase, keys, numbers

HOUR = 3600.0
MINUTE = 60.0


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[StreamDatabase]:
    streams = StreamDatabase(tmp_path / "data")
    yield streams
    streams.database.close()


def trim(streams: StreamDatabase) -> None:
    streams.database.run(ChangeLogTrimmer(streams.database.storage, lambda: streams.now).run_once())


def test_the_first_write_after_four_hours_closes_the_shards_and_opens_their_children(
    streams: StreamDatabase,
) -> None:
    arn = streams.create(slots=4)
    parents = streams.shards(arn)
    streams.put("a")
    streams.now += SHARD_LIFETIME
    assert streams.shards(arn) == parents  # no write between
    streams.put("b")
    shards = streams.shards(arn)
    assert [shard["ShardId"] for shard in shards] == sorted(shard["ShardId"] for shard in shards)
    closed, opened = shards[:4], shards[4:]
    assert [shard["ShardId"] for shard in closed] == [shard["ShardId"] for shard in parents]
    assert [shard["ParentShardId"] for shard in opened] == [shard["ShardId"] for shard in parents]
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in closed)
    assert not any("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in opened)
    parent = closed[2]["ShardId"]
    children = streams.call(
        "DescribeStream", StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": parent}
    )["StreamDescription"]["Shards"]
    assert [child["ParentShardId"] for child in children] == [parent]


def test_records_lie_within_the_range_of_their_shard(streams: StreamDatabase) -> None:
    arn = streams.create(slots=4)
    for hour in range(9):
        puts = [{"PutRequest": {"Item": {"id": {"S": f"{hour}-{n}"}}}} for n in range(8)]
        streams.call("BatchWriteItem", RequestItems={"books": puts})
        streams.now += HOUR
    shards = streams.shards(arn)
    assert len(shards) == 12
    seen = 0
    for shard in shards:
        bounds = shard["SequenceNumberRange"]
        records, following = streams.read_shard(streams.iterator(arn, shard["ShardId"]), limit=3)
        assert (following is None) == ("EndingSequenceNumber" in bounds)
        first, last = int(bounds["StartingSequenceNumber"]), int(bounds.get("EndingSequenceNumber", 10**21))
        assert all(first <= number <= last for number in numbers(records))
        assert numbers(records) == sorted(set(numbers(records)))
        seen += len(records)
    assert seen == 72


def test_an_item_stays_in_its_slot_and_its_changes_in_order(streams: StreamDatabase) -> None:
    arn = streams.create(slots=4)
    for n in range(40):
        streams.put(f"item {n % 10}", n=n)
        streams.now += 600.0
    for slot in range(4):
        line = streams.shards(arn)[slot::4]
        records = [
            record for shard in line for record in streams.read_shard(streams.iterator(arn, shard["ShardId"]))[0]
        ]
        for key in set(keys(records)):
            values = [
                int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in records if keys([record]) == [key]
            ]
            assert values == list(range(int(key[-1]), 40, 10))


def test_items_are_spread_over_the_slots(streams: StreamDatabase) -> None:
    arn = streams.create(slots=4)
    puts = [{"PutRequest": {"Item": {"id": {"S": f"item {n}"}}}} for n in range(25)]
    streams.call("BatchWriteItem", RequestItems={"books": puts})
    counts = [len(streams.read_shard(streams.iterator(arn, shard["ShardId"]))[0]) for shard in streams.shards(arn)]
    assert sum(counts) == 25
    assert min(counts) > 0


def test_a_batch_that_begins_a_generation_lies_in_it_as_a_whole(streams: StreamDatabase) -> None:
    arn = streams.create(slots=4)
    streams.now += SHARD_LIFETIME
    puts = [{"PutRequest": {"Item": {"id": {"S": f"item {n}"}}}} for n in range(25)]
    streams.call("BatchWriteItem", RequestItems={"books": puts})
    shards = streams.shards(arn)
    assert len(shards) == 8
    old = [streams.read_shard(streams.iterator(arn, shard["ShardId"]))[0] for shard in shards[:4]]
    new = [streams.read_shard(streams.iterator(arn, shard["ShardId"]))[0] for shard in shards[4:]]
    assert sum(map(len, old)) == 0
    assert sum(map(len, new)) == 25


def test_a_transaction_is_told_item_by_item(streams: StreamDatabase) -> None:
    arn = streams.create()
    streams.put("gone")
    actions = [
        {"Put": {"TableName": "books", "Item": {"id": {"S": "new"}}}},
        {"Delete": {"TableName": "books", "Key": {"id": {"S": "gone"}}}},
    ]
    streams.call("TransactWriteItems", TransactItems=actions)
    records = streams.read_stream(arn)
    assert [(record["eventName"], *keys([record])) for record in records] == [
        ("INSERT", "gone"),
        ("INSERT", "new"),
        ("REMOVE", "gone"),
    ]


def test_a_clock_behind_writes_into_the_open_shard(streams: StreamDatabase) -> None:
    """Of two workers, the one with the slower clock may write after the one that opened the next shard."""
    arn = streams.create()
    streams.now += SHARD_LIFETIME
    streams.put("a", n=1)
    streams.now -= 1.0
    streams.put("a", n=2)
    old, new = streams.shards(arn)
    assert streams.read_shard(streams.iterator(arn, old["ShardId"])) == ([], None)
    assert len(streams.read_shard(streams.iterator(arn, new["ShardId"]))[0]) == 2


def test_an_iterator_lives_for_fifteen_minutes(streams: StreamDatabase) -> None:
    arn = streams.create()
    streams.put("a")
    iterator = streams.iterator(arn, streams.shards(arn)[0]["ShardId"])
    streams.now += 15 * MINUTE
    records, following = streams.read(iterator)
    assert keys(records) == ["a"]
    assert following is not None
    streams.now += 1.0
    assert streams.refusal("GetRecords", ShardIterator=iterator) == (
        "ExpiredIteratorException",
        "Shard iterator has expired",
    )
    # The next iterator is as old as its answer.
    assert streams.read(following)[0] == []


@pytest.mark.parametrize("trimmed_on_disk", [False, True])
def test_records_are_gone_after_a_day(streams: StreamDatabase, trimmed_on_disk: bool) -> None:
    arn = streams.create()
    streams.put("a")
    streams.put("b")
    streams.now += HOUR
    streams.put("c")
    shard = streams.shards(arn)[0]["ShardId"]
    first, second, third = numbers(streams.read_stream(arn))
    exactly = [
        streams.iterator(arn, shard, "AT_SEQUENCE_NUMBER", SequenceNumber=str(first)),
        streams.iterator(arn, shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=str(first)),
    ]
    streams.now = START + RETENTION + MINUTE
    if trimmed_on_disk:
        trim(streams)
    assert keys(streams.read_stream(arn)) == ["c"]
    trimmed = ("TrimmedDataAccessException", "The data you are trying to access has been trimmed")
    # Both iterators are too old by now; new ones are made at the same places.
    assert {streams.refusal("GetRecords", ShardIterator=each)[0] for each in exactly} == {
        "ExpiredIteratorException"
    }
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        place = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind, "SequenceNumber": str(first)}
        if trimmed_on_disk:
            assert streams.refusal("GetShardIterator", **place) == trimmed
        else:
            iterator = streams.call("GetShardIterator", **place)["ShardIterator"]
            assert streams.refusal("GetRecords", ShardIterator=iterator) == trimmed
    # What follows the last trimmed record is whole.
    after = streams.iterator(arn, shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=str(second))
    assert numbers(streams.read(after)[0]) == [third]


def test_trimming_between_iterator_and_reading_is_told(streams: StreamDatabase) -> None:
    arn = streams.create()
    streams.put("a")
    (number,) = numbers(streams.read_stream(arn))
    streams.now = START + RETENTION - MINUTE
    shard = streams.shards(arn)[0]["ShardId"]
    iterator = streams.iterator(arn, shard, "AT_SEQUENCE_NUMBER", SequenceNumber=str(number))
    assert keys(streams.read(iterator)[0]) == ["a"]
    streams.now += 2 * MINUTE
    trim(streams)
    assert streams.refusal("GetRecords", ShardIterator=iterator)[0] == "TrimmedDataAccessException"


def test_a_patient_reader_of_a_quiet_shard_is_not_overtaken_by_trimming(streams: StreamDatabase) -> None:
    quiet, busy = streams.create("quiet"), streams.create("busy")
    iterator: str | None = streams.iterator(quiet, streams.shards(quiet)[0]["ShardId"], "LATEST")
    for n in range(125):
        if n % 10 == 0:
            streams.put("a", "busy", n=n)
            trim(streams)
        streams.now += 14 * MINUTE
        assert iterator is not None
        records, iterator = streams.read(iterator)
        assert records == []
    assert streams.now > START + RETENTION
    assert len(streams.read_stream(busy)) < 13
    streams.put("at last", "quiet")
    assert iterator is not None
    assert streams.read(iterator) == ([], None)  # to the end of the shard, which the write has closed
    child = streams.iterator(quiet, streams.shards(quiet)[1]["ShardId"])
    assert keys(streams.read(child)[0]) == ["at last"]


def test_shards_go_a_day_after_they_were_closed(streams: StreamDatabase) -> None:
    arn = streams.create()
    first = streams.shards(arn)[0]["ShardId"]
    streams.now += SHARD_LIFETIME
    streams.put("a")
    streams.now += RETENTION
    assert first in [shard["ShardId"] for shard in streams.shards(arn)]
    streams.now += 1.0
    remaining = streams.shards(arn)
    assert [shard["ParentShardId"] for shard in remaining] == [first]
    assert streams.refusal("GetShardIterator", StreamArn=arn, ShardId=first, ShardIteratorType="TRIM_HORIZON") == (
        "ResourceNotFoundException",
        "Requested resource not found: Shard does not exist",
    )


def test_a_disabled_stream_goes_after_a_day(streams: StreamDatabase) -> None:
    arn = streams.create()
    streams.put("a")
    streams.call("UpdateTable", TableName="books", StreamSpecification={"StreamEnabled": False})
    streams.now = START + RETENTION
    assert keys(streams.read_stream(arn)) == ["a"]
    streams.now += MINUTE
    assert streams.call("ListStreams") == {"Streams": []}
    assert streams.refusal("DescribeStream", StreamArn=arn)[0] == "ResourceNotFoundException"
    trim(streams)
    streams.now = START  # its record is gone, too
    assert streams.call("ListStreams") == {"Streams": []}


def test_streams_of_one_table_do_not_mix(streams: StreamDatabase) -> None:
    arns = [streams.create(slots=4)]
    for n in range(4):
        for key in range(8):
            streams.put(f"{n}.{key}")
        streams.now += 5 * HOUR if n == 1 else 0.0
        streams.call("UpdateTable", TableName="books", StreamSpecification={"StreamEnabled": False})
        streams.put(f"between {n}")
        enabled = streams.call(
            "UpdateTable",
            TableName="books",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        )
        arns.append(enabled["TableDescription"]["LatestStreamArn"])
    assert len(set(arns)) == 5
    for n, arn in enumerate(arns[:4]):
        assert sorted(keys(streams.read_stream(arn))) == [f"{n}.{key}" for key in range(8)]
    assert streams.read_stream(arns[4]) == []


def test_at_timestamp_finds_the_first_record_of_that_time(streams: StreamDatabase) -> None:
    arn = streams.create()
    shard = streams.shards(arn)[0]["ShardId"]
    times = []
    for n in range(60):
        times.append(streams.now)
        streams.put(f"{n:02}")
        streams.now += 1.5
    for n in (0, 1, 17, 59):
        at = streams.iterator(arn, shard, "AT_TIMESTAMP", Timestamp=times[n])
        assert keys(streams.read_shard(at)[0])[0] == f"{n:02}"
        between = streams.iterator(arn, shard, "AT_TIMESTAMP", Timestamp=times[n] - 0.2)
        assert keys(streams.read_shard(between)[0])[0] == f"{n:02}"
    assert streams.read(streams.iterator(arn, shard, "AT_TIMESTAMP", Timestamp=streams.now))[0] == []
    before = streams.iterator(arn, shard, "AT_TIMESTAMP", Timestamp=START - 9 * HOUR)
    assert len(streams.read_shard(before)[0]) == 60


def test_a_page_holds_a_megabyte(streams: StreamDatabase) -> None:
    arn = streams.create(view="NEW_IMAGE")
    for n in range(7):
        item = {"id": {"S": str(n)}, "text": {"S": "x" * 300_000}}
        streams.call("PutItem", TableName="books", Item=item)
    iterator: str | None = streams.iterator(arn, streams.shards(arn)[0]["ShardId"])
    pages = []
    while iterator is not None:
        records, iterator = streams.read(iterator)
        if not records:
            break
        pages.append(keys(records))
    assert pages == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_a_page_holds_a_thousand_records(streams: StreamDatabase) -> None:
    arn = streams.create(view="KEYS_ONLY")
    for start in range(0, 1050, 25):
        puts = [{"PutRequest": {"Item": {"id": {"S": str(start + n)}}}} for n in range(25)]
        streams.call("BatchWriteItem", RequestItems={"books": puts})
    iterator = streams.iterator(arn, streams.shards(arn)[0]["ShardId"])
    page, following = streams.read(iterator)
    assert keys(page) == [str(n) for n in range(1000)]
    assert following is not None
    assert len(streams.read(following)[0]) == 50


def test_a_page_ends_early_when_the_store_takes_its_snapshot_back(
    streams: StreamDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = streams.create()
    for start in range(0, 50, 25):
        puts = [{"PutRequest": {"Item": {"id": {"S": str(start + n)}}}} for n in range(25)]
        streams.call("BatchWriteItem", RequestItems={"books": puts})
    original = SqliteSnapshot.changes
    used: set[SqliteSnapshot] = set()

    def changes(snapshot: SqliteSnapshot, *arguments: Any) -> Any:
        if snapshot in used:
            raise SnapshotTooOld
        used.add(snapshot)
        return original(snapshot, *arguments)

    monkeypatch.setattr(SqliteSnapshot, "changes", changes)
    iterator: str | None = streams.iterator(arn, streams.shards(arn)[0]["ShardId"])
    seen: list[str] = []
    while len(seen) < 50:
        assert iterator is not None
        records, iterator = streams.read(iterator, Limit=20)
        assert records
        seen += keys(records)
    assert seen == [str(n) for n in range(50)]


def test_a_record_reads_the_same_each_time(streams: StreamDatabase) -> None:
    arn = streams.create()
    streams.put("a")
    streams.put("b")
    once, again = streams.read_stream(arn), streams.read_stream(arn)
    assert once == again
    assert once[0]["eventID"] != once[1]["eventID"]


def test_a_stream_settles_with_its_table(tmp_path: Path) -> None:
    """ENABLING and DISABLING last as long as the table's own changes."""
    streams = StreamDatabase(tmp_path / "slow", table_delay=2.0)
    arn = streams.create()

    def status() -> Any:
        return streams.call("DescribeStream", StreamArn=arn)["StreamDescription"]["StreamStatus"]

    assert status() == "ENABLING"
    streams.now += 2.0
    assert status() == "ENABLED"
    streams.call("UpdateTable", TableName="books", StreamSpecification={"StreamEnabled": False})
    assert status() == "DISABLING"
    streams.now += 2.0
    assert status() == "DISABLED"
    streams.database.close()
