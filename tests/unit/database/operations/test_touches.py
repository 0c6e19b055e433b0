"""The touches of plans: the one shape in which access control, throttling and logs see every operation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from blotter.database.operations.registry import OPERATIONS
from blotter.database.operations.touches import Touch
from blotter.database.validation import CHECKS
from blotter.database.wire.decode import decode_request

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/notes/stream/2026-11-28T18:00:00.000"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/notes"
KEY = {"p": {"S": "a"}}


Seen = tuple[str, str, "dict[str, Any] | None", "frozenset[str] | None", "str | None"]


def touches(operation: str, request: dict[str, Any]) -> list[Seen]:
    """Action, resource, key, attributes and index of each."""
    arguments = decode_request(operation, json.dumps(request).encode())
    if operation in CHECKS:
        CHECKS[operation](arguments)
    listed: Sequence[Touch] = OPERATIONS[operation].prepare(arguments).touches()
    return [(each.action, each.resource, each.key, each.attributes, each.index) for each in listed]


def touch(action: str, attributes: set[str] | None = None, key: Any = KEY, index: str | None = None) -> Seen:
    return f"dynamodb:{action}", "notes", key, None if attributes is None else frozenset(attributes), index


VALUES = {":v": {"S": "v"}}
SINGLE_ITEM: list[tuple[str, dict[str, Any], Seen]] = [
    ("GetItem", {"Key": KEY}, touch("GetItem")),
    ("GetItem", {"Key": KEY, "ProjectionExpression": "a.b, c"}, touch("GetItem", {"p", "a", "c"})),
    ("GetItem", {"Key": KEY, "AttributesToGet": ["a"]}, touch("GetItem", {"p", "a"})),
    ("PutItem", {"Item": KEY | {"a": {"S": "x"}}}, touch("PutItem", {"p", "a"}, KEY | {"a": {"S": "x"}})),
    ("DeleteItem", {"Key": KEY}, touch("DeleteItem", {"p"})),
    (
        "DeleteItem",
        {"Key": KEY, "ConditionExpression": "a = :v", "ExpressionAttributeValues": VALUES},
        touch("DeleteItem", {"p", "a"}),
    ),
    (
        "UpdateItem",
        {
            "Key": KEY,
            "UpdateExpression": "SET b = :v REMOVE c.d",
            "ConditionExpression": "attribute_exists(a)",
            "ExpressionAttributeValues": VALUES,
        },
        touch("UpdateItem", {"p", "a", "b", "c"}),
    ),
]


@pytest.mark.parametrize(("operation", "request_", "expected"), SINGLE_ITEM)
def test_operations_on_one_item_name_it_and_the_attributes(
    operation: str, request_: dict[str, Any], expected: Seen
) -> None:
    assert touches(operation, {"TableName": "notes", **request_}) == [expected]


def test_a_query_names_its_index_and_what_its_key_condition_requires() -> None:
    condition = {
        "TableName": "notes",
        "IndexName": "by-date",
        "KeyConditionExpression": "p = :v AND d > :v",
        "FilterExpression": "a = :v",
        "ExpressionAttributeValues": VALUES,
    }
    required = {"p": {"S": "v"}}
    assert touches("Query", condition) == [touch("Query", None, required, "by-date")]
    projected = condition | {"ProjectionExpression": "b"}
    assert touches("Query", projected) == [touch("Query", {"p", "d", "a", "b"}, required, "by-date")]


def test_a_scan_names_no_item() -> None:
    assert touches("Scan", {"TableName": "notes"}) == [touch("Scan", None, None)]
    assert touches("Scan", {"TableName": "notes", "Select": "COUNT"}) == [touch("Scan", set(), None)]


def test_a_search_names_its_index() -> None:
    search = {"TableName": "notes", "IndexName": "vix", "SearchVector": [{"N": "1"}], "TopK": 1}
    assert touches("SearchVectors", search) == [touch("SearchVectors", None, None, "vix")]


def test_batches_have_a_touch_for_each_item_and_an_action_of_their_own() -> None:
    keys = [{"p": {"S": "a"}}, {"p": {"S": "b"}}]
    reads = touches("BatchGetItem", {"RequestItems": {"notes": {"Keys": keys}}})
    assert reads == [touch("BatchGetItem", None, key) for key in keys]
    put, delete = {"PutRequest": {"Item": keys[0]}}, {"DeleteRequest": {"Key": keys[1]}}
    writes = touches("BatchWriteItem", {"RequestItems": {"notes": [put, delete]}})
    assert writes == [touch("BatchWriteItem", {"p"}, key) for key in keys]


def test_transactions_have_a_touch_for_each_action_with_the_action_it_would_have_alone() -> None:
    about = {"TableName": "notes"}
    actions = [
        {"Put": about | {"Item": {"p": {"S": "1"}}}},
        {"Delete": about | {"Key": {"p": {"S": "2"}}}},
        {
            "Update": about
            | {"Key": {"p": {"S": "3"}}, "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": VALUES}
        },
        {"ConditionCheck": about | {"Key": {"p": {"S": "4"}}, "ConditionExpression": "attribute_exists(a)"}},
    ]
    assert touches("TransactWriteItems", {"TransactItems": actions}) == [
        touch("PutItem", {"p"}, {"p": {"S": "1"}}),
        touch("DeleteItem", {"p"}, {"p": {"S": "2"}}),
        touch("UpdateItem", {"p", "a"}, {"p": {"S": "3"}}),
        touch("ConditionCheckItem", {"p", "a"}, {"p": {"S": "4"}}),
    ]
    gets = {"TransactItems": [{"Get": about | {"Key": KEY, "ProjectionExpression": "a"}}]}
    assert touches("TransactGetItems", gets) == [touch("GetItem", {"p", "a"})]


STATEMENTS: list[tuple[str, Seen]] = [
    ("SELECT * FROM notes WHERE p = 'a'", touch("PartiQLSelect")),
    ("SELECT b FROM notes WHERE p = 'a' AND c > 1", touch("PartiQLSelect", {"b", "c", "p"})),
    ('SELECT * FROM notes."by-date"', touch("PartiQLSelect", None, None, "by-date")),
    ("INSERT INTO notes VALUE {'p': 'a', 'b': 'x'}", touch("PartiQLInsert", {"p", "b"}, KEY | {"b": {"S": "x"}})),
    ("UPDATE notes SET b = 1 WHERE p = 'a'", touch("PartiQLUpdate", {"p", "b"})),
    ("DELETE FROM notes WHERE p = 'a' AND c = 1", touch("PartiQLDelete", {"p", "c"}, KEY | {"c": {"N": "1"}})),
]


@pytest.mark.parametrize(("statement", "expected"), STATEMENTS)
def test_statements_have_actions_of_their_own_in_every_operation(statement: str, expected: Seen) -> None:
    assert touches("ExecuteStatement", {"Statement": statement}) == [expected]
    assert touches("BatchExecuteStatement", {"Statements": [{"Statement": statement}]}) == [expected]
    assert touches("ExecuteTransaction", {"TransactStatements": [{"Statement": statement}]}) == [expected]


def test_a_statement_of_a_batch_that_cannot_be_read_touches_nothing() -> None:
    assert touches("BatchExecuteStatement", {"Statements": [{"Statement": "SELECT"}]}) == []


@pytest.mark.parametrize(
    ("operation", "request_", "resource"),
    [
        ("DescribeTable", {"TableName": "notes"}, "notes"), ("DeleteTable", {"TableName": TABLE}, TABLE),
        ("UpdateTimeToLive", {"TableName": "notes", "TimeToLiveSpecification": {"AttributeName": "e", "Enabled":
        True}}, "notes"), ("ListTagsOfResource", {"ResourceArn": TABLE}, TABLE), ("ListTables", {}, "*"),
        ("ListStreams", {"TableName": "notes"}, "*"), ("DescribeStream", {"StreamArn": STREAM}, STREAM),
        ("DescribeLimits", {}, "*"),
    ],
)  # fmt: skip
def test_operations_on_settings_name_their_table_or_stream(
    operation: str, request_: dict[str, Any], resource: str
) -> None:
    assert touches(operation, request_) == [(f"dynamodb:{operation}", resource, None, None, None)]
