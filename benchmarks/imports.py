"""What ImportTable costs: seconds, CPU time and memory for each format, and what others wait for meanwhile.

The items are those of `workloads`, with random partition keys, so that no file has them in the order of the table.
Items of another table are put and got at a fixed rate (`paced`), before and during the imports: the latencies say
what an import takes away from everybody else.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import workloads
from benchmarks.paced import Latencies, Paced
from benchmarks.report import number, table
from benchmarks.rounds import Plan, circumstances, load_average
from benchmarks.servers import BLOTTER, Running, Server, make_table
from blotter.database.model.size import item_size

_ALONE_SECONDS = 10.0
_RATE = 200.0
"""Requests a second beside the imports."""
_LIMIT_SECONDS = 3600.0


class _Case(NamedTuple):
    form: str
    index: bool

    def __str__(self) -> str:
        return f"{self.form}, a global index" if self.index else self.form


_CASES = (
    _Case("DYNAMODB_JSON", index=False),
    _Case("DYNAMODB_JSON", index=True),
    _Case("CSV", index=False),
    _Case("ION", index=False),
)


class _Measured(NamedTuple):
    seconds: float
    cpu: float
    memory: float
    """The most megabytes of any of the server's processes."""
    size: int
    """Bytes of the file."""


def run(plan: Plan, items: int, server: Server = BLOTTER) -> dict[str, str]:
    """Each format into a new table of one server."""
    started, load_before = time.time(), load_average()
    rows = []
    data = plan.data / "imports"
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(Running(server, plan.cache, data))
        make_table(running.call, workloads.TABLES[0])
        paced = stack.enter_context(Paced(running, _RATE))
        time.sleep(_ALONE_SECONDS)
        alone = paced.take()
        for case in _CASES:
            measured = _import(running, data, case, items)
            beside = paced.take()
            print(f"{case}: {measured}, beside {beside}", flush=True)
            rows.append(_row(case, items, measured, beside))
    heads = [
        "",
        "seconds",
        "items/s",
        "CPU, µs/item",
        "file, MB",
        "memory, MB",
        "PutItem p99, ms",
        "GetItem p99, ms",
    ]
    alone_row = ["no import", *[""] * 5, *[f"{value:.1f}" for value in _shown(alone)]]
    line = f"{items:,} items of {item_size(workloads.item(0))} bytes. {circumstances(started, load_before)}"
    return {"imports": f"{table(heads, [alone_row, *rows])}\n\n{line}"}


def _row(case: _Case, items: int, measured: _Measured, beside: Latencies) -> list[str]:
    return [
        str(case),
        f"{measured.seconds:.1f}",
        number(items / measured.seconds),
        f"{measured.cpu / items * 1e6:.1f}",
        number(measured.size / 1e6),
        f"{measured.memory:.0f}",
        *[f"{value:.1f}" for value in _shown(beside)],
    ]


def _shown(found: Latencies) -> tuple[float, float]:
    return found.put_p99, found.get_p99


def _import(running: Running, data: Path, case: _Case, items: int) -> _Measured:
    """Imports so many items, and checks that it says so."""
    name = f"{case.form.lower()}-{'index' if case.index else 'plain'}"
    file = write_items(data / "objects" / "source" / name, case.form, items)
    running.forget_peaks()
    cpu, began = running.cpu_seconds(), time.perf_counter()
    request = {
        "ClientToken": name,
        "S3BucketSource": {"S3Bucket": "source", "S3KeyPrefix": f"{name}/"},
        "InputFormat": case.form,
        "TableCreationParameters": creation(name, index=case.index),
    }
    arn = json.loads(running.call("ImportTable", request))["ImportTableDescription"]["ImportArn"]
    while True:
        described = json.loads(running.call("DescribeImport", {"ImportArn": arn}))["ImportTableDescription"]
        if described["ImportStatus"] != "IN_PROGRESS":
            break
        if time.perf_counter() > began + _LIMIT_SECONDS:
            raise RuntimeError(f"{name} took more than {_LIMIT_SECONDS:.0f} s")
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    if (described["ImportStatus"], described["ImportedItemCount"]) != ("COMPLETED", items):
        raise RuntimeError(f"{name}: {described}")
    measured = _Measured(seconds, running.cpu_seconds() - cpu, max(running.peaks()), file.stat().st_size)
    file.unlink()
    return measured


def write_items(folder: Path, form: str, items: int) -> Path:
    """Writes so many items into a new file of a new folder; returns the file."""
    folder.mkdir(parents=True)
    file = folder / "items"
    with file.open("w") as out:
        for line in _lines(form, items):
            out.write(f"{line}\n")
    return file


def creation(name: str, *, index: bool) -> dict[str, Any]:
    """The TableCreationParameters of a table of `bench`'s form, perhaps with a global index of all attributes."""
    described = {**workloads.TABLES[0], "TableName": name}
    if not index:
        return described
    keys = [{"AttributeName": "n", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}]
    entry = {"IndexName": "by-n", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    definitions = [*described["AttributeDefinitions"], {"AttributeName": "n", "AttributeType": "N"}]
    return {**described, "AttributeDefinitions": definitions, "GlobalSecondaryIndexes": [entry]}


def _lines(form: str, items: int) -> Iterator[str]:
    choose = random.Random(5)
    if form == "CSV":
        yield "pk,sk,n,filler"
    for count in range(items):
        item = workloads.item(count) | {"pk": {"S": f"p-{choose.getrandbits(56):014x}"}}
        partition, sort, n, filler = (next(iter(item[name].values())) for name in ("pk", "sk", "n", "filler"))
        if form == "CSV":
            yield f"{partition},{sort},{n},{filler}"
        elif form == "ION":
            yield f'$ion_1_0 {{Item:{{pk:"{partition}",sk:"{sort}",n:{n}.,filler:"{filler}"}}}}'
        else:
            yield json.dumps({"Item": item}, separators=(",", ":"))
