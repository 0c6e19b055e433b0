"""A vector index that comes and goes: what is shown, searched, refused and left, at every moment of it.

Recorded in Parity Suite, tests/tier2/vectorSearch (lifecycle, updateLifecycle); nubo-db/dynoxide, tests/
vector_indexes.rs; ExtendDB/extenddb, crates/core/src/types/table.rs, all between August and October 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.storage.protocol import ReadTransaction
from tests.in_process import ACCOUNT, REGION, InProcessDatabase
from tests.unit.database.operations.vectors.vector_table import VectorTable, definitions, item, vector_index

DELAY = 10.0
BUSY = "Attempt to change a resource which is still in use: "
ONE_AT_A_TIME = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"


class Life:
    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.database = InProcessDatabase(folder, clock=lambda: self.now, table_delay=DELAY)
        self.table = VectorTable([self.database], hashed=False, indexed=False)
        self.wait()
        self.table.put(*(item(f"key {number}", (number, 1.0)) for number in range(5)))

    def wait(self) -> None:
        self.now += DELAY
        self.database.call("ListTables", {})

    def update(self, **action: Any) -> str:
        """The message of a refusal, or ""."""
        request: dict[str, Any] = {"TableName": self.table.name, "VectorIndexUpdates": [action]}
        if "Create" in action:
            request["AttributeDefinitions"] = definitions(hashed=False)
        status, body = self.database.call("UpdateTable", request)
        return "" if status == 200 else body["message"]  # type: ignore[no-any-return]

    def create(self, name: str = "vix") -> str:
        return self.update(Create=vector_index(2, hashed=False, name=name))

    def delete(self, name: str = "vix") -> str:
        return self.update(Delete={"IndexName": name})

    def described(self) -> tuple[str, list[tuple[str, str, bool | None]]]:
        table = self.table.call("DescribeTable")["Table"]
        shown = table.get("VectorIndexes", [])
        return table["TableStatus"], [
            (each["IndexName"], each["IndexStatus"], each.get("Backfilling")) for each in shown
        ]

    def search(self) -> str:
        status, body = self.table.send(
            "SearchVectors", {"TableName": self.table.name, **self.table.searching((0.0, 1.0))}
        )
        return f"{len(body['SearchResults'])} found" if status == 200 else body["message"]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    opened = Life(tmp_path / "data")
    yield opened
    opened.database.close()


def test_an_index_is_allocated_filled_and_then_searched(life: Life) -> None:
    assert life.create() == ""
    assert life.described() == ("UPDATING", [("vix", "CREATING", False)])
    assert life.search() == "The table does not have the specified index: vix"
    life.table.put(item("key 2", (7.0, 1.0)), item("later", (8.0, 1.0)))
    life.database.background = False
    life.wait()
    assert life.described() == ("ACTIVE", [("vix", "CREATING", True)])
    assert life.search() == "Cannot search backfilling vector index: vix"
    life.table.put(item("during", (9.0, 1.0)))
    life.database.background = True
    life.wait()
    assert life.described() == ("ACTIVE", [("vix", "ACTIVE", None)])
    life.table.check((0.0, 1.0))
    assert life.search() == "7 found"


def test_writes_are_checked_from_the_first_moment(life: Life) -> None:
    life.create()
    status, body = life.table.send("PutItem", {"TableName": life.table.name, "Item": item("bad", (1.0,))})
    assert (status, body["message"]) == (
        400,
        "One or more parameter values were invalid. Invalid size for parameter v, Expected: 2, Actual: 1 "
        "IndexName: vix",
    )


def test_what_is_refused_while_an_index_comes(life: Life) -> None:
    life.create()
    where = f"Table: {life.table.name} Index: vix"
    assert life.create() == f"{BUSY}Index is being created.  {where}"
    assert life.create("second") == ONE_AT_A_TIME
    assert life.delete() == (
        f"{BUSY}Index creation is in resource allocation phase. Retry deletion during backfilling phase or when "
        f"the index is active. {where}"
    )
    status, body = life.table.send("DeleteTable", {"TableName": life.table.name})
    assert (status, body["message"]) == (
        400,
        f"{BUSY}Cannot delete table while indexes are being created, updated, or deleted.",
    )
    life.wait()
    assert life.create() == "Attempting to create an index which already exists"


def test_an_index_that_is_filled_may_be_given_up(life: Life) -> None:
    life.create()
    life.database.background = False
    life.wait()
    assert life.create("second") == ONE_AT_A_TIME
    assert life.delete() == ""
    assert life.described() == ("UPDATING", [("vix", "DELETING", None)])
    life.database.background = True
    life.wait()
    assert life.described() == ("ACTIVE", [])
    assert spaces_in_use(life) == 0


def test_an_index_that_goes_is_searched_no_more_and_leaves_nothing(life: Life) -> None:
    life.create()
    life.wait()
    life.wait()
    assert spaces_in_use(life) > 0
    assert life.delete() == ""
    assert life.described()[1] == [("vix", "DELETING", None)]
    assert life.search() == "The table does not have the specified index: vix"
    # It takes no entries and refuses nothing any more.
    life.table.put(item("not its dimensions", (1.0, 2.0, 3.0)))
    assert life.delete() == f"{BUSY}Index is being deleted. Table: {life.table.name} Index: vix"
    life.wait()
    assert life.described() == ("ACTIVE", [])
    assert spaces_in_use(life) == 0
    del life.table.items["not its dimensions"]
    assert life.create() == ""
    life.wait()
    life.wait()
    life.table.check((0.0, 1.0))


def test_a_table_that_goes_leaves_nothing(life: Life) -> None:
    life.create()
    life.wait()
    life.wait()
    life.table.call("DeleteTable")
    life.wait()
    assert spaces_in_use(life) == 0
    status, _ = life.table.send("DescribeTable", {"TableName": life.table.name})
    assert status == 400


def spaces_in_use(life: Life) -> int:
    """How many items are in key spaces beside the table's."""
    for _ in range(5):
        life.database.call("ListTables", {})

    def count(tx: ReadTransaction) -> int:
        table = tx.find_table(ACCOUNT, REGION, life.table.name)
        kept = -1 if table is None else table.space
        return sum(tx.statistics(space).items for space in range(1, 40) if space != kept)

    return life.database.run(life.database.storage.fetch(count))
