"""A server whose store is across a network: `GET /ready` asks it, and its own directory holds no database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from blotter.database.http.messages import Pending
from blotter.database.serving import readiness, server
from blotter.database.settings.loading import load
from blotter.database.storage.protocol import DataDirectoryError, Settled, Storage, StorageUnavailable


class _Store:
    """Answers a read with `error`, at once, or never if it is to be silent."""

    def __init__(self, error: Exception | None = None, silent: bool = False) -> None:
        self._error, self._silent = error, silent
        self.late: list[Settled] = []

    def read(self) -> None:
        return None

    def submit_read(self, _: Callable[[Any], Any], settled: Settled) -> None:
        if self._silent:
            self.late.append(settled)
        else:
            settled(None, self._error)


def _status(store: _Store) -> int:
    async def ask() -> int:
        answer = readiness.readiness(cast(Storage, store))
        response = await answer if isinstance(answer, Pending) else answer
        for settled in store.late:
            settled(None, None)  # an answer that comes later changes nothing
        return response.status

    return asyncio.run(ask())


def test_a_store_that_answers_is_ready() -> None:
    assert _status(_Store()) == 200


def test_a_store_that_refuses_is_not_ready() -> None:
    assert _status(_Store(StorageUnavailable("PostgreSQL cannot be used"))) == 503


def test_a_store_that_says_nothing_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_READY_SECONDS", 0.0)
    assert _status(_Store(silent=True)) == 503


def test_the_directory_of_a_server_with_its_data_elsewhere_holds_no_database(tmp_path: Path) -> None:
    settings = load({"store": "postgresql://db/x", "data_dir": str(tmp_path)}, {})
    claim = server._claim_own_directory(settings)
    assert claim is not None
    with pytest.raises(DataDirectoryError, match="is in use by another blotter server"):
        server._claim_own_directory(settings)
    claim.release()
    (tmp_path / "blotter.db").touch()
    with pytest.raises(DataDirectoryError, match="holds a database of its own: choose another --data-dir"):
        server._claim_own_directory(settings)
    assert server._claim_own_directory(load({"data_dir": str(tmp_path)}, {})) is None
