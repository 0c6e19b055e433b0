"""`growth` with the data in PostgreSQL: the same requests to tables of ten thousand items and of each power of ten
up to `--items`, each in a schema of its own, which is made and dropped.

    python -m benchmarks --only growth --store postgresql://USER@127.0.0.1/DATABASE

The server has to run on this machine: its CPU time is read from /proc, of all its processes. The result also says
how many pages PostgreSQL touches to read an item by its key, and how many of these are not in its own memory
(`shared_buffers`): those come from the kernel's page cache, or from the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import orjson

from benchmarks import growth, workloads
from benchmarks.report import number, table
from benchmarks.rounds import MIDDLE, Plan, Sample, circumstances, load_average, measure, median, print_result
from benchmarks.servers import Running, make_table, on_postgres
from benchmarks.statement_costs import POINTS, PUTS, RANGE, Statements, least_costs
from blotter.database.model.keys import table_key
from blotter.database.storage.postgres import statements as sql
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.layout.schema import quoted_name
from blotter.database.storage.postgres.storage import PostgresStorage

_LOADERS = 2
"""Storages that load a table: while PostgreSQL writes for one, the other one makes items."""
_STATEMENTS = {
    "get": f"an item read, of {POINTS}",
    "query": f"a range of {RANGE} items",
    "put": f"an item written and committed, of {PUTS}",
}
_KEYS = 256
"""Of the statement whose pages are counted."""


class _Taken(NamedTuple):
    sample: Sample
    postgres: float
    """Microseconds of CPU time of PostgreSQL for a request."""


def run(plan: Plan, items: int, store: str) -> dict[str, str]:
    """Measures all sizes; a table and a line about the load."""
    started, load_before = time.time(), load_average()
    sizes = [growth.SMALL]
    while sizes[-1] * 10 <= items:
        sizes.append(sizes[-1] * 10)
    urls = {size: _url(store, f"growth_{os.getpid()}_{size}") for size in sizes}
    try:
        loaded = {size: asyncio.run(_load(url, plan, size)) for size, url in urls.items()}
        with contextlib.ExitStack() as stack:
            running = {
                size: stack.enter_context(Running(on_postgres(url), plan.cache, plan.data / str(size)))
                for size, url in urls.items()
            }
            taken = _measured(plan, running, asyncio.run(_postmaster(store)))
        pages = {size: asyncio.run(_pages(url, size)) for size, url in urls.items()}
        costs = asyncio.run(_statement_costs(urls))
    finally:
        for url in urls.values():
            asyncio.run(_drop(url))
    heads = ["", "items", "requests/s", "front end, µs", "PostgreSQL, µs", "times the CPU", "p50, ms", "p99, ms"]
    shown = table(heads, [_row(kind, size, taken) for kind in growth.KINDS for size in sizes])
    touched = "; ".join(f"{size:,} items: {hits:.1f} and {reads:.1f}" for size, (hits, reads) in pages.items())
    took, volume = loaded[sizes[-1]]
    line = (
        f"{sizes[-1]:,} items were loaded in {took:.0f} s ({number(sizes[-1] / took)} a second), with "
        f"{volume / sizes[-1]:.0f} bytes an item on disk. Pages that PostgreSQL touches for an item, found in its "
        f"own memory and not: {touched}. {circumstances(started, load_before)}"
    )
    return {"growthpostgres": f"{shown}\n\n{_statement_table(costs, sizes)}\n\n{line}"}


def _url(store: str, schema: str) -> str:
    return f"{store}{'&' if '?' in store else '?'}schema={schema}"


def _measured(plan: Plan, running: dict[int, Running], postmaster: int) -> dict[tuple[str, int], list[_Taken]]:
    taken: dict[tuple[str, int], list[_Taken]] = defaultdict(list)
    choose = random.Random(4)
    for round_ in range(plan.rounds + 1):
        for kind, made in growth.KINDS.items():
            for size, server in running.items():
                calls = [made(choose.randrange(size)) for _ in range(growth.REQUESTS_A_ROUND)]
                before = _cpu_seconds(postmaster)
                sample = measure(server, calls, MIDDLE, plan.seconds)
                cost = (_cpu_seconds(postmaster) - before) / sample.result.answers * 1e6
                print_result(kind, MIDDLE, f"{size:,} items", sample.result)
                if round_ > 0:  # the first one warms caches that a server in use has warm
                    taken[kind, size].append(_Taken(sample, cost))
    return taken


def _row(kind: str, size: int, taken: dict[tuple[str, int], list[_Taken]]) -> list[str]:
    """The times are of CPU time, the server's and PostgreSQL's: rates of commits are those of the disk."""
    samples = [each.sample for each in taken[kind, size]]
    front_end, postgres = _costs(taken[kind, size])
    return [
        kind if size == growth.SMALL else "",
        f"{size:,}",
        number(median(samples, lambda sample: sample.result.rate)),
        f"{front_end:.0f}",
        f"{postgres:.0f}",
        f"{(front_end + postgres) / sum(_costs(taken[kind, growth.SMALL])):.2f}",
        f"{median(samples, lambda sample: sample.result.p50):.2f}",
        f"{median(samples, lambda sample: sample.result.p99):.2f}",
    ]


def _costs(taken: list[_Taken]) -> tuple[float, float]:
    """Microseconds of CPU time for a request: of the server, of PostgreSQL."""
    return statistics.median(each.sample.cost for each in taken), statistics.median(
        each.postgres for each in taken
    )


def _statement_table(costs: dict[tuple[str, int], float], sizes: list[int]) -> str:
    heads = [
        "PostgreSQL's CPU time, µs",
        *(f"{size:,} items" for size in sizes),
        "times the CPU",
    ]
    rows = [
        [
            shown,
            *(f"{costs[kind, size]:.1f}" for size in sizes),
            f"{costs[kind, sizes[-1]] / costs[kind, sizes[0]]:.2f}",
        ]
        for kind, shown in _STATEMENTS.items()
    ]
    return table(heads, rows)


async def _load(url: str, plan: Plan, items: int) -> tuple[float, int]:
    """Makes a store with a table of so many items; seconds and bytes on disk."""
    parsed = StoreUrl(url)
    connection = await Connector(parsed, wants_store=False).connect()
    try:
        await schema_versions.initialize(connection, parsed.schema, None)
        with Running(on_postgres(url), plan.cache, plan.data / f"making-{items}") as server:
            make_table(server.call, workloads.TABLES[0])
        started = time.perf_counter()
        partitions = growth.partitions_of(items)
        await asyncio.gather(*(_write(parsed, partitions[first::_LOADERS]) for first in range(_LOADERS)))
        took = time.perf_counter() - started
        await connection.execute("VACUUM (ANALYZE) items")  # as autovacuum would have done in time
        await connection.execute("CHECKPOINT")
        volume = await connection.fetchval("SELECT pg_total_relation_size('items')")
    finally:
        await connection.close()
    print(f"{items:,} items loaded in {took:.0f} s", flush=True)
    return took, int(volume)


async def _write(url: StoreUrl, partitions: list[int]) -> None:
    storage = PostgresStorage(Connector(url), url.schema)
    await growth.write(storage, partitions)
    await storage.close()


async def _pages(url: str, items: int) -> tuple[float, float]:
    """Pages touched for an item that is read by its key: found in PostgreSQL's memory, and not."""
    parsed = StoreUrl(url)
    storage = PostgresStorage(Connector(parsed), parsed.schema)
    described = await growth.table_of(storage)
    await storage.close()
    choose = random.Random(6)
    keys = [table_key(described.keys, workloads.key(choose.randrange(items))) for _ in range(_KEYS)]
    connection = await Connector(parsed).connect()
    explained = await connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql.POINTS}", [described.space] * _KEYS, keys
    )
    await connection.close()
    plan = orjson.loads(explained)[0]["Plan"]
    return plan["Shared Hit Blocks"] / _KEYS, plan["Shared Read Blocks"] / _KEYS


