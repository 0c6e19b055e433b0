"""What only the store on PostgreSQL does: several storages on one store, its lanes, what goes wrong in them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import astuple

from blotter.database.storage.postgres import batches as batches_module
from blotter.database.storage.postgres.layout.schema import LONGEST_KEY
from blotter.database.storage.protocol import (
    ANY_SIZE,
    LOG_SPACE,
    NO_SHARD,
    Change,
    ReadTransaction,
    SnapshotTooOld,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
    TooMuchWork,
    WriteTransaction,
)
from tests.postgres_storage import ReadablePostgresStorage, block_on, connector_of, open_postgres
from tests.waiting import until

from .conftest import make_table

Run = Callable[[Any], Any]
Handler = Callable[[WriteTransaction], Any]
SPACE = 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def several(path: Path, run: Run) -> Iterator[list[ReadablePostgresStorage]]:
    """Storages on one store, as those of several front ends. No snapshot grows too old."""
    storages = [open_postgres(path, snapshot_max_age=3600) for _ in range(3)]
    yield storages
    for storage in storages:
        run(storage.close())


@pytest.fixture
def storage(several: list[ReadablePostgresStorage]) -> ReadablePostgresStorage:
    return several[0]


def stored(key: bytes, body: bytes = b"{}") -> StoredItem:
    return StoredItem(key, len(key) + len(body), body)


def put(key: bytes, body: bytes = b"{}") -> Handler:
    return lambda tx: tx.put(SPACE, stored(key, body), tx.get(SPACE, key))


def execute(path: Path, *statements: str) -> list[Any]:
    """Runs statements on the store's schema, each in a transaction of its own; returns the rows of the last."""

    async def work() -> list[Any]:
        connection = await connector_of(path).connect()
        rows: list[Any] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        await connection.close()
        return rows

    return block_on(work())


async def until_settled(submit: Callable[..., Any], handler: Callable[..., Any]) -> Any:
    """What a handler returned or raised."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    submit(handler, lambda value, error: future.set_result(value if error is None else error))
    return await future


# Several storages


def test_increments_of_several_storages_all_count(several: list[ReadablePostgresStorage], run: Run) -> None:
    """One hot item: batches conflict until they lock what they read."""

    def increment(tx: WriteTransaction) -> int:
        before = tx.get(SPACE, b"n")
        value = 1 if before is None else int(before.body) + 1
        tx.put(SPACE, stored(b"n", b"%d" % value), before)
        return value

    async def use(storage: ReadablePostgresStorage) -> list[int]:
        return [await storage.write(increment) for _ in range(20)]

    async def all_use() -> list[list[int]]:
        return await asyncio.gather(*(use(storage) for storage in several for _ in range(3)))

    values = [value for each in run(all_use()) for value in each]
    assert sorted(values) == list(range(1, 181))


def test_of_two_that_each_need_the_others_item_absent_one_writes(
    several: list[ReadablePostgresStorage], run: Run
) -> None:
    """Write skew: each reads that the other's item is not there, and writes its own."""

    def handler(tx: WriteTransaction, own: bytes, other: bytes) -> bool:
        if tx.get(SPACE, other) is not None or tx.get(SPACE, own) is not None:
            return False
        tx.put(SPACE, stored(own), None)
        return True

    async def race(number: int) -> list[bool]:
        a, b = b"a%d" % number, b"b%d" % number
        first, second, _ = several
        return await asyncio.gather(
            first.write(partial(handler, own=a, other=b)), second.write(partial(handler, own=b, other=a))
        )

    for number in range(40):
        assert sorted(run(race(number))) == [False, True]
    assert run(several[2].fetch(lambda tx: tx.statistics(SPACE))).items == 40


