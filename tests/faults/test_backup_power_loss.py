"""Power loss while tables are copied and restored: what was acknowledged is there, and work goes on by itself.

One client writes items, makes backups, restores tables from them and deletes both; jobs run after every request.
The disk of the database is recorded, and with it what was put into the store of objects, which is safe once `put`
has returned. After a crash the database is opened with the objects of that moment: every backup and every restore
that was acknowledged must come to its end, with exactly the items of its moment.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blotter.database.copies.jobs import all_jobs
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import INTERNAL
from blotter.database.inspection.check import check as check_directory
from blotter.database.storage.sqlite import SqliteStorage
from tests.faults.recorded_objects import TABLE, Items, RecordedObjects, read, use
from tests.faults.storage_power_loss import Record, crashes, recording, write_files
from tests.in_process import InProcessDatabase


class State:
    """What a client knows after a request: tables with their items, backups with theirs."""

    def __init__(self, tables: dict[str, Items], backups: dict[str, Items]) -> None:
        self.tables = tables
        self.backups = backups

    def copy(self) -> State:
        return State({name: dict(items) for name, items in self.tables.items()}, dict(self.backups))


class Workload:
    """Requests of one client, over a recorded disk. `states` has what is true after each."""

    def __init__(self, folder: Path, seed: int, requests: int) -> None:
        self.record = Record()
        self.objects = RecordedObjects(self.record)
        choice = random.Random(seed)
        with recording(self.record) as vfs:
            database = InProcessDatabase(folder, store=partial(SqliteStorage.open, vfs=vfs))
            use(database.tools, MemoryObjects(self.objects, ""))
            assert database.call("CreateTable", TABLE)[0] == 200
            self.ready = len(self.record.events)
            self.states = [State({"books": {}}, {})]
            self.arns: dict[str, str] = {}
            for number in range(1, requests + 1):
                state = self.states[-1].copy()
                operation, request, name = self._request(choice, state, number)
                self.states.append(state)
                self.record.add("sent", "", number)
                status, body = database.call(operation, request)
                assert status == 200, body
                if operation == "CreateBackup":
                    self.arns[name] = body["BackupDetails"]["BackupArn"]
                self.record.add("acknowledged", "", number)
            database.close()

    def _request(self, choice: random.Random, state: State, number: int) -> tuple[str, dict[str, Any], str]:
        """A request, and the state after it."""
        kind = choice.random()
        books = state.tables["books"]
        if kind < 0.5 or not state.backups:
            key = str(choice.randrange(30))
            if kind < 0.1:
                books.pop(key, None)
                return "DeleteItem", {"TableName": "books", "Key": {"id": {"S": key}}}, ""
            if kind < 0.4:
                item = {"id": {"S": key}, "kind": {"S": choice.choice("ab")}, "n": {"N": str(number)}}
                books[key] = item | {"text": {"S": "x" * choice.choice((1, 2500))}}
                return "PutItem", {"TableName": "books", "Item": books[key]}, ""
            name = f"backup-{number}"
            state.backups[name] = dict(books)
            return "CreateBackup", {"TableName": "books", "BackupName": name}, name
        name = choice.choice(sorted(state.backups))
        if kind < 0.85:
            table = f"table-{number}"
            state.tables[table] = dict(state.backups[name])
            return "RestoreTableFromBackup", {"BackupArn": self.arns[name], "TargetTableName": table}, ""
        del state.backups[name]
        return "DeleteBackup", {"BackupArn": self.arns[name]}, ""

    def check_crash(self, folder: Path, files: dict[str, bytes], event: int, least: int, most: int) -> None:
        write_files(folder, files)
        objects = self.objects.at(event)
        database = InProcessDatabase(folder)
        use(database.tools, objects)
        database.call("ListTables", {})  # and the jobs run
        assert not database.run(database.storage.fetch(all_jobs))
        tables = {name: read(database, name) for name in database.call("ListTables", {})[1]["TableNames"]}
        summaries = database.call("ListBackups", {})[1]["BackupSummaries"]
        assert all(summary["BackupStatus"] == "AVAILABLE" for summary in summaries)
        # Restored tables show what the backups held; those that are left are restored here.
        backups = {}
        for summary in summaries:
            request = {"BackupArn": summary["BackupArn"], "TargetTableName": "checked"}
            assert database.call("RestoreTableFromBackup", request)[0] == 200
            backups[summary["BackupName"]] = read(database, "checked")
            assert database.call("DeleteTable", {"TableName": "checked"})[0] == 200
        found = (tables, backups)
        assert found in [(state.tables, state.backups) for state in self.states[least : most + 1]]
        kept = {summary["BackupArn"].rpartition("/")[2] for summary in summaries}
        assert {info.name.split("/")[4] for info in objects.list(f"{INTERNAL}/backups/")} == kept
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
        least, most = marks.get(("acknowledged", ""), 0), marks.get(("sent", ""), 0)
        workload.check_crash(folder, files, point, least, most)


def test_copies_survive_a_power_loss(tmp_path: Path) -> None:
    check_crashes(tmp_path, seed=1, requests=60, count=12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_and_many(tmp_path: Path, seed: int) -> None:
    check_crashes(tmp_path, seed, requests=150, count=150)
