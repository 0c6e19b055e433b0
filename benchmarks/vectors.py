"""Searches of vector indexes: how fast, in how much memory, and whether the nearest are found.

The vectors of an index are written through the storage's own interface, as 32-bit floats and beside small items:
what a search reads of the index is the same, and a million items with 384 numbers each need not be written as
JSON. Searches come over HTTP, each for another vector. What they must find is computed in 64 bits over all
vectors, equal distances ordered as the database orders them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks import workloads
from benchmarks.report import number, table
from benchmarks.rounds import MIDDLE, Plan, circumstances, load_average, measure, print_result
from benchmarks.servers import BLOTTER_VECTORS, Running, Server, make_table
from blotter.database.model.keys import partition_prefix, table_key
from blotter.database.model.size import item_size
from blotter.database.model.table import Index, KeyAttribute, KeySchema, Table
from blotter.database.storage.protocol import StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage

DIMENSIONS = 384
NEAREST = 10
PARTITION = 1_000
"""Items of each partition of the second index."""
MOST_IN_PARTITIONS = 100_000
"""Larger tables have no second index."""
_QUERIES = 20
_ROWS_A_COMMIT = 2_000
_WRITES = 400
_KEYS = KeySchema((KeyAttribute("id", "S"),), ())
_ACCOUNT, _REGION = "123456789012", "us-east-1"


def run(plan: Plan, sizes: Sequence[int], server: Server = BLOTTER_VECTORS) -> dict[str, str]:
    """Measures each size; a table, what was found of what should be, and what writes cost."""
    started, load_before = time.time(), load_average()
    rows: list[list[str]] = []
    found = wanted = 0
    for count in sizes:
        folder = plan.data / f"vectors-{count}"
        _fill(folder, plan.cache, count, server)
        with Running(server, plan.cache, folder) as running:
            for kind in ("all", "partition")[: 2 if count <= MOST_IN_PARTITIONS else 1]:
                row, right = _measured(plan, running, count, kind)
                rows.append(row)
                found, wanted = found + right, wanted + _QUERIES * NEAREST
    heads = ["", "first search, s", "p50, ms", "p99, ms", f"searches/s, {MIDDLE} connections", "CPU, ms", "MB"]
    writes = _writes(plan, server)
    line = (
        f"{found} of the {wanted} nearest vectors were found, in their order. {writes} "
        f"{circumstances(started, load_before)}"
    )
    return {"vectors": f"{table(heads, rows)}\n\n{line}"}


def _measured(plan: Plan, running: Running, count: int, kind: str) -> tuple[list[str], int]:
    """A row of the table, and how many of the expected vectors were found in their places."""
    rng = np.random.default_rng(count)
    queries = rng.standard_normal((_QUERIES, DIMENSIONS)).astype(np.float32)
    tenant = 0 if kind == "partition" else None
    calls: list[workloads.Call] = [("SearchVectors", _search(query, tenant)) for query in queries]
    before = time.perf_counter()
    _first(running, calls[0])
    first = time.perf_counter() - before
    with ThreadPoolExecutor(MIDDLE) as pool:  # every worker makes its copy
        list(pool.map(lambda call: _first(running, call), calls))
    name = f"{count:,} vectors" if tenant is None else f"{PARTITION:,} of {count:,} vectors"
    seconds = max(plan.seconds, count / 50_000)
    alone, together = (measure(running, calls, connections, seconds) for connections in (1, MIDDLE))
    print_result(f"SearchVectors, {name}", 1, running.server.name, alone.result)
    print_result(f"SearchVectors, {name}", MIDDLE, running.server.name, together.result)
    right = 0
    expected = _expected(queries, PARTITION if tenant is not None else count)
    for call, keys in zip(calls, expected, strict=True):
        results = json.loads(running.call(*call))["SearchResults"]
        right += sum(result["Item"]["id"]["S"] == key for result, key in zip(results, keys, strict=True))
    shown = [first, alone.result.p50, alone.result.p99, together.result.rate, together.cost / 1000]
    return [name, *(number(value) for value in shown), number(running.total_memory())], right


def _first(running: Running, call: workloads.Call) -> None:
    """Until it is answered: a search goes on where the one before it was given up."""
    while True:
        try:
            running.call(*call)
        except TimeoutError:
            continue
        return


def _search(query: npt.NDArray[np.float32], tenant: int | None) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TableName": "vectors",
        "IndexName": "all",
        "SearchVector": [{"N": f"{element:.9g}"} for element in query.tolist()],
        "TopK": NEAREST,
    }
    if tenant is None:
        return request
    values = {":t": {"N": str(tenant)}}
    condition = {"SearchConditionExpression": "tenant = :t", "ExpressionAttributeValues": values}
    return request | condition | {"IndexName": "by-tenant"}


def _vectors(count: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Pieces of the vectors, each with the number of its first: directions at random, as embeddings are normed."""
    for piece, start in enumerate(range(0, count, _ROWS_A_COMMIT)):
        rows = np.random.default_rng((7, piece)).standard_normal((min(_ROWS_A_COMMIT, count - start), DIMENSIONS))
        yield start, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _expected(queries: npt.NDArray[np.float32], count: int) -> list[list[str]]:
    """For each query the keys of the nearest vectors by cosine, in 64 bits."""
    best: list[list[tuple[float, bytes, str]]] = [[] for _ in queries]
    exact = queries.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    for start, rows in _vectors(count):
        wide = rows.astype(np.float64)
        distances = 1 - wide @ exact.T / np.linalg.norm(wide, axis=1)[:, np.newaxis] / lengths
        some = min(4 * NEAREST, len(rows) - 1)
        for query, near in enumerate(np.argpartition(distances, some, axis=0)[:some].T.tolist()):
            for place in near:
                item = _item(start + place)
                found = float(distances[place, query]), table_key(_KEYS, item), item["id"]["S"]
                best[query].append(found)
            best[query] = sorted(best[query])[:NEAREST]
    return [[key for _, _, key in each] for each in best]


