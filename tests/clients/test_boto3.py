"""boto3, client and resource, against a running Blotter: what a Python program does with DynamoDB, all of it once.

The SDK finds the server by the environment alone, as documented. What boto3 offers above single calls
is used as programs use it: waiters, paginators, exception classes, the resource's conditions and its batch writer.
boto3 checks `x-amz-crc32` on every answer; that it can is checked here as well, for plain and for gzipped bodies.
Every test has tables of its own, named after it.
"""

from __future__ import annotations

import gzip
import http.client
import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

WAIT = {"Delay": 1, "MaxAttempts": 30}
DIGITS_38 = "12345678901234567890.123456789012345678"
EVERYTHING: dict[str, Any] = {
    "pk": "every type",
    "sk": 1,
    "text": "grüße 🦉",
    "empty": "",
    "long": Decimal(DIGITS_38),
    "small": Decimal("1E-130"),
    "large": Decimal("-" + "9" * 38),
    "bytes": Binary(bytes(range(256))),
    "yes": True,
    "nothing": None,
    "list": ["a", Decimal("1"), [], {"deep": [{"deeper": Binary(b"\0")}]}],
    "map": {"a": {"b": {"c": Decimal("0")}}, 'with.dot "and quote': ""},
    "texts": {"a", "b"},
    "numbers": {Decimal(DIGITS_38), Decimal("-1")},
    "binaries": {Binary(b"\0"), Binary(b"\xff")},
}

MakeTable = Callable[..., str]


@pytest.fixture
def session(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in aws_environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return boto3.Session()


@pytest.fixture
def client(session: Any) -> Any:
    return session.client("dynamodb")


@pytest.fixture
def make_table(client: Any, request: pytest.FixtureRequest) -> MakeTable:
    """Makes the test's table (`pk` S, `sk` N) and waits for it; further options go to CreateTable."""

    def make(**options: Any) -> str:
        name = str(request.node.name)
        client.create_table(TableName=name, **(keys() | {"BillingMode": "PAY_PER_REQUEST"} | options))
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig=WAIT)
        return name

    return make


def keys(**further: str) -> dict[str, Any]:
    return {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in {"pk": "S", "sk": "N", **further}.items()
        ],
    }


def index(name: str, *attributes: str, projection: str = "ALL") -> dict[str, Any]:
    schema = [
        {"AttributeName": attribute, "KeyType": kind}
        for attribute, kind in zip(attributes, ("HASH", "RANGE"), strict=False)
    ]
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": projection}}


def wait_for(client: Any, table: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """DescribeTable's answer once it fits: boto3 has no waiter for indexes."""
    deadline = time.monotonic() + 30
    while not fits(shown := client.describe_table(TableName=table)["Table"]):
        if time.monotonic() > deadline:
            pytest.fail(f"{table} stayed like this: {shown}")
        time.sleep(0.05)
    return dict(shown)


def indexes_ready(shown: dict[str, Any]) -> bool:
    return all(index["IndexStatus"] == "ACTIVE" for index in shown["GlobalSecondaryIndexes"])


def test_a_table_lives_and_goes(client: Any, make_table: MakeTable) -> None:
    table = make_table(DeletionProtectionEnabled=True, Tags=[{"Key": "team", "Value": "crimes"}])
    shown = client.describe_table(TableName=table)["Table"]
    assert (shown["TableStatus"], shown["ItemCount"]) == ("ACTIVE", 0)
    assert shown["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert shown["CreationDateTime"].tzinfo is not None
    with pytest.raises(client.exceptions.ResourceInUseException, match="Table already exists"):
        client.create_table(TableName=table, BillingMode="PAY_PER_REQUEST", **keys())

    pages = client.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1})
    assert table in [name for page in pages for name in page["TableNames"]]

    arn = shown["TableArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "dev"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["team"])
    tags = client.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn).build_full_result()["Tags"]
    assert tags == [{"Key": "stage", "Value": "dev"}]

    client.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    setting = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert setting == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}

    with pytest.raises(ClientError) as protected:
        client.delete_table(TableName=table)
    assert protected.value.response["Error"]["Code"] == "ValidationException"
    client.update_table(TableName=table, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table)
    client.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig=WAIT)
    with pytest.raises(client.exceptions.ResourceNotFoundException) as missing:
        client.describe_table(TableName=table)
    assert missing.value.response["Error"]["Message"] == f"Requested resource not found: Table: {table} not found"
    assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_service_calls(client: Any, server: Any) -> None:
    assert client.describe_limits()["TableMaxReadCapacityUnits"] > 0
    assert client.describe_endpoints()["Endpoints"][0]["CachePeriodInMinutes"] > 0
    assert client.meta.endpoint_url == server.url
    with pytest.raises(ClientError) as unknown:
        client.list_global_tables()
    assert unknown.value.response["Error"]["Code"] == "UnknownOperationException"