async def _statement_costs(urls: dict[int, str]) -> dict[tuple[str, int], float]:
    statements: dict[int, Statements] = {}
    connections = []
    for size, url in urls.items():
        parsed = StoreUrl(url)
        storage = PostgresStorage(Connector(parsed), parsed.schema)
        described = await growth.table_of(storage)
        await storage.close()
        connection = await Connector(parsed).connect()
        connections.append(connection)
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        statements[size] = Statements(connection, parsed.schema, described, size, pid)
    costs = await least_costs(statements)
    for connection in connections:
        await connection.close()
    return costs


async def _drop(url: str) -> None:
    parsed = StoreUrl(url)
    connection = await Connector(parsed, wants_store=False).connect()
    await connection.execute(f"DROP SCHEMA IF EXISTS {quoted_name(parsed.schema)} CASCADE")
    await connection.close()


# PostgreSQL's processes


async def _postmaster(store: str) -> int:
    """The process whose children the server's processes are."""
    connection = await Connector(StoreUrl(store), wants_store=False).connect()
    pid = await connection.fetchval("SELECT pg_backend_pid()")
    parent = int(_fields(pid)[1])
    await connection.close()
    return parent


def _cpu_seconds(postmaster: int) -> float:
    """Seconds of CPU time that the processes of a server have taken so far."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) == postmaster or int(_fields(int(entry.name))[1]) == postmaster:
                total += int((entry / "schedstat").read_text().split()[0])
    return total / 1e9


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the process's state on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
