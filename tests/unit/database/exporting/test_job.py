"""Exports of a real table: exact at their moment, whole after any interruption, readable by others."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from base64 import b64encode
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.json
import pytest
from msgspec.structs import replace

from blotter.database.copies import history
from blotter.database.copies.jobs import all_jobs, end
from blotter.database.copies.objects import Objects, ObjectsDenied, ObjectsUnavailable
from blotter.database.copies.segments import DamagedSegment
from blotter.database.exporting import files
from blotter.database.exporting.job import run
from blotter.database.importing.formats import DynamoDBJson
from blotter.database.importing.ion_format import Ion
from blotter.database.model.table import COPY_READER
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.attribute_values import validate_item
from tests.unit.database.exporting.conftest import ARN, Answer, Exporting


def fill(exporting: Exporting, count: int) -> dict[str, Answer]:
    return {
        str(number): exporting.put(str(number), n={"N": str(number)}, tags={"SS": ["a", "b"]})
        for number in range(count)
    }


def test_a_full_export_has_the_table_as_the_request_found_it(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes go on between all slices of the reading."""
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 3)
    expected = fill(exporting, 60)
    arn = exporting.start()
    chance = random.Random(7)
    exporting.put("before the job", n={"N": "1"})

    async def write_meanwhile() -> None:
        jobs = await exporting.database.storage.fetch(all_jobs)
        work = asyncio.ensure_future(run(jobs[0], exporting.database.tools))
        while not work.done():
            key = {"id": {"S": str(chance.randrange(120))}}
            name, request = chance.choice(
                [
                    ("DeleteItem", {"Key": key}),
                    ("PutItem", {"Item": key | {"n": {"N": str(chance.randrange(1000))}}}),
                ]
            )
            body = json.dumps({"TableName": "books"} | request).encode()
            assert (await exporting.database.answer(name, body))[0] == 200
        await work

    exporting.database.run(write_meanwhile())
    description = exporting.describe(arn)
    assert description["ExportStatus"] == "COMPLETED"
    assert exporting.exported(description) == expected
    assert exporting.items() != expected


def test_every_second_of_the_past_can_be_exported(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 4)
    chance = random.Random(11)
    moments: dict[float, dict[str, Answer]] = {}
    for _ in range(12):
        exporting.now += 1
        for _ in range(5):
            key = str(chance.randrange(15))
            if chance.random() < 0.4:
                exporting.delete(key)
            else:
                exporting.put(key, n={"N": str(chance.randrange(100))})
        moments[exporting.now + 0.5] = exporting.items()
    exporting.now += 100
    for moment, expected in moments.items():
        description = exporting.export(ExportTime=moment)
        assert exporting.exported(description) == expected
        assert description["ExportTime"] == moment


def test_an_incremental_export_leads_from_one_full_export_to_the_next(exporting: Exporting) -> None:
    fill(exporting, 30)
    exporting.now += 10
    since = exporting.now
    before = exporting.items()
    exporting.now += 5
    exporting.put("3", n={"N": "33"})
    exporting.put("new", n={"N": "1"})
    exporting.put("short", n={"N": "1"})
    exporting.delete("short")
    exporting.delete("4")
    exporting.now += 1000
    until = exporting.now
    after = exporting.items()
    exporting.now += 5
    exporting.put("5", n={"N": "later"[:0] or "55"})
    period = {"ExportFromTime": since, "ExportToTime": until}
    description = exporting.export(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=period)
    lines = exporting.lines(description)
    state = dict(before)
    for line in lines:
        key = line["Keys"]["id"]["S"]
        assert line.get("OldImage") == before.get(key)
        if "NewImage" in line:
            state[key] = line["NewImage"]
        else:
            del state[key]
        assert line["Metadata"] == {"WriteTimestampMicros": {"N": str(int((since + 5) * 1_000_000))}}
    assert state == after
    assert sorted(line["Keys"]["id"]["S"] for line in lines) == ["3", "4", "new"]
    assert description["BilledSizeBytes"] == 10_000_000

    period |= {"ExportViewType": "NEW_IMAGE"}
    description = exporting.export(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=period)
    by_key = {line["Keys"]["id"]["S"]: line for line in exporting.lines(description)}
    assert by_key["4"].keys() == {"Metadata", "Keys"}
    assert by_key["3"].keys() == {"Metadata", "Keys", "NewImage"}