def test_every_type_through_the_resource(session: Any, make_table: MakeTable) -> None:
    table = session.resource("dynamodb").Table(make_table())
    table.put_item(Item=EVERYTHING)
    item = table.get_item(Key={"pk": "every type", "sk": 1}, ConsistentRead=True)["Item"]
    assert item == EVERYTHING
    assert str(item["long"]) == DIGITS_38
    assert (item["bytes"].value, item["yes"] is True, item["nothing"]) == (bytes(range(256)), True, None)
    assert table.scan()["Items"] == [item]
    table.reload()
    assert table.item_count == 1


def test_updates_and_what_they_return(session: Any, make_table: MakeTable) -> None:
    table = session.resource("dynamodb").Table(make_table())
    key = {"pk": "a", "sk": 1}
    table.put_item(Item=key | {"count": 1, "list": [1], "tags": {"x", "y"}, "old": "go", "map": {"in": 1}})
    changed = table.update_item(
        Key=key,
        UpdateExpression="SET #c = #c + :one, #l = list_append(#l, :more), #m.#in = if_not_exists(#m.#no, :one) "
        "REMOVE #o ADD score :one DELETE #t :x",
        ConditionExpression="attribute_exists(pk) AND #c BETWEEN :one AND :two",
        ExpressionAttributeNames={
            "#c": "count", "#l": "list", "#o": "old", "#t": "tags", "#m": "map", "#in": "in", "#no": "no"
        },
        ExpressionAttributeValues={":one": 1, ":two": 2, ":more": [Decimal("2.5")], ":x": {"x"}},
        ReturnValues="ALL_NEW",
        ReturnConsumedCapacity="TOTAL",
    )  # fmt: skip
    expected = {"count": 2, "list": [1, Decimal("2.5")], "tags": {"y"}, "map": {"in": 1}, "score": 1}
    assert changed["Attributes"] == key | expected
    assert changed["ConsumedCapacity"] == {"TableName": table.name, "CapacityUnits": 1.0}
    part = table.get_item(Key=key, ProjectionExpression="#l[1], tags", ExpressionAttributeNames={"#l": "list"})
    assert part["Item"] == {"list": [Decimal("2.5")], "tags": {"y"}}
    gone = table.delete_item(Key=key, ConditionExpression=Attr("tags").contains("y"), ReturnValues="ALL_OLD")
    assert gone["Attributes"] == key | expected
    assert "Item" not in table.get_item(Key=key)


def test_errors_are_the_classes_programs_catch(client: Any, make_table: MakeTable) -> None:
    table = make_table()
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "status": {"S": "done"}}
    client.put_item(TableName=table, Item=item)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failed:
        client.put_item(
            TableName=table,
            Item=item,
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failed.value.response["Item"] == item
    assert failed.value.response["Error"]["Message"] == "The conditional request failed"
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Requested resource not found"):
        client.get_item(TableName="no-such-table", Key={"pk": {"S": "a"}})
    with pytest.raises(ClientError, match="The provided key element does not match the schema") as wrong:
        client.get_item(TableName=table, Key={"pk": {"S": "a"}})
    assert wrong.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="Item size has exceeded the maximum allowed size"):
        client.put_item(TableName=table, Item=item | {"big": {"S": "x" * 400 * 1024}})
    with pytest.raises(ClientError, match="Invalid UpdateExpression: Syntax error"):
        client.update_item(
            TableName=table, Key={"pk": {"S": "a"}, "sk": {"N": "1"}}, UpdateExpression="SET SET a = b"
        )


