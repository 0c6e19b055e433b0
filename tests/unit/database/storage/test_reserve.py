"""The room that is kept for deletions, on invented disks; tests/faults/test_server_disk.py has real ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest

from blotter.database.storage.protocol import StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage
from blotter.database.storage.sqlite.reserve import FILE_NAME, MOST_BYTES, DiskReserve, Room, shared_byte
from blotter.database.storage.sqlite.storage import SLICE_ITEMS
from blotter.database.storage.sqlite.writing import Writer

MB = 1 << 20
GB = 1 << 30


class _Disk:
    def __init__(self, total: int, free: int) -> None:
        self.room = Room(total, free)

    def __call__(self, _: Path) -> Room:
        return self.room

    def set_free(self, free: int) -> None:
        self.room = self.room._replace(free=free)


def _reserve(tmp_path: Path, disk: _Disk) -> tuple[DiskReserve, Path]:
    return DiskReserve(tmp_path / "blotter.db", shared_byte(), disk), tmp_path / FILE_NAME


def test_a_disk_with_room_enough_needs_no_reserve(tmp_path: Path) -> None:
    reserve, path = _reserve(tmp_path, _Disk(100 * GB, 50 * GB))
    assert reserve.keep() is None
    assert not path.exists()


@pytest.mark.parametrize(("total", "size"), [(100 * GB, MOST_BYTES), (64 * MB, 4 * MB)])
def test_on_a_disk_nearly_full_a_reserve_is_made_once(tmp_path: Path, total: int, size: int) -> None:
    reserve, path = _reserve(tmp_path, _Disk(total, 40 * MB))
    nearly_full = reserve.keep()
    assert nearly_full is not None
    assert nearly_full.reserve == size
    assert path.stat().st_size == size
    assert path.stat().st_mode & 0o777 == 0o600
    assert reserve.keep() is not None


def test_the_file_may_grow_into_what_is_free_but_for_the_logs_room(tmp_path: Path) -> None:
    (tmp_path / "blotter.db").write_bytes(bytes(MB))
    reserve, _ = _reserve(tmp_path, _Disk(64 * MB, 40 * MB))
    nearly_full = reserve.keep()
    assert nearly_full is not None
    assert nearly_full.most_pages * 4096 == (1 + 40 - 2) * MB


def test_a_full_disk_is_known_to_all_processes_until_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk, flag = _Disk(64 * MB, 20 * MB), shared_byte()
    one, two = (DiskReserve(tmp_path / "blotter.db", flag, disk) for _ in range(2))
    one.keep()
    disk.set_free(0)
    one.release()
    two.release()
    assert one.is_full()
    assert two.is_full()
    assert not (tmp_path / FILE_NAME).exists()
    assert [record.levelname for record in caplog.records] == ["ERROR"], "said once"
    disk.set_free(4 * MB)  # what the reserve had
    assert not two.take_back(lambda: 64 * MB), "no room for the log beside it"
    disk.set_free(5 * MB)
    assert not two.take_back(lambda: 0), "the next write would not find room"
    assert two.keep() is not None
    assert not (tmp_path / FILE_NAME).exists(), "it belongs to the database now"
    assert two.take_back(lambda: 1 * MB), "deletions have left room in the file"
    assert not one.is_full()
    assert (tmp_path / FILE_NAME).stat().st_size == 4 * MB
    one.release()
    disk.set_free(16 * MB)
    assert two.take_back(lambda: 0), "others have made room"


@pytest.mark.parametrize(
    ("free", "had_reserve", "full"), [(0, True, True), (0, False, True), (20 * MB, False, False)]
)
def test_a_start_on_a_full_disk_has_the_room_of_the_reserve(
    tmp_path: Path, free: int, had_reserve: bool, full: bool
) -> None:
    reserve, path = _reserve(tmp_path, _Disk(64 * MB, free))
    reserve.look()
    assert not reserve.is_full(), "there is no database that could be restricted"
    (tmp_path / "blotter.db").touch()
    if had_reserve:
        path.write_bytes(bytes(4 * MB))
    reserve.look()
    assert reserve.is_full() == full
    assert not path.exists()


def test_others_may_not_use_what_deletions_need(tmp_path: Path) -> None:
    disk = _Disk(64 * MB, 20 * MB)
    (tmp_path / "blotter.db").write_bytes(bytes(MB))
    reserve, path = _reserve(tmp_path, disk)
    assert reserve.spare() == (20 - 4 - 2) * MB, "the reserve is still to be made, and the log needs room"
    assert reserve.keep() is not None
    disk.set_free(16 * MB)
    assert reserve.spare() == (16 - 2) * MB
    reserve.release()
    assert not path.exists()
    disk.set_free(6 * MB)
    assert reserve.spare() == 0
    assert reserve.take_back(lambda: MB), "so that deletions inside the file are enough"
    disk.set_free(2 * MB)
    assert reserve.spare() == 0
    assert DiskReserve(tmp_path / "gone" / "blotter.db").spare() == 0
    roomy = DiskReserve(tmp_path / "blotter.db", shared_byte(), _Disk(100 * GB, 50 * GB))
    assert roomy.spare() > 49 * GB


def test_a_directory_that_is_gone_is_not_a_full_disk(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "gone" / "blotter.db")
    assert reserve.keep() is None
    assert not reserve.take_back(lambda: 0)


def _put(number: int, size: int) -> StoredItem:
    return StoredItem(b"key-%d" % number, size, b"x" * size)


def test_when_there_is_no_room_what_needs_none_is_accepted(tmp_path: Path) -> None:
    """Puts, shorter and longer items, deletions and a new key space, all at once."""
    store = SqliteStorage.open(tmp_path)

    def insert(tx: WriteTransaction) -> None:
        for number in range(4):
            tx.put(1, _put(number, 1000), None)

    def change(number: int, size: int) -> object:
        return store.write(lambda tx: tx.put(1, _put(number, size), tx.get(1, b"key-%d" % number)))

    def delete(number: int) -> object:
        def handler(tx: WriteTransaction) -> None:
            found = tx.get(1, b"key-%d" % number)
            assert found is not None
            tx.delete(1, found)

        return store.write(handler)

    async def work() -> list[object]:
        await store.write(insert)
        store._batches.transaction.most_pages = 1  # what is there may stay, nothing may be added
        store._batches.transaction.has_room_again = lambda: False
        writes = [
            delete(0),
            change(1, 500),
            change(2, 900_000),
            change(9, 10),
            store.write(lambda tx: tx.new_space()),
            delete(3),
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)  # type: ignore[call-overload]
        assert store._reserve.is_full()
        await store.close()
        return list(results)

    results = asyncio.run(work())
    refused = [isinstance(result, StorageUnavailable) for result in results]
    assert refused == [False, False, True, True, True, False]
    connection = apsw.Connection(str(tmp_path / "blotter.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute("SELECT key, size FROM items WHERE space = 1 ORDER BY key").fetchall()
    connection.close()
    assert rows == [(b"key-1", 500), (b"key-2", 1000)]


def test_while_the_disk_is_full_transactions_are_small(tmp_path: Path) -> None:
    """Whatever they delete has to fit into the little that the write-ahead log may grow."""
    store = SqliteStorage.open(tmp_path)
    store._keep_up = _nothing  # type: ignore[method-assign]  # the test empties slices itself
    left: list[int] = []

    async def work() -> None:
        await store.write(lambda tx: [tx.put(1, _put(number, 10), None) for number in range(100)])
        await store.write(lambda tx: tx.drop_space(1))
        store._batches.transaction.is_disk_full = lambda: True
        store._batches.transaction.has_room_again = lambda: False
        writes_of_batch = await asyncio.gather(*(store.write(_drop_another) for _ in range(5)))
        assert writes_of_batch == [1] * 5, "one handler each"
        await store.write(store._empty_slice)
        with store.read() as tx:
            left.append(len(tx.items(1, b"", None, 1000)))
        await store.close()

    asyncio.run(work())
    assert left == [100 - SLICE_ITEMS]


async def _nothing() -> None:
    pass


def _drop_another(tx: WriteTransaction) -> int:
    assert isinstance(tx, Writer)
    tx.drop_space(2)
    return tx.writes
