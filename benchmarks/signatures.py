"""What verifying signatures costs: the same server with and without, the same signed requests, alternating."""

from __future__ import annotations

import time

from benchmarks import servers, signing, workloads
from benchmarks.report import number, table
from benchmarks.rounds import Plan, circumstances, load_average, median, side_by_side
from benchmarks.servers import BLOTTER, VERIFYING, Running

_WORKLOADS = ("GetItem", "PutItem", "Query 10 of 100")


def run(plan: Plan) -> dict[str, str]:
    started, load_before = time.time(), load_average()
    _check_refusals(plan)
    samples = side_by_side(plan, (BLOTTER, VERIFYING), _WORKLOADS)
    rows = []
    for workload in _WORKLOADS:
        taken = [samples[workload, server.name] for server in (BLOTTER, VERIFYING)]
        rates = [median(each, lambda sample: sample.result.rate) for each in taken]
        costs = [median(each, lambda sample: sample.cost) for each in taken]
        rows.append(
            [
                workload,
                *map(number, rates),
                f"{rates[1] / rates[0]:.0%}",
                *[f"{cost:.0f}" for cost in costs],
                f"{costs[1] - costs[0]:+.0f}",
            ]
        )
    heads = ["", "not verified, requests/s", "verified, requests/s", "verified / not"]
    heads += ["CPU not verified, µs/request", "CPU verified, µs/request", "difference, µs"]
    return {"signatures": f"{table(heads, rows)}\n\n{circumstances(started, load_before)}"}


def _check_refusals(plan: Plan) -> None:
    """Raises RuntimeError unless the verifying server refuses a request that another secret or nobody signed."""
    operation, body = workloads.get(0)
    with Running(VERIFYING, plan.cache, plan.data / "refusals") as running:
        servers.make_table(running.call, workloads.TABLES[0])
        forged = signing.request(running.host, operation, body, secret="another")
        right = signing.request(running.host, operation, body)
        for request, expected in ((right, 200), (forged, 400), (right.replace(b'"bench"', b'"bencH"'), 400)):
            status, content = servers.send(running.address, request)
            if status != expected or (expected == 400 and b"InvalidSignatureException" not in content):
                raise RuntimeError(f"the verifying server answers {status} {content!r} in place of {expected}")
