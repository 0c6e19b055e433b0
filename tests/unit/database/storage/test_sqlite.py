"""What only the SQLite backend has: its file and versions, failing disks, checkpoints, several processes."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from blotter.database.storage import scratch
from blotter.database.storage.protocol import (
    DataDirectoryError,
    SnapshotTooOld,
    SpaceStatistics,
    StorageUnavailable,
    StoredItem,
    WriteTransaction,
)
from blotter.database.storage.sqlite import SqliteStorage, checkpoints
from blotter.database.storage.sqlite import storage as storage_module
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE
from tests.faults.storage_power_loss import Record, recording
from tests.waiting import until

from .conftest import make_table

Run = Callable[[Any], Any]


def put(key: bytes, body: bytes = b"{}") -> Callable[[WriteTransaction], None]:
    def handler(tx: WriteTransaction) -> None:
        tx.put(1, StoredItem(key, 10, body), tx.get(1, key))

    return handler


def keys(storage: SqliteStorage) -> list[bytes]:
    with storage.read() as tx:
        return [key for key, _, _ in tx.items(1, b"", None, 1 << 30)]


# The file


def made(directory: Path, run: Run, *statements: str) -> Path:
    """A store with one item, then changed by statements from outside."""
    storage = SqliteStorage.open(directory)
    run(storage.write(put(b"a")))
    run(storage.close())
    connection = apsw.Connection(str(directory / FILE_NAME))
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return directory / FILE_NAME


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA user_version = 99", "format 99"),
        ("PRAGMA application_id = 7", "another program"),
        ("UPDATE meta SET value = 'md5/9' WHERE name = 'key_format'", "md5/9"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, run: Run, statement: str, message: str
) -> None:
    path = made(tmp_path, run, statement)
    before = path.read_bytes()
    with pytest.raises(DataDirectoryError, match=message):
        SqliteStorage.open(tmp_path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DataDirectoryError, match="not a SQLite file"):
        SqliteStorage.open(tmp_path)
    assert path.read_bytes() == b"not a database" * 1000


def test_an_unfinished_creation_is_finished(tmp_path: Path, run: Run) -> None:
    connection = apsw.Connection(str(tmp_path / FILE_NAME))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(put(b"a")))
    assert keys(storage) == [b"a"]
    run(storage.close())


def test_the_store_syncs_every_commit(tmp_path: Path, run: Run) -> None:
    storage = SqliteStorage.open(tmp_path)
    connection = storage._write_connection
    assert connection.execute("PRAGMA journal_mode").get == "wal"
    assert connection.execute("PRAGMA synchronous").get == 2
    assert connection.execute("PRAGMA fullfsync").get == 1
    run(storage.close())


def test_no_body_stays_behind(tmp_path: Path, run: Run) -> None:
    """Bodies that lie outside their item's row go with the item, or when a short body takes their place."""
    storage = SqliteStorage.open(tmp_path)
    connection = apsw.Connection(str(storage.path))

    def bodies() -> Any:
        return connection.execute("SELECT count(*) FROM bodies").get

    for body, expected in ((b"x" * 900, 1), (b"y" * 90_000, 1), (b"z", 0), (b"x" * 600, 1)):
        run(storage.write(put(b"k", body)))
        assert bodies() == expected
    run(storage.write(lambda tx: tx.delete(1, tx.get(1, b"k"))))
    assert bodies() == 0
    for n in range(120):
        run(storage.write(put(b"%d" % n, b"x" * 600)))
    run(storage.write(lambda tx: tx.drop_space(1)))

    run(until(lambda: not bodies()))
    assert keys(storage) == []
    connection.close()
    run(storage.close())


@pytest.mark.parametrize("body", [b"{}", b"x" * 5000])
def test_a_put_that_denies_the_item_there_is_refused(tmp_path: Path, run: Run, body: bytes) -> None:
    """It would falsify the statistics and leave an unused body."""
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(put(b"k", body)))
    with pytest.raises(apsw.ConstraintError):
        run(storage.write(lambda tx: tx.put(1, StoredItem(b"k", 5, body), None)))
    with storage.read() as tx:
        assert tx.statistics(1) == SpaceStatistics(1, 10)
        assert tx.get(1, b"k") == StoredItem(b"k", 10, body)
    run(storage.close())


