"""A copy is the table at its moment, whatever writers do while it is read."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.copies import copier, history, jobs
from blotter.database.copies.copier import CopyImpossible, Moment
from blotter.database.model.table import Table
from blotter.database.storage.protocol import Row
from tests.in_process import ACCOUNT, REGION, InProcessDatabase


@pytest.fixture(params=["sqlite", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data", store=request.param)
    yield database
    database.close()


def create(database: InProcessDatabase, name: str = "books") -> Table:
    status, _ = database.call(
        "CreateTable",
        {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
        },
    )
    assert status == 200
    return found(database, name)


def found(database: InProcessDatabase, name: str = "books") -> Table:
    with database.storage.read() as tx:  # type: ignore[union-attr]
        table = tx.find_table(ACCOUNT, REGION, name)
    assert table is not None
    return table


def change(database: InProcessDatabase, chance: random.Random, name: str = "books") -> None:
    """One random write: many keys of few partitions, so that writes meet."""
    key = {"p": {"S": chance.choice("abcdefgh")}, "s": {"N": str(chance.randrange(12))}}
    if chance.random() < 0.4:
        status, _ = database.call("DeleteItem", {"TableName": name, "Key": key})
    else:
        text = "x" * chance.choice((1, 30, 3000))
        item = {**key, "n": {"N": str(chance.randrange(1000))}, "t": {"S": text}}
        status, _ = database.call("PutItem", {"TableName": name, "Item": item})
    assert status == 200


def rows_now(database: InProcessDatabase, table: Table) -> list[Row]:
    with database.storage.read() as tx:  # type: ignore[union-attr]
        return [tuple(row) for row in tx.items(table.space, b"", None, 1 << 20)]  # type: ignore[misc]


def begin(database: InProcessDatabase, table: Table, name: str = "c1") -> Moment:
    return database.run(database.storage.write(lambda tx: copier.begin(tx, table, name, 1000.0)))


def end(database: InProcessDatabase, table: Table, name: str = "c1") -> None:
    database.run(database.storage.write(lambda tx: copier.end(tx, table, name)))


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_equals_the_table_at_its_moment(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Slices of a few rows, with random writes between them, and a restart from some key in the middle."""
    chance = random.Random(seed)
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(history, "CHANGES_AT_ONCE", 2)
    table, other = create(database), create(database, "other")
    for _ in range(60):
        change(database, chance)
    for _ in range(3):
        moment = begin(database, table)
        expected = rows_now(database, table)
        copied: list[Row] = []
        source = copier.rows(database.tools, table, "c1", moment.position)

        async def read(source: AsyncIterator[list[Row]]) -> list[Row] | None:
            return await anext(source, None)

        while (rows := database.run(read(source))) is not None:
            copied += [tuple(row) for row in rows]  # type: ignore[misc]
            if chance.random() < 0.2:  # after a crash: from what was kept
                del copied[chance.randrange(len(copied) + 1) :]
                start = copied[-1][0] + b"\x00" if copied else b""
                source = copier.rows(database.tools, table, "c1", moment.position, start)
            for _ in range(chance.randrange(6)):
                change(database, chance, chance.choice(("books", "books", "other")))
        assert copied == expected
        end(database, table)
    assert found(database).log_readers == ()
    assert other.name == "other"


def test_only_a_copy_under_way_logs_and_holds_the_log(database: InProcessDatabase) -> None:
    table = create(database)

    def logged() -> int:
        with database.storage.read() as tx:  # type: ignore[union-attr]
            return sum(entry.kind == "item" for entry in tx.log(0, 1000))

    change(database, random.Random(1))
    assert logged() == 0
    begin(database, table)
    database.call("PutItem", {"TableName": "books", "Item": {"p": {"S": "k"}, "s": {"N": "1"}}})
    assert logged() == 1
    end(database, table)
    end(database, table)
    database.call("PutItem", {"TableName": "books", "Item": {"p": {"S": "k"}, "s": {"N": "2"}}})
    assert logged() == 1


def test_a_deleted_table_waits_for_its_copies(database: InProcessDatabase) -> None:
    table = create(database)
    database.call("PutItem", {"TableName": "books", "Item": {"p": {"S": "k"}, "s": {"N": "1"}}})
    begin(database, table)
    begin(database, table, "c2")
    assert database.call("DeleteTable", {"TableName": "books"})[0] == 200
    for name in ("c1", "c2"):
        described = database.call("DescribeTable", {"TableName": "books"})[1]
        assert described["Table"]["TableStatus"] == "DELETING"
        assert database.call("CreateTable", request_like(described))[0] == 400
        assert len(rows_now(database, table)) == 1
        end(database, table, name)
    assert database.call("DescribeTable", {"TableName": "books"})[0] == 400
    with database.storage.read() as tx:  # type: ignore[union-attr]
        assert tx.statistics(table.space) == (0, 0)


def request_like(described: dict[str, Any]) -> dict[str, Any]:
    names = ("TableName", "AttributeDefinitions", "KeySchema")
    return {**{name: described["Table"][name] for name in names}, "BillingMode": "PAY_PER_REQUEST"}


def test_a_copy_whose_log_is_lost_says_so(database: InProcessDatabase) -> None:
    table = create(database)
    begin(database, table)
    with database.storage.read() as tx:  # type: ignore[union-attr]
        copier.check_possible(tx, table, "c1")
        with pytest.raises(CopyImpossible, match="does not go back"):
            copier.check_possible(tx, table, "c2")
    end(database, table)
    assert database.call("DeleteTable", {"TableName": "books"})[0] == 200
    with database.storage.read() as tx, pytest.raises(CopyImpossible, match="is gone"):  # type: ignore[union-attr]
        copier.check_possible(tx, table, "c1")


def test_jobs_are_kept_in_order_until_they_end(database: InProcessDatabase) -> None:
    database.background = False
    storage = database.storage
    for number in (2, 1):
        job = jobs.Job.new(f"job-{number}", "backup", 5.0, {"n": number})
        database.run(storage.write(lambda tx, job=job: jobs.start(tx, job)))  # type: ignore[misc]
    kept = database.run(storage.fetch(jobs.all_jobs))
    assert [(job.id, job.state_as(dict)) for job in kept] == [("job-1", {"n": 1}), ("job-2", {"n": 2})]
    database.run(database.tools.save(kept[0].with_state({"n": 3})))
    assert database.run(storage.fetch(lambda tx: jobs.find(tx, "job-1"))).state_as(dict) == {"n": 3}  # type: ignore[union-attr]
    for _ in range(2):
        database.run(storage.write(lambda tx: jobs.end(tx, "job-1")))
    assert database.run(storage.fetch(lambda tx: jobs.find(tx, "job-1"))) is None
