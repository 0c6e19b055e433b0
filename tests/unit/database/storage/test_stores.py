"""A store by its location: what `server` sees of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.stores import store_at


def test_a_store_is_claimed_by_one_server_and_opened_by_several_processes(tmp_path: Path) -> None:
    location = f"sqlite:{tmp_path / 'data'}"
    store = store_at(location)
    assert store.description == f"data in {tmp_path / 'data'}"
    assert not store.single_process
    store.claim()
    with pytest.raises(DataDirectoryError, match="in use by another blotter server"):
        store_at(location).claim()

    async def use() -> None:
        worker, background = store.open(), store.open()
        await background.wait_for_catalog_change()
        space = await worker.write(lambda tx: tx.new_space())
        assert await background.write(lambda tx: tx.new_space()) == space + 1
        await worker.close()
        await background.close()

    asyncio.run(use())
    store.release()
    store_at(location).claim()


def test_an_unknown_kind_of_store_is_named() -> None:
    with pytest.raises(ValueError, match="'abacus:x' is no store"):
        store_at("abacus:x")


def test_a_store_in_memory_belongs_to_one_process_and_claims_nothing() -> None:
    store = store_at("memory:")
    assert store.single_process
    assert store.description == "data in memory only"
    store.claim()
    store.release()