def test_what_a_killed_server_left_unsynced_is_synced_before_anybody_reads_it(tmp_path: Path, run: Run) -> None:
    """Recovery takes a commit whose frames are complete though its sync never ended and it was never
    acknowledged."""
    storage = SqliteStorage.open(tmp_path / "killed")
    run(storage.write(put(b"a")))
    shutil.copytree(tmp_path / "killed", tmp_path / "next", ignore=shutil.ignore_patterns("*-shm"))
    run(storage.close())
    record = Record()
    with recording(record) as vfs:
        storage = SqliteStorage.open(tmp_path / "next", vfs=vfs)
        assert ("sync", f"{FILE_NAME}-wal") in [(kind, name) for kind, name, *_ in record.events]
        assert keys(storage) == [b"a"]
        run(storage.close())


# Failing disks


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FailingFile(apsw.VFSFile):
    """A file of a disk that refuses writes or syncs while `FailingVFS.refused` is set."""

    def __init__(self, vfs: FailingVFS, name: Any, flags: list[int]) -> None:
        self.vfs = vfs
        self.is_database = bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.vfs.refused == "write" or (self.vfs.refused == "database" and self.is_database):
            raise apsw.IOError("injected: write failed")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.vfs.clock.now += self.vfs.sync_seconds
        assert self.vfs.go_on.wait(60)
        if self.vfs.refused == "sync":
            raise apsw.IOError("injected: sync failed")
        super().xSync(flags)


class FailingVFS(apsw.VFS):
    numbers = itertools.count()

    def __init__(self) -> None:
        self.name = f"failing-{next(self.numbers)}"
        self.refused = ""
        self.clock = Clock()
        self.sync_seconds = 0.0
        """What a sync takes by `clock`."""
        self.go_on = threading.Event()
        """Syncs wait for it."""
        self.go_on.set()
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> FailingFile:  # noqa: N802
        return FailingFile(self, name, flags)


@pytest.fixture
def vfs() -> Iterator[FailingVFS]:
    vfs = FailingVFS()
    yield vfs
    vfs.unregister()


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("refused", ["write", "sync"])
def test_a_failed_commit_fails_its_whole_batch_and_the_store_returns_by_itself(
    tmp_path: Path, run: Run, vfs: FailingVFS, refused: str, slow: bool
) -> None:
    vfs.sync_seconds = 0.05 if slow else 0.0  # a slow disk's commits run in a thread

    def refuse(tx: WriteTransaction) -> None:
        assert tx.get(1, b"b") is not None, "it saw its predecessor"
        raise KeyError

    async def use() -> list[Any]:
        writes = [storage.write(handler) for handler in (put(b"b"), refuse, put(b"c"))]
        return await asyncio.gather(*writes, return_exceptions=True)

    storage = SqliteStorage.open(tmp_path, vfs=vfs.name, monotonic=vfs.clock)
    run(storage.write(put(b"a")))
    vfs.refused = refused
    for _ in range(3):
        assert [type(result) for result in run(use())] == [StorageUnavailable] * 3
        assert keys(storage) == [b"a"]
    vfs.refused = ""
    run(storage.write(put(b"d")))
    assert keys(storage) == [b"a", b"d"]
    with storage.read() as tx:
        assert tx.statistics(1) == SpaceStatistics(2, 20)
    run(storage.close())
    storage = SqliteStorage.open(tmp_path)
    assert keys(storage) == [b"a", b"d"]
    run(storage.close())


@pytest.mark.parametrize("slow", [False, True])
def test_actions_of_a_batch_whose_commit_failed_are_dropped(
    tmp_path: Path, run: Run, vfs: FailingVFS, slow: bool
) -> None:
    vfs.sync_seconds = 0.05 if slow else 0.0
    done: list[bytes] = []

    def acting(key: bytes) -> Callable[[WriteTransaction], None]:
        def handler(tx: WriteTransaction) -> None:
            tx.after_commit(lambda: done.append(key))
            put(key)(tx)

        return handler

    async def write_two(one: bytes, two: bytes) -> list[Any]:
        writes = (storage.write(acting(key)) for key in (one, two))
        return await asyncio.gather(*writes, return_exceptions=True)

    storage = SqliteStorage.open(tmp_path, vfs=vfs.name, monotonic=vfs.clock)
    run(storage.write(put(b"a")))
    for refused in ("write", "sync"):
        vfs.refused = refused
        assert [type(result) for result in run(write_two(b"b", b"c"))] == [StorageUnavailable] * 2
    vfs.refused = ""
    assert done == []
    assert run(write_two(b"d", b"e")) == [None, None]
    assert done == [b"d", b"e"]
    run(storage.close())


