"""Minutes of mixed load on one server: does its memory grow, does its log, do its answers slow down?"""

from __future__ import annotations

from pathlib import Path

from benchmarks import comparison, load, workloads
from benchmarks.report import number, table
from benchmarks.servers import BLOTTER, Running

_SLICE = 30.0


def run(cache: Path, data: Path, minutes: float) -> str:
    """A markdown table with a line for each half minute."""
    rows = []
    with Running(BLOTTER, cache, data) as server:
        comparison.fill(server)
        calls = [call for made in workloads.YCSB.values() for call in made()]
        calls += [call for made in workloads.OPERATIONS.values() for call in made()]
        requests = workloads.requests(calls, server.host)
        for round_ in range(max(1, round(minutes * 60 / _SLICE))):
            result = load.run(server.address, requests, connections=16, seconds=_SLICE)
            files = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 1e6
            memory = [f"{max(server.resident()):.0f}", f"{server.total_memory():.0f}", f"{files:.0f}"]
            latency = [f"{result.p50:.2f}", f"{result.p99:.2f}", f"{result.slowest:.0f}"]
            rows.append(
                [f"{(round_ + 1) * _SLICE / 60:.1f}", number(result.rate), str(result.errors), *latency, *memory]
            )
            print(" ".join(rows[-1]), flush=True)
    heads = ["minutes", "requests/s", "errors", "p50, ms", "p99, ms", "slowest, ms"]
    return table([*heads, "largest process, MB", "all processes, MB", "files, MB"], rows)
