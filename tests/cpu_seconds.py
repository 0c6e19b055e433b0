"""What the tests of each file cost: CPU seconds of this process and of those that it started and waited for.

`make durations` records them in `cpu_seconds.json`, in one process, so that a busy machine changes little. From
them `make quick` (`--quick`) chooses: the unit tests and the golden scripts without the longest files, so many of
these as it takes for the rest to need less than a minute on two cores. A file that was never recorded is taken.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".json")
QUICK_SECONDS = 70.0
"""Of CPU, for the tests alone: collecting them takes some seconds in each process as well."""
ALWAYS = "tests/test_scripts.py"


def left_out(seconds: dict[str, float], enough: float = QUICK_SECONDS) -> set[str]:
    """The longest files, without which the others take no longer than `enough`; never the golden scripts."""
    taken = seconds.get(ALWAYS, 0.0)
    by_length = sorted(seconds.keys() - {ALWAYS}, key=lambda path: (seconds[path], path))
    for number, path in enumerate(by_length):
        taken += seconds[path]
        if taken > enough:
            return set(by_length[number:])
    return set()


class Quick:
    """A plugin that does not even import what is left out."""

    def __init__(self) -> None:
        self._left_out = {ROOT / path for path in left_out(json.loads(FILE.read_text()))}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if collection_path in self._left_out else None


class Recording:
    """A plugin that writes what it measured when all tests have passed."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        before = _used()
        try:
            return (yield)
        finally:
            self._seconds[item.path.relative_to(ROOT).as_posix()] += _used() - before

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus != pytest.ExitCode.OK:
            return
        rounded = {path: round(seconds, 1) for path, seconds in sorted(self._seconds.items())}
        FILE.write_text(json.dumps(rounded, indent=0) + "\n")


def _used() -> float:
    """With what children have used that have been waited for."""
    return sum(os.times()[:4])
