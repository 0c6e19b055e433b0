"""Refusals that a golden script cannot show: they need a clock, or requests too long for a text file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcessDatabase

UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
TOO_LARGE = "Transaction item size cannot exceed 4 MB"
Error = tuple[str, str]
Call = Callable[..., Error | None]


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def call(tmp_path: Path, clock: Clock) -> Iterator[Call]:
    """Sends a request; returns (code, message) of the error or None. Tables change for ten seconds."""
    database = InProcessDatabase(tmp_path, clock, table_delay=10)

    def send(operation: str, **request: Any) -> Error | None:
        status, body = database.call(operation, request)
        if status == 200:
            return None
        return body["__type"].rpartition("#")[2], body.get("message", body.get("Message"))

    yield send
    database.close()


def create_table(call: Call, name: str = "books", **more: Any) -> Error | None:
    return call(
        "CreateTable",
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        **{
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            **more,
        },
    )


def test_a_table_in_change_is_not_changed(call: Call, clock: Clock) -> None:
    """Messages: dynalite's recorded deleteTable.js and public reports of the other two."""

    def in_use(what: str) -> Error:
        return (
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: {what}: books",
        )

    create_table(call)
    assert call("DeleteTable", TableName="books") == in_use("Table is being created")
    clock.now += 11
    assert call("UpdateTable", TableName="books", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS) is None
    assert call("DeleteTable", TableName="books") == in_use("Table is being updated")
    clock.now += 11
    assert call("DeleteTable", TableName="books") is None
    assert call("DeleteTable", TableName="books") == in_use("Table is being deleted")


def test_an_index_is_not_read_before_it_is_active(call: Call, clock: Clock) -> None:
    create_table(call)
    clock.now += 11
    index = {
        "IndexName": "by-a",
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    call(
        "UpdateTable",
        TableName="books",
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )
    refused = ("ValidationException", "Cannot read from backfilling global secondary index: by-a")
    assert call("Scan", TableName="books", IndexName="by-a") == refused
    assert call("ExecuteStatement", Statement="SELECT * FROM books.\"by-a\" WHERE a = 'x'") == refused
    for _ in range(2):  # Room is made for the index, then it is filled.
        clock.now += 11
        call("DescribeTable", TableName="books")
    assert call("Scan", TableName="books", IndexName="by-a") is None
    assert call("ExecuteStatement", Statement="SELECT * FROM books.\"by-a\" WHERE a = 'x'") is None


@pytest.mark.parametrize("more", [0, 1])
def test_indexes_include_a_hundred_attributes_in_all(call: Call, more: int) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""
    indexes = [
        {
            "IndexName": f"index-{number}",
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": [f"attribute {one}" for one in range(attributes)],
            },
        }
        for number, attributes in enumerate([20] * 5 + [1] * more)
    ]
    refused = (
        "ValidationException",
        "One or more parameter values were invalid: "
        "Number of projected non-key attributes over all indexes exceeds the limit of 100",
    )
    assert create_table(call, GlobalSecondaryIndexes=indexes) == (refused if more else None)


@pytest.mark.parametrize("more", [0, 1])
def test_a_transaction_writes_four_megabytes(call: Call, clock: Clock, more: int) -> None:
    """Measured in the sizes of the items: ten of 400 KB and one for the rest, to the byte."""
    create_table(call)
    clock.now += 11
    sizes = [400 * 1024] * 10 + [4 * 1024 * 1024 - 4_000 * 1024 + more]
    puts = [
        {"Put": {"TableName": "books", "Item": {"p": {"S": f"{number:02}"}, "a": {"S": "x" * (size - 4)}}}}
        for number, size in enumerate(sizes)
    ]
    response = call("TransactWriteItems", TransactItems=puts)
    assert response == (("ValidationException", TOO_LARGE) if more else None)
