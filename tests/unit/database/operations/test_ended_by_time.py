"""What time has ended has ended for every reader and writer, whether or not background work has come to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcessDatabase

BY_X = {
    "IndexName": "by-x",
    "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
X = [{"AttributeName": "x", "AttributeType": "S"}]


class Unattended:
    """A database without background work, on a clock of the test's; states last ten seconds."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000.0
        self.database = InProcessDatabase(folder, lambda: self.now, table_delay=10.0, background=False)

    def answer(self, operation: str, **members: Any) -> tuple[int, dict[str, Any]]:
        return self.database.call(operation, {"TableName": "notes", **members})

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        status, body = self.answer(operation, **members)
        assert status == 200, body
        return body

    def refusal(self, operation: str, **members: Any) -> str:
        status, body = self.answer(operation, **members)
        assert status == 400, body
        return str(body["message"])

    def create(self, **more: Any) -> None:
        self.call(
            "CreateTable",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}, *X],
            GlobalSecondaryIndexes=[BY_X],
            **more,
        )
        self.now += 10

    def described(self) -> dict[str, Any]:
        table: dict[str, Any] = self.call("DescribeTable")["Table"]
        return table


@pytest.fixture
def unattended(tmp_path: Path) -> Iterator[Unattended]:
    unattended = Unattended(tmp_path / "data")
    unattended.create()
    yield unattended
    unattended.database.close()


def indexes(unattended: Unattended) -> dict[str, int]:
    """The indexes in the catalog and the items in each."""
    with unattended.database.storage.read() as tx:
        (table,) = tx.tables()
        return {index.name: tx.statistics(index.space).items for index in table.indexes}


def test_a_deleted_index_refuses_nothing_and_answers_nothing(unattended: Unattended) -> None:
    number = {"p": {"S": "a"}, "x": {"N": "1"}}
    assert "Type mismatch for Index Key x" in unattended.refusal("PutItem", Item=number)
    unattended.call("UpdateTable", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-x"}}])
    assert unattended.described()["GlobalSecondaryIndexes"][0]["IndexStatus"] == "DELETING"
    for _ in range(2):  # while it is being deleted, and after
        unattended.call("PutItem", Item=number)
        unattended.call("PutItem", Item={"p": {"S": "b"}, "x": {"M": {"y": {"S": ""}}}})
        unattended.call(
            "UpdateItem",
            Key={"p": {"S": "b"}},
            UpdateExpression="SET x.y = :v",
            ExpressionAttributeValues={":v": {"S": "z"}},
        )
        assert "does not have the specified index" in unattended.refusal("Scan", IndexName="by-x")
        unattended.now += 10
    table = unattended.described()
    assert "GlobalSecondaryIndexes" not in table
    assert table["TableStatus"] == "ACTIVE"


def test_the_name_of_a_deleted_index_is_free(unattended: Unattended) -> None:
    unattended.call("PutItem", Item={"p": {"S": "a"}, "x": {"S": "1"}})
    with unattended.database.storage.read() as tx:
        (before,) = tx.tables()
    unattended.call("UpdateTable", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-x"}}])
    unattended.now += 10
    unattended.call("UpdateTable", AttributeDefinitions=X, GlobalSecondaryIndexUpdates=[{"Create": BY_X}])
    assert indexes(unattended) == {"by-x": 0}
    with unattended.database.storage.read() as tx:
        assert tx.statistics(before.indexes[0].space).items == 0  # the old entries were given up


def test_a_change_of_the_table_takes_what_is_gone_with_it(unattended: Unattended) -> None:
    unattended.call("UpdateTable", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-x"}}])
    assert indexes(unattended) == {"by-x": 0}
    unattended.now += 10
    unattended.call("UpdateTable", DeletionProtectionEnabled=True)
    assert indexes(unattended) == {}


def test_a_deleted_table_is_not_there(unattended: Unattended) -> None:
    unattended.call("PutItem", Item={"p": {"S": "a"}})
    unattended.call("DeleteTable")
    assert unattended.described()["TableStatus"] == "DELETING"
    unattended.now += 10
    for operation in ("DescribeTable", "DeleteTable", "DescribeTimeToLive"):
        assert "not found" in unattended.refusal(operation)
    assert unattended.database.call("ListTables", {})[1] == {"TableNames": []}
    unattended.create()
    assert unattended.call("Scan")["Count"] == 0


def test_a_clock_that_was_set_back_far_does_not_begin_a_state_again(unattended: Unattended) -> None:
    unattended.now -= 86_400
    assert unattended.described()["TableStatus"] == "ACTIVE"
    unattended.call("PutItem", Item={"p": {"S": "a"}, "x": {"S": "1"}})
    assert unattended.call("Scan", IndexName="by-x")["Count"] == 1


def test_decreases_are_counted_by_the_day(unattended: Unattended) -> None:
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    unattended.call(
        "UpdateTable",
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
        GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "by-x", "ProvisionedThroughput": units}}],
    )
    unattended.now += 10
    fewer = {"ReadCapacityUnits": 4, "WriteCapacityUnits": 5}
    unattended.call("UpdateTable", ProvisionedThroughput=fewer)
    unattended.now += 10
    assert unattended.described()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 1
    unattended.now += 86_400
    assert unattended.described()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0
