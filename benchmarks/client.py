"""The client of all measurements: wrk where it is installed, otherwise ours in Python.

As a program it puts load on one server that runs already, for a profiler to look at:

    python -m benchmarks.client 127.0.0.1:8000 --fill --workload PutItem --connections 16 --seconds 10
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from benchmarks import load, signing, workloads, wrk
from benchmarks.load import Result

Replay = Callable[[tuple[str, int], Sequence[bytes], int, float], Result]


def name() -> str:
    return "wrk" if wrk.is_here() else "benchmarks/load.py"


def run(
    address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float, *, tls: bool = False
) -> Result:
    """Replays requests in their order for some seconds over some connections. Raises load.NoAnswer, and
    RuntimeError for TLS without wrk."""
    if wrk.is_here():
        return wrk.run(address, requests, connections, seconds, tls=tls)
    if tls:
        raise RuntimeError("measuring TLS needs wrk: install it with the system's packages")
    return load.run(address, requests, connections, seconds)


def main() -> None:
    from benchmarks.servers import ask, fill

    parser = argparse.ArgumentParser(prog="python -m benchmarks.client", description=__doc__.partition("\n")[0])
    parser.add_argument("address", help="host:port")
    parser.add_argument("--workload", choices=[*workloads.OPERATIONS, *workloads.YCSB], default="GetItem")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--fill", action="store_true", help="make the tables and their data first")
    parser.add_argument("--python", action="store_true", help="use benchmarks/load.py even where wrk is")
    chosen = parser.parse_args()
    host, _, port = chosen.address.rpartition(":")
    address = (host, int(port))
    if chosen.fill:
        fill(lambda operation, body: ask(address, operation, body))
    calls = {**workloads.OPERATIONS, **workloads.YCSB}[chosen.workload]()
    replay = load.run if chosen.python else run
    result = replay(address, signing.requests(calls, chosen.address), chosen.connections, chosen.seconds)
    print(result, f"  client {result.client_cpu / result.answers * 1e6:.1f} µs/request")


if __name__ == "__main__":
    main()
