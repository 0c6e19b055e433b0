"""Power loss under DynamoDB operations: what the clients of a database must find after it.

Clients send requests through the pipeline over a recorded disk (`storage_power_loss.py`): items of a table with
indexes and a stream, batches, transactions with tokens, tables and an index that come and go. Each client is
sequential and has items of its own, so all that it may find after a crash is the state after its last answer, or
after the one request that was still under way. What clients share is a counter: every transaction raises its
client's and the common one together. `check` reopens the files of a crash and holds the database to that, looking
only through the API: items, tables, stream records; index entries as `TableModel` says; the statistics; and that a
transaction sent again with its token has its effect once.

Many short workloads find more in the same time than few long ones: a crash costs as much as there is to read after
it. Every second one is written by two stores on one directory, as by two workers. The files of a crash that was
not survived are kept, because threads make no two runs of a seed quite the same.

    python -m tests.faults.operations_power_loss [--crashes 10000] [--each 250] [--requests 300] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from blotter.database.inspection.check import check as check_directory
from blotter.database.model.size import item_size
from blotter.database.storage.protocol import SpaceStatistics
from blotter.database.storage.sqlite import SqliteStorage
from tests.faults.storage_power_loss import Marks, Record, crashes, recording, write_files
from tests.in_process import ACCOUNT, REGION, InProcessDatabase
from tests.unit.database.operations.model import IndexModel, Item, key_schema, multiset, updated

CLIENTS = 4
KEYS = 8
COUNTER = -1
"""Sort key of a client's counter; `SHARED` has one too."""
SHARED = "shared"
TABLE = "main"
BY_A = IndexModel("by-a", ("a",), ("b",), "ALL")
LATE = IndexModel("late", ("b",), (), ("n",))
LOCAL = IndexModel("local-b", ("p",), ("b",), "KEYS_ONLY", local=True)
INDEXES = {index.name: index for index in (BY_A, LATE, LOCAL)}

Place = tuple[str, str]
"""A table and the sort key of an item; or a table and an index, or "", when it is about whether they are there."""
State = dict[Place, Item]


class Step(NamedTuple):
    """A request and what it makes of the client's state. An atomic one is done whole or not at all."""

    operation: str
    request: dict[str, Any]
    after: State
    atomic: bool = True


def _definitions(names: str) -> list[dict[str, str]]:
    types = {"p": "S", "s": "N", "a": "S", "b": "N"}
    return [{"AttributeName": name, "AttributeType": types[name]} for name in names]


MAIN = {
    "TableName": TABLE,
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": key_schema(("p",), ("s",)),
    "AttributeDefinitions": _definitions("psab"),
    "GlobalSecondaryIndexes": [BY_A.request()],
    "LocalSecondaryIndexes": [LOCAL.request()],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


def _key(partition: str, sort: int) -> Item:
    return {"p": {"S": partition}, "s": {"N": str(sort)}}


def _raise_counter(partition: str) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": TABLE,
            "Key": _key(partition, COUNTER),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }


