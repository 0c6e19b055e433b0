"""Reads of clients that come back at once share a statement, however they came first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from blotter.database.storage.postgres import points
from blotter.database.storage.postgres.catalog import CatalogCache
from blotter.database.storage.postgres.points import PointReads
from blotter.database.storage.protocol import ReadTransaction

GENERATION = 1


class Connection:
    """Answers the statement that reads items; `sizes` has how many items each has read."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.primary = SimpleNamespace(has_lease=lambda: True)
        self.prepared: Any = self

    def get(self, _: str) -> Any:
        return self

    async def fetch(self, spaces: list[int], keys: list[bytes]) -> list[Any]:
        assert len(spaces) == len(keys)
        self.sizes.append(len(keys))
        for _ in range(5):  # The loop does other things meanwhile.
            await asyncio.sleep(0)
        return [(number, len(key), key, None, 0, GENERATION) for number, key in enumerate(keys, 1)]


class Pool:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def acquire(self) -> Connection:
        return self._connection

    def release(self, connection: Connection, *, broken: bool = False) -> None:
        assert connection is self._connection
        assert not broken


class Clients:
    """Each reads an item, and asks for the next one when the loop has looked at its socket again."""

    def __init__(self, connection: Connection, rounds: int) -> None:
        cache = CatalogCache()
        cache.note(GENERATION)
        self._points = PointReads(Pool(connection), 6, cache)  # type: ignore[arg-type]
        self._rounds = rounds
        self.answers: list[bytes] = []

    def read(self, client: int, number: int = 1) -> None:
        key = b"%d-%d" % (client, number)

        def settled(value: Any, error: BaseException | None) -> None:
            assert error is None
            assert value == key
            self.answers.append(value)
            if number < self._rounds:
                asyncio.get_running_loop().call_soon(self.read, client, number + 1)

        self._points.submit(lambda tx: _body(tx, key), settled, _never)

    async def done(self) -> None:
        while self._points.tasks:
            await asyncio.wait(set(self._points.tasks))


def _body(tx: ReadTransaction, key: bytes) -> bytes:
    found = tx.get(1, key)
    return b"" if found is None else found.body


def _never(*_: object) -> None:
    raise AssertionError("no snapshot is needed")


def test_clients_that_began_at_different_times_share_statements() -> None:
    connection = Connection()

    async def work() -> None:
        clients = Clients(connection, rounds=10)
        for client in range(3):
            clients.read(client)
        while not connection.sizes:
            await asyncio.sleep(0)
        for client in range(3, 8):
            clients.read(client)
        await clients.done()
        assert len(set(clients.answers)) == len(clients.answers) == 80

    asyncio.run(work())
    assert connection.sizes[0] == 3
    assert connection.sizes[1:-1] == [8] * 9
    assert sum(connection.sizes) == 80


def test_one_client_never_waits_for_others() -> None:
    connection = Connection()

    async def work() -> None:
        clients = Clients(connection, rounds=3)
        clients.read(1)
        await clients.done()

    asyncio.run(work())
    assert connection.sizes == [1, 1, 1]


@pytest.mark.parametrize("waiting", [points.POINTS_BESIDE - 1, points.POINTS_BESIDE, 3 * points.MOST_POINTS])
def test_many_that_wait_are_read_beside_the_statement_under_way(waiting: int) -> None:
    connection = Connection()

    async def work() -> None:
        clients = Clients(connection, rounds=1)
        clients.read(0)
        while not connection.sizes:
            await asyncio.sleep(0)
        for client in range(1, 1 + waiting):
            clients.read(client)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        beside = len(connection.sizes) - 1
        await clients.done()
        assert len(clients.answers) == 1 + waiting
        assert (beside > 0) == (waiting >= points.POINTS_BESIDE)

    asyncio.run(work())
    assert max(connection.sizes) <= points.MOST_POINTS
