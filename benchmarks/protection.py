"""What protecting data costs: TLS on the wire, and encrypted pages on the disk in a table of many items.

Pairs of servers, one plain and one protected, get the same requests in interleaved rounds. Over TLS the client
pays as much as the server: one worker has one core for itself there, and the client the others. The encrypted
directory is the plain one, copied and encrypted in place by `blotter keys encrypt`: both have the same rows.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import growth, servers, wheel
from benchmarks.report import number, table
from benchmarks.rounds import (
    MIDDLE,
    Plan,
    Sample,
    circumstances,
    load_average,
    measure,
    median,
    print_result,
    side_by_side,
)
from benchmarks.servers import BLOTTER, BLOTTER_ENCRYPTED, BLOTTER_ONE, BLOTTER_TLS, Running

_WORKLOADS = ("GetItem", "PutItem", "Query 10 of 100")
_REQUESTS_A_ROUND = 40_000


def run(plan: Plan, items: int) -> dict[str, str]:
    """A table for each of the two, and a line about the load."""
    return {"tls": _tls(plan), "encryption": _encryption(plan, items)}


def _tls(plan: Plan) -> str:
    started, load_before = time.time(), load_average()
    mine = os.sched_getaffinity(0)
    of_server, *of_client = sorted(mine)
    os.sched_setaffinity(0, of_client or mine)
    try:
        samples = side_by_side(plan, (BLOTTER_ONE, BLOTTER_TLS), _WORKLOADS, core=of_server)
    finally:
        os.sched_setaffinity(0, mine)
    taken = {name: (samples[name, BLOTTER_ONE.name], samples[name, BLOTTER_TLS.name]) for name in _WORKLOADS}
    return f"{_table('TLS', taken)}\n\n{circumstances(started, load_before)}"


def _encryption(plan: Plan, items: int) -> str:
    started, load_before = time.time(), load_average()
    plain, encrypted = plan.data / "plain", plan.data / "encrypted"
    growth.fill(plain, plan.cache, items)
    _encrypt(plan.cache, plain, encrypted)
    taken: dict[str, tuple[list[Sample], list[Sample]]] = defaultdict(lambda: ([], []))
    choose = random.Random(6)
    with (
        Running(BLOTTER, plan.cache, plain) as open_,
        Running(BLOTTER_ENCRYPTED, plan.cache, encrypted) as closed,
    ):
        for round_ in range(plan.rounds + 1):  # the first one warms up
            for kind, made in growth.KINDS.items():
                calls = [made(choose.randrange(items)) for _ in range(_REQUESTS_A_ROUND)]
                for number_, server in enumerate((open_, closed)):
                    sample = measure(server, calls, MIDDLE, plan.seconds)
                    print_result(kind, MIDDLE, server.server.name, sample.result)
                    if round_ > 0:
                        taken[kind][number_].append(sample)
    return f"{_table('encrypted', taken)}\n\nA table of {items:,} items. {circumstances(started, load_before)}"


def _encrypt(cache: Path, plain: Path, encrypted: Path) -> None:
    shutil.copytree(plain, encrypted)
    encrypted.chmod(0o700)
    environment = {
        **os.environ,
        "PYTHONPATH": str(wheel.unpacked(cache)),
        servers.MASTER_KEY_NAME: servers.MASTER_KEY,
    }
    command = [sys.executable, "-m", "blotter", "keys", "encrypt", "--data-dir", str(encrypted)]
    subprocess.run([*command, "--master-key", f"env:{servers.MASTER_KEY_NAME}"], env=environment, check=True)


def _table(protected: str, taken: Mapping[str, tuple[Sequence[Sample], Sequence[Sample]]]) -> str:
    """Medians over the rounds; ratios are those of the medians."""
    rows = []
    for workload, both in taken.items():
        rates = [median(samples, lambda sample: sample.result.rate) for samples in both]
        costs = [median(samples, lambda sample: sample.cost) for samples in both]
        shown = [*map(number, rates), f"{rates[1] / rates[0]:.0%}"]
        rows.append([workload, *shown, *[f"{cost:.0f}" for cost in costs], f"{costs[0] / costs[1]:.0%}"])
    heads = ["", "plain, requests/s", f"{protected}, requests/s", f"{protected} / plain"]
    heads += [
        "CPU plain, µs/request",
        f"CPU {protected}, µs/request",
        f"requests a CPU second, {protected} / plain",
    ]
    return table(heads, rows)
