"""Requests that conflict with a transaction under way, as AWS describes it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcessDatabase

TABLE = {
    "TableName": "accounts",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data")
    database.call("CreateTable", TABLE)
    yield database
    database.close()


def put(key: str, balance: int) -> dict[str, Any]:
    return {"TableName": "accounts", "Item": {"id": {"S": key}, "balance": {"N": str(balance)}}}


def transaction(*puts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "TransactWriteItems", {"TransactItems": [{"Put": put} for put in puts]}


def balance(database: InProcessDatabase, key: str) -> str | None:
    _, answer = database.call("GetItem", {"TableName": "accounts", "Key": {"id": {"S": key}}})
    return answer.get("Item", {}).get("balance", {}).get("N")


def test_two_transactions_on_one_item_cancel_the_second(database: InProcessDatabase) -> None:
    (first, _), (second, error) = database.call_together(
        transaction(put("a", 1), put("b", 1)), transaction(put("c", 2), put("b", 2))
    )
    assert (first, second) == (200, 400)
    assert error["__type"].endswith("#TransactionCanceledException")
    assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "TransactionConflict"]
    assert [balance(database, key) for key in "abc"] == ["1", "1", None]


def test_a_single_write_on_a_held_item_is_refused(database: InProcessDatabase) -> None:
    (first, _), (second, error), (other, _) = database.call_together(
        transaction(put("a", 1)), ("PutItem", put("a", 2)), ("PutItem", put("b", 2))
    )
    assert (first, second, other) == (200, 400, 200)
    assert error["__type"].endswith("#TransactionConflictException")
    assert error["message"] == "Transaction is ongoing for the item"
    assert balance(database, "a") == "1"


def test_a_transactional_read_of_a_held_item_is_cancelled(database: InProcessDatabase) -> None:
    get = {"TransactItems": [{"Get": {"TableName": "accounts", "Key": {"id": {"S": "a"}}}}]}
    _, (status, error) = database.call_together(transaction(put("a", 1)), ("TransactGetItems", get))
    assert status == 400
    assert error["CancellationReasons"][0]["Code"] == "TransactionConflict"


def test_items_are_free_again_after_a_transaction_whatever_became_of_it(database: InProcessDatabase) -> None:
    failing = {
        "TransactItems": [
            {"Put": put("a", 1) | {"ConditionExpression": "attribute_exists(id)"}},
        ]
    }
    status, _ = database.call("TransactWriteItems", failing)
    assert status == 400
    assert database.call("PutItem", put("a", 3))[0] == 200
    assert database.call(*transaction(put("a", 4)))[0] == 200
    assert balance(database, "a") == "4"
