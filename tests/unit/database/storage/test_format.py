"""Files of older formats: upgraded in place, whole or not at all. The older formats are made up here."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from blotter.database.storage.protocol import Change, DataDirectoryError, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage, schema
from tests.faults.storage_power_loss import Record, crashes, recording, write_files

Run = Callable[[Any], Any]
ITEMS = [StoredItem(b"%03d" % number, 10, b"x" * number * 9) for number in range(100)]


def _fill(tx: WriteTransaction) -> None:
    for item in ITEMS:
        tx.put(1, item, None)
        tx.append_change(Change(0, 1.0, "id", 0, item.key, None, item.body, "who"))


@pytest.fixture
def old(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a file two formats behind: changes had no origin, and before that bodies lay elsewhere."""
    now = schema.FORMAT_VERSION
    storage = SqliteStorage.open(tmp_path)
    run(storage.write(_fill))
    run(storage.close())
    connection = apsw.Connection(str(storage.path))
    connection.execute(
        "ALTER TABLE changes DROP COLUMN origin; ALTER TABLE bodies RENAME TO long_bodies; PRAGMA user_version = 0"
    )
    connection.close()
    monkeypatch.setattr(schema, "FORMAT_VERSION", 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {0: _move_bodies, 1: _add_origins})
    assert now in (1, 2), "the formats made up here are older than today's, or as old"
    return tmp_path


def _move_bodies(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    connection.execute("INSERT INTO bodies SELECT * FROM long_bodies")
    connection.execute("DROP TABLE long_bodies")


def _add_origins(connection: apsw.Connection) -> None:
    connection.execute("ALTER TABLE changes ADD COLUMN origin TEXT NOT NULL DEFAULT 'who'")


def _check(directory: Path, run: Run) -> None:
    """All is there, and the store can be used."""
    storage = SqliteStorage.open(directory)
    with storage.read() as tx:
        assert tx.items(1, b"", None, 1 << 30) == ITEMS
        changes = list(tx.changes("id", 0, 0, 1000))
        assert [(change.key, change.new, change.origin) for change in changes] == [
            (item.key, item.body, "who") for item in ITEMS
        ]
    run(storage.write(lambda tx: tx.put(1, StoredItem(b"new", 1, b"x" * 900), None)))
    run(storage.write(lambda tx: tx.delete(1, tx.get(1, b"new"))))
    run(storage.close())


def _contents(directory: Path) -> Any:
    connection = apsw.Connection(str(directory / schema.FILE_NAME))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    version = connection.execute("PRAGMA user_version").get
    connection.close()
    return version, rows


def test_an_older_file_is_upgraded_step_by_step_and_once(
    old: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        _check(old, run)
        assert _contents(old)[0] == 2
    upgrades = [record.getMessage() for record in caplog.records]
    assert upgrades == [f"upgrading {old / schema.FILE_NAME} from format 0 to 2"]


def test_an_upgrade_that_fails_changes_nothing(old: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: apsw.Connection) -> None:
        _add_origins(connection)
        connection.execute("INSERT INTO nowhere VALUES (1)")

    before = _contents(old)
    with monkeypatch.context() as patch:
        patch.setitem(schema.MIGRATIONS, 1, fail)
        with pytest.raises(DataDirectoryError, match="no such table: nowhere"):
            SqliteStorage.open(old)
    assert _contents(old) == before
    _check(old, run)


def test_an_upgrade_to_keys_nobody_knows_is_refused(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _contents(old)
    monkeypatch.setattr(schema, "KEY_FORMAT", "future/1")
    with pytest.raises(DataDirectoryError, match="this version of blotter knows 'future/1'"):
        SqliteStorage.open(old)
    assert _contents(old) == before


def test_a_file_too_old_to_be_upgraded_is_left_alone(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(schema.MIGRATIONS, 0)
    before = (old / schema.FILE_NAME).read_bytes()
    with pytest.raises(DataDirectoryError, match="format 0, which this version of blotter cannot upgrade to 2"):
        SqliteStorage.open(old)
    assert (old / schema.FILE_NAME).read_bytes() == before


def test_every_format_since_the_first_can_be_upgraded() -> None:
    assert set(schema.MIGRATIONS) == set(range(1, schema.FORMAT_VERSION))


def test_power_that_fails_at_any_moment_of_an_upgrade_loses_nothing(old: Path, tmp_path: Path, run: Run) -> None:
    files = {path.name: path.read_bytes() for path in old.iterdir() if path.name.startswith(schema.FILE_NAME)}
    record = Record()
    for name, content in files.items():
        record.add("write", name, 0, content)
        record.add("sync", name, len(record.events))
    start = len(record.events)
    with recording(record) as vfs:
        run(SqliteStorage.open(old, vfs=vfs).close())
    assert len(record.events) > start + 10
    versions = set()
    points = range(start, len(record.events) + 1)
    for point, remains, _ in crashes(record, points, random.Random(1)):
        crashed = tmp_path / f"crash-{point}"
        crashed.mkdir()
        write_files(crashed, remains)
        versions.add(_contents(crashed)[0])
        _check(crashed, run)
        assert _contents(crashed)[0] == 2
    assert versions == {0, 2}
