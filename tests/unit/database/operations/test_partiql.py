"""PartiQL operations where a golden script would be too long: big pages, big items, conflicts, whatever statement.

Sources: paritysuite/dynamodb-conformance, tests/tier3/limits/itemSizeBySurface.test.ts; Floci's
DynamoDbPartiQLEdgeCaseIntegrationTest (nesting); https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
transaction-apis.html#transaction-conflict-handling.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.database.expressions import partiql
from tests.examples import examples
from tests.in_process import InProcessDatabase

MAX_ITEM = 400 * 1024


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path_factory.mktemp("partiql") / "data")
    for name, sort in (("plain", False), ("sorted", True)):
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        types = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}]
        request = {
            "TableName": name,
            "KeySchema": keys if sort else keys[:1],
            "AttributeDefinitions": types if sort else types[:1],
            "BillingMode": "PAY_PER_REQUEST",
        }
        assert database.call("CreateTable", request)[0] == 200
    yield database
    database.close()


def run(database: InProcessDatabase, statement: str, *parameters: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    request = {"Statement": statement, **more}
    if parameters:
        request["Parameters"] = list(parameters)
    return database.call("ExecuteStatement", request)


def pages(database: InProcessDatabase, statement: str, **more: Any) -> Iterator[list[dict[str, Any]]]:
    token: dict[str, str] = {}
    while True:
        status, answer = run(database, statement, **more, **token)
        assert status == 200, answer
        yield answer["Items"]
        if "NextToken" not in answer:
            assert "LastEvaluatedKey" not in answer
            return
        token = {"NextToken": answer["NextToken"]}


def conflict(answer: dict[str, Any]) -> bool:
    return bool(answer["__type"].endswith("#TransactionConflictException"))


def test_a_page_ends_at_1_mb(database: InProcessDatabase) -> None:
    for number in range(25):
        text = {"S": f"{number:02}" + "x" * 99_000}
        assert run(database, f"INSERT INTO sorted VALUE {{'pk': 'big', 'sk': {number}, 'x': ?}}", text)[0] == 200
    found = list(pages(database, "SELECT sk FROM sorted WHERE pk = 'big'"))
    assert [len(page) for page in found] == [11, 11, 3]
    found = list(pages(database, "SELECT sk FROM sorted WHERE pk = 'big' ORDER BY sk DESC"))
    numbers = [int(row["sk"]["N"]) for row in itertools.chain(*found)]
    assert numbers == list(range(24, -1, -1))
    # A filter does not make a page longer.
    found = list(pages(database, "SELECT sk FROM sorted WHERE pk = 'big' AND begins_with(x, '24')"))
    assert [len(page) for page in found] == [0, 0, 1]


def test_400_kb_are_the_limit_of_an_item(database: InProcessDatabase) -> None:
    def text(size: int, key: str) -> dict[str, str]:
        return {"S": "x" * (size - len("pk") - len(key) - len("p"))}

    insert, update = "INSERT INTO plain VALUE {'pk': ?, 'p': ?}", "UPDATE plain SET p = ? WHERE pk = ?"
    assert run(database, insert, {"S": "at"}, text(MAX_ITEM, "at"))[0] == 200
    _, answer = run(database, insert, {"S": "over"}, text(MAX_ITEM + 1, "over"))
    assert answer["message"] == "Item size has exceeded the maximum allowed size"
    assert run(database, insert, {"S": "grown"}, {"S": "x"})[0] == 200
    assert run(database, update, text(MAX_ITEM, "grown"), {"S": "grown"})[0] == 200
    _, answer = run(database, update, text(MAX_ITEM + 1, "grown"), {"S": "grown"})
    assert answer["message"] == "Item size to update has exceeded the maximum allowed size"


def test_an_update_cannot_leave_an_item_too_deep(database: InProcessDatabase) -> None:
    def deep(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"S": "x"}
        for _ in range(levels):
            value = {"M": {"a": value}}
        return value

    message = "Nesting Levels have exceeded supported limits"
    assert run(database, "INSERT INTO plain VALUE {'pk': 'deep', 'm': {}}")[0] == 200
    update = {"Statement": "UPDATE plain SET m.deep = ? WHERE pk = 'deep'", "Parameters": [deep(31)]}
    assert database.call("ExecuteStatement", update)[1]["message"] == message
    _, answer = database.call("ExecuteTransaction", {"TransactStatements": [update]})
    assert answer["CancellationReasons"] == [{"Code": "ValidationError", "Message": message}]
    _, answer = database.call("BatchExecuteStatement", {"Statements": [update]})
    assert answer["Responses"] == [
        {"Error": {"Code": "ValidationError", "Message": message}, "TableName": "plain"}
    ]
    assert run(database, str(update["Statement"]), deep(30))[0] == 200


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM {} WHERE {}", "UPDATE {} SET x = 1 WHERE {}", "DELETE FROM {} WHERE {}"]
)
def test_no_key_is_longer_than_an_item_may_have(database: InProcessDatabase, statement: str) -> None:
    message = (
        "One or more parameter values were invalid: "
        "Size of hashkey has exceeded the maximum size limit of2048 bytes"
    )
    for length in (2049, 70_000):
        status, answer = run(database, statement.format("plain", "pk = ?"), {"S": "x" * length})
        assert (status, answer["message"]) == (400, message)
    status, _ = run(database, "SELECT * FROM plain WHERE pk = ?", {"S": "x" * 2048})
    assert status == 200


def test_a_batch_may_hold_25_statements_and_a_transaction_100(database: InProcessDatabase) -> None:
    def statements(count: int) -> list[dict[str, str]]:
        return [{"Statement": f"INSERT INTO plain VALUE {{'pk': 'many{number}'}}"} for number in range(count)]

    assert database.call("BatchExecuteStatement", {"Statements": statements(26)})[0] == 400
    assert database.call("ExecuteTransaction", {"TransactStatements": statements(101)})[0] == 400
    assert database.call("ExecuteTransaction", {"TransactStatements": statements(100)})[0] == 200
    _, answer = database.call("BatchExecuteStatement", {"Statements": statements(25)})
    assert [response["Error"]["Code"] for response in answer["Responses"]] == ["DuplicateItem"] * 25


# Conflicts


def update(key: str) -> dict[str, str]:
    return {"Statement": f"UPDATE plain SET n = if_not_exists(n, 0) + 1 WHERE pk = '{key}'"}


def transaction(*keys: str) -> tuple[str, dict[str, Any]]:
    return "ExecuteTransaction", {"TransactStatements": [update(key) for key in keys]}


@pytest.fixture
def rivals(database: InProcessDatabase) -> InProcessDatabase:
    for key in "abc":
        item = {"pk": {"S": key}}
        assert database.call("PutItem", {"TableName": "plain", "Item": item})[0] == 200
    return database


def test_two_transactions_on_one_item_cancel_the_second(rivals: InProcessDatabase) -> None:
    (first, _), (second, error) = rivals.call_together(transaction("a", "b"), transaction("c", "b"))
    assert (first, second) == (200, 400)
    assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "TransactionConflict"]
    written = [run(rivals, f"SELECT n FROM plain WHERE pk = '{key}'")[1]["Items"] for key in "abc"]
    assert written == [[{"n": {"N": "1"}}], [{"n": {"N": "1"}}], [{}]]
    assert rivals.call(*transaction("c", "b"))[0] == 200


def test_everything_that_writes_respects_a_transaction(rivals: InProcessDatabase) -> None:
    put = {"TableName": "plain", "Item": {"pk": {"S": "a"}}}
    answers = rivals.call_together(
        transaction("a"),
        ("ExecuteStatement", update("a")),
        ("ExecuteStatement", {"Statement": "DELETE FROM plain WHERE pk = 'a'"}),
        ("PutItem", put),
        ("TransactWriteItems", {"TransactItems": [{"Put": put}]}),
        ("ExecuteStatement", update("b")),
    )
    assert [status for status, _ in answers] == [200, 400, 400, 400, 400, 200]
    assert all(conflict(answer) for _, answer in answers[1:4])
    _, (status, _) = rivals.call_together(
        ("TransactWriteItems", {"TransactItems": [{"Put": put}]}), transaction("a")
    )
    assert status == 400


def test_a_transactional_read_of_a_held_item_is_cancelled(rivals: InProcessDatabase) -> None:
    reads = [
        {"Statement": "SELECT * FROM plain WHERE pk = 'b'"},
        {"Statement": "SELECT * FROM plain WHERE pk = 'a'"},
    ]
    _, (status, error) = rivals.call_together(
        transaction("a"), ("ExecuteTransaction", {"TransactStatements": reads})
    )
    assert status == 400
    assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "TransactionConflict"]
    assert rivals.call("ExecuteTransaction", {"TransactStatements": reads})[0] == 200


# Whatever statement

ITEMS = [
    {"pk": {"S": pk}, "sk": {"N": str(sk)}, "n": {"N": str((sk * 7) % 5)}, "t": {"S": "abc"[sk % 3]}}
    for pk in "uvw"
    for sk in range(6)
]
operators = st.sampled_from(["=", "<", "<=", ">", ">=", "<>"])
numbers = st.integers(-1, 6).map(str)
partitions = st.sampled_from(["'u'", "'v'", "'w'", "'x'"])
comparisons = st.one_of(
    st.builds("pk {} {}".format, operators, partitions),
    st.builds("pk IN [{}]".format, st.lists(partitions, min_size=1, max_size=3).map(", ".join)),
    st.builds("sk {} {}".format, operators, numbers),
    st.builds("sk BETWEEN {} AND 4".format, st.integers(0, 4).map(str)),
    st.builds("n {} {}".format, operators, numbers),
    st.builds("begins_with(t, '{}')".format, st.sampled_from("abc")),
)
clauses = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    folder: Path = tmp_path_factory.mktemp("filled")
    database = InProcessDatabase(folder / "data")
    request = {
        "TableName": "items",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert database.call("CreateTable", request)[0] == 200
    for item in ITEMS:
        assert database.call("PutItem", {"TableName": "items", "Item": item})[0] == 200
    yield database
    database.close()


def by_key(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: (item["pk"]["S"], int(item["sk"]["N"])))


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clause=clauses, limit=st.integers(1, 7))
def test_a_select_finds_what_its_clause_says(filled: InProcessDatabase, clause: str, limit: int) -> None:
    """Ranges, pages and tokens change nothing about what is found, each item once."""
    statement = f"SELECT * FROM items WHERE {clause}"
    status, answer = run(filled, statement)
    if status != 200:
        assert "Overlapping conditions" in answer["message"], answer
        return
    select: Any = partiql.read(statement).bind()
    expected = [item for item in ITEMS if select.where.condition.matches(item)]
    assert by_key(answer["Items"]) == by_key(expected)
    paged = list(pages(filled, statement, Limit=limit))
    assert all(len(page) <= limit for page in paged)
    assert list(itertools.chain(*paged)) == answer["Items"]
