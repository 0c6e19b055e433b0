"""States end, indexes are filled and checked, and what fails is one table's matter alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from blotter.database.background import index_entries
from blotter.database.background.attempts import Attempts
from blotter.database.background.tables import TableKeeper
from blotter.database.model.keys import any_index_key
from blotter.database.model.table import PAST, Index, Table
from blotter.database.storage.protocol import StorageUnavailable, StoredItem, WriteTransaction
from tests.in_process import InProcessDatabase

Item = dict[str, Any]


class Tables:
    """A database whose background the test runs, on two clocks of the test's; states last ten seconds."""

    def __init__(self, folder: Path) -> None:
        self.wall, self.elapsed = 1_000_000.0, 500.0
        self.database = InProcessDatabase(folder, lambda: self.wall, table_delay=10.0, background=False)
        self.storage = self.database.storage
        attempts = Attempts(lambda: self.elapsed, chance=lambda: 0.0)
        self.keeper = TableKeeper(self.storage, lambda: self.wall, lambda: self.elapsed, attempts)

    def call(self, operation: str, table: str = "notes", **members: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, {"TableName": table} | members)
        assert status == 200, body
        return body

    def create(self, name: str = "notes") -> None:
        self.call(
            "CreateTable",
            name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        )

    def add_index(self, table: str = "notes") -> None:
        self.call("UpdateTable", **self.new_index(table))

    def drop_index(self, table: str = "notes") -> None:
        self.call("UpdateTable", **self.index_removal(table))

    @staticmethod
    def new_index(table: str = "notes") -> dict[str, Any]:
        create = {
            "IndexName": "by-x",
            "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        return {
            "TableName": table,
            "AttributeDefinitions": [{"AttributeName": "x", "AttributeType": "S"}],
            "GlobalSecondaryIndexUpdates": [{"Create": create}],
        }

    @staticmethod
    def index_removal(table: str = "notes") -> dict[str, Any]:
        return {"TableName": table, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-x"}}]}

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds

    def work(self) -> None:
        while self.database.run(self.keeper.run_once()):
            pass

    def stored(self, name: str = "notes") -> Table:
        with self.storage.read() as tx:
            (table,) = [table for table in tx.tables() if table.name == name]
            return table

    def status(self, name: str = "notes") -> str:
        return str(self.call("DescribeTable", name)["Table"]["TableStatus"])

    def index_status(self, name: str = "notes") -> str:
        (index,) = self.call("DescribeTable", name)["Table"]["GlobalSecondaryIndexes"]
        return str(index["IndexStatus"])


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    tables = Tables(tmp_path / "data")
    yield tables
    tables.database.close()


def test_a_state_that_has_ended_does_not_begin_again(tables: Tables) -> None:
    tables.create()
    tables.work()
    assert tables.status() == "CREATING"
    assert tables.keeper.pause() == 10.0
    tables.pass_(10)
    tables.work()
    stored = tables.stored()
    assert stored.active_at == PAST
    assert stored.stream is not None
    assert stored.stream.settles_at == PAST
    tables.wall -= 5  # less than a state lasts
    assert tables.status() == "ACTIVE"
    tables.call("UpdateTable", TableClass="STANDARD_INFREQUENT_ACCESS")
    tables.work()
    assert tables.status() == "UPDATING"
    tables.pass_(10)
    tables.work()
    tables.wall -= 5
    assert tables.status() == "ACTIVE"
    assert tables.keeper.pause() == float("inf")


def test_a_clock_that_is_set_back_makes_nobody_wait(tables: Tables) -> None:
    tables.create()
    tables.work()
    tables.elapsed += 4
    tables.wall += 4 - 1800
    assert tables.status() == "CREATING"
    tables.work()
    assert tables.keeper.pause() == 6.0
    tables.pass_(6)
    tables.work()
    assert tables.status() == "ACTIVE"
    tables.call("DeleteTable")
    tables.work()
    tables.elapsed += 10
    tables.wall -= 1800
    tables.work()
    with tables.storage.read() as tx:
        assert list(tx.tables()) == []


def test_a_failing_index_stops_no_other_work(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two", "three"):
        tables.create(name)
    tables.pass_(10)
    for name in ("one", "two", "three"):
        tables.call("PutItem", name, Item={"p": {"S": "a"}, "x": {"S": name}})
    original = index_entries.write_index_entry

    def failing(tx: WriteTransaction, table: Table, *rest: Any) -> float:
        if table.name == "one":
            raise StorageUnavailable("a damaged page")
        return original(tx, table, *rest)

    monkeypatch.setattr(index_entries, "write_index_entry", failing)
    for name in ("one", "two"):
        tables.add_index(name)
    tables.call("DeleteTable", "three")
    tables.pass_(10)
    for _ in range(5):
        tables.work()
        tables.pass_(tables.keeper.pause())
    assert tables.index_status("two") == "ACTIVE"
    assert tables.index_status("one") == "CREATING"
    assert tables.database.call("ListTables", {})[1]["TableNames"] == ["one", "two"]
    failures = [record for record in caplog.records if "failed" in record.getMessage()]
    assert len(failures) == 1  # though it was tried five times
    assert "table/one" in failures[0].getMessage()
    # It can be given up, and it can succeed.
    tables.drop_index("one")
    tables.pass_(10)
    tables.work()
    tables.add_index("one")
    monkeypatch.undo()
    tables.pass_(10)
    tables.work()
    assert tables.index_status("one") == "ACTIVE"
    assert tables.call("Scan", "one", IndexName="by-x")["Count"] == 1


def test_an_item_that_cannot_be_read_is_left_out(tables: Tables, caplog: pytest.LogCaptureFixture) -> None:
    tables.create()
    tables.pass_(10)
    for key in "abc":
        tables.call("PutItem", Item={"p": {"S": key}, "x": {"S": key}})
    space = tables.stored().space

    def damage(tx: WriteTransaction) -> None:
        key, size, body = tx.items(space, b"", None, 1)[0]
        tx.put(space, StoredItem(key, size, b"\x00" + body[1:]), StoredItem(key, size, body))

    tables.database.run(tables.storage.write(damage))
    tables.add_index()
    tables.pass_(10)
    tables.work()
    assert tables.index_status() == "ACTIVE"
    assert tables.call("Scan", IndexName="by-x")["Count"] == 2
    (record,) = [record for record in caplog.records if "cannot be read" in record.getMessage()]
    assert "table/notes" in record.getMessage()


def test_an_index_that_takes_the_name_of_another_is_filled_from_the_start(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_entries, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(index_entries, "SLICE_SECONDS", -1.0)  # one item a slice
    tables.create()
    tables.pass_(10)
    for key in "abcdef":
        tables.call("PutItem", Item={"p": {"S": key}, "x": {"S": key}, "y": {"S": "y"}})
    tables.add_index()
    tables.pass_(10)
    slices = 0
    original = tables.storage.write

    async def counted(handler: Any) -> Any:
        nonlocal slices
        slices += 1
        if slices == 4:  # in the middle of the first filling
            for request in (tables.index_removal(), tables.new_index()):
                status, body = await tables.database.answer("UpdateTable", orjson.dumps(request))
                assert status == 200, body
                tables.pass_(10)
        return await original(handler)

    monkeypatch.setattr(tables.storage, "write", counted)
    tables.work()
    assert tables.index_status() == "ACTIVE"
    assert tables.call("Scan", IndexName="by-x")["Count"] == 6


class _Distant:
    """A transaction whose ranges take a second to come."""

    def __init__(self, tx: WriteTransaction, tables: Tables) -> None:
        self._tx = tx
        self._tables = tables

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def items(self, *arguments: Any) -> Any:
        self._tables.elapsed += 1.0
        return self._tx.items(*arguments)


def test_a_slice_has_all_that_it_has_read_however_long_reading_takes(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As across a network: a slice for each item would take hours for a million of them."""
    tables.create()
    tables.pass_(10)
    for key in "abcdef":
        tables.call("PutItem", Item={"p": {"S": key}, "x": {"S": key}})
    tables.add_index()
    tables.pass_(10)
    slices: list[Any] = []
    original, fill = tables.storage.write, index_entries._fill_slice

    async def distant(handler: Any) -> Any:
        return await original(lambda tx: handler(_Distant(tx, tables)))

    def counted(*arguments: Any, **named: Any) -> Any:
        slices.append(named)
        return fill(*arguments, **named)

    monkeypatch.setattr(tables.storage, "write", distant)
    monkeypatch.setattr(index_entries, "_fill_slice", counted)
    tables.work()
    assert tables.index_status() == "ACTIVE"
    assert tables.call("Scan", IndexName="by-x")["Count"] == 6
    assert len(slices) == 1


def test_entries_that_earlier_versions_made_wrongly_are_removed(tables: Tables) -> None:
    """An index filled before 0.2: entries of empty and of too long values, and no mark that it was checked."""
    tables.create()
    tables.pass_(10)
    values = {"good": "1", "empty": "", "long": "x" * 3000, "longest": "x" * 60_000}
    for key, value in values.items():
        tables.call("PutItem", Item={"p": {"S": key}, "x": {"S": value}})
    tables.add_index()
    tables.pass_(10)
    tables.work()
    make_old(tables)
    assert tables.call("Scan", IndexName="by-x")["Count"] == 4
    tables.call("DeleteItem", Key={"p": {"S": "long"}})  # a deletion finds the entry before the check does
    assert tables.call("Scan", IndexName="by-x")["Count"] == 3
    tables.work()
    assert [item["p"]["S"] for item in tables.call("Scan", IndexName="by-x")["Items"]] == ["good"]
    assert tables.stored().indexes[0].verified
    assert tables.call("DescribeTable")["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"] == 1
    for key in values:
        tables.call("UpdateItem", Key={"p": {"S": key}}, UpdateExpression="REMOVE x")
    assert tables.call("Scan", IndexName="by-x")["Count"] == 0


def make_old(tables: Tables) -> None:
    def enter(tx: WriteTransaction) -> None:
        (table,) = tx.tables()
        (index,) = table.indexes
        for key, _, body in tx.items(table.space, b"", None, 99):
            enter_without_rules(tx, index, key, orjson.loads(body))
        tx.save_table(replace(table, indexes=(replace(index, verified=False),)))

    tables.database.run(tables.storage.write(enter))


def enter_without_rules(tx: WriteTransaction, index: Index, key: bytes, item: Item) -> None:
    found = any_index_key(index, item, key)
    assert found is not None
    if tx.get(index.space, found) is None:
        tx.put(index.space, StoredItem(found, 10, orjson.dumps(item)), None)


def test_an_item_too_large_for_a_key_keeps_nothing_from_its_work(tables: Tables) -> None:
    """As reported: 70,000 characters, then an index on them; the index never became ACTIVE, no table was deleted
    any more and the item could not be changed."""
    tables.create()
    tables.create("other")
    tables.pass_(10)
    tables.call("PutItem", Item={"p": {"S": "big"}, "x": {"S": "x" * 70_000}})
    tables.call("PutItem", Item={"p": {"S": "small"}, "x": {"S": "y"}})
    tables.add_index()
    tables.call("DeleteTable", "other")
    tables.pass_(10)
    tables.work()
    assert tables.index_status() == "ACTIVE"
    assert tables.database.call("ListTables", {})[1]["TableNames"] == ["notes"]
    assert [item["p"]["S"] for item in tables.call("Scan", IndexName="by-x")["Items"]] == ["small"]
    status, refused = tables.database.call(
        "PutItem", {"TableName": "notes", "Item": {"p": {"S": "new"}, "x": {"S": "x" * 2049}}}
    )
    assert status == 400
    assert refused["message"] == (
        "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 "
        "bytes"
    )
    update = {"UpdateExpression": "SET y = :y", "ExpressionAttributeValues": {":y": {"S": "1"}}}
    tables.call("UpdateItem", Key={"p": {"S": "big"}}, **update)
    tables.call("DeleteItem", Key={"p": {"S": "big"}})
    assert tables.call("Scan")["Count"] == 1


def test_a_backfill_holds_the_write_lock_for_a_slice_at_a_time(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a watch on which every look is past the slice's end, each transaction enters one item."""
    tables.create()
    tables.pass_(10)
    for number in range(20):
        tables.call("PutItem", Item={"p": {"S": str(number)}, "x": {"S": "x"}})
    entered: list[int] = []
    original = index_entries.write_index_entry

    def counted(*arguments: Any) -> float:
        entered[-1] += 1
        return original(*arguments)

    original_write = tables.storage.write

    async def write(handler: Any) -> Any:
        entered.append(0)
        return await original_write(handler)

    monkeypatch.setattr(index_entries, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(index_entries, "write_index_entry", counted)
    monkeypatch.setattr(tables.storage, "write", write)
    tables.add_index()
    tables.pass_(10)
    tables.work()
    assert max(entered) == 1
    assert sum(entered) == 20
    assert tables.index_status() == "ACTIVE"
