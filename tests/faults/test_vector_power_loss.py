"""Power loss under writes of a table with vector indexes: entries, journal and items are of one state after it."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blotter.database.inspection.check import check as check_directory
from blotter.database.operations.vectors.copies import COPIES
from blotter.database.storage.sqlite import SqliteStorage
from tests.faults.storage_power_loss import Record, crashes, recording, write_files
from tests.in_process import InProcessDatabase
from tests.unit.database.operations.vectors.vector_table import VectorTable, item

DIMENSIONS = 150
"""Entries of 600 bytes and more are stored outside their rows, smaller ones within."""


class Workload:
    """Requests of one client, over a recorded disk. `states` are the items after each."""

    def __init__(self, folder: Path, seed: int, requests: int) -> None:
        self.record = Record()
        choice = random.Random(seed)
        with recording(self.record) as vfs:
            database = InProcessDatabase(folder, store=partial(SqliteStorage.open, vfs=vfs))
            self.table = VectorTable([database], DIMENSIONS)
            self.ready = len(self.record.events)
            self.states = [dict(self.table.items)]
            for _ in range(requests):
                request = self._request(choice)
                self.states.append(dict(self.table.items))
                self.record.add("sent", "", len(self.states) - 1)
                request()
                assert self.table.items == self.states[-1]
                self.record.add("acknowledged", "", len(self.states) - 1)
            database.close()

    def _request(self, choice: random.Random) -> partial[None]:
        """A request, with its effect on the items done already."""
        keys = [f"key {number}" for number in choice.sample(range(20), 4)]
        items = self.table.items
        kind = choice.random()
        new = [self._item(choice, key) for key in keys[:3]]
        if kind < 0.3:
            items.pop(keys[0], None)
            return partial(self.table.delete, keys[0])
        if kind < 0.6:
            items[keys[0]] = new[0]
            return partial(self.table.put, new[0])
        items |= {each["id"]["S"]: each for each in new}
        items.pop(keys[3], None)
        return partial(self.table.transact, new, keys[3:])

    def _item(self, choice: random.Random, key: str) -> dict[str, Any]:
        if choice.random() < 0.1:
            return item(key, None, tenant="t")
        numbers = [float(choice.randrange(-3, 4)) for _ in range(DIMENSIONS)]
        return item(key, numbers, tenant=choice.choice("tu"), color="x" * choice.choice([1, 700]))

    def check_crash(self, folder: Path, files: dict[str, bytes], least: int, most: int) -> None:
        write_files(folder, files)
        COPIES.clear()
        database = InProcessDatabase(folder)
        self.table.databases = [database]
        scanned = {each["id"]["S"]: each for each in self.table.call("Scan")["Items"]}
        assert scanned in self.states[least : most + 1]
        self.table.items = scanned
        for tenant in "tu":
            self.table.check([1.0] * DIMENSIONS, 100, tenant)
        self.table.put(item("after", [1.0] * DIMENSIONS, tenant="t"))
        self.table.check([1.0] * DIMENSIONS, 5)
        database.close()
        assert check_directory(folder).is_sound


def check_crashes(tmp_path: Path, seed: int, requests: int, count: int) -> None:
    workload = Workload(tmp_path / "recorded", seed, requests)
    choice = random.Random(seed)
    places = range(workload.ready, len(workload.record.events) + 1)
    points = choice.sample(places, min(count, len(places)))
    for point, files, marks in crashes(workload.record, points, choice):
        folder = tmp_path / f"event {point}"
        folder.mkdir()
        workload.check_crash(folder, files, marks.get(("acknowledged", ""), 0), marks.get(("sent", ""), 0))


def test_an_index_is_what_its_table_is_after_a_power_loss(tmp_path: Path) -> None:
    check_crashes(tmp_path, seed=1, requests=120, count=20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_and_after_thousands(tmp_path: Path, seed: int) -> None:
    check_crashes(tmp_path, seed, requests=300, count=200)
