"""Minutes of mixed load on one server: does its memory grow, do its files, do its answers slow down?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import client, signing, workloads
from benchmarks.report import number, table
from benchmarks.rounds import MIDDLE, Plan, circumstances, load_average, print_result
from benchmarks.servers import BLOTTER, Running, fill

_SLICE = 30.0
_WARM = 2.0
"""Minutes after which caches are full and what still grows is a leak."""


class _Size(NamedTuple):
    """Megabytes: the largest process, all together, the files."""

    minutes: float
    largest: float
    memory: float
    files: float

    def cells(self) -> list[str]:
        return [f"{self.largest:.1f}", f"{self.memory:.1f}", f"{self.files:.0f}"]


def run(plan: Plan, minutes: float) -> dict[str, str]:
    """A line for each half minute, and one about the growth."""
    started, load_before = time.time(), load_average()
    data = plan.data / "soak"
    with Running(BLOTTER, plan.cache, data) as server:
        fill(server.call)
        sizes = [_size(server, data, 0.0)]
        rows = [["0", *["–"] * 5, *sizes[0].cells()]]
        calls = [call for made in {**workloads.YCSB, **workloads.OPERATIONS}.values() for call in made()]
        for round_ in range(max(1, round(minutes * 60 / _SLICE))):
            requests = signing.requests(calls, server.host)
            result = client.run(server.address, requests, MIDDLE, _SLICE)
            print_result("everything", MIDDLE, server.server.name, result)
            sizes.append(_size(server, data, (round_ + 1) * _SLICE / 60))
            latency = [f"{result.p50:.2f}", f"{result.p99:.2f}", f"{result.slowest:.0f}"]
            rows.append(
                [
                    f"{sizes[-1].minutes:.1f}",
                    number(result.rate),
                    str(result.errors),
                    *latency,
                    *sizes[-1].cells(),
                ]
            )
    heads = ["minutes", "requests/s", "errors", "p50, ms", "p99, ms", "slowest, ms"]
    shown = table([*heads, "largest process, MB", "all processes, MB", "files, MB"], rows)
    return {"soak": f"{shown}\n\n{_growth(sizes)} {circumstances(started, load_before)}"}


def _size(server: Running, data: Path, minutes: float) -> _Size:
    files = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 1e6
    return _Size(minutes, max(server.resident()), server.total_memory(), files)


def _growth(sizes: list[_Size]) -> str:
    warm = next((size for size in sizes if size.minutes >= _WARM), sizes[0])
    grown = sizes[-1].memory - warm.memory
    return (
        f"From minute {warm.minutes:.0f} to minute {sizes[-1].minutes:.0f} all processes together grew by "
        f"{grown:+.1f} MB ({grown / warm.memory:+.1%})."
    )
