"""Files of older formats: upgraded in place, whole or not at all.

`_make_format_1` writes a file as the first version did, `_make_format_2` one as the second did; they must never
change. A made-up format after today's shows that upgrades go step by step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from blotter.database.model.keys import KEY_FORMAT
from blotter.database.model.streams import RETENTION
from blotter.database.storage.change_log import STREAMS, is_due, trim
from blotter.database.storage.protocol import LOG_SPACE, Change, DataDirectoryError, SpaceStatistics, StoredItem
from blotter.database.storage.sqlite import SqliteStorage, checksums, schema
from tests.faults.storage_power_loss import Record, crashes, recording, write_files

from .conftest import make_table

Run = Callable[[Any], Any]
ITEMS = [(b"%03d" % number, 10, b"x" * number * 9) for number in range(100)]
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
_FORMAT_2 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO counters VALUES (1, 2), (2, 7), (3, 100);
CREATE TABLE catalog (
    account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, description BLOB NOT NULL,
    PRIMARY KEY (account, region, name)) WITHOUT ROWID;
CREATE TABLE items (
    space INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, body BLOB, outside INTEGER, version INTEGER,
    PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE statistics (space INTEGER PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE dropped_spaces (space INTEGER PRIMARY KEY);
CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY, time REAL NOT NULL, table_id TEXT NOT NULL, shard INTEGER NOT NULL,
    key BLOB NOT NULL, old BLOB, new BLOB, origin TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'item',
    version INTEGER);
CREATE INDEX changes_of_shard ON changes (table_id, shard, sequence) WHERE shard >= 0;
CREATE TABLE log_readers (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, retention REAL, progressed_at REAL NOT NULL, lost_at REAL)
    WITHOUT ROWID;
INSERT INTO log_readers VALUES ('streams', 10, 86400.0, 0, NULL);
"""


def _make_format_1(path: Path) -> None:
    connection = _make_file(path, 1, _FORMAT_1)
    connection.execute("INSERT INTO doomed VALUES (6)")
    connection.close()


def _make_format_2(path: Path) -> None:
    connection = _make_file(path, 2, _FORMAT_2)
    connection.execute("INSERT INTO dropped_spaces VALUES (6)")
    connection.execute("INSERT INTO statistics SELECT -1, count(*), sum(length(key) + length(new)) FROM changes")
    connection.close()


def _make_file(path: Path, version: int, schema: str) -> apsw.Connection:
    """A file of one table: all its items logged, the first ten changes trimmed, a key space given up."""
    checksums.load_shim()
    connection = apsw.Connection(str(path))
    checksums.reserve(connection)
    connection.execute("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL")
    with connection:
        connection.execute(schema)
        connection.execute(
            "INSERT INTO meta VALUES ('key_format', ?), ('page_checksums', 'cksumvfs')", (KEY_FORMAT,)
        )
        connection.execute("INSERT INTO catalog VALUES ('000000000000', 'us-east-1', 'books', ?)", (_DESCRIPTION,))
        for sequence, (key, size, body) in enumerate(ITEMS, 1):
            outside = len(key) + len(body) > 500
            if outside:
                connection.execute("INSERT INTO bodies VALUES (?, ?)", (sequence, body))
            row = (1, key, size, None if outside else body, sequence if outside else None)
            connection.execute("INSERT INTO items (space, key, size, body, outside) VALUES (?, ?, ?, ?, ?)", row)
            if sequence > 10:
                change = (sequence, 1.0, "id-of-books", 2, key, None, body, "user")
                columns = "sequence, time, table_id, shard, key, old, new, origin"
                connection.execute(f"INSERT INTO changes ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", change)
            connection.execute("INSERT INTO items (space, key, size, body) VALUES (6, ?, 1, x'00')", (key,))
        connection.execute("INSERT INTO statistics VALUES (1, 100, 1000)")
        connection.execute(f"PRAGMA application_id = {0x426C6F74}")
        connection.execute(f"PRAGMA user_version = {version}")
    return connection


