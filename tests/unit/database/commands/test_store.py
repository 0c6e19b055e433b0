"""`blotter store init`, `upgrade` and `check`: what they say, with which exit status, and what they change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result

from blotter.database.archive.cli import archive
from blotter.database.archive.state import State, save_state
from blotter.database.commands.access import access
from blotter.database.commands.store import store as store_group
from blotter.database.inspection.cli import check_command, inspect_command, snapshot_command
from blotter.database.rekeying.cli import keys
from blotter.database.storage.change_log import ARCHIVE
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.schema import SCHEMA_VERSION
from blotter.database.storage.postgres.layout.setting_up import init_store
from blotter.database.storage.postgres.storage import PostgresStorage
from blotter.database.storage.postgres.store import PostgresStore
from blotter.database.storage.protocol import LogReader, Storage, WriteTransaction
from tests.in_process import InProcessDatabase
from tests.postgres_server import PostgresServer, free_port
from tests.unit.database.inspection.test_inspection import BOOKS, call, put
from tests.unit.database.storage.postgres.test_connecting import initialize, with_connection


def blotter_store(command: str, url: str, *arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(store_group, [command, *arguments], env={"BLOTTER_STORE": url, **variables})


def test_init_makes_a_store_and_may_be_repeated(postgres_url: str) -> None:
    shown = StoreUrl(postgres_url).shown
    made = blotter_store("init", postgres_url)
    assert (made.exit_code, made.output) == (0, f"{shown}: the store was made\n")
    again = blotter_store("init", postgres_url)
    assert (again.exit_code, again.output) == (0, f"{shown}: there is a store already; nothing was changed\n")


def test_init_four_times_at_once_makes_one_store(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: init_store(StoreUrl(postgres_url), None), range(4)))
    assert sorted(made) == [False, False, False, True]


def test_init_with_another_master_key_than_the_store_has_is_refused(postgres_url: str) -> None:
    key, other = (
        {"BLOTTER_MASTER_KEY": "env:KEY", "KEY": "ab" * 32},
        {"BLOTTER_MASTER_KEY": "env:KEY", "KEY": "cd" * 32},
    )
    assert blotter_store("init", postgres_url, **key).exit_code == 0
    assert blotter_store("init", postgres_url, **key).exit_code == 0
    refused = blotter_store("init", postgres_url, **other)
    assert refused.exit_code == 2
    assert "is not the one that" in refused.output


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    refused = blotter_store("init", f"postgresql://u:geheim@127.0.0.1:{free_port()}/x?connect_timeout=0")
    assert refused.exit_code == 2
    assert refused.output.startswith("blotter store init: PostgreSQL cannot be used: 127.0.0.1:")
    assert refused.output.count("\n") == 1
    assert "geheim" not in refused.output


def test_a_url_that_is_none_is_a_usage_error() -> None:
    refused = blotter_store("check", "postgresql://u:geheim@db:x/x")
    assert refused.exit_code == 64
    assert "must be postgresql://USER@HOST:PORT/DATABASE" in refused.output
    assert "geheim" not in refused.output


def test_a_user_who_may_not_make_a_schema_is_told(postgres: PostgresServer, postgres_url: str) -> None:
    name = StoreUrl(postgres_url).database
    postgres.execute(f"CREATE ROLE plain_{name} LOGIN")
    try:
        refused = blotter_store("init", postgres.url(name, user=f"plain_{name}"))
    finally:
        postgres.execute(f"DROP ROLE plain_{name}")
    assert refused.exit_code == 2
    assert "permission denied for database" in refused.output


def test_upgrade_has_nothing_to_do_for_our_format(postgres_url: str) -> None:
    initialize(postgres_url)
    done = blotter_store("upgrade", postgres_url)
    assert (done.exit_code, done.output) == (
        0,
        f"{StoreUrl(postgres_url).shown}: format {SCHEMA_VERSION}; nothing to do\n",
    )


def test_upgrade_of_a_newer_store_is_refused(postgres_url: str) -> None:
    initialize(postgres_url)
    with_connection(postgres_url, lambda c: schema_versions.save_state(c, "format", b"999"))
    refused = blotter_store("upgrade", postgres_url)
    assert refused.exit_code == 2
    assert "the store has format 999, and this version of blotter knows" in refused.output


# What check finds.


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with a store that has a table, an index, a stream and a deleted table."""
    name = postgres.create_database()
    url = postgres.url(name)
    initialize(url)

    def open_store(_: Path, clock: Callable[[], float]) -> Storage:
        return PostgresStorage(Connector(StoreUrl(url)), "blotter", clock=clock)

    database = InProcessDatabase(tmp_path_factory.mktemp("store"), store=open_store)
    call(database, "CreateTable", **BOOKS)
    call(database, "CreateTable", **{**BOOKS, "TableName": "gone"})
    for number in range(12):
        put(database, f"book {number}", text={"S": "x" * number * 400})
    put(database, "k" * 1500 + "é" * 250)
    call(database, "DeleteItem", TableName="books", Key={"id": {"S": "book 5"}})
    call(database, "DeleteTable", TableName="gone")
    database.close()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def damaged(postgres: PostgresServer, filled: str) -> Iterator[str]:
    """A copy to damage."""
    name = postgres.create_database(filled)
    yield name
    postgres.drop_database(name)


