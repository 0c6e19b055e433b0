"""Heavy requests: run on a thread, with the same results as in the write lock.

The golden scripts and the model test run over the store "heavy" too, where every write is run ahead of the lock.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database import work_thread
from blotter.database.execution import long_reads, writes
from blotter.database.http.messages import Pending, Request
from blotter.database.storage.protocol import ReadTransaction, Settled
from blotter.database.storage.sqlite import SqliteStorage
from tests.in_process import InProcessDatabase, headers_for

Call = tuple[str, dict[str, Any]]

# 1.3 MB of JSON, and less than the 400 KB that an item may have.
LIST = {"L": [{"N": str(n % 10)} for n in range(100_000)]}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data")
    create(database)
    yield database
    database.close()


def create(database: InProcessDatabase) -> None:
    request = {
        "TableName": "table",
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert database.call("CreateTable", request)[0] == 200


def put(name: str, **attributes: Any) -> Call:
    return "PutItem", {"TableName": "table", "Item": {"p": {"S": name}, **attributes}}


def get(database: InProcessDatabase, name: str) -> dict[str, Any] | None:
    item: dict[str, Any] | None = database.call("GetItem", {"TableName": "table", "Key": {"p": {"S": name}}})[
        1
    ].get("Item")
    return item


def check(name: str, found: bool) -> dict[str, Any]:
    text = " OR ".join(f"contains(l, :v{n})" for n in range(100))
    values = {f":v{n}": {"N": str(n + (5 if found else 10))} for n in range(100)}
    return {
        "TableName": "table",
        "Key": {"p": {"S": name}},
        "ConditionExpression": text,
        "ExpressionAttributeValues": values,
    }


def transaction(*, found: bool) -> Call:
    checks = [{"ConditionCheck": check(name, found)} for name in "abcd"]
    write = {"Put": put("done")[1]}
    return "TransactWriteItems", {"TransactItems": [*checks, write]}


def test_others_are_answered_before_a_heavy_transaction(database: InProcessDatabase) -> None:
    for name in "abcd":
        assert database.call(*put(name, l=LIST))[0] == 200
    order: list[str] = []

    async def answered(name: str, request: Call) -> int:
        status, _ = await database.answer(request[0], json.dumps(request[1]).encode())
        order.append(name)
        return status

    async def together() -> list[int]:
        return await asyncio.gather(
            answered("heavy", transaction(found=True)), *(answered(f"put {n}", put(str(n))) for n in range(5))
        )

    assert database.run(together()) == [200] * 6
    assert order[-1] == "heavy"
    assert get(database, "done") == {"p": {"S": "done"}}


def test_a_heavy_transaction_is_canceled_for_a_failed_check(database: InProcessDatabase) -> None:
    for name in "abcd":
        database.call(*put(name, l=LIST))
    status, body = database.call(*transaction(found=False))
    assert (status, body["__type"].rpartition("#")[2]) == (400, "TransactionCanceledException")
    assert [reason["Code"] for reason in body["CancellationReasons"]] == ["ConditionalCheckFailed"] * 4 + ["None"]
    assert get(database, "done") is None


def test_a_heavy_update_returns_what_it_wrote(database: InProcessDatabase) -> None:
    database.call(*put("a", l=LIST, m={"L": [{"BOOL": True}]}))
    update = {
        "TableName": "table",
        "Key": {"p": {"S": "a"}},
        "UpdateExpression": "SET n = :n REMOVE m",
        "ExpressionAttributeValues": {":n": {"N": "1"}},
        "ReturnValues": "UPDATED_OLD",
        "ReturnConsumedCapacity": "TOTAL",
    }
    status, body = database.call("UpdateItem", update)
    assert (status, body["Attributes"]) == (200, {"m": {"L": [{"BOOL": True}]}})
    assert get(database, "a") == {"p": {"S": "a"}, "l": LIST, "n": {"N": "1"}}


def test_heavy_reads_are_answered(database: InProcessDatabase) -> None:
    for name in "abcd":
        database.call(*put(name, l=LIST))
    keys = [{"p": {"S": name}} for name in "abcd"]
    names = {"Keys": keys, "ProjectionExpression": "l[7], p"}
    _, body = database.call("BatchGetItem", {"RequestItems": {"table": names}})
    assert body["Responses"]["table"] == [{"p": key["p"], "l": {"L": [{"N": "7"}]}} for key in keys]
    gets = [{"Get": {"TableName": "table", "Key": key, "ProjectionExpression": "l[7]"}} for key in keys[:3]]
    _, body = database.call("TransactGetItems", {"TransactItems": gets})
    assert body["Responses"] == [{"Item": {"l": {"L": [{"N": "7"}]}}}] * 3


class Disturbed(SqliteStorage):
    """Before each heavy write can be confirmed, another write changes an item that it has read."""

    disturb: Callable[[], Any] | None = None
    times = 0

    def submit_aside(self, handler: Callable[[ReadTransaction], Any], settled: Settled) -> None:
        def disturbed(value: Any, error: BaseException | None) -> None:
            if self.disturb is None or self.times == 0:
                settled(value, error)
                return
            self.times -= 1
            task = asyncio.ensure_future(self.disturb())
            task.add_done_callback(lambda _: settled(value, error))

        super().submit_aside(handler, disturbed)


@pytest.fixture
def disturbed(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data", store=Disturbed.open)
    create(database)
    database.call(*put("a", l=LIST, n={"N": "0"}))
    for name in "bcd":
        database.call(*put(name, l=LIST))
    yield database
    database.close()


@pytest.fixture
def other(disturbed: InProcessDatabase, tmp_path: Path) -> Iterator[InProcessDatabase]:
    """Another process's view of the same data: what transactions hold is not known there."""
    other = InProcessDatabase(tmp_path / "data", background=False)
    yield other
    disturbed.run(other.storage.close())
    other.close()


