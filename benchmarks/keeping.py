"""What import, backup, export and restore of one table cost, and what others notice meanwhile.

The table has a global index that projects everything. Requests for another table come at a fixed rate all the time
(`paced`); their latencies without such work come first. `--rate 0` measures the work alone.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import workloads
from benchmarks.imports import creation, write_items
from benchmarks.paced import Latencies, Paced
from benchmarks.report import number, table
from benchmarks.rounds import Plan, circumstances, load_average
from benchmarks.servers import BLOTTER, Running, Server, make_table
from blotter.database.model.size import item_size

_ALONE_SECONDS = 20.0
_LIMIT_SECONDS = 3600.0
_LOADED = "large"
_RESTORED = "restored"


class _Step(NamedTuple):
    seconds: float
    cpu: float
    memory: float
    """The most megabytes of any of the server's processes."""
    beside: Latencies | None


def run(plan: Plan, items: int, rate: float, server: Server = BLOTTER) -> dict[str, str]:
    """The four in a row, on one server."""
    started, load_before = time.time(), load_average()
    data = plan.data / "keeping"
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(Running(server, plan.cache, data))
        for described in workloads.TABLES:
            make_table(running.call, described)
        for call in workloads.loading():
            running.call(*call)
        paced = stack.enter_context(Paced(running, rate)) if rate else None
        if paced is not None:
            time.sleep(_ALONE_SECONDS)
        alone = None if paced is None else paced.take()
        steps = _Steps(running, data, items, paced)
        measured = {
            "import": steps.measure(steps.import_),
            "backup": steps.measure(steps.back_up),
            "full export": steps.measure(steps.export),
            "restore": steps.measure(steps.restore),
        }
    heads = ["", "seconds", "items/s", "CPU, µs/item", "memory, MB", *_LATENCY_HEADS]
    rows = [["nothing", *[""] * 4, *_latencies(alone)]]
    rows += [_row(name, items, step) for name, step in measured.items()]
    line = f"{items:,} items of {item_size(workloads.item(0))} bytes. {circumstances(started, load_before)}"
    return {"keeping": f"{table(heads, rows)}\n\n{line}"}


_LATENCY_HEADS = ("GetItem p50, ms", "p99", "PutItem p50, ms", "p99", "requests/s")


def _row(name: str, items: int, step: _Step) -> list[str]:
    shown = [f"{step.seconds:.1f}", number(items / step.seconds), f"{step.cpu / items * 1e6:.1f}"]
    return [name, *shown, f"{step.memory:.0f}", *_latencies(step.beside)]


def _latencies(found: Latencies | None) -> list[str]:
    if found is None:
        return [""] * len(_LATENCY_HEADS)
    values = (found.get_p50, found.get_p99, found.put_p50, found.put_p99)
    return [*[f"{value:.1f}" for value in values], number(found.requests / found.seconds)]


class _Steps:
    """Each step starts something and returns a function that tells whether it has ended."""

    def __init__(self, running: Running, data: Path, items: int, paced: Paced | None) -> None:
        self._running = running
        self._data = data
        self._items = items
        self._paced = paced
        self._backup = ""

    def measure(self, begin: Callable[[], Callable[[], bool]]) -> _Step:
        if begin == self.import_:  # the file is no part of what is measured
            self._write_source()
        self._running.forget_peaks()
        if self._paced is not None:
            self._paced.take()
        cpu, began = self._running.cpu_seconds(), time.perf_counter()
        has_ended = begin()
        while not has_ended():
            if time.perf_counter() > began + _LIMIT_SECONDS:
                raise RuntimeError(f"{begin.__name__} took more than {_LIMIT_SECONDS:.0f} s")
            time.sleep(0.2)
        seconds = time.perf_counter() - began
        beside = None if self._paced is None else self._paced.take()
        step = _Step(seconds, self._running.cpu_seconds() - cpu, max(self._running.peaks()), beside)
        print(f"{begin.__name__}: {step}", flush=True)
        return step

    def _write_source(self) -> None:
        write_items(self._data / "objects" / "source" / _LOADED, "DYNAMODB_JSON", self._items)

    def import_(self) -> Callable[[], bool]:
        request = {
            "ClientToken": _LOADED,
            "S3BucketSource": {"S3Bucket": "source", "S3KeyPrefix": f"{_LOADED}/"},
            "InputFormat": "DYNAMODB_JSON",
            "TableCreationParameters": creation(_LOADED, index=True),
        }
        arn = self._call("ImportTable", request)["ImportTableDescription"]["ImportArn"]

        def ended() -> bool:
            found = self._call("DescribeImport", {"ImportArn": arn})["ImportTableDescription"]
            return self._completed(found, found["ImportStatus"], "COMPLETED")

        return ended

    def back_up(self) -> Callable[[], bool]:
        made = self._call("CreateBackup", {"TableName": _LOADED, "BackupName": "whole"})["BackupDetails"]
        self._backup = made["BackupArn"]

        def ended() -> bool:
            described = self._call("DescribeBackup", {"BackupArn": self._backup})["BackupDescription"]
            return self._completed(described, described["BackupDetails"]["BackupStatus"], "AVAILABLE")

        return ended

    def export(self) -> Callable[[], bool]:
        specification = {"PointInTimeRecoveryEnabled": True}
        self._call(
            "UpdateContinuousBackups",
            {"TableName": _LOADED, "PointInTimeRecoverySpecification": specification},
        )
        arn = self._call("DescribeTable", {"TableName": _LOADED})["Table"]["TableArn"]
        made = self._call("ExportTableToPointInTime", {"TableArn": arn, "S3Bucket": "exports"})
        export = made["ExportDescription"]["ExportArn"]

        def ended() -> bool:
            found = self._call("DescribeExport", {"ExportArn": export})["ExportDescription"]
            return self._completed(found, found["ExportStatus"], "COMPLETED")

        return ended

    def restore(self) -> Callable[[], bool]:
        self._call("RestoreTableFromBackup", {"TargetTableName": _RESTORED, "BackupArn": self._backup})

        def ended() -> bool:
            found = self._call("DescribeTable", {"TableName": _RESTORED})["Table"]
            return self._completed(found, found["TableStatus"], "ACTIVE")

        return ended

    def _completed(self, described: dict[str, Any], status: str, last: str) -> bool:
        if status in ("IN_PROGRESS", "CREATING"):
            return False
        if status != last:
            raise RuntimeError(str(described))
        return True

    def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._running.call(operation, body))
        return answer
