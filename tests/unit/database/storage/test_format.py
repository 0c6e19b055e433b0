"""Files of older formats: upgraded in place, whole or not at all.

`_make_format_1` writes a file as the first version did; it must never change. A made-up format after today's shows
that upgrades go step by step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from blotter.database.model.keys import KEY_FORMAT
from blotter.database.model.streams import RETENTION
from blotter.database.storage.change_log import STREAMS, is_due, trim
from blotter.database.storage.protocol import LOG_SPACE, Change, DataDirectoryError, SpaceStatistics, StoredItem
from blotter.database.storage.sqlite import SqliteStorage, checksums, schema
from tests.faults.storage_power_loss import Record, crashes, recording, write_files

from .conftest import make_table

Run = Callable[[Any], Any]
ITEMS = [StoredItem(b"%03d" % number, 10, b"x" * number * 9) for number in range(100)]
TABLE = make_table("books", 1)
_DESCRIPTION = (
    b'{"account":"000000000000","region":"us-east-1","name":"books","id":"id-of-books","space":1,'
    b'"keys":{"partition":[{"name":"id","type":"S"}],"sort":[]},"created_at":1.0,"active_at":1.0,'
    b'"attribute_definitions":[{"name":"id","type":"S"}],"indexes":[],"billing_mode":"PROVISIONED",'
    b'"on_demand_since":null,"throughput":{"read":0,"write":0,"decreases_today":0,"last_increase":null,'
    b'"last_decrease":null},"throughput_before":null,"on_demand_maxima":null,"warm":{"read":0,"write":0},'
    b'"deletion_protection":false,"table_class":null,"table_class_changed_at":null,"stream":null,'
    b'"time_to_live":null,"encryption":null,"tags":[],"updating_until":0.0,"deleting_until":null}'
)
_FORMAT_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO counters VALUES (1, 2), (2, 7), (3, 100);
CREATE TABLE catalog (
    account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, description BLOB NOT NULL,
    PRIMARY KEY (account, region, name)) WITHOUT ROWID;
CREATE TABLE items (
    space INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, body BLOB, outside INTEGER,
    PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE statistics (space INTEGER PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE doomed (space INTEGER PRIMARY KEY);
CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY, time REAL NOT NULL, table_id TEXT NOT NULL, shard INTEGER NOT NULL,
    key BLOB NOT NULL, old BLOB, new BLOB, origin TEXT NOT NULL);
CREATE INDEX changes_of_shard ON changes (table_id, shard, sequence);
"""


