"""What several front ends on one PostgreSQL server would give: a simulation, from what one was measured to cost.

    python -m benchmarks.front_ends

Two machines are at hand for no measurement here, so this is arithmetic with a clock, and its results are no more
than its assumptions: every front end has two cores of its own, PostgreSQL has `CORES`, the network takes `NETWORK`
seconds each way, clients send the next request as soon as they have a response, items are cold, and nothing else
limits (disk, memory, locks). A worker is one core: it handles requests one after another, and what waits goes into
the next statement or batch, one at a time, as `storage.postgres` does.
"""

from __future__ import annotations

import heapq
import itertools
from typing import NamedTuple

CORES = 8
NETWORK = 0.0001
WORKERS = 2
CLIENTS = 128
"""Connections to each front end."""
SECONDS = 1.0


class Cost(NamedTuple):
    """Seconds of CPU: of a worker for each request and each batch, of PostgreSQL for each batch and each item; and
    what a batch waits for the disk, without CPU."""

    request: float
    batch: float
    server_batch: float
    server_item: float
    sync: float = 0.0
    most: int = 256
    logged: bool = False
    """Whether a batch writes the change log, whose last lock one batch has at a time, until its commit is
    synced."""


# From docs/performance.md: compiled, PostgreSQL 15, on two shared cores.
OPERATIONS = {
    "GetItem": Cost(40e-6, 60e-6, 20e-6, 5e-6),
    "PutItem": Cost(60e-6, 160e-6, 350e-6, 9e-6, sync=0.001, most=128),
    "PutItem with a stream": Cost(65e-6, 180e-6, 370e-6, 14e-6, sync=0.001, most=128, logged=True),
}


class Simulation:
    """Front ends in front of one server. Times are seconds."""

    def __init__(self, cost: Cost, front_ends: int, clients: int = CLIENTS, cores: int = CORES) -> None:
        self._cost = cost
        self._events: list[tuple[float, int, int, int]] = []
        self._order = itertools.count()
        self._cores = [0.0] * cores
        self._waiting = [clients // WORKERS] * (front_ends * WORKERS)
        """Requests that each worker has read and not sent on."""
        self._log_is_free = 0.0
        self.answered = 0
        self.busy = 0.0
        """Seconds of CPU of the server."""

    def run(self, seconds: float = SECONDS) -> float:
        """Requests a second."""
        for worker in range(len(self._waiting)):
            self._send(worker, 0.0)
        while self._events:
            now, _, worker, count = heapq.heappop(self._events)
            if now > seconds:
                break
            self.answered += count
            self._waiting[worker] += count  # whose clients have sent the next one meanwhile
            self._send(worker, now)
        return self.answered / seconds

    def _send(self, worker: int, now: float) -> None:
        """Handles what waits, sends it in one batch, and comes back when it is answered."""
        cost = self._cost
        count = min(self._waiting[worker], cost.most)
        self._waiting[worker] -= count
        sent = now + cost.batch + count * cost.request + NETWORK
        work = cost.server_batch + count * cost.server_item
        begun = max(sent, heapq.heappop(self._cores))
        heapq.heappush(self._cores, begun + work)
        self.busy += work
        synced = begun + work + cost.sync
        if cost.logged:
            synced = self._log_is_free = max(begun + work, self._log_is_free) + cost.sync
        heapq.heappush(self._events, (synced + NETWORK, next(self._order), worker, count))


def main() -> None:
    for name, cost in OPERATIONS.items():
        for front_ends in (1, 2, 4, 8):
            simulation = Simulation(cost, front_ends)
            rate = simulation.run()
            share = simulation.busy / SECONDS / CORES
            print(
                f"{name} {front_ends} front ends: {rate:8.0f} a second, PostgreSQL {share:4.0%} of {CORES} cores"
            )


if __name__ == "__main__":
    main()
