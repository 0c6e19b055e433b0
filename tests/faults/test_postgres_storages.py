"""Several storages over one PostgreSQL store, without servers: transactions of all of them on the same few items.

There is an order that explains them, also while PostgreSQL ends sessions, and nobody waits for an answer for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import Any

import pytest

from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.storage import PostgresStorage
from blotter.database.storage.protocol import ReadTransaction, StorageUnavailable, StoredItem, WriteTransaction
from tests.faults.linearizability import ANY, KEEP, UNKNOWN, Act, Call, explain_item
from tests.faults.shared_items import GROUP, choose_acts
from tests.postgres_server import PostgresServer

_SPACE = 1
_CALLS_EACH = 4


class _Refused(Exception):
    """A transaction's conditions, each with whether it failed."""


def _value(tx: ReadTransaction, key: str) -> tuple[StoredItem | None, int | None]:
    found = tx.get(_SPACE, key.encode())
    return found, None if found is None else int(found.body)


def _look(tx: ReadTransaction, group: str) -> tuple[tuple[str, int | None], ...]:
    return tuple((item, _value(tx, group + item)[1]) for item in GROUP)


def _act(tx: WriteTransaction, group: str, acts: tuple[Act, ...]) -> tuple[bool, ...]:
    found = [_value(tx, group + act.item) for act in acts]
    failed = tuple(act.expected not in (ANY, value) for act, (_, value) in zip(acts, found, strict=True))
    if any(failed):
        raise _Refused(failed)
    for act, (before, _) in zip(acts, found, strict=True):
        if act.new is None:
            if before is not None:
                tx.delete(_SPACE, before)
        elif act.new != KEEP:
            body = str(act.new).encode()
            tx.put(_SPACE, StoredItem((group + act.item).encode(), len(body), body), before)
    return failed


async def _use_group(
    storage: PostgresStorage, group: str, history: list[Call], choice: random.Random, fresh: itertools.count[int]
) -> None:
    seen: dict[str, int | None] = dict.fromkeys(GROUP)
    for _ in range(_CALLS_EACH):
        acts = choose_acts(choice, seen, fresh)
        invoked = time.monotonic()
        result: Any
        try:
            if acts is None:
                result = await storage.fetch(lambda tx: _look(tx, group))
                seen = dict(result)
            else:
                result = await storage.write(lambda tx, acts=acts: _act(tx, group, acts))
                seen |= {act.item: act.new for act in acts if act.new != KEEP}
        except _Refused as refused:
            (result,) = refused.args
        except StorageUnavailable:
            result = UNKNOWN
        history.append(Call("look" if acts is None else "act", acts, result, invoked, time.monotonic()))


async def _end_sessions(server: PostgresServer, chance: random.Random) -> None:
    """One after another, until canceled."""
    while True:
        await asyncio.sleep(chance.uniform(0, 0.1))  # Any moment will do.
        sessions = await asyncio.to_thread(server.client_sessions)
        if sessions:
            await asyncio.to_thread(server.query, f"SELECT pg_terminate_backend({chance.choice(sessions)})")


async def _judge(
    server: PostgresServer, url: StoreUrl, rounds: int, clients: int, seed: int, end: bool
) -> set[Any]:
    """Returns what results there were."""
    connector = Connector(url, wants_store=False)
    connection = await connector.connect()
    await schema_versions.initialize(connection, url.schema, None)
    await connection.close()
    storages = [PostgresStorage(Connector(url), url.schema) for _ in range(3)]
    fresh = itertools.count(1)
    ending = asyncio.create_task(_end_sessions(server, random.Random(seed)) if end else asyncio.sleep(0))
    results = set()
    try:
        for number in range(rounds):
            history = await _use_new_group(storages, f"{number}-", clients, f"{seed} {number}", fresh)
            problem = explain_item(history)
            assert not problem, problem
            results |= {call.result for call in history if call.kind == "act"}
    finally:
        ending.cancel()
        await asyncio.wait([ending])
        for storage in storages:
            await storage.close()
    return results


async def _use_new_group(
    storages: list[PostgresStorage], group: str, clients: int, seed: str, fresh: itertools.count[int]
) -> list[Call]:
    history: list[Call] = []
    choices = [random.Random(f"{seed} {client}") for client in range(clients)]
    await asyncio.gather(
        *(
            _use_group(storages[client % len(storages)], group, history, choice, fresh)
            for client, choice in enumerate(choices)
        )
    )
    return history


def test_transactions_of_several_storages_are_serializable(postgres: PostgresServer, postgres_url: str) -> None:
    results = asyncio.run(_judge(postgres, StoreUrl(postgres_url), rounds=10, clients=9, seed=1, end=False))
    assert results >= {(True, False), (False, False), (True,)}
    assert UNKNOWN not in results


def test_transactions_are_serializable_while_sessions_end(postgres: PostgresServer, postgres_url: str) -> None:
    assert asyncio.run(_judge(postgres, StoreUrl(postgres_url), rounds=10, clients=9, seed=2, end=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 13))
def test_many_transactions_are_serializable(postgres: PostgresServer, postgres_url: str, seed: int) -> None:
    asyncio.run(_judge(postgres, StoreUrl(postgres_url), rounds=100, clients=15, seed=seed, end=seed % 2 == 0))
