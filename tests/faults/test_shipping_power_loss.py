"""Power loss while changes are shipped to an archive, and while tables are exported.

One client writes; its changes are shipped now and then, or exports are started, whose jobs run after each request.
The disk of the database is recorded, and with it the store of objects. After a crash at any event

- the archive alone, as if the machine had burnt, gives back what was true after some request, none before the last
  that was shipped; and the database goes on in the same epoch of the archive, which then gives back all it holds;
- every summary manifest that is there belongs to a whole export, and every export that was acknowledged comes to
  its end with exactly the items of its moment.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blotter.database.archive.archiver import Archiver
from blotter.database.archive.layout import epoch_ids
from blotter.database.archive.recovering import recover
from blotter.database.copies.jobs import all_jobs
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.encryption.directory_keys import key_files
from blotter.database.encryption.files import FileCipher
from blotter.database.inspection.check import check as check_directory
from blotter.database.storage.sqlite import SqliteStorage
from tests.faults.recorded_objects import TABLE, Items, RecordedObjects, read, use
from tests.faults.storage_power_loss import Record, crashes, recording, write_files
from tests.in_process import InProcessDatabase

PLAIN = FileCipher(None, lambda _: None)
Answer = dict[str, Any]
Marks = dict[tuple[str, str], int]


class Workload:
    """Requests of one client, over a recorded disk. `states` has what is true after each: the items of each
    table."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.record = Record()
        self.objects = RecordedObjects(self.record)
        self.choice = random.Random(seed)
        self.folder = folder
        self.states: list[dict[str, Items]] = [{}]
        self.ready = 0

    def run(self, requests: int) -> None:
        with recording(self.record) as vfs:
            self.database = InProcessDatabase(self.folder, store=partial(SqliteStorage.open, vfs=vfs))
            use(self.database.tools, MemoryObjects(self.objects, ""))
            self.prepare()
            self.ready = len(self.record.events)
            for _ in range(requests):
                self.step()
            self.database.close()

    def prepare(self) -> None: ...

    def step(self) -> None: ...

    def request(self, operation: str, request: Answer, state: dict[str, Items]) -> Answer:
        """Sends a request after which `state` is true."""
        number = len(self.states)
        self.states.append(state)
        self.record.add("sent", "", number)
        status, body = self.database.call(operation, request)
        assert status == 200, body
        self.record.add("acknowledged", "", number)
        return body

    def write(self, table: str) -> None:
        """One item put or deleted, or two in a transaction."""
        choice = self.choice
        state = {name: dict(items) for name, items in self.states[-1].items()}
        key, other = (str(number) for number in choice.sample(range(12), 2))
        number = len(self.states)
        item = {"id": {"S": key}, "kind": {"S": choice.choice("ab")}, "n": {"N": str(number)}}
        item["text"] = {"S": "x" * choice.choice((1, 2500))}
        kind = choice.random()
        if kind < 0.2:
            state[table].pop(key, None)
            self.request("DeleteItem", {"TableName": table, "Key": {"id": {"S": key}}}, state)
            return
        state[table][key] = item
        if kind < 0.7:
            self.request("PutItem", {"TableName": table, "Item": item}, state)
            return
        state[table][other] = item | {"id": {"S": other}}
        puts = [{"Put": {"TableName": table, "Item": state[table][each]}} for each in (key, other)]
        self.request("TransactWriteItems", {"TransactItems": puts}, state)

    def check(self, folder: Path, files: dict[str, bytes], event: int, marks: Marks) -> None: ...


class Shipping(Workload):
    def prepare(self) -> None:
        self.archiver = archiver_of(self.database, MemoryObjects(self.objects, ""), self.folder)
        self.request("CreateTable", TABLE, {"books": {}})
        self.ship()

    def step(self) -> None:
        tables = sorted(self.states[-1])
        kind = self.choice.random()
        if kind < 0.25:
            self.ship()
        elif kind < 0.33 or not tables:
            name = f"table-{len(self.states)}"
            self.request("CreateTable", TABLE | {"TableName": name}, self.states[-1] | {name: {}})
        elif kind < 0.38:
            gone = self.choice.choice(tables)
            state = {name: items for name, items in self.states[-1].items() if name != gone}
            self.request("DeleteTable", {"TableName": gone}, state)
        else:
            self.write(self.choice.choice(tables))

    def ship(self) -> None:
        self.database.run(self.archiver.run_once())
        self.record.add("shipped", "", len(self.states) - 1)

    def check(self, folder: Path, files: dict[str, bytes], event: int, marks: Marks) -> None:
        objects = self.objects.at(event)
        shipped, sent = marks["shipped", ""], marks["sent", ""]
        assert recovered(objects, folder / "burnt") in self.states[shipped : sent + 1]
        # The machine comes back instead.
        before = epoch_ids(objects)
        data = folder / "data"
        data.mkdir()
        write_files(data, files)
        database = InProcessDatabase(data)
        held = contents(database)
        assert held in self.states[marks["acknowledged", ""] : sent + 1]
        assert database.call("CreateTable", TABLE | {"TableName": "after"})[0] == 200
        archiver = archiver_of(database, objects, data)
        database.run(archiver.run_once())
        database.close()
        assert epoch_ids(objects) == before, "the archive goes on where it was"
        assert recovered(objects, folder / "later") == held | {"after": {}}
        assert check_directory(data).is_sound