class Client:
    """Makes up its requests, and knows what it may find: `steps` are those sent, `states[n]` follows n of them."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.partition = f"client-{number}"
        self.life = f"life-{number}"
        self.steps: list[Step] = []
        self.states: list[State] = [{}]
        self._choice = random.Random(seed * 1000 + number)
        self._makers = [self._put] * 4 + [self._update] * 3 + [self._delete, self._batch] * 2
        self._makers += [self._transaction] * 4 + [self._live] * 2 + [self._change_index] * (number == 0)

    async def run(self, database: InProcessDatabase, record: Record, requests: int) -> None:
        for _ in range(requests):
            step = self._choice.choice(self._makers)(dict(self.states[-1]))
            self.steps.append(step)
            self.states.append(step.after)
            record.add("sent", self.partition, len(self.steps))
            body = json.dumps(step.request).encode()
            status, answer = await database.answer(step.operation, body)
            while status == 400 and "Conflict" in str(answer):  # Another client's transaction is under way.
                await asyncio.sleep(0)
                status, answer = await database.answer(step.operation, body)
            assert status == 200, (step, answer)
            record.add("acknowledged", self.partition, len(self.steps))

    def _some_key(self) -> tuple[Place, Item]:
        sort = self._choice.randrange(KEYS)
        return (TABLE, str(sort)), _key(self.partition, sort)

    def _item(self, key: Item) -> Item:
        optional = {
            "a": {"S": self._choice.choice("xyz")},
            "b": {"N": str(self._choice.randrange(5))},
            "n": {"N": "0"},
            "d": {"S": "x" * self._choice.choice([1, 40, 900, 900, 6000])},
            "e": {"N": str(len(self.steps))},
        }
        return key | {name: value for name, value in optional.items() if self._choice.random() < 0.8}

    def _put(self, state: State) -> Step:
        place, key = self._some_key()
        state[place] = self._item(key)
        return Step("PutItem", {"TableName": TABLE, "Item": state[place]}, state)

    def _update(self, state: State) -> Step:
        place, key = self._some_key()
        value = {"N": str(self._choice.randrange(5))}
        new = updated(key, state.get(place), {"b": value}, {"n": 1}, ["a"])
        assert new is not None
        state[place] = new
        request = {
            "TableName": TABLE,
            "Key": key,
            "UpdateExpression": "SET b = :b ADD n :one REMOVE a",
            "ExpressionAttributeValues": {":b": value, ":one": {"N": "1"}},
        }
        return Step("UpdateItem", request, state)

    def _delete(self, state: State) -> Step:
        place, key = self._some_key()
        state.pop(place, None)
        return Step("DeleteItem", {"TableName": TABLE, "Key": key}, state)

    def _batch(self, state: State) -> Step:
        requests: list[dict[str, Any]] = []
        for sort in self._choice.sample(range(KEYS), 4):
            place, key = (TABLE, str(sort)), _key(self.partition, sort)
            if self._choice.random() < 0.3:
                state.pop(place, None)
                requests.append({"DeleteRequest": {"Key": key}})
            else:
                state[place] = self._item(key)
                requests.append({"PutRequest": {"Item": state[place]}})
        return Step("BatchWriteItem", {"RequestItems": {TABLE: requests}}, state, atomic=False)

    def _transaction(self, state: State) -> Step:
        place, key = self._some_key()
        action: dict[str, Any] = {"Delete": {"TableName": TABLE, "Key": key}}
        if self._choice.random() < 0.7:
            state[place] = self._item(key)
            action = {"Put": {"TableName": TABLE, "Item": state[place]}}
        else:
            state.pop(place, None)
        counter = (TABLE, str(COUNTER))
        state[counter] = updated(_key(self.partition, COUNTER), state.get(counter), {}, {"n": 1}, []) or {}
        actions = [_raise_counter(self.partition), action, _raise_counter(SHARED)]
        token = f"{self.partition}-{len(self.steps)}"
        return Step("TransactWriteItems", {"TransactItems": actions, "ClientRequestToken": token}, state)

    def _live(self, state: State) -> Step:
        """The table's next day: it is made, gets an item, goes with all it has."""
        if (self.life, "") not in state:
            state[self.life, ""] = {}
            keys = {"KeySchema": key_schema(("p",), ("s",)), "AttributeDefinitions": _definitions("psab")}
            indexes = {"GlobalSecondaryIndexes": [BY_A.request()]}
            return Step(
                "CreateTable",
                {"TableName": self.life, "BillingMode": "PAY_PER_REQUEST", **keys, **indexes},
                state,
            )
        if self._choice.random() < 0.6:
            sort = self._choice.randrange(KEYS)
            item = state[self.life, str(sort)] = self._item(_key(self.partition, sort))
            return Step("PutItem", {"TableName": self.life, "Item": item}, state)
        kept = {place: item for place, item in state.items() if place[0] != self.life}
        return Step("DeleteTable", {"TableName": self.life}, kept)

    def _change_index(self, state: State) -> Step:
        place = (TABLE, LATE.name)
        if state.pop(place, None) is None:
            state[place] = {}
            change: dict[str, Any] = {"Create": LATE.request()}
        else:
            change = {"Delete": {"IndexName": LATE.name}}
        request = {"TableName": TABLE, "GlobalSecondaryIndexUpdates": [change]}
        return Step("UpdateTable", {**request, "AttributeDefinitions": _definitions("psab")}, state)


