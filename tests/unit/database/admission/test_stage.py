"""What is throttled, with which error, and what becomes of the units of requests that end this way or that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.admission.buckets import Bucket, Buckets
from blotter.database.operations.items import PutPlan
from tests.in_process import InProcessDatabase

TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/things"
TABLE_MESSAGE = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
    "provisioning level with the UpdateTable API."
)
INDEX_MESSAGE = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
    "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes "
    "with the UpdateTable API"
)
BURST = 300


class Clock:
    """The wall clock and the one of the buckets."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., InProcessDatabase]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "memory", "distant"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Make]:
    made = []

    def make(**options: Any) -> InProcessDatabase:
        options.setdefault("buckets", Buckets(shared=False, clock=clock))
        made.append(InProcessDatabase(tmp_path, clock, store=request.param, **options))
        return made[-1]

    yield make
    for database in made:
        database.close()


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def create(database: InProcessDatabase, name: str = "things", **members: Any) -> None:
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        **members,
    }
    if "BillingMode" not in members:
        request.setdefault("ProvisionedThroughput", units(1, 1))
    indexes = request.get("GlobalSecondaryIndexes")
    if indexes:
        request["AttributeDefinitions"].append({"AttributeName": "kind", "AttributeType": "S"})
    assert ok(database, "CreateTable", request)


def an_index(**members: Any) -> dict[str, Any]:
    return {
        "IndexName": "by-kind",
        "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
        **members,
    }


