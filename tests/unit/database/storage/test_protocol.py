"""The Storage protocol, method by method, for every backend of `conftest.OPENERS`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import astuple, replace

from blotter.database.model.table import Index, KeyAttribute, KeySchema, Table
from blotter.database.storage.change_log import STREAMS
from blotter.database.storage.protocol import (
    LOG_SPACE,
    NO_SHARD,
    Change,
    LogReader,
    SpaceStatistics,
    Storage,
    StorageUnavailable,
    StoredItem,
    WriteTransaction,
)
from tests.waiting import until

from .conftest import make_table

Run = Callable[[Any], Any]


def item(key: bytes, body: bytes = b"{}", size: int | None = None) -> StoredItem:
    return StoredItem(key, len(key) + len(body) if size is None else size, body)


def put(space: int, *items: StoredItem) -> Callable[[WriteTransaction], None]:
    def handler(tx: WriteTransaction) -> None:
        for each in items:
            tx.put(space, each, tx.get(space, each.key))

    return handler


def delete(space: int, key: bytes) -> Callable[[WriteTransaction], None]:
    def handler(tx: WriteTransaction) -> None:
        previous = tx.get(space, key)
        assert previous is not None
        tx.delete(space, previous)

    return handler


def test_an_item_is_found_as_it_was_put(storage: Storage, run: Run) -> None:
    stored = item(b"\x00\xff key", b'{"a":{"S":"\xc3\xa9"}}', 17)
    run(storage.write(put(1, stored)))
    with storage.read() as tx:
        assert tx.get(1, stored.key) == stored
        assert tx.get(2, stored.key) is None
        assert tx.get(1, b"other") is None


def test_an_item_of_the_greatest_size_is_kept_whole(storage: Storage, run: Run) -> None:
    stored = item(b"k" * 3000, bytes(range(256)) * 2000, 400 * 1024)
    run(storage.write(put(1, stored)))
    with storage.read() as tx:
        assert tx.get(1, stored.key) == stored


@pytest.mark.parametrize("sizes", [(10, 900), (900, 10), (50_000, 10), (10, 50_000), (3000, 80_000)])
def test_a_put_replaces_whatever_the_sizes(storage: Storage, run: Run, sizes: tuple[int, int]) -> None:
    for size in sizes:
        stored = item(b"k", b"x" * size)
        run(storage.write(put(1, item(b"j"), stored, item(b"l"))))
        with storage.read() as tx:
            assert tx.get(1, b"k") == stored
            assert tx.items(1, b"k", b"l", 10) == [astuple(stored)]
            assert tx.statistics(1) == SpaceStatistics(3, size + 1 + 6)
    run(storage.write(delete(1, b"k")))
    with storage.read() as tx:
        assert tx.get(1, b"k") is None
        assert tx.statistics(1) == SpaceStatistics(2, 6)


def test_items_come_in_byte_order_from_start_to_before_end(storage: Storage, run: Run) -> None:
    keys = [b"", b"\x00", b"\x00\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\x00", b"\xff\xff"]
    run(storage.write(put(1, *(item(key) for key in reversed(keys)))))
    run(storage.write(put(2, item(b"\x50"))))

    def found(start: bytes, end: bytes | None, reverse: bool = False) -> list[bytes]:
        with storage.read() as tx:
            return [key for key, _, _ in tx.items(1, start, end, 99, reverse=reverse)]

    assert found(b"", None) == keys
    assert found(b"", None, reverse=True) == keys[::-1]
    assert found(b"\x00", b"\x80") == keys[1:5]
    assert found(b"\x00", b"\x80", reverse=True) == keys[1:5][::-1]
    assert found(b"\x02", b"\x02") == []
    assert found(b"\xff\xff\xff", None) == []


def test_reading_many_ends_at_the_limit_or_after_the_item_that_reaches_the_size(
    storage: Storage, run: Run
) -> None:
    sizes = {b"a": 3, b"b": 1, b"c": 4, b"d": 2}
    run(storage.write(put(1, *(StoredItem(key, size, b"{}") for key, size in sizes.items()))))

    def read(keys: str, limit: int, size: int, reverse: bool = False) -> str:
        with storage.read() as tx:
            rows = tx.items(1, keys[0].encode(), None, limit, size, reverse=reverse)
            return b"".join(key for key, _, _ in rows).decode()

    assert read("a", 4, 99) == read("a", 9, 10) == "abcd"
    assert read("a", 2, 99) == read("a", 9, 4) == "ab"
    assert read("a", 9, 1) == read("a", 9, 3) == "a"
    assert read("b", 9, 2) == "bc"
    assert read("a", 9, 3, reverse=True) == read("a", 2, 99, reverse=True) == "dc"

    with storage.read() as tx:
        keys = [b"d", b"absent", b"a", b"c"]
        assert tx.get_many(1, keys, 99) == [(2, b"{}"), None, (3, b"{}"), (4, b"{}")]
        assert tx.get_many(1, keys, 5) == [(2, b"{}"), None, (3, b"{}")]
        assert tx.get_many(1, [], 5) == []


def test_a_read_that_ended_early_keeps_no_snapshot(storage: Storage, run: Run) -> None:
    run(storage.write(put(1, *(item(b"%03d" % n) for n in range(300)))))
    for _ in range(3):
        with storage.read() as tx:
            assert len(tx.items(1, b"", None, 100)) == 100
            assert len(tx.items(1, b"100", None, 100, 5, reverse=True)) == 1
    run(storage.write(put(1, item(b"new"))))
    with storage.read() as tx:
        assert tx.get(1, b"new") is not None


def test_a_write_transaction_sees_its_own_writes(storage: Storage, run: Run) -> None:
    def handler(tx: WriteTransaction) -> tuple[Any, ...]:
        space = tx.new_space()
        tx.put(space, item(b"a"), None)
        tx.put(space, item(b"b"), None)
        tx.save_table(make_table("t", space))
        tx.append_change(Change(0, 1.0, "id", 0, b"a", None, b"{}"))
        return (
            [key for key, _, _ in tx.items(space, b"", None, 1 << 30)],
            tx.statistics(space),
            tx.find_table("000000000000", "us-east-1", "t"),
            tx.table_names("000000000000", "us-east-1", "", 10),
            tx.last_change() == tx.log(0, 99)[-1].sequence,
            [change.key for change in tx.changes("id", 0, 0, 10)],
            space,
        )

    keys, statistics, table, names, last, changed, space = run(storage.write(handler))
    assert keys == [b"a", b"b"]
    assert statistics == SpaceStatistics(2, 6)
    assert table == make_table("t", space)
    assert names == ["t"]
    assert last
    assert changed == [b"a"]


def test_statistics_follow_every_put_and_delete(storage: Storage, run: Run) -> None:
    run(storage.write(put(1, item(b"a", size=10), item(b"b", size=20))))
    run(storage.write(put(1, item(b"a", size=15))))
    run(storage.write(delete(1, b"b")))
    with storage.read() as tx:
        assert tx.statistics(1) == SpaceStatistics(1, 15)
        assert tx.statistics(99) == SpaceStatistics(0, 0)


def test_a_space_number_is_never_used_twice(storage: Storage, run: Run) -> None:
    numbers = [run(storage.write(lambda tx: tx.new_space())) for _ in range(3)]
    table = make_table("t", numbers[-1])
    run(storage.write(lambda tx: tx.save_table(table)))
    run(storage.write(lambda tx: tx.remove_table(table)))
    numbers += run(storage.write(lambda tx: [tx.new_space(), tx.new_space()]))
    assert len(set(numbers)) == 5
    assert min(numbers) > 0


def test_the_catalog_is_keyed_by_account_region_and_name(storage: Storage, run: Run) -> None:
    tables = [
        make_table("same", 1),
        make_table("same", 2, region="eu-west-1"),
        make_table("same", 3, account="111111111111"),
        make_table("other", 4),
    ]

    def save(tx: WriteTransaction) -> None:
        for table in tables:
            tx.save_table(table)

    run(storage.write(save))
    with storage.read() as tx:
        for table in tables:
            assert tx.find_table(table.account, table.region, table.name) == table
        assert tx.find_table("111111111111", "eu-west-1", "same") is None
        assert tx.table_names("000000000000", "us-east-1", "", 10) == ["other", "same"]
        assert tx.table_names("000000000000", "us-east-1", "other", 10) == ["same"]
        assert tx.table_names("000000000000", "us-east-1", "", 1) == ["other"]
        assert sorted(tx.tables(), key=lambda table: table.space) == tables


def test_a_saved_table_replaces_the_one_of_its_name(storage: Storage, run: Run) -> None:
    index = Index("i", 9, False, KeySchema((KeyAttribute("x", "N"),)), "INCLUDE", ("y",), active_at=2.0)
    for table in (make_table("t", 1), make_table("t", 1, indexes=(index,), tags=(("k", "v"),))):
        run(storage.write(lambda tx, table=table: tx.save_table(table)))
        with storage.read() as tx:
            assert tx.find_table("000000000000", "us-east-1", "t") == table
            assert list(tx.tables()) == [table]


def test_a_removed_table_is_gone_at_once_and_its_spaces_empty_by_themselves(storage: Storage, run: Run) -> None:
    index = Index("i", 2, False, KeySchema((KeyAttribute("x", "N"),)), "ALL")
    table = make_table("t", 1, indexes=(index,))
    run(storage.write(lambda tx: tx.save_table(table)))
    for space in (1, 2, 3):
        run(storage.write(put(space, *(item(b"%04d" % n) for n in range(400)))))
    run(storage.write(lambda tx: tx.remove_table(table)))
    with storage.read() as tx:
        assert tx.find_table("000000000000", "us-east-1", "t") is None
        assert tx.statistics(1) == tx.statistics(2) == SpaceStatistics(0, 0)

    def left() -> list[int]:
        with storage.read() as tx:
            return [len(tx.items(space, b"", None, 1 << 30)) for space in (1, 2, 3)]

    run(until(lambda: left()[:2] == [0, 0]))
    assert left() == [0, 0, 400]


def test_a_dropped_space_empties_and_others_stay(storage: Storage, run: Run) -> None:
    run(storage.write(put(5, item(b"a"))))
    run(storage.write(put(6, item(b"a"))))
    run(storage.write(lambda tx: tx.drop_space(5)))

    def is_empty() -> bool:
        with storage.read() as tx:
            return not tx.items(5, b"", None, 1)

    run(until(is_empty))
    with storage.read() as tx:
        assert tx.get(6, b"a") == item(b"a")
        assert tx.statistics(6) == SpaceStatistics(1, 3)


def test_changes_come_by_shard_in_rising_sequence(storage: Storage, run: Run) -> None:
    def change(n: int, table: str, shard: int) -> Change:
        return Change(0, float(n), table, shard, b"k%d" % n, None if n % 2 else b"old", b"new", "ttl")

    def append(tx: WriteTransaction) -> list[int]:
        return [appended(tx, change(n, "tu"[n % 2], n % 3)) for n in range(12)]

    with storage.read() as tx:
        assert tx.last_change() == 0
    sequences = run(storage.write(append)) + run(storage.write(append))
    assert sequences == sorted(set(sequences))
    with storage.read() as tx:
        assert tx.last_change() == sequences[-1]
        found = tx.changes("t", 0, 0, 100)
        assert [each.key for each in found] == [b"k0", b"k6", b"k0", b"k6"]
        assert found[1] == Change(sequences[6], 6.0, "t", 0, b"k6", b"old", b"new", "ttl")
        assert tx.changes("t", 0, found[1].sequence, 1) == [found[2]]
        assert tx.changes("t", 0, found[-1].sequence, 9) == []


def appended(tx: WriteTransaction, change: Change) -> int:
    tx.append_change(change)
    return tx.last_change()


def test_trimming_goes_in_slices_and_no_sequence_is_used_twice(storage: Storage, run: Run) -> None:
    def append(tx: WriteTransaction) -> list[int]:
        return [appended(tx, Change(0, float(n), "t", 0, b"key", None, b"new")) for n in range(120)]

    sequences = run(storage.write(append))
    with storage.read() as tx:
        assert tx.statistics(LOG_SPACE) == SpaceStatistics(120, 120 * 6)
    trimmed = [run(storage.write(lambda tx: tx.trim_log(sequences[99], 40))) for _ in range(4)]
    assert trimmed == [40, 40, 20, 0]
    with storage.read() as tx:
        assert [each.sequence for each in tx.changes("t", 0, 0, 9999)] == sequences[100:]
        assert tx.first_change() == sequences[100]
        assert tx.statistics(LOG_SPACE) == SpaceStatistics(20, 20 * 6)
    run(storage.write(lambda tx: tx.trim_log(sequences[-1], 999)))
    with storage.read() as tx:
        assert tx.log(0, 9) == []
        assert tx.last_change() == sequences[-1]
        assert tx.first_change() == sequences[-1] + 1
        assert tx.statistics(LOG_SPACE) == SpaceStatistics(0, 0)
    assert run(storage.write(append))[0] > sequences[-1]


def test_the_whole_log_is_read_in_the_order_of_commits(storage: Storage, run: Run) -> None:
    changes = [
        Change(0, 1.0, "t", 3, b"a", None, b"1234"),
        Change(0, 2.0, "u", NO_SHARD, b"b", b"12", None, "replication", version=7),
        Change(0, 3.0, "t", 3, b"c", b"1", b"2", "ttl"),
    ]
    for change in changes:
        run(storage.write(lambda tx, change=change: tx.append_change(change)))
    with storage.read() as tx:
        found = tx.log(0, 99)
        assert [replace(each, sequence=0) for each in found] == changes
        sequences = [each.sequence for each in found]
        assert sequences == sorted(set(sequences))
        assert tx.log(sequences[0], 1) == [found[1]]
        assert tx.log(0, 99, 6) == found[:2], "ends after the entry that reaches the size"
        assert tx.log_times(0, 2) == [(sequences[0], 1.0), (sequences[1], 2.0)]
        assert tx.changes("u", NO_SHARD, 0, 9) == [], "only shards can be read by shard"
        assert tx.changes("t", 3, 0, 9) == [found[0], found[2]]


def test_the_catalog_is_logged_as_it_changes(storage: Storage, run: Run) -> None:
    table, other = make_table("t", 1), make_table("t", 1, tags=(("k", "v"),))

    def change(tx: WriteTransaction) -> None:
        tx.save_table(other)
        tx.save_table(other)  # no change

    run(storage.write(lambda tx: tx.save_table(table)))
    run(storage.write(change))
    run(storage.write(lambda tx: tx.remove_table(other)))
    with storage.read() as tx:
        found = tx.log(0, 99)
    assert [(each.kind, each.table_id, each.key, each.shard) for each in found] == [
        ("table", table.id, b"000000000000/us-east-1/t", NO_SHARD)
    ] * 3
    descriptions = [
        [None if body is None else msgspec.json.decode(body, type=Table) for body in (each.old, each.new)]
        for each in found
    ]
    assert descriptions == [[None, table], [table, other], [other, None]]


def test_readers_of_the_log_are_kept(open_storage: Callable[[], Storage], run: Run) -> None:
    storage = open_storage()
    archive = LogReader("archive", 5, None, 10.0)
    run(storage.write(lambda tx: tx.save_log_reader(LogReader("archive", 3))))
    run(storage.write(lambda tx: tx.save_log_reader(archive)))
    run(storage.write(lambda tx: tx.save_log_reader(LogReader("lost", 1, None, 10.0, 20.0))))
    run(storage.write(lambda tx: tx.remove_log_reader("lost")))
    run(storage.write(lambda tx: tx.remove_log_reader("never there")))
    run(storage.close())
    storage = open_storage()
    with storage.read() as tx:
        assert tx.log_readers() == [archive, STREAMS]
    run(storage.close())


@pytest.mark.parametrize("body", [b"{}", b"x" * 5000])
def test_an_item_has_the_version_of_its_last_put(storage: Storage, run: Run, body: bytes) -> None:
    def found() -> int | None:
        with storage.read() as tx:
            return tx.version(1, b"a")

    def store(version: int | None) -> Callable[[WriteTransaction], None]:
        return lambda tx: tx.put(1, item(b"a", body), tx.get(1, b"a"), version)

    run(storage.write(put(1, item(b"a", body))))
    assert found() is None
    for version in (7, 1 << 62, None, 8):
        run(storage.write(store(version)))
        assert found() == version
    run(storage.write(put(1, item(b"a", body))))
    assert found() is None
    run(storage.write(store(9)))
    run(storage.write(delete(1, b"a")))
    assert found() is None
    run(storage.write(put(1, item(b"a", body))))
    assert found() is None


def test_a_snapshot_stays_as_it_was_opened(storage: Storage, run: Run) -> None:
    run(storage.write(put(1, *(item(b"%03d" % n) for n in range(100)))))
    run(storage.write(lambda tx: tx.save_table(make_table("t", 1))))
    snapshot = storage.open_snapshot()
    assert snapshot.items(1, b"", None, 1) == [astuple(item(b"000"))]
    run(storage.write(delete(1, b"050")))
    run(storage.write(put(1, item(b"001", b"changed"))))
    run(storage.write(lambda tx: tx.remove_table(make_table("t", 9))))
    assert snapshot.get(1, b"001") == item(b"001")
    assert snapshot.find_table("000000000000", "us-east-1", "t") == make_table("t", 1)
    assert snapshot.statistics(1) == SpaceStatistics(100, 500)
    assert [key for key, _, _ in snapshot.items(1, b"001", None, 99)] == [b"%03d" % n for n in range(1, 100)]
    snapshot.close()
    snapshot.close()
    with storage.read() as tx:
        assert tx.get(1, b"050") is None


def test_everything_is_there_after_reopening(open_storage: Callable[[], Storage], run: Run) -> None:
    storage = open_storage()
    run(storage.write(put(1, item(b"a"), item(b"b", b"x" * 5000))))
    run(storage.write(lambda tx: tx.save_table(make_table("t", 1))))
    space = run(storage.write(lambda tx: tx.new_space()))
    sequence = run(storage.write(lambda tx: appended(tx, Change(0, 1.0, "t", 0, b"a", None, b"{}"))))
    run(storage.close())
    storage = open_storage()
    with storage.read() as tx:
        assert tx.items(1, b"", None, 9) == [astuple(item(b"a")), astuple(item(b"b", b"x" * 5000))]
        assert tx.find_table("000000000000", "us-east-1", "t") == make_table("t", 1)
        assert tx.last_change() == sequence
    assert run(storage.write(lambda tx: tx.new_space())) > space
    run(storage.close())


def test_closing_finishes_what_was_admitted_and_refuses_the_rest(
    open_storage: Callable[[], Storage], run: Run
) -> None:
    storage = open_storage()

    async def use() -> list[Any]:
        writes = [asyncio.ensure_future(storage.write(put(1, item(b"%d" % n)))) for n in range(50)]
        await asyncio.sleep(0)
        await storage.close()
        with pytest.raises(StorageUnavailable):
            await storage.write(put(1, item(b"late")))
        return await asyncio.gather(*writes)

    assert run(use()) == [None] * 50
    storage = open_storage()
    with storage.read() as tx:
        assert tx.statistics(1).items == 50
    run(storage.close())


# Reading by handler


def test_a_read_is_settled_with_a_value_or_an_error(storage: Storage, run: Run) -> None:
    run(storage.write(put(1, item(b"a"))))
    results: list[Any] = []

    async def use() -> None:
        settled = asyncio.Event()

        def note(value: Any, error: BaseException | None) -> None:
            results.append(value if error is None else error)
            if len(results) == 2:
                settled.set()

        storage.submit_read(lambda tx: tx.get(1, b"a"), note)
        storage.submit_read(lambda tx: tx.find_table("", "", "")[0], note)  # type: ignore[index]
        await settled.wait()
        assert await storage.fetch(lambda tx: tx.get(1, b"a")) == item(b"a")
        with pytest.raises(KeyError):
            await storage.fetch(lambda _: {}["absent"])

    run(use())
    assert results[0] == item(b"a")
    assert isinstance(results[1], TypeError)


def test_a_slice_of_bulk_work_is_a_transaction(storage: Storage, run: Run) -> None:
    def work(tx: WriteTransaction, seconds: float) -> float:
        tx.put_new(1, [(b"key", 3, b"body")])
        return seconds

    assert 0 < run(storage.write_slice(work)) < 1
    with pytest.raises(KeyError):
        run(storage.write_slice(lambda tx, _: {}[tx.statistics(1).items]))
    assert run(storage.fetch(lambda tx: tx.get(1, b"key"))) == StoredItem(b"key", 3, b"body")


# Notification of catalog changes


def test_a_change_of_the_catalog_is_noticed(storage: Storage, run: Run) -> None:
    table = make_table("t", 1)

    async def use() -> None:
        await storage.wait_for_catalog_change()  # the first time at once
        for change in (lambda tx: tx.save_table(table), lambda tx: tx.remove_table(table)):
            waiting = asyncio.ensure_future(storage.wait_for_catalog_change())
            await storage.write(put(2, item(b"a")))
            with pytest.raises(DataChangesOnly):
                await storage.write(refused_table_change)
            await asyncio.sleep(0)
            assert not waiting.done()
            await storage.write(change)
            await asyncio.wait_for(waiting, 30)
        await storage.write(lambda tx: tx.save_table(table))
        await asyncio.wait_for(storage.wait_for_catalog_change(), 30)  # changed before anybody waited

    run(use())


class DataChangesOnly(Exception):
    pass


def refused_table_change(tx: WriteTransaction) -> None:
    tx.save_table(make_table("refused", 9))
    raise DataChangesOnly


def test_the_background_is_notified_of_work(storage: Storage, run: Run) -> None:
    async def use() -> None:
        await storage.wait_for_catalog_change()  # the first time at once
        waiting = asyncio.ensure_future(storage.wait_for_catalog_change())
        await asyncio.sleep(0)
        await storage.write(lambda tx: tx.notify_background())
        await asyncio.wait_for(waiting, 60)

    run(use())


def test_the_content_of_another_store_is_taken_over(storage: Storage, run: Run) -> None:
    """Its catalog without an entry in the log, its log with the numbers that it has, its counters."""
    table = make_table("t", 7)
    entries = [
        Change(12, 1.0, "t1", 3, b"k", None, b"new", "ttl"),
        Change(13, 1.5, "t1", NO_SHARD, b"k", b"new", None, version=4),
        Change(20, 2.0, "", NO_SHARD, b"user/x", None, b"{}", kind="record"),
    ]

    def take_over(tx: WriteTransaction) -> None:
        tx.restore_table(table.account, table.region, table.name, table)
        tx.restore_changes([])
        tx.restore_changes(entries[:2])
        tx.restore_changes(entries[2:])
        assert tx.find_table(table.account, table.region, table.name) == table
        assert tx.last_change() == 20

    version = run(storage.fetch(lambda tx: tx.catalog_version()))
    run(storage.write(take_over))
    assert run(storage.fetch(lambda tx: (list(tx.tables()), tx.log(0, 9)))) == ([table], entries)
    assert run(storage.fetch(lambda tx: tx.changes("t1", 3, 0, 9))) == entries[:1]
    assert run(storage.fetch(lambda tx: tx.statistics(LOG_SPACE))) == (3, 2 + 2 * 3 + 6 + 2)
    assert run(storage.fetch(lambda tx: tx.catalog_version())) != version
    assert run(storage.write(lambda tx: tx.new_space())) == 1, "its counters are taken over apart"

    def count(tx: WriteTransaction) -> tuple[int, int]:
        tx.restore_counters(9, 30)
        tx.restore_counters(8, 29)
        tx.append_change(Change(0, 3.0, "t1", 3, b"k", None, b"newer"))
        return tx.new_space(), tx.last_change()

    assert run(storage.write(count)) == (10, 31)
    run(storage.write(lambda tx: tx.restore_table(table.account, table.region, table.name, None)))
    assert run(storage.fetch(lambda tx: (list(tx.tables()), tx.last_change()))) == ([], 31)