@pytest.mark.parametrize("exact", [False, True])
def test_the_ends_of_a_period(exporting: Exporting, exact: bool) -> None:
    """Its beginning is in it, its end is not."""
    exporting.now += 10
    since = exporting.now
    exporting.put("first")
    exporting.now = since + 900
    exporting.put("last")
    exporting.now += 1 if exact else 0.5
    period = {"ExportFromTime": since} | ({"ExportToTime": since + 900} if exact else {})
    description = exporting.export(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=period)
    assert description["IncrementalExportSpecification"]["ExportToTime"] == since + 900
    assert [line["Keys"]["id"]["S"] for line in exporting.lines(description)] == ["first"]


class Interrupted(Exception):
    """The process ends here."""


class Fragile:
    """A store of objects that breaks at one of its writes: before it, or after it was stored."""

    def __init__(self, objects: Objects, breaks_at: int, after: bool, error: Callable[[], Exception]) -> None:
        self._objects, self._at, self._after, self._error = objects, breaks_at, after, error
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def bucket(self, name: str) -> Fragile:
        self._objects = self._objects.bucket(name)
        return self

    def put(self, name: str, content: bytes) -> None:
        self.writes += 1
        if self.writes == self._at and not self._after:
            raise self._error()
        self._objects.put(name, content)
        if self.writes == self._at:
            raise self._error()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["now", "past", "incremental"])
def test_an_export_is_whole_after_an_interruption_at_any_write(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch, kind: str, after: bool
) -> None:
    monkeypatch.setattr(files, "LINES_BYTES", 200)
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 4)
    expected = fill(exporting, 25)
    exporting.now += 1
    moment, tools = exporting.now, exporting.database.tools
    exporting.now += 1000
    exporting.put("later")
    request: Answer = {
        "now": {},
        "past": {"ExportTime": moment},
        "incremental": {
            "ExportType": "INCREMENTAL_EXPORT",
            "IncrementalExportSpecification": {"ExportFromTime": moment - 1, "ExportToTime": moment + 950},
        },
    }[kind]
    if kind == "now":
        expected |= {"later": {"id": {"S": "later"}}}
    whole = tools.objects
    breaks_at = 0
    while True:
        breaks_at += 1
        arn = exporting.start(**request)
        tools.__dict__["objects"] = fragile = Fragile(whole, breaks_at, after, Interrupted)
        try:
            exporting.run_jobs()
        except Interrupted:
            assert exporting.describe(arn)["ExportStatus"] == "IN_PROGRESS"
        tools.__dict__["objects"] = whole
        exporting.run_jobs()
        description = exporting.describe(arn)
        assert description["ExportStatus"] == "COMPLETED", description
        if kind == "incremental":
            found = {line["Keys"]["id"]["S"]: line["NewImage"] for line in exporting.lines(description)}
        else:
            found = exporting.exported(description)
        assert found == expected
        # What was begun has been replaced: nothing lies beside what the manifest names.
        if kind != "incremental":
            folder = exporting.objects / "exports" / Path(description["ExportManifest"]).parent
            manifest = (folder / "manifest-files.json").read_text().splitlines()
            assert len(list((folder / "data").iterdir())) == len(manifest)
        if fragile.writes < breaks_at:
            assert breaks_at > 8
            return


