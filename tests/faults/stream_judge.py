"""Readers of a stream that go on when servers die, and the judge of what they read.

Every write stores a value that no other write stores. `explain_stream` then knows from the images alone whether a
reader missed a change, saw one twice, or saw two of one item in the wrong order: each change of an item must begin
with the image that the one before it ended with. It knows nothing of a database, and returns what is wrong, "" for
nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.faults.shared_items import Address, Caller, together

_STREAMED = "streamed"
_PATIENCE_SECONDS = 60


class Record(NamedTuple):
    """A change of the item `key` as a reader saw it; None for no item."""

    shard: str
    sequence: int
    key: str
    old: int | None
    new: int | None


def explain_stream(
    records: Iterable[Record], final: Mapping[str, int], acknowledged: Collection[int], sent: Collection[int]
) -> str:
    """`records` in the order in which one reader saw them; `final` are the items at the end. Of the values that
    were `sent`, those that were `acknowledged` must be there."""
    state: dict[str, int] = {}
    last: dict[str, int] = {}
    values = set()
    for record in records:
        if record.sequence <= last.get(record.shard, -1):
            return f"{record} does not come after {last[record.shard]} in its shard"
        last[record.shard] = record.sequence
        if record.old != state.get(record.key):
            return f"{record} does not follow {state.get(record.key)}"
        if record.new is None:
            del state[record.key]
            continue
        if record.new in values or record.new not in sent:
            return f"{record} is of a write that was seen before, or that nobody sent"
        values.add(record.new)
        state[record.key] = record.new
    if missing := set(acknowledged) - values:
        return f"acknowledged and not in the stream: {sorted(missing)[:10]}"
    if state != dict(final):
        return f"the stream ends with {sorted(state.items() ^ final.items())[:10]}"
    return ""


class _Follower:
    """Follows a stream from its beginning, through whichever server answers."""

    def __init__(self, caller: Caller, arn: str) -> None:
        self._caller = caller
        self._arn = arn
        self._iterators: dict[str, str | None] = {}

    def read(self) -> list[tuple[str, dict[str, Any]]]:
        """Reads on in every shard, also in new ones: the shard and the record."""
        records = []
        for shard in self._shards():
            if shard not in self._iterators:
                request = {"StreamArn": self._arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
                self._iterators[shard] = self._call("GetShardIterator", **request)["ShardIterator"]
            if (iterator := self._iterators[shard]) is not None:
                page = self._call("GetRecords", ShardIterator=iterator)
                records += [(shard, record) for record in page["Records"]]
                self._iterators[shard] = page.get("NextShardIterator")
        return records

    def _shards(self) -> list[str]:
        """Parents come before their children."""
        shards: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = self._call("DescribeStream", StreamArn=self._arn, **more)["StreamDescription"]
            shards += [shard["ShardId"] for shard in page["Shards"]]
            if "LastEvaluatedShardId" not in page:
                return shards
            more = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}

    def _call(self, operation: str, **request: Any) -> Any:
        """Asks again until it is answered: reading a stream changes nothing."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            status, answer = self._caller.call(operation, **request)
            if status:
                assert status == 200, answer
                return answer
            assert time.monotonic() < deadline, "nobody serves"
            time.sleep(0.02)


def follow_stream(caller: Caller, arn: str) -> Iterator[dict[str, Any]]:
    """The records of a stream that nobody writes to any more."""
    follower = _Follower(caller, arn)
    while records := follower.read():
        yield from (record for _, record in records)


class Reader:
    """One of several readers; `records` is what it has seen."""

    def __init__(self, addresses: Sequence[Address], arn: str, number: int) -> None:
        self.records: list[Record] = []
        self._follower = _Follower(Caller(addresses, number), arn)

    def read(self) -> int:
        """Reads on; returns how many records there were."""
        read = self._follower.read()
        self.records += [_record(shard, record["dynamodb"]) for shard, record in read]
        return len(read)


def _record(shard: str, change: dict[str, Any]) -> Record:
    old, new = (change.get(image, {}).get("v", {}).get("N") for image in ("OldImage", "NewImage"))
    return Record(
        shard,
        int(change["SequenceNumber"]),
        change["Keys"]["p"]["S"],
        None if old is None else int(old),
        None if new is None else int(new),
    )


class StreamedTable:
    """A table with a stream, whose writers and readers go on until told to stop."""

    ITEMS = 6

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.sent: set[int] = set()
        self.acknowledged: set[int] = set()
        self._addresses = addresses
        status, answer = Caller(addresses).call(
            "CreateTable",
            TableName=_STREAMED,
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        assert status == 200, answer
        self.arn: str = answer["TableDescription"]["LatestStreamArn"]

    def _write(self, writer: int, stop: threading.Event) -> None:
        """Single puts, transactions over two items, and now and then a deletion."""
        caller = Caller(self._addresses, writer)
        number = 0
        while not stop.is_set():
            number += 1
            first = 10 * (1_000_000 * writer + number)
            keys = [f"item-{(number * step + writer) % self.ITEMS}" for step in (1, 5)]
            if number % 11 == 0:
                caller.call("DeleteItem", TableName=_STREAMED, Key={"p": {"S": keys[0]}})
                continue
            values = {keys[1]: first + 1, keys[0]: first}
            if number % 3:
                del values[keys[1]]
                values[keys[0]] = first
            self.sent.update(values.values())
            items = [{"p": {"S": key}, "v": {"N": str(value)}} for key, value in values.items()]
            if len(items) == 1:
                status, answer = caller.call("PutItem", TableName=_STREAMED, Item=items[0])
            else:
                puts = [{"Put": {"TableName": _STREAMED, "Item": item}} for item in items]
                status, answer = caller.call("TransactWriteItems", TransactItems=puts)
            if status == 200:
                self.acknowledged.update(values.values())
            elif status == 0:
                time.sleep(0.02)
            else:
                assert "TransactionConflict" in str(answer), answer

    def use(self, writers: int, readers: int, disturb: Callable[[], object]) -> list[Reader]:
        """Writers and readers work while `disturb` does; then the readers go on to the end. Judges what each of
        them saw."""
        stop = threading.Event()
        seen = [Reader(self._addresses, self.arn, number) for number in range(readers)]

        def work(number: int) -> None:
            if number == 0:
                try:
                    disturb()
                finally:
                    stop.set()
            elif number <= writers:
                self._write(number, stop)
            else:
                reader = seen[number - writers - 1]
                while not stop.is_set():
                    reader.read()

        together(1 + writers + readers, work)
        for reader in seen:
            self._judge(reader)
        return seen

    def _judge(self, reader: Reader) -> None:
        """An empty page need not be the end, so that it is what is missing that says whether to read on."""
        final = self._final()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        problem = "nothing was read"
        while reader.read() or (problem and time.monotonic() < deadline):
            problem = explain_stream(reader.records, final, self.acknowledged, self.sent)
        problem = explain_stream(reader.records, final, self.acknowledged, self.sent)
        assert not problem, problem

    def _final(self) -> dict[str, int]:
        caller = Caller(self._addresses)
        caller.wait_until_served()
        answer = caller.call("Scan", TableName=_STREAMED, ConsistentRead=True)[1]
        return {item["p"]["S"]: int(item["v"]["N"]) for item in answer["Items"]}
