"""`blotter check` and `blotter inspect`: every kind of damage is found, a sound directory is called sound and not
changed, beside a running server too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner, Result

from blotter.database.inspection.check import check
from blotter.database.inspection.cli import check_command, inspect_command
from blotter.database.inspection.contents import read_contents
from blotter.database.inspection.text import size
from blotter.database.storage.change_log import add_reader
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite import checksums
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE
from tests.in_process import InProcessDatabase

Serving = Any  # tests/conftest.py
BOOKS = {
    "TableName": "books",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "year", "AttributeType": "N"},
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-year",
            "KeySchema": [{"AttributeName": "year", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


def call(database: InProcessDatabase, operation: str, **request: Any) -> None:
    status, answer = database.call(operation, request)
    assert status == 200, answer


def put(database: InProcessDatabase, key: str, **more: Any) -> None:
    item = {"id": {"S": key}, "year": {"N": "1999"}, **more}
    call(database, "PutItem", TableName="books", Item=item)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a table, an index, a stream, long items, a token and a deleted table."""
    directory = tmp_path_factory.mktemp("inspected") / "data"
    database = InProcessDatabase(directory)
    call(database, "CreateTable", **BOOKS)
    call(database, "CreateTable", **{**BOOKS, "TableName": "gone"})
    for number in range(40):
        put(database, f"book {number}", text={"S": "x" * number * 40})
    put(database, "book 3", text={"S": "short now"})
    call(database, "DeleteItem", TableName="books", Key={"id": {"S": "book 5"}})
    # The limits of index keys: this item is not in the index.
    call(database, "PutItem", TableName="books", Item={"id": {"S": "no year"}})
    writes = [{"Put": {"TableName": "books", "Item": {"id": {"S": "in a transaction"}}}}]
    call(database, "TransactWriteItems", TransactItems=writes, ClientRequestToken="token")
    call(database, "DeleteTable", TableName="gone")
    specification = {"Enabled": True, "AttributeName": "expires"}
    call(database, "UpdateTimeToLive", TableName="books", TimeToLiveSpecification=specification)
    database.run(database.storage.write(lambda tx: add_reader(tx, "archive", 1.0)))
    put(database, "book 6")
    database.close()
    return directory


@pytest.fixture
def damaged(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound, tmp_path / "damaged"))


def change(directory: Path, *statements: str) -> None:
    """Changes rows without the database, with right checksums."""
    checksums.load_shim()
    connection = apsw.Connection(str(directory / FILE_NAME))
    for statement in statements:
        connection.execute(statement).get  # noqa: B018
    connection.close()


def fingerprints(directory: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def run(command: Any, directory: Path, *arguments: str) -> Result:
    return CliRunner(catch_exceptions=False).invoke(command, ["--data-dir", str(directory), *arguments])


def test_a_sound_directory_is_called_sound_and_left_as_it_was(sound: Path) -> None:
    before = fingerprints(sound)
    result = run(check_command, sound)
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "no damage found")
    assert run(inspect_command, sound).exit_code == 0
    assert fingerprints(sound) == before


