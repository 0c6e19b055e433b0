"""Which validation layer words the refusal of a request that is nested deeply. What the layers say of values and
parameters is in the golden scripts, tests/scripts/layers.

Source: paritysuite/dynamodb-conformance, tests/tier3/limits/nestingDepth.test.ts and
tests/tier3/validation-ordering/deepRequests.test.ts: us-east-1, 2026-10-09.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from blotter.database.model.errors import DynamoDBError, serialization_error, validation_error
from blotter.database.wire.layers import MAX_LEVELS, Layer, layer_of, worded
from tests.in_process import InProcessDatabase

NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
ENVELOPE = "1 validation error detected: "
XOR_OLDER = (
    "1 validation error detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: "
    "Member must satisfy enum value set: [OR, AND]"
)
RV_OLDER = (
    "1 validation error detected: Value 'BOGUS' at 'returnValues' failed to satisfy constraint: "
    "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
)
NEWER_ENUMERATION = f"{ENVELOPE}Failed to satisfy constraint: Member must satisfy enum value set: "
KEY = {"p": {"S": "a"}}


def deep(depth: int) -> Any:
    value: Any = {"S": "leaf"}
    for _ in range(depth):
        value = {"M": {"n": value}}
    return value


def condition(depth: int) -> dict[str, Any]:
    return {"ConditionExpression": "d = :deep", "ExpressionAttributeValues": {":deep": deep(depth)}}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    folder: Path = tmp_path_factory.mktemp("layers")
    database = InProcessDatabase(folder, store="memory")
    yield database
    database.close()


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("PutItem", {"Item": {**KEY, "d": deep(32)}}, ENVELOPE + NESTING),
        ("PutItem", {"Item": {**KEY, "d": deep(61)}}, ENVELOPE + NESTING),
        ("PutItem", {"Item": {**KEY, "d": deep(63)}}, NESTING),
        ("UpdateItem", {"Key": KEY, **condition(32)}, ENVELOPE + NESTING),
        (
            "UpdateItem",
            {"Key": KEY, **condition(63)},
            f"ExpressionAttributeValues contains invalid value: {NESTING} for key :deep",
        ),
        (
            "PutItem",
            {
                "Item": KEY,
                "Expected": {"a": {"Value": deep(100)}, "b": {"Exists": False}},
                "ConditionalOperator": "XOR",
            },
            XOR_OLDER,
        ),
        (
            "PutItem",
            {
                "Item": KEY,
                "Expected": {"a": {"Value": deep(40)}, "b": {"Exists": False}},
                "ConditionalOperator": "XOR",
            },
            f"{NEWER_ENUMERATION}[ALL, OR]",
        ),
        ("DeleteItem", {"Key": KEY, **condition(63), "ReturnValues": "BOGUS"}, RV_OLDER),
        (
            "DeleteItem",
            {"Key": KEY, **condition(40), "ReturnValues": "BOGUS"},
            f"{NEWER_ENUMERATION}[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]",
        ),
        ("DeleteItem", {"Key": {"p": deep(100)}, "ReturnValues": "BOGUS"}, RV_OLDER),
        (
            "DeleteItem",
            {"Key": KEY, **condition(100), "ReturnValues": "UPDATED_NEW"},
            "ReturnValues can only be ALL_OLD or NONE",
        ),
        (
            "Scan",
            {
                "ScanFilter": {"a": {"ComparisonOperator": "EQ", "AttributeValueList": [deep(40)]}},
                "ConditionalOperator": "AND",
            },
            NESTING,
        ),
    ],
)
def test_deep_requests(database: InProcessDatabase, operation: str, members: dict[str, Any], message: str) -> None:
    status, body = database.call(operation, {"TableName": "absent", **members})
    assert (status, body["message"]) == (400, message)


def test_a_value_of_a_transaction_may_be_a_level_deeper_than_an_item(database: InProcessDatabase) -> None:
    def send(expression: dict[str, Any], depth: int) -> tuple[str, list[dict[str, str]]]:
        values = {":t": {"S": "x"}} if ":t" in str(expression) else {}
        action = {"TableName": "deep", "Key": KEY, "ExpressionAttributeValues": {":deep": deep(depth), **values}}
        kind = "Update" if "UpdateExpression" in expression else "ConditionCheck"
        _, body = database.call("TransactWriteItems", {"TransactItems": [{kind: {**action, **expression}}]})
        return body.get("message", ""), body.get("CancellationReasons", [])

    keys = [{"AttributeName": "p", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "p", "AttributeType": "S"}]
    table = {"TableName": "deep", "KeySchema": keys, "AttributeDefinitions": attributes}
    database.call("CreateTable", {**table, "BillingMode": "PAY_PER_REQUEST"})
    failed = [{"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}]
    too_deep = [{"Code": "ValidationError", "Message": "Nesting Levels have exceeded supported limits"}]
    named = f"ExpressionAttributeValues contains invalid value: {NESTING} for key :deep"
    check = {"ConditionExpression": "d = :deep"}
    assert send({"UpdateExpression": "SET d = :deep"}, 32) == ("", too_deep)
    assert send({"UpdateExpression": "SET t = :t", **check}, 32) == ("", failed)
    assert send(check, 32) == ("", failed)
    assert send({"UpdateExpression": "SET d = :deep"}, 33) == (named, [])
    assert send(check, 33) == (named, [])


def test_the_older_layer_does_not_count_the_bytes_of_an_update(database: InProcessDatabase) -> None:
    text = "SET " + ", ".join(f"a{number} = :v" for number in range(500))
    request = {"TableName": "absent", "Key": KEY, "UpdateExpression": text}
    request |= {"ExpressionAttributeValues": {":v": {"S": "x"}}}
    _, body = database.call("TransactWriteItems", {"TransactItems": [{"Update": request}]})
    message = "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size;"
    assert body["message"] == message
    _, body = database.call("UpdateItem", request)
    assert body["message"] == f"{ENVELOPE}{message} expression size: {len(text)}"


def test_brackets_in_texts_are_not_levels() -> None:
    body = orjson.dumps({"Item": {"p": {"S": '{["\\' * 1000}}})
    assert layer_of("PutItem", body) is Layer.NEWER


def test_levels_are_counted_however_wide_the_request_is() -> None:
    def nested(levels: int) -> bytes:
        return b'{"a":[' + b"[]," * 300 + b"[" * (levels - 2) + b"]" * (levels - 2) + b"]}"

    assert layer_of("GetItem", nested(MAX_LEVELS)) is Layer.CURRENT
    assert layer_of("GetItem", nested(MAX_LEVELS + 1)) is Layer.OLDER


def test_only_validation_has_layers() -> None:
    other = serialization_error("x")
    assert worded(other, Layer.NEWER) is other
    both: DynamoDBError = validation_error("older", current="current")
    assert [worded(both, layer).message for layer in Layer] == [ENVELOPE + "current", "current", "older"]
