"""One of several servers on a PostgreSQL store leads; one that leads no longer cannot write."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from blotter.database.storage.postgres.connections import leading
from blotter.database.storage.postgres.connections.leading import Leadership
from blotter.database.storage.protocol import StorageUnavailable, StoredItem
from tests.postgres_storage import open_postgres
from tests.unit.database.storage.conftest import make_table
from tests.waiting import until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(leading, "LOST_SECONDS", 0.02)


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE leader %'"


def put(tx: Any) -> None:
    tx.put(1, StoredItem(b"a", 1, b"{}"), tx.get(1, b"a"))


def create(tx: Any) -> None:
    tx.save_table(make_table("t", tx.new_space()))


def test_one_leads_until_it_ends(tmp_path: Path) -> None:
    async def check() -> None:
        one, other = open_postgres(tmp_path), open_postgres(tmp_path)
        lost = await one.lead()
        asked, ask = 0, other._leadership._try

        async def counted() -> int | None:
            nonlocal asked
            asked += 1
            return await ask()

        other._leadership._try = counted  # type: ignore[method-assign]
        waiting = asyncio.create_task(other.lead())
        await until(lambda: asked > 3)
        assert not waiting.done()
        await one.write(put)
        await one.close()
        assert not (await waiting).done()
        assert lost.done()
        await other.close()

    asyncio.run(check())


@pytest.mark.parametrize("write", [put, create])
def test_a_leader_that_was_replaced_learns_it_and_cannot_write(tmp_path: Path, write: Any) -> None:
    """Its connection ended without its knowledge, as when its machine was suspended."""

    async def check() -> None:
        one, other, bystander = (open_postgres(tmp_path) for _ in range(3))
        lost = await one.lead()
        await one.write(write)
        connection = one._leadership._connection
        assert connection is not None
        await bystander.fetch(lambda _: None)
        async with bystander._pool.connection() as killer:
            await killer.fetchval("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await other.lead()
        with pytest.raises(StorageUnavailable, match="another server leads"):
            await one.write(write)
        await lost
        await bystander.write(put)  # whoever does not lead, and never has, writes as ever
        lost_again = asyncio.create_task(one.lead())
        await other.close()
        await lost_again
        await one.write(write)
        for storage in (one, bystander):
            await storage.close()

    asyncio.run(check())


def test_what_a_leader_has_begun_comes_before_its_successors_term(tmp_path: Path) -> None:
    """The successor waits for the transaction of a leader that it replaces."""

    async def check() -> None:
        one, other = open_postgres(tmp_path), open_postgres(tmp_path)
        await one.lead()
        async with one._pool.connection() as writing:
            await writing.execute("BEGIN")
            assert await writing.fetchval(leading._TERM + " FOR SHARE")
            connection = one._leadership._connection
            assert connection is not None
            connection.terminate()
            successor = asyncio.create_task(other.lead())
            async with one._pool.connection() as looking:
                while not await looking.fetchval(_WAITING):
                    await asyncio.sleep(0)
            assert not successor.done()
            await writing.execute("COMMIT")
        await successor
        for storage in (one, other):
            await storage.close()

    asyncio.run(check())


def test_a_leader_that_is_stopped_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is kept by the kernel of its machine, and so is its lock."""

    async def check() -> None:
        stopped, other = open_postgres(tmp_path), open_postgres(tmp_path)
        look = asyncio.Event()

        async def stop(term: int, lost: asyncio.Future[None]) -> None:
            await look.wait()
            await Leadership._watch_over(stopped._leadership, term, lost)

        stopped._leadership._watch_over = stop  # type: ignore[method-assign]
        lost = await stopped.lead()
        successor = asyncio.create_task(other.lead())
        tried, ask = 0, other._leadership._try

        async def counted() -> int | None:
            nonlocal tried
            tried += 1
            return await ask()

        other._leadership._try = counted  # type: ignore[method-assign]
        await until(lambda: tried > 3)
        assert not successor.done()
        monkeypatch.setattr(leading, "SILENT_SECONDS", 0.01)
        await until(successor.done)
        monkeypatch.undo()
        with pytest.raises(StorageUnavailable, match="another server leads"):
            await stopped.write(put)
        look.set()
        await lost
        for storage in (stopped, other):
            await storage.close()

    asyncio.run(check())
