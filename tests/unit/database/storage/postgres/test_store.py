"""A store in PostgreSQL by its location: what `server` sees of it."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from blotter.database.encryption.directory_keys import key_files, open_keys
from blotter.database.encryption.master_keys import MasterKey, parse_master_key
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.protocol import DataDirectoryError, Storage, Store
from blotter.database.storage.stores import store_at
from tests.unit.database.storage.postgres.test_connecting import initialize, with_connection

_KEY = "env:KEY"


@pytest.fixture
def master_key(monkeypatch: pytest.MonkeyPatch) -> MasterKey:
    monkeypatch.setenv("KEY", "ab" * 32)
    return parse_master_key(_KEY)


def _initialize_with(url: str, master: MasterKey) -> None:
    with_connection(url, lambda c: schema_versions.initialize(c, "blotter", master), wants_store=False)


def _claimed(url: str, master: MasterKey | None = None) -> Store:
    store = store_at(url, master)
    store.claim()
    return store


def test_any_number_of_servers_use_it_at_once_and_have_the_same_secrets(postgres_url: str) -> None:
    initialize(postgres_url)
    one, other = _claimed(postgres_url), _claimed(postgres_url)
    assert one.several_servers
    assert not one.single_process
    assert one.secret_key("sealing") == other.secret_key("sealing")
    assert one.secret_key("sealing") != one.secret_key("tokens")
    assert (one.kms_key(), one.log_bytes()) == (None, None)
    one.release()


def test_work_before_the_fork_has_the_storage_for_itself(postgres_url: str) -> None:
    initialize(postgres_url)

    async def work(storage: Storage) -> int:
        return await storage.write(lambda tx: tx.new_space())

    assert store_at(postgres_url).run_apart(work) == 1
    assert store_at(postgres_url).run_apart(work) == 2


def test_a_master_key_wraps_the_secrets(postgres_url: str, master_key: MasterKey) -> None:
    _initialize_with(postgres_url, master_key)
    store = _claimed(postgres_url, master_key)
    secret = store.secret_key("sealing")
    assert _claimed(postgres_url, master_key).secret_key("sealing") == secret
    state = with_connection(postgres_url, schema_versions.read_state)
    assert state is not None
    assert "secret" not in state
    assert b"audit" not in store.file_cipher().encode(b"audit")
    with pytest.raises(DataDirectoryError, match=r"has a master key, which is needed .*--master-key"):
        _claimed(postgres_url)


def test_another_master_key_is_refused(
    postgres_url: str, master_key: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    _initialize_with(postgres_url, master_key)
    monkeypatch.setenv("OTHER", "cd" * 32)
    with pytest.raises(DataDirectoryError, match="is not the one that"):
        _claimed(postgres_url, parse_master_key("env:OTHER"))


def test_a_master_key_for_a_store_without_one_is_refused(postgres_url: str, master_key: MasterKey) -> None:
    initialize(postgres_url)
    with pytest.raises(DataDirectoryError, match="was made without a master key: use it without --master-key"):
        _claimed(postgres_url, master_key)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("secret", b"short", "the secret in its table meta is missing or damaged"),
        ("keys", b"{", "the keys in its table meta are damaged"),
        ("keys", b'{"format":9,"current":null,"keys":[]}', "damaged, or of a newer version of blotter"),
    ],
)
def test_damaged_secrets_are_named(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: bytes, expected: str
) -> None:
    initialize(postgres_url)
    with_connection(postgres_url, lambda connection: schema_versions.save_state(connection, name, value))
    monkeypatch.setenv("KEY", "ab" * 32)
    with pytest.raises(DataDirectoryError, match=expected):
        _claimed(postgres_url, parse_master_key(_KEY) if name == "keys" else None)


def test_what_is_shown_has_no_password(postgres_url: str) -> None:
    store = store_at(postgres_url.replace("blotter@", "blotter:geheim@"))
    assert store.description == f"data in {StoreUrl(postgres_url).shown}"
    with pytest.raises(ValueError, match="must be postgresql://USER@HOST:PORT/DATABASE") as raised:
        store_at("postgresql://u:geheim@db:x/x")
    assert "geheim" not in str(raised.value)
    with pytest.raises(ValueError, match="is no store") as raised:
        store_at("mysql://u:geheim@db/x")
    assert "geheim" not in str(raised.value)


def test_a_store_that_cannot_be_used_says_why(postgres_url: str) -> None:
    with pytest.raises(DataDirectoryError, match="holds no store yet"):
        _claimed(postgres_url)


def test_without_the_extra_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    really_import = builtins.__import__

    def without_asyncpg(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "asyncpg":
            raise ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg")
        return really_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_asyncpg)
    for module in [name for name in sys.modules if name.startswith("blotter.database.storage.postgres.")]:
        if not module.endswith(".url"):
            monkeypatch.delitem(sys.modules, module)
    with pytest.raises(
        DataDirectoryError, match=r"needs the Python package asyncpg: pip install 'blotter-db\[post"
    ):
        store_at("postgresql://db/x")


def test_a_warning_when_few_connections_are_allowed(
    postgres_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialize(postgres_url)
    monkeypatch.setattr("blotter.database.storage.postgres.store._SCARCE", 1000)
    _claimed(postgres_url)
    assert "connections: too few for several servers" in caplog.text


def test_connections_are_made_when_they_are_needed(postgres_url: str) -> None:
    """So that a worker can start while PostgreSQL does."""
    assert store_at("postgresql://nobody@127.0.0.1:1/x").open() is not None
    assert Connector(StoreUrl(postgres_url)).primary is None


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_copy_of_the_data_gets_key_files_with_the_same_keys(
    postgres_url: str, master_key: MasterKey, tmp_path: Path, encrypted: bool
) -> None:
    """A data directory that is recovered from the store's archive opens what was sealed and encrypted here."""
    if encrypted:
        _initialize_with(postgres_url, master_key)
    else:
        initialize(postgres_url)
    master = master_key if encrypted else None
    store = _claimed(postgres_url, master)
    for name, content in store.key_files().items():
        (tmp_path / name).write_bytes(content)
    keys = open_keys(tmp_path, master)
    assert keys.secret_key("sealing") == store.secret_key("sealing")
    assert (keys.file_cipher().key is not None) is encrypted
    assert keys.as_files() == store.key_files() == key_files(tmp_path)