class Exports(Workload):
    def prepare(self) -> None:
        self.request("CreateTable", TABLE, {"books": {}})
        recovery = {"PointInTimeRecoveryEnabled": True}
        self.request(
            "UpdateContinuousBackups",
            {"TableName": "books", "PointInTimeRecoverySpecification": recovery},
            self.states[-1],
        )
        described = self.database.call("DescribeTable", {"TableName": "books"})[1]
        self.arn = described["Table"]["TableArn"]
        self.exports: list[tuple[int, str]] = []
        """Which state an export is of, and its ARN."""

    def step(self) -> None:
        if self.choice.random() < 0.7:
            self.write("books")
            return
        form = self.choice.choice(("DYNAMODB_JSON", "DYNAMODB_JSON", "ION"))
        request = {"TableArn": self.arn, "S3Bucket": "exports", "ExportFormat": form, "S3Prefix": form}
        answer = self.request("ExportTableToPointInTime", request, self.states[-1])
        self.exports.append((len(self.states) - 1, answer["ExportDescription"]["ExportArn"]))

    def check(self, folder: Path, files: dict[str, bytes], event: int, marks: Marks) -> None:
        objects = self.objects.at(event)
        moments = {arn.rpartition("/")[2]: number for number, arn in self.exports}
        for name in summaries(objects):
            self._check_export(objects, name, moments)
        data = folder / "data"
        data.mkdir()
        write_files(data, files)
        database = InProcessDatabase(data)
        use(database.tools, objects)
        database.call("ListTables", {})  # and the jobs run
        assert not database.run(database.storage.fetch(all_jobs))
        for number, arn in self.exports:
            status, found = database.call("DescribeExport", {"ExportArn": arn})
            if status != 200:
                assert number > marks["acknowledged", ""]
                continue
            described = found["ExportDescription"]
            assert described["ExportStatus"] == "COMPLETED"
            self._check_export(objects, f"exports/{described['ExportManifest']}", moments)
            assert described["ItemCount"] == len(self.states[number]["books"])
        database.close()
        assert check_directory(data).is_sound

    def _check_export(self, objects: MemoryObjects, manifest: str, moments: dict[str, int]) -> None:
        """That an export which has a summary is whole, and holds the items of its moment."""
        summary = json.loads(with_checksum(objects, manifest))
        keys: list[str] = []
        for line in with_checksum(objects, f"exports/{summary['manifestFilesS3Key']}").splitlines():
            file = json.loads(line)
            stored = objects.get(f"exports/{file['dataFileS3Key']}")
            assert hashlib.md5(stored).digest() == b64decode(file["md5Checksum"])
            rows = gzip.decompress(stored).splitlines()
            assert len(rows) == file["itemCount"]
            if summary["outputFormat"] == "DYNAMODB_JSON":
                keys += [json.loads(row)["Item"]["id"]["S"] for row in rows]
        expected = self.states[moments[summary["exportArn"].rpartition("/")[2]]]["books"]
        assert summary["itemCount"] == len(expected)
        assert summary["outputFormat"] == "ION" or sorted(keys) == sorted(expected)


def archiver_of(database: InProcessDatabase, objects: MemoryObjects, folder: Path) -> Archiver:
    return Archiver(
        database.storage, objects.within("archive"), PLAIN, partial(key_files, folder), 1.0, 7 * 86_400.0
    )


def contents(database: InProcessDatabase) -> dict[str, Items]:
    return {name: read(database, name) for name in database.call("ListTables", {})[1]["TableNames"]}


def recovered(objects: MemoryObjects, target: Path) -> dict[str, Items]:
    recover(objects.within("archive"), target, None, None, lambda *_: None)
    database = InProcessDatabase(target)
    try:
        return contents(database)
    finally:
        database.close()


def summaries(objects: MemoryObjects) -> list[str]:
    return [info.name for info in objects.list("exports/") if info.name.endswith("/manifest-summary.json")]


def with_checksum(objects: MemoryObjects, name: str) -> bytes:
    content = objects.get(name)
    written = objects.get(name.removesuffix(".json") + ".md5").decode()
    assert b64decode(written) == hashlib.md5(content).digest()
    return content


def check_crashes(workload: Workload, tmp_path: Path, requests: int, count: int) -> None:
    workload.run(requests)
    places = range(workload.ready, len(workload.record.events) + 1)
    points = workload.choice.sample(places, min(count, len(places)))
    for point, files, marks in crashes(workload.record, points, workload.choice):
        folder = tmp_path / f"event {point}"
        folder.mkdir()
        workload.check(folder, files, point, marks)


Make = Callable[[Path, int], Workload]


@pytest.mark.parametrize("make", [Shipping, Exports])
def test_what_was_shipped_survives_a_power_loss(make: Make, tmp_path: Path) -> None:
    check_crashes(make(tmp_path / "recorded", 1), tmp_path, requests=60, count=12)


@pytest.mark.slow
@pytest.mark.parametrize("make", [Shipping, Exports])
@pytest.mark.parametrize("seed", range(2, 8))
def test_and_many(make: Make, seed: int, tmp_path: Path) -> None:
    check_crashes(make(tmp_path / "recorded", seed), tmp_path, requests=150, count=150)
