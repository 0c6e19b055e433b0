"""Copies of vector indexes in memory: they follow, are made anew when they cannot, and stay within their limit."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blotter.database.background.time_to_live import TimeToLiveSweeper
from blotter.database.execution.long_reads import MOST_SNAPSHOTS
from blotter.database.model.vectors import vector_entry
from blotter.database.operations.vectors import copies, journal, matrix
from blotter.database.operations.vectors.copies import COPIES, Copy
from blotter.database.operations.vectors.matrix import Matrix
from blotter.database.operations.vectors.scoring import Search, squared_lengths
from blotter.database.storage.sqlite import SqliteStorage
from tests.in_process import InProcessDatabase
from tests.unit.database.model.test_vectors import indexed
from tests.unit.database.operations.vectors.vector_table import VectorTable, distance, item

RING = 16


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(copies, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(journal, "RING", RING)
    monkeypatch.setattr(copies, "RING", RING)
    COPIES.clear()
    yield
    COPIES.clear()
    COPIES.limit = copies.MOST_BYTES


@pytest.fixture
def database(tmp_path: Path) -> Iterator[InProcessDatabase]:
    opened = InProcessDatabase(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Copy]:
    """All copies that are made."""
    found: list[Copy] = []
    make = copies._make

    def noted(*arguments: Any) -> None:
        make(*arguments)
        found.append(arguments[-1][-1])

    monkeypatch.setattr(copies, "_make", noted)
    return found


def filled(*databases: InProcessDatabase, **settings: Any) -> VectorTable:
    table = VectorTable(databases, **settings)
    table.put(*(item(f"key {number}", (number, 1.0), tenant="t", color="red") for number in range(20)))
    return table


def test_a_copy_follows_the_writes_that_the_journal_still_has(
    database: InProcessDatabase, made: list[Copy]
) -> None:
    table = filled(database)
    for number in range(3 * RING):
        table.put(item(f"key {number % 25}", (number, 2.0), tenant="t"))
        if number % 8 == 0:
            table.check((3.0, 1.0), 7)
    assert len(made) == 1


def test_a_copy_that_is_too_far_behind_is_made_anew(database: InProcessDatabase, made: list[Copy]) -> None:
    table = filled(database)
    table.check((0.0, 0.0))
    for number in range(RING):
        table.put(item("key 3", (number, 2.0), tenant="t"))
    table.check((0.0, 0.0))
    assert len(made) == 2


def test_writes_of_another_store_are_followed(tmp_path: Path, made: list[Copy]) -> None:
    stores = [InProcessDatabase(tmp_path / "data") for _ in range(2)]
    table = filled(*stores)
    for number in range(10):
        table.turn = number
        table.put(item(f"key {number}", (5.0, number), tenant="t"))
        table.turn += 1
        table.check((5.0, 5.0), 6)
    assert len(made) == 1
    for store in stores:
        store.close()


def test_a_search_after_a_restart_finds_what_was_there(tmp_path: Path) -> None:
    database = InProcessDatabase(tmp_path / "data")
    table = filled(database)
    table.check((2.0, 1.0))
    database.close()
    COPIES.clear()
    reopened = InProcessDatabase(tmp_path / "data")
    table.databases = [reopened]
    table.check((2.0, 1.0))
    reopened.close()


def test_a_directory_put_back_in_place_is_not_mistaken_for_the_one_before(tmp_path: Path) -> None:
    """As many writes, other ones: the journal's numbers are the same."""
    database = InProcessDatabase(tmp_path / "data")
    table = filled(database)
    table.check((2.0, 1.0))
    database.close()
    shutil.copytree(tmp_path / "data", tmp_path / "saved")
    kept = dict(table.items)
    for folder, key in (("data", "one"), ("saved", "other")):
        database = InProcessDatabase(tmp_path / folder)
        table.databases, table.items = [database], dict(kept)
        table.put(item(key, (2.0, 1.0), tenant="t"))
        table.check((2.0, 1.0))
        database.close()