def test_the_log_has_no_gap_while_several_storages_write(several: list[ReadablePostgresStorage], run: Run) -> None:
    count = 60

    def append(tx: WriteTransaction, key: bytes) -> None:
        tx.append_change(Change(0, 1.0, "t", 0, key, None, b"new"))

    async def write(storage: ReadablePostgresStorage, name: bytes) -> None:
        for number in range(count):
            await storage.write(partial(append, key=b"%b%d" % (name, number)))

    async def follow(storage: ReadablePostgresStorage) -> list[Change]:
        """Reads what is new, as a stream's reader does."""
        seen: list[Change] = []
        while len(seen) < 3 * 2 * count:
            after = seen[-1].sequence if seen else 0
            seen += await storage.fetch(lambda tx, after=after: tx.log(after, 1000))
        return seen

    async def use() -> list[Change]:
        writers = (
            write(storage, b"%d%d-" % each)
            for each in [(n, m) for n in range(3) for m in range(2)]
            for storage in [several[each[0]]]
        )
        seen, *_ = await asyncio.gather(follow(several[0]), *writers)
        return seen

    seen = run(use())
    assert [each.sequence for each in seen] == list(range(1, 6 * count + 1))
    for name in {each.key.partition(b"-")[0] for each in seen}:
        own = [int(each.key.partition(b"-")[2]) for each in seen if each.key.startswith(name + b"-")]
        assert own == list(range(count))


def test_a_table_that_another_storage_changed_is_seen_at_once(
    several: list[ReadablePostgresStorage], run: Run
) -> None:
    first, second, _ = several

    def name(tx: ReadTransaction) -> tuple[tuple[str, str], ...] | None:
        table = tx.find_table("000000000000", "us-east-1", "t")
        return None if table is None else table.tags

    def write(tx: WriteTransaction) -> tuple[tuple[str, str], ...] | None:
        put(b"k")(tx)
        return name(tx)

    for number in range(5):
        tags = (("n", str(number)),)
        run(first.write(lambda tx, tags=tags: tx.save_table(make_table("t", 7, tags=tags))))
        assert run(second.fetch(name)) == tags
        assert run(second.write(write)) == tags
    table = make_table("t", 7)
    run(first.write(lambda tx: tx.remove_table(table)))
    assert run(second.fetch(name)) is None
    assert run(second.write(name)) is None


def test_a_change_of_the_catalog_wakes_the_other_storage(several: list[ReadablePostgresStorage], run: Run) -> None:
    first, second, _ = several

    async def use() -> None:
        await second.wait_for_catalog_change()
        waiting = asyncio.ensure_future(second.wait_for_catalog_change())
        await first.write(lambda tx: tx.save_table(make_table("t", 7)))
        await asyncio.wait_for(waiting, 60)

    run(use())


def test_a_range_read_in_a_write_misses_no_item_of_another_storage(
    several: list[ReadablePostgresStorage], run: Run
) -> None:
    """Each writer adds an item and the number of items that it found: all numbers differ."""

    def handler(tx: WriteTransaction, key: bytes) -> None:
        found = len(tx.items(SPACE, b"", None, 1000))
        tx.put(SPACE, stored(key, b"%d" % found), None)

    async def use() -> None:
        await asyncio.gather(
            *(several[n % 3].write(partial(handler, key=b"%03d" % n)) for n in range(30)),
        )

    run(use())
    rows = run(several[0].fetch(lambda tx: tx.items(SPACE, b"", None, 100)))
    assert sorted(int(body) for _, _, body in rows) == list(range(30))


# Keys and sizes


def test_keys_longer_than_an_index_entry_are_in_their_place(
    several: list[ReadablePostgresStorage], run: Run
) -> None:
    storage, other, _ = several
    prefix = bytes(range(256)) * 11  # 2816 bytes
    keys = sorted(
        [
            b"a",
            prefix[:LONGEST_KEY],
            prefix[: LONGEST_KEY + 1],
            prefix,
            prefix + b"\x00",
            prefix + b"1" * 3000,
            prefix + b"2",
            b"\x01",
            b"\xff",
        ]
    )
    run(other.fetch(lambda tx: tx.items(SPACE, b"", None, 10)))  # before there is a long key

    def write(tx: WriteTransaction) -> None:
        for key in keys:
            put(key, b"body of %d" % len(key))(tx)

    run(storage.write(write))
    items = [stored(key, b"body of %d" % len(key)) for key in keys]
    rows = [astuple(item) for item in items]
    for each in several:
        assert run(each.fetch(lambda tx: tx.items(SPACE, b"", None, 100))) == rows
        assert run(each.fetch(lambda tx: tx.items(SPACE, b"", None, 100, reverse=True))) == rows[::-1]
        assert run(each.fetch(lambda tx: tx.items(SPACE, keys[3], keys[6], 2))) == rows[3:5]
        assert run(each.fetch(lambda tx: [tx.get(SPACE, key) for key in keys])) == items
        found = run(each.fetch(lambda tx: tx.get_many(SPACE, [*keys, prefix + b"absent"], ANY_SIZE)))
        assert found == [*((item.size, item.body) for item in items), None]
        assert run(each.fetch(lambda tx: tx.get(SPACE, prefix + b"absent"))) is None

    def remove(tx: WriteTransaction) -> None:
        for item in items[2:]:
            previous = tx.get(SPACE, item.key)
            assert previous == item
            tx.delete(SPACE, previous)

    run(other.write(remove))
    assert run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 100))) == rows[:2]
    assert run(storage.fetch(lambda tx: tx.statistics(SPACE))).items == 2


