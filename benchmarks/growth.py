"""What an operation costs at ten thousand items and at ten million: it should be the same.

The large table is written through the storage's own interface, which makes the same rows as requests do and saves
an hour of HTTP; partitions come in random order, so that the tree grows in its middle as it does in use. Then two
servers, one over each data directory, get the same kinds of requests in interleaved rounds, for random items of
their whole table: others in each round, or a large table would be measured by the few that are in memory already.
With `--store`, `growth_on_postgres` does the same on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import orjson

from benchmarks import workloads
from benchmarks.report import number, table
from benchmarks.rounds import MIDDLE, Plan, Sample, circumstances, load_average, measure, median, print_result
from benchmarks.servers import BLOTTER, Running, make_table
from blotter.database.model.keys import table_key
from blotter.database.model.size import item_size
from blotter.database.model.table import Table
from blotter.database.storage.protocol import Storage, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage

SMALL = 10_000
_ACCOUNT, _REGION = "123456789012", "us-east-1"
_PARTITIONS_A_COMMIT = 50
REQUESTS_A_ROUND = 40_000
KINDS = {"GetItem": workloads.get, "Query 10 of 100": workloads.query, "PutItem": workloads.put}


def run(plan: Plan, items: int) -> dict[str, str]:
    """Measures both sizes; a table and a line about the load."""
    started, load_before = time.time(), load_average()
    folders = {SMALL: plan.data / "small", items: plan.data / "large"}
    loaded = {count: fill(folder, plan.cache, count) for count, folder in folders.items()}
    taken: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    choose = random.Random(4)
    with (
        Running(BLOTTER, plan.cache, folders[SMALL]) as small,
        Running(BLOTTER, plan.cache, folders[items]) as large,
    ):
        for _ in range(plan.rounds + 1):  # the first one warms caches that a server in use has warm
            for kind, made in KINDS.items():
                for count, server in ((SMALL, small), (items, large)):
                    calls = [made(choose.randrange(count)) for _ in range(REQUESTS_A_ROUND)]
                    sample = measure(server, calls, MIDDLE, plan.seconds)
                    print_result(kind, MIDDLE, f"{count:,} items", sample.result)
                    taken[kind, count].append(sample)
    rows = [_row(kind, [taken[kind, count][1:] for count in folders]) for kind in KINDS]
    heads = [f"{count:,} items, requests/s" for count in folders]
    shown = table(["", *heads, "times the cost", "CPU, µs/request", "p50, ms", "p99, ms"], rows)
    took, size = loaded[items]
    line = (
        f"{items:,} items were loaded in {took:.0f} s ({number(items / took)} a second); the file has "
        f"{size / items:.0f} bytes an item, whose DynamoDB size is {item_size(workloads.item(0))} bytes."
    )
    return {"growth": f"{shown}\n\n{line} {circumstances(started, load_before)}"}


def _row(kind: str, taken: list[list[Sample]]) -> list[str]:
    small, large = (median(samples, lambda sample: sample.result.rate) for samples in taken)
    cpu = " → ".join(f"{median(samples, lambda sample: sample.cost):.0f}" for samples in taken)
    p50 = " → ".join(f"{median(samples, lambda sample: sample.result.p50):.2f}" for samples in taken)
    p99 = " → ".join(f"{median(samples, lambda sample: sample.result.p99):.2f}" for samples in taken)
    return [kind, number(small), number(large), f"{small / large:.2f}", cpu, p50, p99]


def fill(folder: Path, cache: Path, items: int) -> tuple[float, int]:
    """Makes the table through a server, its items through the storage; seconds and bytes on disk."""
    with Running(BLOTTER, cache, folder) as server:
        make_table(server.call, workloads.TABLES[0])
    started = time.perf_counter()
    asyncio.run(_write(folder, items))
    took = time.perf_counter() - started
    print(f"{items:,} items loaded in {took:.0f} s", flush=True)
    return took, sum(path.stat().st_size for path in folder.glob("*.db"))


async def _write(folder: Path, items: int) -> None:
    storage = SqliteStorage.open(folder)
    await write(storage, partitions_of(items))
    await storage.close()


def partitions_of(items: int) -> list[int]:
    """The numbers of the partitions of a table, in random order."""
    partitions = list(range(items // workloads.SORTS))
    random.Random(5).shuffle(partitions)
    return partitions


async def table_of(storage: Storage) -> Table:
    """The table that was made before."""
    found = await storage.fetch(lambda tx: tx.find_table(_ACCOUNT, _REGION, "bench"))
    assert found is not None
    return found


async def write(storage: Storage, partitions: list[int]) -> None:
    """Writes the items of partitions of the table that was made before."""
    described = await table_of(storage)

    def handler(tx: WriteTransaction, chosen: list[int]) -> None:
        for partition in chosen:
            for at in range(partition * workloads.SORTS, (partition + 1) * workloads.SORTS):
                item = workloads.item(at)
                stored = StoredItem(table_key(described.keys, item), item_size(item), orjson.dumps(item))
                tx.put(described.space, stored, None)

    for at in range(0, len(partitions), _PARTITIONS_A_COMMIT):
        chosen = partitions[at : at + _PARTITIONS_A_COMMIT]
        await storage.write(partial(handler, chosen=chosen))