def add(other: InProcessDatabase) -> Callable[[], Any]:
    body = {
        "TableName": "table",
        "Key": {"p": {"S": "a"}},
        "UpdateExpression": "SET n = n + :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }

    async def added() -> None:
        status, _ = await other.answer("UpdateItem", json.dumps(body).encode())
        assert status == 200

    return added


@pytest.mark.parametrize("times", [1, 3])
def test_a_heavy_write_is_run_again_when_its_items_changed(
    disturbed: InProcessDatabase, other: InProcessDatabase, times: int
) -> None:
    storage = disturbed.storage
    assert isinstance(storage, Disturbed)
    storage.disturb, storage.times = add(other), times
    body = {
        "TableName": "table",
        "Key": {"p": {"S": "a"}},
        "UpdateExpression": "SET n = n + :ten",
        "ExpressionAttributeValues": {":ten": {"N": "10"}},
        "ReturnValues": "UPDATED_NEW",
    }
    status, answer = disturbed.call("UpdateItem", body)
    assert (status, answer["Attributes"]) == (200, {"n": {"N": str(10 + times)}})
    item = get(disturbed, "a")
    assert item is not None
    assert item["n"] == {"N": str(10 + times)}


def test_items_that_change_all_the_time_are_a_conflict(
    disturbed: InProcessDatabase, other: InProcessDatabase
) -> None:
    storage = disturbed.storage
    assert isinstance(storage, Disturbed)
    storage.disturb, storage.times = add(other), writes.ATTEMPTS
    status, body = disturbed.call(*transaction(found=True))
    assert status == 400
    assert [reason["Code"] for reason in body["CancellationReasons"]] == ["TransactionConflict"] * 5
    assert get(disturbed, "done") is None
    # A single write is carried out in the lock in the end.
    storage.times = writes.ATTEMPTS
    condition = {**check("a", found=True), "Item": {"p": {"S": "a"}}}
    del condition["Key"]
    assert disturbed.call("PutItem", condition)[0] == 200
    assert get(disturbed, "a") == {"p": {"S": "a"}}


# Long reads


class Counting(SqliteStorage):
    """Counts the snapshots that are open."""

    open_now = 0
    most_open = 0
    opened = 0

    def open_snapshot(self) -> Any:
        snapshot = super().open_snapshot()
        self.open_now += 1
        self.opened += 1
        self.most_open = max(self.most_open, self.open_now)
        return _Counted(snapshot, self)


class _Counted:
    def __init__(self, snapshot: Any, storage: Counting) -> None:
        self._snapshot = snapshot
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._snapshot, name)

    def close(self) -> None:
        self._storage.open_now -= 1
        self._snapshot.close()


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data", store=Counting.open)
    create(database)
    for number in range(40):
        database.call(*put(f"{number:02}", text={"S": "x" * 20_000}))
    yield database
    database.close()