def test_a_full_disk_refuses_writes_until_there_is_space(tmp_path: Path, run: Run) -> None:
    storage = SqliteStorage.open(tmp_path)
    pages = storage._write_connection.execute("PRAGMA page_count").get
    storage._write_connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    async def put_one_by_one() -> list[str]:
        writes = (storage.write(put(b"%05d" % n, b"x" * 3000)) for n in range(40))
        return [repr(result) for write in writes for result in await asyncio.gather(write, return_exceptions=True)]

    results = run(put_one_by_one())
    stored = results.count("None")
    assert 0 < stored < 40
    refusals = results[stored:]
    assert all("StorageUnavailable" in refusal and "full" in refusal for refusal in refusals)
    assert len(keys(storage)) == stored
    storage._write_connection.execute(f"PRAGMA max_page_count = {pages + 2000}")
    run(storage.write(put(b"more", b"x" * 3000)))
    assert len(keys(storage)) == stored + 1
    run(storage.close())


def test_a_slow_disk_does_not_hold_up_reads(tmp_path: Path, run: Run, vfs: FailingVFS) -> None:
    storage = SqliteStorage.open(tmp_path, vfs=vfs.name, monotonic=vfs.clock)
    vfs.sync_seconds = 0.05
    run(storage.write(put(b"a")))  # after the first slow commit, the next ones run in the thread

    async def use() -> None:
        vfs.go_on.clear()
        write = asyncio.ensure_future(storage.write(put(b"b")))
        for _ in range(20):
            with storage.read() as tx:
                assert tx.get(1, b"a") is not None
                assert tx.get(1, b"b") is None
            await asyncio.sleep(0)
        assert not write.done()
        vfs.go_on.set()
        await write

    run(use())
    assert keys(storage) == [b"a", b"b"]
    run(storage.close())


def test_a_failed_checkpoint_loses_nothing(
    tmp_path: Path, run: Run, vfs: FailingVFS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "STEP_BYTES", 1 << 16)
    storage = SqliteStorage.open(tmp_path, vfs=vfs.name, monotonic=vfs.clock)
    vfs.refused = "database"
    for n in range(300):
        run(storage.write(put(b"%03d" % n, b"x" * 2000)))
    assert "checkpoint failed" in caplog.text
    vfs.refused = ""
    run(storage.write(put(b"last")))
    assert len(keys(storage)) == 301
    run(storage.close())
    storage = SqliteStorage.open(tmp_path)
    assert len(keys(storage)) == 301
    run(storage.close())


def test_checkpoints_go_on_after_an_unexpected_error(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "STEP_BYTES", 1 << 16)
    storage = SqliteStorage.open(tmp_path)
    policy = storage._checkpoints
    real = policy._connection

    class Failing:
        def set_busy_timeout(self, _: int) -> None:
            pass

        def wal_checkpoint(self, **_: Any) -> None:
            raise MemoryError("injected")

    policy._connection = Failing()  # type: ignore[assignment]
    run(storage.write(put(b"a", b"x" * 100_000)))
    run(until(lambda: not policy._running))
    assert "checkpoint failed" in caplog.text
    policy._connection = real
    run(storage.write(put(b"b", b"needle" + b"x" * 100_000)))
    run(until(lambda: not policy._running))
    assert b"needle" in storage.path.read_bytes()
    run(storage.close())


