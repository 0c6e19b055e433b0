"""Encrypted files: what is changed on the disk is refused, named and left alone, and affects nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from blotter.database.encryption.data_keys import DataKey
from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage
from blotter.database.storage.sqlite.file_check import check_pages
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE, connect

Run = Callable[[Any], Any]

KEY = DataKey.generate()
ITEMS = [
    StoredItem(b"key %04d" % number, 10, b"body %04d " % number + b"." * (4000 if number % 50 == 7 else 200))
    for number in range(1000)
]


def _fill(tx: WriteTransaction) -> None:
    for item in ITEMS:
        tx.put(1, item, None)


@pytest.fixture
def path(tmp_path: Path, run: Run) -> Path:
    """The encrypted file of a store that holds ITEMS and is closed."""
    storage = SqliteStorage.open(tmp_path, key=KEY)
    run(storage.write(_fill))
    run(storage.close())
    return tmp_path / FILE_NAME


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


def _lost(storage: SqliteStorage) -> int:
    """How many of ITEMS cannot be read; none comes back wrong."""
    lost = [each for each, item in zip(_read(storage), ITEMS, strict=True) if each != item]
    assert all(isinstance(each, str) and "malformed" in each for each in lost), "something wrong was served"
    return len(lost)


def _problems(path: Path) -> list[str]:
    connection = connect(path, key=KEY)
    try:
        return list(check_pages(connection))
    finally:
        connection.close(True)


@pytest.mark.parametrize("at", [0, 2000, PAGE_SIZE - 1])
def test_a_flipped_bit_costs_what_lies_on_its_page_and_is_left_alone(path: Path, run: Run, at: int) -> None:
    whole = path.read_bytes()
    costly = 0
    for page in range(5, len(whole) // PAGE_SIZE, 7):
        damaged = bytearray(whole)
        damaged[page * PAGE_SIZE + at] ^= 4
        path.write_bytes(damaged)
        storage = SqliteStorage.open(path.parent, key=KEY)
        lost = _lost(storage)
        assert lost <= 400
        costly += lost > 0
        run(storage.close())
        assert path.read_bytes() == damaged
    assert costly > 5
    assert _problems(path)
    path.write_bytes(whole)
    assert not _problems(path)


def test_a_page_in_anothers_place_is_refused(path: Path, run: Run) -> None:
    """It is authentic, but not there."""
    content = bytearray(path.read_bytes())
    one, other = (slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE) for page in (20, 40))
    content[one], content[other] = content[other], content[one]
    path.write_bytes(content)
    storage = SqliteStorage.open(path.parent, key=KEY)
    assert _lost(storage) > 0
    run(storage.close())


@pytest.mark.parametrize("at", [*range(24), 30, 100, PAGE_SIZE - 1])
def test_a_changed_first_page_stops_the_start(path: Path, at: int) -> None:
    """The first 24 bytes are not encrypted: the key's id, page size, journal mode, reserved bytes."""
    content = bytearray(path.read_bytes())
    content[at] ^= 3
    path.write_bytes(content)
    if at < 16:  # the id is compared where the key is chosen, and is no part of the page
        storage = SqliteStorage.open(path.parent, key=KEY)
        asyncio.run(storage.close())
    else:
        with pytest.raises(
            DataDirectoryError, match=r"damaged|malformed|not authenticate|cut short|cannot be opened"
        ):
            SqliteStorage.open(path.parent, key=KEY)
    assert path.read_bytes() == bytes(content)


def test_without_the_library_that_encrypts_plain_files_work(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another package may have installed the plain apsw over it."""
    monkeypatch.delattr(apsw, "mc_version")
    with pytest.raises(DataDirectoryError, match="need the package apsw-sqlite3mc"):
        SqliteStorage.open(path.parent, key=KEY)
    asyncio.run(SqliteStorage.open(tmp_path / "plain").close())


def test_another_key_opens_nothing(path: Path) -> None:
    before = path.read_bytes()
    for key in (DataKey(KEY.id, b"x" * 32), None):
        with pytest.raises(
            DataDirectoryError, match=r"does not authenticate|is not a SQLite file, or is encrypted"
        ):
            SqliteStorage.open(path.parent, key=key)
    assert path.read_bytes() == before


def test_a_write_that_meets_damage_costs_the_others_of_its_batch_nothing(path: Path, run: Run) -> None:
    def put(key: bytes) -> Callable[[WriteTransaction], None]:
        return lambda tx: tx.put(1, StoredItem(key, 10, b"new"), tx.get(1, key))

    async def use(keys: list[bytes]) -> list[Any]:
        return await asyncio.gather(*(storage.write(put(key)) for key in keys), return_exceptions=True)

    whole = path.read_bytes()
    for page in range(10, len(whole) // PAGE_SIZE):
        damaged = bytearray(whole)
        damaged[page * PAGE_SIZE + 99] ^= 1
        path.write_bytes(damaged)
        storage = SqliteStorage.open(path.parent, key=KEY)
        lost = [item.key for item, found in zip(ITEMS, _read(storage), strict=True) if found != item]
        if 2 <= len(lost) <= 60:
            break
        run(storage.close())
    good = [item.key for item in ITEMS if item.key not in lost]
    keys = [good[0], lost[0], good[-1], lost[1]]
    results = run(use(keys))
    assert [type(result) for result in results] == [type(None), StorageUnavailable, type(None), StorageUnavailable]
    with storage.read() as tx:
        assert [tx.get(1, key).body for key in (good[0], good[-1])] == [b"new", b"new"]  # type: ignore[union-attr]
    run(storage.close())


def test_the_log_is_authenticated_while_it_is_in_use(tmp_path: Path, run: Run) -> None:
    """A page of the log is read again by another connection: a bit flipped meanwhile is found."""
    storage = SqliteStorage.open(tmp_path, key=KEY)
    run(storage.write(_fill))
    log = tmp_path / f"{FILE_NAME}-wal"
    whole = log.read_bytes()
    for first_page, reason in ((True, "file is not a database"), (False, "malformed")):
        damaged = bytearray(whole)
        for start in range(32, len(whole) - 24 - PAGE_SIZE, 24 + PAGE_SIZE):
            if (int.from_bytes(whole[start : start + 4], "big") == 1) == first_page:
                damaged[start + 24 + 1000] ^= 1
        _overwrite(log, bytes(damaged))
        with pytest.raises(StorageUnavailable, match=reason):
            storage.open_snapshot().items(1, b"", None, 1 << 30)
    _overwrite(log, whole)
    assert _lost(storage) == 0
    run(storage.close())


def _overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)