def test_a_read_ends_with_its_bytes_wherever_bodies_lie(storage: ReadablePostgresStorage, run: Run) -> None:
    size = 400 * 1024
    items = [(b"%03d" % n, size, bytes([n]) * (size - 3)) for n in range(60)]
    for first in range(0, 60, 10):
        run(storage.write(lambda tx, first=first: tx.put_new(SPACE, items[first : first + 10])))
    assert run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 256, 1))) == items[:1]
    assert run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 256, 3 * size))) == items[:3]
    keys = [key for key, _, _ in items]
    found = run(storage.fetch(lambda tx: tx.get_many(SPACE, keys, 2 * size + 1)))
    assert found == [(size, body) for _, size, body in items[:3]]
    assert run(storage.fetch(lambda tx: tx.statistics(SPACE))) == SpaceStatistics(60, 60 * size)


def test_many_small_items_come_whole_in_pieces(storage: ReadablePostgresStorage, run: Run) -> None:
    rows = [(b"%06d" % n, 10, b"{}") for n in range(3000)]
    run(storage.write(lambda tx: tx.put_new(SPACE, rows)))
    assert run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 1 << 30))) == rows
    assert run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 1 << 30, 20_000))) == rows[:2000]
    assert (
        run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 1 << 30, 20_000, reverse=True))) == rows[:999:-1]
    )


@pytest.mark.slow
def test_a_hundred_thousand_items_keep_their_order(storage: ReadablePostgresStorage, run: Run) -> None:
    rows = [(b"%07d" % n, 200, b"x" * 190) for n in range(100_000)]
    for first in range(0, len(rows), 5000):
        run(storage.write(lambda tx, first=first: tx.put_new(SPACE, rows[first : first + 5000])))
    seen: list[Any] = []
    while len(seen) < len(rows):
        start = seen[-1][0] + b"\x00" if seen else b""
        seen += run(storage.fetch(lambda tx, start=start: tx.items(SPACE, start, None, 256, 1 << 16)))
    assert seen == rows
    assert run(storage.fetch(lambda tx: tx.statistics(SPACE))) == SpaceStatistics(100_000, 20_000_000)


# Reading


def test_all_that_a_read_reads_is_of_one_moment(several: list[ReadablePostgresStorage], run: Run) -> None:
    """Two items that are always written together are never read apart."""
    first, second, _ = several

    def write(tx: WriteTransaction, number: int) -> None:
        for key in (b"a", b"b"):
            put(key, b"%d" % number)(tx)

    def by_keys(tx: ReadTransaction) -> list[Any]:
        return [tx.get(SPACE, b"a"), tx.get(SPACE, b"b")]

    def announced(tx: ReadTransaction) -> list[Any]:
        tx.expect(lambda: [(SPACE, b"a"), (SPACE, b"b")])
        return by_keys(tx)

    def both_ways(tx: ReadTransaction) -> list[Any]:
        return [StoredItem(*tx.items(SPACE, b"a", b"b", 1)[0]), tx.get(SPACE, b"b")]

    async def use() -> list[list[Any]]:
        writing = asyncio.ensure_future(writes())
        seen = []
        while not writing.done():
            seen += await asyncio.gather(*(second.fetch(read) for read in (by_keys, announced, both_ways)))
        await writing
        return seen

    async def writes() -> None:
        for number in range(100):
            await first.write(partial(write, number=number))

    run(first.write(partial(write, number=-1)))
    for a, b in run(use()):
        assert a.body == b.body


