"""Refusals that a golden script cannot show: they need a clock, or requests too long for a text file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcessDatabase

UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
TOO_LARGE = "Transaction item size cannot exceed 4 MB"
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/books"
BY_A: dict[str, Any] = {
    "IndexName": "by-a",
    "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
MAXIMA = {"MaxReadRequestUnits": 5}
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
    """Messages: ack-api-quirks, DDB-TABLE-001, -005, -006, -063, -444 (2026-10)."""

    def in_use(what: str) -> Error:
        return "ResourceInUseException", f"Attempt to change a resource which is still in use: {what}"

    create_table(call)
    assert call("DeleteTable", TableName="books") == in_use("Table is being created: books")
    assert create_table(call) == in_use("Table is being created: books")
    clock.now += 11
    assert create_table(call) == ("ResourceInUseException", "Table already exists: books")
    assert call("UpdateTable", TableName="books", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS) is None
    assert call("DeleteTable", TableName="books") == in_use("Table: books is in the process of being updated.")
    assert call("UpdateTable", TableName="books", TableClass="STANDARD") == in_use("Table is being updated: books")
    # What goes beside other changes.
    assert call("UpdateTable", TableName="books", DeletionProtectionEnabled=False) is None
    assert call("UpdateTable", TableName="books", SSESpecification={"Enabled": True}) is None
    assert call("TagResource", ResourceArn=ARN, Tags=[{"Key": "a", "Value": "b"}]) is None
    clock.now += 11
    assert call("DeleteTable", TableName="books") is None
    assert call("DeleteTable", TableName="books") == in_use("Table is being deleted: books")
    assert create_table(call) == ("ResourceInUseException", "Table already exists: books")
    assert call("TagResource", ResourceArn=ARN, Tags=[{"Key": "a", "Value": "b"}]) == in_use(
        "Table is being deleted: books"
    )


def test_a_table_is_not_deleted_while_an_index_changes(call: Call, clock: Clock) -> None:
    """ack-api-quirks, DDB-TABLE-135, -150, -376 (2026-10)."""
    refused = (
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Cannot delete table while indexes are being created, "
        "updated, or deleted.",
    )
    create_table(call)
    clock.now += 11
    attribute = [{"AttributeName": "a", "AttributeType": "S"}]
    changes = (
        {"AttributeDefinitions": attribute, "GlobalSecondaryIndexUpdates": [{"Create": BY_A}]},
        {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "by-a", "OnDemandThroughput": MAXIMA}}]},
        {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-a"}}]},
    )
    for change in changes:
        assert call("UpdateTable", TableName="books", **change) is None
        assert call("DeleteTable", TableName="books") == refused
        clock.now += 11
        call("DescribeTable", TableName="books")  # background work runs after every request
    assert call("DeleteTable", TableName="books") is None


def test_an_index_is_updated_once_at_a_time(call: Call, clock: Clock) -> None:
    """ack-api-quirks, DDB-TABLE-135 (2026-10)."""
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in ("a", "p")]
    create_table(call, AttributeDefinitions=definitions, GlobalSecondaryIndexes=[BY_A])
    clock.now += 11
    update = {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "by-a", "OnDemandThroughput": MAXIMA}}]}
    assert call("UpdateTable", TableName="books", **update) is None
    assert call("UpdateTable", TableName="books", **update) == (
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Index is being updated. Table: books Index: by-a",
    )
    clock.now += 11
    assert call("UpdateTable", TableName="books", **update) is None


def test_a_table_has_twenty_global_indexes(call: Call, clock: Clock) -> None:
    """ack-api-quirks, DDB-TABLE-169 (2026-10)."""
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in ("a", "p")]
    indexes = [BY_A | {"IndexName": f"by-a-{number}"} for number in range(20)]
    create_table(call, AttributeDefinitions=definitions, GlobalSecondaryIndexes=indexes)
    clock.now += 11
    one_more = {"AttributeDefinitions": definitions, "GlobalSecondaryIndexUpdates": [{"Create": BY_A}]}
    assert call("UpdateTable", TableName="books", **one_more) == (
        "LimitExceededException",
        "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20",
    )


def test_time_to_live_of_a_table_that_comes_or_goes(call: Call, clock: Clock) -> None:
    """ack-api-quirks, DDB-TABLE-115, -118, -442, -444 (2026-10)."""
    specification = {"TableName": "books", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}}
    create_table(call)
    assert call("DescribeTimeToLive", TableName="books") == (
        "ValidationException",
        "Cannot describe time to live while table is in CREATING state: Current table state is CREATING",
    )
    assert call("UpdateTimeToLive", **specification) == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: books not found",
    )
    clock.now += 11
    call("UpdateTable", TableName="books", TableClass="STANDARD_INFREQUENT_ACCESS")
    assert call("UpdateTimeToLive", **specification) is None
    assert call("DescribeTimeToLive", TableName="books") is None
    clock.now += 11
    call("DeleteTable", TableName="books")
    assert call("DescribeTimeToLive", TableName="books") == (
        "ValidationException",
        "Cannot describe time to live while table is in DELETING state: Current table state is DELETING",
    )


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
    for _ in range(2):  # Its key space is made, then it is filled.
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