def test_upkeep_goes_on_after_an_unexpected_error(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage_module, "UPKEEP_SECONDS", 0)
    storage = SqliteStorage.open(tmp_path)
    real, failures = storage._check_files, iter([RuntimeError("injected")])

    def check_files() -> None:
        for failure in failures:
            raise failure
        rounds.append(real())

    rounds: list[Any] = []
    monkeypatch.setattr(storage, "_check_files", check_files)
    run(storage.write(put(b"a")))
    run(until(lambda: rounds))
    assert "upkeep failed" in caplog.text
    run(storage.close())


def test_a_foreign_reader_that_keeps_the_wal_is_named_in_the_log_once(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "STEP_BYTES", 1 << 16)
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", 1 << 17)
    monkeypatch.setattr(checkpoints, "HARD_BYTES", 1 << 18)
    monkeypatch.setattr(checkpoints, "WAIT_FOR_READERS_MS", 1)
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(put(b"a")))
    foreign = apsw.Connection(str(storage.path))
    foreign.execute("BEGIN; SELECT count(*) FROM items").get  # noqa: B018
    for n in range(10):
        run(storage.write(put(b"%d" % n, b"x" * 100_000)))
        run(until(lambda: not storage._checkpoints._running))  # a checkpoint under way would be the only one
    found = [record for record in caplog.records if "cannot be started over" in record.getMessage()]
    assert len(found) == 1
    foreign.close()
    run(storage.close())


def test_a_range_is_not_prepared_anew_for_other_bindings(tmp_path: Path, run: Run) -> None:
    storage = SqliteStorage.open(tmp_path)
    assert storage._read_connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1
    run(storage.close())


def test_another_program_that_writes_to_the_file_does_not_block_the_loop(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(put(b"a")))
    foreign = apsw.Connection(str(storage.path))

    async def use() -> None:
        foreign.execute("BEGIN IMMEDIATE")
        writes = [asyncio.ensure_future(storage.write(put(key))) for key in (b"b", b"c")]
        for _ in range(20):
            assert keys(storage) == [b"a"]
            await asyncio.sleep(0)
        await until(lambda: "another program is writing" in caplog.text)
        assert not writes[0].done()
        foreign.execute("ROLLBACK")
        await asyncio.gather(*writes)
        storage._batches.transaction.busy_ms = 1
        foreign.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="BusyError"):
                await storage.write(put(b"d"))
        foreign.execute("ROLLBACK")
        await storage.write(put(b"e"))

    run(use())
    assert keys(storage) == [b"a", b"b", b"c", b"e"]
    assert len(caplog.records) == 1
    foreign.close()
    run(storage.close())