class Workload:
    """A recorded run over stores on one directory. `ready` is the first event after the common table was there."""

    def __init__(self, seed: int, requests: int, stores: int = 1) -> None:
        self.clients = [Client(number, seed) for number in range(CLIENTS)]
        self.record = Record()
        with tempfile.TemporaryDirectory() as folder, recording(self.record) as vfs:
            databases = [
                InProcessDatabase(Path(folder), _clock, store=partial(SqliteStorage.open, vfs=vfs))
                for _ in range(stores)
            ]
            assert databases[0].call("CreateTable", MAIN)[0] == 200
            self.ready = len(self.record.events)
            while len(self.clients[0].steps) * CLIENTS < requests:
                self._use(databases, 25)
                databases = [
                    InProcessDatabase(Path(folder), _clock, store=partial(SqliteStorage.open, vfs=vfs))
                    for _ in range(stores)
                ]
            for database in databases:
                database.close()

    def _use(self, databases: list[InProcessDatabase], requests: int) -> None:
        """Each database in a thread, with its share of the clients. It is closed there, so that it passes on the
        turn, and so that a store that was closed and opened again is among what crashes."""
        failures: list[BaseException] = []

        def work(number: int, database: InProcessDatabase) -> None:
            clients = self.clients[number :: len(databases)]
            try:
                database.run(self._together(clients, database, requests))
            except BaseException as error:
                failures.append(error)
            finally:
                database.close()

        threads = [threading.Thread(target=work, args=each) for each in enumerate(databases)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    async def _together(self, clients: list[Client], database: InProcessDatabase, requests: int) -> None:
        await asyncio.gather(*(client.run(database, self.record, requests) for client in clients))

    def check_crashes(self, count: int, seed: int, forgotten: str = "nothing", keep: Path | None = None) -> None:
        """`forgotten` is for disks that lie, see `crashes`; `keep` is where the files of a failure go."""
        choice = random.Random(seed)
        places = range(self.ready, len(self.record.events) + 1)
        points = choice.sample(places, min(count, len(places)))
        for point, files, marks in crashes(self.record, points, choice, forgotten):
            try:
                check(files, self.clients, marks, resend=choice.random() < 0.5)
            except BaseException as error:
                if keep is not None:
                    folder = keep / f"seed-{seed}-event-{point}"
                    folder.mkdir(parents=True)
                    write_files(folder, files)
                raise AssertionError(f"crash after event {point} of {len(self.record.events)}") from error


def _clock() -> float:
    return 1_800_000_000.0


# After the crash


class Found:
    """All that a database has, as its API shows it."""

    def __init__(self, database: InProcessDatabase) -> None:
        self._database = database
        self.tables = {name: self._call("DescribeTable", TableName=name)["Table"] for name in self._names()}
        self.items = {name: self._scan(TableName=name) for name in self.tables}

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, answer = self._database.call(operation, request)
        assert status == 200, (operation, request, answer)
        return answer

    def _names(self) -> list[str]:
        names: list[str] = self._call("ListTables")["TableNames"]
        return names

    def _scan(self, **request: Any) -> list[Item]:
        answer = self._call("Scan", **request)
        items: list[Item] = answer["Items"]
        while "LastEvaluatedKey" in answer:
            answer = self._call("Scan", **request, ExclusiveStartKey=answer["LastEvaluatedKey"])
            items += answer["Items"]
        return items

    def indexes(self, table: str) -> list[str]:
        described = self.tables[table]
        kinds = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        return [index["IndexName"] for kind in kinds for index in described.get(kind, [])]

    def entries(self, table: str, index: str) -> list[Item]:
        return self._scan(TableName=table, IndexName=index)

    def images(self, table: str) -> dict[tuple[str, str], list[Item | None]]:
        """For every item the images of its stream records in order; each must go on from the one before."""
        arn = self.tables[table]["LatestStreamArn"]
        images: dict[tuple[str, str], list[Item | None]] = {}
        for shard in self._call("DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]:
            which = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self._call("GetShardIterator", **which)["ShardIterator"]
            while records := (answer := self._call("GetRecords", ShardIterator=iterator))["Records"]:
                iterator = answer["NextShardIterator"]
                for record in (entry["dynamodb"] for entry in records):
                    seen = images.setdefault(_name(record["Keys"]), [None])
                    assert record.get("OldImage") == seen[-1], "a stream record is missing, or one is too many"
                    seen.append(record.get("NewImage"))
        return images

    def of(self, client: Client) -> State:
        state = {(client.life, ""): {}} if client.life in self.tables else {}
        if client.number == 0 and LATE.name in self.indexes(TABLE):
            state[TABLE, LATE.name] = {}
        for table in (TABLE, client.life):
            for item in self.items.get(table, []):
                if item["p"]["S"] == client.partition:
                    state[table, item["s"]["N"]] = item
        return state


def _name(item: Item) -> tuple[str, str]:
    return item["p"]["S"], item["s"]["N"]


def check(files: dict[str, bytes], clients: list[Client], marks: Marks, resend: bool) -> None:
    """`resend`: clients first repeat the transaction that has no answer yet, or the last one answered."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        database = InProcessDatabase(Path(folder), _clock)
        try:
            allowed = [_allowed(client, marks) for client in clients]
            if resend:
                allowed = [_resend(database, client, *ends) for client, ends in zip(clients, allowed, strict=True)]
            found = Found(database)
            images = found.images(TABLE)
            for client, ends in zip(clients, allowed, strict=True):
                _check_client(client, found.of(client), *ends)
                _check_images(client, found.of(client), ends[0], images)
            assert found.tables.keys() <= {TABLE, *(client.life for client in clients)}
            _check_counters(found)
            _check_last_images(found, images)
            _check_indexes(found)
            _check_statistics(database)
        finally:
            database.close()
        report = check_directory(Path(folder))
        assert report.is_sound, report


def _allowed(client: Client, marks: Marks) -> tuple[int, int]:
    """The steps after which the client's state may be: the last one answered, the last one sent."""
    return marks.get(("acknowledged", client.partition), 0), marks.get(("sent", client.partition), 0)


def _resend(database: InProcessDatabase, client: Client, answered: int, sent: int) -> tuple[int, int]:
    """What is allowed after a transaction was sent again."""
    transactions = [number for number in range(sent) if "ClientRequestToken" in client.steps[number].request]
    if not transactions:
        return answered, sent
    again = transactions[-1]
    assert database.call("TransactWriteItems", client.steps[again].request)[0] == 200
    return (sent, sent) if again == answered else (answered, sent)


def _check_client(client: Client, state: State, answered: int, sent: int) -> None:
    before, after = client.states[answered], client.states[sent]
    if sent == answered or client.steps[answered].atomic:
        assert state in (before, after), f"{client.partition}: neither the state after {answered} nor {sent} steps"
        return
    for place in state.keys() | before.keys() | after.keys():
        assert state.get(place) in (before.get(place), after.get(place)), f"{client.partition}: {place}"


def _check_images(client: Client, state: State, answered: int, images: dict[Any, list[Item | None]]) -> None:
    """The stream has every version that the client's items had, and no other."""
    for sort in (*range(KEYS), COUNTER):
        versions: list[Item | None] = [None]
        for past in (*client.states[: answered + 1], state):
            if (version := past.get((TABLE, str(sort)))) != versions[-1]:
                versions.append(version)
        assert images.get((client.partition, str(sort)), [None]) == versions, "the stream differs from the answers"


def _check_counters(found: Found) -> None:
    counters = {item["p"]["S"]: int(item["n"]["N"]) for item in found.items[TABLE] if item["s"]["N"] == "-1"}
    assert counters.pop(SHARED, 0) == sum(counters.values()), "half a transaction"


def _check_last_images(found: Found, images: dict[tuple[str, str], list[Item | None]]) -> None:
    last = {name: seen[-1] for name, seen in images.items() if seen[-1] is not None}
    assert last == {_name(item): item for item in found.items[TABLE]}, "the stream differs from the table"


def _check_indexes(found: Found) -> None:
    for table in found.tables:
        for name in found.indexes(table):
            entries = [INDEXES[name].entry(item, ("p", "s")) for item in found.items[table]]
            expected = multiset(entry for entry in entries if entry is not None)
            assert multiset(found.entries(table, name)) == expected, f"{table}/{name} differs from its table"


def _check_statistics(database: InProcessDatabase) -> None:
    with database.storage.read() as tx:
        for table in tx.tables():
            assert (table.account, table.region) == (ACCOUNT, REGION)
            for space in (table.space, *(index.space for index in table.indexes)):
                sizes = [item_size(orjson.loads(body)) for _, _, body in tx.items(space, b"", None, 1 << 30)]
                assert tx.statistics(space) == SpaceStatistics(len(sizes), sum(sizes)), (table.name, space)


def check_seed(seed: int, requests: int, count: int, keep: Path | None = None) -> int:
    """A workload and its crashes; returns how many events it had."""
    workload = Workload(seed, requests, stores=2 - seed % 2)
    workload.check_crashes(count, seed, keep=keep)
    return len(workload.record.events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crashes", type=int, default=10_000, help="in all")
    parser.add_argument("--each", type=int, default=250, help="crashes of one workload")
    parser.add_argument("--requests", type=int, default=300, help="of one workload")
    parser.add_argument("--seed", type=int, default=1, help="of the first workload")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "blotter-crashes")
    arguments = parser.parse_args()
    begun, events, failed = time.monotonic(), 0, 0
    seeds = range(arguments.seed, arguments.seed + -(-arguments.crashes // arguments.each))
    with ProcessPoolExecutor(arguments.jobs) as pool:
        work = arguments.requests, arguments.each, arguments.keep
        waiting = {pool.submit(check_seed, seed, *work): seed for seed in seeds}
        for done in as_completed(waiting):
            error = done.exception()
            if error is None:
                events += done.result()
                print(f"seed {waiting[done]}: {arguments.each} crashes, nothing was lost", flush=True)
            else:
                failed += 1
                print(f"seed {waiting[done]}: {error}: {error.__cause__}", flush=True)
    if failed:
        raise SystemExit(f"{failed} of {len(seeds)} seeds failed; their files are in {arguments.keep}")
    print(
        f"{len(seeds) * arguments.each} crashes among {events} events of {len(seeds)} workloads: nothing was lost "
        f"({time.monotonic() - begun:.0f} s)"
    )


if __name__ == "__main__":
    main()
