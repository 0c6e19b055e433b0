"""Checksums on pages: what is damaged is refused, named and left alone, and affects nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import apsw.sqlite_extra
import pytest

from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage, checksums
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE

Run = Callable[[Any], Any]

ITEMS = [
    StoredItem(b"key %04d" % number, 10, b"body %04d " % number + b"." * (4000 if number % 50 == 7 else 200))
    for number in range(1000)
]
_WRONG_SUM = "does not match its checksum"
_PLAIN = "unix"
"""The VFS below the shim, named: as if there were no shim."""


def _fill(tx: WriteTransaction) -> None:
    for item in ITEMS:
        tx.put(1, item, None)


@pytest.fixture
def path(tmp_path: Path, run: Run) -> Path:
    """The file of a store that holds ITEMS and is closed."""
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(_fill))
    run(storage.close())
    return tmp_path / FILE_NAME


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _read(storage: SqliteStorage) -> list[StoredItem | str | None]:
    """Each of ITEMS as a read finds it, or why there was none."""
    found: list[StoredItem | str | None] = []
    for item in ITEMS:
        try:
            with storage.read() as tx:
                found.append(tx.get(1, item.key))
        except StorageUnavailable as error:
            found.append(str(error))
    return found


def _inner_page(content: bytes) -> int:
    """Where the last page begins that holds keys and pointers to other pages."""
    return max(at for at in range(PAGE_SIZE, len(content), PAGE_SIZE) if content[at] == 2)


PLACES: dict[str, tuple[Callable[[bytes], int], int, int]] = {
    "a body": (lambda content: content.index(b"body 0500") + 5, 1, 40),
    "a key": (lambda content: content.index(b"key 0500") + 5, 1, 40),
    "a long body": (lambda content: content.index(b"body 0507") + 2000, 1, 1),
    "an inner page": (lambda content: _inner_page(content) + PAGE_SIZE - 40, 100, 1000),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_bit_costs_what_lies_on_its_page_and_is_left_alone(path: Path, run: Run, place: str) -> None:
    find, least, most = PLACES[place]
    at = find(path.read_bytes())
    _flip(path, at)
    damaged = path.read_bytes()
    storage = SqliteStorage.open(path.parent)
    found = _read(storage)
    lost = [each for each, item in zip(found, ITEMS, strict=True) if each != item]
    assert least <= len(lost) <= most
    assert all(isinstance(each, str) and _WRONG_SUM in each for each in lost), "nothing wrong was served"
    snapshot = storage.open_snapshot()
    with pytest.raises(StorageUnavailable, match=_WRONG_SUM):
        snapshot.items(1, b"", None, 1 << 30)
    snapshot.close()
    run(storage.close())
    assert path.read_bytes() == damaged
    _flip(path, at)
    storage = SqliteStorage.open(path.parent)
    assert _read(storage) == ITEMS
    run(storage.close())


def test_a_write_that_meets_damage_costs_the_others_of_its_batch_nothing(path: Path, run: Run) -> None:
    def put(key: bytes) -> Callable[[WriteTransaction], None]:
        return lambda tx: tx.put(1, StoredItem(key, 10, b"new"), tx.get(1, key))

    async def use() -> list[Any]:
        writes = [storage.write(put(key)) for key in (b"key 0000", b"key 0500", b"key 0999", b"key 0501")]
        return await asyncio.gather(*writes, return_exceptions=True)

    at = path.read_bytes().index(b"body 0500")
    _flip(path, at)
    storage = SqliteStorage.open(path.parent)
    results = run(use())
    assert [type(result) for result in results] == [type(None), StorageUnavailable, type(None), StorageUnavailable]
    assert _WRONG_SUM in str(results[1])
    run(storage.close())
    _flip(path, at)
    storage = SqliteStorage.open(path.parent)
    with storage.read() as tx:
        after = [tx.get(1, key).body for key in (b"key 0000", b"key 0500", b"key 0999", b"key 0501")]  # type: ignore[union-attr]
        assert tx.statistics(1).items == len(ITEMS)
    assert after == [b"new", ITEMS[500].body, b"new", ITEMS[501].body]
    run(storage.close())


def test_a_flipped_bit_in_the_log_ends_it_there(tmp_path: Path, run: Run) -> None:
    """The log's frames have sums of their own, compared when it is recovered."""
    storage = SqliteStorage.open(tmp_path / "running")
    run(storage.write(lambda tx: tx.put(1, ITEMS[0], None)))
    run(storage.write(lambda tx: tx.put(1, ITEMS[1], None)))
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        (crashed / name).write_bytes((tmp_path / "running" / name).read_bytes())
    run(storage.close())
    log = crashed / f"{FILE_NAME}-wal"
    _flip(log, log.read_bytes().index(ITEMS[1].body))
    storage = SqliteStorage.open(crashed)
    with storage.read() as tx:
        assert (tx.get(1, ITEMS[0].key), tx.get(1, ITEMS[1].key)) == (ITEMS[0], None)
    run(storage.close())


def test_one_bit_of_the_header_does_not_switch_verification_off(path: Path) -> None:
    _flip(path, 20)  # how many bytes of a page are reserved
    damaged = path.read_bytes()
    with pytest.raises(DataDirectoryError, match=r"cannot be verified|malformed"):
        SqliteStorage.open(path.parent)
    assert path.read_bytes() == damaged


def test_every_connection_verifies(path: Path, run: Run) -> None:
    storage = SqliteStorage.open(path.parent)
    storage.open_snapshot().close()
    pool = [pooled._connection for pooled in storage._snapshots._free]
    assert len(pool) == 1
    connections = [storage._read_connection, storage._write_connection, storage._checkpoint_connection, *pool]
    assert all(checksums.verified(connection) for connection in connections)
    run(storage.close())


# Without the shim


def test_a_file_made_without_it_has_no_checksums_and_stays_in_use(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqliteStorage.open(tmp_path, vfs=_PLAIN)
    run(storage.write(_fill))
    run(storage.close())
    assert "is made without checksums on its pages" in caplog.records[0].getMessage()
    for vfs in (_PLAIN, None):
        storage = SqliteStorage.open(tmp_path, vfs=vfs)
        run(storage.write(lambda tx: tx.put(1, ITEMS[3], tx.get(1, ITEMS[3].key))))
        assert _read(storage) == ITEMS
        assert not checksums.verified(storage._read_connection)
        run(storage.close())
    assert len(caplog.records) == 1


def test_a_file_with_checksums_is_not_read_without_verifying_them(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(DataDirectoryError, match=r"apsw was installed without cksumvfs\. It was left as it is"):
        SqliteStorage.open(path.parent, vfs=_PLAIN)
    assert path.read_bytes() == before


@pytest.mark.parametrize("error", [apsw.sqlite_extra.NotAvailable(), apsw.ExtensionLoadingError("no such file")])
def test_an_installation_without_it_says_so(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(apsw.sqlite_extra, "load", fail)
    assert checksums.load_shim.__wrapped__() is False


def test_other_programs_may_read_such_a_file(path: Path) -> None:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert connection.execute("SELECT count(*) FROM items").fetchone() == (len(ITEMS),)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
