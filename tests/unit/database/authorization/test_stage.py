"""Which requests policies allow, and AWS's sentence for those that they do not. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from blotter.database.authorization.stage import resource_of
from blotter.database.operations.touches import Touch
from blotter.database.security.principal import Session
from tests.guarded import ROOT, TABLES, GuardedDatabase, allow, deny, session, user
from tests.in_process import ACCOUNT

NOTES, OTHERS = {"TableName": "notes"}, {"TableName": "others"}
KEY = {"p": {"S": "a"}, "s": {"N": "1"}}
GET = NOTES | {"Key": KEY}


@pytest.fixture(scope="module", params=["sqlite", "distant"])
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[GuardedDatabase]:
    """Tables `notes` (keys p and s, index `by-d` on d and e) and `others` (key p)."""
    database = GuardedDatabase(tmp_path_factory.mktemp("guarded"), store=request.param)
    names = {"p": "S", "s": "N", "d": "S", "e": "S"}
    index = {
        "IndexName": "by-d",
        "KeySchema": [
            {"AttributeName": "d", "KeyType": "HASH"},
            {"AttributeName": "e", "KeyType": "HASH"},
        ],
        "Projection": {"ProjectionType": "ALL"},
    }
    notes = NOTES | {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": type_} for name, type_ in names.items()],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        "BillingMode": "PAY_PER_REQUEST",
        "GlobalSecondaryIndexes": [index],
        "Tags": [{"Key": "Team", "Value": "blue"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    }
    others = OTHERS | {
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert database.message("CreateTable", notes) == ""
    assert database.message("CreateTable", others) == ""
    yield database
    database.close()


@pytest.fixture
def database(shared: GuardedDatabase) -> GuardedDatabase:
    shared.peer = "127.0.0.1"
    return shared.as_(ROOT)


def test_the_root_may_everything_in_its_account(database: GuardedDatabase) -> None:
    assert database.message("GetItem", GET) == ""
    assert database.message("ListTables", {}) == ""


@pytest.mark.parametrize(
    ("principal", "sentence"),
    [
        (user("a"), "because no identity-based policy allows the dynamodb:GetItem action"),
        (
            user("a", allow("dynamodb:*"), deny("*")),
            "with an explicit deny in an identity-based policy",
        ),
        (
            user("a", allow("dynamodb:*"), boundary=allow("s3:*")),
            "because no permissions boundary allows the dynamodb:GetItem action",
        ),
        (
            user("a", allow("dynamodb:*"), boundary=deny("*")),
            "with an explicit deny in a permissions boundary",
        ),
        (
            session("r", "s", allow("dynamodb:*"), session_policies=(allow("s3:*"),)),
            "because no session policy allows the dynamodb:GetItem action",
        ),
        (
            session("r", "s", allow("dynamodb:*"), session_policies=(deny("*"),)),
            "with an explicit deny in a session policy",
        ),
    ],
)
def test_a_refusal_says_who_what_and_why(database: GuardedDatabase, principal: Any, sentence: str) -> None:
    refused = f"User: {principal.arn} is not authorized to perform: dynamodb:GetItem on resource: {TABLES}notes"
    assert database.as_(principal).message("GetItem", GET) == f"AccessDeniedException: {refused} {sentence}"


def test_a_table_that_is_not_there_is_refused_like_one_that_is(database: GuardedDatabase) -> None:
    nobody = database.as_(user("a", allow("dynamodb:GetItem", f"{TABLES}notes")))
    there, gone = ({"TableName": name, "Key": {"p": {"S": "a"}}} for name in ("others", "missing"))
    assert nobody.message("GetItem", gone) == nobody.message("GetItem", there).replace("others", "missing")
    assert nobody.message("ListTables", {}).endswith(
        f"dynamodb:ListTables on resource: {TABLES}* because no identity-based policy allows the "
        "dynamodb:ListTables action"
    )
    assert "on resource: * because" in nobody.message("DescribeLimits", {})


def test_an_index_is_a_resource_of_its_own(database: GuardedDatabase) -> None:
    query = NOTES | {
        "IndexName": "by-d",
        "KeyConditionExpression": "d = :d AND e = :d",
        "ExpressionAttributeValues": {":d": {"S": "x"}},
    }
    only_table = database.as_(user("a", allow("dynamodb:*", f"{TABLES}notes")))
    assert f"{TABLES}notes/index/by-d because" in only_table.message("Query", query)
    assert not database.allows("ExecuteStatement", {"Statement": 'SELECT * FROM notes."by-d"'})
    assert database.as_(user("a", allow("dynamodb:Query", f"{TABLES}notes/index/*"))).message("Query", query) == ""


def test_a_table_is_the_same_however_the_request_names_it(database: GuardedDatabase) -> None:
    database.as_(user("a", allow("*"), deny("*", f"{TABLES}notes*")))
    for name in ("notes", f"{TABLES}notes", f"{TABLES}notes".replace("arn:aws:", "arn:aws-cn:")):
        assert "explicit deny" in database.message("GetItem", GET | {"TableName": name})
        assert "explicit deny" in database.message("ExecuteStatement", {"Statement": f'SELECT * FROM "{name}"'})
        stream = {"StreamArn": f"{name}/stream/2026-11-28T18:00:00.000"}
        assert name == "notes" or "explicit deny" in database.message("DescribeStream", stream)


@pytest.mark.parametrize(
    ("name", "arn", "account"),
    [
        ("notes", f"{TABLES}notes", "123456789012"),
        (f"{TABLES}notes", f"{TABLES}notes", "123456789012"),
        (f"{TABLES}notes/stream/2026-11-28T18:00:00.000",) * 2 + ("123456789012",),
        ("arn:x:dynamodb:eu-west-1:1:table/t/backup/01", "arn:aws:dynamodb:eu-west-1:1:table/t/backup/01", "1"),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket", "123456789012"),
        ("arn:", "arn:", "123456789012"),
    ],
)
def test_the_account_of_a_resource_is_that_of_its_arn(name: str, arn: str, account: str) -> None:
    resource = resource_of(Touch("dynamodb:Any", name), "123456789012", "us-east-1")
    assert (resource.arn, resource.account) == (arn, account)


def test_a_stream_is_a_resource_of_its_own(database: GuardedDatabase) -> None:
    _, described = database.call("DescribeTable", NOTES)
    stream = {"StreamArn": described["Table"]["LatestStreamArn"]}
    assert not database.as_(user("a", allow("dynamodb:*", f"{TABLES}notes"))).allows("DescribeStream", stream)
    reader = database.as_(user("a", allow(["dynamodb:DescribeStream", "dynamodb:Get*"], f"{TABLES}*/stream/*")))
    status, answer = reader.call("DescribeStream", stream)
    assert status == 200
    shard = {"ShardId": answer["StreamDescription"]["Shards"][0]["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    status, iterator = reader.call("GetShardIterator", stream | shard)
    assert status == 200
    assert reader.message("GetRecords", iterator) == ""
    assert not database.as_(user("a", allow("dynamodb:DescribeStream"))).allows("GetRecords", iterator)


def write(name: str, *elements: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return name, {"TransactItems": list(elements)} if name.startswith("Transact") else {
        "RequestItems": elements[0]
    }


PUT = {"Put": NOTES | {"Item": KEY}}
CHECK = {"ConditionCheck": OTHERS | {"Key": {"p": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(x)"}}
BY_PARTS = [
    (write("TransactWriteItems", PUT), ["PutItem"]),
    (write("TransactWriteItems", PUT, CHECK), ["PutItem", "ConditionCheckItem"]),
    (
        (
            "TransactGetItems",
            {"TransactItems": [{"Get": GET}]},
        ),
        ["GetItem"],
    ),
    (write("BatchGetItem", {"notes": {"Keys": [KEY]}}), ["BatchGetItem"]),
    (write("BatchWriteItem", {"notes": [{"PutRequest": {"Item": KEY}}]}), ["BatchWriteItem"]),
    (("ExecuteStatement", {"Statement": "SELECT * FROM notes"}), ["PartiQLSelect"]),
    (
        (
            "ExecuteTransaction",
            {
                "TransactStatements": [
                    {"Statement": "UPDATE notes SET x = 1 WHERE p = 'a' AND s = 1"},
                    {"Statement": "DELETE FROM others WHERE p = 'b'"},
                ]
            },
        ),
        ["PartiQLUpdate", "PartiQLDelete"],
    ),
    (
        ("CreateTable", NOTES | {"Tags": [{"Key": "a", "Value": "b"}]}),
        ["CreateTable", "TagResource"],
    ),
]


@pytest.mark.parametrize(("call", "actions"), BY_PARTS)
def test_every_part_of_a_request_is_authorized_by_its_own_action(
    database: GuardedDatabase, call: tuple[str, dict[str, Any]], actions: list[str]
) -> None:
    names = [f"dynamodb:{action}" for action in actions]
    if call[0] == "CreateTable":
        call = (
            call[0],
            call[1]
            | {
                "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )
    assert database.as_(user("a", allow(names))).allows(*call)
    for missing in names:
        others = [name for name in names if name != missing] + [f"dynamodb:{call[0]}"] * (call[0] not in actions)
        lacking = user("a", allow([*others, "s3:*"]))
        assert missing in database.as_(lacking).message(*call)


def test_who_sends_changes_to_a_stream_may_write_to_it(database: GuardedDatabase) -> None:
    stream = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
    table = allow("dynamodb:*", f"{TABLES}notes")
    writes = allow(["kinesis:DescribeStream", "kinesis:PutRecords"], f"{stream}mine")
    enable = "EnableKinesisStreamingDestination"
    assert f"kinesis:DescribeStream on resource: {stream}mine" in database.as_(user("a", table)).message(
        enable, NOTES | {"StreamArn": f"{stream}mine"}
    )
    database.as_(user("a", table, writes))
    assert not database.allows(enable, NOTES | {"StreamArn": f"{stream}others"})
    described = database.call("DescribeKinesisStreamingDestination", NOTES)[1]
    assert described["KinesisDataStreamDestinations"] == []
    assert database.allows(enable, NOTES | {"StreamArn": f"{stream}mine"})


MINE: dict[str, Any] = {
    "Condition": {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
}
MY_KEY, MY_NOTE = {"p": {"S": "alice"}, "s": {"N": "1"}}, "p = 'alice'"


@pytest.mark.parametrize(
    ("operation", "request_", "allowed"),
    [
        ("GetItem", NOTES | {"Key": MY_KEY}, True),
        ("GetItem", GET, False),
        ("GetItem", {"TableName": "missing", "Key": {"p": {"S": "a"}}}, False),
        ("PutItem", NOTES | {"Item": MY_KEY | {"x": {"S": "bob"}}}, True),
        ("PutItem", NOTES | {"Item": KEY}, False),
        ("BatchGetItem", {"RequestItems": {"notes": {"Keys": [MY_KEY]}}}, True),
        ("BatchGetItem", {"RequestItems": {"notes": {"Keys": [MY_KEY, KEY]}}}, False),
        ("BatchWriteItem", {"RequestItems": {"notes": [{"DeleteRequest": {"Key": KEY}}]}}, False),
        ("TransactWriteItems", {"TransactItems": [{"Put": NOTES | {"Item": MY_KEY}}, PUT]}, False),
        ("Scan", NOTES, False),
        ("ExecuteStatement", {"Statement": f"SELECT * FROM notes WHERE {MY_NOTE}"}, True),
        ("ExecuteStatement", {"Statement": f"SELECT * FROM notes WHERE {MY_NOTE} OR p = 'bob'"}, False),
        ("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE p IN ['alice', 'bob']"}, False),
        ("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE x = 'alice'"}, False),
        ("ExecuteStatement", {"Statement": "SELECT * FROM notes"}, False),
        ("ExecuteStatement", {"Statement": f"UPDATE notes SET x = 1 WHERE {MY_NOTE} AND s = 1"}, True),
        ("ExecuteStatement", {"Statement": "DELETE FROM notes WHERE p = 'bob' AND s = 1"}, False),
        ("ExecuteStatement", {"Statement": "INSERT INTO notes VALUE {'p': 'bob', 's': 1}"}, False),
        ("ExecuteStatement", {"Statement": f"SELECT * FROM notes WHERE NOT ({MY_NOTE})"}, False),
        ("ExecuteStatement", {"Statement": f"SELECT * FROM notes WHERE {MY_NOTE} AND p = 'bob'"}, True),
        ("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE p >= 'alice'"}, False),
        ("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE begins_with(p, 'alice')"}, False),
        (
            "ExecuteTransaction",
            {"TransactStatements": [{"Statement": "SELECT * FROM notes WHERE p = 'bob' AND s = 1"}]},
            False,
        ),
    ],
)
def test_leading_keys(database: GuardedDatabase, operation: str, request_: dict[str, Any], allowed: bool) -> None:
    assert database.as_(user("alice", allow("dynamodb:*", **MINE))).allows(operation, request_) is allowed


QUERY = NOTES | {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": {"S": "alice"}}}
BY_D = NOTES | {
    "IndexName": "by-d",
    "KeyConditionExpression": "d = :d AND e = :e",
    "ExpressionAttributeValues": {":d": {"S": "D"}, ":e": {"S": "E"}},
}


def test_leading_keys_of_a_query_are_those_of_what_it_reads(database: GuardedDatabase) -> None:
    assert database.as_(user("alice", allow("dynamodb:*", **MINE))).allows("Query", QUERY)
    assert not database.as_(user("bob", allow("dynamodb:*", **MINE))).allows("Query", QUERY)
    assert database.as_(user("D", allow("dynamodb:*", **MINE))).allows("Query", BY_D)
    second = {"ForAllValues:StringEquals": {"dynamodb:SecondPartitionKeyValues": "E"}}
    assert database.as_(user("a", allow("dynamodb:*", Condition=second))).allows("Query", BY_D)
    second = {"ForAnyValue:StringEquals": {"dynamodb:SecondPartitionKeyValues": "D"}}
    assert not database.as_(user("a", allow("dynamodb:*", Condition=second))).allows("Query", BY_D)


SOME: dict[str, Any] = {
    "Condition": {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["p", "s", "x"]},
        "StringEqualsIfExists": {
            "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
            "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"],
        },
    }
}
SET_X = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "1"}}}


@pytest.mark.parametrize(
    ("operation", "request_", "allowed"),
    [
        ("GetItem", GET, False),
        ("GetItem", GET | {"ProjectionExpression": "x.a, s"}, True),
        ("GetItem", GET | {"AttributesToGet": ["y"]}, False),
        ("Query", QUERY, False),
        ("Query", QUERY | {"ProjectionExpression": "x"}, True),
        ("Query", QUERY | {"ProjectionExpression": "x", "FilterExpression": "y = :p"}, False),
        ("Query", QUERY | {"Select": "COUNT"}, False),
        ("PutItem", NOTES | {"Item": KEY | {"x": {"S": "1"}}}, True),
        ("PutItem", NOTES | {"Item": KEY | {"y": {"S": "1"}}}, False),
        ("UpdateItem", GET | SET_X, True),
        ("UpdateItem", GET | SET_X | {"ReturnValues": "ALL_NEW"}, False),
        ("UpdateItem", GET | SET_X | {"ConditionExpression": "y = :x"}, False),
        ("UpdateItem", GET | {"UpdateExpression": "SET x = y"}, False),
        ("UpdateItem", GET | SET_X | {"UpdateExpression": "SET x = if_not_exists(y.z, :x)"}, False),
        ("UpdateItem", GET | SET_X | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}, False),
        ("DeleteItem", GET | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}, False),
        ("DeleteItem", GET | {"ReturnValuesOnConditionCheckFailure": "NONE"}, True),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": NOTES | {"Item": KEY, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}]},
            False,
        ),
        ("DeleteItem", GET, True),
        ("ExecuteStatement", {"Statement": "SELECT x FROM notes WHERE p = 'a'"}, True),
        ("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE p = 'a'"}, False),
        ("ExecuteStatement", {"Statement": "SELECT x FROM notes WHERE y = 'a'"}, False),
        ("ExecuteStatement", {"Statement": "UPDATE notes SET y = 1 WHERE p = 'a' AND s = 1"}, False),
        ("ExecuteStatement", {"Statement": "UPDATE notes SET x = y WHERE p = 'a' AND s = 1"}, False),
        (
            "ExecuteStatement",
            {
                "Statement": "UPDATE notes SET x = 1 WHERE p = 'a' AND s = 1",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
            False,
        ),
        (
            "ExecuteStatement",
            {"Statement": "UPDATE notes SET x = 1 WHERE p = 'a' AND s = 1 RETURNING ALL NEW *"},
            False,
        ),
    ],
)
def test_attributes_and_options(
    database: GuardedDatabase, operation: str, request_: dict[str, Any], allowed: bool
) -> None:
    assert database.as_(user("a", allow("dynamodb:*", **SOME))).allows(operation, request_) is allowed


def test_transactions_full_scans_and_consumed_capacity_can_be_told_apart(database: GuardedDatabase) -> None:
    only_within = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]}}
    writer = database.as_(user("a", allow("dynamodb:PutItem", Condition=only_within)))
    assert writer.allows(*write("TransactWriteItems", PUT))
    assert not writer.allows("PutItem", PUT["Put"])
    no_scan = deny("dynamodb:PartiQLSelect", Condition={"Bool": {"dynamodb:FullTableScan": "true"}})
    reader = database.as_(user("a", allow("dynamodb:*"), no_scan))
    assert reader.allows("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE p = 'a' AND x = 1"})
    assert not reader.allows("ExecuteStatement", {"Statement": "SELECT * FROM notes WHERE x = 1"})
    assert not reader.allows("ExecuteStatement", {"Statement": "SELECT * FROM notes"})
    thrifty = allow("*", Condition={"StringEquals": {"dynamodb:ReturnConsumedCapacity": "TOTAL"}})
    assert not database.as_(user("a", thrifty)).allows("GetItem", GET)
    assert database.allows("GetItem", GET | {"ReturnConsumedCapacity": "TOTAL"})


def test_a_batch_of_statements_refuses_each_by_itself(database: GuardedDatabase) -> None:
    statements = [
        "SELECT * FROM notes WHERE p = 'a' AND s = 1",
        "SELECT",
        "SELECT * FROM others WHERE p = 'a'",
        "SELECT * FROM notes WHERE p = 'b' AND s = 1",
        "SELECT * FROM nowhere WHERE p = 'a'",
    ]
    database.as_(user("a", allow("dynamodb:PartiQLSelect", f"{TABLES}notes")))
    batch = {"Statements": [{"Statement": statement} for statement in statements]}
    status, answer = database.call("BatchExecuteStatement", batch)
    errors = [response.get("Error", {}) for response in answer["Responses"]]
    assert (status, [error.get("Code") for error in errors]) == (
        200,
        [None, "ValidationError", "AccessDenied", None, "AccessDenied"],
    )
    assert errors[2]["Message"].endswith(
        f"dynamodb:PartiQLSelect on resource: {TABLES}others because no identity-based policy allows the "
        "dynamodb:PartiQLSelect action"
    )
    nothing = database.as_(user("b")).call("BatchExecuteStatement", batch)[1]
    assert {response["Error"]["Code"] for response in nothing["Responses"]} == {"AccessDenied", "ValidationError"}


def test_tags_of_resources_requests_and_principals(database: GuardedDatabase) -> None:
    same = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/Team}"}}
    policy = allow("dynamodb:GetItem", Condition=same)
    assert database.as_(user("a", policy, tags={"team": "blue"})).message("GetItem", GET) == ""
    assert not database.as_(user("a", policy, tags={"team": "red"})).allows("GetItem", GET)
    assert not database.as_(user("a", policy)).allows("GetItem", OTHERS | {"Key": {"p": {"S": "a"}}})
    tagger = {
        "StringEquals": {"aws:RequestTag/Color": ["red"]},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Color", "Size"]},
    }
    database.as_(user("a", allow("dynamodb:TagResource", Condition=tagger)))
    tag = {"ResourceArn": f"{TABLES}notes"}
    assert database.allows("TagResource", tag | {"Tags": [{"Key": "Color", "Value": "red"}]})
    assert not database.allows("TagResource", tag | {"Tags": [{"Key": "Color", "Value": "blue"}]})
    both = [{"Key": "Color", "Value": "red"}, {"Key": "Team", "Value": "red"}]
    assert not database.allows("TagResource", tag | {"Tags": both})


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}, True),
        ({"NumericLessThan": {"aws:EpochTime": "1000000000"}}, False),
        ({"StringEquals": {"aws:username": "a"}}, False),
        ({"StringEquals": {"aws:userid": "AROAR:s", "aws:PrincipalType": "AssumedRole"}}, True),
        ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/r"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1", "aws:PrincipalAccount": "123456789012"}}, True),
        ({"StringEquals": {"aws:ResourceAccount": "123456789012"}}, True),
        ({"DateEquals": {"aws:TokenIssueTime": "2026-11-28T21:15:00Z"}}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, False),
        ({"StringEquals": {"aws:UserAgent": "tester/1"}}, False),
        ({"Null": {"aws:SourceVpc": "true"}}, True),
    ],
)
def test_global_keys(database: GuardedDatabase, condition: dict[str, Any], allowed: bool) -> None:
    temporary = Session(1795900500.0, 1795904100.0)
    database.as_(session("r", "s", allow("dynamodb:GetItem", Condition=condition), session=temporary))
    database.peer = "203.0.113.9"
    assert database.allows("GetItem", GET) is allowed


def test_a_changed_policy_acts_on_the_next_request(database: GuardedDatabase) -> None:
    allowed = user("a", allow("dynamodb:GetItem"))
    assert database.as_(allowed).allows("GetItem", GET)
    assert not database.as_(user("a")).allows("GetItem", GET)
    assert database.as_(allowed).allows("GetItem", GET)