def test_a_sound_store_is_called_sound(postgres: PostgresServer, filled: str) -> None:
    found = blotter_store("check", postgres.url(filled))
    assert found.exit_code == 0, found.output
    assert "no damage found" in found.output
    checks = json.loads(blotter_store("check", postgres.url(filled), "--json").output)
    assert checks["sound"]
    names = [result["name"] for result in checks["checks"]]
    assert names == [
        "statistics",
        "counters",
        "long keys",
        "key spaces",
        "catalog",
        "items",
        "index entries",
        "streams",
    ]


_INDEX = "space = (SELECT min(space) FROM items WHERE space > 0)"
_BASE = "space = (SELECT max(space) FROM items)"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            f"DELETE FROM items WHERE key = (SELECT key FROM items WHERE {_BASE} LIMIT 1)",
            "its statistics say",
        ),
        (f"DELETE FROM items WHERE {_INDEX}", "is missing in index by-year"),
        (f"DELETE FROM items WHERE {_BASE}", "belongs to no item"),
        (f"UPDATE items SET size = size + 1 WHERE {_BASE}", "bytes and is noted with"),
        (f"UPDATE items SET key = key || 'x' WHERE {_BASE}", "lies under another key than its own"),
        (f"UPDATE items SET body = '{{}}' WHERE {_BASE}", "has no key"),
        ('UPDATE changes SET new = \'{"id":{"S":"other"}}\'', "the last logged change"),
        ("DELETE FROM changes WHERE sequence = (SELECT max(sequence) - 1 FROM changes)", "some are missing"),
        ("UPDATE log_counter SET last = 1", "but its counter says 1"),
        ("DELETE FROM log_counter", "the log has 0 counters instead of one"),
        ("DELETE FROM leader", "the table leader has 0 rows instead of one"),
        ("INSERT INTO catalog_state SELECT * FROM catalog_state", "the state of the catalog is not one row"),
        ("UPDATE log_readers SET position = 10000", "stands at 10000, after the last sequence"),
        ("UPDATE catalog_state SET last_space = 0", "is in use, but the last one given is 0"),
        ("INSERT INTO items VALUES (99, 1, 'k', '{}', NULL)", "key space 99 belongs to no table and no index"),
    ],
)
def test_damage_is_found_and_named(postgres: PostgresServer, damaged: str, change: str, expected: str) -> None:
    postgres.execute(f"SET search_path = blotter; {change}", database=damaged)
    found = blotter_store("check", postgres.url(damaged))
    assert found.exit_code == 1, found.output
    assert expected in found.output, found.output


def test_a_misplaced_long_key_is_found(postgres: PostgresServer, damaged: str) -> None:
    url = postgres.url(damaged)
    insert = "INSERT INTO long_items VALUES ($1, 1, 'h', 'd', $2, '{}', NULL)"
    with_connection(url, lambda connection: connection.execute(insert, 1, b"k" * 3000))
    found = blotter_store("check", url)
    assert found.exit_code == 1
    assert "has not the place of its long key" in found.output
    assert "there are items with long keys, but the catalog says there are none" in found.output


