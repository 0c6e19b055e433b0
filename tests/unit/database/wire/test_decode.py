"""What a body decodes into, and the message of every refusal.

Serialization messages: recorded answers of the service in dynalite's tests (`test/helpers.js`). Constraint
messages: conformance suite nubo-db/dynamodb-conformance, tests/tier3/error-messages and
tests/tier3/validation-ordering.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.model.errors import DynamoDBError
from blotter.database.wire.decode import decode_exactly, decode_request
from blotter.database.wire.requests import BatchWriteItemInput, GetItemInput, PutItemInput, ScanInput

TABLE = "crimes-results-dev"


def refusal(operation: str, body: Any) -> tuple[str, str]:
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(DynamoDBError) as refused:
        decode_request(operation, encoded)
    return refused.value.code, refused.value.message


def code_of(operation: str, body: bytes) -> str | None:
    try:
        decode_request(operation, body)
    except DynamoDBError as error:
        return error.code
    return None


def serialization(message: str) -> tuple[str, str]:
    return "SerializationException", message


def violations(*violations: str) -> tuple[str, str]:
    plural = "s" if len(violations) > 1 else ""
    return "ValidationException", f"{len(violations)} validation error{plural} detected: {'; '.join(violations)}"


def test_a_well_formed_request() -> None:
    item = {"pk": {"S": "a"}, "m": {"M": {"l": {"L": [{"N": "1"}, {"NULL": True}]}}}, "b": {"B": "AAE="}}
    request = decode_request(
        "PutItem", orjson.dumps({"TableName": TABLE, "Item": item, "ReturnValues": "ALL_OLD"})
    )
    assert isinstance(request, PutItemInput)
    assert (request.TableName, request.Item, request.ReturnValues) == (TABLE, item, "ALL_OLD")
    assert request.ConditionExpression is None


def test_nested_structures_are_structs() -> None:
    body = {"RequestItems": {TABLE: [{"PutRequest": {"Item": {"a": {"S": "a"}}}}, {"DeleteRequest": {"Key": {}}}]}}
    request = decode_request("BatchWriteItem", orjson.dumps(body))
    assert isinstance(request, BatchWriteItemInput)
    put, delete = request.RequestItems[TABLE]
    assert put.PutRequest is not None
    assert put.PutRequest.Item == {"a": {"S": "a"}}
    assert put.DeleteRequest is None
    assert delete.DeleteRequest is not None


def test_what_the_service_converts_or_overlooks() -> None:
    body = b"""{"TableName": "abc", "Key": {"a": {"S": "a", "N": null, "X": 1}}, "ConsistentRead": "true",
    "AttributesToGet": null, "Unknown": [1]}"""
    request = decode_request("GetItem", body)
    assert isinstance(request, GetItemInput)
    assert (request.Key, request.ConsistentRead, request.AttributesToGet) == ({"a": {"S": "a"}}, True, None)
    scanned = decode_request("Scan", b'{"TableName": "abc", "Limit": 2.7}')
    assert isinstance(scanned, ScanInput)
    assert scanned.Limit == 2


def test_tables_are_named_by_arn_too() -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/abc"
    request = decode_request("GetItem", orjson.dumps({"TableName": arn, "Key": {"a": {"S": "a"}}}))
    assert request.TableName == arn


@pytest.mark.parametrize("body", [b"", b"hi", b"{", b'{"a":}', b'{"TableName": "\xff"}', b"{}}", b"nul"])
def test_no_json(body: bytes) -> None:
    assert refusal("GetItem", body) == serialization("")


def test_no_object() -> None:
    assert refusal("GetItem", b"[]") == serialization("Start of list found where not expected")
    assert refusal("GetItem", b"7") == serialization("Unexpected value type in payload")


PARAMETERIZED = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of "
    "loader 'bootstrap')"
)
STRUCTURE = "Start of structure or map found where not expected"
PACKAGE = "com.amazonaws.dynamodb.v20120810."


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("TableName", True, "TRUE_VALUE cannot be converted to String"),
        ("TableName", False, "FALSE_VALUE cannot be converted to String"),
        ("TableName", 23, "NUMBER_VALUE cannot be converted to String"),
        ("TableName", 34.56, "DECIMAL_VALUE cannot be converted to String"),
        ("TableName", [], "Unrecognized collection type class java.lang.String"),
        ("TableName", {}, STRUCTURE),
        ("ConsistentRead", "23", "Unexpected token received from parser"),
        ("ConsistentRead", 23, "NUMBER_VALUE cannot be converted to Boolean"),
        ("ConsistentRead", [], "Unrecognized collection type class java.lang.Boolean"),
        ("ConsistentRead", {}, STRUCTURE),
        ("Limit", "23", "STRING_VALUE cannot be converted to Integer"),
        ("Limit", True, "TRUE_VALUE cannot be converted to Integer"),
        ("Limit", [], "Unrecognized collection type class java.lang.Integer"),
        ("AttributesToGet", "23", "Unexpected field type"),
        ("AttributesToGet", {}, STRUCTURE),
        ("AttributesToGet", [1], "NUMBER_VALUE cannot be converted to String"),
        ("ExclusiveStartKey", 23, "Unexpected field type"),
        (
            "ExclusiveStartKey",
            [],
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>",
        ),
        (
            "ExpressionAttributeNames",
            [],
            "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>",
        ),
        ("ExclusiveStartKey", {"a": "23"}, "Unexpected value type in payload"),
        ("ExclusiveStartKey", {"a": []}, f"Unrecognized collection type class {PACKAGE}AttributeValue"),
        ("ExclusiveStartKey", {"a": {"S": 5}}, "NUMBER_VALUE cannot be converted to String"),
        ("ExclusiveStartKey", {"a": {"B": 5}}, "only base-64-encoded strings are convertible to bytes"),
        ("ExclusiveStartKey", {"a": {"B": []}}, "Unrecognized collection type class java.nio.ByteBuffer"),
        ("ExclusiveStartKey", {"a": {"B": {}}}, STRUCTURE),
        ("ExclusiveStartKey", {"a": {"BOOL": "x"}}, "Unexpected token received from parser"),
        ("ExclusiveStartKey", {"a": {"SS": "x"}}, "Unexpected field type"),
        ("ExclusiveStartKey", {"a": {"SS": [True]}}, "TRUE_VALUE cannot be converted to String"),
        ("ExclusiveStartKey", {"a": {"L": [5]}}, "Unexpected value type in payload"),
        ("ExclusiveStartKey", {"a": {"M": {"x": {"N": 5}}}}, "NUMBER_VALUE cannot be converted to String"),
    ],
)
def test_wrong_json_types(member: str, value: Any, message: str) -> None:
    assert refusal("Scan", {"TableName": "abc", member: value}) == serialization(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("23456", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ("=+/=", "Invalid last non-pad Base64 character dectected"),
        ("+/+=", "Invalid last non-pad Base64 character dectected"),
    ],
)
def test_base64_is_read_by_the_exact_way(text: str, message: str) -> None:
    with pytest.raises(DynamoDBError) as refused:
        decode_exactly("GetItem", orjson.dumps({"TableName": "abc", "Key": {"a": {"B": text}}}))
    assert (refused.value.code, refused.value.message) == serialization(message)


def test_lists_and_maps_inside_lists_and_maps_have_words_of_their_own() -> None:
    assert refusal("BatchWriteItem", {"RequestItems": {"abc": 5}}) == serialization(PARAMETERIZED)
    assert refusal("BatchGetItem", {"RequestItems": {"abc": {"Keys": [5]}}}) == serialization(PARAMETERIZED)
    assert refusal("BatchWriteItem", {"RequestItems": []}) == serialization(
        f"Unrecognized collection type java.util.Map<java.lang.String, java.util.List<{PACKAGE}WriteRequest>>"
    )


def test_types_are_judged_before_constraints() -> None:
    body = {"TableName": "!", "ReturnValues": "X", "Item": {"a": {"S": 5}}}
    assert refusal("PutItem", body) == serialization("NUMBER_VALUE cannot be converted to String")


NOT_NULL = "failed to satisfy constraint: Member must not be null"
ENUM_RCC = (
    "Value 'X' at 'returnConsumedCapacity' failed to satisfy constraint: "
    "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
)
ENUM_RV = (
    "Value 'X' at 'returnValues' failed to satisfy constraint: "
    "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
)
ENUM_RICM = (
    "Value 'X' at 'returnItemCollectionMetrics' failed to satisfy constraint: "
    "Member must satisfy enum value set: [SIZE, NONE]"
)
NAME_PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
ENUMERATION = "Failed to satisfy constraint: Member must satisfy enum value set: "
NEWER_RV = f"{ENUMERATION}[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
NEWER_NAME = (
    "Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"
)
EMPTY_NAME = (
    "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"
)


def item_request(**members: Any) -> dict[str, Any]:
    return {"TableName": "abc", "Item": {"a": {"S": "a"}}, **members}


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("PutItem", {"Item": {}}, [f"Value null at 'tableName' {NOT_NULL}"]),
        ("PutItem", item_request(TableName=""), [NEWER_NAME]),
        ("PutItem", item_request(TableName="", ReturnValues="X"), [NEWER_NAME]),
        (
            "PutItem",
            item_request(TableName="a" * 256),
            [
                f"Value '{'a' * 256}' at 'tableName' failed to satisfy constraint: "
                "Member must have length less than or equal to 255"
            ],
        ),
        (
            "PutItem",
            item_request(TableName="bad table!@#"),
            [f"Value 'bad table!@#' at 'tableName' failed to satisfy constraint: {NAME_PATTERN}"],
        ),
        (
            "PutItem",
            item_request(ReturnConsumedCapacity="X", ReturnItemCollectionMetrics="X", ReturnValues="X"),
            [ENUM_RCC, NEWER_RV, "ReturnItemCollectionMetrics can only be SIZE or NONE"],
        ),
        (
            "DeleteItem",
            {"TableName": "abc", "Key": {}, "ReturnConsumedCapacity": "X", "ReturnValues": "X"},
            [ENUM_RCC, NEWER_RV],
        ),
        (
            "UpdateItem",
            {"TableName": "abc", "Key": {}, "ReturnConsumedCapacity": "X", "ReturnValues": "X"},
            [NEWER_RV],
        ),
        ("UpdateItem", {"TableName": "abc", "Key": {}, "ReturnConsumedCapacity": "X"}, [ENUM_RCC]),
        (
            "PutItem",
            item_request(ConditionalOperator="XOR", Expected={"a": {"Exists": False}, "b": {"Exists": False}}),
            [f"{ENUMERATION}[ALL, OR]"],
        ),
        (
            "UpdateItem",
            {"TableName": "abc", "ConditionalOperator": "XOR"},
            [
                "Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: "
                "Member must satisfy enum value set: [OR, AND]",
                f"Value null at 'key' {NOT_NULL}",
            ],
        ),
        (
            "UpdateItem",
            {"TableName": "", "ReturnConsumedCapacity": "X", "ReturnValues": "X"},
            [ENUM_RCC, EMPTY_NAME, ENUM_RV, f"Value null at 'key' {NOT_NULL}"],
        ),
        (
            "CreateTable",
            {"TableName": "ab"},
            [
                "Value 'ab' at 'tableName' failed to satisfy constraint: "
                "Member must have length greater than or equal to 3"
            ],
        ),
        (
            "CreateTable",
            {
                "TableName": "abc",
                "KeySchema": [{"AttributeName": "a", "KeyType": "X"}],
                "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "X"}, {}],
            },
            [
                "Value 'X' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: "
                "Member must satisfy enum value set: [B, N, S]",
                f"Value null at 'attributeDefinitions.2.member.attributeType' {NOT_NULL}",
                f"Value null at 'attributeDefinitions.2.member.attributeName' {NOT_NULL}",
                "Value 'X' at 'keySchema.1.member.keyType' failed to satisfy constraint: "
                "Member must satisfy enum value set: [HASH, RANGE]",
            ],
        ),
        (
            "CreateTable",
            {
                "TableName": "abc",
                "KeySchema": [
                    {"AttributeName": name, "KeyType": kind}
                    for name, kind in (("pk", "HASH"), ("sk", "RANGE"), ("extra", "RANGE"))
                ],
            },
            [
                "Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=sk, "
                "keyType=RANGE), KeySchemaElement(attributeName=extra, keyType=RANGE)]' at 'keySchema' failed to "
                "satisfy constraint: Member must have length less than or equal to 2"
            ],
        ),
        (
            "CreateTable",
            {
                "TableName": "abc",
                "LocalSecondaryIndexes": [{"IndexName": "l;"}],
                "GlobalSecondaryIndexes": [{"IndexName": "g1", "KeySchema": [], "Projection": {}}],
            },
            [
                "Value 'g1' at 'globalSecondaryIndexes.1.member.indexName' failed to satisfy constraint: "
                "Member must have length greater than or equal to 3",
                "Value '[]' at 'globalSecondaryIndexes.1.member.keySchema' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1",
                "Value 'l;' at 'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: "
                f"{NAME_PATTERN}",
                "Value 'l;' at 'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: "
                "Member must have length greater than or equal to 3",
                f"Value null at 'localSecondaryIndexes.1.member.keySchema' {NOT_NULL}",
                f"Value null at 'localSecondaryIndexes.1.member.projection' {NOT_NULL}",
            ],
        ),
        (
            "UpdateTable",
            {"TableName": "abc", "ProvisionedThroughput": {"ReadCapacityUnits": -1, "WriteCapacityUnits": 0}},
            [
                "Value '0' at 'provisionedThroughput.writeCapacityUnits' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1",
                "Value '-1' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1",
            ],
        ),
        (
            "Query",
            {"TableName": "abc", "Limit": 0},
            ["Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"],
        ),
        (
            "Query",
            {"TableName": "abc", "Select": "X"},
            [
                "Value 'X' at 'select' failed to satisfy constraint: Member must satisfy enum value set: "
                "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
            ],
        ),
        (
            "Scan",
            {"TableName": "abc", "Limit": 0},
            [
                "Value '0' at 'limit' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1"
            ],
        ),
        (
            "Query",
            {"TableName": "abc", "KeyConditions": {"a": {"ComparisonOperator": "X"}, "b": {}}},
            [
                "Value 'X' at 'keyConditions.a.member.comparisonOperator' failed to satisfy constraint: "
                "Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, "
                "LE, BEGINS_WITH, GE, CONTAINS]",
                f"Value null at 'keyConditions.b.member.comparisonOperator' {NOT_NULL}",
            ],
        ),
        (
            "TransactWriteItems",
            {"TransactItems": []},
            [
                "Value '[]' at 'transactItems' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            ],
        ),
        (
            "BatchGetItem",
            {"RequestItems": {"abc": {"Keys": [{}] * 101}}},
            [
                "Value at 'RequestItems.abc.member.Keys' failed to satisfy constraint: "
                "Member must have length less than or equal to 100"
            ],
        ),
        (
            "BatchGetItem",
            {"RequestItems": {"bad!name": {"Keys": [{"pk": {"S": "a"}}]}}, "ReturnConsumedCapacity": "X"},
            [
                'Value \'{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}}\' at \'requestItems\' failed to satisfy '
                "constraint: Map keys must satisfy constraint: "
                "[Member must have length less than or equal to 255, "
                f"Member must have length greater than or equal to 3, {NAME_PATTERN}]",
                ENUM_RCC,
            ],
        ),
        ("BatchWriteItem", {"RequestItems": {"bad!name": [{}]}, "ReturnConsumedCapacity": "X"}, [ENUM_RCC]),
        (
            "BatchWriteItem",
            {"RequestItems": {"abc": []}},
            [
                "Value '{abc=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy "
                "constraint: [Member must have length less than or equal to 25, "
                "Member must have length greater than or equal to 1]"
            ],
        ),
    ],
)
def test_constraints(operation: str, body: Any, expected: list[str]) -> None:
    assert refusal(operation, body) == violations(*expected)


@pytest.mark.parametrize("operation", ["CreateTable", "DescribeTable", "UpdateTable", "DeleteTable"])
def test_managing_a_table_asks_for_its_name_in_other_words(operation: str) -> None:
    assert refusal(operation, {}) == (
        "ValidationException",
        "The parameter 'TableName' is required but was not present in the request",
    )


def test_tagging_asks_for_the_resource_in_other_words() -> None:
    for operation in ("TagResource", "UntagResource", "ListTagsOfResource"):
        assert refusal(operation, {}) == ("ValidationException", "Invalid TableArn")


def test_a_batch_holds_names_to_the_length_of_a_new_table() -> None:
    code, message = refusal("BatchWriteItem", {"RequestItems": {"ab": [{}]}})
    assert code == "ValidationException"
    assert "at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [" in message
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/abc"
    assert decode_request("BatchWriteItem", orjson.dumps({"RequestItems": {arn: [{}]}})).RequestItems.keys() == {
        arn
    }


def test_no_more_than_ten_violations_are_reported() -> None:
    code, message = refusal("CreateTable", {"TableName": "abc", "LocalSecondaryIndexes": [{}] * 9})
    assert code == "ValidationException"
    assert message.startswith("10 validation errors detected: ")
    assert message.endswith(f"Value null at 'localSecondaryIndexes.4.member.indexName' {NOT_NULL}")


@pytest.mark.parametrize("depth", [600, 5000, 100_000])
def test_hostile_nesting_is_refused_cleanly(depth: int) -> None:
    for opening, closing in ((b'{"L":[', b"]}"), (b'{"M":{"a":', b"}}")):
        body = b'{"TableName":"abc","Key":{"a":' + opening * depth + b'{"S":5}' + closing * depth + b"}}"
        code, _ = refusal("GetItem", body)
        assert code in ("ValidationException", "SerializationException")


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text(max_size=5)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(["PutItem", "Query", "CreateTable", "BatchWriteItem", "TransactWriteItems"])), st.data()
)
def test_any_json_is_either_decoded_or_refused(operation: str, data: st.DataObject) -> None:
    members = ["TableName", "Item", "Key", "Limit", "KeyConditions", "KeySchema", "RequestItems", "TransactItems"]
    body = data.draw(st.dictionaries(st.sampled_from(members), json_values, max_size=4))
    assert code_of(operation, orjson.dumps(body)) in (None, "ValidationException", "SerializationException")


@given(st.binary(max_size=40))
def test_any_bytes_are_either_decoded_or_refused(body: bytes) -> None:
    assert code_of("ListTables", body) in (None, "ValidationException", "SerializationException")
