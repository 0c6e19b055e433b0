"""Power loss under operations, the short version: a few hundred crashes, and that the checker sees what is
wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from blotter.database.storage.protocol import StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage
from tests.faults.operations_power_loss import TABLE, Workload, check, check_seed
from tests.faults.storage_power_loss import crashes, write_files
from tests.in_process import ACCOUNT, REGION

Damage = Callable[[WriteTransaction], object]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload(seed=1, requests=400)


def test_nothing_acknowledged_is_lost_and_all_that_belongs_together_agrees(workload: Workload) -> None:
    workload.check_crashes(100, seed=1)


def test_nor_when_two_stores_write_alternately() -> None:
    Workload(seed=2, requests=200, stores=2).check_crashes(75, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 42))
def test_nothing_is_lost_in_ten_thousand_crashes(seed: int) -> None:
    check_seed(seed, requests=300, count=250)


# The checker


def test_a_disk_that_forgets_what_it_synced_is_found_out(workload: Workload) -> None:
    with pytest.raises(AssertionError):
        workload.check_crashes(100, seed=2, forgotten="-wal")


def _items(tx: WriteTransaction, index: str = "") -> tuple[int, list[StoredItem]]:
    table = tx.find_table(ACCOUNT, REGION, TABLE)
    assert table is not None
    found = table.index(index)
    space = table.space if found is None else found.space
    return space, [StoredItem(*row) for row in tx.items(space, b"", None, 1 << 30)]


def _lose_an_item(tx: WriteTransaction) -> None:
    space, items = _items(tx)
    tx.delete(space, next(item for item in items if b'"n"' in item.body and b'"e"' in item.body))


def _lose_an_index_entry(tx: WriteTransaction) -> None:
    space, items = _items(tx, "by-a")
    tx.delete(space, items[0])


def _keep_an_index_entry_too_many(tx: WriteTransaction) -> None:
    space, items = _items(tx, "local-b")
    tx.put(space, replace(items[0], key=items[0].key + b"\x00"), None)


def _miscount(tx: WriteTransaction) -> None:
    space, items = _items(tx)
    tx.put(space, replace(items[0], size=items[0].size + 1), items[0])


def _halve_a_transaction(tx: WriteTransaction) -> None:
    space, items = _items(tx)
    counter = next(item for item in items if orjson.loads(item.body)["p"] == {"S": "shared"})
    body = orjson.loads(counter.body)
    body["n"] = {"N": str(int(body["n"]["N"]) + 1)}
    tx.put(space, replace(counter, body=orjson.dumps(body)), counter)


def _lose_the_log(tx: WriteTransaction) -> None:
    tx.trim_log(tx.last_change(), 1 << 30)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_lose_an_item, "neither the state after"),
        (_lose_an_index_entry, "by-a differs from its table"),
        (_keep_an_index_entry_too_many, "local-b differs from its table"),
        (_miscount, "main"),
        (_halve_a_transaction, "half a transaction"),
        (_lose_the_log, "the stream differs|a stream record is missing"),
    ],
)
def test_the_checker_sees_damage(workload: Workload, tmp_path: Path, damage: Damage, complaint: str) -> None:
    end = [len(workload.record.events)]
    _, files, marks = next(crashes(workload.record, end, random.Random(1)))
    write_files(tmp_path, files)

    async def tamper() -> None:
        storage = SqliteStorage.open(tmp_path)
        await storage.write(damage)
        await storage.close()

    check(files, workload.clients, marks, resend=False)
    asyncio.run(tamper())
    damaged = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(AssertionError, match=complaint):
        check(damaged, workload.clients, marks, resend=False)
