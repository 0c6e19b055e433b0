"""Restores to a point in time: at many moments of a random history the new table equals a model, indexes included;
an interrupted restore goes on; sources that are deleted or lose their recovery meanwhile; the backup of a deleted
table."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.background.backups import BackupExpiry
from blotter.database.background.change_log import ChangeLogTrimmer
from blotter.database.background.time_to_live import TimeToLiveSweeper
from blotter.database.backups.point_in_time import run
from blotter.database.copies import history, jobs
from blotter.database.copies.history import TableHistory
from blotter.database.copies.objects import INTERNAL, ObjectsUnavailable
from blotter.database.copies.recovery import RecoveryLog
from blotter.database.encryption.files import FileCipher
from blotter.database.storage.protocol import Storage
from tests.in_process import InProcessDatabase

PLAIN = FileCipher(None, lambda _: None)
SEEDS = (*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 60)))
Items = dict[str, list[str]]


class Source:
    """A table with recovery, and what was in it and its indexes at every moment."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_790_000_000.0
        self.database = InProcessDatabase(folder, clock=lambda: self.now)
        objects = self.database.tools.objects.within(INTERNAL)
        self.keeper = RecoveryLog(self.database.storage, objects, PLAIN, lambda: self.now)
        self.moments: list[tuple[float, Items]] = []

    @property
    def storage(self) -> Storage:
        return self.database.storage

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, answer = self.database.call(operation, request)
        assert status == 200, answer
        return answer

    def refusal(self, operation: str, **request: Any) -> str:
        status, body = self.database.call(operation, request)
        assert status == 400, body
        return f"{body['__type'].rpartition('#')[2]}: {body['message']}"

    def create(self) -> None:
        keys = [("p", "HASH"), ("v", "RANGE")]
        self.call(
            "CreateTable",
            TableName="source",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind}
                for name, kind in (("p", "S"), ("s", "N"), ("v", "N"))
            ],
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-v",
                    "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            LocalSecondaryIndexes=[
                {
                    "IndexName": "local",
                    "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )
        self.call(
            "UpdateTimeToLive",
            TableName="source",
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
        )

    def recover(self, *, on: bool = True) -> None:
        self.call(
            "UpdateContinuousBackups",
            TableName="source",
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on},
        )

    def put(self, number: int, **more: Any) -> None:
        self.call("PutItem", TableName="source", Item={"p": {"S": "a"}, "s": {"N": str(number)}, **more})

    def note(self) -> None:
        self.moments.append((self.now, self.items("source")))

    def at(self, time: float) -> Items:
        return [found for then, found in self.moments if then <= time][-1]

    def items(self, table: str) -> Items:
        found: Items = {}
        for index in ("", "by-v", "local"):
            where = {"IndexName": index} if index else {}
            items = self.call("Scan", TableName=table, **where)["Items"]
            found[index] = sorted(json.dumps(item, sort_keys=True) for item in items)
        return found

    def restore(self, time: float | None = None, target: str = "target") -> None:
        when = {"UseLatestRestorableTime": True} if time is None else {"RestoreDateTime": time}
        self.call("RestoreTableToPointInTime", SourceTableName="source", TargetTableName=target, **when)

    def tables(self) -> list[str]:
        names: list[str] = self.call("ListTables")["TableNames"]
        return names

    def ship(self) -> None:
        self.now += 300
        self.database.run(self.keeper.run_once())
        self.database.run(ChangeLogTrimmer(self.storage, lambda: self.now).run_once())


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    source = Source(tmp_path)
    source.create()
    yield source
    source.database.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restore_to_any_moment_equals_the_model(source: Source, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(6):
        source.put(number, v={"N": "1"})
    source.recover()
    since = source.now
    source.note()
    for _ in range(80):
        source.now += chance.choice([0.0, 0.25, 1.0, 9.0])
        key = {"p": {"S": chance.choice("ab")}, "s": {"N": str(chance.randrange(8))}}
        item = {**key, "v": {"N": str(chance.randrange(9))}, "ttl": {"N": str(int(source.now) + 100)}}
        kind = chance.choice(["put", "put", "put", "delete", "transaction", "update", "expire"])
        if kind == "put":
            source.call("PutItem", TableName="source", Item=item)
        elif kind == "delete":
            source.call("DeleteItem", TableName="source", Key=key)
        elif kind == "update":
            source.call(
                "UpdateItem",
                TableName="source",
                Key=key,
                UpdateExpression="SET v = :v REMOVE w",
                ExpressionAttributeValues={":v": item["v"]},
            )
        elif kind == "transaction":
            puts = [{"Put": {"TableName": "source", "Item": item | {"p": {"S": part}}}} for part in "ab"]
            source.call("TransactWriteItems", TransactItems=puts)
        else:
            source.database.run(TimeToLiveSweeper(source.storage, lambda: source.now).run_once())
        source.note()
        if chance.random() < 0.1:
            source.ship()
    moments = sorted({then for then, _ in source.moments})
    source.now += 1
    for number, moment in enumerate([since, *chance.sample(moments, 5)]):
        time = moment + chance.choice([0.0, 0.1])
        source.restore(time, f"target-{number}")
        assert source.items(f"target-{number}") == source.at(time), time
    source.restore(None, "latest")
    assert source.items("latest") == source.items("source")


@pytest.mark.parametrize(("seconds", "shown"), [(-1, "2026-09-21T14:13:19Z"), (61, "2026-09-21T14:14:21Z")])
def test_a_moment_out_of_reach_is_refused_with_the_moments_within(
    source: Source, seconds: int, shown: str
) -> None:
    source.recover()
    began = source.now
    source.now += 60
    assert source.refusal(
        "RestoreTableToPointInTime",
        SourceTableName="source",
        TargetTableName="target",
        RestoreDateTime=began + seconds,
    ) == (
        f"InvalidRestoreTimeException: RestoreDateTime '{shown}' must be within EarliestRestorableDateTime "
        "'2026-09-21T14:13:20Z' and LatestRestorableDateTime '2026-09-21T14:14:20Z'"
    )
    assert source.tables() == ["source"]


def begun(source: Source, time: float | None = None) -> jobs.Job:
    """A restore that was requested, and whose job has not run."""
    source.database.background = False
    source.restore(time)
    (job,) = source.database.run(source.storage.fetch(jobs.all_jobs))
    assert source.call("DescribeTable", TableName="target")["Table"]["TableStatus"] == "CREATING"
    return job


def test_an_interrupted_restore_goes_on_after_its_last_item(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 3)
    source.recover()
    for number in range(20):
        source.put(number, v={"N": str(number)})
    source.note()
    wanted = source.now
    source.now += 1
    for number in range(0, 20, 2):
        source.put(number, v={"N": "99"})
    job = begun(source, wanted)
    rows_at, given, starts = TableHistory.rows_at, [0], []

    async def dying(self: TableHistory, table: Any, position: int, start: bytes = b"") -> Any:
        starts.append(start)
        async for rows in rows_at(self, table, position, start):
            yield rows
            given[0] += 1
            if given[0] in (2, 4):
                raise ObjectsUnavailable("gone for a while")

    monkeypatch.setattr(TableHistory, "rows_at", dying)
    for _ in range(2):
        with pytest.raises(ObjectsUnavailable):
            source.database.run(run(job, source.database.tools))
        (job,) = source.database.run(source.storage.fetch(jobs.all_jobs))
        source.put(50, v={"N": "1"})
    source.database.run(run(job, source.database.tools))
    assert starts[0] == b""
    assert starts[0] < starts[1] < starts[2]
    assert source.items("target") == source.at(wanted)


def test_a_source_that_is_deleted_meanwhile_waits_for_its_restore(source: Source) -> None:
    source.recover()
    source.put(1, v={"N": "1"})
    source.note()
    job = begun(source)
    source.call("DeleteTable", TableName="source")
    source.database.background = True
    assert source.call("DescribeTable", TableName="source")["Table"]["TableStatus"] == "DELETING"
    source.database.run(run(job, source.database.tools))
    assert source.tables() == ["target"]
    assert source.items("target") == source.moments[-1][1]
    (backup,) = source.call("ListBackups", BackupType="SYSTEM")["BackupSummaries"]
    assert backup["BackupStatus"] == "AVAILABLE"


def test_recovery_that_is_switched_off_meanwhile_does_not_stop_a_restore(source: Source) -> None:
    source.recover()
    source.put(1, v={"N": "1"})
    source.note()
    wanted = source.now
    source.ship()
    source.put(1, v={"N": "2"})
    source.now += 1
    source.put(2)
    job = begun(source, wanted)
    source.recover(on=False)
    source.put(1, v={"N": "3"})
    source.ship()
    source.ship()
    source.database.run(run(job, source.database.tools))
    assert source.items("target") == source.at(wanted)
    source.ship()
    assert not list(source.database.tools.objects.within(INTERNAL).list("recovery/"))


def test_a_past_that_is_damaged_is_not_restored(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    source.recover()
    source.put(1)
    wanted = source.now
    source.now += 1
    source.put(1, v={"N": "2"})
    source.ship()
    objects = source.database.tools.objects.within(INTERNAL)
    (name,) = [info.name for info in objects.list("recovery/")]
    objects.put(name, objects.get(name)[:-1])
    source.restore(wanted)
    assert source.tables() == ["source"]
    assert name in caplog.text
    source.restore()
    assert source.items("target") == source.items("source")


def test_the_backup_of_a_deleted_table_is_called_off_by_switching_recovery_off(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.recover()
    source.put(1)
    with monkeypatch.context() as patch:
        patch.setattr("blotter.database.backups.creating.write_part", _unavailable)
        source.call("DeleteTable", TableName="source")
        assert source.call("DescribeTable", TableName="source")["Table"]["TableStatus"] == "DELETING"
        source.recover(on=False)
        source.call("ListTables")
    assert source.tables() == []
    assert source.call("ListBackups", BackupType="ALL")["BackupSummaries"] == []


def test_the_backup_of_a_deleted_table_expires(source: Source) -> None:
    source.recover()
    source.put(1)
    source.call("DeleteTable", TableName="source")
    (summary,) = source.call("ListBackups", BackupType="SYSTEM")["BackupSummaries"]
    arn = summary["BackupArn"]
    assert source.refusal("DeleteBackup", BackupArn=arn) == (
        "ValidationException: Invalid Request: User is not allowed to delete the system backup with arn "
        f"{arn}. It will automatically expire on 2026-10-26T14:13:20Z"
    )
    expiry = BackupExpiry(source.storage, lambda: source.now)
    source.now += 35 * 86_400 - 1
    source.database.run(expiry.run_once())
    assert len(source.call("ListBackups", BackupType="SYSTEM")["BackupSummaries"]) == 1
    source.now += 2
    source.database.run(expiry.run_once())
    assert source.call("ListBackups", BackupType="SYSTEM")["BackupSummaries"] == []
    assert not [info.name for info in source.database.tools.objects.list() if "backups/" in info.name]


def test_recovery_of_a_table_that_is_being_created_must_wait(tmp_path: Path) -> None:
    now = 1_790_000_000.0
    database = InProcessDatabase(tmp_path, clock=lambda: now, table_delay=5.0, store="memory")
    table = {
        "TableName": "source",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    }
    wanted = {"TableName": "source", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
    assert database.call("CreateTable", table)[0] == 200
    status, answer = database.call("UpdateContinuousBackups", wanted)
    assert (status, answer["__type"].partition("#")[2]) == (400, "ContinuousBackupsUnavailableException")
    assert answer["message"] == "Backups are being enabled for the table: source. Please retry later"
    now += 6
    assert database.call("UpdateContinuousBackups", wanted)[0] == 200
    database.close()


def _unavailable(*_: Any, **__: Any) -> None:
    raise ObjectsUnavailable("no room")