def ok(database: InProcessDatabase, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    status, body = database.call(operation, request)
    assert status == 200, body
    return body


def put(database: InProcessDatabase, name: str = "things", **attributes: str) -> tuple[int, dict[str, Any]]:
    item = {"id": {"S": "a"}} | {key: {"S": value} for key, value in attributes.items()}
    return database.call("PutItem", {"TableName": name, "Item": item})


def get(database: InProcessDatabase, **members: Any) -> tuple[int, dict[str, Any]]:
    return database.call("GetItem", {"TableName": "things", "Key": {"id": {"S": "a"}}, **members})


def how_often(request: Callable[[], tuple[int, dict[str, Any]]], most: int = 2000) -> int:
    for count in range(most):
        if request()[0] != 200:
            return count
    return most


def test_writes_get_the_burst_and_then_the_rate(make: Make, clock: Clock) -> None:
    database = make()
    create(database, ProvisionedThroughput=units(1, 2))
    assert how_often(lambda: put(database)) == 2 * BURST
    clock.now += 3.0
    assert how_often(lambda: put(database)) == 6
    assert put(database) == (
        400,
        {
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": TABLE_MESSAGE,
            "ThrottlingReasons": [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": TABLE_ARN}],
        },
    )
    assert get(database)[0] == 200


def test_reads_cost_half_a_unit_and_a_whole_one_when_consistent(make: Make, clock: Clock) -> None:
    database = make()
    create(database)
    assert how_often(lambda: get(database)) == 2 * BURST
    clock.now += 10.0
    assert how_often(lambda: get(database, ConsistentRead=True)) == 10
    status, body = get(database)
    assert (status, body["ThrottlingReasons"]) == (
        400,
        [{"reason": "TableReadProvisionedThroughputExceeded", "resource": TABLE_ARN}],
    )


def test_what_a_request_really_consumed_is_charged(make: Make, clock: Clock) -> None:
    database = make()
    create(database, ProvisionedThroughput=units(1, 10))
    assert how_often(lambda: put(database, text="x" * 9_900)) == 10 * BURST // 10
    clock.now += 100.0
    assert put(database, text="x" * 399_000)[0] == 200  # 390 units
    # 1,000 units had come in, of which 610 are left.
    assert how_often(lambda: put(database, id="b", text="x" * 99_000)) == 7  # 97 units each
    clock.now += 3.0
    assert put(database, id="c")[0] == 400  # what is owed is filled in first
    clock.now += 30.0
    assert put(database, id="c")[0] == 200


def test_a_scan_may_read_a_page_that_takes_minutes_to_earn(make: Make) -> None:
    database = make()
    create(database, ProvisionedThroughput=units(1, 40_000))
    for number in range(4):
        ok(
            database,
            "PutItem",
            {"TableName": "things", "Item": {"id": {"S": str(number)}, "t": {"S": "x" * 390_000}}},
        )
    assert how_often(lambda: database.call("Scan", {"TableName": "things"})) == 3  # 128 units a page
    assert database.call("Scan", {"TableName": "things"})[0] == 400


def test_a_request_that_fails_consumes_what_its_error_says(make: Make) -> None:
    database = make()
    create(database)
    assert put(database)[0] == 200
    wrong = {"TableName": "things", "Key": {"other": {"S": "a"}}}
    assert all(database.call("DeleteItem", wrong)[0] == 400 for _ in range(BURST + 10))
    request = {
        "TableName": "things",
        "Item": {"id": {"S": "a"}},
        "ConditionExpression": "attribute_not_exists(id)",
    }
    codes = [database.call("PutItem", request)[1]["__type"].rpartition("#")[2] for _ in range(BURST)]
    assert codes == ["ConditionalCheckFailedException"] * (BURST - 1) + ["ProvisionedThroughputExceededException"]


def test_a_table_on_demand_has_no_limit_but_its_maxima(make: Make) -> None:
    database = make()
    create(database, BillingMode="PAY_PER_REQUEST")
    assert how_often(lambda: put(database), 400) == 400
    maxima = {"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 1}
    ok(database, "UpdateTable", {"TableName": "things", "OnDemandThroughput": maxima})
    assert how_often(lambda: put(database)) == BURST
    assert how_often(lambda: get(database)) == 2 * BURST
    assert put(database) == (
        400,
        {
            "__type": "com.amazon.coral.availability#ThrottlingException",
            "message": "Throughput exceeds the maximum OnDemandThroughput configured on table or index",
            "throttlingReasons": [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": TABLE_ARN}],
        },
    )
    ok(database, "UpdateTable", {"TableName": "things", "OnDemandThroughput": {"MaxWriteRequestUnits": -1}})
    assert how_often(lambda: put(database), 400) == 400
    assert get(database)[0] == 400


def test_other_units_are_in_force_at_once_and_saved_ones_are_kept(make: Make, clock: Clock) -> None:
    database = make()
    create(database)
    assert how_often(lambda: put(database)) == BURST
    ok(database, "UpdateTable", {"TableName": "things", "ProvisionedThroughput": units(1, 50)})
    assert put(database)[0] == 400
    clock.now += 2.0
    assert how_often(lambda: put(database)) == 100
    ok(database, "UpdateTable", {"TableName": "things", "BillingMode": "PAY_PER_REQUEST"})
    assert how_often(lambda: put(database), 400) == 400


def test_while_a_table_is_updating_the_units_before_are_in_force(make: Make, clock: Clock) -> None:
    database = make(table_delay=60.0)
    create(database)
    clock.now += 60.0
    assert how_often(lambda: put(database)) == BURST
    ok(database, "UpdateTable", {"TableName": "things", "ProvisionedThroughput": units(1, 100)})
    clock.now += 10.0
    assert how_often(lambda: put(database)) == 10
    clock.now += 50.0
    put(database)
    clock.now += 1.0
    assert how_often(lambda: put(database)) > 100


def test_a_table_of_the_same_name_starts_anew(make: Make) -> None:
    database = make()
    create(database)
    assert how_often(lambda: put(database)) == BURST
    ok(database, "DeleteTable", {"TableName": "things"})
    create(database)
    assert how_often(lambda: put(database)) == BURST


def test_a_global_index_that_cannot_keep_up_throttles_its_table(make: Make) -> None:
    database = make()
    create(
        database,
        ProvisionedThroughput=units(5, 1000),
        GlobalSecondaryIndexes=[an_index(ProvisionedThroughput=units(1, 1))],
    )
    numbers = iter(range(10_000))
    assert how_often(lambda: put(database, kind=f"k{next(numbers)}")) < BURST
    status, body = put(database, kind="z")
    assert (status, body["message"]) == (400, INDEX_MESSAGE)
    reason = {"reason": "IndexWriteProvisionedThroughputExceeded", "resource": f"{TABLE_ARN}/index/by-kind"}
    assert body["ThrottlingReasons"] == [reason]
    assert get(database)[0] == 200


def test_reads_of_a_global_index_use_its_units_and_of_a_local_one_the_tables(make: Make) -> None:
    database = make()
    local = {
        "IndexName": "by-size",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "size", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    names = [("id", "S"), ("sort", "S"), ("size", "S"), ("kind", "S")]
    request = {
        "TableName": "things",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in names],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "sort", "KeyType": "RANGE"}],
        "LocalSecondaryIndexes": [local],
        "GlobalSecondaryIndexes": [an_index(ProvisionedThroughput=units(1, 1))],
        "ProvisionedThroughput": units(2, 2),
    }
    ok(database, "CreateTable", request)

    def query(index: str | None, name: str) -> tuple[int, dict[str, Any]]:
        names = {"IndexName": index} if index else {}
        values = {"ExpressionAttributeValues": {":v": {"S": "a"}}, "ExpressionAttributeNames": {"#n": name}}
        return database.call(
            "Query", {"TableName": "things", "KeyConditionExpression": "#n = :v", **names, **values}
        )

    assert how_often(lambda: query("by-kind", "kind")) == 2 * BURST
    reasons = query("by-kind", "kind")[1]["ThrottlingReasons"]
    assert reasons == [
        {"reason": "IndexReadProvisionedThroughputExceeded", "resource": f"{TABLE_ARN}/index/by-kind"}
    ]
    assert how_often(lambda: query("by-size", "id")) == 4 * BURST
    assert query(None, "id")[1]["ThrottlingReasons"][0]["reason"] == "TableReadProvisionedThroughputExceeded"


def test_a_batch_leaves_unprocessed_what_is_throttled(make: Make, clock: Clock) -> None:
    database = make()
    create(database)
    create(database, "others", BillingMode="PAY_PER_REQUEST")
    assert how_often(lambda: put(database)) == BURST
    clock.now += 3.0
    writes = [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(5)]
    body = ok(database, "BatchWriteItem", {"RequestItems": {"things": writes, "others": writes[:1]}})
    assert body["UnprocessedItems"] == {"things": writes[3:]}
    request = {"RequestItems": {"things": writes}}
    status, body = database.call("BatchWriteItem", request)
    assert (status, body["message"]) == (400, TABLE_MESSAGE)
    clock.now += 1.0
    deletion = [{"DeleteRequest": {"Key": {"id": {"S": "9"}}}}]
    assert ok(database, "BatchWriteItem", {"RequestItems": {"things": deletion + writes}})["UnprocessedItems"] == {
        "things": writes
    }
    assert ok(database, "Scan", {"TableName": "things"})["Count"] == 4


def test_a_batch_of_reads_leaves_keys_unprocessed(make: Make, clock: Clock) -> None:
    database = make()
    create(database)
    create(database, "others", BillingMode="PAY_PER_REQUEST")
    put(database)
    assert how_often(lambda: get(database)) == 2 * BURST
    clock.now += 1.0
    keys = [{"id": {"S": key}} for key in ("x", "a", "y")]
    request = {"things": {"Keys": keys, "ProjectionExpression": "id"}, "others": {"Keys": keys[:1]}}
    body = ok(database, "BatchGetItem", {"RequestItems": request, "ReturnConsumedCapacity": "TOTAL"})
    assert body["Responses"] == {"things": [{"id": {"S": "a"}}], "others": []}
    assert body["UnprocessedKeys"] == {"things": {"Keys": keys[2:], "ProjectionExpression": "id"}}
    assert [each["CapacityUnits"] for each in body["ConsumedCapacity"]] == [1.0, 0.5]
    status, body = database.call("BatchGetItem", {"RequestItems": {"things": {"Keys": keys}}})
    assert (status, body["message"]) == (400, TABLE_MESSAGE)
    twice = {"things": {"Keys": [*keys, keys[0]]}}
    clock.now += 1.0
    status, body = database.call("BatchGetItem", {"RequestItems": twice})
    assert (status, body["message"]) == (400, "Provided list of item keys contains duplicates")


def test_a_transaction_is_refused_as_a_whole(make: Make, clock: Clock) -> None:
    database = make()
    create(database)
    create(database, "others", BillingMode="PAY_PER_REQUEST")
    assert how_often(lambda: put(database)) == BURST
    clock.now += 1.0
    actions = [
        {"Put": {"TableName": name, "Item": {"id": {"S": key}}}}
        for name, key in (("others", "a"), ("things", "b"), ("things", "c"))
    ]
    status, body = database.call("TransactWriteItems", {"TransactItems": actions})
    assert (status, body["__type"].rpartition("#")[2]) == (400, "TransactionCanceledException")
    assert body["CancellationReasons"] == [
        {"Code": "None"},
        {"Code": "None"},
        {"Code": "ProvisionedThroughputExceeded", "Message": TABLE_MESSAGE},
    ]
    assert ok(database, "Scan", {"TableName": "others"})["Count"] == 0
    assert how_often(lambda: put(database)) == 1  # nothing was kept of it


def test_statements_of_a_batch_are_throttled_one_by_one(make: Make, clock: Clock) -> None:
    database = make()
    create(database)
    assert how_often(lambda: put(database)) == BURST
    clock.now += 2.0
    statements = [{"Statement": f"INSERT INTO things VALUE {{'id': '{key}'}}"} for key in "bcd"]
    body = ok(database, "BatchExecuteStatement", {"Statements": statements})
    error = {"Code": "ProvisionedThroughputExceeded", "Message": TABLE_MESSAGE}
    assert [response.get("Error") for response in body["Responses"]] == [None, None, error]
    status, body = database.call("ExecuteStatement", statements[2])
    assert (status, body["message"]) == (400, TABLE_MESSAGE)


def test_transactions_of_statements_are_refused_as_a_whole(make: Make) -> None:
    database = make()
    create(database)
    assert how_often(lambda: put(database)) == BURST
    statements = [{"Statement": f"INSERT INTO things VALUE {{'id': '{key}'}}"} for key in "bc"]
    status, body = database.call("ExecuteTransaction", {"TransactStatements": statements})
    assert status == 400
    assert [reason["Code"] for reason in body["CancellationReasons"]] == ["ProvisionedThroughputExceeded"] * 2


def test_operations_on_tables_and_other_tables_are_not_throttled(make: Make) -> None:
    database = make()
    create(database)
    create(database, "others")
    assert how_often(lambda: put(database)) == BURST
    assert ok(database, "DescribeTable", {"TableName": "things"})
    assert how_often(lambda: put(database, "others")) == BURST


def test_a_table_named_by_its_arn_has_the_same_units(make: Make) -> None:
    database = make()
    create(database)
    assert how_often(lambda: put(database, TABLE_ARN)) == BURST
    assert put(database)[0] == 400


def test_a_partition_serves_1000_writes_and_3000_reads_a_second(make: Make, clock: Clock) -> None:
    database = make(partition_limits=True)
    create(database, BillingMode="PAY_PER_REQUEST")
    assert how_often(lambda: put(database)) == 1000
    status, body = put(database)
    assert (status, body["__type"]) == (400, "com.amazon.coral.availability#ThrottlingException")
    assert body["message"].startswith("Throughput exceeds the current capacity of your table or index.")
    assert body["throttlingReasons"] == [{"reason": "TableWriteKeyRangeThroughputExceeded", "resource": TABLE_ARN}]
    assert put(database, id="b")[0] == 200
    clock.now += 0.1
    assert how_often(lambda: put(database)) == 100


def test_an_account_gives_a_table_on_demand_40000_units(make: Make, clock: Clock) -> None:
    buckets = Buckets(shared=False, clock=clock)
    database = make(account_quotas=True, buckets=buckets)
    create(database, BillingMode="PAY_PER_REQUEST")
    assert put(database)[0] == 200
    table = database.run(database.storage.fetch(lambda tx: tx.find_table("123456789012", "us-east-1", "things")))
    assert table is not None
    buckets.put_back()
    buckets.charge(Bucket(4 * table.space + 2, 40_000.0), 40_000.0 * BURST - 2)
    assert put(database)[0] == 200
    status, body = put(database)
    assert (status, body["__type"].rpartition("#")[2]) == (400, "RequestLimitExceeded")
    assert body["ThrottlingReasons"] == [{"reason": "TableWriteAccountLimitExceeded", "resource": TABLE_ARN}]


def test_where_no_table_is_limited_requests_are_not_looked_at(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store across a network is asked at the first request after a change, which does not wait for it."""
    made = []
    touches = PutPlan.touches
    monkeypatch.setattr(PutPlan, "touches", lambda plan: made.append(plan) or touches(plan))
    database = make()
    create(database, "free", BillingMode="PAY_PER_REQUEST")
    put(database, "other")
    made.clear()
    put(database, "free")
    assert len(made) == 0
    create(database)
    put(database, "free")
    assert made
    assert how_often(lambda: put(database)) == BURST
    ok(database, "DeleteTable", {"TableName": "things"})
    put(database, "other")
    made.clear()
    put(database, "free")
    assert len(made) == 0
    for number in range(32):
        create(database, f"free-{number}", BillingMode="PAY_PER_REQUEST")
    put(database, "other")
    made.clear()
    put(database, "free")
    assert made, "too many to look at them all"
