"""A whole store is copied into another one while requests go on, and what was copied is the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.inspection.check import check
from blotter.database.storage.change_log import STORE_COPY, find_reader
from blotter.database.storage.protocol import (
    METRICS_SPACE,
    RECORDS_SPACE,
    ReadTransaction,
    Storage,
    StoredItem,
    WriteTransaction,
)
from blotter.database.store_copy import copying, differences, online, target
from blotter.database.store_copy.comparing import CopyFailed
from blotter.database.store_copy.copying import Copied, copy_store
from tests.in_process import STORES, InProcessDatabase
from tests.postgres_storage import open_on_postgres
from tests.unit.database.store_copy.histories import History, create_table

OPENERS = {**STORES, "postgres": open_on_postgres}
PAIRS = (("sqlite", "memory"), ("memory", "sqlite"), ("sqlite", "postgres"), ("postgres", "sqlite"))
CASES = [
    pytest.param(pair, seed, id=f"{'-'.join(pair)}-{seed}", marks=[pytest.mark.slow] if seed > 1 else [])
    for pair in PAIRS
    for seed in range(60)
]


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (copying, differences, target):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(copying, "CHANGES_AT_ONCE", 5)
    monkeypatch.setattr(copying, "FEW_CHANGES", 3)
    monkeypatch.setattr(copying, "PAUSE_SECONDS", 0.0)


def quiet(*_: object) -> None: ...


class Busy:
    """The source as the copy reads it: before every read, others may do something."""

    def __init__(self, storage: Storage, between: Callable[[], Any]) -> None:
        self._storage = storage
        self.between = between

    async def fetch(self, handler: Callable[[ReadTransaction], Any]) -> Any:
        await self.between()
        return await self._storage.fetch(handler)

    async def write(self, handler: Callable[[WriteTransaction], Any]) -> Any:
        return await self._storage.write(handler)


class Use:
    """Others use the source until they are asked to stop, and `after` looks more."""

    def __init__(self, after: int = 3) -> None:
        self.is_stopped = False
        self.asked = 0
        self._left = after

    async def try_stop(self) -> bool:
        if self.asked:
            self._left -= 1
            self.is_stopped = self._left <= 0
        return self.is_stopped

    async def ask_to_stop(self, behind: int) -> None:
        assert behind <= 3
        self.asked += 1


class Unused:
    async def try_stop(self) -> bool:
        return True

    async def ask_to_stop(self, behind: int) -> None:
        raise AssertionError(behind)


class Stores:
    """A database, the source, and an empty store, the target. Everything runs on one loop."""

    def __init__(self, folder: Path, source: str = "sqlite", target: str = "sqlite", **others: Any) -> None:
        self.folder = folder / "target"
        self.source = InProcessDatabase(folder / "source", store=OPENERS[source], **others)
        self.target = OPENERS[target](self.folder)

    def copy(self, use: Use | Unused, between: Callable[[], Any] | None = None, progress: Any = quiet) -> Copied:
        source: Any = self.source.storage if between is None else Busy(self.source.storage, between)
        return self.source.run(copy_store(source, self.target, use, progress))

    def dumps(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the target holds, and the source."""
        return self.source.run(dump(self.target)), self.source.run(dump(self.source.storage))

    def close(self) -> None:
        self.source.run(self.target.close())
        self.source.close()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(tmp_path)
    yield stores
    stores.close()


async def dump(storage: Storage) -> dict[str, Any]:
    """Everything that a store holds, without what only looks different."""

    def read(tx: ReadTransaction) -> dict[str, Any]:
        tables = sorted(tx.tables(), key=lambda table: table.arn)
        spaces = [RECORDS_SPACE, METRICS_SPACE, *(table.space for table in tables)]
        spaces += [index.space for table in tables for index in table.indexes]
        return {
            "tables": tables,
            "items": {space: [tuple(row) for row in tx.items(space, b"", None, 99_999)] for space in spaces},
            "statistics": {space: tuple(tx.statistics(space)) for space in spaces},
            "log": tx.log(0, 99_999),
            "readers": tx.log_readers(),
            "last": tx.last_change(),
        }

    return await storage.fetch(read)


@pytest.mark.parametrize(("pair", "seed"), CASES)
def test_a_copy_under_load_is_the_source(tmp_path: Path, pair: tuple[str, str], seed: int) -> None:
    stores = Stores(tmp_path, *pair)
    history, use = History(stores.source, seed), Use()

    async def steps(number: int) -> None:
        for _ in range(number):
            await history.step()

    async def between() -> None:
        await steps(0 if use.is_stopped else history.chance.choice([0, 0, 1, 2]))

    try:
        stores.source.run(steps(120))
        copied = stores.copy(use, between)
        found, expected = stores.dumps()
    finally:
        stores.close()
    assert found == expected
    assert use.asked == 1
    assert copied.tables == len(expected["tables"]) == len(history.tables)
    assert copied.items == sum(expected["statistics"][table.space][0] for table in expected["tables"])
    assert not any(STORE_COPY in table.log_readers for table in expected["tables"])
    if pair[1] == "sqlite":
        report = check(stores.folder, None)
        assert report.is_sound, [result for result in report.results if result.problems]