def test_a_database_without_a_store_cannot_be_checked(postgres_url: str) -> None:
    found = blotter_store("check", postgres_url)
    assert found.exit_code == 2
    assert "holds no store yet" in found.output


# Commands on data directories.


def test_a_root_key_is_made_and_replaced_in_the_store(postgres_url: str, tmp_path: Path) -> None:
    initialize(postgres_url)
    arguments = ["--data-dir", str(tmp_path / "own"), "--store", postgres_url]
    made = CliRunner().invoke(access, ["add-account", "111122223333", *arguments])
    assert made.exit_code == 0, made.output
    first = (tmp_path / "own" / "root-credentials").read_text()
    again = CliRunner().invoke(access, ["add-account", "111122223333", *arguments])
    assert (again.exit_code, again.output) == (
        2,
        f"blotter access add-account: {StoreUrl(postgres_url).shown} has an account 111122223333 already\n",
    )
    reset = CliRunner().invoke(access, ["reset-root", "--account", "111122223333", *arguments])
    assert reset.exit_code == 0, reset.output
    assert (tmp_path / "own" / "root-credentials").read_text() != first


def test_the_archive_of_a_store_has_a_status(postgres_url: str, tmp_path: Path) -> None:
    initialize(postgres_url)
    shown = StoreUrl(postgres_url).shown
    none = CliRunner().invoke(archive, ["status"], env={"BLOTTER_STORE": postgres_url})
    assert (none.exit_code, none.output) == (
        2,
        f"blotter archive status: {shown} has no archive: start its server with --archive\n",
    )

    async def begin(storage: Storage) -> None:
        def save(tx: WriteTransaction) -> None:
            tx.save_log_reader(LogReader(ARCHIVE, 0, progressed_at=1.0))
            save_state(tx, State("e1", "file:///a", 1.0, 0))

        await storage.write(save)

    PostgresStore(StoreUrl(postgres_url)).run_apart(begin)
    found = CliRunner().invoke(archive, ["status", "--store", postgres_url])
    assert found.exit_code == 1
    assert "archive    file:///a, epoch e1" in found.output
    assert "base       none yet" in found.output
    gone = CliRunner().invoke(archive, ["status", "--store", "postgresql://u:geheim@127.0.0.1:1/x"])
    assert gone.exit_code == 2
    assert "geheim" not in gone.output
    both = {"BLOTTER_STORE": postgres_url}
    directory = CliRunner().invoke(archive, ["status", "--data-dir", str(tmp_path)], env=both)
    assert "holds no blotter database" in directory.output


@pytest.mark.parametrize(
    ("command", "arguments", "instead"),
    [
        (check_command, [], "`blotter store check` looks for damage"),
        (inspect_command, [], "`blotter store check` looks for damage in the store, and psql shows its tables"),
        (inspect_command, ["partitions", "books"], "`blotter store check` looks for damage"),
        (snapshot_command, ["copy"], "`blotter store copy` copies the store into a data directory"),
        (keys, ["status"], "`blotter store copy` into a new one"),
        (keys, ["rotate"], "which `blotter store init --master-key …` makes"),
    ],
)
def test_commands_on_a_directory_are_not_mistaken_for_ones_on_the_store(
    command: Command, arguments: list[str], instead: str, tmp_path: Path
) -> None:
    variables = {"BLOTTER_STORE": "postgresql://u:geheim@db/x"}
    refused = CliRunner().invoke(command, arguments, env=variables)
    assert refused.exit_code == 2
    assert (
        "BLOTTER_STORE names a store in PostgreSQL, and this command works on a data directory" in refused.output
    )
    assert instead in refused.output
    assert refused.output.count("\n") == 1
    assert "geheim" not in refused.output
    named = CliRunner().invoke(command, [*arguments, "--data-dir", str(tmp_path)], env=variables)
    assert "BLOTTER_STORE" not in named.output
