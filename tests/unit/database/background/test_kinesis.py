"""Deliveries to Kinesis: at least once, in order for each item, through failures, restarts and tables that end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from blotter.database.background.attempts import Attempts
from blotter.database.background.kinesis.deliveries import Deliveries
from blotter.database.background.kinesis.delivery import (
    GIVE_UP_DISABLING,
    GIVE_UP_ENABLING,
    LogWindow,
    next_call,
)
from blotter.database.background.kinesis.records import LARGEST_RECORD, Record
from blotter.database.storage.change_log import Bounds, trim
from blotter.database.storage.protocol import Change, WriteTransaction
from tests.in_process import InProcessDatabase
from tests.kinesis_stream import FailingStream, assert_in_order
from tests.waiting import until

START = 1_790_000_000.25
ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/changes"
OTHER = "arn:aws:kinesis:us-east-1:123456789012:stream/others"

Versions = dict[str, list["int | None"]]


class Kinesis:
    """A database whose tables send their changes to streams in memory."""

    def __init__(self, folder: Path, store: str, table_delay: float = 0.0) -> None:
        self.now = START
        self.database = InProcessDatabase(folder, lambda: self.now, table_delay, store=store)
        self.streams = {ARN: FailingStream(), OTHER: FailingStream()}
        self.deliveries = self.restarted()

    def restarted(self) -> Deliveries:
        clock = lambda: self.now  # noqa: E731
        return Deliveries(self.database.storage, clock, clock, Attempts(), lambda arn, _: self.streams[arn])

    @property
    def stream(self) -> FailingStream:
        return self.streams[ARN]

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def create(self, table: str = "books") -> None:
        self.call(
            "CreateTable",
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )

    def enable(self, table: str = "books", arn: str = ARN, **more: Any) -> None:
        self.call("EnableKinesisStreamingDestination", TableName=table, StreamArn=arn, **more)

    def put(self, key: str, number: int, table: str = "books") -> None:
        self.call("PutItem", TableName=table, Item={"id": {"S": key}, "n": {"N": str(number)}})

    def deliver(self) -> None:
        self.database.run(self.deliveries.run_once())

    def listed(self, table: str = "books") -> list[dict[str, Any]]:
        body = self.call("DescribeKinesisStreamingDestination", TableName=table)
        found: list[dict[str, Any]] = body["KinesisDataStreamDestinations"]
        return found

    def statuses(self, table: str = "books") -> list[str]:
        return [each["DestinationStatus"] for each in self.listed(table)]

    def readers(self) -> list[str]:
        with self.database.storage.read() as tx:  # type: ignore[union-attr]
            return [reader.name for reader in tx.log_readers() if reader.name != "streams"]


@pytest.fixture(params=["sqlite", "memory"])
def kinesis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kinesis]:
    kinesis = Kinesis(tmp_path / "data", request.param)
    yield kinesis
    kinesis.database.close()


def test_a_change_arrives_as_aws_sends_it(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.put("a", 1)
    kinesis.put("a", 2)
    kinesis.call("DeleteItem", TableName="books", Key={"id": {"S": "a"}})
    kinesis.deliver()
    inserted, modified, removed = kinesis.stream.records
    assert inserted.pop("eventID") != modified.pop("eventID")
    one, two = ({"id": {"S": "a"}, "n": {"N": number}} for number in "12")
    common = {
        "awsRegion": "us-east-1",
        "userIdentity": None,
        "recordFormat": "application/json",
        "tableName": "books",
        "eventSource": "aws:dynamodb",
    }
    of_all = {"ApproximateCreationDateTime": int(START * 1000), "Keys": {"id": {"S": "a"}}}
    assert inserted == common | {
        "eventName": "INSERT",
        "dynamodb": of_all | {"NewImage": one, "SizeBytes": 9},
    }
    assert modified == common | {
        "eventName": "MODIFY",
        "dynamodb": of_all | {"NewImage": two, "OldImage": one, "SizeBytes": 15},
    }
    assert removed["eventName"] == "REMOVE"
    assert removed["dynamodb"] == of_all | {"OldImage": two, "SizeBytes": 9}


def test_times_in_microseconds_say_so(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()
    kinesis.call(
        "UpdateKinesisStreamingDestination",
        TableName="books",
        StreamArn=ARN,
        UpdateKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    )
    kinesis.put("a", 1)
    kinesis.deliver()
    (record,) = kinesis.stream.records
    assert record["dynamodb"]["ApproximateCreationDateTime"] == int(START * 1_000_000)
    assert record["dynamodb"]["ApproximateCreationDateTimePrecision"] == "MICROSECOND"
    expected = {
        "StreamArn": ARN,
        "DestinationStatus": "ACTIVE",
        "ApproximateCreationDateTimePrecision": "MICROSECOND",
    }
    assert kinesis.listed() == [expected]
    table_id = kinesis.call("DescribeTable", TableName="books")["Table"]["TableId"]
    again = {
        "TableName": "books",
        "StreamArn": ARN,
        "UpdateKinesisStreamingConfiguration": {"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    }
    assert kinesis.database.call("UpdateKinesisStreamingDestination", again)[1]["message"] == (
        "Invalid Request: Precision is already set to the desired value of MICROSECOND "
        f"for tableId: {table_id}, kdsArn: {ARN}"
    )


def test_changes_from_the_moment_of_enabling_on_arrive(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.put("before", 1)
    kinesis.enable()
    kinesis.put("a", 1)  # still ENABLING
    kinesis.deliver()
    kinesis.put("a", 2)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1, 2]})
    assert kinesis.statuses() == ["ACTIVE"]


def test_other_tables_pay_nothing_and_send_nothing(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.create("others")
    kinesis.enable()
    kinesis.put("b", 1, "others")
    with kinesis.database.storage.read() as tx:  # type: ignore[union-attr]
        assert not any(change.kind == "item" for change in tx.log(0, 100))
    kinesis.put("a", 1)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1]})


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_what_a_call_refused_is_sent_before_later_versions_of_the_item(kinesis: Kinesis, stored: int) -> None:
    kinesis.create()
    kinesis.enable()
    expected: Versions = {}
    for key in "abc":
        for number in (1, 2, 3):
            kinesis.put(key, number)
            expected.setdefault(key, []).append(number)
    for _ in range(10):
        kinesis.stream.store_only = stored
        kinesis.deliver()
        kinesis.deliver()
    assert_in_order(kinesis.stream.records, expected)


def test_an_outage_of_hours_is_shown_and_loses_nothing(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.put("a", 1)
    kinesis.deliver()
    kinesis.stream.broken = 'Could not connect to the endpoint URL: "http://127.0.0.1:1/"'
    for hour in range(2, 9):
        kinesis.put("a", hour)
        kinesis.deliver()
        (shown,) = kinesis.listed()
        assert shown["DestinationStatus"] == "ACTIVE"
        assert shown["DestinationStatusDescription"] == (
            "Records cannot be delivered since 2026-09-21T14:13:20Z and are kept: "
            'Could not connect to the endpoint URL: "http://127.0.0.1:1/"'
        )
        kinesis.now += 3600.0
    kinesis.stream.broken = None
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": list(range(1, 9))})
    assert kinesis.listed() == [{"StreamArn": ARN, "DestinationStatus": "ACTIVE"}]


def test_a_lost_answer_and_a_crash_repeat_records_in_order(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()
    for number in range(1, 6):
        kinesis.put("a", number)
        kinesis.stream.lost_answers = 1
        kinesis.deliver()
        kinesis.deliveries = kinesis.restarted()
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1, 2, 3, 4, 5]})


def test_delivered_changes_are_not_sent_again_after_a_restart(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    for number in range(1, 4):
        kinesis.put("a", number)
    kinesis.deliver()
    kinesis.deliveries = kinesis.restarted()
    kinesis.deliver()
    assert len(kinesis.stream.records) == 3


def test_a_stream_that_cannot_be_used_fails_in_awss_words(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.stream.answer = "User does not have a permission to use kinesis stream"
    kinesis.deliver()
    expected = {
        "StreamArn": ARN,
        "DestinationStatus": "ENABLE_FAILED",
        "DestinationStatusDescription": "User does not have a permission to use kinesis stream",
    }
    assert kinesis.listed() == [expected]
    assert kinesis.readers() == []
    kinesis.put("a", 1)
    with kinesis.database.storage.read() as tx:  # type: ignore[union-attr]
        assert not any(change.kind == "item" for change in tx.log(0, 100))
    kinesis.enable(arn=OTHER)  # beside the one that failed, and listed before it once it is newer
    kinesis.deliver()
    assert sorted(kinesis.statuses()) == ["ACTIVE", "ENABLE_FAILED"]


def test_states_last_as_long_as_those_of_tables(tmp_path: Path) -> None:
    kinesis = Kinesis(tmp_path / "data", "memory", table_delay=5.0)
    kinesis.create()
    body = {"TableName": "books", "StreamArn": ARN}
    refused = kinesis.database.call("EnableKinesisStreamingDestination", body)[1]
    assert refused["message"] == "Requested resource not found: Table: books not found"  # it is CREATING
    kinesis.now += 5
    kinesis.enable()
    kinesis.put("a", 1)
    kinesis.deliver()
    assert (kinesis.statuses(), kinesis.stream.records) == (["ENABLING"], [])
    kinesis.now += 5
    kinesis.deliver()
    assert (kinesis.statuses(), len(kinesis.stream.records)) == (["ACTIVE"], 1)
    precision = {"ApproximateCreationDateTimePrecision": "MICROSECOND"}
    change = body | {"UpdateKinesisStreamingConfiguration": precision}
    assert kinesis.call("UpdateKinesisStreamingDestination", **change)["DestinationStatus"] == "UPDATING"
    assert kinesis.statuses() == ["UPDATING"]
    for operation in ("Enable", "Disable"):
        assert kinesis.database.call(f"{operation}KinesisStreamingDestination", body)[0] == 400
    kinesis.put("a", 2)
    kinesis.deliver()  # it goes on meanwhile
    assert len(kinesis.stream.records) == 2
    kinesis.now += 5
    assert kinesis.statuses() == ["ACTIVE"]
    kinesis.call("DisableKinesisStreamingDestination", **body)
    kinesis.deliver()
    assert kinesis.statuses() == ["DISABLING"]
    kinesis.now += 5
    kinesis.deliver()
    assert kinesis.statuses() == ["DISABLED"]
    kinesis.enable()
    kinesis.now += 5
    kinesis.deliver()
    kinesis.call("DeleteTable", TableName="books")
    assert kinesis.statuses() == ["UPDATING"]
    kinesis.database.close()


def test_a_silent_endpoint_is_waited_for_when_enabling_but_not_for_ever(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.stream.broken = "Connect timeout"
    kinesis.deliver()
    (shown,) = kinesis.listed()
    assert (shown["DestinationStatus"], shown["DestinationStatusDescription"]) == ("ENABLING", "Connect timeout")
    kinesis.now += GIVE_UP_ENABLING
    kinesis.deliver()
    (shown,) = kinesis.listed()
    assert (shown["DestinationStatus"], shown["DestinationStatusDescription"]) == (
        "ENABLE_FAILED",
        "Connect timeout",
    )


def test_disabling_delivers_what_was_written_before(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()
    kinesis.put("a", 1)
    kinesis.call("DisableKinesisStreamingDestination", TableName="books", StreamArn=ARN)
    assert kinesis.statuses() == ["DISABLING"]
    kinesis.call("DisableKinesisStreamingDestination", TableName="books", StreamArn=ARN)  # as on AWS
    kinesis.put("a", 2)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1]})
    assert kinesis.listed() == [{"StreamArn": ARN, "DestinationStatus": "DISABLED"}]
    assert kinesis.readers() == []
    kinesis.enable()
    kinesis.put("a", 3)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1, 3]})
    assert kinesis.statuses() == ["ACTIVE"]


def test_disabling_ends_although_the_endpoint_is_gone(kinesis: Kinesis, caplog: pytest.LogCaptureFixture) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()
    kinesis.put("a", 1)
    kinesis.stream.broken = "Connect timeout"
    kinesis.call("DisableKinesisStreamingDestination", TableName="books", StreamArn=ARN)
    kinesis.deliver()
    assert kinesis.statuses() == ["DISABLING"]
    kinesis.now += GIVE_UP_DISABLING
    kinesis.deliver()
    assert kinesis.statuses() == ["DISABLED"]
    assert "were not delivered" in caplog.text
    assert kinesis.readers() == []


def test_the_last_changes_of_a_deleted_table_arrive_and_nothing_is_left(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()
    kinesis.put("a", 1)
    kinesis.call("DeleteTable", TableName="books")
    kinesis.create()
    kinesis.put("b", 1)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1]})
    assert kinesis.readers() == []
    assert kinesis.listed() == []
    with kinesis.database.storage.read() as tx:  # type: ignore[union-attr]
        assert tx.items(0, b"kinesis/", b"kinesis0", 10) == []


def test_changes_that_waited_too_long_are_reported_as_lost(
    kinesis: Kinesis, caplog: pytest.LogCaptureFixture
) -> None:
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()
    kinesis.stream.broken = "Connect timeout"
    kinesis.put("a", 1)
    kinesis.now += 8 * 86_400.0

    def trim_all(tx: WriteTransaction) -> None:
        while trim(tx, kinesis.now, Bounds()):
            pass

    kinesis.database.run(kinesis.database.storage.write(trim_all))
    kinesis.stream.broken = None
    kinesis.put("a", 2)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [2]})
    assert "were lost" in caplog.text
    (shown,) = kinesis.listed()
    assert shown["DestinationStatusDescription"].startswith("Changes that waited for too long were lost at ")


def test_a_destination_that_was_recovered_from_an_archive_goes_on(kinesis: Kinesis) -> None:
    """Recovery brings records and tables, but no readers of the log."""
    kinesis.create()
    kinesis.enable()
    kinesis.deliver()

    def forget_readers(tx: WriteTransaction) -> None:
        table = tx.find_table("123456789012", "us-east-1", "books")
        assert table is not None
        tx.save_table(replace(table, log_readers=()))
        for reader in kinesis.readers():
            tx.remove_log_reader(reader)

    kinesis.database.run(kinesis.database.storage.write(forget_readers))
    kinesis.deliver()
    kinesis.put("a", 1)
    kinesis.deliver()
    assert_in_order(kinesis.stream.records, {"a": [1]})


def test_deliveries_at_the_same_place_read_the_log_once(kinesis: Kinesis) -> None:
    for table, arn in (("books", ARN), ("others", OTHER)):
        kinesis.create(table)
        kinesis.enable(table, arn)
    for number in (1, 2, 3):
        kinesis.put("a", number)
        kinesis.put("b", number, "others")
        kinesis.deliver()
    assert_in_order(kinesis.streams[ARN].records, {"a": [1, 2, 3]})
    assert_in_order(kinesis.streams[OTHER].records, {"b": [1, 2, 3]})
    window, reads = LogWindow(), []

    class Counting:
        def log(self, after: int, limit: int, size: int) -> list[Change]:
            reads.append(after)
            with kinesis.database.storage.read() as tx:  # type: ignore[union-attr]
                return tx.log(after, limit, size)

    tx: Any = Counting()
    assert window.read(tx, 0) == window.read(tx, 0) != []
    assert reads == [0]
    last = window.read(tx, 0)[-1].sequence
    assert window.read(tx, last) == window.read(tx, last) == []  # there may be more each time
    assert reads == [0, last, last]


def test_a_failing_destination_stops_no_other(kinesis: Kinesis) -> None:
    for table, arn in (("books", ARN), ("others", OTHER)):
        kinesis.create(table)
        kinesis.enable(table, arn)
    kinesis.stream.broken = "Connect timeout"

    async def run() -> None:
        running = asyncio.create_task(kinesis.deliveries.run())
        kinesis.deliveries.wake()
        await until(lambda: len(kinesis.streams[OTHER].records) == 1)
        kinesis.deliveries.stop()
        await running

    kinesis.put("a", 1)
    kinesis.put("b", 1, "others")
    kinesis.database.run(run())
    assert_in_order(kinesis.streams[OTHER].records, {"b": [1]})
    assert kinesis.stream.records == []


def test_it_delivers_while_it_runs(kinesis: Kinesis) -> None:
    kinesis.create()

    async def put(number: int) -> None:
        item = {"id": {"S": "a"}, "n": {"N": str(number)}}
        status, _ = await kinesis.database.answer("PutItem", b'{"TableName":"books","Item":%b}' % _json(item))
        assert status == 200

    async def run() -> None:
        running = asyncio.create_task(kinesis.deliveries.run())
        body = b'{"TableName":"books","StreamArn":"%b"}' % ARN.encode()
        assert (await kinesis.database.answer("EnableKinesisStreamingDestination", body))[0] == 200
        kinesis.deliveries.wake()
        for number in (1, 2, 3):
            await put(number)
            await until(lambda: len(kinesis.stream.records) >= number)  # noqa: B023
        kinesis.deliveries.stop()
        await running

    kinesis.database.run(run())
    assert_in_order(kinesis.stream.records, {"a": [1, 2, 3]})


def test_records_that_are_too_large_go_without_images(kinesis: Kinesis) -> None:
    kinesis.create()
    kinesis.enable()
    quoted = "\x01" * 90_000  # six bytes each in JSON
    for more in ("", "x", "x" * 100_000):
        item = {"id": {"S": "a"}, "n": {"S": quoted + more}}
        kinesis.call("PutItem", TableName="books", Item=item)
    kinesis.call("PutItem", TableName="books", Item={"id": {"S": "b"}, "n": {"S": quoted * 3}})
    kinesis.deliver()
    images = [
        (record["dynamodb"]["Keys"]["id"]["S"], "NewImage" in record["dynamodb"], "OldImage" in record["dynamodb"])
        for record in kinesis.stream.records
    ]
    assert sorted(images) == [
        ("a", True, False),
        ("a", True, False),
        ("a", True, False),
        ("b", False, False),
    ]


def test_a_call_holds_one_record_of_each_item_and_no_more_than_kinesis_takes() -> None:
    pending = [Record(number, f"{number % 3}", b"x") for number in range(9)]
    assert [record.sequence for record in next_call(pending)] == [0, 1, 2]
    many = [Record(number, f"{number}", b"x") for number in range(600)]
    assert len(next_call(many)) == 500
    large = [Record(number, f"{number}", bytes(LARGEST_RECORD - 10)) for number in range(9)]
    assert sum(record.size for record in next_call(large)) <= 5 << 20
    assert len(next_call(large)) >= 4


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()