# What is done to the file, the check that must find it, and a part of its message.
SPACE, INDEX_SPACE = 2, 1
ONE = f"space = {SPACE} AND outside IS NULL AND instr(body, 'no year') = 0"
DAMAGE = {
    "a long body without an item": (
        ["INSERT INTO bodies (body) VALUES (x'00')"],
        "long bodies",
        "belongs to no item",
    ),
    "a lost long body": (
        ["DELETE FROM bodies WHERE id = (SELECT min(id) FROM bodies)"],
        "long bodies",
        "which does not exist",
    ),
    "two items of one long body": (
        ["UPDATE items SET outside = (SELECT max(id) FROM bodies) WHERE outside NOT NULL"],
        "long bodies",
        "belongs to several items",
    ),
    "statistics of a table": (
        ["UPDATE statistics SET items = items + 1 WHERE space > 0"],
        "statistics",
        "its statistics say 42 items",
    ),
    "statistics of the log": (
        ["UPDATE changes SET bytes = bytes - 1"],
        "statistics",
        "the change log has",
    ),
    "a lost change": (
        ["DELETE FROM changes WHERE sequence = (SELECT min(sequence) FROM changes)"],
        "statistics",
        "its newest entry says",
    ),
    "what was trimmed": (["UPDATE counters SET value = 1 WHERE id = 4"], "statistics", "its newest entry says"),
    "statistics of no key space": (
        ["INSERT INTO statistics VALUES (-1, 1, 1)"],
        "statistics",
        "key space -1 has 0 items",
    ),
    "an item that no range finds": (
        [f"UPDATE items SET key = 'text' || key WHERE {ONE}"],
        "statistics",
        "its statistics say 41 items",
    ),
    "lost statistics": (["DELETE FROM statistics WHERE space > 0"], "statistics", "say 0 items of 0 bytes"),
    "a counter of the log": (["DELETE FROM counters WHERE id = 3"], "counters", "counter 3 of the log is missing"),
    "a lost counter": (["DELETE FROM counters WHERE id = 1"], "counters", "the catalog has no generation"),
    "a reader ahead of the log": (
        ["UPDATE log_readers SET position = 1000000"],
        "counters",
        "after the last sequence",
    ),
    "a counter of key spaces": (
        ["UPDATE counters SET value = 1 WHERE id = 2"],
        "key spaces",
        "the last one given",
    ),
    "items of no table": (
        ["INSERT INTO items VALUES (77, x'00', 1, x'00', NULL, NULL)"],
        "key spaces",
        "space 77",
    ),
    "a table under another name": (
        ["UPDATE catalog SET name = 'other'"],
        "catalog",
        "table/books is not found under its name",
    ),
    "a table description": (
        ["UPDATE catalog SET description = CAST('{' AS BLOB)"],
        "catalog",
        "cannot be read any further",
    ),
    "an item's size": ([f"UPDATE items SET size = size + 1 WHERE {ONE}"], "items", "is noted with"),
    "an item's key": (
        [f"UPDATE items SET key = CAST(x'00' || key AS BLOB) WHERE {ONE}"],
        "items",
        "under another key",
    ),
    "an item's body": ([f"UPDATE items SET body = CAST('{{' AS BLOB) WHERE {ONE}"], "items", "is not readable"),
    "an item's value": (
        [f"UPDATE items SET body = CAST(replace(body, '1999', '2001') AS BLOB) WHERE {ONE}"],
        "items",
        "is missing in index by-year",
    ),
    "a lost index entry": (
        [f"DELETE FROM items WHERE space = {INDEX_SPACE}"],
        "items",
        "is missing in index by-year",
    ),
    "an index entry's size": (
        [f"UPDATE items SET size = 1 WHERE space = {INDEX_SPACE}"],
        "items",
        "differs from its entry in index by-year",
    ),
    "an index entry of no item": (
        [f"DELETE FROM items WHERE space = {SPACE} AND outside IS NULL"],
        "index entries",
        "index/by-year belongs to no item",
    ),
    "an index entry's key": (
        [f"UPDATE items SET key = CAST(x'00' || key AS BLOB) WHERE space = {INDEX_SPACE}"],
        "index entries",
        "under another key than its item's",
    ),
    "a lost item": (
        [f"DELETE FROM items WHERE space = {SPACE} AND instr(body, 'no year')"],
        "streams",
        "the last logged change",
    ),
    "a lost stream": (
        ["DELETE FROM items WHERE space = 0 AND substr(key, 1, 7) = CAST('stream/' AS BLOB)"],
        "streams",
        "is not recorded as the table has it",
    ),
    "a change of no shard": (["UPDATE changes SET shard = 999 WHERE shard >= 0"], "streams", "that no stream has"),
    "the log's index": (
        [
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET sql = replace(sql, 'shard >= 0', 'shard >= -5') WHERE type = 'index'",
        ],
        "pages",
        "in changes:",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_named(damaged: Path, kind: str) -> None:
    statements, name, message = DAMAGE[kind]
    change(damaged, *statements)
    result = run(check_command, damaged, "--json")
    assert result.exit_code == 1, result.output
    found = {each["name"]: each["problems"] for each in json.loads(result.output)["checks"]}
    assert any(message in problem for problem in found[name]), found
    expected = "DAMAGED: keep a copy of the store before anything else"
    assert expected in run(check_command, damaged).output


def test_a_flipped_bit_of_any_page_in_use_is_found(damaged: Path) -> None:
    path = damaged / FILE_NAME
    content = path.read_bytes()
    missed = []
    for page in range(1, len(content) // PAGE_SIZE):
        flipped = bytearray(content)
        flipped[page * PAGE_SIZE + 2000] ^= 1
        path.write_bytes(flipped)
        report = check(damaged)
        if report.is_sound:
            missed.append(page + 1)
    path.write_bytes(content)
    assert len(missed) <= read_contents(damaged).free_bytes // PAGE_SIZE, f"pages {missed}"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "has been cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[: PAGE_SIZE * 3]), "malformed"),
        (lambda path: path.write_bytes(path.read_bytes()[:200] + b"\x01" + path.read_bytes()[201:]), "checksum"),
    ],
)
def test_a_file_that_cannot_be_opened_for_damage_is_damage(
    damaged: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(damaged / FILE_NAME)
    result = run(check_command, damaged)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize("command", [check_command, inspect_command])
def test_what_is_no_database_of_this_format_is_refused(tmp_path: Path, damaged: Path, command: Any) -> None:
    def refusal(directory: Path) -> str:
        before = fingerprints(directory) if directory.exists() else None
        result = run(command, directory)
        assert result.exit_code == 2
        assert before is None or fingerprints(directory) == before
        return result.output

    assert "holds no blotter database" in refusal(tmp_path / "none")
    other = tmp_path / "other"
    other.mkdir()
    (other / FILE_NAME).write_text("something else, long enough to be looked at" * 100)
    assert "is not a SQLite file" in refusal(other)
    for version, message in (
        ("1", "a server that starts on it upgrades it"),
        ("9", "start a newer blotter on it"),
    ):
        change(damaged, f"PRAGMA user_version = {version}")
        assert message in refusal(damaged)


def test_the_contents_in_words_and_as_json(sound: Path) -> None:
    text = run(inspect_command, sound).output
    for line in (
        "  server           none",
        "  format           3, keys blake2b-64/1",
        "  checksums        on every page",
        "    reader archive: has read up to ",
        "    reader streams: keeps 24 hours",
        "  tables           1",
        "      ACTIVE, key id (S), 41 items, ",
        "      global index by-year: active, key year (N), 39 items, ",
        "      stream: NEW_IMAGE",
        "      time to live: expires",
    ):
        assert line in text, text
    shown = json.loads(run(inspect_command, sound, "--json").output)
    assert [table["arn"].rpartition("/")[2] for table in shown["tables"]] == ["books"]
    assert shown["tables"][0]["indexes"][0]["name"] == "by-year"


def test_sizes_for_people() -> None:
    found = [size(count) for count in (0, 1, 999, 1000, 1_549_999, 999_949_999, 10**13)]
    assert found == ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "1.5 MB", "999.9 MB", "10.0 TB"]


def test_after_a_crash_the_log_is_read_too(sound: Path, tmp_path: Path) -> None:
    """A copy of the files of a database that was not closed, without its shared memory."""
    database = InProcessDatabase(Path(shutil.copytree(sound, tmp_path / "running")))
    put(database, "not yet in the file")
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for path in (tmp_path / "running").glob("blotter.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, crashed)
    database.close()
    assert check(crashed).is_sound
    assert read_contents(crashed).tables[0].items == 42


def test_beside_a_running_server(server: Serving) -> None:
    report = check(server.data_dir)
    assert report.is_sound, report
    assert read_contents(server.data_dir).server == str(server.process.pid)


def test_no_server_starts_during_a_check(sound: Path) -> None:
    from blotter.database.storage.data_directory import DataDirectory
    from blotter.database.storage.sqlite.read_only import ReadOnlyFile

    DataDirectory.claim(sound).release()
    file = ReadOnlyFile(sound)
    with pytest.raises(DataDirectoryError):
        DataDirectory.claim(sound)
    file.close()
    DataDirectory.claim(sound).release()