@pytest.mark.parametrize("what", ["directory", "file", "log", "replaced"])
def test_files_removed_under_a_running_store_are_noticed_and_writes_refused(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    storage = SqliteStorage.open(tmp_path / "data")
    run(storage.write(put(b"a")))
    run(storage._keep_up_once())
    run(storage.write(put(b"b")))
    if what == "directory":
        shutil.rmtree(tmp_path / "data")
    elif what == "file":
        storage.path.unlink()
    elif what == "log":
        storage.path.with_name(f"{FILE_NAME}-wal").unlink()
    else:
        shutil.copy(storage.path, tmp_path / "other")
        (tmp_path / "other").rename(storage.path)
    for _ in range(2):
        run(storage._keep_up_once())
    with pytest.raises(StorageUnavailable, match="was removed or replaced"):
        run(storage.write(put(b"c")))
    assert len([record for record in caplog.records if "writes are refused" in record.getMessage()]) == 1
    assert keys(storage) == [b"a", b"b"], "reads go on"
    run(storage.close())


# Snapshots and checkpoints


def test_a_snapshot_that_is_too_old_says_so(tmp_path: Path, run: Run) -> None:
    clock = Clock()
    storage = SqliteStorage.open(tmp_path, monotonic=clock, snapshot_max_age=5.0)
    run(storage.write(lambda tx: [put(b"%d" % n)(tx) for n in range(10)]))
    snapshot = storage.open_snapshot()
    clock.now += 4.9
    assert len(snapshot.items(1, b"", None, 99)) == 10
    clock.now += 0.2
    for use in (
        lambda: snapshot.get(1, b"1"),
        lambda: snapshot.items(1, b"", None, 99),
        lambda: snapshot.get_many(1, [b"1"], 99),
        lambda: snapshot.tables(),
        lambda: snapshot.catalog_version(),
        lambda: snapshot.statistics(1),
        lambda: snapshot.last_change(),
        lambda: snapshot.find_table("a", "r", "n"),
    ):
        with pytest.raises(SnapshotTooOld):
            use()
    snapshot.close()
    assert storage.open_snapshot().get(1, b"1") is not None
    run(storage.close())


def test_the_upkeep_takes_an_old_snapshot_back_though_nobody_asks(tmp_path: Path, run: Run) -> None:
    clock = Clock()
    storage = SqliteStorage.open(tmp_path, monotonic=clock, snapshot_max_age=5.0)
    run(storage.write(put(b"a")))
    snapshot = storage.open_snapshot()
    clock.now += 6

    run(until(lambda: snapshot not in storage._snapshots._open))
    run(storage.close())


def wal_bytes(storage: SqliteStorage) -> int:
    return Path(f"{storage.path}-wal").stat().st_size


async def checkpointed(storage: SqliteStorage) -> None:
    """Waits for a checkpoint under way, whose thread may be slower than writes: the WAL grows meanwhile."""
    await until(lambda: not storage._checkpoints._running)


def test_the_wal_stays_bounded_under_load(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STEP_BYTES", 1 << 18)
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", 1 << 20)
    storage = SqliteStorage.open(tmp_path)
    written = 0
    greatest = 0

    async def use() -> None:
        nonlocal written, greatest
        for n in range(400):
            await storage.write(put(b"%03d" % (n % 100), b"x" * 30_000))
            await checkpointed(storage)
            written += 30_000
            greatest = max(greatest, wal_bytes(storage))

    run(use())
    assert greatest < 2 << 20 < written
    run(storage.close())


def test_a_resting_store_has_everything_in_its_database_file(tmp_path: Path, run: Run) -> None:
    clock = Clock()
    storage = SqliteStorage.open(tmp_path, monotonic=clock)
    run(storage.write(put(b"a", b"needle" + b"x" * 100_000)))
    assert b"needle" not in storage.path.read_bytes()
    clock.now += 10

    run(until(lambda: b"needle" in storage.path.read_bytes()))
    run(storage.close())
    assert not Path(f"{storage.path}-wal").exists()


def test_a_wal_that_grew_too_long_is_cut_back(tmp_path: Path, run: Run) -> None:
    clock = Clock()
    storage = SqliteStorage.open(tmp_path, monotonic=clock)
    storage._write_connection.execute(f"PRAGMA journal_size_limit = {1 << 20}")
    run(storage.write(lambda tx: [put(b"%d" % n, b"x" * 100_000)(tx) for n in range(40)]))
    assert wal_bytes(storage) > 4_000_000
    clock.now += 10

    async def use() -> None:
        # Copied when it rests; then started over, and cut, by the next write.
        await until(lambda: storage._checkpoints._copied_all)
        await storage.write(put(b"again"))

    run(use())
    assert wal_bytes(storage) <= 1 << 20
    run(storage.close())


def test_snapshots_end_when_they_keep_the_wal_too_long(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scans that overlap without end would keep the WAL from ever being started over."""
    monkeypatch.setattr(checkpoints, "STEP_BYTES", 1 << 18)
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", 1 << 19)
    monkeypatch.setattr(checkpoints, "HARD_BYTES", 1 << 21)
    one, two = SqliteStorage.open(tmp_path), SqliteStorage.open(tmp_path)
    run(one.write(put(b"000")))
    run(two.write(put(b"000")))
    held: list[Any] = []
    ended = 0
    greatest = 0

    async def use() -> None:
        nonlocal ended, greatest
        for n in range(900):
            if n % 10 == 0:
                held.append((one, two)[n % 20 == 0].open_snapshot())
            await one.write(put(b"%03d" % (n % 100), b"x" * 30_000))
            await checkpointed(one)
            greatest = max(greatest, wal_bytes(one))
        for snapshot in held:
            try:
                snapshot.get(1, b"000")
            except SnapshotTooOld:
                ended += 1

    run(use())
    assert ended > 0
    assert greatest < 12 << 20 < 900 * 30_000
    run(one.close())
    run(two.close())


def test_an_open_snapshot_holds_nobody_up_when_the_store_rests(tmp_path: Path, run: Run) -> None:
    clock = Clock()
    storage = SqliteStorage.open(tmp_path, monotonic=clock, snapshot_max_age=1000.0)
    run(storage.write(put(b"a")))
    snapshot = storage.open_snapshot()
    run(storage.write(put(b"b")))
    clock.now += 10
    run(storage._keep_up_once())  # copies what it can
    run(until(lambda: not storage._checkpoints._running))
    assert snapshot.get(1, b"b") is None
    run(asyncio.wait_for(storage.write(put(b"c")), 60))
    snapshot.close()
    run(storage.close())


def test_a_store_goes_on_under_the_next_event_loop(tmp_path: Path) -> None:
    storage = SqliteStorage.open(tmp_path)
    for n in range(3):
        asyncio.run(storage.write(put(b"%d" % n)))
    asyncio.run(storage.close())
    storage = SqliteStorage.open(tmp_path)
    assert keys(storage) == [b"0", b"1", b"2"]
    asyncio.run(storage.close())


def test_a_file_cut_short_is_an_error_and_stays_as_it_is(tmp_path: Path, run: Run) -> None:
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(lambda tx: [put(b"%03d" % n, b"x" * 3000)(tx) for n in range(200)]))
    run(storage.close())
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises((DataDirectoryError, StorageUnavailable)):
        keys(SqliteStorage.open(tmp_path))
    assert len(path.read_bytes()) == 50_000


def test_a_file_that_ends_within_its_last_page_is_refused(tmp_path: Path, run: Run) -> None:
    path = made(tmp_path, run)
    content = path.read_bytes()[:-1]
    path.write_bytes(content)
    with pytest.raises(DataDirectoryError, match="cut short"):
        SqliteStorage.open(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("missing", [True, False])
def test_a_log_without_its_file_is_not_thrown_away(tmp_path: Path, run: Run, missing: bool) -> None:
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(put(b"a")))
    remains = tmp_path / "remains"
    remains.mkdir()
    log = Path(f"{storage.path}-wal").read_bytes()
    (remains / f"{FILE_NAME}-wal").write_bytes(log)
    if not missing:
        (remains / FILE_NAME).touch()
    with pytest.raises(DataDirectoryError, match="its log"):
        SqliteStorage.open(remains)
    assert (remains / f"{FILE_NAME}-wal").read_bytes() == log
    run(storage.close())


def test_a_damaged_log_ends_at_its_damage(tmp_path: Path, run: Run) -> None:
    """As a torn tail does, which looks the same. What was committed before is there, whole."""
    storage = SqliteStorage.open(tmp_path / "killed")
    for number in range(50):
        run(storage.write(put(b"%02d" % number, b"x" * 3000)))
    shutil.copytree(tmp_path / "killed", tmp_path / "next", ignore=shutil.ignore_patterns("*-shm"))
    run(storage.close())
    log = tmp_path / "next" / f"{FILE_NAME}-wal"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    storage = SqliteStorage.open(tmp_path / "next")
    left = keys(storage)
    assert 0 < len(left) < 50
    assert left == [b"%02d" % number for number in range(len(left))]
    with storage.read() as tx:
        assert tx.statistics(1) == SpaceStatistics(len(left), 10 * len(left))
    run(storage.close())


# Several processes; two stores on one directory exclude each other as two processes do


def test_a_table_saved_or_removed_by_one_process_is_seen_by_the_other_at_once(tmp_path: Path, run: Run) -> None:
    one, two = SqliteStorage.open(tmp_path), SqliteStorage.open(tmp_path)

    def seen_by(storage: SqliteStorage) -> Any:
        with storage.read() as tx:
            return tx.find_table("000000000000", "us-east-1", "t")

    assert seen_by(two) is None
    first = make_table("t", 1)
    run(one.write(lambda tx: tx.save_table(first)))
    assert seen_by(two) == first
    assert seen_by(two) is seen_by(two), "decoded once"
    second = make_table("t", 2)
    run(two.write(lambda tx: tx.save_table(second)))
    assert seen_by(one) == seen_by(two) == second
    run(one.write(lambda tx: tx.remove_table(tx.find_table("000000000000", "us-east-1", "t"))))
    assert seen_by(one) is seen_by(two) is None
    run(one.close())
    run(two.close())


COUNTING = """
import asyncio, sys
from blotter.database.storage.protocol import StoredItem
from blotter.database.storage.sqlite import SqliteStorage

def increment(tx):
    found = tx.get(1, b"n")
    tx.put(1, StoredItem(b"n", 1, b"%d" % (int(found.body) + 1 if found else 1)), found)

async def main():
    storage = SqliteStorage.open(sys.argv[1])
    async def client():
        for _ in range(50):
            await storage.write(increment)
    await asyncio.gather(*(client() for _ in range(8)))
    await storage.close()

asyncio.run(main())
"""


def test_increments_from_two_processes_all_count(tmp_path: Path, run: Run) -> None:
    command = [sys.executable, "-c", COUNTING, str(tmp_path)]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    storage = SqliteStorage.open(tmp_path)
    with storage.read() as tx:
        found = tx.get(1, b"n")
    assert found is not None
    assert found.body == b"800"
    run(storage.close())


FAULTS = Path(__file__).parents[3] / "faults"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("storage_kill.py", ["--rounds", "3"]),
        ("storage_power_loss.py", ["--crashes", "60", "--transactions", "200"]),
        ("storage_power_loss.py", ["--crashes", "20", "--transactions", "60", "--encrypted"]),
    ],
)
def test_acknowledged_writes_survive(script: str, arguments: list[str]) -> None:
    """A short run; by hand the scripts take more rounds and other seeds."""
    child = subprocess.run(
        [sys.executable, FAULTS / script, *arguments], capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 0, child.stderr
    assert "all there" in child.stdout or "nothing was lost" in child.stdout


def test_working_storage_leaves_the_store_its_room(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits into memory needs none."""
    monkeypatch.setattr(scratch, "CACHE_BYTES", 256 << 10)
    storage = SqliteStorage.open(tmp_path / "data")
    spare = [scratch.AT_ONCE_BYTES]
    monkeypatch.setattr(storage._reserve, "spare", lambda: spare[0])
    found = storage.open_scratch()
    rows = [(b"%06d" % number, bytes(500)) for number in range(1_000)]
    found.add(rows[:100])
    spare[0] = 0
    found.add(rows[:600])
    refusal = "working storage in .* cannot grow, what is left of its disk is kept for deletions: make room there"
    with pytest.raises(StorageUnavailable, match=refusal):
        found.add(rows)
    spare[0] = scratch.AT_ONCE_BYTES
    found.add(rows)
    assert found.items(b"", None, 2_000) == rows
    found.close()
    run(storage.close())


@pytest.mark.parametrize("left", ["little", "much"])
def test_writers_are_stopped_when_little_is_left_to_copy(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """Or when the log has twice its usual length. A reader keeps it from being started over meanwhile."""
    little, limit = 16, 64
    monkeypatch.setattr(checkpoints, "STEP_BYTES", 16 * PAGE_SIZE)
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", limit * PAGE_SIZE)
    monkeypatch.setattr(checkpoints, "LITTLE_BYTES", little * PAGE_SIZE)
    storage = SqliteStorage.open(tmp_path / "data")
    policy = storage._checkpoints
    run(storage.write(put(b"key")))
    reader = apsw.Connection(str(tmp_path / "data" / FILE_NAME))
    reader.execute("BEGIN; SELECT * FROM counters").fetchall()
    if left == "little":
        monkeypatch.setattr(policy, "_pages_to_copy", lambda: little)
    stops: list[int] = []
    under_lock = policy._work_under_lock

    def watched() -> Callable[[], object] | None:
        work = under_lock()
        if work is not None:
            stops.append(policy._wal_pages)
        return work

    monkeypatch.setattr(policy, "_work_under_lock", watched)

    async def fill() -> None:
        for number in range(200):
            if stops:
                return
            await storage.write(put(b"%d" % number, bytes(5000)))
            await checkpointed(storage)

    run(fill())
    (pages,) = stops
    assert (limit if left == "little" else 2 * limit) <= pages < (2 if left == "little" else 3) * limit
    reader.close()
    run(storage.close())
