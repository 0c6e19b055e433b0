"""Two servers with two workers each over one PostgreSQL store, while processes on either side are killed.

What `test_linearizability.py` and `test_stream_readers.py` judge of one server holds across them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.front_ends import FrontEnds, create_store
from tests.faults.shared_items import Bank, Caller, check_groups, check_items, create_table, use_groups, use_items
from tests.faults.stream_judge import StreamedTable
from tests.postgres_server import PostgresServer, running

Serve = Callable[..., Any]  # tests/conftest.py


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """Not the one that other tests use: its processes are killed."""
    with running() as server:
        yield server


@pytest.fixture
def front_ends(serve: Serve, own_postgres: PostgresServer) -> FrontEnds:
    url = own_postgres.url(own_postgres.create_database())
    create_store(url)
    front_ends = FrontEnds(serve, [url, url])
    create_table(Caller(front_ends.addresses))
    return front_ends


def test_histories_can_be_explained_while_processes_die(
    front_ends: FrontEnds, own_postgres: PostgresServer
) -> None:
    addresses = front_ends.addresses
    histories = use_items(
        addresses, clients=8, calls=40, seed=1, halfway=lambda: front_ends.kill_child(1, "worker")
    )
    check_items(histories)
    calls = [call for history in histories.values() for call in history]
    assert {call.result for call in calls if call.kind == "compare and set"} >= {True, False}
    bank = Bank(addresses)
    bank.use(clients=8, rounds=15, seed=1, halfway=lambda: own_postgres.kill_a_session(random.Random(1)))
    bank.check()
    check_groups(use_groups(addresses, clients=8, rounds=12, seed=1))


def test_stream_readers_miss_and_repeat_nothing_while_a_server_dies(front_ends: FrontEnds) -> None:
    table = StreamedTable(front_ends.addresses)

    def disturb() -> None:
        front_ends.kill(0)
        front_ends.restart(0)
        Caller(front_ends.addresses).wait_until_served()

    readers = table.use(writers=3, readers=2, disturb=disturb)
    assert len(readers[0].records) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_long_histories(front_ends: FrontEnds, own_postgres: PostgresServer, seed: int) -> None:
    chance = random.Random(seed)
    faults: list[Callable[[], object]] = [
        lambda: None,
        lambda: front_ends.kill_child(chance.randrange(2), "worker"),
        lambda: own_postgres.kill_a_session(chance),
    ]
    halfway = faults[seed % 3]
    addresses = front_ends.addresses
    check_items(use_items(addresses, clients=12, calls=250, seed=seed, halfway=halfway))
    bank = Bank(addresses)
    bank.use(clients=12, rounds=40, seed=seed, halfway=halfway)
    bank.check()
    check_groups(use_groups(addresses, clients=12, rounds=40, seed=seed, halfway=halfway))


@pytest.mark.slow
def test_stream_readers_miss_and_repeat_nothing_for_long(
    front_ends: FrontEnds, own_postgres: PostgresServer
) -> None:
    chance = random.Random(1)

    def disturb() -> None:
        for _ in range(30):
            kind = chance.choice(["server", "worker", "background", "backend"])
            number = chance.randrange(2)
            if kind == "server":
                front_ends.kill(number)
                front_ends.restart(number)
            elif kind == "backend":
                own_postgres.kill_a_session(chance)
            else:
                front_ends.kill_child(number, kind[:9])
            Caller(front_ends.addresses, number).wait_until_served()

    StreamedTable(front_ends.addresses).use(writers=6, readers=4, disturb=disturb)
