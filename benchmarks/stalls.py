"""The slowest answers to writes beside the slowest commits of SQLite alone, alternating within one minute.

In a stall all connections wait for the same commit, so the slowest answers of a run are mostly one event reported
sixteen times. Therefore many short slices, and the slowest of each.
"""

from __future__ import annotations

import time

from benchmarks import floors, load, workloads
from benchmarks.report import table
from benchmarks.rounds import MIDDLE, Plan, circumstances, load_average, measure, print_result
from benchmarks.servers import BLOTTER, Running, fill

_KINDS = ("PutItem", "UpdateItem")
_BATCH = 8
"""What sixteen connections put into a commit of two workers at most."""
_SLICES, _SECONDS = 5, 2.0
_SHOWN = 5


def run(plan: Plan) -> dict[str, str]:
    started, load_before = time.time(), load_average()
    answers: dict[str, list[load.Result]] = {kind: [] for kind in _KINDS}
    commits: list[floors.Commits] = []
    path = floors.prepare(plan.data / "stalls-floor")
    with Running(BLOTTER, plan.cache, plan.data / "stalls") as running:
        fill(running.call)
        for _ in range(_SLICES):
            for kind in _KINDS:
                sample = measure(running, workloads.OPERATIONS[kind](), MIDDLE, _SECONDS)
                print_result(kind, MIDDLE, running.server.name, sample.result)
                answers[kind].append(sample.result)
                commits.append(floors.raw_puts(path, _BATCH, _SECONDS))
    rows = [
        _row(
            f"{kind}, {MIDDLE} connections, answers",
            sum(result.answers for result in taken),
            sum(result.slow for result in taken),
            [result.slowest for result in taken],
        )
        for kind, taken in answers.items()
    ]
    rows.append(
        _row(
            f"SQLite alone, {_BATCH} puts each, commits",
            sum(each.commits for each in commits),
            sum(each.slow for each in commits),
            [each.slowest for each in commits],
        )
    )
    heads = ["", "in all", f"over {load.SLOW:.0f} ms", f"slowest of each {_SECONDS:.0f} s: the worst {_SHOWN}, ms"]
    return {"stalls": f"{table(heads, rows)}\n\n{circumstances(started, load_before)}"}


def _row(name: str, count: int, slow: int, slowest: list[float]) -> list[str]:
    shown = ", ".join(f"{value:.0f}" for value in sorted(slowest, reverse=True)[:_SHOWN])
    return [name, f"{count:,}", str(slow), shown]
