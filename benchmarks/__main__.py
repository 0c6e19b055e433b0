"""`python -m benchmarks`: everything in one command, into docs/performance.md with --write.

    python -m benchmarks                       compare, floors, growth: about twelve minutes on two cores
    python -m benchmarks --only compare --peers dynalite --rounds 1 --connections 16
    python -m benchmarks --only growth --items 1000000
    python -m benchmarks --only soak --minutes 10

Peers are installed once into --cache (or $BLOTTER_BENCHMARK_CACHE), which is never inside the repository. Nothing
else should run on the machine meanwhile; the load average is written beside the figures.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

from benchmarks import growth, report, servers, soak, workloads
from benchmarks.comparison import Comparison, Plan
from blotter.database.settings import cores

_ROOT = Path(__file__).parent.parent
_DOCUMENT = _ROOT / "docs/performance.md"
_PICTURE = _ROOT / "docs/images/performance-throughput.svg"
_ALL = (*workloads.OPERATIONS, *workloads.YCSB)


def main() -> None:
    chosen = _arguments()
    cache = Path(chosen.cache).resolve()
    if cache.is_relative_to(_ROOT):
        raise SystemExit("--cache has to lie outside of the repository")
    cache.mkdir(parents=True, exist_ok=True)
    parts: dict[str, str] = {}
    picture = ""
    before = os.getloadavg()[0]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=cache, prefix="data-") as data:
        if chosen.only in ("all", "compare"):
            comparison = Comparison(_plan(chosen, cache, Path(data)))
            comparison.run()
            parts |= comparison.parts()
            picture = comparison.picture()
        if chosen.only in ("all", "growth"):
            parts["growth"] = growth.run(cache, Path(data) / "growth", chosen.items, chosen.rounds, chosen.seconds)
        if chosen.only == "soak":
            print(soak.run(cache, Path(data) / "soak", chosen.minutes))
    parts["machine"] = (
        f"{time.strftime('%Y-%m-%d')}, {cores()} cores ({platform.machine()}), "
        f"Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}; load average before: {before:.1f}; {chosen.rounds} rounds of "
        f"{chosen.seconds:g} s; {(time.perf_counter() - started) / 60:.0f} minutes in all."
    )
    for name, content in parts.items():
        print(f"\n## {name}\n\n{content}")
    if chosen.write and chosen.only != "soak":
        report.write(_DOCUMENT, parts)
        if picture:
            _PICTURE.write_text(picture)


def _plan(chosen: argparse.Namespace, cache: Path, data: Path) -> Plan:
    return Plan(
        cache,
        data,
        tuple(chosen.peers.split(",")),
        chosen.rounds,
        chosen.seconds,
        tuple(int(count) for count in chosen.connections.split(",")),
        tuple(chosen.workloads.split(",")),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    default = os.environ.get("BLOTTER_BENCHMARK_CACHE", "~/.cache/blotter-benchmarks")
    add = parser.add_argument
    add("--only", choices=("all", "compare", "growth", "soak"), default="all")
    add(
        "--cache",
        default=os.path.expanduser(default),
        help="where peers are installed and data lies [%(default)s]",
    )
    add("--peers", default=",".join(server.name for server in servers.PEERS), help="[%(default)s]")
    add("--workloads", default=",".join(_ALL), help="[%(default)s]")
    add("--connections", default="1,16,64")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=1.0, help="of each measurement")
    add("--items", type=int, default=10_000_000, help="the large table of `growth`")
    add("--minutes", type=float, default=10.0, help="of `soak`")
    add("--write", action="store_true", help="write the figures into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
