"""Backups and restores against a model: under writers, interrupted at every step, damaged, and without a store."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from blotter.database.background.jobs import JobRunner
from blotter.database.backups import loading
from blotter.database.copies import batching, history, jobs, sorting
from blotter.database.copies import format as copy_format
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import ObjectsUnavailable
from blotter.database.inspection.check import check as check_directory
from blotter.database.operations.backups import records
from blotter.database.storage import slices
from blotter.database.storage.change_log import find_reader
from blotter.database.storage.protocol import Row, StoredItem, WriteTransaction
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

from .stores import Killed, Steps, memory_objects, watched

SCHEMA: dict[str, Any] = {
    "TableName": "books",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "p", "AttributeType": "S"},
        {"AttributeName": "s", "AttributeType": "N"},
        {"AttributeName": "g", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "g", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "all",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        },
        {
            "IndexName": "some",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
        },
    ],
    "VectorIndexes": [
        {
            "IndexName": "near",
            "VectorAttribute": {"AttributeName": "v"},
            "Dimensions": 2,
            "DistanceFunction": "EUCLIDEAN",
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


@pytest.fixture(params=["sqlite", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path / "data", store=request.param)
    call(database, "CreateTable", SCHEMA)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens in small pieces."""
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(history, "CHANGES_AT_ONCE", 3)
    monkeypatch.setattr(batching, "BATCH_ROWS", 7)
    monkeypatch.setattr(copy_format, "PART_RAW_BYTES", 600)
    monkeypatch.setattr(loading, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(loading, "ROWS_A_SECOND", 3e9)
    monkeypatch.setattr(slices, "LONGEST_SECONDS", 1e-9)
    monkeypatch.setattr(loading, "READ_ROWS", 5)
    monkeypatch.setattr(sorting, "MEMORY_BYTES", 2000)
    monkeypatch.setattr(sorting, "BLOCK_BYTES", 300)


def call(database: InProcessDatabase, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    status, body = database.call(operation, request)
    assert status == 200, body
    return body


def refusal(database: InProcessDatabase, operation: str, request: dict[str, Any]) -> str:
    status, body = database.call(operation, request)
    assert status == 400
    return f"{body['__type'].rpartition('#')[2]}: {body['message']}"


def write(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """A random write of one item, or a transaction of several."""
    key = {"p": {"S": chance.choice("abcdefghij")}, "s": {"N": str(chance.randrange(6))}}
    if chance.random() < 0.3:
        return "DeleteItem", {"TableName": "books", "Key": key}
    item: dict[str, Any] = {**key, "n": {"N": str(chance.randrange(100))}, "t": {"S": "x" * chance.randrange(40)}}
    if chance.random() < 0.7:
        item["g"] = {"S": chance.choice("uvw")}
    if chance.random() < 0.3:
        item["v"] = {"L": [{"N": "1"}, {"N": str(chance.randrange(9))}]}
    if chance.random() < 0.2:
        second = {**item, "s": {"N": "6"}}
        puts = [{"Put": {"TableName": "books", "Item": each}} for each in (item, second)]
        return "TransactWriteItems", {"TransactItems": puts}
    return "PutItem", {"TableName": "books", "Item": item}


def fill(database: InProcessDatabase, chance: random.Random, count: int = 80) -> None:
    for _ in range(count):
        call(database, *write(chance))


def rows(database: InProcessDatabase, table: str, index: str = "") -> list[tuple[bytes, Any]]:
    """What lies in the key space of a table or an index; attributes have no order."""
    with database.storage.read() as tx:  # type: ignore[union-attr]
        found = tx.find_table(ACCOUNT, REGION, table)
        assert found is not None
        space = found.space
        if index:
            (space,) = [each.space for each in found.indexes if each.name == index]
        stored = tx.items(space, b"", None, 10_000)
    if index == "near":  # no JSON
        return [(key, body) for key, _, body in stored]
    return [(key, orjson.loads(body)) for key, _, body in stored]


def contents(database: InProcessDatabase, table: str) -> dict[str, Any]:
    return {name: rows(database, table, name) for name in ("", "local", "all", "some", "near")}


def backup(database: InProcessDatabase, name: str = "one") -> str:
    return str(
        call(database, "CreateBackup", {"TableName": "books", "BackupName": name})["BackupDetails"]["BackupArn"]
    )


def restore(database: InProcessDatabase, arn: str, name: str) -> None:
    call(database, "RestoreTableFromBackup", {"BackupArn": arn, "TargetTableName": name})


def status(database: InProcessDatabase, table: str) -> str:
    return str(call(database, "DescribeTable", {"TableName": table})["Table"]["TableStatus"])


def run_jobs(database: InProcessDatabase, tools: jobs.Tools | None = None) -> None:
    """Until all have ended, or one fails."""
    runner = JobRunner(tools or database.tools)
    while database.run(runner.run_once()):
        pass


def jobs_left(database: InProcessDatabase) -> list[jobs.Job]:
    return database.run(database.storage.fetch(jobs.all_jobs))


@pytest.mark.parametrize("seed", range(3))
def test_backups_of_random_moments_are_restored_as_they_were(database: InProcessDatabase, seed: int) -> None:
    """Each copy is made while writers go on; all are restored at the end, indexes and all."""
    chance = random.Random(seed)
    expected: dict[str, Any] = {}

    async def writers() -> None:
        for _ in range(chance.randrange(3)):
            operation, request = write(chance)
            status, body = await database.answer(operation, json.dumps(request).encode())
            # Writers of two jobs may meet in one item.
            assert status == 200 or "Transaction" in body["__type"], body

    objects = memory_objects()
    for _ in range(4):
        database.background = True
        fill(database, chance, 30)
        database.background = False
        expected[backup(database)] = contents(database, "books")
        if chance.random() < 0.5:
            expected[backup(database)] = contents(database, "books")
        run_jobs(database, watched(database.tools, objects, Steps(), writers))
        assert not jobs_left(database)
    for number, (arn, was) in enumerate(expected.items()):
        restore(database, arn, f"again-{number}")
        run_jobs(database, watched(database.tools, objects, Steps()))
        assert status(database, f"again-{number}") == "ACTIVE"
        assert contents(database, f"again-{number}") == was
        with database.storage.read() as tx:  # type: ignore[union-attr]
            assert [reader.name for reader in tx.log_readers()] == ["streams"]
    database.background = True
    for number in range(len(expected)):
        call(database, "PutItem", {"TableName": f"again-{number}", "Item": {"p": {"S": "z"}, "s": {"N": "1"}}})


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_backup_and_a_restore_survive_the_end_of_the_process_at_every_step(
    database: InProcessDatabase, stride: int
) -> None:
    """Before each step that has an effect outside of the process, and after it; every seventh by default."""
    fill(database, random.Random(5), 60)
    database.background = False
    objects = memory_objects()
    expected = contents(database, "books")

    def interrupted(number: int) -> bool:
        """Runs the jobs in a process that ends at a step; whether it came to that."""
        steps = Steps(number)
        try:
            run_jobs(database, watched(database.tools, objects, steps))
        except Killed:
            return True
        return False

    number, arn, ended = 0, "", False
    while not ended:
        arn = backup(database)
        ended = not interrupted(number)
        call(database, "PutItem", {"TableName": "books", "Item": {"p": {"S": f"new{number}"}, "s": {"N": "1"}}})
        run_jobs(database, watched(database.tools, objects, Steps()))
        call(database, "DeleteItem", {"TableName": "books", "Key": {"p": {"S": f"new{number}"}, "s": {"N": "1"}}})
        described = call(database, "DescribeBackup", {"BackupArn": arn})["BackupDescription"]
        assert described["BackupDetails"]["BackupStatus"] == "AVAILABLE"
        restore(database, arn, f"again-{number}")
        run_jobs(database, watched(database.tools, objects, Steps()))
        assert contents(database, f"again-{number}") == expected
        call(database, "DeleteBackup", {"BackupArn": arn})
        number += stride
    assert number > 10
    run_jobs(database, watched(database.tools, objects, Steps()))
    assert list(objects.list()) == []
    arn, number, ended = backup(database), 0, False
    run_jobs(database, watched(database.tools, objects, Steps()))
    while not ended:
        restore(database, arn, f"once-more-{number}")
        ended = not interrupted(number)
        if jobs_left(database):
            assert status(database, f"once-more-{number}") == "CREATING"
        run_jobs(database, watched(database.tools, objects, Steps()))
        assert status(database, f"once-more-{number}") == "ACTIVE"
        assert contents(database, f"once-more-{number}") == expected
        number += stride
    assert number > 20
    call(database, "DeleteBackup", {"BackupArn": arn})
    number, ended = 0, False
    while not ended:
        ended = not interrupted(number)
        number += 1
    assert list(objects.list()) == []
    assert not jobs_left(database)


def test_a_directory_is_sound_after_backups_and_restores(tmp_path: Path) -> None:
    database = InProcessDatabase(tmp_path / "data", objects=(tmp_path / "objects").as_uri())
    call(database, "CreateTable", SCHEMA)
    fill(database, random.Random(1))
    arn = backup(database)
    restore(database, arn, "again")
    assert contents(database, "again") == contents(database, "books")
    assert not (tmp_path / "data" / "scratch").exists() or not list((tmp_path / "data" / "scratch").iterdir())
    database.close()
    report = check_directory(tmp_path / "data")
    assert report.is_sound, report


def test_a_store_that_is_out_of_reach_holds_up_nothing_else(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, random.Random(2), 20)
    database.background = False
    objects = memory_objects()

    def gone() -> BaseException:
        return ObjectsUnavailable("s3://copies cannot be used: connection refused")

    arn = backup(database)
    for number in range(6):
        run_jobs(database, watched(database.tools, objects, Steps(number, gone)))
        call(database, "PutItem", {"TableName": "books", "Item": {"p": {"S": "more"}, "s": {"N": "1"}}})
    assert caplog.records
    assert all("s3://copies cannot be used: connection refused" in record.message for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)
    run_jobs(database, watched(database.tools, objects, Steps()))
    restore(database, arn, "again")

    def unreadable() -> None:
        raise gone()

    run_jobs(database, watched(database.tools, objects, Steps(), None, unreadable))
    assert status(database, "again") == "CREATING"
    run_jobs(database, watched(database.tools, objects, Steps()))
    assert status(database, "again") == "ACTIVE"
    assert len(rows(database, "again")) == len(rows(database, "books")) - 1


@pytest.mark.parametrize("how", ["flipped", "short", "missing", "foreign", "no manifest"])
def test_a_damaged_backup_is_refused_by_name_and_others_are_restored(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    fill(database, random.Random(3))
    expected = contents(database, "books")
    bad, good = backup(database, "bad"), backup(database, "good")
    objects = database.tools.objects
    assert isinstance(objects, MemoryObjects)
    names = sorted(info.name for info in objects.list() if bad.rpartition("/")[2] in info.name)
    others = sorted(info.name for info in objects.list() if good.rpartition("/")[2] in info.name)
    part, other = names[-1], others[-1]
    whole = objects.get(part)
    if how == "flipped":
        objects.put(part, whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    elif how == "short":
        objects.put(part, whole[:-1])
    elif how == "missing":
        objects.delete(part)
    elif how == "foreign":
        objects.put(part, objects.get(other))
    else:
        part = names[0]
        objects.delete(part)
    restore(database, bad, "again")
    assert refusal(database, "DescribeTable", {"TableName": "again"}).startswith("ResourceNotFoundException")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert part in record.message
    restore(database, good, "again")
    assert contents(database, "again") == expected
    call(database, "DeleteBackup", {"BackupArn": bad})
    assert not jobs_left(database)


def test_a_backup_that_has_not_what_the_table_had_is_none(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, random.Random(3), 20)
    database.background = False
    arn = backup(database)
    with database.storage.read() as tx:  # type: ignore[union-attr]
        table = tx.find_table(ACCOUNT, REGION, "books")
        assert table is not None
        first: Row = tx.items(table.space, b"", None, 1)[0]
    # As damage would: without an entry in the change log.
    database.run(database.storage.write(lambda tx: tx.delete(table.space, StoredItem(*first))))
    run_jobs(database)
    assert refusal(database, "DescribeBackup", {"BackupArn": arn}).startswith("BackupNotFoundException")
    assert "failed and is gone" in caplog.text
    assert not jobs_left(database)


def test_what_is_in_use_is_refused(database: InProcessDatabase) -> None:
    database.background = False
    arn = backup(database)
    assert refusal(database, "DeleteBackup", {"BackupArn": arn}) == (
        f"BackupInUseException: Backup is being created: {arn}"
    )
    request = {"BackupArn": arn, "TargetTableName": "again"}
    assert refusal(database, "RestoreTableFromBackup", request) == (
        f"BackupInUseException: Backup is being created: {arn}"
    )
    run_jobs(database)
    restore(database, arn, "again")
    assert refusal(database, "DeleteBackup", {"BackupArn": arn}) == (
        f"BackupInUseException: Backup is being used to restore table: {arn}"
    )
    assert refusal(database, "RestoreTableFromBackup", request | {"TargetTableName": "other"}) == (
        f"BackupInUseException: Backup is being used to restore another table: {arn}"
    )
    assert refusal(database, "RestoreTableFromBackup", request) == (
        f"TableInUseException: Table: again is already being restored from backup: {arn}"
    )
    assert call(database, "DescribeBackup", {"BackupArn": arn})["BackupDescription"]["BackupDetails"][
        "BackupStatus"
    ] == ("AVAILABLE")
    described = call(database, "DescribeTable", {"TableName": "again"})["Table"]
    assert described["RestoreSummary"]["RestoreInProgress"] is True
    assert all("IndexStatus" not in index for index in described["GlobalSecondaryIndexes"])
    run_jobs(database)
    assert "RestoreSummary" not in call(database, "DescribeTable", {"TableName": "again"})["Table"]
    call(database, "DeleteBackup", {"BackupArn": arn})


POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "dynamodb:GetItem", "Resource": "*"}
        ],
    }
)
IN_USE = "ResourceInUseException: Attempt to change a resource which is still in use: Table is being used: again"
STILL_IN_USE = (
    "ResourceInUseException: Attempt to change a resource which is still in use: Table is being created: again"
)
NO_ITEMS = "ResourceNotFoundException: Requested resource not found"
NOT_THERE = "ResourceNotFoundException: Requested resource not found: Table: again not found"


@pytest.mark.parametrize(
    ("operation", "more", "error"),
    [
        ("TagResource", {"Tags": [{"Key": "a", "Value": "b"}]}, "ResourceNotFoundException: "),
        ("ListTagsOfResource", {}, "ResourceNotFoundException: "),
        ("PutResourcePolicy", {"Policy": POLICY}, NOT_THERE),
        ("GetResourcePolicy", {}, NOT_THERE),
        ("UpdateTimeToLive", {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "x"}}, NOT_THERE),
        ("DescribeTimeToLive", {}, NOT_THERE),
        ("UpdateTable", {"DeletionProtectionEnabled": True}, NOT_THERE),
        ("CreateBackup", {"BackupName": "one"}, "TableNotFoundException: Table not found: again"),
        ("DescribeContinuousBackups", {}, "TableNotFoundException: Table not found: again"),
        ("CreateTable", {key: SCHEMA[key] for key in SCHEMA if key != "TableName"}, IN_USE),
        ("DeleteTable", {}, STILL_IN_USE),
        ("GetItem", {"Key": {"p": {"S": "a"}, "s": {"N": "1"}}}, NO_ITEMS),
        ("Scan", {}, NO_ITEMS),
        ("PutItem", {"Item": {"p": {"S": "a"}, "s": {"N": "1"}}}, NO_ITEMS),
    ],
)  # fmt: skip
def test_a_table_that_is_being_restored_is_there_for_nobody_else(
    database: InProcessDatabase, operation: str, more: dict[str, Any], error: str
) -> None:
    """ack-api-quirks, DDB-TABLE-217, -277."""
    arn = backup(database)
    database.background = False
    restore(database, arn, "again")
    by_arn = operation in ("TagResource", "ListTagsOfResource", "PutResourcePolicy", "GetResourcePolicy")
    named = {"TableName": "again"}
    if by_arn:
        named = {"ResourceArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/again"}
    assert refusal(database, operation, named | more).startswith(error)