def test_queries_scans_and_their_paginators(session: Any, client: Any, make_table: MakeTable) -> None:
    table = session.resource("dynamodb").Table(make_table(LocalSecondaryIndexes=[index("by-rank", "pk", "rank")],
                                                          **keys(rank="N")))  # fmt: skip
    with table.batch_writer(overwrite_by_pkeys=["pk", "sk"]) as batch:
        for number in range(60):
            batch.put_item(Item={"pk": f"p{number % 2}", "sk": number, "rank": -number})
            batch.put_item(Item={"pk": f"p{number % 2}", "sk": number, "rank": -number, "even": number % 4 == 0})
    found = table.query(KeyConditionExpression=Key("pk").eq("p0") & Key("sk").between(10, 20))["Items"]
    assert [int(item["sk"]) for item in found] == [10, 12, 14, 16, 18, 20]
    last = table.query(
        IndexName="by-rank",
        KeyConditionExpression=Key("pk").eq("p0") & Key("rank").gt(-10),
        ScanIndexForward=False,
        Limit=2,
    )
    assert [int(item["sk"]) for item in last["Items"]] == [0, 2]
    assert last["LastEvaluatedKey"] == {"pk": "p0", "sk": 2, "rank": -2}

    pages = list(
        client.get_paginator("query").paginate(
            TableName=table.name,
            KeyConditionExpression="pk = :p",
            FilterExpression="even = :yes",
            ExpressionAttributeValues={":p": {"S": "p0"}, ":yes": {"BOOL": True}},
            PaginationConfig={"PageSize": 7},
        )
    )
    assert [page["ScannedCount"] for page in pages] == [7, 7, 7, 7, 2]
    assert [int(item["sk"]["N"]) for page in pages for item in page["Items"]] == list(range(0, 60, 4))
    scan = client.get_paginator("scan")
    small = {"PageSize": 9}
    segments = [
        scan.paginate(TableName=table.name, Segment=segment, TotalSegments=3, PaginationConfig=small)
        for segment in range(3)
    ]
    seen = [int(item["sk"]["N"]) for pages in segments for page in pages for item in page["Items"]]
    assert sorted(seen) == list(range(60))
    assert table.scan(FilterExpression=Attr("rank").lt(-49), Select="COUNT")["Count"] == 10


def test_pages_end_at_one_megabyte(client: Any, make_table: MakeTable) -> None:
    table = make_table()
    for number in range(6):
        item = {"pk": {"S": "a"}, "sk": {"N": str(number)}, "fill": {"B": bytes(300_000)}}
        client.put_item(TableName=table, Item=item)
    pages = list(client.get_paginator("scan").paginate(TableName=table))
    assert len(pages) == 2
    assert sum(page["Count"] for page in pages) == 6


