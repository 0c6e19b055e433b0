"""A server's whole contents come back out of its archive: at the end, and at moments of a random history over
tables with indexes, transactions, expired items, deleted and remade tables, users; and nothing that is damaged is
taken."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blotter.database.archive.archiver import Archiver
from blotter.database.archive.choosing import NotRecoverable
from blotter.database.archive.layout import DamagedArchive
from blotter.database.archive.recovering import recover
from blotter.database.archive.state import stop_archiving
from blotter.database.background.change_log import ChangeLogTrimmer
from blotter.database.background.time_to_live import TimeToLiveSweeper
from blotter.database.copies.format import DamagedCopy
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import ObjectsUnavailable
from blotter.database.copies.segments import DamagedSegment
from blotter.database.encryption.directory_keys import key_files
from blotter.database.encryption.files import FileCipher
from blotter.database.security.access_records import User, every, save
from blotter.database.storage.protocol import DataDirectoryError
from tests.in_process import ACCOUNT, InProcessDatabase

PLAIN = FileCipher(None, lambda _: None)
SEEDS = (*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 60)))
NAMES = ("first", "second", "third")
Contents = dict[str, Any]


class Server:
    """A database with an archive, and what was in it at every moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_790_000_000.0
        self.database = InProcessDatabase(folder, clock=lambda: self.now)
        self.stored: dict[str, tuple[bytes, float]] = {}
        self.objects = MemoryObjects(self.stored, "")
        self.archiver = self.new_archiver()
        self.moments: list[tuple[float, Contents]] = []

    def new_archiver(self) -> Archiver:
        return Archiver(
            self.database.storage,
            self.objects,
            PLAIN,
            partial(key_files, self.folder),
            1.0,
            7 * 86_400.0,
            lambda: self.now,
        )

    def reopen(self, folder: Path) -> None:
        """Another process, perhaps on another directory."""
        self.folder = folder
        self.database = InProcessDatabase(folder, clock=lambda: self.now)
        self.archiver = self.new_archiver()

    def ship(self) -> None:
        self.database.run(self.archiver.run_once())

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, answer = self.database.call(operation, request)
        assert status == 200, answer
        return answer

    def create(self, name: str, indexes: bool = True) -> None:
        indexed: dict[str, Any] = {
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-v",
                    "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            "LocalSecondaryIndexes": [
                {
                    "IndexName": "local",
                    "KeySchema": [
                        {"AttributeName": "p", "KeyType": "HASH"},
                        {"AttributeName": "v", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        }
        types = [("p", "S"), ("s", "N"), *([("v", "N")] if indexes else [])]
        self.call(
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each, kind in types],
            BillingMode="PAY_PER_REQUEST",
            **(indexed if indexes else {}),
        )

    def note(self) -> None:
        self.moments.append((self.now, contents(self.database)))

    def at(self, time: float) -> Contents:
        return [found for then, found in self.moments if then <= time][-1]

    def recovered(self, target: Path, at: float | None = None) -> Contents:
        recover(self.objects, target, at, None, lambda *_: None, lambda: self.now)
        database = InProcessDatabase(target, clock=lambda: self.now)
        try:
            return contents(database)
        finally:
            database.close()


def contents(database: InProcessDatabase) -> Contents:
    """Every item of every table and index, and the users."""
    found: Contents = {}
    for name in database.call("ListTables", {})[1]["TableNames"]:
        description = database.call("DescribeTable", {"TableName": name})[1]["Table"]
        found[name] = {"id": description["TableId"], "count": description["ItemCount"]}
        indexes = [None]
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            indexes += [index["IndexName"] for index in description.get(kind, ())]
        for index in indexes:
            where = {} if index is None else {"IndexName": index}
            items = database.call("Scan", {"TableName": name, **where})[1]["Items"]
            found[name][index or ""] = sorted(json.dumps(item, sort_keys=True) for item in items)
        found[name]["ttl"] = database.call("DescribeTimeToLive", {"TableName": name})[1]
    users = database.run(database.storage.fetch(lambda tx: [user.name for user in every(tx, ACCOUNT, User)]))
    return {**found, "users": users}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    yield server
    server.database.close()


def random_step(server: Server, chance: random.Random, tables: set[str]) -> None:
    kind = chance.choice(["put"] * 12 + ["delete"] * 3 + ["transaction", "table", "index", "expire", "user"])
    key = {"p": {"S": chance.choice("ab")}, "s": {"N": str(chance.randrange(6))}}
    item = {**key, "v": {"N": str(chance.randrange(9))}, "ttl": {"N": str(int(server.now) + 400)}}
    name = chance.choice(NAMES)
    if kind == "table":
        if name in tables:
            tables.remove(name)
            server.call("DeleteTable", TableName=name)
        else:
            tables.add(name)
            server.create(name, indexes=chance.random() < 0.7)
            server.call(
                "UpdateTimeToLive",
                TableName=name,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
            )
    elif kind == "user":
        user = User(f"user{chance.randrange(9)}", "AIDA", "/", server.now)
        server.database.run(server.database.storage.write(lambda tx: save(tx, ACCOUNT, user)))
    elif kind == "expire":
        sweeper = TimeToLiveSweeper(server.database.storage, lambda: server.now)
        server.database.run(sweeper.run_once())
    elif name not in tables:
        return
    elif kind == "put":
        server.call("PutItem", TableName=name, Item=item)
    elif kind == "delete":
        server.call("DeleteItem", TableName=name, Key=key)
    elif kind == "transaction":
        puts = [{"Put": {"TableName": each, "Item": item}} for each in sorted(tables)]
        server.call("TransactWriteItems", TransactItems=puts)
    else:
        indexes = server.call("DescribeTable", TableName=name)["Table"].get("GlobalSecondaryIndexes", ())
        if any(index["IndexName"] == "late" for index in indexes):
            update: dict[str, Any] = {"Delete": {"IndexName": "late"}}
        else:
            update = {
                "Create": {
                    "IndexName": "late",
                    "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            }
        server.call(
            "UpdateTable",
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "v", "AttributeType": "N"}],
            GlobalSecondaryIndexUpdates=[update],
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_every_moment_of_a_random_history_can_be_recovered(server: Server, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    tables: set[str] = set()
    for _ in range(20):  # before there is an archive
        random_step(server, chance, tables)
        server.now += 1
    server.ship()
    server.now += 1
    begin = server.now
    server.note()
    for _ in range(80):
        server.now += chance.choice([0.0, 0.5, 3.0, 20.0])
        random_step(server, chance, tables)
        server.note()
        if chance.random() < 0.2:
            server.ship()
            server.database.run(ChangeLogTrimmer(server.database.storage, lambda: server.now).run_once())
        if chance.random() < 0.05:
            server.archiver = server.new_archiver()
    server.ship()
    assert server.recovered(tmp_path / "all") == server.moments[-1][1]
    for number, moment in enumerate(chance.sample(sorted({then for then, _ in server.moments}), 5)):
        time = max(begin, moment + chance.choice([0.0, 0.2]))
        assert server.recovered(tmp_path / f"at-{number}", time) == server.at(time), time


def test_a_crash_between_a_segment_and_its_confirmation_repeats_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("first")
    server.ship()
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise OSError("killed")

        patch.setattr("blotter.database.archive.archiver._confirm", fail)
        server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": "1"}})
        with pytest.raises(OSError, match="killed"):
            server.ship()
    epochs = epochs_of(server)
    server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": "2"}})
    server.note()
    server.archiver = server.new_archiver()
    server.ship()
    assert epochs_of(server) == epochs, "the log goes on in its epoch"
    assert server.recovered(tmp_path / "target") == server.moments[-1][1]


@pytest.mark.parametrize("after", range(12))
def test_a_crash_after_any_object_leaves_an_archive_that_goes_on(
    server: Server, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies once so many objects were stored; the next one goes on."""
    server.create("first")
    for number in range(5):
        server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": str(number)}})
    with monkeypatch.context() as patch:
        put, left = MemoryObjects.put, [after]

        def dying(self: MemoryObjects, name: str, content: bytes) -> None:
            if not left[0]:
                raise ObjectsUnavailable("killed")
            left[0] -= 1
            put(self, name, content)

        patch.setattr(MemoryObjects, "put", dying)
        with suppress(ObjectsUnavailable):
            server.ship()
            server.create("second")
            server.ship()
    server.call("PutItem", TableName="first", Item={"p": {"S": "b"}, "s": {"N": "1"}})
    server.note()
    server.archiver = server.new_archiver()
    server.now += 60
    server.ship()
    assert server.recovered(tmp_path / "target") == server.moments[-1][1]


def test_a_directory_that_is_an_older_copy_of_itself_begins_a_new_epoch(server: Server, tmp_path: Path) -> None:
    server.create("first")
    server.ship()
    copy = tmp_path / "copy"
    server.database.run(server.database.storage.close())
    shutil.copytree(server.folder, copy)
    server.reopen(server.folder)
    server.call("PutItem", TableName="first", Item={"p": {"S": "lost"}, "s": {"N": "1"}})
    server.ship()
    server.database.close()
    server.reopen(copy)
    server.call("PutItem", TableName="first", Item={"p": {"S": "kept"}, "s": {"N": "1"}})
    server.note()
    server.ship()
    assert len(epochs_of(server)) == 2
    assert server.recovered(tmp_path / "target") == server.moments[-1][1]


def test_segments_that_were_taken_away_begin_a_new_epoch(server: Server, tmp_path: Path) -> None:
    server.create("first")
    server.ship()
    server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": "1"}})
    server.note()
    server.ship()
    for name in [name for name in server.stored if "/log/" in name]:
        del server.stored[name]
    server.archiver = server.new_archiver()
    server.ship()
    assert len(epochs_of(server)) == 2
    assert server.recovered(tmp_path / "target") == server.moments[-1][1]


@pytest.mark.parametrize("damage", ["flipped", "missing", "mixed", "cut"])
def test_damage_is_refused_by_name_and_nothing_is_left(server: Server, tmp_path: Path, damage: str) -> None:
    server.create("first")
    server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": "1"}})
    server.ship()
    for number in range(4):
        server.now += 1
        server.call("PutItem", TableName="first", Item={"p": {"S": "b"}, "s": {"N": str(number)}})
        server.ship()
    whole = dict(server.stored)
    last = max(name for name in whole if "/log/" in name)  # that it is missing cannot be known
    assert server.recovered(tmp_path / "before")
    for name in sorted(whole):
        if name == last and damage == "missing":
            continue
        server.stored.clear()
        server.stored.update(whole)
        content, time = whole[name]
        if damage == "missing":
            del server.stored[name]
        elif damage == "mixed":
            other = next(other for other in whole if other.rpartition("/")[0] != name.rpartition("/")[0])
            server.stored[name] = whole[other]
        elif damage == "cut":
            server.stored[name] = (content[:-1], time)
        else:
            middle = len(content) // 2
            server.stored[name] = (
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                time,
            )
        target = tmp_path / "target"
        with pytest.raises((DamagedArchive, DamagedCopy, DamagedSegment, NotRecoverable)) as raised:
            server.recovered(target)
        assert "memory:" in str(raised.value)
        assert not target.exists()
        assert not list(tmp_path.glob(".target.incomplete-*"))


def test_what_is_before_a_gap_can_be_recovered(server: Server, tmp_path: Path) -> None:
    server.create("first")
    server.ship()
    server.now += 1
    server.note()
    kept = server.now
    for number in range(3):
        server.now += 10
        server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": str(number)}})
        server.ship()
    del server.stored[sorted(name for name in server.stored if "/log/" in name)[-2]]
    with pytest.raises(DamagedArchive, match="is missing; what is before it can be recovered with --at 2026-"):
        server.recovered(tmp_path / "target")
    assert server.recovered(tmp_path / "target", kept) == server.moments[-1][1]


def test_a_time_before_the_archive_is_refused(server: Server, tmp_path: Path) -> None:
    server.create("first")
    server.ship()
    with pytest.raises(NotRecoverable, match="begins at 2026-"):
        server.recovered(tmp_path / "target", server.now - 10)
    server.stored.clear()
    with pytest.raises(NotRecoverable, match="memory: holds no archive"):
        server.recovered(tmp_path / "target")


def test_a_directory_that_is_not_empty_is_left_alone(server: Server, tmp_path: Path) -> None:
    server.ship()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").touch()
    with pytest.raises(DataDirectoryError, match="not an empty directory"):
        server.recovered(tmp_path / "target")


def test_recovery_stays_switched_on_and_can_restore_what_follows(server: Server, tmp_path: Path) -> None:
    server.create("first")
    server.call(
        "UpdateContinuousBackups",
        TableName="first",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9},
    )
    server.ship()
    recover(server.objects, tmp_path / "target", None, None, lambda *_: None, lambda: server.now)
    database = InProcessDatabase(tmp_path / "target", clock=lambda: server.now)
    answer = database.call("DescribeContinuousBackups", {"TableName": "first"})[1]
    database.close()
    described = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert described["EarliestRestorableDateTime"] == server.now
    assert described["RecoveryPeriodInDays"] == 9


def test_what_is_older_than_the_retention_is_removed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blotter.database.archive.bases.LEAST_BYTES", 1)
    server.create("first")
    for day in range(20):
        server.call(
            "PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": str(day % 3)}, "d": {"S": "x" * day}}
        )
        server.note()
        server.ship()
        server.now += 86_400
        server.ship()
    week = server.now - 7 * 86_400
    complete = [name for name in server.stored if name.endswith("/complete")]
    assert 0 < len(complete) < 12
    assert server.recovered(tmp_path / "now") == server.moments[-1][1]
    assert server.recovered(tmp_path / "week", week) == server.at(week)
    with pytest.raises(NotRecoverable):
        server.recovered(tmp_path / "older", week - 5 * 86_400)


def epochs_of(server: Server) -> list[str]:
    return sorted(name for name in server.stored if name.startswith("epochs/"))


def test_an_archive_that_falls_behind_is_reported_once(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("first")
    server.ship()
    with monkeypatch.context() as patch:

        def slow(*_: object) -> None:
            raise ObjectsUnavailable("memory: cannot be written, its disk is full: make room there")

        patch.setattr(MemoryObjects, "put", slow)
        server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": "1"}})
        server.now += 40
        for _ in range(2):
            with pytest.raises(ObjectsUnavailable):
                server.ship()
            server.database.run(server.archiver.look())
    assert dict(server.archiver.levels()) == {"ArchiveLag": 40.0}
    server.ship()
    server.database.run(server.archiver.look())
    assert dict(server.archiver.levels()) == {"ArchiveLag": 0.0}
    assert caplog.messages == [
        "the archive memory: is 40 s behind: what was written since would be lost with this machine",
        "the archive memory: has caught up",
    ]


def test_two_servers_with_one_archive_leave_each_other_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("blotter.database.archive.bases.LEAST_BYTES", 1)
    other = Server(tmp_path / "other")
    try:
        other.stored, other.objects = server.stored, server.objects
        other.archiver = other.new_archiver()
        other.create("second")
        other.note()
        other.ship()
        server.now += 1
        server.create("first")
        server.note()
        server.ship()
        assert "epochs of another data directory" in caplog.text
        for _ in range(3):
            server.now += 30 * 86_400
            server.call("PutItem", TableName="first", Item={"p": {"S": "a"}, "s": {"N": str(int(server.now))}})
            server.note()
            server.ship()
        assert server.recovered(tmp_path / "newest") == server.moments[-1][1]
        assert server.recovered(tmp_path / "first", other.now) == other.moments[-1][1]
    finally:
        other.database.close()


def test_a_newer_epoch_without_a_base_is_passed_over_and_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("first")
    server.note()
    server.ship()
    server.now += 10
    server.database.run(stop_archiving(server.database.storage))
    server.archiver = server.new_archiver()

    def fail(*_: object) -> None:
        raise ObjectsUnavailable("full")

    with monkeypatch.context() as patch:
        patch.setattr("blotter.database.archive.bases.write_value", fail)
        server.ship()
    found = recover(server.objects, tmp_path / "target", None, None, lambda *_: None, lambda: server.now)
    assert found.passed_over == server.now
    assert found.tables == 1


def test_a_backup_that_was_being_made_is_not_recovered(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("first")
    server.call("CreateBackup", TableName="first", BackupName="whole")

    def fail(*_: object) -> None:
        raise ObjectsUnavailable("full")

    monkeypatch.setattr("blotter.database.backups.creating.write_manifest", fail)
    server.call("CreateBackup", TableName="first", BackupName="torn")
    server.ship()
    recover(server.objects, tmp_path / "target", None, None, lambda *_: None, lambda: server.now)
    database = InProcessDatabase(tmp_path / "target", clock=lambda: server.now)
    summaries = database.call("ListBackups", {})[1]["BackupSummaries"]
    database.close()
    assert [(each["BackupName"], each["BackupStatus"]) for each in summaries] == [("whole", "AVAILABLE")]


def test_a_table_that_was_restored_is_recovered_with_what_was_put_into_it(server: Server, tmp_path: Path) -> None:
    """What a restore puts is not in the log."""
    server.create("first")
    server.ship()
    for number in range(5):
        item = {"p": {"S": "a"}, "s": {"N": str(number)}, "v": {"N": "1"}}
        server.call("PutItem", TableName="first", Item=item)
    arn = server.call("CreateBackup", TableName="first", BackupName="one")["BackupDetails"]["BackupArn"]
    server.call("RestoreTableFromBackup", TargetTableName="second", BackupArn=arn)
    server.call("DeleteItem", TableName="second", Key={"p": {"S": "a"}, "s": {"N": "0"}})
    server.call("PutItem", TableName="second", Item={"p": {"S": "a"}, "s": {"N": "1"}, "v": {"N": "2"}})
    server.note()
    server.ship()
    assert any("/loaded/" in name for name in server.stored)
    assert server.recovered(tmp_path / "with-its-copy") == server.moments[-1][1]
    server.now += 60
    server.call("DeleteItem", TableName="second", Key={"p": {"S": "a"}, "s": {"N": "2"}})
    server.call("PutItem", TableName="second", Item={"p": {"S": "b"}, "s": {"N": "1"}, "v": {"N": "3"}})
    server.note()
    server.ship()
    assert server.recovered(tmp_path / "later") == server.moments[-1][1]
    for name in [name for name in server.stored if "/loaded/" in name]:
        del server.stored[name]
    found = recover(server.objects, tmp_path / "without", None, None, lambda *_: None, lambda: server.now)
    assert [arn.rpartition("/")[2] for arn in found.left_out] == ["second"]
    assert found.tables == 1