def test_fifty_restores_at_a_time(database: InProcessDatabase) -> None:
    arns = [backup(database) for _ in range(51)]
    database.background = False
    for number, arn in enumerate(arns[:50]):
        restore(database, arn, f"again-{number}")
    request = {"BackupArn": arns[50], "TargetTableName": "again-50"}
    assert refusal(database, "RestoreTableFromBackup", request) == (
        "LimitExceededException: Subscriber limit exceeded: Only 50 restore operations can be done simultaneously"
    )
    run_jobs(database)
    restore(database, arns[50], "again-50")


def test_a_table_that_is_deleted_while_it_is_copied_is_in_the_backup(database: InProcessDatabase) -> None:
    fill(database, random.Random(4), 30)
    expected = contents(database, "books")
    database.background = False
    arn = backup(database)
    call(database, "DeleteTable", {"TableName": "books"})
    late = backup(database)  # DDB-BACKUP-001: a table that is DELETING can be backed up
    assert status(database, "books") == "DELETING"
    database.background = True
    assert database.call("DescribeTable", {"TableName": "books"})[0] == 200  # and then the background did its work
    assert refusal(database, "DescribeTable", {"TableName": "books"}).startswith("ResourceNotFoundException")
    for number, each in enumerate((arn, late)):
        restore(database, each, f"again-{number}")
        assert contents(database, f"again-{number}") == expected


