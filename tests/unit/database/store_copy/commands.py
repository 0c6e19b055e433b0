"""What tests of `blotter store copy` share: stores with something in them, the command, what is in a store."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from blotter.database.commands.store import store
from blotter.database.encryption.master_keys import MasterKey, parse_master_key
from blotter.database.storage.protocol import Storage, Store
from blotter.database.storage.sqlite.store import SqliteStore
from tests.in_process import InProcessDatabase
from tests.unit.database.store_copy.histories import create_table

ITEMS = 50


def fill(storage: Storage) -> None:
    """A table and some items, through a database of its own."""
    database = InProcessDatabase(Path(), store=lambda *_, **__: storage)
    assert database.call("CreateTable", create_table("first", stream=True))[0] == 200
    for number in range(ITEMS):
        item = {"p": {"S": "a"}, "s": {"N": str(number)}, "v": {"N": str(number % 3)}}
        assert database.call("PutItem", {"TableName": "first", "Item": item})[0] == 200
    database.close()


def count(directory: Path, master_key: MasterKey | None = None) -> int:
    """The items in a data directory, read through an index."""
    return count_in(SqliteStore(directory, master_key))


def count_in(store: Store) -> int:
    store.claim()
    database = InProcessDatabase(Path(), store=lambda *_, **__: store.open())
    try:
        found: int = database.call("Scan", {"TableName": "first", "IndexName": "by-v"})[1]["Count"]
        return found
    finally:
        database.close()
        store.release()


def copy(source: Path | str, target: Path | str, *arguments: str, **variables: str) -> Result:
    command = ["copy", str(source), str(target), *arguments]
    return CliRunner(env=variables).invoke(store, command)


def make_source(directory: Path, key: str | None = None) -> SqliteStore:
    source = SqliteStore(directory, None if key is None else parse_master_key(key))
    source.claim()
    source.secret_key("sealing")
    fill(source.open())
    return source