def test_an_index_added_to_a_live_table(session: Any, client: Any, make_table: MakeTable) -> None:
    table = session.resource("dynamodb").Table(make_table())
    with table.batch_writer() as batch:
        for number in range(50):
            batch.put_item(Item={"pk": f"p{number}", "sk": number, "kind": f"k{number % 5}", "note": "n"})
    client.update_table(
        TableName=table.name,
        AttributeDefinitions=keys(kind="S")["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": index("by-kind", "kind", "sk", projection="KEYS_ONLY")}],
    )
    shown = wait_for(client, table.name, indexes_ready)["GlobalSecondaryIndexes"][0]
    assert (shown["ItemCount"], shown["Projection"]) == (50, {"ProjectionType": "KEYS_ONLY"})
    table.put_item(Item={"pk": "later", "sk": 100, "kind": "k1"})
    found = table.query(IndexName="by-kind", KeyConditionExpression=Key("kind").eq("k1") & Key("sk").gte(40))
    assert found["Items"] == [
        {"pk": "p41", "sk": 41, "kind": "k1"},
        {"pk": "p46", "sk": 46, "kind": "k1"},
        {"pk": "later", "sk": 100, "kind": "k1"},
    ]
    assert table.scan(IndexName="by-kind", Select="COUNT")["Count"] == 51
    client.update_table(TableName=table.name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-kind"}}])
    wait_for(client, table.name, lambda shown: "GlobalSecondaryIndexes" not in shown)
    with pytest.raises(ClientError, match="The table does not have the specified index: by-kind"):
        table.scan(IndexName="by-kind")


def test_batches_hand_back_what_did_not_fit(session: Any, make_table: MakeTable) -> None:
    """48 items of 390 KB: more than the 16 MB that an answer holds, so that a program must ask again."""
    resource = session.resource("dynamodb")
    table = resource.Table(make_table())
    with table.batch_writer() as batch:
        for number in range(48):
            batch.put_item(Item={"pk": "a", "sk": number, "fill": "x" * 390_000})
    asked: dict[str, Any] = {table.name: {"Keys": [{"pk": "a", "sk": number} for number in range(48)]}}
    answers = []
    while asked:
        answer = resource.batch_get_item(RequestItems=asked)
        answers.append([int(item["sk"]) for item in answer["Responses"][table.name]])
        asked = answer["UnprocessedKeys"]
    assert len(answers) == 2
    assert sorted(number for answer in answers for number in answer) == list(range(48))
    with table.batch_writer() as batch:
        for number in range(48):
            batch.delete_item(Key={"pk": "a", "sk": number})
    assert table.scan()["Count"] == 0


def test_transactions(client: Any, make_table: MakeTable) -> None:
    table = make_table()

    def put(number: int, **further: Any) -> dict[str, Any]:
        item = {"pk": {"S": "a"}, "sk": {"N": str(number)}, "v": {"N": "1"}}
        return {"Put": {"TableName": table, "Item": item, **further}}

    def key(number: int) -> dict[str, Any]:
        return {"TableName": table, "Key": {"pk": {"S": "a"}, "sk": {"N": str(number)}}}

    once = {"TransactItems": [put(1), put(2)], "ClientRequestToken": "token-1"}
    client.transact_write_items(**once)
    add = {"UpdateExpression": "ADD v :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    counted = {"TransactItems": [{"Update": key(1) | add}, put(3)], "ClientRequestToken": "token-2"}
    client.transact_write_items(**counted)
    client.transact_write_items(**counted)
    got = client.transact_get_items(TransactItems=[{"Get": key(number)} for number in (1, 9, 3)])
    assert [answer.get("Item", {}).get("v") for answer in got["Responses"]] == [{"N": "2"}, None, {"N": "1"}]
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.transact_write_items(**(counted | {"TransactItems": [put(3)]}))

    missing = {"ConditionExpression": "attribute_not_exists(pk)"}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(
            TransactItems=[
                put(4),
                put(2, ReturnValuesOnConditionCheckFailure="ALL_OLD", **missing),
                {"ConditionCheck": key(1) | missing},
                {"Delete": key(3)},
            ]
        )
    reasons = cancelled.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == [
        "None", "ConditionalCheckFailed", "ConditionalCheckFailed", "None"
    ]  # fmt: skip
    assert reasons[1]["Item"] == {"pk": {"S": "a"}, "sk": {"N": "2"}, "v": {"N": "1"}}
    assert "Item" not in reasons[2]
    assert cancelled.value.response["Error"]["Message"] == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed, ConditionalCheckFailed, None]"
    )
    assert client.scan(TableName=table, Select="COUNT")["Count"] == 3


def test_partiql(client: Any, make_table: MakeTable) -> None:
    table = make_table()
    item = "{'pk': 'a', 'sk': ?, 'tags': <<'x', 'y'>>, 'deep': {'v': [1]}}"
    for number in range(5):
        insert = f'INSERT INTO "{table}" VALUE {item}'
        inserted = client.execute_statement(Statement=insert, Parameters=[{"N": str(number)}])
        assert inserted.get("Items", []) == []
    with pytest.raises(client.exceptions.DuplicateItemException):
        client.execute_statement(Statement=f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'sk': 1}}")

    select = {"Statement": f'SELECT sk, deep.v[0] FROM "{table}" WHERE pk = ? AND sk BETWEEN 1 AND 4', "Limit": 3}
    first = client.execute_statement(**select, Parameters=[{"S": "a"}])
    rest = client.execute_statement(**select, Parameters=[{"S": "a"}], NextToken=first["NextToken"])
    assert [item["sk"]["N"] for item in first["Items"] + rest["Items"]] == ["1", "2", "3", "4"]
    assert "NextToken" not in rest

    updated = client.execute_statement(
        Statement=f"UPDATE \"{table}\" SET v = ? REMOVE deep WHERE pk = 'a' AND sk = 1 RETURNING ALL NEW *",
        Parameters=[{"B": b"\x00\xff"}],
    )
    (new,) = updated["Items"]
    assert (new["v"], sorted(new["tags"]["SS"]), "deep" in new) == ({"B": b"\x00\xff"}, ["x", "y"], False)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.execute_statement(Statement=f"UPDATE \"{table}\" SET v = 1 WHERE pk = 'a' AND sk = 99")

    answers = client.batch_execute_statement(
        Statements=[
            {"Statement": f"SELECT * FROM \"{table}\" WHERE pk = 'a' AND sk = 2"},
            {"Statement": "SELECT * FROM \"no-such-table\" WHERE pk = 'a' AND sk = 2"},
        ]
    )["Responses"]
    assert answers[0]["Item"]["sk"] == {"N": "2"}
    assert answers[1]["Error"]["Code"] == "ResourceNotFound"

    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.execute_transaction(
            TransactStatements=[
                {"Statement": f"DELETE FROM \"{table}\" WHERE pk = 'a' AND sk = 0"},
                {"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'sk': 1}}"},
            ]
        )
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == [
        "None",
        "DuplicateItem",
    ]
    once = {
        "TransactStatements": [{"Statement": f"DELETE FROM \"{table}\" WHERE pk = 'a' AND sk = 0"}],
        "ClientRequestToken": "partiql-1",
    }
    client.execute_transaction(**once)
    client.execute_transaction(**once)
    assert client.scan(TableName=table, Select="COUNT")["Count"] == 4