def test_a_backup_whose_log_is_lost_begins_anew(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, random.Random(6), 30)
    database.background = False
    arn = backup(database)
    (job,) = jobs_left(database)
    reader = database.run(database.storage.fetch(lambda tx: find_reader(tx, f"copy/{job.id}")))
    assert reader is not None
    database.run(database.storage.write(lambda tx: tx.remove_log_reader(reader.name)))
    call(database, "PutItem", {"TableName": "books", "Item": {"p": {"S": "later"}, "s": {"N": "1"}}})
    run_jobs(database)
    assert "begins anew" in caplog.text
    restore(database, arn, "again")
    run_jobs(database)
    assert contents(database, "again") == contents(database, "books")


def test_jobs_whose_backup_has_gone_leave_nothing_behind(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, random.Random(8), 20)
    database.background = False
    objects = memory_objects()
    for with_restore in (False, True):
        arn = backup(database)
        if with_restore:
            run_jobs(database)
            restore(database, arn, "again")

        def remove(tx: WriteTransaction, backup_id: str = arn.rpartition("/")[2]) -> None:
            found = records.find(tx, ACCOUNT, REGION, backup_id)
            assert found is not None
            records.remove(tx, found)

        if with_restore:
            database.run(database.storage.write(remove))
            run_jobs(database)
        else:
            steps = [0]

            async def remove_in_the_middle() -> None:
                steps[0] += 1  # noqa: B023
                if steps[0] == 5:  # noqa: B023
                    await database.storage.write(remove)

            run_jobs(database, watched(database.tools, objects, Steps(), remove_in_the_middle))
            assert steps[0] > 5
            assert list(objects.list()) == []
        assert not jobs_left(database)
    assert "its backup is gone" in caplog.text
    assert call(database, "ListTables", {})["TableNames"] == ["books"]
    with database.storage.read() as tx:  # type: ignore[union-attr]
        assert [reader.name for reader in tx.log_readers()] == ["streams"]
        table = tx.find_table(ACCOUNT, REGION, "books")
    assert table is not None
    assert table.log_readers == ()


