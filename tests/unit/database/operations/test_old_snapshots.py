"""A page whose snapshot the store takes back ends early, with a place to go on from; it is never an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.storage.sqlite.storage import SqliteStorage
from tests.in_process import InProcessDatabase

COUNT = 600
TABLE = {
    "TableName": "notes",
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("p", "s", "a")],
    "BillingMode": "PAY_PER_REQUEST",
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by-a",
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "a", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


class Watch:
    """A clock by which the store's snapshots live for five looks once it `hurries`; it can also leap once, as for
    a process that was suspended."""

    def __init__(self) -> None:
        self.now = 0.0
        self.hurries = False
        self.looks_until_leap = 0

    def __call__(self) -> float:
        if self.hurries:
            self.now += 2.0
        if self.looks_until_leap:
            self.looks_until_leap -= 1
            if not self.looks_until_leap:
                self.now += 60.0
        return self.now


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, watch: Watch) -> Iterator[InProcessDatabase]:
    folder: Path = tmp_path_factory.mktemp("old")
    database = InProcessDatabase(
        folder / "data", store=lambda path, **clock: SqliteStorage.open(path, monotonic=watch, **clock)
    )
    assert database.call("CreateTable", TABLE)[0] == 200
    puts = [{"PutRequest": {"Item": item(number)}} for number in range(COUNT)]
    for first in range(0, COUNT, 25):
        request = {"RequestItems": {"notes": puts[first : first + 25]}}
        assert database.call("BatchWriteItem", request)[0] == 200
    yield database
    database.close()


@pytest.fixture
def hurrying(watch: Watch) -> Iterator[None]:
    watch.hurries = True
    yield
    watch.hurries = False


def item(number: int) -> dict[str, Any]:
    text = {"S": f"{number:04d}"}
    return {"p": {"S": "xyz"[number % 3]}, "s": text, "a": text, "long": {"S": "l" * 2500}}


IN_X = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": {"S": "x"}}}
FROM_TABLE = {"IndexName": "by-a", "Select": "ALL_ATTRIBUTES"}
READS: list[tuple[str, dict[str, Any], str]] = [
    ("Query", IN_X, "x"),
    ("Query", IN_X | {"ScanIndexForward": False}, "x"),
    ("Query", IN_X | FROM_TABLE, "x"),
    ("Scan", {}, "xyz"),
    ("Scan", FROM_TABLE, "xyz"),
    (
        "Scan",
        {"FilterExpression": "p <> :p", "ExpressionAttributeValues": {":p": {"S": "y"}}},
        "xz",
    ),
]


@pytest.mark.usefixtures("hurrying")
@pytest.mark.parametrize(("operation", "request_", "partitions"), READS)
def test_a_query_or_scan_goes_on_from_its_last_evaluated_key(
    database: InProcessDatabase, operation: str, request_: dict[str, Any], partitions: str
) -> None:
    request = {"TableName": "notes", **request_}
    found: list[dict[str, Any]] = []
    pages = 0
    start: dict[str, Any] = {}
    while True:
        status, answer = database.call(operation, request | start)
        assert status == 200, answer
        assert answer["ScannedCount"] > 0 or "LastEvaluatedKey" not in answer
        found += answer["Items"]
        pages += 1
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert pages > 1
    assert_complete(found, partitions)


STATEMENTS = [
    ("SELECT * FROM notes", "xyz"),
    ("SELECT * FROM notes WHERE p = 'x'", "x"),
    ("SELECT * FROM notes WHERE p IN ['z', 'none', 'x']", "xz"),
    ('SELECT p, s, a, long FROM notes."by-a"', "xyz"),
]


@pytest.mark.usefixtures("hurrying")
@pytest.mark.parametrize(("statement", "partitions"), STATEMENTS)
def test_a_select_goes_on_from_its_token(database: InProcessDatabase, statement: str, partitions: str) -> None:
    found: list[dict[str, Any]] = []
    pages = 0
    token: dict[str, Any] = {}
    while True:
        status, answer = database.call("ExecuteStatement", {"Statement": statement, **token})
        assert status == 200, answer
        found += answer["Items"]
        pages += 1
        assert ("NextToken" in answer) == ("LastEvaluatedKey" in answer)
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert pages > 1
    assert_complete(found, partitions)


@pytest.mark.parametrize("looks", range(2, 8))
@pytest.mark.parametrize(("operation", "request_"), [("Scan", {}), ("Scan", FROM_TABLE), ("Query", IN_X)])
def test_a_process_that_was_suspended_answers_all_the_same(
    database: InProcessDatabase, watch: Watch, operation: str, request_: dict[str, Any], looks: int
) -> None:
    watch.looks_until_leap = looks
    status, answer = database.call(operation, {"TableName": "notes", **request_})
    watch.looks_until_leap = 0
    assert status == 200, answer
    assert answer["Count"] > 0


def assert_complete(found: list[dict[str, Any]], partitions: str) -> None:
    """Every item of the partitions, once."""
    expected = [item(number) for number in range(COUNT) if item(number)["p"]["S"] in partitions]
    assert sorted(found, key=lambda each: each["s"]["S"]) == expected