def test_tables_names_and_the_changes_of_a_shard_need_no_snapshot(
    storage: ReadablePostgresStorage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, settled: Callable[..., object]) -> None:
        settled(None, AssertionError("a snapshot"))

    def append(tx: WriteTransaction) -> None:
        for number in range(5):
            tx.append_change(Change(0, 1.0, "t", number % 2, b"%d" % number, None, b"new"))

    def page(tx: ReadTransaction, after: int) -> list[Any]:
        first = tx.first_change()
        found = tx.changes("t", 0, after, 10)
        return [first, *(change.sequence for change in found), tx.last_change()]

    monkeypatch.setattr(storage, "_read_snapshot", refuse)
    assert run(storage.fetch(lambda tx: [tx.last_change(), tx.first_change()])) == [0, 1]
    assert run(storage.fetch(partial(page, after=0))) == [1, 0]
    assert run(storage.fetch(lambda tx: tx.table_names("000000000000", "us-east-1", "", 9))) == []
    for number, name in enumerate(("a", "b")):
        table = make_table(name, 7 + number)
        run(storage.write(lambda tx, table=table: tx.save_table(table)))
    before = run(storage.fetch(lambda tx: tx.last_change()))
    run(storage.write(append))
    run(storage.write(lambda tx: tx.trim_log(before + 1, 100)))
    assert run(storage.fetch(partial(page, after=0))) == [before + 2, before + 3, before + 5, before + 5]
    assert run(storage.fetch(partial(page, after=before + 5))) == [before + 2, before + 5]
    ends = [before + 2, before + 5]
    assert run(storage.fetch(lambda tx: [tx.first_change(), tx.last_change()])) == ends
    assert run(storage.fetch(lambda tx: [tx.first_change(), tx.first_change()])) == [before + 2] * 2
    assert run(storage.fetch(lambda tx: tx.first_change())) == before + 2
    shard = run(storage.fetch(lambda tx: tx.changes("t", 0, 0, 10)))
    assert run(storage.fetch(lambda tx: [*tx.changes("t", 0, 0, 1)])) == shard[:1]
    assert run(storage.fetch(lambda tx: [*tx.changes("t", 0, 0, 8), *tx.changes("t", 0, before + 3, 8)])) == [
        *shard,
        *shard[1:],
    ]
    assert run(storage.fetch(lambda tx: tx.table_names("000000000000", "us-east-1", "", 9))) == ["a", "b"]
    assert run(storage.fetch(lambda tx: tx.table_names("000000000000", "us-east-1", "a", 9))) == ["b"]


def test_a_shard_is_read_whole_in_pieces_of_any_size(storage: ReadablePostgresStorage, run: Run) -> None:
    """In one statement up to a number of changes and of bytes, and else in a snapshot."""
    bodies = [b"%d" % number * size for size in (1, 20_000) for number in range(150)]

    def append(tx: WriteTransaction, some: list[bytes]) -> None:
        for body in some:
            tx.append_change(Change(0, 1.0, "t", 0, b"k", None, body))

    def read(tx: ReadTransaction, limit: int, after: int) -> list[bytes | None]:
        found: list[Change] = []
        while changes := tx.changes("t", 0, found[-1].sequence if found else after, limit):
            found += changes
        return [change.new for change in found]

    for first in range(0, 300, 50):
        run(storage.write(partial(append, some=bodies[first : first + 50])))
    for limit, after in ((1, 295), (3, 0), (8, 280), (8, 140), (100, 0), (1000, 60)):
        assert run(storage.fetch(partial(read, limit=limit, after=after))) == bodies[after:]


def test_a_long_read_does_its_work_elsewhere_and_keeps_its_snapshot(
    storage: ReadablePostgresStorage, run: Run
) -> None:
    run(storage.write(put(b"a", b"before")))
    done: list[str] = []

    def start(tx: ReadTransaction) -> Iterator[Any]:
        first = tx.get(SPACE, b"a")
        yield None
        yield lambda: done.append("work")
        return first, tx.items(SPACE, b"", None, 10), tx.log_times(0, 5)

    async def use() -> Any:
        return await until_settled(storage.submit_slices, start)

    assert run(use()) == (stored(b"a", b"before"), [astuple(stored(b"a", b"before"))], [])
    assert done == ["work"]


