"""What PostgreSQL pays for the statements behind a request, by the size of the table: CPU time of the one process
that executes them, always with as many items in a statement.

What else the machine does makes a statement dearer, never cheaper. So the least of many short rounds is shown,
in which the tables take turns, and the machine need not be quiet. Before that each process reads its table once:
one that has just begun pays for every page of PostgreSQL's memory that it has not used before.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks import workloads
from blotter.database.model.keys import table_key
from blotter.database.model.size import item_size
from blotter.database.model.table import Table
from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.batch_transaction import BatchTransaction
from blotter.database.storage.postgres.catalog import CatalogCache
from blotter.database.storage.postgres.connections.pool import fetch
from blotter.database.storage.postgres.layout.schema import lock_key
from blotter.database.storage.protocol import StoredItem

ROUNDS = 40
POINTS, PUTS, RANGE = 16, 8, 10
"""Items of a statement: two workers with sixteen connections have about so many."""
_REPETITIONS = {"get": 40, "query": 40, "put": 20}


class Statements:
    """The statements of one table, over a connection to its store."""

    def __init__(self, connection: Any, schema: str, table: Table, items: int, pid: int) -> None:
        self._connection = connection
        self._lock_key = lock_key(schema)
        self._table = table
        self._items = items
        self._pid = pid
        self._choose = random.Random(8)

    async def warm(self) -> None:
        """Uses every page of the table and of its index."""
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            await self._connection.fetchval("SELECT count(*) FROM items WHERE space >= 0")
            await self._connection.execute("SET LOCAL enable_seqscan = on")
            await self._connection.fetchval("SELECT count(version) FROM items")

    async def cost(self, kind: str) -> float:
        """Microseconds of PostgreSQL's CPU time for an item that is read or written, or for a range."""
        work: Callable[[], Awaitable[int]] = {"get": self._get, "query": self._query, "put": self._put}[kind]
        before = self._cpu()
        done = sum([await work() for _ in range(_REPETITIONS[kind])])
        return (self._cpu() - before) / done / 1000

    def _cpu(self) -> int:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0])

    def _numbers(self, count: int) -> list[int]:
        return self._choose.sample(range(self._items), count)

    def _key(self, number: int) -> bytes:
        return table_key(self._table.keys, workloads.key(number))

    async def _read(self, keys: list[bytes]) -> list[Any]:
        return await fetch(self._connection, sql.POINTS_AND_GENERATION, [self._table.space] * len(keys), keys)

    async def _get(self) -> int:
        return len(await self._read([self._key(number) for number in self._numbers(POINTS)]))

    async def _query(self) -> int:
        (number,) = self._numbers(1)
        start = self._key(number // workloads.SORTS * workloads.SORTS + number % (workloads.SORTS - RANGE))
        await fetch(
            self._connection, sql.RANGES_AND_GENERATION[False, False], self._table.space, start, RANGE, 1 << 20
        )
        return 1

    async def _put(self) -> int:
        numbers = sorted(self._numbers(PUTS))
        tx = BatchTransaction(CatalogCache(), time.time)
        rows = await self._read([self._key(number) for number in numbers])
        tx.begin_handler()
        for (_, size, body, version, xmin, generation), number in zip(rows, numbers, strict=True):
            key, item = self._key(number), workloads.item(number)
            tx.generation = generation
            tx.found[self._table.space, key] = (size, body, version, xmin)
            tx.put(
                self._table.space,
                StoredItem(key, item_size(item), orjson.dumps(item)),
                StoredItem(key, size, body),
            )
        arguments = (self._lock_key, tx.generation, None, 0, None, *tx.arguments(tx.found, set()))
        await fetch(self._connection, sql.APPLY, *arguments)
        return PUTS


async def least_costs(statements: dict[int, Statements]) -> dict[tuple[str, int], float]:
    """By kind and size: the least of all rounds."""
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    for each in statements.values():
        await each.warm()
    for _ in range(ROUNDS):
        for kind in _REPETITIONS:
            for size, each in statements.items():
                taken[kind, size].append(await each.cost(kind))
    return {place: min(costs) for place, costs in taken.items()}
