"""What the sweeper deletes, what it leaves, and the stream's records of it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.background import time_to_live
from blotter.database.background.steady_clock import HOLD_SECONDS, SteadyClock
from blotter.database.background.time_to_live import OLDEST_SECONDS, TimeToLiveSweeper, delete_expired
from tests.stream_database import START, StreamDatabase, keys

NOW = int(START)


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[StreamDatabase]:
    streams = StreamDatabase(tmp_path / "data")
    yield streams
    streams.database.close()


def sweep(streams: StreamDatabase, monotonic: Any = None) -> int:
    settings = {} if monotonic is None else {"monotonic": monotonic}
    sweeper = TimeToLiveSweeper(streams.database.storage, lambda: streams.now, **settings)
    return streams.database.run(sweeper.run_once())


def enable(streams: StreamDatabase, attribute: str = "ttl", enabled: bool = True) -> None:
    specification = {"Enabled": enabled, "AttributeName": attribute}
    streams.call("UpdateTimeToLive", TableName="books", TimeToLiveSpecification=specification)


def put(streams: StreamDatabase, key: str, **attributes: dict[str, Any]) -> None:
    streams.call("PutItem", TableName="books", Item={"id": {"S": key}, **attributes})


def remaining(streams: StreamDatabase) -> set[str]:
    return {item["id"]["S"] for item in streams.call("Scan", TableName="books")["Items"]}


def number(value: float | str) -> dict[str, str]:
    return {"N": str(value)}


def test_expired_items_go_and_all_others_stay(streams: StreamDatabase) -> None:
    streams.create()
    enable(streams)
    put(streams, "just expired", ttl=number(NOW - 1))
    put(streams, "expired with a fraction", ttl=number(NOW - 0.5))
    put(streams, "almost five years ago", ttl=number(NOW - OLDEST_SECONDS))
    put(streams, "more than five years ago", ttl=number(NOW - OLDEST_SECONDS - 1))
    put(streams, "expires now", ttl=number(NOW))
    put(streams, "expires later", ttl=number(NOW + 3600))
    put(streams, "milliseconds", ttl=number(NOW * 1000))
    put(streams, "huge", ttl=number("9" * 38 + "0" * 80))
    put(streams, "negative", ttl=number(-5))
    put(streams, "no number", ttl={"S": str(NOW - 1)})
    put(streams, "a set", ttl={"NS": [str(NOW - 1)]})
    put(streams, "in a document", document={"M": {"ttl": number(NOW - 1)}})
    put(streams, "in a document and later", document={"M": {"ttl": number(NOW - 1)}}, ttl=number(NOW + 9))
    put(streams, "in a document and expired", document={"M": {"ttl": number(NOW + 9)}}, ttl=number(NOW - 1))
    put(streams, "in a document, itself too old", document={"M": {"ttl": number(NOW - 1)}}, ttl=number(5))
    put(streams, "in a text", text={"S": f'"ttl":{{"N":"{NOW - 1}"}}'})
    put(streams, "without")
    everything = remaining(streams)
    assert len(everything) == 17
    assert sweep(streams) == 4
    assert everything - remaining(streams) == {
        "just expired",
        "expired with a fraction",
        "almost five years ago",
        "in a document and expired",
    }
    streams.now += 1
    assert sweep(streams) == 1
    assert "expires now" not in remaining(streams)


def test_nothing_goes_without_a_setting(streams: StreamDatabase) -> None:
    streams.create()
    put(streams, "a", ttl=number(NOW - 1), other=number(NOW - 1))
    assert sweep(streams) == 0
    enable(streams)
    enable(streams, enabled=False)
    assert sweep(streams) == 0
    enable(streams, "other")
    assert sweep(streams) == 1


@pytest.mark.parametrize("attribute", ["ttl", 'quo"ted', "läuft ab", "back\\slash", "\x01"])
def test_the_attribute_may_have_any_name(streams: StreamDatabase, attribute: str) -> None:
    streams.create()
    enable(streams, attribute)
    put(streams, "a", **{attribute: number(NOW - 1)})
    put(streams, "b", **{attribute: number(NOW + 1)})
    assert sweep(streams) == 1
    assert remaining(streams) == {"b"}


def test_a_walk_over_many_slices_forgets_nothing(streams: StreamDatabase) -> None:
    """A watch on which every look is past the deadline: each slice ends as early as it may."""
    streams.create()
    enable(streams)
    for start in range(0, 300, 25):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": f"{n}"}, "ttl": number(NOW - 1 if n % 3 else NOW + 1)}}}
            for n in range(start, start + 25)
        ]
        streams.call("BatchWriteItem", RequestItems={"books": puts})
    looks = iter(range(10**9))
    assert sweep(streams, lambda: float(next(looks)) / 1000) == 200
    assert remaining(streams) == {str(n) for n in range(0, 300, 3)}
    assert sweep(streams) == 0


def test_a_walk_forgets_no_key_that_begins_with_another(streams: StreamDatabase) -> None:
    streams.call(
        "CreateTable",
        TableName="books",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "page", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "page")],
    )
    enable(streams)
    for length in range(1, 60):
        put(streams, "a", page={"S": "x" * length}, ttl=number(NOW - 1))
    looks = iter(range(10**9))
    assert sweep(streams, lambda: float(next(looks)) / 100) == 59


def test_the_stream_says_that_the_service_deleted_it(streams: StreamDatabase) -> None:
    arn = streams.create()
    enable(streams)
    put(streams, "by the service", ttl=number(NOW - 1))
    put(streams, "by a user", ttl=number(NOW - 1))
    streams.call("DeleteItem", TableName="books", Key={"id": {"S": "by a user"}})
    sweep(streams)
    removals = [record for record in streams.read_stream(arn) if record["eventName"] == "REMOVE"]
    assert keys(removals) == ["by a user", "by the service"]
    assert "userIdentity" not in removals[0]
    assert removals[1]["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert removals[1]["dynamodb"]["OldImage"]["ttl"] == number(NOW - 1)


def test_an_index_loses_the_item_too(streams: StreamDatabase) -> None:
    streams.call(
        "CreateTable",
        TableName="books",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "author")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-author",
                "KeySchema": [{"AttributeName": "author", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    enable(streams)
    put(streams, "a", author={"S": "x"}, ttl=number(NOW - 1))
    assert streams.call("Scan", TableName="books", IndexName="by-author")["Count"] == 1
    sweep(streams)
    assert streams.call("Scan", TableName="books", IndexName="by-author")["Count"] == 0
    assert streams.call("DescribeTable", TableName="books")["Table"]["ItemCount"] == 0


def test_what_was_renewed_meanwhile_stays(streams: StreamDatabase) -> None:
    """Between the look and the deletion an item may be renewed, the setting changed, the table replaced."""
    streams.create()
    enable(streams)
    for key in "abc":
        put(streams, key, ttl=number(NOW - 1))
    storage = streams.database.storage
    with storage.read() as tx:
        (table,) = tx.tables()
        found = [key for key, _, _ in tx.items(table.space, b"", None, 99)]

    def delete() -> int:
        return streams.database.run(
            storage.write(lambda tx: delete_expired(tx, table, found, streams.now, lambda: 0.0))
        )[0]

    put(streams, "a", ttl=number(NOW + 60))
    streams.call("DeleteItem", TableName="books", Key={"id": {"S": "b"}})
    assert delete() == 1
    assert remaining(streams) == {"a"}
    put(streams, "c", ttl=number(NOW - 1))
    enable(streams, enabled=False)
    assert delete() == 0
    streams.call("DeleteTable", TableName="books")
    streams.create()
    enable(streams)
    put(streams, "c", ttl=number(NOW - 1))
    assert delete() == 0
    assert remaining(streams) == {"c"}


def test_an_item_that_cannot_be_deleted_stops_no_other(
    streams: StreamDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    streams.create()
    streams.create("others")
    for name in ("books", "others"):
        specification = {"Enabled": True, "AttributeName": "ttl"}
        streams.call("UpdateTimeToLive", TableName=name, TimeToLiveSpecification=specification)
        for key in "abc":
            streams.put(key, name, ttl=NOW - 1)
    original = time_to_live.write_item

    def failing(tx: Any, table: Any, current: Any, *rest: Any) -> None:
        if table.name == "books" and current.item["id"] == {"S": "b"}:
            raise OverflowError("too large")
        original(tx, table, current, *rest)

    monkeypatch.setattr(time_to_live, "write_item", failing)
    sweeper = TimeToLiveSweeper(streams.database.storage, lambda: streams.now)
    assert streams.database.run(sweeper.run_once()) == 5
    assert remaining(streams) == {"b"}
    assert streams.call("Scan", TableName="others")["Count"] == 0
    (record,) = caplog.records
    assert "table/books" in record.getMessage()
    streams.put("d", "others", ttl=NOW - 1)
    assert streams.database.run(sweeper.run_once()) == 1  # the failing table waits, the other does not
    assert len(caplog.records) == 1


def test_a_jump_of_the_clock_deletes_nothing(streams: StreamDatabase) -> None:
    streams.create()
    enable(streams)
    put(streams, "expired", ttl=number(NOW - 1))
    put(streams, "expires in an hour", ttl=number(NOW + 3600))
    elapsed = 0.0
    steady = SteadyClock(lambda: streams.now, lambda: elapsed)
    sweeper = TimeToLiveSweeper(streams.database.storage, steady)
    streams.now += 86_400
    assert streams.database.run(sweeper.run_once()) == 1
    assert remaining(streams) == {"expires in an hour"}
    streams.now += HOLD_SECONDS + 1
    elapsed += HOLD_SECONDS + 1
    assert streams.database.run(sweeper.run_once()) == 1
