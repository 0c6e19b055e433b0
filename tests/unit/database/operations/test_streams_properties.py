"""Whatever is written, however the clock moves: a reader of the whole stream ends up with the table.

Also with several writers at once, and with streams whose shards change in between.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stream_database import StreamDatabase, numbers

Item = dict[str, Any]

ids = st.sampled_from([f"item {n}" for n in range(6)])
values = st.one_of(
    st.integers(-3, 3).map(lambda n: {"N": str(n)}),
    st.sampled_from([{"SS": ["x", "y"]}, {"SS": ["y", "x"]}, {"M": {"a": {"S": ""}, "b": {"NULL": True}}}]),
)
steps = st.one_of(
    st.tuples(st.just("put"), ids, values),
    st.tuples(st.just("update"), ids, st.integers(-3, 3)),
    st.tuples(st.just("delete"), ids),
    st.tuples(st.just("wait"), st.sampled_from([-2.0, 1.0, 1800.0, 3000.0])),
    st.tuples(st.just("batch"), st.dictionaries(ids, values, min_size=1, max_size=4)),
)


def perform(streams: StreamDatabase, step: Any) -> None:
    match step:
        case ("put", key, value):
            streams.call("PutItem", TableName="books", Item={"id": {"S": key}, "v": value})
        case ("update", key, number):
            streams.call(
                "UpdateItem",
                TableName="books",
                Key={"id": {"S": key}},
                UpdateExpression="SET n = :n",
                ExpressionAttributeValues={":n": {"N": str(number)}},
            )
        case ("delete", key):
            streams.call("DeleteItem", TableName="books", Key={"id": {"S": key}})
        case ("wait", seconds):
            streams.now += seconds
        case ("batch", puts):
            items = [{"id": {"S": key}, "v": value} for key, value in puts.items()]
            actions = [{"Put": {"TableName": "books", "Item": item}} for item in items]
            streams.call("TransactWriteItems", TransactItems=actions)


def scan(streams: StreamDatabase) -> dict[str, Item]:
    items = streams.call("Scan", TableName="books")["Items"]
    return {item["id"]["S"]: canonical(item) for item in items}


def canonical(item: Item) -> Item:
    return {name: {"SS": sorted(value["SS"])} if "SS" in value else value for name, value in sorted(item.items())}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25), st.sampled_from([1, 4]), st.integers(1, 5))
def test_a_reader_from_the_beginning_has_the_table(script: list[Any], slots: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        streams = StreamDatabase(Path(folder))
        arn = streams.create(slots=slots)
        streams.now += 60.0
        for step in script:  # 25 steps are less than a day: nothing is trimmed
            perform(streams, step)
        replica: dict[str, Item] = {}
        records = streams.read_stream(arn, limit)
        for record in records:
            change = record["dynamodb"]
            key = change["Keys"]["id"]["S"]
            old = replica.pop(key, None)
            assert old == (canonical(change["OldImage"]) if "OldImage" in change else None)
            new = canonical(change["NewImage"]) if "NewImage" in change else None
            assert new != old
            assert record["eventName"] == _EVENTS[old is not None, new is not None]
            if new is not None:
                replica[key] = new
        assert replica == scan(streams)
        assert len(set(numbers(records))) == len(records)
        streams.database.close()


_EVENTS = {(False, True): "INSERT", (True, True): "MODIFY", (True, False): "REMOVE"}


def test_writers_at_once_are_told_in_one_order(tmp_path: Path) -> None:
    streams = StreamDatabase(tmp_path / "data")
    arn = streams.create(slots=4)
    calls = [
        (
            "UpdateItem",
            {
                "TableName": "books",
                "Key": {"id": {"S": f"item {n % 3}"}},
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            },
        )
        for n in range(60)
    ]
    assert {status for status, _ in streams.database.call_together(*calls)} == {200}
    counts: dict[str, int] = {}
    for record in streams.read_stream(arn):
        change = record["dynamodb"]
        key = change["Keys"]["id"]["S"]
        assert int(change["NewImage"]["n"]["N"]) == counts.get(key, 0) + 1
        counts[key] = int(change["NewImage"]["n"]["N"])
    assert counts == {"item 0": 20, "item 1": 20, "item 2": 20}
    streams.database.close()
