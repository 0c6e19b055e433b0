"""`python -m benchmarks`: everything in one command, into docs/performance.md with --write.

    python -m benchmarks --write      the usual parts: twenty minutes on two cores
    python -m benchmarks --only compare --peers dynalite --rounds 1 --connections 16
    python -m benchmarks --only growth,imports --items 1000000
    python -m benchmarks --only growth --store postgresql://USER@127.0.0.1/DATABASE
    python -m benchmarks --only vectors --vectors 10000,100000,1000000 --write
    python -m benchmarks --only signatures,scaling,stalls --write
    python -m benchmarks --only soak --minutes 10 --write

Each part replaces its own figures in the document and leaves the others. Peers are installed once into --cache (or
$BLOTTER_BENCHMARK_CACHE), which is never inside the repository. Nothing else should run on the machine meanwhile;
the load average is written beside the figures.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    client,
    client_cost,
    growth,
    growth_on_postgres,
    hostile,
    imports,
    keeping,
    protection,
    report,
    scaling,
    servers,
    signatures,
    soak,
    stalls,
    vectors,
    wheel,
    workloads,
)
from benchmarks.comparison import Choice, Comparison
from benchmarks.rounds import Plan, circumstances, load_average
from blotter.database.settings.loading import cores

_ROOT = Path(__file__).parent.parent
_DOCUMENT = _ROOT / "docs/performance.md"
_PICTURE = _ROOT / "docs/images/performance-throughput.svg"
_ALL = (*workloads.OPERATIONS, *workloads.YCSB)


def _compare(plan: Plan, chosen: argparse.Namespace) -> dict[str, str]:
    started, load_before = time.time(), load_average()
    connections = tuple(int(count) for count in chosen.connections.split(","))
    choice = Choice(tuple(chosen.peers.split(",")), connections, tuple(chosen.workloads.split(",")))
    comparison = Comparison(plan, choice)
    comparison.run()
    if chosen.write:
        _PICTURE.write_text(comparison.picture())
    machine = (
        f"{cores()} cores ({platform.machine()}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}; {plan.rounds} rounds of {plan.seconds:g} s."
    )
    return {"machine": f"{machine} {circumstances(started, load_before)}", **comparison.parts()}


def _growth(plan: Plan, chosen: argparse.Namespace) -> dict[str, str]:
    if chosen.store:
        return growth_on_postgres.run(plan, chosen.items, chosen.store)
    return growth.run(plan, chosen.items)


PARTS: dict[str, Callable[[Plan, argparse.Namespace], dict[str, str]]] = {
    "client": lambda plan, _: client_cost.run(plan),
    "compare": _compare,
    "signatures": lambda plan, _: signatures.run(plan),
    "protection": lambda plan, chosen: protection.run(plan, chosen.items),
    "scaling": lambda plan, _: scaling.run(plan),
    "stalls": lambda plan, _: stalls.run(plan),
    "growth": _growth,
    "imports": lambda plan, chosen: imports.run(plan, chosen.items),
    "keeping": lambda plan, chosen: keeping.run(plan, chosen.items, chosen.rate),
    "vectors": lambda plan, chosen: vectors.run(plan, [int(count) for count in chosen.vectors.split(",")]),
    "hostile": lambda plan, _: hostile.run(plan),
    "soak": lambda plan, chosen: soak.run(plan, chosen.minutes),
}
_USUAL = ",".join(name for name in PARTS if name not in ("imports", "keeping", "protection", "hostile", "soak"))


def main() -> None:
    chosen = _arguments()
    cache = Path(chosen.cache).resolve()
    if cache.is_relative_to(_ROOT):
        raise SystemExit("--cache has to lie outside of the repository")
    cache.mkdir(parents=True, exist_ok=True)
    wheel.unpacked(cache)
    print(f"client: {client.name()}", flush=True)
    for name in chosen.only:
        print(f"\n{name}", flush=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="data-") as data:
            measured = PARTS[name](Plan(cache, Path(data), chosen.rounds, chosen.seconds), chosen)
        for part, content in measured.items():
            print(f"\n## {part}\n\n{content}", flush=True)
        if chosen.write:
            report.write(_DOCUMENT, measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    default = os.environ.get("BLOTTER_BENCHMARK_CACHE", "~/.cache/blotter-benchmarks")
    add = parser.add_argument
    add("--only", type=_parts, default=_parts(_USUAL), help=f"of {', '.join(PARTS)}; several by commas [{_USUAL}]")
    add(
        "--cache",
        default=os.path.expanduser(default),
        help="where peers are installed and data lies [%(default)s]",
    )
    add("--peers", default=",".join(server.name for server in servers.PEERS), help="[%(default)s]")
    add("--workloads", default=",".join(_ALL), help="of `compare`")
    add("--connections", default="1,16,64", help="of `compare` [%(default)s]")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=1.0, help="of each measurement; wrk knows whole ones")
    add(
        "--items",
        type=int,
        default=10_000_000,
        help="of the large table, where there is one",
    )
    add("--store", default="", help="postgresql://… on this machine: of `growth`, on PostgreSQL")
    add("--rate", type=float, default=2000.0, help="requests a second beside `keeping` [%(default)s]")
    add("--vectors", default="10000,100000", help="sizes of `vectors` [%(default)s]")
    add("--minutes", type=float, default=10.0, help="of `soak`")
    add("--write", action="store_true", help="write the figures into docs/performance.md")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"no part {name!r}; there are {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    main()
