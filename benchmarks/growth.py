"""What an operation costs at ten thousand items and at ten million: it should be the same.

The large table is written through the storage's own interface, which makes the same rows as requests do and saves
an hour of HTTP; partitions come in random order, so that the tree grows in its middle as it does in use. Then two
servers, one over each data directory, get the same kinds of requests in interleaved rounds, for random items of
their whole table.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import orjson

from benchmarks import load, workloads
from benchmarks.report import number, table
from benchmarks.servers import BLOTTER, Running
from blotter.database.model.keys import table_key
from blotter.database.model.size import item_size
from blotter.database.storage.protocol import StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage

SMALL = 10_000
_ACCOUNT, _REGION = "123456789012", "us-east-1"
_PARTITIONS_A_COMMIT = 50
_REQUESTS = 40_000
_CONNECTIONS = 16
_KINDS = {"GetItem": workloads.get, "Query 10 of 100": workloads.query, "PutItem": workloads.put}


def run(cache: Path, data: Path, items: int, rounds: int, seconds: float) -> str:
    """Measures both sizes; a markdown table and a line about the load."""
    folders = {SMALL: data / "small", items: data / "large"}
    loaded = {count: _fill(folder, cache, count) for count, folder in folders.items()}
    rates: dict[tuple[str, int], list[load.Result]] = defaultdict(list)
    with Running(BLOTTER, cache, folders[SMALL]) as small, Running(BLOTTER, cache, folders[items]) as large:
        servers = {SMALL: small, items: large}
        requests = {
            (kind, count): _requests(kind, count, server.host)
            for kind in _KINDS
            for count, server in servers.items()
        }
        for _ in range(rounds + 1):  # the first one warms caches that a server in use has warm, and is thrown away
            for kind in _KINDS:
                for count, server in servers.items():
                    result = load.run(server.address, requests[kind, count], 1, _CONNECTIONS, seconds)
                    rates[kind, count].append(result)
                    print(f"{kind:20} {count:10,} items  {result}", flush=True)
    rows = [_row(kind, [rates[kind, count][1:] for count in folders]) for kind in _KINDS]
    took, size = loaded[items]
    return (
        table(
            ["", *[f"{count:,} items, requests/s" for count in folders], "times the cost", "p50, ms", "p99, ms"],
            rows,
        )
        + f"\n\n{items:,} items were loaded in {took:.0f} s ({number(items / took)} a second); the file has "
        f"{size / items:.0f} bytes an item, whose DynamoDB size is {item_size(workloads.item(0))} bytes."
    )


def _row(kind: str, taken: list[list[load.Result]]) -> list[str]:
    small, large = (statistics.median(result.rate for result in results) for results in taken)
    p50, p99 = (
        " → ".join(f"{statistics.median(getattr(result, name) for result in results):.2f}" for results in taken)
        for name in ("p50", "p99")
    )
    return [kind, number(small), number(large), f"{small / large:.2f}", p50, p99]


def _requests(kind: str, items: int, host: str) -> list[bytes]:
    choose = random.Random(4)
    numbers = [choose.randrange(items) for _ in range(_REQUESTS)]
    return workloads.requests([_KINDS[kind](number) for number in numbers], host)


def _fill(folder: Path, cache: Path, items: int) -> tuple[float, int]:
    """Makes the table through a server, its items through the storage; seconds and bytes on disk."""
    with Running(BLOTTER, cache, folder) as server:
        server.call("CreateTable", workloads.TABLES[0])
        load.wait_active(lambda: server.call("DescribeTable", {"TableName": "bench"}))
    started = time.perf_counter()
    asyncio.run(_write(folder, items))
    took = time.perf_counter() - started
    print(f"{items:,} items loaded in {took:.0f} s", flush=True)
    return took, sum(path.stat().st_size for path in folder.glob("*.db"))


async def _write(folder: Path, items: int) -> None:
    storage = SqliteStorage.open(folder)
    with storage.read() as tx:
        found = tx.find_table(_ACCOUNT, _REGION, "bench")
        assert found is not None
        described = found
    partitions = list(range(items // workloads.SORTS))
    random.Random(5).shuffle(partitions)

    def handler(tx: WriteTransaction, chosen: list[int]) -> None:
        for partition in chosen:
            for at in range(partition * workloads.SORTS, (partition + 1) * workloads.SORTS):
                item = workloads.item(at)
                stored = StoredItem(table_key(described.keys, item), item_size(item), orjson.dumps(item))
                tx.put(described.space, stored, None)

    for at in range(0, len(partitions), _PARTITIONS_A_COMMIT):
        chosen = partitions[at : at + _PARTITIONS_A_COMMIT]
        await storage.write(partial(handler, chosen=chosen))
    await storage.close()