def test_filter_values_that_come_and_go_do_not_pile_up(
    database: InProcessDatabase, made: list[Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "SPARE_VALUES", 10)
    table = filled(database)
    for number in range(100):
        table.put(item("key 1", (1.0, 1.0), tenant="t", color=f"color {number}"))
        table.check((1.0, 1.0), 5, "t", f"color {number}")
    assert len(made) == 2
    assert len(made[-1].matrix._numbers[0]) < 60


def test_copies_give_way_to_those_that_are_used(database: InProcessDatabase, made: list[Copy]) -> None:
    tables = [filled(database) for _ in range(3)]
    tables[0].check((1.0, 1.0))
    COPIES.limit = made[0].matrix.size * 2
    for table in (tables[1], tables[0], tables[2], tables[0], tables[1]):
        table.check((1.0, 1.0))
    # The third made the second give way, which is the one that was not used for longest.
    assert len(made) == 4
    assert sum(copy.matrix.size for copy in COPIES._copies.values()) <= COPIES.limit


@pytest.mark.parametrize("hashed", [False, True])
def test_what_is_too_large_for_a_copy_is_read(database: InProcessDatabase, made: list[Copy], hashed: bool) -> None:
    table = filled(database, hashed=hashed)
    COPIES.limit = 1
    for _ in range(3):
        table.check((1.0, 1.0))
        table.put(item("one more", (1.0, 1.0), tenant="t"))
    # Of one partition, only making it tells; then it is known for a while.
    assert [len(copy.matrix) for copy in made] == [0] * hashed
    COPIES.limit = copies.MOST_BYTES
    for number in range(RING):
        table.put(item("key 1", (number, 1.0), tenant="t"))
    table.check((1.0, 1.0))
    assert len(made[-1].matrix) == 21


@pytest.mark.parametrize("store", ["sqlite", "distant"])
def test_searches_and_writes_at_once(tmp_path: Path, store: str) -> None:
    """Each search sees one state: all of a transaction or nothing of it."""
    database = InProcessDatabase(tmp_path / "data", store=store)
    table = filled(database)
    for round_ in range(10):
        search = ("SearchVectors", {"TableName": table.name, **table.searching((0.0, 0.0))})
        pairs = [item(f"pair {number}", (round_, number), tenant="t") for number in range(2)]
        actions = [{"Put": {"TableName": table.name, "Item": each}} for each in pairs]
        write = ("TransactWriteItems", {"TransactItems": actions})
        for status, body in database.call_together(search, search, write, search, search):
            assert status == 200, body
            scores = {each["Item"]["id"]["S"]: each["Score"] for each in body.get("SearchResults", ())}
            seen = [round(scores.get(f"pair {number}", -1.0) ** 2) - number for number in range(2)]
            assert not scores or len(set(seen)) == 1 or -1.0 not in scores.values(), body
    database.close()


def test_a_copy_whose_change_failed_halfway_is_made_anew(
    database: InProcessDatabase, made: list[Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = filled(database)
    table.check((1.0, 1.0))
    table.put(item("one more", (1.0, 1.0), tenant="t"))

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(Matrix, "put", fail)
        status, _ = table.send("SearchVectors", {"TableName": table.name, **table.searching((1.0, 1.0))})
        assert status == 500
    table.check((1.0, 1.0))
    assert len(made) == 2


class Watch:
    """A clock by which the store's snapshots live for some looks."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_copy_is_made_over_as_many_snapshots_as_it_takes(
    tmp_path: Path, made: list[Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_PUT_ROWS", 4)
    watch = Watch()
    database = InProcessDatabase(
        tmp_path / "data", store=lambda path, **clock: SqliteStorage.open(path, monotonic=watch, **clock)
    )
    table = filled(database)
    table.put(*(item(f"more {number}", (number, 2.0), tenant="t") for number in range(40)))
    attempts = []
    last_step = copies.last_step
    monkeypatch.setattr(copies, "last_step", lambda *about: attempts.append(about) or last_step(*about))
    watch.step = 2.0  # seconds, of the ten that a snapshot has
    results = table.search((1.0, 1.0), 2)
    watch.step = 0.0
    assert [result["Item"]["id"]["S"] for result in results] == [key for key, _ in table.expected((1.0, 1.0), 2)]
    assert len(made) == 1
    assert len(attempts) > MOST_SNAPSHOTS
    database.close()


def test_searches_of_a_large_copy_come_one_after_another(
    database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "LARGE_BYTES", 0)
    table = filled(database)
    search = ("SearchVectors", {"TableName": table.name, **table.searching((1.0, 1.0))})
    expected = [key for key, _ in table.expected((1.0, 1.0))]
    for _ in range(5):
        put = ("PutItem", {"TableName": table.name, "Item": table.items["key 1"] | {"more": {"S": "x"}}})
        for status, body in database.call_together(search, search, put, search, search):
            assert status == 200, body
            found = [each["Item"]["id"]["S"] for each in body.get("SearchResults", ())]
            assert found in ([], expected)
    assert [copy.busy for copy in COPIES._copies.values()] == [False]


def test_expired_items_are_found_no_more(database: InProcessDatabase) -> None:
    table = filled(database)
    specification = {"Enabled": True, "AttributeName": "ttl"}
    table.call("UpdateTimeToLive", TimeToLiveSpecification=specification)
    table.put(
        *({**item(f"old {number}", (1.0, 1.0), tenant="t"), "ttl": {"N": "1800000000"}} for number in "abcd")
    )
    table.check((1.0, 1.0))
    sweeper = TimeToLiveSweeper(database.storage, lambda: 1_800_000_001.0)
    assert database.run(sweeper.run_once()) == 4
    for number in "abcd":
        del table.items[f"old {number}"]
    table.check((1.0, 1.0))


# What a copy holds


def test_a_matrix_holds_what_a_dict_holds() -> None:
    """With blocks of their real size: several are filled and emptied again."""
    table, index = indexed(hashed=False)
    chance = random.Random(1)

    def entry(key: int) -> tuple[bytes, int, bytes]:
        numbers = [{"N": str(chance.randrange(-9, 10))} for _ in range(2)]
        made = vector_entry(table, index, {"id": {"S": str(key)}, "v": {"L": numbers}}, b"%d" % key)
        assert made is not None
        return made.key, made.size, made.body

    assert index.vector is not None
    held, rows = Matrix(index.vector), {}
    for size in (10, 300, 17_000, 16_384, 5, 0, 300):
        keys = range(size)
        new = [entry(key) for key in keys if b"%d" % key not in rows or chance.random() < 0.01]
        held.remove([key for key in rows if int(key) >= size] + [b"no such key"])
        held.put(new)
        rows = {key: row for key, row in rows.items() if int(key) < size} | {row[0]: row for row in new}
        assert (len(held), held.examined) == (size, sum(row[1] for row in rows.values()))
        assert held.size <= 700 * (size + matrix.BLOCK_ROWS)
        mine, others = (Search(np.array([0.5, -3], "<f4").tobytes(), "EUCLIDEAN", 50) for _ in range(2))
        held.offer_all(mine, [])
        matrix.offer_entries(others, list(rows.values()), index.vector, [])
        assert mine.found == others.found
        assert len(mine.found) == min(50, size)


@pytest.mark.parametrize("function", ["COSINE", "EUCLIDEAN", "DOT_PRODUCT"])
@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e-20, 1.0, 1e15, 1e30, 3e38])
def test_the_nearest_are_found_whatever_the_size_of_numbers(function: Any, scale: float) -> None:
    """Products of 32-bit floats underflow, overflow and cancel each other out here; what is found is what is found
    in 64 bits."""
    chance = np.random.default_rng(7)
    vectors = (chance.standard_normal((3000, 24)).clip(-1, 1) * scale).astype(np.float32)
    vectors[:10] = 0
    vectors[10:400] = vectors[10] * (1 + chance.integers(-3, 3, (390, 1)) * np.float32(2**-22))
    vectors[400:500] *= np.float32(1e-6)
    wanted = vectors[10] + np.zeros(24, np.float32)
    search = Search(wanted.tobytes(), function, 40)
    keys = [b"%04d" % row for row in range(3000)]
    for start in range(0, 3000, 1000):
        rows = vectors[start : start + 1000]
        search.offer(rows, squared_lengths(rows), keys[start : start + 1000])
    exact = sorted(
        (distance(function, row.tolist(), wanted.tolist()), key) for row, key in zip(vectors, keys, strict=True)
    )[:40]
    size = max(abs(exact[0][0]), abs(exact[-1][0]), 1e-300)
    for found, (expected, _) in zip(search.found, exact, strict=True):
        assert abs(found.distance - expected) <= 1e-12 * size + 1e-15 * (function == "COSINE")
