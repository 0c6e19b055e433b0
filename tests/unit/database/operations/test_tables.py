"""What a table shows while it changes, and where endpoint discovery leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.in_process import InProcessDatabase


def throughput(answer: dict[str, Any]) -> tuple[str, int, int]:
    table = answer.get("Table") or answer["TableDescription"]
    units = table["ProvisionedThroughput"]
    return table["TableStatus"], units["ReadCapacityUnits"], units["WriteCapacityUnits"]


def test_a_table_shows_its_old_throughput_until_it_is_updated(tmp_path: Path) -> None:
    """As dynalite's recorded tests (updateTable) have it."""
    now = 1_000_000.0
    database = InProcessDatabase(tmp_path / "data", clock=lambda: now, table_delay=1.0)
    request: dict[str, Any] = {
        "TableName": "notes",
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    }
    _, answer = database.call("CreateTable", request)
    assert throughput(answer) == ("CREATING", 1, 1)
    now += 1
    units = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 2}
    _, answer = database.call("UpdateTable", {"TableName": "notes", "ProvisionedThroughput": units})
    assert throughput(answer) == ("UPDATING", 1, 1)
    now += 1
    _, answer = database.call("DescribeTable", {"TableName": "notes"})
    assert throughput(answer) == ("ACTIVE", 3, 2)
    assert "LastIncreaseDateTime" in answer["Table"]["ProvisionedThroughput"]
    database.close()


def test_endpoint_discovery_leads_back_here(tmp_path: Path) -> None:
    database = InProcessDatabase(tmp_path / "data")
    _, answer = database.call("DescribeEndpoints", {})
    assert answer["Endpoints"][0]["Address"] == "127.0.0.1"
    database.close()


def test_an_index_is_given_up_while_it_is_filled_and_its_name_is_free_again(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html (Deleting an index)"""
    now = 1_000_000.0
    database = InProcessDatabase(tmp_path / "data", clock=lambda: now, table_delay=1.0)

    def call(operation: str, **members: Any) -> dict[str, Any]:
        return database.call(operation, {"TableName": "notes", **members})[1]

    def create(name: str) -> dict[str, Any]:
        index = {
            "IndexName": name,
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        definitions = [{"AttributeName": "a", "AttributeType": "S"}]
        return call(
            "UpdateTable", AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[{"Create": index}]
        )

    def delete(name: str) -> dict[str, Any]:
        return call("UpdateTable", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}])

    call(
        "CreateTable",
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    now += 1
    call("PutItem", Item={"p": {"S": "x"}, "a": {"S": "a"}})
    assert create("by-a")["TableDescription"]["GlobalSecondaryIndexes"][0]["Backfilling"] is False
    # While resources are allocated for it, the table is busy (ack-api-quirks, DDB-TABLE-149).
    refused = delete("by-a")
    assert refused["__type"].endswith("#ResourceInUseException")
    assert refused["message"] == (
        "Attempt to change a resource which is still in use: Index creation is in resource allocation phase. "
        "Retry deletion during backfilling phase or when the index is active. Table: notes Index: by-a"
    )
    now += 1
    # The table is ACTIVE and nothing has been filled in yet: the index may go, no other one may come.
    assert delete("by-a")["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "DELETING"
    now += 1
    assert create("by-a")["TableDescription"]["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    now += 1
    assert create("by-b")["__type"].endswith("#LimitExceededException")
    assert call("Scan", IndexName="by-a")["Count"] == 1
    database.close()


def test_without_a_delay_each_change_is_shown_once_and_done_at_the_next_look(tmp_path: Path) -> None:
    """The default of `blotter serve`: the states of AWS in their order, and waiters that need only one look."""
    database = InProcessDatabase(tmp_path / "data")

    def status(operation: str, **request: Any) -> str:
        code, answer = database.call(operation, {"TableName": "notes", **request})
        if code != 200:
            return str(answer["__type"].partition("#")[2])
        table = answer.get("Table") or answer["TableDescription"]
        return str(table["TableStatus"])

    schema = {
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
    }
    assert status("CreateTable", BillingMode="PAY_PER_REQUEST", **schema) == "CREATING"
    assert status("DescribeTable") == "ACTIVE"
    assert status("UpdateTable", DeletionProtectionEnabled=True) in ("UPDATING", "ACTIVE")
    assert status("UpdateTable", DeletionProtectionEnabled=False) in ("UPDATING", "ACTIVE")
    units = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 2}
    assert status("UpdateTable", BillingMode="PROVISIONED", ProvisionedThroughput=units) == "UPDATING"
    assert status("DescribeTable") == "ACTIVE"
    assert status("DeleteTable") == "DELETING"
    assert status("DescribeTable") == "ResourceNotFoundException"
    assert status("CreateTable", BillingMode="PAY_PER_REQUEST", **schema) == "CREATING"
    database.close()
