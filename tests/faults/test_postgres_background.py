"""Background work of servers that share a PostgreSQL store.

One does it, another goes on when it dies, and each piece is done once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.front_ends import FrontEnds, create_store
from tests.faults.shared_items import Caller
from tests.faults.stream_judge import follow_stream
from tests.postgres_server import PostgresServer
from tests.waiting import wait_until

Serve = Callable[..., Any]  # tests/conftest.py

_TABLE = "background"
_INDEX = {
    "IndexName": "by-group",
    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


@pytest.fixture
def front_ends(serve: Serve, postgres: PostgresServer) -> Iterator[FrontEnds]:
    database = postgres.create_database()
    url = postgres.url(database)
    create_store(url)
    front_ends = FrontEnds(serve, [url, url])
    yield front_ends
    for number in (0, 1):
        front_ends.kill(number)
    postgres.drop_database(database)


def _call(front_ends: FrontEnds, operation: str, **request: Any) -> Any:
    """Asks until it is answered."""
    caller = Caller(front_ends.addresses)
    deadline = time.monotonic() + 60
    while True:
        status, answer = caller.call(operation, **request)
        if status:
            assert status == 200, answer
            return answer
        assert time.monotonic() < deadline


def _fill(front_ends: FrontEnds, items: int, **attributes: dict[str, str]) -> None:
    for start in range(0, items, 25):
        puts = [
            {"PutRequest": {"Item": {"p": {"S": f"{number}"}, "g": {"S": f"{number % 3}"}, **attributes}}}
            for number in range(start, min(items, start + 25))
        ]
        answer = _call(front_ends, "BatchWriteItem", RequestItems={_TABLE: puts})
        assert answer["UnprocessedItems"] == {}


def _create_table(front_ends: FrontEnds, **more: Any) -> dict[str, Any]:
    request = {
        "TableName": _TABLE,
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    described: dict[str, Any] = _call(front_ends, "CreateTable", **request, **more)["TableDescription"]
    return described


def _add_index(front_ends: FrontEnds) -> None:
    _call(
        front_ends,
        "UpdateTable",
        TableName=_TABLE,
        AttributeDefinitions=[
            {"AttributeName": "p", "AttributeType": "S"},
            {"AttributeName": "g", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexUpdates=[{"Create": _INDEX}],
    )


def _index_is_ready(front_ends: FrontEnds) -> bool:
    described = _call(front_ends, "DescribeTable", TableName=_TABLE)["Table"]
    return [index["IndexStatus"] for index in described["GlobalSecondaryIndexes"]] == ["ACTIVE"]


def _keys(front_ends: FrontEnds, **more: str) -> Counter[str]:
    keys: Counter[str] = Counter()
    start: dict[str, Any] = {}
    while True:
        page = _call(front_ends, "Scan", TableName=_TABLE, **more, **start)
        keys.update(item["p"]["S"] for item in page["Items"])
        if "LastEvaluatedKey" not in page:
            return keys
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _kill_all_in_turn(front_ends: FrontEnds) -> None:
    """Whoever does the work is among them."""
    for number in (0, 1):
        front_ends.kill(number)
        front_ends.restart(number)


def test_an_index_is_filled_once_though_every_server_dies(front_ends: FrontEnds) -> None:
    _create_table(front_ends)
    _fill(front_ends, 300)
    _add_index(front_ends)
    _kill_all_in_turn(front_ends)
    wait_until(lambda: _index_is_ready(front_ends))
    expected = Counter({f"{number}": 1 for number in range(300)})
    assert _keys(front_ends, IndexName="by-group") == expected


@pytest.mark.slow
def test_expired_items_are_deleted_once_though_servers_die(front_ends: FrontEnds) -> None:
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    arn = _create_table(front_ends, StreamSpecification=stream)["LatestStreamArn"]
    enabled = {"Enabled": True, "AttributeName": "t"}
    _call(front_ends, "UpdateTimeToLive", TableName=_TABLE, TimeToLiveSpecification=enabled)
    _fill(front_ends, 5_000, t={"N": str(int(time.time()) - 10)})
    chance = random.Random(1)

    def kill_somebody() -> bool:
        if chance.random() < 0.2:
            _kill_all_in_turn(front_ends)
        else:
            front_ends.kill_child(chance.randrange(2), "backgroun")
        time.sleep(chance.uniform(0, 2))
        return not _keys(front_ends)

    wait_until(kill_somebody)
    removed = Counter(
        record["dynamodb"]["Keys"]["p"]["S"]
        for record in follow_stream(Caller(front_ends.addresses), arn)
        if record["eventName"] == "REMOVE"
    )
    assert removed == Counter({f"{number}": 1 for number in range(5_000)})