def test_a_snapshot_grows_too_old(path: Path, run: Run) -> None:
    storage = open_postgres(path, snapshot_max_age=-1)
    run(storage.write(put(b"a")))

    def start(tx: ReadTransaction) -> Iterator[None]:
        yield None
        return tx.log_times(0, 5), tx.get(SPACE, b"a")

    async def use() -> Any:
        return await until_settled(storage.submit_slices, start)

    assert isinstance(run(use()), SnapshotTooOld)
    run(storage.close())


def test_heavy_reads_are_refused_on_the_loop_and_done_aside(storage: ReadablePostgresStorage, run: Run) -> None:
    run(storage.write(put(b"a")))

    def heavy(tx: ReadTransaction) -> Any:
        found = tx.get(SPACE, b"a")
        tx.note_work(1 << 30)
        return found, tx.items(SPACE, b"", None, 5)

    async def use() -> list[Any]:
        return [await until_settled(submit, heavy) for submit in (storage.submit_read, storage.submit_aside)]

    refused, found = run(use())
    assert isinstance(refused, TooMuchWork)
    assert found == (stored(b"a"), [astuple(stored(b"a"))])


# What goes wrong


def ending_its_session(path: Path, key: bytes, times: int) -> Handler:
    """A write whose handler ends every session of the store after what it reads was read."""
    runs: list[bool] = []

    def handler(tx: WriteTransaction) -> int:
        before = tx.get(SPACE, key)
        runs.append(True)
        if len(runs) <= times:
            execute(
                path,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database() AND query NOT LIKE '%pg_stat_activity%'",
            )
        tx.put(SPACE, stored(key, b"%d" % len(runs)), before)
        return len(runs)

    return handler


def test_a_write_whose_connection_ended_reads_again_or_fails_whole(
    storage: ReadablePostgresStorage, path: Path, run: Run
) -> None:
    run(storage.write(put(b"a")))
    try:
        result = run(storage.write(ending_its_session(path, b"a", 1)))
    except StorageUnavailable:
        assert run(storage.fetch(lambda tx: tx.get(SPACE, b"a"))) == stored(b"a")
    else:
        assert run(storage.fetch(lambda tx: tx.get(SPACE, b"a"))) == stored(b"a", b"%d" % result)
    run(storage.write(put(b"b")))
    assert run(storage.fetch(lambda tx: tx.statistics(SPACE))).items == 2


def test_a_warning_of_a_commit_makes_its_outcome_unknown(
    storage: ReadablePostgresStorage, path: Path, run: Run
) -> None:
    """PostgreSQL reports so that somebody has canceled the wait for a standby."""
    run(storage.write(put(b"a")))
    execute(
        path,
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE WARNING ''canceling wait for synchronous replication''; RETURN NULL; END'",
        "CREATE TRIGGER warn AFTER UPDATE ON items EXECUTE FUNCTION warn()",
    )
    with pytest.raises(StorageUnavailable, match="does not know whether a standby has the write"):
        run(storage.write(put(b"a", b"new")))
    run(storage.write(put(b"b")))


def test_a_transaction_that_postgresql_undid_is_not_acknowledged(
    storage: ReadablePostgresStorage, path: Path, run: Run
) -> None:
    """A handler goes on past a statement that failed; PostgreSQL undoes all of its transaction."""
    run(storage.write(put(b"a")))
    execute(path, "ALTER TABLE dropped_spaces RENAME TO hidden")

    def handler(tx: WriteTransaction) -> None:
        tx.new_space()
        with suppress(StorageUnavailable):
            tx.drop_space(5)

    with pytest.raises(StorageUnavailable):
        run(storage.write(handler))
    execute(path, "ALTER TABLE hidden RENAME TO dropped_spaces")
    assert run(storage.write(lambda tx: tx.new_space())) == 1


def test_what_one_handler_cannot_store_harms_no_other(storage: ReadablePostgresStorage, run: Run) -> None:
    def too_large(tx: WriteTransaction) -> None:
        tx.put(SPACE, StoredItem(b"x", 1 << 40, b"{}"), tx.get(SPACE, b"x"))

    async def use() -> list[Any]:
        writes = [put(b"a"), too_large, put(b"b")]
        return await asyncio.gather(*map(storage.write, writes), return_exceptions=True)

    first, refused, last = run(use())
    assert (first, last) == (None, None)
    assert isinstance(refused, StorageUnavailable)
    assert [key for key, _, _ in run(storage.fetch(lambda tx: tx.items(SPACE, b"", None, 9)))] == [b"a", b"b"]