def test_a_stream_is_read(session: Any, client: Any, make_table: MakeTable) -> None:
    table = make_table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    client.put_item(TableName=table, Item=key | {"v": {"B": b"\x00"}})
    client.put_item(TableName=table, Item=key | {"v": {"B": b"\xff"}})
    client.delete_item(TableName=table, Key=key)

    streams: Any = session.client("dynamodbstreams")
    (listed,) = streams.list_streams(TableName=table)["Streams"]
    assert listed["StreamArn"] == client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    described = streams.describe_stream(StreamArn=listed["StreamArn"])["StreamDescription"]
    assert described["StreamStatus"] == "ENABLED"
    records = []
    for shard in described["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=listed["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records += streams.get_records(ShardIterator=iterator)["Records"]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    images = [(record["dynamodb"].get("OldImage"), record["dynamodb"].get("NewImage")) for record in records]
    first, second = key | {"v": {"B": b"\x00"}}, key | {"v": {"B": b"\xff"}}
    assert images == [(None, first), (first, second), (second, None)]
    with pytest.raises(streams.exceptions.ResourceNotFoundException):
        streams.describe_stream(StreamArn=listed["StreamArn"].replace(table, "no-such-table"))


def test_checksums_fit_the_bytes_as_sent_plain_and_gzipped(
    client: Any, make_table: MakeTable, server: Any
) -> None:
    table = make_table()
    client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1"}, "fill": {"S": "x" * 20_000}})
    sent: list[Any] = []
    client.meta.events.register("before-send.dynamodb.GetItem", lambda request, **_: sent.append(request))
    item = client.get_item(TableName=table, Key={"pk": {"S": "a"}, "sk": {"N": "1"}})["Item"]
    (request,) = sent
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    plain, small = _answer(connection, request, "identity"), _answer(connection, request, "gzip")
    connection.close()
    assert len(small) < len(plain)
    assert gzip.decompress(small) == plain
    assert item["fill"]["S"].encode() in plain


def _answer(connection: http.client.HTTPConnection, request: Any, encoding: str) -> bytes:
    """The body as it came over the wire, for a request that boto3 signed."""
    headers = {
        name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    connection.request("POST", "/", request.body, headers | {"Accept-Encoding": encoding})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200
    assert answer.getheader("Content-Encoding", "identity") == encoding
    assert answer.getheader("x-amz-crc32") == str(crc32(body))
    return body


def test_who_am_i(session: boto3.Session) -> None:
    sts = session.client("sts")
    identity = sts.get_caller_identity()
    assert identity["Account"] == identity["UserId"] == "123456789012"
    assert identity["Arn"] == "arn:aws:iam::123456789012:root"
    with pytest.raises(ClientError) as refused:
        sts.get_session_token()
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert "--access enforced" in refused.value.response["Error"]["Message"]


def test_users_need_access_control(session: boto3.Session) -> None:
    """Under open access their policies would not be evaluated."""
    with pytest.raises(ClientError) as refused:
        session.client("iam").list_users()
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert "--access enforced" in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("iam", "list_instance_profile_tags", "InvalidAction"),
        ("cloudtrail", "list_trails", "UnknownOperationException"),
        ("cloudwatch", "list_dashboards", "UnknownOperationException"),
    ],
)
def test_services_to_come_name_themselves(session: Any, service: str, operation: str, code: str) -> None:
    """boto3 uses XML, JSON 1.1 and, with CloudWatch, CBOR; it reads the code and the message out of each."""
    arguments = {"InstanceProfileName": "machines"} if service == "iam" else {}
    client = session.client(service)
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**arguments)
    error = refused.value.response["Error"]
    assert error["Code"] == code
    assert "Blotter does not implement" in error["Message"]


