"""No request of a legal size keeps the event loop or the write lock for long.

Where something is done is told by the thread, and how much by what was read or written; nothing is timed.
"""

from __future__ import annotations

import gc
import itertools
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from blotter.database.expressions import Projection
from blotter.database.http.messages import Pending, Request
from blotter.database.operations import batches, pages
from blotter.database.operations.item_store import Current
from blotter.database.operations.pages import PageReader
from blotter.database.operations.streams import streams
from blotter.database.operations.transactions import Outcomes
from blotter.database.pipeline import SMALL_BODY, Pipeline
from blotter.database.storage.sqlite import aside
from blotter.database.storage.sqlite import reading as sqlite_reading
from tests.in_process import InProcessDatabase, headers_for

LIST = {"L": [{"BOOL": True}] * 25_000}
"""50 KB as DynamoDB counts, 350 KB as it is stored."""
ITEMS = 8


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data")
    status, _ = database.call(
        "CreateTable",
        {
            "TableName": "workload",
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "psk"],
            "LocalSecondaryIndexes": [
                {
                    "IndexName": "keys",
                    "KeySchema": [
                        {"AttributeName": "p", "KeyType": "HASH"},
                        {"AttributeName": "k", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
    )
    assert status == 200
    yield database
    database.close()


def put_large(database: InProcessDatabase, size: int = 25_000) -> None:
    large = {"L": LIST["L"][:1] * size}
    for number in range(ITEMS):
        item = {"p": {"S": "x"}, "s": {"S": str(number)}, "k": {"S": str(number)}, "l": large}
        assert database.call("PutItem", {"TableName": "workload", "Item": item})[0] == 200


def note_threads(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[bool]:
    """Whether each call of a method was on the loop's thread."""
    calls: list[bool] = []
    method: Callable[..., Any] = getattr(owner, name)

    def noting(*arguments: Any, **named: Any) -> Any:
        calls.append(threading.current_thread() is threading.main_thread())
        return method(*arguments, **named)

    monkeypatch.setattr(owner, name, noting)
    return calls


def statements(name: str, count: int) -> dict[str, Any]:
    text = f"SELECT * FROM workload WHERE p = 'x' AND s = '{name}' AND (" + " OR ".join(["a = 1"] * 100) + ")"
    return {"Statements": [{"Statement": text}] * count}


def checks(text: str, count: int) -> dict[str, Any]:
    checked = {"TableName": "workload", "Key": {"p": {"S": "x"}, "s": {"S": "y"}}, "ConditionExpression": text}
    return {"TransactItems": [{"ConditionCheck": checked}] * count}


@pytest.mark.parametrize(
    ("operation", "request_", "on_loop"),
    [
        ("BatchExecuteStatement", statements("a", 25), False),
        ("BatchExecuteStatement", statements("a", 2), True),
        ("TransactWriteItems", checks("a = b" + " AND a = b" * 99, 20), False),
        ("PutItem", {"TableName": "workload", "Item": {"p": {"S": "x"}, "s": {"S": "y" * 900}}}, True),
        ("BatchGetItem", {"RequestItems": {"workload": {"Keys": [{"p": {"S": "x" * SMALL_BODY}}]}}}, True),
    ],
)
def test_requests_that_may_hold_much_text_of_expressions_are_prepared_on_a_thread(
    database: InProcessDatabase,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    request_: dict[str, Any],
    on_loop: bool,
) -> None:
    prepared = note_threads(monkeypatch, Pipeline, "prepare")
    assert database.call(operation, request_)[0] in (200, 400)
    assert prepared == [on_loop]


QUERY = {"TableName": "workload", "KeyConditionExpression": "p = :p"}
OF_X = {":p": {"S": "x"}}


@pytest.mark.parametrize(
    ("operation", "request_", "found"),
    [
        ("Query", {**QUERY, "FilterExpression": "size(l) > :n"}, ITEMS),
        ("Query", {**QUERY, "ProjectionExpression": "s, l[0]", "FilterExpression": "size(l) > :n"}, ITEMS),
        ("Query", {**QUERY, "FilterExpression": "size(l) < :n"}, 0),
        ("Query", {**QUERY, "IndexName": "keys", "Select": "ALL_ATTRIBUTES"}, ITEMS),
        ("Query", {**QUERY, "IndexName": "keys", "ProjectionExpression": "s, l[0]"}, ITEMS),
        ("ExecuteStatement", {"Statement": "SELECT s FROM workload WHERE p = 'x' AND size(l) > 1"}, ITEMS),
    ],
)
def test_conditions_and_projections_of_large_items_are_evaluated_on_a_thread(
    database: InProcessDatabase,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    request_: dict[str, Any],
    found: int,
) -> None:
    put_large(database)
    selected = note_threads(monkeypatch, PageReader, "_select")
    if operation == "Query":
        limits = {":n": {"N": "1"}} if "FilterExpression" in request_ else {}
        request_ = {**request_, "ExpressionAttributeValues": {**OF_X, **limits}}
    status, response = database.call(operation, request_)
    assert status == 200
    assert [item["s"]["S"] for item in response["Items"]] == [str(number) for number in range(found)]
    assert any(selected) is False
    assert len(selected) >= 3


def test_an_error_of_work_on_a_thread_ends_the_read(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_large(database)

    def fail(_: PageReader) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(PageReader, "_select", fail)
    request = {**QUERY, "FilterExpression": "l <> :p", "ExpressionAttributeValues": OF_X}
    assert database.call("Query", request)[0] == 500
    monkeypatch.undo()
    assert database.call("Query", request)[1]["Count"] == ITEMS


def test_reads_of_large_items_wait_for_each_other(database: InProcessDatabase) -> None:
    put_large(database)
    request = {**QUERY, "FilterExpression": "l <> :p", "ExpressionAttributeValues": OF_X}
    small = ("GetItem", {"TableName": "workload", "Key": {"p": {"S": "x"}, "s": {"S": "none"}}})
    answers = database.call_together(*[("Query", request)] * 12, small)
    assert [status for status, _ in answers] == [200] * 13
    assert {response["Count"] for _, response in answers[:-1]} == {ITEMS}


def test_a_page_has_a_megabyte_of_the_items_that_its_index_does_not_hold(database: InProcessDatabase) -> None:
    put_large(database, 150_000)  # 300 KB each
    request = {
        **QUERY,
        "IndexName": "keys",
        "ProjectionExpression": "s, l[0]",
        "ExpressionAttributeValues": OF_X,
    }
    found = []
    sizes = []
    while True:
        status, response = database.call("Query", request)
        assert status == 200
        found += [item["s"]["S"] for item in response["Items"]]
        sizes.append(response["Count"])
        if "LastEvaluatedKey" not in response:
            break
        request["ExclusiveStartKey"] = response["LastEvaluatedKey"]
    assert found == [str(number) for number in range(ITEMS)]
    assert sizes == [4, 4]


def test_large_stream_records_are_made_on_a_thread(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_large(database)
    taken = note_threads(monkeypatch, streams._Page, "take")
    arn = database.call("DescribeTable", {"TableName": "workload"})[1]["Table"]["LatestStreamArn"]
    found = []
    for shard in database.call("DescribeStream", {"StreamArn": arn})[1]["StreamDescription"]["Shards"]:
        request = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = database.call("GetShardIterator", request)[1]["ShardIterator"]
        response = database.call("GetRecords", {"ShardIterator": iterator})[1]
        found += [record["dynamodb"]["Keys"]["s"]["S"] for record in response["Records"]]
    assert sorted(found) == [str(number) for number in range(ITEMS)]
    assert False in taken


@pytest.mark.parametrize("fields", [{}, {"ProjectionExpression": "s"}])
def test_many_large_items_are_read_aside(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr(sqlite_reading, "QUICK_WORK", 100_000)
    put_large(database)
    ran = note_threads(monkeypatch, aside.LongReads, "_run")
    keys = [{"p": {"S": "x"}, "s": {"S": str(number)}} for number in range(ITEMS)]
    status, response = database.call("BatchGetItem", {"RequestItems": {"workload": {"Keys": keys, **fields}}})
    assert (status, len(response["Responses"]["workload"])) == (200, ITEMS)
    read = {
        "Statements": [{"Statement": f"SELECT s FROM workload WHERE p = 'x' AND s = '{n}'"} for n in range(ITEMS)]
    }
    status, response = database.call("BatchExecuteStatement", read)
    assert [each["Item"]["s"]["S"] for each in response["Responses"]] == [str(number) for number in range(ITEMS)]
    assert ran == [False, False]


def test_a_batch_writes_so_many_bytes_and_leaves_the_rest_unprocessed(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WRITTEN_BYTES", 100_000)
    puts: list[dict[str, Any]] = [
        {"PutRequest": {"Item": {"p": {"S": "x"}, "s": {"S": str(n)}, "b": {"S": "y" * 10_000}}}} for n in range(9)
    ]
    status, response = database.call("BatchWriteItem", {"RequestItems": {"workload": puts}})
    assert status == 200
    assert response["UnprocessedItems"] == {"workload": puts[5:]}  # each counts twice, for the index
    status, response = database.call("BatchWriteItem", {"RequestItems": response["UnprocessedItems"]})
    assert (status, response["UnprocessedItems"]) == (200, {})
    deletions = [{"DeleteRequest": {"Key": {"p": {"S": "x"}, "s": {"S": str(n)}}}} for n in range(9)]
    response = database.call("BatchWriteItem", {"RequestItems": {"workload": deletions}})[1]
    assert response["UnprocessedItems"] == {"workload": deletions[5:]}
    assert database.call("Scan", {"TableName": "workload", "Select": "COUNT"})[1]["Count"] == 4


def test_small_pages_are_selected_at_once(database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    selected = note_threads(monkeypatch, PageReader, "_select")
    put_large(database, 10)
    request = {**QUERY, "FilterExpression": "l <> :p", "ExpressionAttributeValues": OF_X}
    assert database.call("Query", request)[1]["Count"] == ITEMS
    assert selected == []
    assert pages.LARGE_BODIES > 64 * 1024


@pytest.mark.parametrize("reverse", [False, True])
def test_a_condition_that_takes_long_ends_its_slice(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    """On a clock by which each look is too late. The page is the same."""
    for number in range(100):
        item = {"p": {"S": "x"}, "s": {"S": f"{number:03}"}, "even": {"BOOL": number % 2 == 0}}
        assert database.call("PutItem", {"TableName": "workload", "Item": item})[0] == 200
    query = {
        "TableName": "workload",
        "KeyConditionExpression": "p = :p",
        "FilterExpression": "even = :true",
        "ExpressionAttributeValues": {":p": {"S": "x"}, ":true": {"BOOL": True}},
        "ScanIndexForward": not reverse,
    }
    expected = database.call("Query", query)
    slices: list[int] = []
    select = PageReader._select_in_time

    def counted(reader: PageReader, rows: list[Any]) -> int:
        slices.append(select(reader, rows))
        return slices[-1]

    monkeypatch.setattr(pages, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    monkeypatch.setattr(PageReader, "_select_in_time", counted)
    assert database.call("Query", query) == expected
    assert (sum(slices), max(slices)) == (100, pages.SELECTED_AT_ONCE)


def key_of(number: int) -> dict[str, Any]:
    return {"TableName": "workload", "Key": {"p": {"S": "x"}, "s": {"S": str(number)}}}


@pytest.mark.parametrize(
    ("operation", "actions", "status"),
    [
        (
            "TransactWriteItems",
            [{"ConditionCheck": {**key_of(n), "ConditionExpression": "l = s"}} for n in range(ITEMS)],
            400,
        ),
        (
            "TransactWriteItems",
            [{"ConditionCheck": {**key_of(n), "ConditionExpression": "l <> s"}} for n in range(ITEMS)],
            200,
        ),
        (
            "ExecuteTransaction",
            [
                {"Statement": f"EXISTS(SELECT * FROM workload WHERE p = 'x' AND s = '{n}' AND l = 1)"}
                for n in range(8)
            ]
            + [{"Statement": "DELETE FROM workload WHERE p = 'x' AND s = '9'"}],
            400,
        ),
    ],
)
def test_a_transaction_keeps_no_decoded_items(
    database: InProcessDatabase, operation: str, actions: list[dict[str, Any]], status: int
) -> None:
    put_large(database, 40_000)  # half a megabyte each, some 9 MB decoded
    member = "TransactItems" if operation == "TransactWriteItems" else "TransactStatements"
    database.call(operation, {member: actions[-1:]})
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        assert database.call(operation, {member: actions})[0] == status
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 40_000_000
    assert held < 8_000_000


def test_a_transaction_that_is_too_large_keeps_no_new_items() -> None:
    class Outcome(msgspec.Struct):
        current: Current
        new: dict[str, Any] | None
        size: int

    outcomes = [Outcome(Current(b"", None), {}, 1024 * 1024) for _ in range(6)]
    kept = Outcomes()
    for outcome in outcomes:
        kept.add(outcome)
    assert [outcome.new for outcome in kept.all] == [{}] * 4 + [None] * 2
    assert [outcome.size for outcome in kept.all] == [1024 * 1024] * 6


def test_heavy_reads_wait_in_any_number_and_end_with_their_client(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_reading, "QUICK_WORK", 100_000)
    put_large(database)
    keys = [{"p": {"S": "x"}, "s": {"S": "0"}}]
    request = {"RequestItems": {"workload": {"Keys": keys, "ProjectionExpression": "s"}}}
    answers = database.call_together(*[("BatchGetItem", request)] * 100)
    assert [status for status, _ in answers] == [200] * 100

    async def abandon() -> int:
        body = json.dumps(request).encode()
        pending = database.pipeline.answer(Request("POST", "/", headers_for("BatchGetItem"), body))
        assert isinstance(pending, Pending)
        pending.abandoned = True
        return (await pending).status

    monkeypatch.setattr(Projection, "project", None)  # is not asked
    assert database.run(abandon()) == 500
