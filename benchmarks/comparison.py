"""Blotter beside its peers and beside the floor of its parts: all servers up, rounds interleaved, medians.

In every round each workload goes to each server in turn, so that what disturbs the machine for a while disturbs
all of them. The client runs on the same machine and takes its share of the cores, as an application would.
"""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import floors, load, servers, workloads
from benchmarks.report import number, plot, table
from benchmarks.servers import BLOTTER, BLOTTER_ONE, Running, Server, Unavailable
from blotter.database.settings import cores

MIDDLE = 16
"""Connections of the main table; peers that are slow, and YCSB, are measured with these only."""
BATCHES = (1, 4, 8, 16, 32, 64)


class Sample(NamedTuple):
    result: load.Result
    cpu: float
    """Seconds of CPU time that the server's processes took."""


Samples = dict[tuple[str, int, str], list[Sample]]
"""By workload, connections, server."""


class Plan(NamedTuple):
    """How long and how often; `peers` by name."""

    cache: Path
    data: Path
    peers: tuple[str, ...]
    rounds: int
    seconds: float
    connections: tuple[int, ...]
    workloads: tuple[str, ...]


class Comparison:
    """Runs the comparison; `parts` gives its tables by the names the document has for them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.samples: Samples = defaultdict(list)
        self.missing: dict[str, str] = {}
        self.running: list[Running] = []
        self.busy_memory: dict[str, tuple[list[float], float]] = {}
        self.bare: dict[tuple[int, str], list[Sample]] = defaultdict(list)
        self.raw: dict[int, list[floors.Commits]] = defaultdict(list)

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            for server in [BLOTTER, BLOTTER_ONE, *servers.PEERS]:
                if server in (BLOTTER, BLOTTER_ONE) or server.name in self.plan.peers:
                    self._start(server, stack)
            path = floors.prepare(self.plan.data / "floor")
            bare = {
                f"bare server, {processes} processes": stack.enter_context(floors.bare_server(path, processes))
                for processes in dict.fromkeys((cores(), 1))
            }
            for round_ in range(self.plan.rounds):
                print(f"round {round_ + 1} of {self.plan.rounds}", flush=True)
                self._round()
                self._floors(path, bare)
            for running in self.running:
                self.busy_memory[running.server.name] = (running.resident(), running.total_memory())

    def _start(self, server: Server, stack: contextlib.ExitStack) -> None:
        try:
            servers.install(server, self.plan.cache)
            folder = self.plan.data / server.name.replace(" ", "-").replace(",", "")
            running = stack.enter_context(Running(server, self.plan.cache, folder))
            fill(running)
        except (Unavailable, RuntimeError, OSError) as error:
            self.missing[server.name] = str(error)
            print(f"without {server.name}: {error}", flush=True)
            return
        print(f"{server.name}: first answer after {running.start_seconds:.2f} s, filled", flush=True)
        self.running.append(running)

    def _round(self) -> None:
        for workload, made in {**workloads.OPERATIONS, **workloads.YCSB}.items():
            if workload not in self.plan.workloads:
                continue
            calls = made()
            for connections in self.plan.connections:
                for running in self.running:
                    if self._is_measured(workload, connections, running.server):
                        self._measure(workload, calls, connections, running)

    def _is_measured(self, workload: str, connections: int, server: Server) -> bool:
        if server is BLOTTER_ONE:
            return workload in ("GetItem", "PutItem") and connections == MIDDLE
        return connections == MIDDLE or (workload in workloads.OPERATIONS and not server.slow)

    def _measure(self, workload: str, calls: list[workloads.Call], connections: int, running: Running) -> None:
        requests = workloads.requests(calls, running.host)
        before = running.cpu_seconds()
        try:
            result = load.run(running.address, requests, connections=connections, seconds=self.plan.seconds)
        except load.NoAnswer:
            print(f"{workload:20} {connections:3}  {running.server.name:20} no answer within the time", flush=True)
            return
        self.samples[workload, connections, running.server.name].append(
            Sample(result, running.cpu_seconds() - before)
        )
        print(f"{workload:20} {connections:3}  {running.server.name:20} {result}", flush=True)

    def _floors(self, path: Path, bare: Mapping[str, tuple[str, int]]) -> None:
        calls = workloads.OPERATIONS["GetItem"]()
        for name, address in bare.items():
            requests = workloads.requests(calls, f"127.0.0.1:{address[1]}")
            result = load.run(address, requests, connections=MIDDLE, seconds=self.plan.seconds)
            self.bare[MIDDLE, name].append(Sample(result, 0.0))
            print(f"{'GetItem':20} {MIDDLE:3}  {name:20} {result}", flush=True)
        for batch in BATCHES:
            self.raw[batch].append(floors.raw_puts(path, batch, self.plan.seconds / 2))

    # What came out

    def rate(self, workload: str, connections: int, server: str) -> float | None:
        return self._median(workload, connections, server, lambda sample: sample.result.rate)

    def _median(
        self, workload: str, connections: int, server: str, figure: Callable[[Sample], float]
    ) -> float | None:
        taken = self.samples.get((workload, connections, server))
        return statistics.median(map(figure, taken)) if taken else None

    def parts(self) -> dict[str, str]:
        return {
            "throughput": self._throughput(),
            "connections": self._by_connections(),
            "latency": self._latency(),
            "servers": self._servers(),
            "floors": self._floor_table(),
        }

    def _names(self) -> list[str]:
        return [running.server.name for running in self.running if running.server is not BLOTTER_ONE]

    def _throughput(self) -> str:
        names = self._names()
        rows = []
        for workload in self.plan.workloads:
            rates = {name: self.rate(workload, MIDDLE, name) for name in names}
            own = rates["Blotter"] or 0.0
            cells = [
                _rate_cell(rate, own, name != "Blotter", self._errors(workload, name))
                for name, rate in rates.items()
            ]
            rows.append([workload, *cells])
        return table(["requests/s", *names], rows)

    def _errors(self, workload: str, name: str) -> bool:
        return any(sample.result.errors for sample in self.samples.get((workload, MIDDLE, name), []))

    def _by_connections(self) -> str:
        rows = []
        for workload in [name for name in self.plan.workloads if name in workloads.OPERATIONS]:
            for name in self._names():
                rates = [self.rate(workload, connections, name) for connections in self.plan.connections]
                if None not in rates:
                    rows.append([workload, name, *[number(rate or 0) for rate in rates]])
        return table(
            [
                "requests/s",
                "",
                *[f"{count} connection{'s' if count > 1 else ''}" for count in self.plan.connections],
            ],
            rows,
        )

    def _latency(self) -> str:
        rows = []
        for workload in self.plan.workloads:
            for connections in self.plan.connections:
                for name in self._names():
                    taken = self.samples.get((workload, connections, name))
                    if taken and name == "Blotter":
                        rows.append([workload, str(connections), *_latency_cells(taken)])
        return table(
            ["Blotter", "connections", "p50, ms", "p99, ms", "p99 / p50", "slowest, ms", "CPU, µs/request"], rows
        )

    def _servers(self) -> str:
        rows = []
        for running in self.running:
            server = running.server
            processes, total = self.busy_memory[server.name]
            rows.append(
                [
                    f"{server.name} ({server.version})",
                    server.keeps,
                    f"{running.start_seconds:.2f} s",
                    f"{max(running.idle_processes):.0f} MB",
                    f"{max(processes):.0f} MB",
                    f"{total:.0f} MB",
                    *[self._cpu(workload, server.name) for workload in ("GetItem", "PutItem")],
                ]
            )
        rows += [[name, reason.replace("\n", " ")[:80], *["–"] * 6] for name, reason in self.missing.items()]
        heads = ["", "keeps its data", "first answer after", "largest process, idle", "…after the load"]
        return table([*heads, "all processes", "CPU/GetItem", "CPU/PutItem"], rows)

    def _cpu(self, workload: str, name: str) -> str:
        cost = self._median(workload, MIDDLE, name, lambda sample: sample.cpu / sample.result.answers * 1e6)
        return "–" if cost is None else f"{cost:.0f} µs"

    def _floor_table(self) -> str:
        rows = []
        own = self.rate("GetItem", MIDDLE, "Blotter")
        for (_, name), taken in self.bare.items():
            rate = statistics.median(sample.result.rate for sample in taken)
            mine = own if not name.endswith(", 1 processes") else self.rate("GetItem", MIDDLE, BLOTTER_ONE.name)
            compared = "–" if mine is None else f"{mine / rate:.0%}"
            rows.append([f"GetItem, {name}, {MIDDLE} connections", number(rate), number(mine or 0), compared, "–"])
        put = {count: self.rate("PutItem", count, "Blotter") for count in self.plan.connections}
        for batch, commits in self.raw.items():
            rate = statistics.median(each.rate for each in commits)
            slowest = max(each.slowest for each in commits)
            mine = put.get(batch)
            compared = "–" if mine is None else f"{mine / rate:.0%}"
            shown = "–" if mine is None else number(mine)
            rows.append(
                [f"SQLite, {batch} puts a synced commit", number(rate), shown, compared, f"{slowest:.0f} ms"]
            )
        return table(["floor", "floor, /s", "Blotter, /s", "Blotter / floor", "its slowest commit"], rows)

    def picture(self) -> str:
        rows = {}
        for workload in self.plan.workloads:
            rates = {name: self.rate(workload, MIDDLE, name) for name in self._names()}
            # Refusals are quick, and no speed.
            rows[workload] = {
                name: rate for name, rate in rates.items() if rate and not self._errors(workload, name)
            }
        return plot(f"Requests a second, {MIDDLE} connections", "requests/s", rows)


def _rate_cell(rate: float | None, own: float, compare: bool, errors: bool) -> str:
    if rate is None:
        return "–"
    if errors:
        return f"{number(rate)}, with errors"
    return f"{number(rate)} (×{own / rate:.2g})" if compare else f"**{number(rate)}**"


def _latency_cells(taken: list[Sample]) -> Iterator[str]:
    p50 = statistics.median(sample.result.p50 for sample in taken)
    p99 = statistics.median(sample.result.p99 for sample in taken)
    yield f"{p50:.2f}"
    yield f"{p99:.2f}"
    yield f"{p99 / p50:.1f}"
    yield f"{max(sample.result.slowest for sample in taken):.0f}"
    yield f"{statistics.median(sample.cpu / sample.result.answers for sample in taken) * 1e6:.0f}"


def fill(running: Running) -> None:
    """Makes the tables and puts the data in, through the server."""
    for described in workloads.TABLES:
        name = {"TableName": described["TableName"]}
        running.call("CreateTable", described)
        load.wait_active(partial(running.call, "DescribeTable", name))
    for operation, body in workloads.loading():
        running.call(operation, body)