def test_an_export_waits_for_a_store_that_is_out_of_reach(exporting: Exporting) -> None:
    fill(exporting, 5)
    arn = exporting.start()
    tools = exporting.database.tools
    whole = tools.objects
    tools.__dict__["objects"] = Fragile(whole, 2, False, lambda: ObjectsUnavailable("the disk is full: make room"))
    with pytest.raises(ObjectsUnavailable):
        exporting.run_jobs()
    assert exporting.describe(arn)["ExportStatus"] == "IN_PROGRESS"
    tools.__dict__["objects"] = whole
    exporting.run_jobs()
    assert len(exporting.exported(exporting.describe(arn))) == 5


@pytest.mark.parametrize(
    ("breaks_at", "status"), [(1, "FAILED"), (2, "IN_PROGRESS")], ids=["from the start", "in the middle"]
)
def test_access_that_is_denied_from_the_start_will_not_be_granted(
    exporting: Exporting, breaks_at: int, status: str
) -> None:
    """Credentials may expire in the middle, and are renewed then."""
    arn = exporting.start()
    tools = exporting.database.tools
    tools.__dict__["objects"] = Fragile(tools.objects, breaks_at, False, lambda: ObjectsDenied("expired"))
    if status == "FAILED":
        exporting.run_jobs()
        assert exporting.describe(arn)["FailureCode"] == "S3AccessDenied"
        assert exporting.describe(arn)["FailureMessage"] == "expired"
    else:
        with pytest.raises(ObjectsDenied):
            exporting.run_jobs()
    assert exporting.describe(arn)["ExportStatus"] == status


@pytest.mark.parametrize("prefix", ["..", "a/../../b", "a/./b", "x" * 300])
def test_names_that_no_file_can_have(exporting: Exporting, prefix: str, tmp_path: Path) -> None:
    description = exporting.export(S3Prefix=prefix)
    assert (description["ExportStatus"], description["FailureCode"]) == ("FAILED", "S3InvalidKey")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_table_that_is_deleted_meanwhile_is_exported(exporting: Exporting) -> None:
    expected = fill(exporting, 10)
    arn = exporting.start()
    exporting.call("DeleteTable", TableName="books")
    exporting.now += 60
    exporting.settle()
    assert exporting.exported(exporting.describe(arn)) == expected
    assert exporting.database.call("DescribeTable", {"TableName": "books"})[0] == 400


@pytest.mark.parametrize("error", [history.HistoryLost, DamagedSegment])
def test_an_export_whose_history_is_gone_fails(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async def lost(*_: object) -> int:
        raise error("the segment is missing")

    monkeypatch.setattr(history.TableHistory, "position_at", lost)
    exporting.now += 10
    description = exporting.export(ExportTime=exporting.now - 5)
    assert description["ExportStatus"] == "FAILED"
    assert description["FailureCode"] == "PointInTimeRecoveryUnavailableException"
    assert description["FailureMessage"] == "the segment is missing"


def test_an_export_that_the_log_has_not_waited_for_fails(exporting: Exporting) -> None:
    """What was changed meanwhile would be missing."""
    fill(exporting, 5)
    arn = exporting.start()

    def lose(tx: WriteTransaction) -> None:
        (reader,) = [reader for reader in tx.log_readers() if reader.name.startswith(COPY_READER)]
        tx.save_log_reader(replace(reader, lost_at=exporting.now))

    exporting.database.run(exporting.database.storage.write(lose))
    exporting.run_jobs()
    description = exporting.describe(arn)
    assert description["ExportStatus"] == "FAILED"
    assert "does not go back to the moment" in description["FailureMessage"]


def test_large_exports_have_several_files_for_a_range(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LINES_BYTES", 200)
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 5)
    expected = fill(exporting, 60)
    description = exporting.export()
    assert exporting.exported(description) == expected
    folder = exporting.objects / "exports" / Path(description["ExportManifest"]).parent / "data"
    assert len(list(folder.iterdir())) >= 12


def test_a_provisioned_table_has_one_file(exporting: Exporting) -> None:
    throughput = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    exporting.call("UpdateTable", TableName="books", BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
    description = exporting.export()
    folder = exporting.objects / "exports" / Path(description["ExportManifest"]).parent
    assert len(list((folder / "data").iterdir())) == 1
    manifest = (folder / "manifest-summary.json").read_bytes()
    assert (folder / "manifest-summary.md5").read_bytes() == b64encode(md5(manifest).digest())
    assert (folder / "_started").read_bytes() == b""


def test_filters_choose_items_and_attributes(exporting: Exporting) -> None:
    fill(exporting, 20)
    chosen = exporting.export(
        FilterSpecification={
            "FilterExpression": "#n >= :low",
            "ProjectionExpression": "id, #n",
            "ExpressionAttributeNames": {"#n": "n"},
            "ExpressionAttributeValues": {":low": {"N": "15.0"}},
        }
    )
    assert exporting.exported(chosen) == {
        str(number): {"id": {"S": str(number)}, "n": {"N": str(number)}} for number in range(15, 20)
    }
    one = exporting.export(
        FilterSpecification={
            "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": "7"}},
        }
    )
    assert exporting.exported(one).keys() == {"7"}
    assert one["BilledSizeBytes"] < chosen["BilledSizeBytes"]


