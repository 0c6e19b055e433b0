"""The chores run side by side, outlive a failing store, and stop on request."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from blotter.database.background import attempts
from blotter.database.background.runner import Background
from blotter.database.background.tables import TableKeeper
from blotter.database.background.tokens import TokenSweeper
from blotter.database.model.streams import RETENTION
from blotter.database.model.table import PAST, Table
from blotter.database.storage.protocol import StorageUnavailable
from tests.in_process import InProcessDatabase
from tests.stream_database import START, StreamDatabase
from tests.waiting import until


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[StreamDatabase]:
    streams = StreamDatabase(tmp_path / "data")
    yield streams
    streams.database.close()


def changes_kept(streams: StreamDatabase) -> int:
    with streams.database.storage.read() as tx:
        return sum(change.kind == "item" for change in tx.log(0, 1 << 30))


def test_one_round_does_every_chore(streams: StreamDatabase) -> None:
    streams.create()
    specification = {"Enabled": True, "AttributeName": "ttl"}
    streams.call("UpdateTimeToLive", TableName="books", TimeToLiveSpecification=specification)
    streams.put("old", ttl=START + 60)
    assert changes_kept(streams) == 1
    streams.now += RETENTION + 1
    background = Background(streams.database.storage, lambda: streams.now)
    streams.database.run(background.run_once())
    assert streams.call("Scan", TableName="books")["Count"] == 0
    assert changes_kept(streams) == 1  # the old change went, the service's deletion came


def test_it_runs_until_it_is_stopped(streams: StreamDatabase) -> None:
    streams.create()
    specification = {"Enabled": True, "AttributeName": "ttl"}
    streams.call("UpdateTimeToLive", TableName="books", TimeToLiveSpecification=specification)
    streams.put("old", ttl=START - 60)
    storage = streams.database.storage
    background = Background(storage, lambda: streams.now, time_to_live_seconds=0.01)

    def items() -> int:
        with storage.read() as tx:
            return sum(tx.statistics(table.space).items for table in tx.tables())

    async def until_deleted() -> None:
        task = asyncio.create_task(background.run())
        await until(lambda: not items())
        background.stop()
        await asyncio.wait_for(task, 60)

    streams.database.run(until_deleted())
    assert items() == 0


def test_it_wakes_when_a_table_changes_and_when_something_is_due(tmp_path: Path) -> None:
    """Hours between periodic looks: only the notification and the known time can wake it."""
    database = InProcessDatabase(tmp_path / "data", table_delay=0.05, background=False)
    background = Background(database.storage, tables_seconds=7200.0)

    async def life() -> None:
        task = asyncio.create_task(background.run())
        keys = {
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        await database.answer("CreateTable", json.dumps({"TableName": "notes", **keys}).encode())
        await until(lambda: [table.active_at for table in catalog(database)] == [PAST])
        await database.answer("DeleteTable", b'{"TableName": "notes"}')
        await until(lambda: not catalog(database))
        background.stop()
        await asyncio.wait_for(task, 60)

    database.run(asyncio.wait_for(life(), 60))
    database.close()


def catalog(database: InProcessDatabase) -> list[Table]:
    with database.storage.read() as tx:
        return list(tx.tables())


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailable("disk full"),
        apsw.CorruptError("malformed"),
        json.JSONDecodeError("damaged", "", 0),
        ZeroDivisionError(),
    ],
)
def test_an_error_of_one_chore_is_logged_once_and_stops_none(
    streams: StreamDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(attempts, "LONGEST_PAUSE_SECONDS", 0.002)
    rounds: Counter[str] = Counter()

    async def fail(_: TableKeeper) -> int:
        rounds["failed"] += 1
        raise error

    async def work(_: TokenSweeper) -> int:
        rounds["worked"] += 1
        if rounds["failed"] >= 3 and rounds["worked"] >= 3:
            background.stop()
        return 0

    monkeypatch.setattr(TableKeeper, "start_due", fail)
    monkeypatch.setattr(TokenSweeper, "run_once", work)
    background = Background(streams.database.storage, tables_seconds=0.001, trim_seconds=0.001)
    streams.database.run(asyncio.wait_for(background.run(), 60))
    (failure,) = [record for record in caplog.records if "failed" in record.getMessage()]
    assert "looking at the tables" in failure.getMessage()


def test_the_table_keeper_looks_only_after_a_change_or_when_it_is_time(streams: StreamDatabase) -> None:
    streams.create()
    storage = streams.database.storage
    keeper = TableKeeper(storage, lambda: streams.now)
    looks = 0
    with storage.read() as tx:
        reader = type(tx)
    original = reader.tables

    def counted(self: object) -> object:
        nonlocal looks
        looks += 1
        return original(self)  # type: ignore[arg-type]

    reader.tables = counted  # type: ignore[method-assign,assignment]
    try:
        for _ in range(5):
            assert streams.database.run(keeper.run_once()) is False
        assert looks == 1
        streams.call("UpdateTable", TableName="books", DeletionProtectionEnabled=True)
        seen = looks
        streams.database.run(keeper.run_once())
        streams.database.run(keeper.run_once())
        assert looks == seen + 1
    finally:
        reader.tables = original  # type: ignore[method-assign]
