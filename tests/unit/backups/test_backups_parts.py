"""Requests, lost answers and waiting, against a scripted endpoint; times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import pytest

from blotter.backups import backing_up, exporting, restoring
from blotter.backups.facts import export_facts, export_text
from blotter.backups.times import Moment, shown
from blotter.tables.applying.apply import Step
from blotter.tables.applying.progress import silent
from blotter.tables.calls.wait import Deadline
from blotter.tables.errors import Exit, Retry, SetupError
from tests.simulated_dynamodb import FakeClock

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/books"
EXPORT = f"{ARN}/export/01768385930622-efd1a093"
LOST = SetupError("took the request and did not answer in time", Exit.UNREACHABLE, Retry.BRIEFLY)
BUSY = SetupError("throttled", Exit.TIMED_OUT, Retry.UNTIL_DEADLINE)
GONE = SetupError("not found", Exit.REFUSED, code="ResourceNotFoundException")

Answer = dict[str, Any]
Script = list[tuple[str, Answer | SetupError]]


class Scripted:
    """Gives the answers of a script, in its order; each to the operation that it is for."""

    def __init__(self, script: Script) -> None:
        self._script = list(script)
        self.sent: list[Answer] = []

    def call(self, operation: str, /, service: str = "dynamodb", **parameters: Any) -> Answer:
        assert service == "dynamodb"
        expected, answer = self._script.pop(0)
        assert operation == expected
        self.sent.append(parameters)
        if isinstance(answer, SetupError):
            raise answer
        return answer

    def finished(self) -> bool:
        return not self._script


def scripted(script: Script, seconds: float = 1000.0) -> tuple[Scripted, Step]:
    clock = FakeClock().clock(1.0)
    endpoint = Scripted(script)
    return endpoint, Step(endpoint, silent, clock, Deadline(clock, seconds))


def backup(arn: str, name: str = "nightly") -> Answer:
    return {"BackupArn": arn, "BackupName": name, "BackupStatus": "CREATING", "TableName": "books"}


def test_a_backup_whose_answer_was_lost_is_found_by_its_name() -> None:
    endpoint, step = scripted(
        [
            ("ListBackups", {"BackupSummaries": [backup("old")]}),
            ("CreateBackup", LOST),
            ("ListBackups", {"BackupSummaries": [backup("old")], "LastEvaluatedBackupArn": "old"}),
            ("ListBackups", {"BackupSummaries": [backup("new")]}),
            ("DescribeBackup", {"BackupDescription": {"BackupDetails": backup("new")}}),
        ]
    )
    assert backing_up.create(step, "books", "nightly")["BackupArn"] == "new"
    assert endpoint.finished()
    assert endpoint.sent[3]["ExclusiveStartBackupArn"] == "old"


def test_a_backup_that_was_throttled_is_requested_again() -> None:
    endpoint, step = scripted([("CreateBackup", BUSY), ("CreateBackup", {"BackupDetails": backup("new")})])
    assert backing_up.create(step, "books", None)["BackupArn"] == "new"
    assert endpoint.sent[0] == endpoint.sent[1]
    assert endpoint.sent[0]["BackupName"].startswith("books-2")


def test_default_names_fit_and_differ() -> None:
    now = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
    names = {backing_up.default_name("b" * 255, now) for _ in range(20)}
    assert len(names) == 20
    assert {len(name) for name in names} == {255}
    assert backing_up.default_name("books", now).startswith("books-20261128-093000-")


def test_a_backup_that_is_gone_after_a_lost_answer_was_deleted() -> None:
    facts = {"arn": "one", "name": "nightly", "table": "books", "status": "AVAILABLE"}
    endpoint, step = scripted([("DeleteBackup", LOST), ("ListBackups", {"BackupSummaries": []})])
    assert backing_up.delete(step, facts)["status"] == "DELETED"
    assert endpoint.finished()


@pytest.mark.parametrize(("source", "ours"), [(ARN, True), (ARN + "-other", False)])
def test_a_restore_whose_answer_was_lost_is_known_by_its_source(source: str, ours: bool) -> None:
    made = {"TableName": "again", "TableStatus": "CREATING", "RestoreSummary": {"SourceTableArn": source}}
    script: Script = [("RestoreTableToPointInTime", LOST), ("DescribeTable", {"Table": made})]
    if not ours:
        refusal = SetupError("exists", Exit.REFUSED, code="TableAlreadyExistsException")
        script.append(("RestoreTableToPointInTime", refusal))
    endpoint, step = scripted(script)
    wanted = restoring.Restore(target="again", source="books")
    if ours:
        assert restoring.start(step, wanted) == made
    else:
        with pytest.raises(SetupError, match="exists"):
            restoring.start(step, wanted)
    assert endpoint.finished()


def test_requests_of_restores() -> None:
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    request = restoring.request_of
    assert request(restoring.Restore(target="t", backup_arn="b")) == (
        "RestoreTableFromBackup",
        {"TargetTableName": "t", "BackupArn": "b"},
    )
    assert request(restoring.Restore(target="t", source="books"))[1] == {
        "TargetTableName": "t",
        "SourceTableName": "books",
        "UseLatestRestorableTime": True,
    }
    everything = restoring.Restore(
        target="t", source=ARN, moment=moment, without_indexes=True, billing_mode="PAY_PER_REQUEST"
    )
    assert request(everything)[1] == {
        "TargetTableName": "t",
        "SourceTableArn": ARN,
        "RestoreDateTime": moment,
        "GlobalSecondaryIndexOverride": [],
        "LocalSecondaryIndexOverride": [],
        "BillingModeOverride": "PAY_PER_REQUEST",
    }


def test_an_export_is_requested_again_with_the_same_token_and_waited_for() -> None:
    started = {"ExportDescription": {"ExportArn": EXPORT, "ExportStatus": "IN_PROGRESS"}}
    ended = {"ExportDescription": {"ExportArn": EXPORT, "ExportStatus": "COMPLETED", "ItemCount": 3}}
    endpoint, step = scripted(
        [
            ("DescribeTable", {"Table": {"TableName": "books", "TableArn": ARN}}),
            ("ExportTableToPointInTime", LOST),
            ("ExportTableToPointInTime", started),
            ("DescribeExport", BUSY),
            ("DescribeExport", started),
            ("DescribeExport", ended),
        ]
    )
    found = exporting.start(step, exporting.Export(table="books", bucket="exports"))
    assert endpoint.sent[1] == endpoint.sent[2]
    assert len(endpoint.sent[1]["ClientToken"]) == 36
    assert exporting.wait_until_ended(step, found)["ItemCount"] == 3
    assert exporting.is_export(EXPORT)
    assert not exporting.is_export(ARN)


def test_waiting_ends_at_the_deadline() -> None:
    started = {"ExportDescription": {"ExportArn": EXPORT, "ExportStatus": "IN_PROGRESS"}}
    _, step = scripted([("DescribeExport", started)] * 50, seconds=100.0)
    with pytest.raises(SetupError, match="still IN_PROGRESS after 100 s") as raised:
        exporting.wait_until_ended(step, started["ExportDescription"])
    assert raised.value.exit_code is Exit.TIMED_OUT


def test_requests_of_exports() -> None:
    since, until = datetime(2026, 11, 28, tzinfo=UTC), datetime(2026, 11, 29, tzinfo=UTC)
    whole = exporting.Export(
        table="books", bucket="b", prefix="p", format="ION", moment=until, sse="KMS", kms_key="k"
    )
    assert exporting.request_of(whole, ARN, "token") == {
        "TableArn": ARN,
        "S3Bucket": "b",
        "ClientToken": "token",
        "S3Prefix": "p",
        "S3SseAlgorithm": "KMS",
        "S3SseKmsKeyId": "k",
        "ExportTime": until,
        "ExportFormat": "ION",
    }
    changes = exporting.Export(table="books", bucket="b", since=since, until=until, new_images_only=True)
    assert exporting.request_of(changes, ARN, "token") == {
        "TableArn": ARN,
        "S3Bucket": "b",
        "ClientToken": "token",
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": "INCREMENTAL_EXPORT",
        "IncrementalExportSpecification": {
            "ExportFromTime": since,
            "ExportToTime": until,
            "ExportViewType": "NEW_IMAGE",
        },
    }


def test_a_filter_is_that_of_the_aws_cli() -> None:
    text = """{"FilterExpression": "a = :a AND b IN (:b)", "ExpressionAttributeValues":
        {":a": {"B": "AAE="}, ":b": {"L": [{"BS": ["AA=="]}, {"M": {"B": {"S": "x"}}}, {"NULL": true}]}}}"""
    assert exporting.filter_of(text) == {
        "FilterExpression": "a = :a AND b IN (:b)",
        "ExpressionAttributeValues": {
            ":a": {"B": b"\x00\x01"},
            ":b": {"L": [{"BS": [b"\x00"]}, {"M": {"B": {"S": "x"}}}, {"NULL": True}]},
        },
    }
    for wrong in ("", "[]", "{", '{"ExpressionAttributeValues": {":a": {"B": "?"}}}', "[" * 100_000):
        with pytest.raises(SetupError, match="--filter is not") as raised:
            exporting.filter_of(wrong)
        assert raised.value.exit_code is Exit.USAGE


def test_a_failed_export_says_why() -> None:
    facts = export_facts(
        {
            "ExportArn": EXPORT,
            "ExportStatus": "FAILED",
            "S3Bucket": "exports",
            "FailureCode": "S3NoSuchBucket",
            "FailureMessage": "The specified bucket does not exist",
        }
    )
    assert (facts["failure_code"], facts["type"]) == ("S3NoSuchBucket", "FULL_EXPORT")
    assert export_text(facts)[0] == "export FAILED"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28", "2026-11-28T00:00:00Z"),
        ("2026-11-28T09:30:00", "2026-11-28T09:30:00Z"),
        ("2026-11-28T09:30:00Z", "2026-11-28T09:30:00Z"),
        ("2026-11-28T09:30:00.250+01:00", "2026-11-28T08:30:00.250Z"),
        ("1795911600", "2026-11-29T00:20:00Z"),
        ("1795911600.5", "2026-11-29T00:20:00.500Z"),
    ],
)
def test_times(text: str, moment: str) -> None:
    assert shown(Moment().convert(text, None, None)) == moment


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "1e9", "99999999999999", "٣", "-1"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        Moment().convert(text, None, None)


def test_no_time_is_none() -> None:
    assert shown(None) is None
