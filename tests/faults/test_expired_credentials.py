"""Credentials of S3 that expire in the middle of a backup, a restore, an export, an import and of shipping:
service goes on, the error says what to do, and once there are new credentials, the work goes on and is complete.

S3 is moto's, behind a gate that accepts the key of the moment and expires it before any request the test chooses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest

from blotter.database.archive.archiver import Archiver
from blotter.database.archive.recovering import recover
from blotter.database.copies.jobs import all_jobs, run_of
from blotter.database.copies.objects import CredentialsRefused, Objects, ObjectsUnavailable, open_objects
from blotter.database.encryption.files import FileCipher
from tests.in_process import InProcessDatabase
from tests.moto_server import Application, WsgiServer, moto_application

ITEMS = 40
RENEW = "the credentials are refused or have expired; renew them where the AWS SDKs look for them"
Answer = dict[str, Any]


class Gate:
    """A WSGI application in front of another, which answers as S3 does when a key is no longer accepted. `left`:
    requests until that happens; None for never."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.key = "key-0"
        self.url = ""
        self.left: int | None = None

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if self.left is not None:
                self.left -= 1
            expired = self.left is not None and self.left < 0
        authorization = environment.get("HTTP_AUTHORIZATION", "")
        if not expired and f"Credential={self.key}/" in authorization:
            return self._application(environment, start)
        environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        start("400 Bad Request", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [b"" if environment["REQUEST_METHOD"] == "HEAD" else body]


class Setting:
    """A database whose copies go to S3, and the file in which its credentials are."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self.folder = folder
        self.gate = gate
        self.keys = 0
        self.now = 1_795_911_600.0
        self.renew()
        for bucket in ("own", "exports"):
            boto3.Session().client("s3").create_bucket(Bucket=bucket)  # one that has not found others before
        self.database = InProcessDatabase(
            folder / "data", clock=lambda: self.now, background=False, objects="s3://own/copies"
        )
        self.call(
            "CreateTable",
            TableName="books",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        for number in range(ITEMS):
            self.put(number)

    def renew(self) -> None:
        self.keys += 1
        self.gate.key, self.gate.left = f"key-{self.keys}", None
        (self.folder / "credentials").write_text(
            f"[default]\naws_access_key_id={self.gate.key}\naws_secret_access_key=x\naws_session_token=t\n"
        )

    def call(self, operation: str, **request: Any) -> Answer:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def put(self, number: int) -> None:
        self.call("PutItem", TableName="books", Item={"id": {"S": str(number)}})

    def keys_of(self, table: str) -> list[int]:
        return sorted(int(item["id"]["S"]) for item in self.call("Scan", TableName=table)["Items"])

    async def run_jobs(self) -> None:
        while jobs := await self.database.storage.fetch(all_jobs):
            for job in jobs:
                await run_of(job.kind)(job, self.database.tools)

    def through(self, work: Callable[[], Any], begin: Callable[[], None], requests: Iterable[int]) -> int:
        """Does the work again and again, with credentials that last for so many of its requests, until they are
        enough. Returns the last number."""
        number = 0
        for number in requests:
            begin()
            self.gate.left = number
            try:
                self.database.run(work())
            except CredentialsRefused as error:
                told = str(error)
            else:
                told = RENEW  # or in the log
            assert RENEW in told
            if self.gate.left >= 0:
                self.gate.left = None
                break
            self.put(number % ITEMS)
            with suppress(ObjectsUnavailable):
                self.database.run(work())
            self.renew()
            self.database.run(work())
        return number


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    gate = Gate(moto_application())
    server = WsgiServer(gate)
    gate.url = server.url
    yield gate
    server.stop()


@pytest.fixture
def setting(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", gate.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    setting = Setting(tmp_path, gate)
    yield setting
    setting.database.close()


SOME = pytest.param((4,), id="some")
EVERY = pytest.param(range(100), id="every", marks=pytest.mark.slow)


@pytest.mark.parametrize("requests", [EVERY])
def test_a_backup_and_its_restore(setting: Setting, requests: Iterable[int]) -> None:
    def begin() -> None:
        made.append(setting.call("CreateBackup", TableName="books", BackupName="one")["BackupDetails"])

    made: list[Answer] = []
    assert setting.through(setting.run_jobs, begin, requests) > 1
    assert len(setting.call("ListBackups")["BackupSummaries"]) == len(made)

    def begin_restore() -> None:
        target = f"restored-{len(targets)}"
        arn = made[len(targets) % len(made)]["BackupArn"]
        setting.call("RestoreTableFromBackup", BackupArn=arn, TargetTableName=target)
        targets.append(target)

    targets: list[str] = []
    assert setting.through(setting.run_jobs, begin_restore, requests) > 1
    for target in targets:
        assert setting.keys_of(target) == list(range(ITEMS))


@pytest.mark.parametrize("requests", [SOME, EVERY])
def test_an_export_and_its_import(setting: Setting, requests: Iterable[int]) -> None:
    recovery = {"PointInTimeRecoveryEnabled": True}
    setting.call("UpdateContinuousBackups", TableName="books", PointInTimeRecoverySpecification=recovery)
    arn = setting.call("DescribeTable", TableName="books")["Table"]["TableArn"]
    exports: list[str] = []

    def begin() -> None:
        answer = setting.call("ExportTableToPointInTime", TableArn=arn, S3Bucket="exports")
        exports.append(answer["ExportDescription"]["ExportArn"])

    assert setting.through(setting.run_jobs, begin, requests) > 3
    for export in exports:
        found = setting.call("DescribeExport", ExportArn=export)["ExportDescription"]
        assert (found["ExportStatus"], found["ItemCount"]) == ("COMPLETED", ITEMS)
    folder = f"AWSDynamoDB/{exports[0].rpartition('/')[2]}/data/"
    imports: list[str] = []

    def begin_import() -> None:
        answer = setting.call(
            "ImportTable",
            ClientToken=f"import-{len(imports)}",
            S3BucketSource={"S3Bucket": "exports", "S3KeyPrefix": folder},
            InputFormat="DYNAMODB_JSON",
            InputCompressionType="GZIP",
            TableCreationParameters={
                "TableName": f"imported-{len(imports)}",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            },
        )
        imports.append(answer["ImportTableDescription"]["ImportArn"])

    assert setting.through(setting.run_jobs, begin_import, requests) > 3
    for number, arn in enumerate(imports):
        assert (
            setting.call("DescribeImport", ImportArn=arn)["ImportTableDescription"]["ImportStatus"] == "COMPLETED"
        )
        assert setting.keys_of(f"imported-{number}") == list(range(ITEMS))


@pytest.mark.parametrize("requests", [SOME, EVERY])
def test_shipping_to_an_archive(setting: Setting, tmp_path: Path, requests: Iterable[int]) -> None:
    objects: list[Objects] = []
    written = ITEMS

    def archiver() -> Archiver:
        return Archiver(
            setting.database.storage,
            objects[-1],
            FileCipher(None, lambda _: None),
            dict,
            1.0,
            86_400.0,
            lambda: setting.now,
        )

    def begin() -> None:
        nonlocal written
        objects.append(open_objects("s3://own/archive"))
        setting.put(written)
        written += 1

    async def ship() -> None:
        await archiver().run_once()

    assert setting.through(ship, begin, requests) > 2
    recover(open_objects("s3://own/archive"), tmp_path / "recovered", None, None, lambda *_: None)
    recovered = InProcessDatabase(tmp_path / "recovered")
    found = recovered.call("Scan", {"TableName": "books"})[1]["Items"]
    assert sorted(int(item["id"]["S"]) for item in found) == list(range(written))
    recovered.close()
