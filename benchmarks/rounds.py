"""What every part does: a plan, one measurement with what it cost the server, and rounds that interleave servers.

In every round each workload goes to one server after another, so that what disturbs the machine for a while
disturbs all of them. The client runs on the same machine and takes its share of the cores, as an application
would.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import client, load, signing, workloads
from benchmarks.servers import Running, Server, fill

MIDDLE = 16
"""Connections of the main tables."""


class Plan(NamedTuple):
    """Where and how long: `data` is a directory of this run alone, `seconds` are those of one measurement."""

    cache: Path
    data: Path
    rounds: int
    seconds: float


class Sample(NamedTuple):
    result: load.Result
    cpu: float
    """Seconds of CPU time that the server's processes took, until they were idle again."""

    @property
    def cost(self) -> float:
        """Microseconds of the server's CPU time for an answer."""
        return self.cpu / self.result.answers * 1e6


Samples = dict[tuple[str, str], list[Sample]]
"""By workload and server."""


def measure(running: Running, calls: list[workloads.Call], connections: int, seconds: float) -> Sample:
    """One measurement, with requests signed for it. Raises load.NoAnswer."""
    requests = signing.requests(calls, running.host)
    before = running.cpu_seconds()
    try:
        result = client.run(running.address, requests, connections, seconds, tls=running.server.tls)
    finally:
        running.settle()
    return Sample(result, running.cpu_seconds() - before)


def side_by_side(plan: Plan, servers: Sequence[Server], names: Sequence[str], core: int | None = None) -> Samples:
    """Starts and fills some Blotters and measures workloads on them in interleaved rounds; with `core` they run on
    that one only."""
    samples: Samples = defaultdict(list)
    with contextlib.ExitStack() as stack:
        started = []
        for server in servers:
            folder = plan.data / server.name.replace(" ", "-").replace(",", "")
            running = stack.enter_context(Running(server, plan.cache, folder))
            fill(running.call)
            if core is not None:
                running.keep_to(core)
            started.append(running)
        made = {name: workloads.OPERATIONS[name]() for name in names}
        for round_ in range(plan.rounds + 1):
            for name, calls in made.items():
                for running in started:
                    sample = measure(running, calls, MIDDLE, plan.seconds)
                    print_result(name, MIDDLE, running.server.name, sample.result)
                    if round_ > 0:  # the first one warms up
                        samples[name, running.server.name].append(sample)
    return samples


def median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    return statistics.median(map(figure, samples))


def print_result(workload: str, connections: int, server: str, result: load.Result) -> None:
    print(f"{workload:20} {connections:3}  {server:20} {result}", flush=True)


def circumstances(started: float, load_before: float) -> str:
    """A line for the end of a part: when it was measured, how long that took, and on how quiet a machine."""
    return (
        f"Measured {time.strftime('%Y-%m-%d')} with {client.name()} as client, "
        f"in {(time.time() - started) / 60:.1f} minutes; load average before: {load_before:.1f}."
    )


def load_average() -> float:
    return os.getloadavg()[0]
