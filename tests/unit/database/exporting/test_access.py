"""Who may export a table, and describe exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guarded import TABLES, GuardedDatabase, allow, user

TABLE = f"{TABLES}books"
REQUEST = {"TableArn": TABLE, "S3Bucket": "exports", "S3Prefix": "daily"}
EXPORT = "dynamodb:ExportTableToPointInTime"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[GuardedDatabase]:
    guarded = GuardedDatabase(tmp_path)
    made = {
        "TableName": "books",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    assert guarded.message("CreateTable", made) == ""
    recovery = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
    assert guarded.message("UpdateContinuousBackups", {"TableName": "books"} | recovery) == ""
    yield guarded
    guarded.close()


def test_an_export_needs_the_table_and_the_place_in_the_bucket(database: GuardedDatabase) -> None:
    table, bucket = allow(EXPORT, TABLE), allow("s3:PutObject", "arn:aws:s3:::exports/daily/*")
    assert database.as_(user("a", table, bucket)).message("ExportTableToPointInTime", REQUEST) == ""
    message = database.as_(user("a", table)).message("ExportTableToPointInTime", REQUEST)
    assert "is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::exports/daily/" in message
    assert "AccessDenied" in database.as_(user("a", bucket)).message("ExportTableToPointInTime", REQUEST)
    elsewhere = allow("s3:PutObject", "arn:aws:s3:::exports/other/*")
    assert "s3:PutObject" in database.as_(user("a", table, elsewhere)).message("ExportTableToPointInTime", REQUEST)


def test_exports_are_resources_of_their_own(database: GuardedDatabase) -> None:
    _, body = database.call("ExportTableToPointInTime", REQUEST)
    arn = body["ExportDescription"]["ExportArn"]
    may = database.as_(user("a", allow("dynamodb:DescribeExport", f"{TABLE}/export/*")))
    assert may.message("DescribeExport", {"ExportArn": arn}) == ""
    assert "AccessDenied" in may.message("ListExports", {})
    may = database.as_(user("a", allow("dynamodb:DescribeExport", TABLE), allow("dynamodb:ListExports", "*")))
    assert "AccessDenied" in may.message("DescribeExport", {"ExportArn": arn})
    assert may.message("ListExports", {}) == ""