# Tables


def _item(row: int) -> dict[str, Any]:
    return {"id": {"S": f"item {row}"}, "tenant": {"N": str(row // PARTITION)}}


def _described(name: str, *indexes: str) -> dict[str, Any]:
    tenant = [{"AttributeName": "tenant", "SearchSchemaElementType": "HASH"}]
    described = [
        {
            "IndexName": index,
            "VectorAttribute": {"AttributeName": "embedding"},
            "Dimensions": DIMENSIONS,
            "DistanceFunction": "COSINE",
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            **({"SearchSchema": tenant} if index == "by-tenant" else {}),
        }
        for index in indexes
    ]
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    if "by-tenant" in indexes:
        attributes.append({"AttributeName": "tenant", "AttributeType": "N"})
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": attributes,
        **({"VectorIndexes": described} if described else {}),
    }


def _fill(folder: Path, cache: Path, count: int, server: Server) -> None:
    indexes = ("all", "by-tenant")[: 2 if count <= MOST_IN_PARTITIONS else 1]
    with Running(server, cache, folder) as running:
        make_table(running.call, _described("vectors", *indexes))
    started = time.perf_counter()
    asyncio.run(_write(folder, count))
    print(f"{count:,} vectors loaded in {time.perf_counter() - started:.0f} s", flush=True)


async def _write(folder: Path, count: int) -> None:
    storage = SqliteStorage.open(folder)
    with storage.read() as tx:
        found = tx.find_table(_ACCOUNT, _REGION, "vectors")
        assert found is not None
        described = found
    for start, rows in _vectors(count):
        await storage.write(partial(_put, described, start, rows))
    await storage.close()


def _put(described: Table, start: int, rows: npt.NDArray[np.float32], tx: WriteTransaction) -> None:
    for place, row in enumerate(rows):
        item = _item(start + place)
        key = table_key(described.keys, item)
        tx.put(described.space, StoredItem(key, item_size(item), orjson.dumps(item)), None)
        body = pack("<I", 4 * DIMENSIONS) + row.astype("<f4").tobytes()
        for index in described.indexes:
            tx.put(index.space, StoredItem(_prefix(index, item) + key, 4 * DIMENSIONS, body), None)


def _prefix(index: Index, item: dict[str, Any]) -> bytes:
    return partition_prefix(index.keys, (item["tenant"],)) if index.keys.partition else b""


# Writes


def _writes(plan: Plan, server: Server) -> str:
    """What a write costs with and without an index, as a sentence."""
    _, rows = next(_vectors(_WRITES))
    texts = [[{"N": f"{element:.9g}"} for element in row.tolist()] for row in rows]
    costs: dict[str, list[float]] = {"indexed": [], "plain": []}
    rates: dict[str, list[float]] = {"indexed": [], "plain": []}
    with Running(server, plan.cache, plan.data / "vectors-writes") as running:
        make_table(running.call, _described("indexed", "all"))
        make_table(running.call, _described("plain"))
        for round_ in range(plan.rounds + 1):
            for name in costs:
                calls: list[workloads.Call] = [
                    ("PutItem", {"TableName": name, "Item": {**_item(number), "embedding": {"L": each}}})
                    for number, each in enumerate(texts[round_:] + texts[:round_])
                ]
                sample = measure(running, calls, MIDDLE, plan.seconds)
                print_result(f"PutItem, {name}", MIDDLE, server.name, sample.result)
                costs[name].append(sample.cost)
                rates[name].append(sample.result.rate)
    middle = {name: sorted(values[1:])[len(values[1:]) // 2] for name, values in costs.items()}
    rate = {name: sorted(values[1:])[len(values[1:]) // 2] for name, values in rates.items()}
    return (
        f"A PutItem with {DIMENSIONS} numbers takes {middle['plain']:.0f} µs of CPU without an index and "
        f"{middle['indexed']:.0f} µs with one ({number(rate['plain'])} and {number(rate['indexed'])} a second "
        f"over {MIDDLE} connections)."
    )
