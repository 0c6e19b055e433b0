"""The capacity a request consumes is known whether or not the response shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.http.messages import Request
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from blotter.database.operations.touches import Plan
from tests.in_process import InProcessDatabase

TABLE = {
    "TableName": "notes",
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "pa"],
    "BillingMode": "PAY_PER_REQUEST",
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-a",
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}
KEY = {"p": {"S": "x"}}
ITEM = KEY | {"a": {"S": "y"}, "long": {"S": "z" * 4000}}
STATEMENT = "SELECT * FROM notes WHERE p = 'x'"


class Accounts:
    """What the pipeline accounts for, one entry for each request."""

    def __init__(self) -> None:
        self.contexts: list[Context | None] = []
        self.plans: list[Plan | None] = []
        self.outcomes: list[Result | DynamoDBError] = []

    def __call__(
        self, _: Request, context: Context | None, plan: Plan | None, outcome: Result | DynamoDBError
    ) -> None:
        self.contexts.append(context)
        self.plans.append(plan)
        self.outcomes.append(outcome)


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
def database(tmp_path: Path, accounts: Accounts) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data", account=accounts)
    assert database.call("CreateTable", TABLE)[0] == 200
    assert database.call("PutItem", {"TableName": "notes", "Item": ITEM})[0] == 200
    yield database
    database.close()


REQUESTS: list[tuple[str, dict[str, Any], list[tuple[bool, float, dict[str, float] | None]]]] = [
    ("GetItem", {"TableName": "notes", "Key": KEY}, [(False, 0.5, None)]),
    ("GetItem", {"TableName": "notes", "Key": KEY, "ConsistentRead": True}, [(False, 1.0, None)]),
    ("PutItem", {"TableName": "notes", "Item": KEY}, [(True, 4.0, {"by-a": 1.0})]),
    ("DeleteItem", {"TableName": "notes", "Key": KEY}, [(True, 4.0, {"by-a": 1.0})]),
    (
        "UpdateItem",
        {"TableName": "notes", "Key": KEY, "UpdateExpression": "REMOVE a"},
        [(True, 4.0, {"by-a": 1.0})],
    ),
    ("Scan", {"TableName": "notes"}, [(False, 0.5, None)]),
    ("Scan", {"TableName": "notes", "IndexName": "by-a"}, [(False, 0.0, {"by-a": 0.5})]),
    ("BatchGetItem", {"RequestItems": {"notes": {"Keys": [KEY, {"p": {"S": "none"}}]}}}, [(False, 1.0, None)]),
    (
        "BatchWriteItem",
        {"RequestItems": {"notes": [{"DeleteRequest": {"Key": KEY}}]}},
        [(True, 4.0, {"by-a": 1.0})],
    ),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "notes", "Key": KEY}}]}, [(False, 2.0, None)]),
    (
        "TransactWriteItems",
        {"TransactItems": [{"Delete": {"TableName": "notes", "Key": KEY}}]},
        [(True, 8.0, {"by-a": 1.0})],
    ),
    ("ExecuteStatement", {"Statement": STATEMENT}, [(False, 0.5, None)]),
    ("ExecuteStatement", {"Statement": "DELETE FROM notes WHERE p = 'x'"}, [(True, 4.0, {"by-a": 1.0})]),
    ("BatchExecuteStatement", {"Statements": [{"Statement": STATEMENT}]}, [(False, 0.5, None)]),
    ("ExecuteTransaction", {"TransactStatements": [{"Statement": STATEMENT}]}, [(False, 2.0, None)]),
    ("DescribeTable", {"TableName": "notes"}, []),
]


@pytest.mark.parametrize(("operation", "request_", "expected"), REQUESTS)
def test_every_result_says_what_it_consumed(
    database: InProcessDatabase,
    accounts: Accounts,
    operation: str,
    request_: dict[str, Any],
    expected: list[tuple[bool, float, dict[str, float] | None]],
) -> None:
    status, answer = database.call(operation, request_)
    assert status == 200
    assert "ConsumedCapacity" not in answer
    outcome = accounts.outcomes[-1]
    assert isinstance(outcome, Result)
    assert [(each.writes, each.table_units, each.global_indexes) for each in outcome.consumed] == expected
    assert all(each.table_name == "notes" for each in outcome.consumed)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("PutItem", {"TableName": "notes", "Item": KEY, "ConditionExpression": "attribute_not_exists(p)"}),
        ("DeleteItem", {"TableName": "notes", "Key": KEY, "ConditionExpression": "attribute_not_exists(p)"}),
        ("ExecuteStatement", {"Statement": "UPDATE notes SET b = 1 WHERE p = 'x' AND a = 'other'"}),
    ],
)
def test_a_write_whose_condition_fails_consumes_what_is_there(
    database: InProcessDatabase, accounts: Accounts, operation: str, request_: dict[str, Any]
) -> None:
    assert database.call(operation, request_)[0] == 400
    outcome = accounts.outcomes[-1]
    assert isinstance(outcome, DynamoDBError)
    assert [(each.writes, each.table_units) for each in outcome.consumed] == [(True, 4.0)]


def test_every_request_that_ends_is_accounted_for_once_with_what_is_known_of_it(
    database: InProcessDatabase, accounts: Accounts
) -> None:
    before = len(accounts.outcomes)
    database.call("NoSuchOperation", {})
    database.call("GetItem", {"TableName": "notes"})
    database.call("GetItem", {"TableName": "absent", "Key": KEY})
    contexts, plans = accounts.contexts[before:], accounts.plans[before:]
    assert [None if context is None else context.operation for context in contexts] == [None, "GetItem", "GetItem"]
    assert [plan is not None for plan in plans] == [False, False, True]
    caller = contexts[-1].caller if contexts[-1] is not None else None
    assert caller is not None
    assert (caller.account, caller.access_key) == ("123456789012", "local")
