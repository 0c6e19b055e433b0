"""Work before the fork happens in a child: its result and its errors come back, and its death is noticed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blotter.database.encryption.master_keys import MasterKey, parse_master_key
from blotter.database.storage.child_process import run_in_child
from blotter.database.storage.protocol import DataDirectoryError, Storage, StoredItem
from blotter.database.storage.sqlite import SqliteStore


def _raise() -> None:
    raise DataDirectoryError("a reason")


def test_results_and_errors_come_back() -> None:
    assert run_in_child(os.getpid) != os.getpid()
    with pytest.raises(DataDirectoryError, match=r"^a reason$"):
        run_in_child(_raise)
    with pytest.raises(RuntimeError, match="has died"):
        run_in_child(lambda: os._exit(3))


@pytest.fixture
def master(tmp_path: Path) -> MasterKey:
    (tmp_path / "master").write_bytes(b"%064x" % 7)
    (tmp_path / "master").chmod(0o600)
    return parse_master_key(f"file:{tmp_path / 'master'}")


async def _put(storage: Storage) -> int:
    await storage.write(lambda tx: tx.put(1, StoredItem(b"key", 10, b"body"), None))
    return os.getpid()


async def _get(storage: Storage) -> bytes | None:
    with storage.read() as tx:  # type: ignore[union-attr]
        found = tx.get(1, b"key")
    await storage.close()
    return None if found is None else found.body


def test_an_encrypted_store_can_be_used_before_the_fork_and_after(
    tmp_path: Path, master: MasterKey, forked: Callable[[Callable[[], object]], object]
) -> None:
    store = SqliteStore(tmp_path / "data", master)
    store.claim()
    assert store.run_apart(_put) != os.getpid()
    assert forked(lambda: asyncio.run(_get(store.open()))) == b"body"
    asyncio.run(_get(store.open()))  # now this process has used the cipher
    with pytest.raises(RuntimeError, match="would repeat the parent's random numbers"):
        forked(store.open)
    store.release()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], object]:
    """Runs in a forked child, of a process that seems never to have used a cipher: other tests have."""
    from blotter.database.storage.sqlite import cipher

    monkeypatch.setattr(cipher, "_used", False)
    monkeypatch.setattr(cipher, "_used_by_parent", False)
    return run_in_child