def test_filters_of_changes_look_at_the_latest_image(exporting: Exporting) -> None:
    exporting.put("stays", kind={"S": "a"})
    exporting.put("goes", kind={"S": "a"})
    exporting.put("turns", kind={"S": "a"})
    exporting.now += 10
    since = exporting.now
    exporting.put("stays", kind={"S": "a"}, n={"N": "2"})
    exporting.put("turns", kind={"S": "b"})
    exporting.delete("goes")
    exporting.now += 900
    description = exporting.export(
        ExportType="INCREMENTAL_EXPORT",
        IncrementalExportSpecification={"ExportFromTime": since},
        FilterSpecification={
            "FilterExpression": "kind = :a",
            "ProjectionExpression": "kind",
            "ExpressionAttributeValues": {":a": {"S": "a"}},
        },
    )
    by_key = {line["Keys"]["id"]["S"]: line for line in exporting.lines(description)}
    assert by_key.keys() == {"stays", "goes"}
    assert by_key["stays"]["NewImage"] == by_key["stays"]["OldImage"] == {"kind": {"S": "a"}}
    assert by_key["goes"]["OldImage"] == {"kind": {"S": "a"}}


def test_others_read_an_export(exporting: Exporting) -> None:
    """DuckDB and Arrow find every item, with the types that DynamoDB's JSON has."""
    fill(exporting, 40)
    description = exporting.export(S3Prefix="lake")
    folder = exporting.objects / "exports" / Path(description["ExportManifest"]).parent / "data"
    counted = duckdb.sql(f"SELECT count(*), sum(Item.n.N::BIGINT) FROM read_json('{folder}/*.json.gz')").fetchall()
    assert counted == [(40, sum(range(40)))]
    tables = [pyarrow.json.read_json(path) for path in folder.iterdir() if path.stat().st_size > 20]
    assert sum(table.num_rows for table in tables) == 40
    assert {row["id"]["S"] for table in tables for row in table["Item"].to_pylist()} == set(map(str, range(40)))


HOSTILE: list[Answer] = [
    {"S": 'line\nbreak, "quotes", back\\slash, \x00\x1f\x7f\u2028 and \U0001f4d6'},
    {"S": ""},
    {"N": "-0.000000000012345"},
    {"N": "9" * 38 + "0" * 80},
    {"B": "AAECAw=="},
    {"BOOL": False},
    {"NULL": True},
    {"SS": ["", "a", "$ion_1_0", "}"]},
    {"NS": ["-1", "0", "600"]},
    {"BS": ["AA==", "AQ=="]},
    {"L": []},
    {"M": {" ": {"L": [{"M": {"null": {"NULL": True}, "$10": {"N": "10"}, "it's": {"S": "'"}}}]}}},
]


