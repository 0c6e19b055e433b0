"""kill -9 under load, over PostgreSQL: of one of its sessions, of all of it, of servers, of their processes.

Every acknowledged write is there after it, nothing that was read goes away, and clients see errors that SDKs
repeat, nothing else.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.faults.front_ends import FrontEnds, create_store
from tests.faults.writers import Writers, create_table
from tests.postgres_server import PostgresServer, running
from tests.waiting import wait_until

Serve = Callable[..., Any]  # tests/conftest.py


class _World:
    """A PostgreSQL server with a store, and two servers over it."""

    def __init__(self, serve: Serve, postgres: PostgresServer, seed: int) -> None:
        self.postgres = postgres
        url = postgres.url(postgres.create_database())
        create_store(url)
        self.front_ends = FrontEnds(serve, [url, url])
        self._chance = random.Random(seed)

    def kill(self, kind: str) -> None:
        number = self._chance.randrange(2)
        if kind == "backend":
            self.postgres.kill_a_session(self._chance)
        elif kind == "postgres":
            self._restart_postgres()
        elif kind == "server":
            self.front_ends.kill(number)
            self.front_ends.restart(number)
        elif kind == "everything":
            for each in (0, 1):
                self.front_ends.kill(each)
            self._restart_postgres()
            for each in (0, 1):
                self.front_ends.restart(each)
        else:
            self.front_ends.kill_child(number, kind)

    def _restart_postgres(self) -> None:
        self.postgres.stop(signal.SIGKILL)
        self.postgres.start()


@pytest.fixture
def postgres_to_kill() -> Iterator[PostgresServer]:
    with running() as server:
        yield server


def _kill(serve: Serve, postgres: PostgresServer, kinds: Iterable[str], seed: int) -> Writers:
    chance = random.Random(seed)
    world = _World(serve, postgres, seed)
    addresses = world.front_ends.addresses
    create_table(addresses[0])
    writers = Writers(addresses, 4, watchers=2)
    try:
        for kind in kinds:
            time.sleep(chance.uniform(0, 0.3))  # Any moment will do.
            world.kill(kind)
            before = dict(writers.last)
            wait_until(
                lambda before=before: (
                    all(writers.last.get(name, 0) > before.get(name, 0) for name in writers.sent)
                    or writers.failures
                )
            )
    finally:
        writers.stop()
    for address in addresses:
        writers.check(address)
    assert "Traceback" not in world.front_ends.logs
    return writers


def test_kills_lose_nothing_that_was_acknowledged(serve: Serve, postgres_to_kill: PostgresServer) -> None:
    kinds = ["backend", "worker", "postgres", "everything"]
    writers = _kill(serve, postgres_to_kill, kinds, seed=1)
    assert len(writers.last) == 4


@pytest.mark.slow
def test_two_hundred_kills(serve: Serve, postgres_to_kill: PostgresServer) -> None:
    kinds = ("backend", "postgres", "worker", "backgroun", "server", "everything")
    chosen = random.Random(2).choices(kinds, weights=(6, 4, 4, 1, 3, 2), k=200)
    writers = _kill(serve, postgres_to_kill, chosen, seed=2)
    print(f"acknowledged {writers.acknowledged}, read {writers.reads}, longest stop {writers.longest_stop:.2f} s")
