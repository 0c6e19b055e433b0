"""What requests count: compared with the capacity that their answers report, and with what was sent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.http.messages import Request, Response
from blotter.database.metrics.counting import Counters
from blotter.database.metrics.names import DECLARED, DYNAMODB, Metric, namespace_of, throttle_metrics
from blotter.database.metrics.points import Point
from blotter.database.metrics.series import MetricReader
from blotter.database.metrics.shared import SharedCounters
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.operations.answers import Result
from blotter.database.operations.context import Context
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

NOW = 1_796_000_040


class Counted:
    """A database whose requests are counted. `point` reads the point of a metric, whatever the minute."""

    def __init__(self, folder: Path, store: str = "memory", **settings: Any) -> None:
        self.now = float(NOW)
        self.shared = SharedCounters(1, ACCOUNT, REGION)
        self.counters = Counters(self.shared.slot(0), ACCOUNT, REGION, self.clock)
        self.database = InProcessDatabase(
            folder, clock=self.clock, counters=self.counters, store=store, **settings
        )
        self.call = self.database.call

    def clock(self) -> float:
        """A millisecond later each time."""
        self.now += 0.001
        return self.now

    def ok(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.call(operation, request)
        assert status == 200, body
        return body

    def code(self, operation: str, **request: Any) -> str:
        status, body = self.call(operation, request)
        assert status >= 400
        code: str = body["__type"].rpartition("#")[2]
        return code

    def points(self) -> dict[tuple[str, tuple[str, ...]], Point]:
        """Points by name and values of dimensions."""
        self.counters.flush()
        found: dict[tuple[str, tuple[str, ...]], Point] = {}
        for arena in self.shared.ids():
            counted = self.shared.read(arena)
            assert counted is not None
            for metric, _, point in counted.points:
                assert (metric.account, metric.region, metric.namespace) == (ACCOUNT, REGION, DYNAMODB)
                key = metric.name, tuple(value for _, value in metric.dimensions)
                found.setdefault(key, Point(0, 0, 0, 0, 0)).add(point)
        return found

    def sums(self, *names: str) -> dict[tuple[str, ...], float]:
        """Sums of metrics by name and values of dimensions."""
        return {(name, *where): each.total for (name, where), each in self.points().items() if name in names}

    def close(self) -> None:
        self.database.close()


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    database = Counted(tmp_path)
    yield database
    database.close()


def make_table(counted: Counted, name: str = "tab", **more: Any) -> None:
    counted.ok(
        "CreateTable",
        TableName=name,
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("id", "at", "date_")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[index("local", "id", "date_")],
        GlobalSecondaryIndexes=[index("by-day", "date_", "id")],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )


def index(name: str, *keys: str) -> dict[str, Any]:
    schema = [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=True)]
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}


def item(number: int, size: int = 10) -> dict[str, Any]:
    return {
        "id": {"S": f"id-{number % 7}"},
        "at": {"S": str(number)},
        "date_": {"S": f"date_-{number % 3}"},
        "x": {"S": "x" * size},
    }


def key(number: int) -> dict[str, Any]:
    return {name: value for name, value in item(number).items() if name in ("id", "at")}


class Reported:
    """Adds up the ConsumedCapacity of answers: what a client can know."""

    def __init__(self) -> None:
        self.units: Counter[tuple[str, ...]] = Counter()

    def add(self, answer: dict[str, Any], *, writes: bool) -> None:
        name = f"Consumed{'Write' if writes else 'Read'}CapacityUnits"
        found = answer.get("ConsumedCapacity", [])
        for each in found if isinstance(found, list) else [found]:
            table = each["TableName"]
            self.units[name, table] += each["Table"]["CapacityUnits"]
            for units in each.get("LocalSecondaryIndexes", {}).values():
                self.units[name, table] += units["CapacityUnits"]
            for index_name, units in each.get("GlobalSecondaryIndexes", {}).items():
                self.units[name, index_name, table] += units["CapacityUnits"]


@pytest.mark.parametrize("store", ["memory", "sqlite", "distant", "heavy"])
def test_units_are_those_that_answers_report(tmp_path: Path, store: str) -> None:
    counted, reported, chance = Counted(tmp_path, store), Reported(), random.Random(14)
    for table in ("tab", "other"):
        make_table(counted, table)
    sent: Counter[tuple[str, str]] = Counter()
    shown = {"ReturnConsumedCapacity": "INDEXES"}

    def send(operation: str, table: str, *, writes: bool, **request: Any) -> dict[str, Any]:
        answer = counted.ok(operation, **request, **shown)
        reported.add(answer, writes=writes)
        sent[operation, table] += 1
        return answer

    items: Counter[tuple[str, ...]] = Counter()
    for number in range(150):
        table = chance.choice(["tab", "other"])
        size = chance.choice([10, 900, 5000, 20_000])
        where = {"TableName": table}
        choice = number % 10
        if choice in (0, 1):
            send("PutItem", table, writes=True, Item=item(number, size), **where)
        elif choice == 2:
            send("GetItem", table, writes=False, Key=key(chance.randrange(150)), ConsistentRead=True, **where)
        elif choice == 3:
            send("DeleteItem", table, writes=True, Key=key(chance.randrange(150)), **where)
        elif choice == 4:
            put = [{"PutRequest": {"Item": item(chance.randrange(1000, 2000), size)}}]
            send("BatchWriteItem", "tab", writes=True, RequestItems={"tab": put, "other": put})
            sent["BatchWriteItem", "other"] += 1
        elif choice == 5:
            answer = send("Scan", table, writes=False, **where)
            items["ReturnedItemCount", "Scan", table] += answer["Count"]
        elif choice in (6, 7):
            name, attribute = ("local", "id") if choice == 6 else ("by-day", "date_")
            answer = send(
                "Query",
                table,
                writes=False,
                IndexName=name,
                KeyConditionExpression=f"{attribute} = :value",
                ExpressionAttributeValues={":value": {"S": f"{attribute}-{chance.randrange(3)}"}},
                **where,
            )
            items["ReturnedItemCount", "Query", table] += answer["Count"]
        elif choice == 8:
            actions = [
                {"Put": {"Item": item(2000 + number, size), "TableName": name}} for name in ("tab", "other")
            ]
            send("TransactWriteItems", "tab", writes=True, TransactItems=actions)
            sent["TransactWriteItems", "other"] += 1
        else:
            answer = send("ExecuteStatement", table, writes=False, Statement=f"SELECT * FROM {table}")
            items["ReturnedItemCount", "ExecuteStatement", table] += len(answer["Items"])
        counted.now += 3
    units = counted.sums("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
    assert units == {place: value for place, value in reported.units.items() if value}
    assert counted.sums("ReturnedItemCount") == dict(items)
    latencies = {
        where: point.count for (name, where), point in counted.points().items() if name.startswith("Successful")
    }
    assert latencies == dict(sent)
    counted.close()


VECTOR_BYTES = "VectorWriteRequestBytes"


def make_vector_table(counted: Counted) -> None:
    indexes = [
        {
            "IndexName": name,
            "VectorAttribute": {"AttributeName": "v"},
            "Dimensions": 3,
            "DistanceFunction": "COSINE",
            "Projection": {"ProjectionType": projection},
        }
        for name, projection in (("everything", "ALL"), ("keys-only", "KEYS_ONLY"))
    ]
    counted.ok(
        "CreateTable",
        TableName="docs",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        VectorIndexes=indexes,
    )


def document(key: str, size: int) -> dict[str, Any]:
    return {"id": {"S": key}, "v": {"L": [{"N": str(len(key))}] * 3}, "x": {"S": "x" * size}}


@pytest.mark.parametrize("store", ["memory", "sqlite", "distant", "heavy"])
def test_what_a_handler_counts_is_counted_once_and_after_the_commit(tmp_path: Path, store: str) -> None:
    """Bytes of vector indexes are what handlers count (`ConsumedCapacity.count`). A distant store runs every
    handler several times and undoes a write once; of a heavy one, one of two writes of an item is repeated."""
    counted = Counted(tmp_path, store)
    make_vector_table(counted)
    shown = {"ReturnConsumedCapacity": "INDEXES"}
    reported: list[dict[str, Any]] = []

    def send(operation: str, **request: Any) -> None:
        reported.append(counted.ok(operation, **request, **shown))

    def put(key: str, size: int, **condition: str) -> dict[str, Any]:
        return {"Put": {"TableName": "docs", "Item": document(key, size), **condition}}

    send("PutItem", TableName="docs", Item=document("a", 2000))
    send("PutItem", TableName="docs", Item=document("a", 2000))  # changes no entry
    batch = [{"PutRequest": {"Item": document(key, size)}} for key, size in (("a", 2500), ("b", 3000))]
    send("BatchWriteItem", RequestItems={"docs": batch})
    send("TransactWriteItems", TransactItems=[put("c", 4000), put("d", 5000)])
    send("ExecuteStatement", Statement="DELETE FROM docs WHERE id = 'd'")
    together = [("PutItem", {**put("e", size)["Put"], **shown}) for size in (6000, 7000)]
    for status, body in counted.database.call_together(*together):
        assert status == 200
        reported.append(body)
    absent = {"ConditionExpression": "attribute_not_exists(id)"}
    assert counted.code("PutItem", **put("a", 9000, **absent)["Put"]) == "ConditionalCheckFailedException"
    refused = [put("f", 9000), put("a", 9000, **absent)]
    assert counted.code("TransactWriteItems", TransactItems=refused) == "TransactionCanceledException"

    samples: dict[str, list[float]] = {}
    for answer in reported:
        found = answer["ConsumedCapacity"]
        for each in found if isinstance(found, list) else [found]:
            for name, vectors in each.get("VectorIndexes", {}).items():
                samples.setdefault(name, []).append(vectors[VECTOR_BYTES])
    assert set(samples) == {"everything", "keys-only"}
    points = {where: each for (name, where), each in counted.points().items() if name == VECTOR_BYTES}
    assert points.keys() == {("docs", name) for name in samples}
    for name, values in samples.items():
        point = points["docs", name]
        assert (point.count, point.total) == (len(values), sum(values))
    counted.close()


def test_a_search_counts_the_bytes_that_it_examined(counted: Counted) -> None:
    make_vector_table(counted)
    counted.ok("PutItem", TableName="docs", Item=document("a", 3000))
    search = {"TableName": "docs", "IndexName": "everything", "SearchVector": [{"N": "1"}] * 3, "TopK": 1}
    shown = counted.ok("SearchVectors", **search, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert counted.sums("VectorSearchRequestBytes") == {
        ("VectorSearchRequestBytes", "docs", "everything"): shown["VectorSearchRequestBytes"]
    }


def test_a_handler_may_count_for_the_table(counted: Counted) -> None:
    """Also when it read a global index alone, which counts no units for the table."""
    consumed = ConsumedCapacity("tab", False)
    consumed.add_index("by-day", 1.0, local=False)
    consumed.count("TimeToLiveDeletedItemCount")
    consumed.count("TimeToLiveDeletedItemCount", 2)
    context = Context(ACCOUNT, REGION, counted.now, operation="Query")
    counted.counters.ended(Request("POST", "/", {}, b""), context, None, Result(b"{}", (consumed,)))
    point = counted.points()["TimeToLiveDeletedItemCount", ("tab",)]
    assert (point.count, point.total) == (1, 3)


def test_a_name_has_one_namespace() -> None:
    assert len({name for _, name in DECLARED}) == len(DECLARED)
    assert all(namespace_of(name) == namespace for namespace, name in DECLARED)


def test_the_time_of_a_request_is_measured(counted: Counted) -> None:
    make_table(counted)
    counted.ok("GetItem", TableName="tab", Key=key(1))
    point = counted.points()["SuccessfulRequestLatency", ("GetItem", "tab")]
    assert point.count == 1
    assert point.low == point.high == pytest.approx(1.0, rel=1e-3)  # milliseconds: one look at the clock later


def test_errors_are_counted_by_kind(counted: Counted) -> None:
    make_table(counted)
    assert counted.code("GetItem", TableName="missing", Key=key(1)) == "ResourceNotFoundException"
    assert counted.code("GetItem", TableName="tab", Key={"id": {"S": "a"}}) == "ValidationException"
    assert counted.code("Nonsense") == "UnknownOperationException"
    counted.ok("PutItem", TableName="tab", Item=item(1))
    for _ in range(2):
        code = counted.code(
            "PutItem", TableName="tab", Item=item(1, 3000), ConditionExpression="attribute_not_exists(id)"
        )
        assert code == "ConditionalCheckFailedException"
    statement = "UPDATE tab SET x = 'y' WHERE id = 'id-1' AND \"at\" = '1' AND x = 'nothing'"
    assert counted.code("ExecuteStatement", Statement=statement) == "ConditionalCheckFailedException"
    check = {"TableName": "tab", "Key": key(1), "ConditionExpression": "attribute_not_exists(id)"}
    code = counted.code("TransactWriteItems", TransactItems=[{"ConditionCheck": check}])
    assert code == "TransactionCanceledException"
    assert counted.sums("UserErrors", "ConditionalCheckFailedRequests", "SystemErrors") == {
        ("UserErrors",): 4,
        ("ConditionalCheckFailedRequests", "tab"): 3,
    }
    # What a failed condition is charged was consumed.
    assert counted.sums("ConsumedWriteCapacityUnits")["ConsumedWriteCapacityUnits", "tab"] > 2


def test_conflicts_count_items_and_transactions(counted: Counted) -> None:
    make_table(counted)
    puts = [{"Put": {"TableName": "tab", "Item": item(number)}} for number in range(4)]
    answers = counted.database.call_together(
        ("TransactWriteItems", {"TransactItems": puts}),
        ("TransactWriteItems", {"TransactItems": [*puts[1:3], {"Put": {"TableName": "tab", "Item": item(9)}}]}),
        ("PutItem", {"TableName": "tab", "Item": item(3)}),
    )
    assert [status for status, _ in answers] == [200, 400, 400]
    conflict = counted.points()["TransactionConflict", ("tab",)]
    assert (conflict.count, conflict.total, conflict.low, conflict.high) == (2, 3, 1, 2)
    assert counted.sums("UserErrors") == {("UserErrors",): 2}


def test_an_error_of_the_system_counts_for_its_tables(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(counted)

    def fail(*_: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(counted.database.storage, "read", fail)
    assert counted.code("GetItem", TableName="tab", Key=key(1)) == "InternalServerError"
    assert counted.sums("SystemErrors", "UserErrors") == {("SystemErrors", "GetItem", "tab"): 1}


def test_a_request_of_unknown_origin_counts_for_the_server(counted: Counted) -> None:
    answer = counted.database.pipeline.answer(Request("POST", "/", {"x-amz-target": "DynamoDB_20120810.X"}, b"{}"))
    assert isinstance(answer, Response)
    assert answer.status == 400
    assert counted.sums("UserErrors") == {("UserErrors",): 1}


def test_stream_records_are_counted_by_stream(counted: Counted) -> None:
    make_table(counted, "str", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    for number in range(3):
        counted.ok("PutItem", TableName="str", Item=item(number, 100))
    (stream,) = counted.ok("ListStreams", TableName="str")["Streams"]
    arn, label = stream["StreamArn"], stream["StreamLabel"]
    records = 0
    for shard in counted.ok("DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = counted.ok(
            "GetShardIterator", StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records += len(counted.ok("GetRecords", ShardIterator=iterator)["Records"])
    assert records == 3
    points = counted.points()
    place = ("GetRecords", label, "str")
    assert points["ReturnedRecordsCount", place].total == 3
    assert points["ReturnedBytes", place].total > 300
    assert points["SuccessfulRequestLatency", place].count == points["ReturnedRecordsCount", place].count
    assert points["SuccessfulRequestLatency", ("GetRecords", "str")].count > 0


def test_throttle_events_count_by_cause(counted: Counted) -> None:
    counted.counters.throttled(ACCOUNT, REGION, "tab", None, "TableReadProvisionedThroughputExceeded")
    counted.counters.throttled(ACCOUNT, REGION, "tab", "by-day", "IndexWriteKeyRangeThroughputExceeded")
    counted.counters.throttled(ACCOUNT, REGION, "tab", "by-day", "IndexWriteAccountLimitExceeded")
    counted.counters.throttled(ACCOUNT, REGION, "tab", None, "Something")
    assert counted.sums(*[name for _, name in DECLARED if name.endswith("ThrottleEvents")]) == {
        ("ReadThrottleEvents", "tab"): 1,
        ("ReadProvisionedThroughputThrottleEvents", "tab"): 1,
        ("WriteThrottleEvents", "by-day", "tab"): 2,
        ("WriteKeyRangeThroughputThrottleEvents", "by-day", "tab"): 1,
        ("WriteAccountLimitThrottleEvents", "by-day", "tab"): 1,
    }


def test_each_minute_has_its_own_samples(counted: Counted) -> None:
    make_table(counted)
    consumed = Metric(ACCOUNT, REGION, DYNAMODB, "ConsumedReadCapacityUnits", (("TableName", "tab"),))
    counted.now = NOW + 60.0
    for minute, reads in enumerate((3, 0, 5)):
        for _ in range(reads):
            counted.ok("GetItem", TableName="tab", Key=key(1))
        counted.now = NOW + 60.0 * (minute + 2)
    counted.counters.finish_minute()
    reader = MetricReader(counted.shared, counted.clock)
    found = counted.database.run(
        counted.database.storage.fetch(lambda tx: reader.points(tx, consumed, NOW + 60, NOW + 300, 60))
    )
    assert [(unit, [point.total for point in points]) for unit, points in found] == [("Count", [1.5, 0, 2.5])]


def test_a_clock_that_is_set_back_counts_all_the_same(counted: Counted) -> None:
    make_table(counted)
    for moved in (0, -7200, 0, 3600, -60):
        counted.now = NOW + moved
        counted.ok("GetItem", TableName="tab", Key=key(1))
    assert counted.sums("ConsumedReadCapacityUnits") == {("ConsumedReadCapacityUnits", "tab"): 2.5}


def test_every_throttling_reason_has_its_metrics() -> None:
    for kind in ("Table", "Index"):
        for operation in ("Read", "Write"):
            for cause in ("ProvisionedThroughput", "MaxOnDemandThroughput", "KeyRangeThroughput", "AccountLimit"):
                names = throttle_metrics(f"{kind}{operation}{cause}Exceeded")
                assert names == (f"{operation}ThrottleEvents", f"{operation}{cause}ThrottleEvents")
                assert all((DYNAMODB, name) in DECLARED for name in names)
    assert throttle_metrics("TableReadSomething") == ()


def test_dimensions_of_declared_metrics_are_sorted() -> None:
    for known in DECLARED.values():
        assert all(where == tuple(sorted(where)) for where in known.dimensions)
