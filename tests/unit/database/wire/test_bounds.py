"""Work and memory for wrong requests are bounded: counts before elements, cut values, counted caches.

Attacks of issue 16 (A2, A4). Work is counted in operations and bytes, not in time.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
import pytest

from blotter.database.expressions import attributes
from blotter.database.expressions.partiql import statements
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.partiql.statement import validate_parameters
from blotter.database.validation import CHECKS
from blotter.database.wire.constraints import MAX_SHOWN
from blotter.database.wire.decode import decode_request
from blotter.database.wire.encode import MAX_MESSAGE, encode_error


def _check(operation: str, request: dict[str, Any]) -> None:
    arguments = decode_request(operation, orjson.dumps(request))
    if operation in CHECKS:
        CHECKS[operation](arguments)


def _refusal(operation: str, request: dict[str, Any]) -> DynamoDBError:
    with pytest.raises(DynamoDBError) as refused:
        _check(operation, request)
    return refused.value


def _calls(operation: str, request: dict[str, Any]) -> int:
    """How many Python functions are called to refuse a request."""
    count = 0

    def profile(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event == "call"

    body = orjson.dumps(request)
    sys.setprofile(profile)
    try:
        decode_request(operation, body)
    except DynamoDBError:
        pass
    finally:
        sys.setprofile(None)
    return count


def _deletes(count: int) -> dict[str, Any]:
    return {
        "TransactItems": [{"Delete": {"TableName": "things", "Key": {"p": {"S": str(i)}}}} for i in range(count)]
    }


def test_a_list_of_the_wrong_length_is_not_looked_into() -> None:
    error = _refusal("TransactWriteItems", _deletes(20_000))
    assert error.message.startswith("1 validation error detected: Value '[TransactWriteItem(")
    assert error.message.endswith(
        "...]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100"
    )
    assert len(error.message) < MAX_SHOWN + 300
    calls = [_calls("TransactWriteItems", _deletes(count)) for count in (20_000, 30_000)]
    assert calls[1] < calls[0] + 1000, calls


def test_a_wrong_element_beside_the_wrong_length_is_not_reported() -> None:
    request = _deletes(101)
    request["TransactItems"][0]["Delete"]["ReturnValuesOnConditionCheckFailure"] = "WRONG"
    assert _refusal("TransactWriteItems", request).message.startswith("1 validation error detected")


def test_a_short_list_of_the_wrong_length_is_shown_whole() -> None:
    names = [f"n{number}" for number in range(25)]
    request = {
        "TableName": "things",
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "index",
                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": names},
            }
        ],
    }
    assert f"Value '[{', '.join(names)}]'" in _refusal("CreateTable", request).message


def test_a_long_value_is_cut_in_the_message() -> None:
    message = _refusal("DescribeTable", {"TableName": "x" * 10_000_000}).message
    assert "xxx...' at 'tableName'" in message
    assert len(message) < MAX_SHOWN + 300


def test_no_message_is_longer_than_its_bound() -> None:
    body = orjson.loads(encode_error(DynamoDBError("ValidationException", "x" * 10_000_000)))
    assert len(body["message"]) == MAX_MESSAGE + 3


def _get(names: dict[str, str]) -> dict[str, Any]:
    expression = ", ".join(names)
    return {
        "TableName": "things",
        "Key": {"p": {"S": "a"}},
        "ProjectionExpression": expression,
        "ExpressionAttributeNames": names,
    }


TOO_LONG = (
    "The total size of ExpressionAttributeNames and ExpressionAttributeValues has exceeded the "
    "maximum allowed size of 2097152 bytes"
)


def test_substitution_variables_have_a_limit() -> None:
    long = {f"#n{number}": "x" * 60_000 for number in range(35)}
    assert _refusal("GetItem", _get(long)).message == TOO_LONG
    _check("GetItem", _get(dict(list(long.items())[:34])))


@pytest.mark.parametrize("filling", ["x" * 2_100_000, "é" * 1_050_000])
def test_values_count_as_well_and_in_bytes(filling: str) -> None:
    update = {
        "TableName": "things",
        "Key": {"p": {"S": "a"}},
        "UpdateExpression": "SET a = :v",
        "ExpressionAttributeValues": {":v": {"M": {"a": {"L": [{"S": filling}]}}}},
    }
    assert _refusal("UpdateItem", update).message == TOO_LONG
    assert _refusal("TransactWriteItems", {"TransactItems": [{"Update": update}]}).message == TOO_LONG


def test_the_limit_is_for_each_expression_not_for_the_request() -> None:
    names = {f"#n{number}": "x" * 60_000 for number in range(20)}
    gets = [{"Get": _get(names)} for _ in range(3)]
    decode_request("TransactGetItems", orjson.dumps({"TransactItems": gets}))
    tables = {
        f"table-{number}": {"Keys": [{"p": {"S": "a"}}], "ExpressionAttributeNames": names} for number in range(3)
    }
    decode_request("BatchGetItem", orjson.dumps({"RequestItems": tables}))
    tables["table-0"]["ExpressionAttributeNames"] = names | {f"#m{number}": "x" * 60_000 for number in range(20)}
    assert _refusal("BatchGetItem", {"RequestItems": tables}).message == TOO_LONG


def test_parsed_expressions_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """591 valid reads with long names once took 7 GB."""
    monkeypatch.setattr(attributes, "_TEXTS", attributes.ByteCache(1_000_000))
    for number in range(600):
        names = {f"#n{number}": "x" * 60_000, "#m": "y" * (number + 1)}
        expressions = attributes.ExpressionAttributes(names, None)
        expressions.projection(f"#n{number}, #m")
    assert attributes._TEXTS.used <= 1_000_000
    for number in range(1000):
        attributes.ExpressionAttributes({"#n": f"name-{number}"}, None).projection("#n")
    assert 0 < attributes._TEXTS.used <= 1_000_000
    cached = attributes._parsed("projection", "#n")
    assert len(cached.by_meaning) <= attributes.MAX_MEANINGS
    assert attributes._TEXTS._sizes["projection", "#n"] < 100_000


def test_parsed_statements_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_STATEMENTS", statements.ByteCache(10_000_000))
    for number in range(300):
        text = f"SELECT * FROM t{number} WHERE p IN [{','.join(['?'] * 40)}]"
        types = [{"S": "x"}] * number + [{"N": "1"}] * 40
        statements.read(text).bind(types[:40])
    assert 0 < statements._STATEMENTS.used <= 10_000_000


def test_parameters_of_a_statement_are_counted_first() -> None:
    with pytest.raises(DynamoDBError) as refused:
        validate_parameters([{"N": "not looked at"}] * 8193)
    assert refused.value.message == (
        "One or more parameter values were invalid: Parameters must not have more than 8192 elements"
    )


@pytest.mark.parametrize(
    ("operation", "parameter", "entry", "named"),
    [
        ("PutItem", "Expected", {"Value": {"N": "not looked at"}}, "Expected"),
        ("UpdateItem", "AttributeUpdates", {"Value": {"N": "not looked at"}}, "AttributeUpdates"),
        ("Scan", "ScanFilter", {"ComparisonOperator": "NULL"}, "A condition parameter"),
        ("Query", "QueryFilter", {"ComparisonOperator": "NULL"}, "A condition parameter"),
        ("Query", "KeyConditions", {"ComparisonOperator": "NULL"}, "A condition parameter"),
    ],
)
def test_legacy_parameters_are_counted_first(operation: str, parameter: str, entry: Any, named: str) -> None:
    request: dict[str, Any] = {"TableName": "things", parameter: {f"a{number}": entry for number in range(4097)}}
    if operation == "PutItem":
        request["Item"] = {"p": {"S": "a"}}
    if operation == "UpdateItem":
        request["Key"] = {"p": {"S": "a"}}
    if parameter == "QueryFilter":
        request["KeyConditions"] = {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}
    message = f"One or more parameter values were invalid: {named} must not have more than 4096 entries"
    assert _refusal(operation, request).message == message


def test_values_of_a_legacy_condition_are_counted_first() -> None:
    condition = {"ComparisonOperator": "IN", "AttributeValueList": [{"N": "not looked at"}] * 4097}
    request = {"TableName": "things", "ScanFilter": {"a": condition}}
    assert _refusal("Scan", request).message == (
        "One or more parameter values were invalid: AttributeValueList must not have more than 4096 entries"
    )