def test_a_service_that_is_not_here_says_so(session: Any) -> None:
    with pytest.raises(ClientError, match="AWS_ENDPOINT_URL_S3"):
        session.client("s3").list_buckets()


def test_a_vector_index_is_searched(client: Any, make_table: MakeTable) -> None:
    search_schema = [
        {"AttributeName": "tenant", "SearchSchemaElementType": "HASH"},
        {"AttributeName": "color", "SearchSchemaElementType": "INLINE_FILTER"},
    ]
    vector_index = {
        "IndexName": "by-meaning",
        "VectorAttribute": {"AttributeName": "embedding"},
        "Dimensions": 3,
        "DistanceFunction": "COSINE",
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title", "embedding"]},
        "SearchSchema": search_schema,
    }
    table = make_table(VectorIndexes=[vector_index], **keys(tenant="S", color="S"))
    later = {**vector_index, "IndexName": "by-distance", "DistanceFunction": "EUCLIDEAN", "SearchSchema": []}
    later = {name: value for name, value in later.items() if value}

    def vector(*numbers: str) -> list[dict[str, str]]:
        return [{"N": number} for number in numbers]

    for sort, (color, numbers) in enumerate({"red": ("1", "0", "0"), "blue": ("0", "0.1", "0")}.items()):
        item = {"pk": {"S": "a"}, "sk": {"N": str(sort)}, "tenant": {"S": "t"}, "color": {"S": color}}
        more = {"title": {"S": f"the {color} one"}, "embedding": {"L": vector(*numbers)}, "hidden": {"S": "x"}}
        client.put_item(TableName=table, Item=item | more)

    client.update_table(TableName=table, VectorIndexUpdates=[{"Create": later}])
    shown = wait_for(
        client, table, lambda shown: {each["IndexStatus"] for each in shown["VectorIndexes"]} == {"ACTIVE"}
    )
    assert [(each["IndexName"], each["ItemCount"]) for each in shown["VectorIndexes"]] == [
        ("by-meaning", 2),
        ("by-distance", 2),
    ]

    found = client.search_vectors(
        TableName=table,
        IndexName="by-meaning",
        SearchVector=vector("0", "1", "0"),
        TopK=5,
        SearchConditionExpression="tenant = :t AND color = :c",
        ExpressionAttributeValues={":t": {"S": "t"}, ":c": {"S": "blue"}},
        ProjectionExpression="title, embedding",
        ReturnConsumedCapacity="TOTAL",
    )
    shown_vector = {"L": vector("0.0", "0.1", "0.0")}
    assert found["SearchResults"] == [
        {"Item": {"title": {"S": "the blue one"}, "embedding": shown_vector}, "Score": 0.0}
    ]
    assert found["ConsumedCapacity"] == {"VectorSearchRequestBytes": 1024.0}
    found = client.search_vectors(
        TableName=table, IndexName="by-distance", SearchVector=vector("1", "0", "0"), TopK=1
    )
    assert [(each["Item"]["sk"]["N"], each["Score"]) for each in found["SearchResults"]] == [("0", 0.0)]

    with pytest.raises(client.exceptions.ClientError, match="SearchConditionExpression must be provided"):
        client.search_vectors(TableName=table, IndexName="by-meaning", SearchVector=vector("1", "0", "0"), TopK=1)
    client.update_table(TableName=table, VectorIndexUpdates=[{"Delete": {"IndexName": "by-meaning"}}])
    wait_for(
        client, table, lambda shown: [each["IndexName"] for each in shown["VectorIndexes"]] == ["by-distance"]
    )