def test_writes_are_refused_where_a_transaction_would_not_see_what_others_commit(
    storage: ReadablePostgresStorage, run: Run
) -> None:

    async def use() -> None:
        connection = await storage._writers[-1].get()
        await connection.execute("SET default_transaction_isolation = 'repeatable read'")
        await storage.write(put(b"a"))

    with pytest.raises(StorageUnavailable, match="must be applied in a READ COMMITTED transaction"):
        run(use())


def test_a_deposed_leader_writes_nothing(several: list[ReadablePostgresStorage], path: Path, run: Run) -> None:
    leader, other, _ = several
    term = execute(path, "SELECT term FROM leader")[0][0]
    leader.set_fence(term)
    run(leader.write(put(b"a")))
    execute(path, "UPDATE leader SET term = term + 1")
    for handler in (put(b"b"), lambda tx: tx.new_space(), lambda tx: tx.drop_space(5)):
        with pytest.raises(StorageUnavailable, match="another server leads"):
            run(leader.write(handler))
    run(other.write(put(b"c")))
    assert [key for key, _, _ in run(other.fetch(lambda tx: tx.items(SPACE, b"", None, 9)))] == [b"a", b"c"]


def test_a_failing_handler_alone_leaves_nothing(storage: ReadablePostgresStorage, run: Run) -> None:
    def handler(tx: WriteTransaction) -> None:
        tx.new_space()
        tx.save_table(make_table("t", 3))
        tx.put(SPACE, stored(b"a"), None)
        raise KeyError("refused")

    with pytest.raises(KeyError):
        run(storage.write(handler))
    run(storage.write(put(b"b")))
    assert run(storage.fetch(lambda tx: [tx.get(SPACE, b"a"), list(tx.tables()), tx.log_times(0, 9)])) == [
        None,
        [],
        [],
    ]
    assert run(storage.write(lambda tx: tx.new_space())) == 1


def test_what_a_batch_logs_counts_in_the_statistics_of_the_log(storage: ReadablePostgresStorage, run: Run) -> None:
    def log_and_put(tx: WriteTransaction, key: bytes) -> None:
        put(key)(tx)
        tx.log_record(key, None, b"12345")
        tx.append_change(Change(0, 1.0, "t", NO_SHARD, key, b"1", None))

    async def use() -> None:
        await asyncio.gather(*(storage.write(partial(log_and_put, key=b"%d" % n)) for n in range(5)))

    run(use())
    assert run(storage.fetch(lambda tx: tx.statistics(LOG_SPACE))) == SpaceStatistics(10, 5 * (6 + 2))
    assert run(storage.fetch(lambda tx: [each.sequence for each in tx.log(0, 99)])) == list(range(1, 11))


def test_a_batch_that_became_large_leaves_the_rest_to_the_next(
    storage: ReadablePostgresStorage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "MAX_BYTES", 1000)

    async def use() -> None:
        await asyncio.gather(*(storage.write(put(b"%02d" % n, b"x" * 400)) for n in range(20)))

    run(use())
    assert run(storage.fetch(lambda tx: tx.statistics(SPACE))).items == 20


def test_a_write_that_waits_for_others_in_vain_is_done_all_the_same(
    storage: ReadablePostgresStorage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def use() -> None:
        storage.start()
        monkeypatch.setattr(storage._batches._gathering, "_part", 1.0)
        await asyncio.gather(*(storage.write(put(b"%d" % n)) for n in range(4)))
        await storage.write(put(b"alone"))

    run(use())
    assert run(storage.fetch(lambda tx: tx.statistics(SPACE))).items == 5


def test_upkeep_that_fails_is_reported_and_repeated(
    storage: ReadablePostgresStorage, path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    execute(path, "ALTER TABLE dropped_spaces RENAME TO hidden")

    async def use() -> None:
        storage.start()
        await until(lambda: "upkeep has to wait" in caplog.text)
        execute(path, "ALTER TABLE hidden RENAME TO dropped_spaces", "INSERT INTO dropped_spaces VALUES (1)")
        await until(lambda: not execute(path, "SELECT 1 FROM dropped_spaces"))

    with caplog.at_level(logging.WARNING):
        run(use())