def test_a_copy_serves_and_goes_on_where_the_source_ended(stores: Stores) -> None:
    source = stores.source
    source.call("CreateTable", create_table("first", stream=True))
    for number in range(10):
        put_item(source, number)
    stream = source.call("DescribeTable", {"TableName": "first"})[1]["Table"]["LatestStreamArn"]

    def records(database: InProcessDatabase, **position: str) -> list[dict[str, Any]]:
        """Of the only shard that has some."""
        found: list[dict[str, Any]] = []
        for shard in database.call("DescribeStream", {"StreamArn": stream})[1]["StreamDescription"]["Shards"]:
            where = {"StreamArn": stream, "ShardId": shard["ShardId"], **position}
            status, answer = database.call("GetShardIterator", where)
            if status == 200:  # else the position is another shard's
                iterator = answer["ShardIterator"]
                found += database.call("GetRecords", {"ShardIterator": iterator})[1]["Records"]
        return found

    before = records(source, ShardIteratorType="TRIM_HORIZON")
    stores.copy(Unused())
    copy = InProcessDatabase(stores.folder, store=lambda *_, **__: stores.target)
    position = {
        "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
        "SequenceNumber": before[4]["dynamodb"]["SequenceNumber"],
    }
    assert records(copy, **position) == before[5:], "readers of streams go on"
    put_item(copy, 10)
    later = records(copy, **position)
    assert later[:-1] == before[5:]
    assert int(later[-1]["dynamodb"]["SequenceNumber"]) > int(before[-1]["dynamodb"]["SequenceNumber"])
    copy.call("CreateTable", create_table("second"))
    query = {
        "TableName": "first",
        "IndexName": "by-v",
        "KeyConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    }
    assert copy.call("Query", query)[1]["Count"] == 4
    assert copy.call("Scan", {"TableName": "second"})[1]["Count"] == 0
    copy.close()


def put_item(database: InProcessDatabase, number: int) -> None:
    item = {"p": {"S": "a"}, "s": {"N": str(number)}, "v": {"N": str(number % 3)}}
    assert database.call("PutItem", {"TableName": "first", "Item": item})[0] == 200


@pytest.mark.parametrize("ends_before", [True, False])
def test_a_table_that_a_job_fills_meanwhile_is_copied(tmp_path: Path, ends_before: bool) -> None:
    """What a restore puts is not in the log. One that has not ended when the source stops goes on in the copy."""
    objects = (tmp_path / "objects").as_uri()
    stores = Stores(tmp_path, objects=objects)
    source = stores.source
    source.call("CreateTable", create_table("first"))
    for number in range(20):
        put_item(source, number)
    backup = source.call("CreateBackup", {"TableName": "first", "BackupName": "once"})[1]["BackupDetails"]
    use, begun = Use(after=8), []

    async def between() -> None:
        if use.asked and not use.is_stopped and not begun:
            begun.append(True)
            source.background = ends_before
            request = {"BackupArn": backup["BackupArn"], "TargetTableName": "second"}
            await History(source, 0).ask("RestoreTableFromBackup", **request)

    stores.copy(use, between)
    found, expected = stores.dumps()
    assert found == expected
    assert begun
    copy = InProcessDatabase(stores.folder, store=lambda *_, **__: stores.target, objects=objects)
    copy.call("ListTables", {})
    assert copy.call("Scan", {"TableName": "second", "IndexName": "by-v"})[1]["Count"] == 20
    copy.close()
    stores.close()


def test_an_interrupted_copy_leaves_no_trace_in_the_source(stores: Stores) -> None:
    stores.source.call("CreateTable", create_table("first"))
    put_item(stores.source, 1)
    _, before = stores.dumps()

    class Interrupted(Exception):
        pass

    def interrupt(what: str, _: int) -> None:
        if what == "copying items":
            raise Interrupted

    with pytest.raises(Interrupted):
        stores.copy(Unused(), progress=interrupt)
    _, after = stores.dumps()
    for what in ("tables", "readers", "items"):
        assert after[what] == before[what]


@pytest.mark.parametrize("what", ["item", "index", "log", "record", "missing", "more"])
def test_a_copy_that_differs_is_refused(stores: Stores, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.source.call("CreateTable", create_table("first", stream=True))
    for number in range(7):
        put_item(stores.source, number)

    def damage(tx: WriteTransaction) -> None:
        (table,) = tx.tables()
        space = {"index": table.indexes[0].space, "record": RECORDS_SPACE}.get(what, table.space)
        rows = tx.items(space, b"", None, 9)
        if what == "log":
            tx.trim_log(tx.first_change(), 1)
        elif what == "record":
            tx.put(space, StoredItem(b"more", 0, b"x"), None)
        elif what == "more":
            tx.put(space, StoredItem(b"\xff" * 20, 1, b"{}"), None)
        elif what == "missing":
            tx.delete(space, StoredItem(*rows[-1]))
        else:
            key, size, body = rows[5]
            tx.put(space, StoredItem(key, size, body.replace(b'"v"', b'"w"')), StoredItem(*rows[5]))

    finish = target.Target.finish

    async def damaging(self: target.Target, *arguments: Any) -> None:
        await finish(self, *arguments)
        await stores.target.write(damage)

    monkeypatch.setattr(target.Target, "finish", damaging)
    with pytest.raises(CopyFailed, match="differs"):
        stores.copy(Unused())


def test_what_differs_is_found_before_the_source_is_stopped(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.source.call("CreateTable", create_table("first"))
    for number in range(7):
        put_item(stores.source, number)
    put, use = target.Target.put, Use()

    async def damaging(self: target.Target, table_id: str, rows: list[Any]) -> None:
        await put(self, table_id, [(key, size, body.replace(b'"v"', b'"w"')) for key, size, body in rows])

    monkeypatch.setattr(target.Target, "put", damaging)
    with pytest.raises(CopyFailed, match="table/first differs from the source at key"):
        stores.copy(use)
    assert use.asked == 0


@pytest.mark.parametrize("wrong", ["item", "entry", "left over"])
def test_what_is_applied_wrongly_at_the_end_is_found(
    stores: Stores, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.source.call("CreateTable", create_table("first"))
    for number in range(7):
        put_item(stores.source, number)
    use, written, replace_item = Use(), [], target._replace_item

    async def between() -> None:
        if use.asked and not use.is_stopped and not written:
            written.append(True)
            item = {"p": {"S": "a"}, "s": {"N": "1"}, "v": {"N": "8"}}
            await History(stores.source, 0).ask("PutItem", TableName="first", Item=item)

    def replaced_wrongly(tx: WriteTransaction, table: Any, previous: Any, change: Any) -> None:
        if wrong == "item":
            return
        replace_item(tx, table, previous, change)
        for row in tx.items(table.indexes[0].space, b"", None, 99):
            if wrong == "entry" and b'"8"' in row[2]:
                tx.put(table.indexes[0].space, StoredItem(row[0], row[1], b"{}"), StoredItem(*row))
        if wrong == "left over":
            tx.put(table.indexes[0].space, StoredItem(b"left over", 1, b"{}"), None)

    monkeypatch.setattr(target, "_replace_item", replaced_wrongly)
    with pytest.raises(CopyFailed, match="differs from the source"):
        stores.copy(use, between)
    assert written


def test_a_table_with_very_many_changes_is_compared_in_the_end(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "MOST_KEYS", 2)
    stores.source.call("CreateTable", create_table("first"))
    use, history = Use(after=9), History(stores.source, 3)

    async def between() -> None:
        if use.asked and not use.is_stopped:
            number = history.chance.randrange(99)
            await history.ask("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": str(number)}})

    copied = stores.copy(use, between)
    found, expected = stores.dumps()
    assert found == expected
    assert all(space.checksum is not None for space in copied.spaces)


@pytest.mark.parametrize("what", ["reader", "entries"])
def test_a_copy_that_trimming_no_longer_waits_for_is_given_up(stores: Stores, what: str) -> None:
    stores.source.call("CreateTable", create_table("first"))

    def lose(tx: WriteTransaction) -> None:
        if what == "reader":
            tx.remove_log_reader(STORE_COPY)
        elif find_reader(tx, STORE_COPY) is not None:
            tx.log_record(b"user/x", None, b"{}")
            tx.log_record(b"user/x", b"{}", None)
            tx.trim_log(tx.last_change() - 1, 99)

    async def between() -> None:
        await stores.source.storage.write(lose)

    with pytest.raises(CopyFailed, match="no longer keeps the changes"):
        stores.copy(Use(), between)


def test_a_server_that_does_not_log_new_tables_for_the_copy_is_refused(stores: Stores) -> None:
    """As one of an older version does."""

    async def between() -> None:
        await stores.source.storage.write(forget)

    def forget(tx: WriteTransaction) -> None:
        for table in list(tx.tables()):
            tx.save_table(target.without_reader(table))

    stores.source.call("CreateTable", create_table("first"))
    with pytest.raises(CopyFailed, match="table/first were not logged: its server is of an older version"):
        stores.copy(Use(), between)
