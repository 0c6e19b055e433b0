"""What a second worker costs: the server's CPU time for a request with one worker and with two, interleaved."""

from __future__ import annotations

import time

from benchmarks.report import number, table
from benchmarks.rounds import Plan, circumstances, load_average, median, side_by_side
from benchmarks.servers import BLOTTER_ONE, BLOTTER_TWO

_WORKLOADS = ("GetItem", "PutItem", "UpdateItem", "Query 10 of 100")


def run(plan: Plan) -> dict[str, str]:
    started, load_before = time.time(), load_average()
    samples = side_by_side(plan, (BLOTTER_ONE, BLOTTER_TWO), _WORKLOADS)
    rows = []
    for workload in _WORKLOADS:
        taken = [samples[workload, server.name] for server in (BLOTTER_ONE, BLOTTER_TWO)]
        costs = [median(each, lambda sample: sample.cost) for each in taken]
        rates = [median(each, lambda sample: sample.result.rate) for each in taken]
        # Requests per CPU-second with two over those with one: the goal is 85 % or more.
        rows.append(
            [workload, *[f"{cost:.0f}" for cost in costs], f"{costs[0] / costs[1]:.0%}", *map(number, rates)]
        )
    heads = ["", "CPU with one worker, µs/request", "with two", "requests per CPU-second, two / one"]
    heads += ["one worker, requests/s", "two"]
    return {"scaling": f"{table(heads, rows)}\n\n{circumstances(started, load_before)}"}