def _make_format_1(path: Path) -> None:
    """A file of one table: all its items logged, the first ten changes trimmed, a key space given up."""
    checksums.load_shim()
    connection = apsw.Connection(str(path))
    checksums.reserve(connection)
    connection.execute("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL")
    with connection:
        connection.execute(_FORMAT_1)
        connection.execute(
            "INSERT INTO meta VALUES ('key_format', ?), ('page_checksums', 'cksumvfs')", (KEY_FORMAT,)
        )
        connection.execute("INSERT INTO catalog VALUES ('000000000000', 'us-east-1', 'books', ?)", (_DESCRIPTION,))
        for sequence, (key, size, body) in enumerate(ITEMS, 1):
            outside = len(key) + len(body) > 500
            if outside:
                connection.execute("INSERT INTO bodies VALUES (?, ?)", (sequence, body))
            row = (1, key, size, None if outside else body, sequence if outside else None)
            connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?)", row)
            if sequence > 10:
                change = (sequence, 1.0, "id-of-books", 2, key, None, body, "user")
                connection.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", change)
            connection.execute("INSERT INTO items VALUES (6, ?, 1, x'00', NULL)", (key,))
        connection.execute("INSERT INTO statistics VALUES (1, 100, 1000)")
        connection.execute("INSERT INTO doomed VALUES (6)")
        connection.execute(f"PRAGMA application_id = {0x426C6F74}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The directory of a file of format 1."""
    directory = tmp_path / "old"
    directory.mkdir()
    _make_format_1(directory / schema.FILE_NAME)
    return directory


def _check(directory: Path, run: Run) -> None:
    """All is there, and the store can be used."""
    storage = SqliteStorage.open(directory)
    with storage.read() as tx:
        assert tx.items(1, b"", None, 1 << 30) == ITEMS
        assert tx.statistics(1) == SpaceStatistics(100, 1000)
        assert tx.find_table("000000000000", "us-east-1", "books") == TABLE
        logged = [Change(n, 1.0, "id-of-books", 2, key, None, body) for n, (key, _, body) in enumerate(ITEMS, 1)]
        assert tx.changes("id-of-books", 2, 0, 1000) == logged[10:]
        assert tx.log(0, 1000) == logged[10:]
        size = sum(len(change.key) + len(change.new or b"") for change in logged[10:])
        assert tx.statistics(LOG_SPACE) == SpaceStatistics(90, size)
        assert [(reader.name, reader.position) for reader in tx.log_readers()] == [(STREAMS.name, 10)]
        assert tx.version(1, ITEMS[0].key) is None
    run(storage.write(lambda tx: tx.put(1, StoredItem(b"new", 1, b"x" * 900), None, 5)))
    with storage.read() as tx:
        assert tx.version(1, b"new") == 5
    run(storage.write(lambda tx: tx.delete(1, tx.get(1, b"new"))))
    run(storage.close())


def _contents(directory: Path) -> Any:
    connection = apsw.Connection(str(directory / schema.FILE_NAME))
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    version = connection.execute("PRAGMA user_version").get
    connection.close()
    return version, rows


def test_an_older_file_is_upgraded_once(old: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        _check(old, run)
        assert _contents(old)[0] == 2
    upgrades = [record.getMessage() for record in caplog.records]
    assert upgrades == [f"upgrading {old / schema.FILE_NAME} from format 1 to 2"]


def test_an_upgraded_file_has_the_schema_of_a_new_one(old: Path, tmp_path: Path, run: Run) -> None:
    for directory in (old, tmp_path / "new"):
        run(SqliteStorage.open(directory).close())

    def described(directory: Path) -> Any:
        connection = apsw.Connection(str(directory / schema.FILE_NAME))
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema ORDER BY name")]
        columns = {name: connection.execute(f"PRAGMA table_xinfo('{name}')").fetchall() for name in names}
        indexes = connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'index' ORDER BY name").fetchall()
        connection.close()
        return columns, indexes

    assert described(old) == described(tmp_path / "new")


def test_what_was_logged_before_the_upgrade_is_trimmed_and_dropped_spaces_are_emptied(old: Path, run: Run) -> None:
    storage = SqliteStorage.open(old)
    now = 2.0 + RETENTION
    while run(storage.fetch(lambda tx: is_due(tx, now))):
        run(storage.write(lambda tx: trim(tx, now)))
    run(storage._keep_up_once())
    with storage.read() as tx:
        assert tx.log(0, 9) == []
        assert tx.statistics(LOG_SPACE) == SpaceStatistics(0, 0)
        assert tx.items(6, b"", None, 9) == []
    run(storage.close())


def test_several_steps_are_one_upgrade(old: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "FORMAT_VERSION", 3)
    monkeypatch.setitem(schema.MIGRATIONS, 2, _to_made_up_format)
    _check(old, run)
    version, rows = _contents(old)
    assert version == 3
    assert rows["made_up"] == [(100,)]


def _to_made_up_format(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE made_up AS SELECT count(*) FROM items WHERE version IS NULL AND space = 1")


def test_an_upgrade_that_fails_changes_nothing(old: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: apsw.Connection) -> None:
        upgrade(connection)
        connection.execute("INSERT INTO nowhere VALUES (1)")

    upgrade = schema.MIGRATIONS[1]

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
    monkeypatch.delitem(schema.MIGRATIONS, 1)
    before = (old / schema.FILE_NAME).read_bytes()
    with pytest.raises(DataDirectoryError, match="format 1, which this version of blotter cannot upgrade to 2"):
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
    assert versions == {1, 2}
