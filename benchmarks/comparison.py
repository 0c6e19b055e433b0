"""Blotter compared with other programs and with its parts: all servers running, rounds interleaved, medians.

Slow peers are measured with fewer connections, or in one round: more would cost minutes and show nothing more.
"""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from benchmarks import client, floors, load, servers, signing, workloads
from benchmarks.report import number, plot, table
from benchmarks.rounds import MIDDLE, Plan, Sample, measure, print_result
from benchmarks.servers import BLOTTER, BLOTTER_ONE, BLOTTER_SOURCE, Running, Server, Unavailable
from blotter.database.settings.loading import cores

BATCHES = {1: 1, 4: None, 8: 16, 16: 16, 32: 64, 64: 64}
"""Puts to a commit of SQLite alone, and the connections that Blotter's rate beside it is measured with: with two
workers, what is under way fills two batches of half of it at most."""


class Choice(NamedTuple):
    """What is compared; `peers` and `workloads` by name."""

    peers: tuple[str, ...]
    connections: tuple[int, ...]
    workloads: tuple[str, ...]


class Comparison:
    """Runs the comparison; `parts` gives its tables by the names the document has for them."""

    def __init__(self, plan: Plan, choice: Choice) -> None:
        self.plan = plan
        self.choice = choice
        self.samples: dict[tuple[str, int, str], list[Sample]] = defaultdict(list)
        """By workload, connections, server."""
        self.missing: dict[str, str] = {}
        self.running: list[Running] = []
        self.busy_memory: dict[str, tuple[list[float], float]] = {}
        self.bare: dict[str, list[load.Result]] = defaultdict(list)
        self.raw: dict[int, list[floors.Commits]] = defaultdict(list)

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            peers = [server for server in servers.PEERS if server.name in self.choice.peers]
            for server in [BLOTTER, BLOTTER_SOURCE, BLOTTER_ONE, *peers]:
                self._start(server, stack)
            path = floors.prepare(self.plan.data / "floor")
            bare = {
                f"bare server, {processes} processes": stack.enter_context(floors.bare_server(path, processes))
                for processes in dict.fromkeys((cores(), 1))
            }
            for round_ in range(self.plan.rounds):
                print(f"round {round_ + 1} of {self.plan.rounds}", flush=True)
                self._round(round_)
                self._bare(bare)
                for batch in BATCHES:
                    self.raw[batch].append(floors.raw_puts(path, batch, self.plan.seconds / 2))
            for running in self.running:
                self.busy_memory[running.server.name] = (running.resident(), running.total_memory())

    def _start(self, server: Server, stack: contextlib.ExitStack) -> None:
        try:
            servers.install(server, self.plan.cache)
            folder = self.plan.data / server.name.replace(" ", "-").replace(",", "")
            running = stack.enter_context(Running(server, self.plan.cache, folder))
            servers.fill(running.call)
        except (Unavailable, RuntimeError, OSError) as error:
            self.missing[server.name] = str(error)
            print(f"without {server.name}: {error}", flush=True)
            return
        running.settle()
        print(f"{server.name}: first answer after {running.start_seconds:.2f} s, filled", flush=True)
        self.running.append(running)

    def _round(self, round_: int) -> None:
        for workload, made in {**workloads.OPERATIONS, **workloads.YCSB}.items():
            if workload not in self.choice.workloads:
                continue
            calls = made()
            for connections in self.choice.connections:
                for running in self.running:
                    if self._is_measured(workload, connections, running.server, round_):
                        self._measure(workload, calls, connections, running)

    def _is_measured(self, workload: str, connections: int, server: Server, round_: int) -> bool:
        if server is BLOTTER_ONE:
            return workload in ("GetItem", "PutItem") and connections == MIDDLE
        if server.once and round_ > 0:
            return False
        return connections == MIDDLE or (workload in workloads.OPERATIONS and not server.middle_only)

    def _measure(self, workload: str, calls: list[workloads.Call], connections: int, running: Running) -> None:
        server = running.server
        seconds = self.plan.seconds * (3 if server.once else 1)
        try:
            sample = measure(running, calls, connections, seconds)
        except load.NoAnswer:
            print(f"{workload:20} {connections:3}  {server.name:20} no answer within the time", flush=True)
            return
        self.samples[workload, connections, server.name].append(sample)
        print_result(workload, connections, server.name, sample.result)

    def _bare(self, bare: Mapping[str, tuple[str, int]]) -> None:
        calls = workloads.OPERATIONS["GetItem"]()
        for name, address in bare.items():
            requests = signing.requests(calls, "{}:{}".format(*address))
            result = client.run(address, requests, MIDDLE, self.plan.seconds)
            self.bare[name].append(result)
            print_result("GetItem", MIDDLE, name, result)

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
        for workload in self.choice.workloads:
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
        for workload in [name for name in self.choice.workloads if name in workloads.OPERATIONS]:
            for name in self._names():
                rates = [self.rate(workload, connections, name) for connections in self.choice.connections]
                if None not in rates and not self._errors(workload, name):  # refusals are no speed
                    rows.append([workload, name, *[number(rate or 0) for rate in rates]])
        return table(
            [
                "requests/s",
                "",
                *[f"{count} connection{'s' if count > 1 else ''}" for count in self.choice.connections],
            ],
            rows,
        )

    def _latency(self) -> str:
        rows = []
        for workload in self.choice.workloads:
            for connections in self.choice.connections:
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
        cost = self._median(workload, MIDDLE, name, lambda sample: sample.cost)
        return "–" if cost is None else f"{cost:.0f} µs"

    def _floor_table(self) -> str:
        rows = []
        own = self.rate("GetItem", MIDDLE, "Blotter")
        for name, taken in self.bare.items():
            rate = statistics.median(result.rate for result in taken)
            mine = own if not name.endswith(", 1 processes") else self.rate("GetItem", MIDDLE, BLOTTER_ONE.name)
            rows.append([f"GetItem, {name}, {MIDDLE} connections", number(rate), *_beside(mine, rate), "–"])
        for batch, commits in self.raw.items():
            rate = statistics.median(each.rate for each in commits)
            connections = BATCHES[batch]
            mine = None if connections is None else self.rate("PutItem", connections, "Blotter")
            beside = "" if connections is None else f", beside {connections} connections"
            slowest = max(each.slowest for each in commits)
            rows.append(
                [
                    f"PutItem, SQLite with {batch} to a synced commit{beside}",
                    number(rate),
                    *_beside(mine, rate),
                    f"{slowest:.0f} ms",
                ]
            )
        return table(["floor", "floor, /s", "Blotter, /s", "Blotter / floor", "its slowest commit"], rows)

    def picture(self) -> str:
        rows = {}
        for workload in self.choice.workloads:
            rates = {name: self.rate(workload, MIDDLE, name) for name in self._names()}
            # Refusals are quick, and no speed.
            rows[workload] = {
                name: rate for name, rate in rates.items() if rate and not self._errors(workload, name)
            }
        return plot(f"Requests a second, {MIDDLE} connections", "requests/s", rows)


def _beside(mine: float | None, floor: float) -> tuple[str, str]:
    return ("–", "–") if mine is None else (number(mine), f"{mine / floor:.0%}")


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
    yield f"{statistics.median(sample.cost for sample in taken):.0f}"
