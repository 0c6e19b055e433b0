"""What requests are refused for before the table is known, decoded from JSON as on the wire.

Messages and order: conformance suite nubo-db/dynamodb-conformance, tests/tier3/error-messages,
tests/tier3/legacy-api and tests/tier1/{createTable,query,scan}; dynalite's recorded tests.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from blotter.database.model.errors import DynamoDBError
from blotter.database.validation import CHECKS
from blotter.database.validation.items import check_put_item
from blotter.database.validation.transactions import check_action
from blotter.database.wire.decode import OPERATIONS, decode_request
from blotter.database.wire.requests import Put

INVALID = "One or more parameter values were invalid: "
ITEM = {"pk": {"S": "a"}}
BOTH = "Can not use both expression and non-expression parameters in the same request: "
CONDITION_VALUE = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}


def check(operation: str, **members: Any) -> Any:
    body = members if operation.startswith(("Batch", "Transact")) else {"TableName": "abc", **members}
    request = decode_request(operation, orjson.dumps(body))
    if operation in CHECKS:
        CHECKS[operation](request)
    return request


def refusal(operation: str, **members: Any) -> str:
    with pytest.raises(DynamoDBError) as refused:
        check(operation, **members)
    assert refused.value.code == "ValidationException"
    return refused.value.message


def test_every_check_belongs_to_an_operation() -> None:
    assert set(CHECKS) <= OPERATIONS
    check("DescribeTable")


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        (
            "PutItem",
            {"Item": ITEM, "Expected": {}, "ConditionExpression": "x"},
            BOTH + "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        ),
        (
            "UpdateItem",
            {
                "Key": ITEM,
                "Expected": {},
                "AttributeUpdates": {},
                "ConditionExpression": "x",
                "UpdateExpression": "x",
            },
            BOTH + "Non-expression parameters: {AttributeUpdates, Expected} "
            "Expression parameters: {UpdateExpression, ConditionExpression}",
        ),
        (
            "Query",
            {
                "KeyConditions": {},
                "QueryFilter": {},
                "AttributesToGet": ["a"],
                "ConditionalOperator": "OR",
                "FilterExpression": "x",
                "ProjectionExpression": "x",
                "KeyConditionExpression": "x",
            },
            BOTH + "Non-expression parameters: {AttributesToGet, QueryFilter, ConditionalOperator, KeyConditions} "
            "Expression parameters: {ProjectionExpression, FilterExpression, KeyConditionExpression}",
        ),
        (
            "PutItem",
            {"Item": ITEM, "ExpressionAttributeNames": {}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            "PutItem",
            {"Item": ITEM, "ExpressionAttributeValues": {":v": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            "UpdateItem",
            {"Key": ITEM, "ExpressionAttributeValues": {":v": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
        ),
        (
            "Query",
            {"ProjectionExpression": "a", "ExpressionAttributeValues": {":v": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "FilterExpression and KeyConditionExpression are null",
        ),
        (
            "Scan",
            {"ExpressionAttributeValues": {":v": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null",
        ),
        (
            "GetItem",
            {"Key": ITEM, "ProjectionExpression": "#a", "ExpressionAttributeNames": {}},
            "ExpressionAttributeNames must not be empty",
        ),
        (
            "GetItem",
            {"Key": ITEM, "ProjectionExpression": "#a", "ExpressionAttributeNames": {"a": "a"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
        ),
        (
            "PutItem",
            {"Item": ITEM, "ConditionExpression": "x", "ExpressionAttributeValues": {}},
            "ExpressionAttributeValues must not be empty",
        ),
        (
            "PutItem",
            {"Item": ITEM, "ConditionExpression": "x", "ExpressionAttributeValues": {":a": {}, "b!": {}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "b!"',
        ),
        (
            "PutItem",
            {"Item": ITEM, "ConditionExpression": "x", "ExpressionAttributeValues": {":a": {"N": "x"}}},
            "ExpressionAttributeValues contains invalid value: "
            "The parameter cannot be converted to a numeric value: x for key :a",
        ),
        (
            "GetItem",
            {"Key": ITEM, "AttributesToGet": ["a", "b", "a"]},
            INVALID + "Duplicate value in attribute name: a",
        ),
        ("PutItem", {"Item": ITEM, "ReturnValues": "UPDATED_NEW"}, "ReturnValues can only be ALL_OLD or NONE"),
        ("DeleteItem", {"Key": ITEM, "ReturnValues": "ALL_NEW"}, "ReturnValues can only be ALL_OLD or NONE"),
        ("PutItem", {"Item": {"pk": {"S": "a" * 409_599}}}, "Item size has exceeded the maximum allowed size"),
        # A bad value comes before bad return values, and those before the size.
        (
            "PutItem",
            {"Item": {"pk": {"N": "x"}}, "ReturnValues": "ALL_NEW"},
            "The parameter cannot be converted to a numeric value: x",
        ),
        (
            "PutItem",
            {"Item": {"pk": {"S": "a" * 409_599}}, "ReturnValues": "ALL_NEW"},
            "ReturnValues can only be ALL_OLD or NONE",
        ),
    ],
)
def test_items(operation: str, members: dict[str, Any], message: str) -> None:
    assert refusal(operation, **members) == message


def test_a_filter_expression_may_stand_beside_key_conditions() -> None:
    check("Query", KeyConditions={"a": CONDITION_VALUE}, FilterExpression="x")


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
        ({}, "Value must be provided when Exists is null for Attribute: a"),
        ({"Exists": False, "Value": {"S": "a"}}, "Value cannot be used when Exists is false for Attribute: a"),
        (
            {**CONDITION_VALUE, "Value": {"S": "a"}},
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"AttributeValueList": [{"S": "a"}]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            {**CONDITION_VALUE, "Exists": True},
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"ComparisonOperator": "EQ"},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
        ),
        (
            {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"S": "a"}]},
            "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
        (
            {"ComparisonOperator": "NULL", "Value": {"S": "a"}},
            "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            {"ComparisonOperator": "IN", "AttributeValueList": [{"S": "a"}, {"N": "1"}]},
            "AttributeValues inside AttributeValueList must be of same type",
        ),
        (
            {"ComparisonOperator": "LT", "AttributeValueList": [{"SS": ["a"]}]},
            "ComparisonOperator LT is not valid for SS AttributeValue type",
        ),
    ],
)
def test_expected(expected: dict[str, Any], message: str) -> None:
    assert refusal("DeleteItem", Key=ITEM, Expected={"a": expected}) == INVALID + message


@pytest.mark.parametrize(
    "expected",
    [
        {"Exists": False},
        {"Value": {"S": "a"}},
        {"Exists": True, "Value": {"N": "1.0"}},
        {"ComparisonOperator": "NOT_NULL"},
        {"ComparisonOperator": "IN", "AttributeValueList": [{"S": "a"}, {"S": "b"}]},
        {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "9"}, {"N": "10"}]},
    ],
)
def test_expected_that_fits(expected: dict[str, Any]) -> None:
    request = check("PutItem", Item=ITEM, Expected={"a": expected})
    value = request.Expected["a"].Value
    assert value is None or "1.0" not in value.values()


def test_between_takes_its_bounds_in_order() -> None:
    bounds = {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "10"}, {"N": "9"}]}
    assert refusal("Scan", ScanFilter={"a": bounds}) == (
        "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
    )


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"Action": "PUT"}, "Only DELETE action is allowed when no attribute value is specified"),
        ({}, "Only DELETE action is allowed when no attribute value is specified"),
        (
            {"Action": "DELETE", "Value": {"N": "1"}},
            "DELETE action with value is not supported for the type N",
        ),
        ({"Action": "ADD", "Value": {"S": "a"}}, "ADD action is not supported for the type S"),
    ],
)
def test_attribute_updates(update: dict[str, Any], message: str) -> None:
    assert refusal("UpdateItem", Key=ITEM, AttributeUpdates={"a": update}) == INVALID + message


def test_names_in_legacy_parameters() -> None:
    too_large = INVALID + "Attribute name is too large, must be less than 65536 bytes"
    long = "n" * 65536
    assert refusal("UpdateItem", Key=ITEM, AttributeUpdates={long: {"Action": "DELETE"}}) == too_large
    assert refusal("PutItem", Item=ITEM, Expected={long: {"Exists": False}}) == too_large
    assert refusal("PutItem", Item=ITEM, Expected={"": {"Exists": False}}) == "Empty attribute name"
    for members in (
        {"AttributesToGet": [long]},
        {"ProjectionExpression": "#n", "ExpressionAttributeNames": {"#n": long}},
    ):
        assert refusal("GetItem", Key=ITEM, **members).endswith("length less than or equal to 65535")


def test_attribute_updates_that_fit() -> None:
    updates = {
        "a": {"Action": "DELETE"},
        "b": {"Value": {"S": "x"}},
        "c": {"Action": "ADD", "Value": {"N": "1.0"}},
    }
    request = check("UpdateItem", Key=ITEM, AttributeUpdates=updates)
    assert request.AttributeUpdates["c"].Value == {"N": "1"}


def test_conditional_operator_joins_at_least_two() -> None:
    two = {"a": {"Exists": False}, "b": {"Exists": False}}
    check("PutItem", Item=ITEM, Expected=two, ConditionalOperator="OR")
    assert refusal("PutItem", Item=ITEM, ConditionalOperator="OR") == (
        "ConditionalOperator cannot be used without Filter or Expected"
    )
    assert refusal("PutItem", Item=ITEM, Expected={"a": {"Exists": False}}, ConditionalOperator="OR") == (
        "ConditionalOperator can only be used when Filter or Expected has two or more elements"
    )


KEY_CONDITION = {"KeyConditionExpression": "a = :a"}


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        (
            "Query",
            {},
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ),
        ("Query", {"KeyConditions": {}}, "Conditions can be of length 1 or 2 only"),
        (
            "Query",
            {**KEY_CONDITION, "Select": "SPECIFIC_ATTRIBUTES"},
            "1 validation error detected: Must specify the AttributesToGet or ProjectionExpression "
            "when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            "Scan",
            {"Select": "SPECIFIC_ATTRIBUTES"},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            "Scan",
            {"Select": "COUNT", "ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            "Query",
            {"KeyConditions": {"a": CONDITION_VALUE}, "Select": "ALL_ATTRIBUTES", "AttributesToGet": ["a"]},
            "1 validation error detected: Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES",
        ),
        (
            "Scan",
            {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            "Scan",
            {"Segment": 0},
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present",
        ),
        (
            "Scan",
            {"TotalSegments": 4},
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present",
        ),
        (
            "Scan",
            {"Segment": 5, "TotalSegments": 5},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 5 is not less than TotalSegments: 5",
        ),
        (
            "Scan",
            {"ExclusiveStartKey": {"a": {}}},
            "The provided starting key is invalid: "
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            "Scan",
            {"ExclusiveStartKey": {"a": {"N": "x"}}},
            "The parameter cannot be converted to a numeric value: x",
        ),
    ],
)
def test_reading(operation: str, members: dict[str, Any], message: str) -> None:
    assert refusal(operation, **members) == message


def test_reading_that_fits() -> None:
    check("Scan", Segment=0, TotalSegments=1, Select="COUNT")
    check("Query", **KEY_CONDITION, IndexName="gsi", Select="ALL_PROJECTED_ATTRIBUTES")
    request = check("Scan", ExclusiveStartKey={"a": {"N": "1.0"}})
    assert request.ExclusiveStartKey == {"a": {"N": "1"}}


@pytest.mark.parametrize(
    ("operation", "requests", "message"),
    [
        (
            "BatchGetItem",
            {},
            "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        ("BatchWriteItem", {}, "The requestItems parameter is required for BatchWriteItem"),
        (
            "BatchGetItem",
            {"abc": {"Keys": [ITEM], "AttributesToGet": ["a"], "ProjectionExpression": "a"}},
            BOTH + "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            "BatchGetItem",
            {
                "abc": {"Keys": [ITEM], "AttributesToGet": ["a"]},
                "abd": {"Keys": [ITEM], "ProjectionExpression": "a"},
            },
            BOTH + "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            "BatchGetItem",
            {"abc": {"Keys": [ITEM] * 60}, "abd": {"Keys": [ITEM] * 41}},
            "Too many items requested for the BatchGetItem call",
        ),
        (
            "BatchWriteItem",
            {"abc": [{"DeleteRequest": {"Key": ITEM}}] * 13, "abd": [{"DeleteRequest": {"Key": ITEM}}] * 13},
            "Too many items requested for the BatchWriteItem call",
        ),
        (
            "BatchWriteItem",
            {"abc": [{}]},
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes",
        ),
        (
            "BatchWriteItem",
            {"abc": [{"PutRequest": {"Item": ITEM}, "DeleteRequest": {"Key": ITEM}}]},
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes",
        ),
    ],
)
def test_batches(operation: str, requests: dict[str, Any], message: str) -> None:
    assert refusal(operation, RequestItems=requests) == message


def test_transactions() -> None:
    one = "TransactItems can only contain one of Check, Put, Update or Delete"
    put = {"Put": {"TableName": "abc", "Item": ITEM}}
    none = "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
    assert refusal("TransactWriteItems", TransactItems=[put, {}]) == none
    assert (
        refusal("TransactWriteItems", TransactItems=[{**put, "Delete": {"TableName": "abc", "Key": ITEM}}]) == one
    )
    check("TransactWriteItems", TransactItems=[put])
    get = {"TableName": "abc", "Key": ITEM, "ExpressionAttributeNames": {"#a": "a"}}
    with pytest.raises(DynamoDBError) as refused:
        check_action("Get", check("TransactGetItems", TransactItems=[{"Get": get}]).TransactItems[0].Get)
    assert refused.value.message == "ExpressionAttributeNames can only be specified when using expressions"
    with pytest.raises(DynamoDBError, match="ConditionExpression is null"):
        check_action("Put", Put(TableName="abc", Item=ITEM, ExpressionAttributeValues={":a": {"S": "a"}}))


def test_checks_leave_the_values_validated() -> None:
    request = decode_request("PutItem", b'{"TableName": "abc", "Item": {"a": {"N": "1.0"}, "b": {"SS": ["x"]}}}')
    assert check_put_item(request) == 1 + 2 + 1 + 1
    assert request.Item["a"] == {"N": "1"}


def attributes(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


def keys(*names: str, kinds: tuple[str, ...] = ("HASH", "RANGE")) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, kinds, strict=False)]


UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
ALL = {"ProjectionType": "ALL"}


def table(**changes: Any) -> dict[str, Any]:
    members = {
        "AttributeDefinitions": attributes("pk", "sk"),
        "KeySchema": keys("pk", "sk"),
        "ProvisionedThroughput": UNITS,
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def local(*names: str, **changes: Any) -> dict[str, Any]:
    return {"IndexName": "lsi", "KeySchema": keys(*names), "Projection": ALL, **changes}


def glob(*names: str, **changes: Any) -> dict[str, Any]:
    return {
        "IndexName": "gsi",
        "KeySchema": keys(*names),
        "Projection": ALL,
        "ProvisionedThroughput": UNITS,
        **changes,
    }


SAME_NAME = "Both the Hash Key and the Range Key element in the KeySchema have the same name"
FIRST_NOT_HASH = "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
SECOND_NOT_RANGE = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ProvisionedThroughput": None},
            INVALID
            + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        ),
        (
            {"BillingMode": "PAY_PER_REQUEST"},
            INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
            "when BillingMode is PAY_PER_REQUEST",
        ),
        (
            {"ProvisionedThroughput": {"WriteCapacityUnits": 1000000000001, "ReadCapacityUnits": 1000000000001}},
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds",
        ),
        (
            {"KeySchema": None},
            "1 validation error detected: Value null at 'keySchema' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            {"AttributeDefinitions": attributes("pk"), "KeySchema": keys("pk", "pk")},
            "Invalid KeySchema: Some index key attribute have no definition",
        ),
        (
            {"AttributeDefinitions": attributes("b"), "KeySchema": keys("a")},
            INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
            "Keys: [a], AttributeDefinitions: [b]",
        ),
        (
            {"AttributeDefinitions": attributes("pk", "pk")},
            "Attribute Name is duplicated: pk",
        ),
        ({"KeySchema": keys("pk", "pk")}, SAME_NAME),
        ({"KeySchema": keys("pk", "sk", kinds=("RANGE", "HASH"))}, FIRST_NOT_HASH),
        ({"KeySchema": keys("pk", "sk", kinds=("HASH", "HASH"))}, SECOND_NOT_RANGE),
        (
            {"KeySchema": keys("pk")},
            INVALID + "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions",
        ),
        ({"LocalSecondaryIndexes": []}, INVALID + "List of LocalSecondaryIndexes is empty"),
        ({"GlobalSecondaryIndexes": []}, INVALID + "List of GlobalSecondaryIndexes is empty"),
        (
            {"KeySchema": keys("pk"), "LocalSecondaryIndexes": [local("pk", "sk")]},
            INVALID + "Table KeySchema does not have a range key, which is required when specifying a "
            "LocalSecondaryIndex",
        ),
        (
            {"LocalSecondaryIndexes": [local("pk", "x")]},
            INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
            "Keys: [pk, x], AttributeDefinitions: [sk, pk]",
        ),
        (
            {"LocalSecondaryIndexes": [local("pk")]},
            INVALID + "Index KeySchema does not have a range key for index: lsi",
        ),
        (
            {"LocalSecondaryIndexes": [local("sk", "pk")]},
            INVALID + "Index KeySchema does not have the same leading hash key as table KeySchema for index: lsi. "
            "index hash key: sk, table hash key: pk",
        ),
        (
            {"LocalSecondaryIndexes": [local("pk", "sk", Projection={})]},
            INVALID + "Unknown ProjectionType: null",
        ),
        (
            {"GlobalSecondaryIndexes": [glob("sk", Projection={**ALL, "NonKeyAttributes": ["a"]})]},
            INVALID + "ProjectionType is ALL, but NonKeyAttributes is specified",
        ),
        (
            {"GlobalSecondaryIndexes": [glob("sk", Projection={"ProjectionType": "INCLUDE"})]},
            INVALID + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        (
            {"LocalSecondaryIndexes": [local("pk", "sk"), local("pk", "sk")]},
            INVALID + "Duplicate index name: lsi",
        ),
        (
            {
                "LocalSecondaryIndexes": [local("pk", "sk")],
                "GlobalSecondaryIndexes": [glob("sk", IndexName="lsi")],
            },
            INVALID + "Duplicate index name: lsi",
        ),
        (
            {"LocalSecondaryIndexes": [local("pk", "sk", IndexName=f"lsi{i}") for i in range(6)]},
            INVALID + "Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        ),
        (
            {"GlobalSecondaryIndexes": [glob("sk", IndexName=f"gsi{i}") for i in range(21)]},
            INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20",
        ),
        (
            {
                "BillingMode": "PAY_PER_REQUEST",
                "ProvisionedThroughput": None,
                "GlobalSecondaryIndexes": [glob("sk")],
            },
            INVALID + "ProvisionedThroughput should not be specified for index: gsi "
            "when BillingMode is PAY_PER_REQUEST",
        ),
        (
            {"AttributeDefinitions": attributes("pk", "sk", "x"), "GlobalSecondaryIndexes": [glob("sk")]},
            INVALID
            + "Some AttributeDefinitions are not used. AttributeDefinitions: [sk, x, pk], keys used: [sk, pk]",
        ),
        ({"GlobalSecondaryIndexes": [glob("sk", "pk", KeySchema=keys("sk", kinds=("RANGE",)))]}, FIRST_NOT_HASH),
        (
            {
                "GlobalSecondaryIndexes": [
                    glob(KeySchema=keys("sk", "pk", "sk", kinds=("HASH", "RANGE", "HASH"))),
                ]
            },
            INVALID + "All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ),
        (
            {"GlobalSecondaryIndexes": [glob(KeySchema=keys("sk", "sk", kinds=("HASH", "HASH")))]},
            "The KeySchema contains multiple key attributes with the same name",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": True}},
            INVALID + "Table is being created with a stream enabled, UpdateViewType is required",
        ),
        (
            {"StreamSpecification": {"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}},
            INVALID + "Table is being created with a stream disabled, UpdateViewType should not be specified",
        ),
    ],
)
def test_create_table(changes: dict[str, Any], message: str) -> None:
    assert refusal("CreateTable", **table(**changes)) == message


def test_tables_that_fit() -> None:
    check("CreateTable", **table())
    check("CreateTable", **table(ProvisionedThroughput=None, BillingMode="PAY_PER_REQUEST"))
    check(
        "CreateTable",
        **table(
            LocalSecondaryIndexes=[local("pk", "sk")],
            GlobalSecondaryIndexes=[glob("sk", "pk")],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        ),
    )


def test_a_global_index_may_have_four_and_four() -> None:
    names = [f"a{i}" for i in range(8)]
    index = glob(KeySchema=keys(*names, kinds=("HASH",) * 4 + ("RANGE",) * 4))
    definitions = attributes("pk", "sk", *names)
    check("CreateTable", **table(AttributeDefinitions=definitions, GlobalSecondaryIndexes=[index]))
    five = glob(KeySchema=keys(*names[:6], kinds=("HASH",) + ("RANGE",) * 5))
    message = refusal(
        "CreateTable",
        **table(AttributeDefinitions=attributes("pk", "sk", *names[:6]), GlobalSecondaryIndexes=[five]),
    )
    assert message == INVALID + "The KeySchema exceeds the maximum allowed number of RANGE key attributes"


def test_a_vector_index_may_use_definitions_of_its_own() -> None:
    index = {
        "IndexName": "vectors",
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": 3,
        "DistanceFunction": "COSINE",
        "Projection": ALL,
        "SearchSchema": [{"AttributeName": "category", "SearchSchemaElementType": "INLINE_FILTER"}],
    }
    request = table(AttributeDefinitions=attributes("pk", "sk", "category"))
    assert "does not exactly match" in refusal("CreateTable", **request)
    on_demand = {name: value for name, value in request.items() if name != "ProvisionedThroughput"}
    check("CreateTable", **on_demand, BillingMode="PAY_PER_REQUEST", VectorIndexes=[index])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"BillingMode": "PROVISIONED"},
            INVALID + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
        ),
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1000000000001}},
            "Given value 1000000000001 for WriteCapacityUnits is out of bounds",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{}]},
            INVALID + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
            "GlobalSecondaryIndexUpdate.Delete must not be null",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "abc"}}] * 2},
            INVALID + "Only one global secondary index update per index is allowed simultaneously. Index: abc",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{"Create": glob("x")}]},
            INVALID + "AttributeDefinitions is not specified for index: gsi",
        ),
    ],
)
def test_update_table(members: dict[str, Any], message: str) -> None:
    assert refusal("UpdateTable", **members) == message


def test_any_setting_is_a_change() -> None:
    check("UpdateTable", DeletionProtectionEnabled=False)
    check("UpdateTable", TableClass="STANDARD")
    check("UpdateTable", AttributeDefinitions=attributes("x"), GlobalSecondaryIndexUpdates=[{"Create": glob("x")}])
