"""The policies that `blotter tables policy` prints: each is enough for its role, and for nothing else.

Every operation that the database knows is tried by every role on the declared table, its index and its stream, and
on another table of the account. What a role may do is written down here, independently of the policies.

"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.config import load_configuration
from blotter.database.operations.registry import OPERATIONS
from blotter.database.security.policy import parse_policy
from blotter.tables.declaring.declaration import parse_table
from blotter.tables.policy import ROLES, make_policy
from tests.guarded import ROOT, TABLES, GuardedDatabase, session

DECLARED = """\
app = "shop"
[environments.dev]
region = "us-east-1"
account = "123456789012"
[tables.results]
partition_key = { name = "p", type = "S" }
stream = "KEYS_ONLY"
time_to_live = "x"
resource_policy = { Version = "2012-10-17" }
tags = { a = "b" }
[tables.results.indexes.by-y]
partition_key = { name = "y", type = "S" }
"""
OWN, OTHER = "shop-results-dev", "others"
KEY = {"p": {"S": "a"}}

ITEMS = {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"}
STREAMS = {"DescribeStream", "GetRecords", "GetShardIterator"}
MAY: dict[str, set[str]] = {
    # A transaction or a PartiQL statement is no way around: these roles have only the actions of single items.
    "lambda": {"GetItem", "PutItem", "UpdateItem", "TransactGetItems", *STREAMS},
    "worker": {"GetItem", "PutItem", "UpdateItem", "Scan", "TransactGetItems"},
    # With DeleteItem goes a transaction that deletes.
    "api": {
        *("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Query of the index", "Scan"),
        *("TransactGetItems", "TransactWriteItems"),
    },
    "operator": {
        *("CreateTable", "DescribeTable", "UpdateTable", "TagResource", "UntagResource", "ListTagsOfResource"),
        *("UpdateTimeToLive", "DescribeTimeToLive"),
        *("PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy"),
    },
    "auditor": {
        *("DescribeTable", "DescribeTimeToLive", "GetResourcePolicy", "ListTagsOfResource"),
        *("ListTables", "DescribeLimits", "DescribeContinuousBackups", "DescribeKinesisStreamingDestination"),
        *("DescribeContributorInsights", "ListBackups", "ListExports", "ListImports"),
        "ListBulkOperations",
    },
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedDatabase]:
    guarded = GuardedDatabase(tmp_path_factory.mktemp("roles"))
    for name in (OWN, OTHER):
        made = requests(name, "")["CreateTable"] | {
            "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in ("p", "y")],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-y",
                    "KeySchema": [{"AttributeName": "y", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        }
        assert guarded.message("CreateTable", made) == ""
    yield guarded
    guarded.close()


def requests(table: str, stream: str, iterator: str = "") -> dict[str, dict[str, Any]]:
    """One request for every operation; the operation is the first word of the name."""
    named, arn = {"TableName": table}, {"ResourceArn": TABLES + table}
    query = {"KeyConditionExpression": "p = :v", "ExpressionAttributeValues": {":v": {"S": "a"}}}
    select = {"Statement": f"SELECT * FROM \"{table}\" WHERE p = 'a'"}
    kinesis = named | {"StreamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/changes"}
    backup = {"BackupArn": f"{TABLES}{table}/backup/01795911600000-9b1c2d3e"}
    bulk = f"{TABLES}{table}/bulk-operation/01795911600000-9b1c2d3e"
    schema = {
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    }
    return {
        "GetItem": named | {"Key": KEY},
        "PutItem": named | {"Item": KEY},
        "UpdateItem": named | {"Key": KEY},
        "DeleteItem": named | {"Key": KEY},
        "Query": named | query,
        "Query of the index": named | query | {"IndexName": "by-y", "KeyConditionExpression": "y = :v"},
        "Scan": named,
        "Scan of the index": named | {"IndexName": "by-y"},
        "SearchVectors": named | {"IndexName": "by-y", "SearchVector": [{"N": "1"}], "TopK": 1},
        "BatchGetItem": {"RequestItems": {table: {"Keys": [KEY]}}},
        "BatchWriteItem": {"RequestItems": {table: [{"PutRequest": {"Item": KEY}}]}},
        "TransactGetItems": {"TransactItems": [{"Get": named | {"Key": KEY}}]},
        "TransactWriteItems": {"TransactItems": [{"Delete": named | {"Key": KEY}}]},
        "ExecuteStatement": select,
        "ExecuteStatement of a write": {"Statement": f"INSERT INTO \"{table}\" VALUE {{'p': 'b'}}"},
        "BatchExecuteStatement": {"Statements": [select]},
        "ExecuteTransaction": {"TransactStatements": [select]},
        "CreateTable": named | schema | {"BillingMode": "PAY_PER_REQUEST", "Tags": [{"Key": "a", "Value": "b"}]},
        "DescribeTable": named,
        "UpdateTable": named | {"DeletionProtectionEnabled": False},
        "DeleteTable": named,
        "ListTables": {},
        "TagResource": arn | {"Tags": [{"Key": "a", "Value": "b"}]},
        "UntagResource": arn | {"TagKeys": ["a"]},
        "ListTagsOfResource": arn,
        "UpdateTimeToLive": named | {"TimeToLiveSpecification": {"AttributeName": "x", "Enabled": False}},
        "DescribeTimeToLive": named,
        "PutResourcePolicy": arn | {"Policy": "{}"},
        "GetResourcePolicy": arn,
        "DeleteResourcePolicy": arn,
        **{f"{verb}KinesisStreamingDestination": kinesis for verb in ("Enable", "Disable", "Update")},
        "DescribeKinesisStreamingDestination": named,
        "DescribeContinuousBackups": named,
        "UpdateContinuousBackups": named
        | {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}},
        "UpdateContributorInsights": named | {"ContributorInsightsAction": "DISABLE"},
        "DescribeContributorInsights": named,
        "ListContributorInsights": named,
        "ExportTableToPointInTime": {"TableArn": TABLES + table, "S3Bucket": "exports"},
        "DescribeExport": {"ExportArn": f"{TABLES}{table}/export/01768385930622-efd1a093"},
        "ListExports": {},
        "ImportTable": {
            "S3BucketSource": {"S3Bucket": "imports"},
            "InputFormat": "CSV",
            "ClientToken": "one",
            "TableCreationParameters": {
                "TableName": table,
                "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        },
        "DescribeImport": {"ImportArn": f"{TABLES}{table}/import/01768385930622-efd1a093"},
        "ListImports": {},
        "StartBulkPutItems": named
        | {
            "InputS3Configuration": {"S3Bucket": "imports", "InputFormat": "ION"},
            "OutputS3Configuration": {"S3Bucket": "reports", "OutputType": ["ERROR"]},
        },
        "DescribeBulkOperation": {"BulkOperationArn": bulk},
        "CancelBulkOperation": {"BulkOperationArn": bulk},
        "ListBulkOperations": {},
        "CreateBackup": named | {"BackupName": "one"},
        "ListBackups": named,
        "DescribeBackup": backup,
        "DeleteBackup": backup,
        "RestoreTableFromBackup": backup | {"TargetTableName": "restored"},
        "RestoreTableToPointInTime": {
            "SourceTableName": table,
            "TargetTableName": "restored",
            "UseLatestRestorableTime": True,
        },
        "ListStreams": {},
        "DescribeStream": {"StreamArn": stream},
        "GetShardIterator": {"StreamArn": stream, "ShardId": "shardId-0" * 4, "ShardIteratorType": "LATEST"},
        "GetRecords": {"ShardIterator": iterator},
        "DescribeLimits": {},
        "DescribeEndpoints": {},
    }


@pytest.mark.parametrize("role", list(ROLES))
def test_a_role_may_do_its_work_and_nothing_else(database: GuardedDatabase, tmp_path: Path, role: str) -> None:
    file = tmp_path / "blotter.toml"
    file.write_text(DECLARED)
    configuration = load_configuration(file, environ={})
    tables = [(table, parse_table(table, configuration.document)) for table in configuration.tables.values()]
    printed = parse_policy(json.dumps(make_policy(role, tables, configuration)), "identity")
    for table in (OWN, OTHER):
        tried = requests(table, *place(database, table))
        assert {name.split()[0] for name in tried} == set(OPERATIONS), "every operation is tried"
        database.as_(session(role, "one", printed))
        may = {name for name, request in tried.items() if is_allowed(database, name, request)}
        # Without a resource of their own these are the same for every table.
        same = {"ListTables", "DescribeLimits", "ListBackups", "ListExports", "ListImports", "ListBulkOperations"}
        expected = MAY[role] if table == OWN else MAY[role] & same
        assert may == expected


def place(database: GuardedDatabase, table: str) -> tuple[str, str]:
    """The table's stream, and an iterator of it."""
    database.as_(ROOT)
    stream = database.call("DescribeTable", {"TableName": table})[1]["Table"]["LatestStreamArn"]
    shards = database.call("DescribeStream", {"StreamArn": stream})[1]["StreamDescription"]["Shards"]
    begin = {"StreamArn": stream, "ShardId": shards[0]["ShardId"], "ShardIteratorType": "LATEST"}
    return stream, database.call("GetShardIterator", begin)[1]["ShardIterator"]


def is_allowed(database: GuardedDatabase, name: str, request: dict[str, Any]) -> bool:
    """A batch of statements has the refusal among its responses."""
    if name != "BatchExecuteStatement":
        return database.allows(name.split()[0], request)
    (response,) = database.call(name, request)[1]["Responses"]
    return bool(response.get("Error", {}).get("Code") != "AccessDenied")