def scan(database: InProcessDatabase) -> Any:
    request = {
        "TableName": "table",
        "FilterExpression": "attribute_exists(#t)",
        "ExpressionAttributeNames": {"#t": "text"},
        "ProjectionExpression": "p",
    }
    return database.answer("Scan", json.dumps(request).encode())


def test_few_long_reads_run_at_a_time(counting: InProcessDatabase) -> None:
    async def together() -> list[tuple[int, dict[str, Any]]]:
        return await asyncio.gather(*(scan(counting) for _ in range(60)))

    for status, body in counting.run(together()):
        assert (status, body["Count"], body["ScannedCount"]) == (200, 40, 40)
    storage = counting.storage
    assert isinstance(storage, Counting)
    assert storage.most_open <= long_reads.MOST_RUNNING + 1
    assert storage.open_now == 0


def test_a_short_read_does_not_wait_for_long_ones(counting: InProcessDatabase) -> None:
    order: list[str] = []

    async def noted(name: str, work: Any) -> None:
        await work
        order.append(name)

    query = {
        "TableName": "table",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": "07"}},
    }

    async def together() -> None:
        scans = [noted("scan", scan(counting)) for _ in range(30)]
        await asyncio.gather(*scans, noted("query", counting.answer("Query", json.dumps(query).encode())))

    counting.run(together())
    assert order[0] == "query"


def test_a_crowd_of_long_reads_begins_a_few_at_a_time(
    counting: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that come together do not have their first slices one after another: what comes next is served
    between them."""
    monkeypatch.setattr(long_reads, "RUN_SECONDS", 0.0)
    storage = counting.storage
    assert isinstance(storage, Counting)
    opened: list[int] = []

    async def together() -> None:
        scans = [asyncio.ensure_future(scan(counting)) for _ in range(40)]
        while not all(one.done() for one in scans):
            before = storage.opened
            await asyncio.sleep(0)  # after the first time, all requests are there
            opened.append(storage.opened - before)
        await asyncio.gather(*scans)

    counting.run(together())
    assert max(opened) <= long_reads.MOST_RUNNING


def test_an_abandoned_read_gives_its_snapshot_back(counting: InProcessDatabase) -> None:
    async def abandoned() -> int:
        request = Request("POST", "/", headers_for("Scan"), json.dumps({"TableName": "table"}).encode())
        pending = counting.pipeline.answer(request)
        assert isinstance(pending, Pending)
        pending.abandoned = True
        return (await pending).status

    assert counting.run(abandoned()) == 500
    storage = counting.storage
    assert isinstance(storage, Counting)
    assert storage.open_now == 0


# Large bodies


def test_a_large_body_is_prepared_beside_the_loop(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that come after it are answered before it, whether it is right or wrong, even if the thread takes
    all the time in the world."""
    items = [{"PutRequest": {"Item": {"p": {"S": f"big {n}"}, "l": LIST}}} for n in range(2)]
    order: list[str] = []
    small_answered = threading.Event()
    monkeypatch.setattr(work_thread, "let_serve", lambda _: small_answered.wait(60))

    async def answered(name: str, operation: str, request: dict[str, Any]) -> int:
        status, _ = await database.answer(operation, json.dumps(request).encode())
        order.append(name)
        if name == "small":
            small_answered.set()
        return status

    async def together() -> list[int]:
        return await asyncio.gather(
            answered("large", "BatchWriteItem", {"RequestItems": {"table": items}}),
            answered("wrong", "BatchWriteItem", {"RequestItems": {"table": items, "x": []}}),
            answered("small", *put("small")),
        )

    assert database.run(together()) == [200, 400, 200]
    assert order[0] == "small"
    assert get(database, "big 1") == {"p": {"S": "big 1"}, "l": LIST}