@pytest.mark.parametrize(("form", "reader"), [("DYNAMODB_JSON", DynamoDBJson), ("ION", Ion)])
def test_what_is_exported_can_be_imported(
    exporting: Exporting, form: str, reader: type[DynamoDBJson] | type[Ion]
) -> None:
    for number, value in enumerate(HOSTILE):
        exporting.put(f"{number}", **{"value": value, "a-b": value, "null": value})
    description = exporting.export(ExportFormat=form)
    folder = exporting.objects / "exports" / Path(description["ExportManifest"]).parent / "data"
    found: dict[str, Answer] = {}
    for path in folder.iterdir():
        content = gzip.decompress(path.read_bytes())
        read = reader()
        for _, record in read.records([content]):  # type: ignore[assignment]
            item = read.parse(record).Item  # type: ignore[arg-type]
            validate_item(item)  # as the importer does, which makes numbers plain
            found[item["id"]["S"]] = item
    assert found == exporting.items()


@pytest.mark.parametrize("form", ["DYNAMODB_JSON", "ION"])
def test_an_export_is_imported_into_another_table(exporting: Exporting, form: str) -> None:
    for number, value in enumerate(HOSTILE):
        exporting.put(f"{number}", **{"value": value, "a-b": value})
    fill(exporting, 40)
    description = exporting.export(ExportFormat=form, S3Prefix="daily")
    folder = f"daily/AWSDynamoDB/{description['ExportArn'].rpartition('/')[2]}/data/"
    imported = exporting.call(
        "ImportTable",
        S3BucketSource={"S3Bucket": "exports", "S3KeyPrefix": folder},
        InputFormat=form,
        InputCompressionType="GZIP",
        ClientToken="again",
        TableCreationParameters={
            "TableName": "again",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    )["ImportTableDescription"]
    exporting.settle()
    ended = exporting.call("DescribeImport", ImportArn=imported["ImportArn"])["ImportTableDescription"]
    assert (ended["ImportStatus"], ended.get("ErrorCount", 0)) == ("COMPLETED", 0)
    assert exporting.items("again") == exporting.items()


def test_four_requests_at_once_with_one_token_are_one_export(exporting: Exporting) -> None:
    request = {"TableArn": ARN, "S3Bucket": "exports", "ClientToken": "one"}
    answers = exporting.database.call_together(*[("ExportTableToPointInTime", request)] * 4)
    assert {status for status, _ in answers} == {200}
    assert len({body["ExportDescription"]["ExportArn"] for _, body in answers}) == 1
    exporting.now += 8 * 3600
    exporting.run_jobs()
    arn = answers[0][1]["ExportDescription"]["ExportArn"]
    assert exporting.start(ClientToken="one") == arn
    exporting.now += 8 * 3600 + 1
    assert exporting.start(ClientToken="one") != arn


def test_old_exports_are_forgotten(exporting: Exporting) -> None:
    old = exporting.export(ClientToken="old")["ExportArn"]
    exporting.now += 91 * 86_400
    assert exporting.call("ListExports")["ExportSummaries"] == []
    exporting.start()
    status, body = exporting.database.call("DescribeExport", {"ExportArn": old})
    assert (status, body["__type"].rpartition("#")[2]) == (400, "ExportNotFoundException")


def test_lists_have_pages(exporting: Exporting) -> None:
    arns = []
    for _ in range(7):
        exporting.now += 1
        arns.append(exporting.start())
    found: list[str] = []
    request: Answer = {"MaxResults": 3}
    while True:
        page = exporting.call("ListExports", **request)
        found += [summary["ExportArn"] for summary in page["ExportSummaries"]]
        if "NextToken" not in page:
            break
        request["NextToken"] = page["NextToken"]
    assert found == arns[::-1]


def test_the_second_in_which_recovery_began_can_be_exported(tmp_path: Path) -> None:
    """SDKs send whole seconds."""
    exporting = Exporting(tmp_path)
    exporting.now += 0.75
    exporting.make_table()
    exporting.now += 10
    exporting.put("later")
    description = exporting.export(ExportTime=int(exporting.now - 10))
    assert exporting.lines(description) == []
    exporting.database.close()


def test_a_page_looks_at_so_many_exports(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be many of other tables before the first one."""
    monkeypatch.setattr("blotter.database.operations.exports.description._LOOKED_AT", 1)
    exporting.make_table("films")
    other = ARN.replace("books", "films")
    wanted = exporting.start(TableArn=other)
    for _ in range(10):
        exporting.now += 1
        exporting.start()
    pages: list[list[str]] = []
    request: Answer = {"TableArn": other}
    while not pages or "NextToken" in request:
        page = exporting.call("ListExports", **request)
        pages.append([summary["ExportArn"] for summary in page["ExportSummaries"]])
        request = {"TableArn": other, "NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert pages == [[]] * 10 + [[wanted]]


def test_only_so_many_exports_at_once(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the account in the region; those that have ended do not count."""
    monkeypatch.setattr("blotter.database.operations.exports.request.MOST_AT_ONCE", 3)
    request = {"TableArn": ARN, "S3Bucket": "exports"}
    for _ in range(3):
        exporting.now += 1
        exporting.start()
    assert exporting.refusal("ExportTableToPointInTime", **request) == (
        "LimitExceededException: Subscriber limit exceeded: Only 3 exports can be in progress at the same time"
    )
    assert len(exporting.call("ListExports")["ExportSummaries"]) == 3
    exporting.run_jobs()
    exporting.start()


def test_a_time_before_recovery_is_not_exported(exporting: Exporting) -> None:
    """The table was there, its history is not."""
    created = exporting.now
    recovery = {"TableName": "books", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}}
    exporting.call("UpdateContinuousBackups", **recovery)
    exporting.now += 3600
    recovery["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
    exporting.call("UpdateContinuousBackups", **recovery)
    exporting.now += 3600
    message = "InvalidExportTimeException: Point in Time Recovery is not available for specified export time"
    request: Answer = {"TableArn": ARN, "S3Bucket": "exports"}
    assert exporting.refusal("ExportTableToPointInTime", **request, ExportTime=created + 3599) == message
    request |= {"ExportType": "INCREMENTAL_EXPORT"}
    for before, refused in ((1, True), (0, False)):
        period = {"ExportFromTime": created + 3600 - before, "ExportToTime": created + 7200}
        wanted = request | {"IncrementalExportSpecification": period}
        if refused:
            assert exporting.refusal("ExportTableToPointInTime", **wanted) == message
        else:
            exporting.call("ExportTableToPointInTime", **wanted)


def test_a_period_has_at_most_24_hours(exporting: Exporting) -> None:
    since = exporting.now
    exporting.now += 25 * 3600
    request: Answer = {"TableArn": ARN, "S3Bucket": "exports", "ExportType": "INCREMENTAL_EXPORT"}
    period = {"ExportFromTime": since, "ExportToTime": since + 24 * 3600 + 1}
    assert exporting.refusal("ExportTableToPointInTime", **request, IncrementalExportSpecification=period) == (
        "InvalidExportTimeException: Difference between export period from time and export period to time is "
        "greater than 24 hours"
    )
    period["ExportToTime"] -= 1
    exporting.start(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=period)


def test_an_export_whose_job_is_not_in_the_store_has_failed(exporting: Exporting) -> None:
    """A store that was recovered from an archive may have the record of an export without its job."""
    arn = exporting.start()
    (job,) = exporting.database.run(exporting.database.storage.fetch(all_jobs))
    assert exporting.describe(arn)["ExportStatus"] == "IN_PROGRESS"
    exporting.database.run(exporting.database.storage.write(lambda tx: end(tx, job.id)))
    description = exporting.describe(arn)
    assert (description["ExportStatus"], description["FailureCode"]) == ("FAILED", "InternalServerError")
    assert description["FailureMessage"] == (
        "The server that made this export was replaced by another, from an archive"
    )