def test_regions_are_apart_and_can_be_restored_across(database: InProcessDatabase) -> None:
    fill(database, random.Random(7), 20)
    arn = backup(database)

    def elsewhere(operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return database.call(operation, request, region="eu-west-1")

    assert elsewhere("ListBackups", {})[1] == {"BackupSummaries": []}
    assert elsewhere("DescribeBackup", {"BackupArn": arn})[1]["__type"].endswith("BackupNotFoundException")
    request: dict[str, Any] = {"BackupArn": arn, "TargetTableName": "far"}
    assert (
        "sseSpecificationOverride must be provided" in elsewhere("RestoreTableFromBackup", request)[1]["message"]
    )
    request["SSESpecificationOverride"] = {"Enabled": True, "SSEType": "KMS"}
    created = elsewhere("RestoreTableFromBackup", request)[1]["TableDescription"]
    assert created["TableArn"] == f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/far"
    assert created["SSEDescription"]["KMSMasterKeyArn"].startswith("arn:aws:kms:eu-west-1:")
    described = elsewhere("DescribeTable", {"TableName": "far"})[1]["Table"]
    assert (described["TableStatus"], described["ItemCount"]) == ("ACTIVE", len(rows(database, "books")))
    rewritten = arn.replace(f":{REGION}:", ":eu-central-1:")  # DDB-BACKUP-012: the region in it is not looked at
    details = call(database, "DescribeBackup", {"BackupArn": rewritten})["BackupDescription"]["BackupDetails"]
    assert details["BackupArn"] == rewritten
    call(database, "DeleteBackup", {"BackupArn": rewritten})
    assert refusal(database, "DescribeBackup", {"BackupArn": arn}).startswith("BackupNotFoundException")


def test_backups_of_one_moment_are_in_the_order_of_their_requests(tmp_path: Path) -> None:
    now = [1_795_911_600.0004]
    database = InProcessDatabase(tmp_path / "data", clock=lambda: now[0])
    call(database, "CreateTable", SCHEMA)
    arns = [backup(database, f"backup-{number}") for number in range(20)]
    listed = call(database, "ListBackups", {})["BackupSummaries"]
    assert [each["BackupArn"] for each in listed] == arns
    times = [each["BackupCreationDateTime"] for each in listed]
    assert times == [round(1_795_911_600 + number / 1000, 3) for number in range(20)]
    now[0] -= 3600  # a clock that is set back is believed
    earlier = backup(database)
    assert call(database, "ListBackups", {})["BackupSummaries"][0]["BackupArn"] == earlier
    database.close()
