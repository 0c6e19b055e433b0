"""The CPU time of the client itself, and whether both clients measure the same: wrk and ours, alternating."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict

from benchmarks import floors, load, signing, workloads, wrk
from benchmarks.client import Replay
from benchmarks.report import number, table
from benchmarks.rounds import MIDDLE, Plan, circumstances, load_average, print_result
from benchmarks.servers import BLOTTER, Running, fill
from blotter.database.settings.loading import cores


def run(plan: Plan) -> dict[str, str]:
    started, load_before = time.time(), load_average()
    clients: dict[str, Replay] = {"benchmarks/load.py": load.run}
    if wrk.is_here():
        clients["wrk"] = wrk.run
    taken: dict[tuple[str, str], list[load.Result]] = defaultdict(list)
    calls = workloads.OPERATIONS["GetItem"]()
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(Running(BLOTTER, plan.cache, plan.data / "client"))
        fill(running.call)
        path = floors.prepare(plan.data / "client-floor")
        bare = stack.enter_context(floors.bare_server(path, cores()))
        for _ in range(plan.rounds):
            for server, address in (("bare server", bare), ("Blotter", running.address)):
                for name, replay in clients.items():
                    requests = signing.requests(calls, "{}:{}".format(*address))
                    result = replay(address, requests, MIDDLE, plan.seconds)
                    print_result(f"GetItem, {name}", MIDDLE, server, result)
                    taken[server, name].append(result)
    rows = [[f"GetItem, {server}", name, *_cells(results)] for (server, name), results in taken.items()]
    heads = ["", "client", "client's CPU, µs/request", "requests/s", "p50, ms", "p99, ms", "slowest, ms"]
    return {"client": f"{table(heads, rows)}\n\n{circumstances(started, load_before)}"}


def _cells(results: list[load.Result]) -> list[str]:
    rate = statistics.median(result.rate for result in results)
    p50 = statistics.median(result.p50 for result in results)
    p99 = statistics.median(result.p99 for result in results)
    cost = statistics.median(result.client_cpu / result.answers * 1e6 for result in results)
    slowest = max(result.slowest for result in results)
    return [
        f"{cost:.1f}",
        number(rate),
        f"{p50:.2f}",
        f"{p99:.2f}",
        f"{slowest:.0f}",
    ]