@pytest.fixture(params=[1, 2])
def old_format(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


@pytest.fixture
def old(tmp_path: Path, old_format: int) -> Path:
    """The directory of a file of an old format."""
    directory = tmp_path / "old"
    directory.mkdir()
    make = {1: _make_format_1, 2: _make_format_2}[old_format]
    make(directory / schema.FILE_NAME)
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
        assert (tx.first_change(), tx.last_change()) == (11, 100)
        size = sum(len(change.key) + len(change.new or b"") for change in logged[10:])
        assert tx.statistics(LOG_SPACE) == SpaceStatistics(90, size)
        assert [(reader.name, reader.position) for reader in tx.log_readers()] == [(STREAMS.name, 10)]
        assert tx.version(1, ITEMS[0][0]) is None
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


def test_an_older_file_is_upgraded_once(
    old: Path, old_format: int, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        _check(old, run)
        assert _contents(old)[0] == 3
    upgrades = [record.getMessage() for record in caplog.records]
    assert upgrades == [f"upgrading {old / schema.FILE_NAME} from format {old_format} to 3"]


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


def test_the_log_of_an_older_file_goes_on(old: Path, run: Run) -> None:
    storage = SqliteStorage.open(old)
    change = Change(0, 5.0, "id-of-books", -1, b"key", b"old", b"new", version=3)
    before = run(storage.fetch(lambda tx: tx.statistics(LOG_SPACE)))
    for number in (101, 102):
        run(storage.write(lambda tx: tx.append_change(change)))
        with storage.read() as tx:
            assert tx.last_change() == number
            assert tx.log(number - 1, 9) == [replace(change, sequence=number)]
            assert tx.statistics(LOG_SPACE) == (before.items + number - 100, before.bytes + 9 * (number - 100))
    run(storage.close())


def test_no_number_is_given_again_when_an_older_file_has_an_empty_log(old: Path, run: Run) -> None:
    connection = apsw.Connection(str(old / schema.FILE_NAME))
    connection.execute("DELETE FROM changes; UPDATE statistics SET items = 0, bytes = 0 WHERE space = -1")
    connection.close()
    storage = SqliteStorage.open(old)
    with storage.read() as tx:
        assert (tx.first_change(), tx.last_change()) == (101, 100)
        assert tx.statistics(LOG_SPACE) == (0, 0)
    run(storage.write(lambda tx: tx.append_change(Change(0, 5.0, "id-of-books", -1, b"key", None, b"new"))))
    with storage.read() as tx:
        assert (tx.first_change(), tx.last_change()) == (101, 101)
        assert tx.statistics(LOG_SPACE) == (1, 6)
    run(storage.close())


def test_several_steps_are_one_upgrade(old: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "FORMAT_VERSION", 4)
    monkeypatch.setitem(schema.MIGRATIONS, 3, _to_made_up_format)
    _check(old, run)
    version, rows = _contents(old)
    assert version == 4
    assert rows["made_up"] == [(100,)]


def _to_made_up_format(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE made_up AS SELECT count(*) FROM items WHERE version IS NULL AND space = 1")


def test_an_upgrade_that_fails_changes_nothing(
    old: Path, old_format: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: apsw.Connection) -> None:
        upgrade(connection)
        connection.execute("INSERT INTO nowhere VALUES (1)")

    upgrade = schema.MIGRATIONS[old_format]

    before = _contents(old)
    with monkeypatch.context() as patch:
        patch.setitem(schema.MIGRATIONS, old_format, fail)
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


def test_a_file_too_old_to_be_upgraded_is_left_alone(
    old: Path, old_format: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(schema.MIGRATIONS, old_format)
    before = (old / schema.FILE_NAME).read_bytes()
    refusal = f"format {old_format}, which this version of blotter cannot upgrade to 3"
    with pytest.raises(DataDirectoryError, match=refusal):
        SqliteStorage.open(old)
    assert (old / schema.FILE_NAME).read_bytes() == before


def test_every_format_since_the_first_can_be_upgraded() -> None:
    assert set(schema.MIGRATIONS) == set(range(1, schema.FORMAT_VERSION))


def test_power_that_fails_at_any_moment_of_an_upgrade_loses_nothing(
    old: Path, old_format: int, tmp_path: Path, run: Run
) -> None:
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
        assert _contents(crashed)[0] == 3
    assert versions == {old_format, 3}
