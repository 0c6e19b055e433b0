"""The keys of a data directory: a wrong or missing master key is one line, and nothing is touched."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blotter.database.encryption import key_file
from blotter.database.encryption.directory_keys import SECRET_KEY_FILE, open_keys
from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey, parse_master_key
from blotter.database.storage.protocol import DataDirectoryError, StoredItem
from blotter.database.storage.sqlite import SqliteStore

TEXT = b"a well-known text"


@pytest.fixture
def make_master(tmp_path: Path) -> Callable[[], MasterKey]:
    def make() -> MasterKey:
        path = tmp_path / f"master-{secrets.token_hex(4)}"
        path.write_bytes(secrets.token_bytes(32))
        path.chmod(0o600)
        return parse_master_key(f"file:{path}")

    return make


def _use(directory: Path, master: MasterKey | None) -> bytes | None:
    """Starts and stops a store; what it held under the key of TEXT, which is put there."""

    async def use() -> bytes | None:
        storage = store.open()
        with storage.read() as tx:
            found = tx.get(1, b"key")
        await storage.write(lambda tx: tx.put(1, StoredItem(b"key", 10, TEXT), found))
        await storage.close()
        return None if found is None else found.body

    store = SqliteStore(directory, master)
    store.claim()
    try:
        return asyncio.run(use())
    finally:
        store.release()


def _contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def _leaks(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file() and TEXT in path.read_bytes()]


def test_a_new_directory_is_encrypted_and_opens_again(
    tmp_path: Path, make_master: Callable[[], MasterKey]
) -> None:
    directory, master = tmp_path / "data", make_master()
    assert _use(directory, master) is None
    assert _use(directory, master) == TEXT
    assert _leaks(directory) == []
    assert (directory / key_file.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert _use(tmp_path / "plain", None) is None
    assert _leaks(tmp_path / "plain") == ["blotter.db"]


def _refused(directory: Path, master: MasterKey | None) -> str:
    before = _contents(directory)
    with pytest.raises(DataDirectoryError) as caught:
        SqliteStore(directory, master).claim()
    assert _contents(directory) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_wrong_or_missing_master_key_is_one_line(tmp_path: Path, make_master: Callable[[], MasterKey]) -> None:
    directory, master = tmp_path / "data", make_master()
    _use(directory, master)
    assert "is not the one that" in _refused(directory, make_master())
    missing = _refused(directory, None)
    assert (
        f"its master key is needed (local {master.id}): give it with --master-key or BLOTTER_MASTER_KEY" in missing
    )
    kms = parse_master_key("aws-kms:arn:aws:kms:us-east-1:123456789012:key/0-1")
    assert "is not the one that" in _refused(directory, kms)
    assert _use(directory, master) == TEXT


def test_a_plain_directory_is_not_opened_with_a_master_key(
    tmp_path: Path, make_master: Callable[[], MasterKey]
) -> None:
    directory = tmp_path / "data"
    _use(directory, None)
    assert "is not encrypted: `blotter keys encrypt` does that" in _refused(directory, make_master())


def test_without_its_key_file_nothing_is_opened(tmp_path: Path, make_master: Callable[[], MasterKey]) -> None:
    directory, master = tmp_path / "data", make_master()
    _use(directory, master)
    lost = (directory / key_file.FILE_NAME).read_bytes()
    (directory / key_file.FILE_NAME).unlink()
    assert "has no keys.json, so its data cannot be decrypted" in _refused(directory, master)
    store = SqliteStore(directory)
    store.claim()
    with pytest.raises(
        DataDirectoryError, match=r"is not a SQLite file, or is encrypted and has lost its keys\.json"
    ):
        store.open()
    store.release()
    (directory / key_file.FILE_NAME).write_bytes(lost)
    assert _use(directory, master) == TEXT


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "unknown", "newer"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, make_master: Callable[[], MasterKey], damage: str) -> None:
    directory, master = tmp_path / "data", make_master()
    _use(directory, master)
    path = directory / key_file.FILE_NAME
    content = path.read_bytes()
    at = content.index(b'"wrapped"') + 16
    path.write_bytes(
        {
            "cut": content[:-20],
            "flipped": content[:at] + (b"A" if content[at : at + 1] != b"A" else b"B") + content[at + 1 :],
            "empty": b"",
            "unknown": content.replace(b'"current"', b'"other"'),
            "newer": content.replace(b'"format": 1', b'"format": 2'),
        }[damage]
    )
    assert "damaged" in _refused(directory, master)


def test_a_plain_file_in_an_encrypted_directory_is_refused(
    tmp_path: Path, make_master: Callable[[], MasterKey]
) -> None:
    """Whoever can write to the disk shall not feed the server a file of their own."""
    directory, master = tmp_path / "data", make_master()
    _use(directory, master)
    _use(tmp_path / "plain", None)
    (directory / "blotter.db").write_bytes((tmp_path / "plain" / "blotter.db").read_bytes())
    assert "is not encrypted, although keys.json beside it says so" in _refused(directory, master)
    _use(tmp_path / "another", make_master())
    (directory / "blotter.db").write_bytes((tmp_path / "another" / "blotter.db").read_bytes())
    assert "which keys.json does not have" in _refused(directory, master)


def test_a_secret_key_is_stable_and_leaves_no_trace(tmp_path: Path, make_master: Callable[[], MasterKey]) -> None:
    master = make_master()
    for directory, key in ((tmp_path / "plain", None), (tmp_path / "encrypted", master)):
        store = SqliteStore(directory, key)
        store.claim()
        secret = store.secret_key("one")
        assert (len(secret), store.secret_key("one"), store.secret_key("two") == secret) == (32, secret, False)
        store.release()
        assert open_keys(directory, key).secret_key("one") == secret
        found = [path for path in directory.iterdir() if secret in path.read_bytes()]
        assert found == []
        assert (directory / SECRET_KEY_FILE).exists() == (key is None)


def test_a_damaged_secret_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / SECRET_KEY_FILE).write_bytes(b"short")
    with pytest.raises(MasterKeyError, match="is damaged"):
        open_keys(tmp_path, None).secret_key("one")
    assert (tmp_path / SECRET_KEY_FILE).read_bytes() == b"short"


def test_files_are_private_whatever_the_umask(tmp_path: Path, make_master: Callable[[], MasterKey]) -> None:
    umask = os.umask(0)
    try:
        _use(tmp_path / "data", make_master())
    finally:
        os.umask(umask)
    modes: dict[str, Any] = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "data").iterdir()}
    assert set(modes.values()) == {0}, modes
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
