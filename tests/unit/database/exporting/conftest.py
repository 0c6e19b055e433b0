"""A database in the test's folder with a clock that the test moves, whose exports are folders."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.copies.jobs import all_jobs, run_of
from tests.in_process import InProcessDatabase

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/books"

Answer = dict[str, Any]


class Exporting:
    """Requests, jobs that run when the test says so, and what the exports hold."""

    def __init__(self, folder: Path, store: str = "sqlite") -> None:
        self.now = 1_795_911_600.0
        self.objects = folder / "objects"
        self.database = InProcessDatabase(
            folder / "data", clock=lambda: self.now, background=False, store=store, objects=self.objects.as_uri()
        )

    def call(self, operation: str, **request: Any) -> Answer:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def refusal(self, operation: str, **request: Any) -> str:
        status, body = self.database.call(operation, request)
        assert status == 400, body
        return f"{body['__type'].rpartition('#')[2]}: {body['message']}"

    def make_table(self, name: str = "books") -> None:
        keys = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
        attributes = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
        self.call("CreateTable", TableName=name, BillingMode="PAY_PER_REQUEST", **(keys | attributes))
        self.call(
            "UpdateContinuousBackups",
            TableName=name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )

    def put(self, key: str, **attributes: Any) -> Answer:
        item = {"id": {"S": key}, **attributes}
        self.call("PutItem", TableName="books", Item=item)
        return item

    def delete(self, key: str) -> None:
        self.call("DeleteItem", TableName="books", Key={"id": {"S": key}})

    def items(self, table: str = "books") -> dict[str, Answer]:
        """What is in a table now."""
        found: dict[str, Answer] = {}
        request: Answer = {"TableName": table}
        while True:
            page = self.call("Scan", **request)
            found |= {item["id"]["S"]: item for item in page["Items"]}
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def start(self, **request: Any) -> str:
        """Starts an export; returns its ARN."""
        wanted = {"TableArn": ARN, "S3Bucket": "exports"} | request
        arn: str = self.call("ExportTableToPointInTime", **wanted)["ExportDescription"]["ExportArn"]
        return arn

    def run_jobs(self) -> None:
        """Runs every job once; what a job raises, this raises."""
        jobs = self.database.run(self.database.storage.fetch(all_jobs))
        for job in jobs:
            self.database.run(run_of(job.kind)(job, self.database.tools))

    def settle(self) -> None:
        """Has the background do all that is to be done."""
        self.database.background = True
        self.call("ListTables")
        self.database.background = False

    def describe(self, arn: str) -> Answer:
        description: Answer = self.call("DescribeExport", ExportArn=arn)["ExportDescription"]
        return description

    def export(self, **request: Any) -> Answer:
        """The description of an export that has ended."""
        arn = self.start(**request)
        self.run_jobs()
        return self.describe(arn)

    def lines(self, description: Answer) -> list[Answer]:
        """The lines of all data files that the manifest names, which holds for their counts and checksums."""
        bucket = self.objects / description["S3Bucket"]
        summary = json.loads((bucket / description["ExportManifest"]).read_bytes())
        found: list[Answer] = []
        for entry in (bucket / summary["manifestFilesS3Key"]).read_text().splitlines():
            file = json.loads(entry)
            lines = gzip.decompress((bucket / file["dataFileS3Key"]).read_bytes()).splitlines()
            assert len(lines) == file["itemCount"]
            found += map(json.loads, lines)
        assert len(found) == summary["itemCount"] == description["ItemCount"]
        return found

    def exported(self, description: Answer) -> dict[str, Answer]:
        lines = self.lines(description)
        found = {line["Item"]["id"]["S"]: line["Item"] for line in lines}
        assert len(found) == len(lines), "no item twice"
        return found


@pytest.fixture
def exporting(tmp_path: Path) -> Iterator[Exporting]:
    made = Exporting(tmp_path)
    made.make_table()
    yield made
    made.database.close()
