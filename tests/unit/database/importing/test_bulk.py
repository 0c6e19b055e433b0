"""Bulk writes from request to report: conditions, indexes, counts, tokens, cancellation, rate, interruptions."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import ObjectsDenied, ObjectsUnavailable
from blotter.database.importing import bulk_job, reading

Imports = Any  # of conftest.py; test modules cannot import it

TABLE = {
    "TableName": "books",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "p", "AttributeType": "S"},
        {"AttributeName": "g", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


def lines(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def unless_there(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "Item": item,
        "ConditionExpression": "attribute_not_exists(#p)",
        "ExpressionAttributeNames": {"#p": "p"},
    }


def begin(imports: Imports, **more: Any) -> dict[str, Any]:
    request = {
        "TableName": "books",
        "InputS3Configuration": {"S3Bucket": "source", "S3KeyPrefix": "in/", "InputFormat": "DYNAMODB_JSON"},
        "OutputS3Configuration": {
            "S3Bucket": "source",
            "S3KeyPrefix": "out",
            "OutputType": ["ERROR", "CONDITION_CHECK_FAILURE"],
        },
        **more,
    }
    described: dict[str, Any] = imports.call("StartBulkPutItems", **request)["BulkOperationDescription"]
    return described


def ended(imports: Imports, described: dict[str, Any]) -> dict[str, Any]:
    arn = described["BulkOperationArn"]
    found: dict[str, Any] = imports.call("DescribeBulkOperation", BulkOperationArn=arn)
    return found["BulkOperationDescription"]  # type: ignore[no-any-return]


def report(imports: Imports, described: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    place = f"out/AWSDynamoDB/{described['BulkOperationArn'].rpartition('/')[2]}/{kind}/"
    contents = [imports.source.get(info.name) for info in imports.source.list(place)]
    return [json.loads(line) for content in contents for line in content.splitlines()]


@pytest.fixture
def books(imports: Imports) -> Imports:
    imports.call("CreateTable", **TABLE)
    return imports


def test_items_conditions_and_errors(books: Imports) -> None:
    books.call("PutItem", TableName="books", Item={"p": {"S": "old"}, "g": {"S": "x"}})
    content = lines(
        {"Item": {"p": {"S": "new"}, "g": {"S": "y"}, "n": {"N": "1.50"}}},
        unless_there({"p": {"S": "old"}, "g": {"S": "z"}}),
        unless_there({"p": {"S": "other"}}),
        {"Item": {"g": {"S": "no key"}}},
        {"Item": {"p": {"S": "x"}, "g": {"N": "1"}}},
        {"Item": {"p": {"S": "x"}}, "ConditionExpression": "not one"},
        {"Item": {"p": {"S": "x"}}, "ConditionExpression": "attribute_exists(p.a)"},
        {"Item": {"p": {"S": "old"}, "v": {"S": "set"}}, "ConditionExpression": "g = :x",
         "ExpressionAttributeValues": {":x": {"S": "x"}}},
    )  # fmt: skip
    books.source.put("in/a.json", content + b"garbage\n" + lines({"Item": {"p": {"S": "skipped"}}}))
    started = begin(books)
    assert started["BulkOperationStatus"] == "IN_PROGRESS"
    assert "EndTime" not in started
    assert books.run_jobs()
    done = ended(books, started)
    assert done["BulkOperationStatus"] == "COMPLETED_WITH_ERRORS"
    assert (done["ProcessedItemCount"], done["FailedItemCount"]) == (9, 5)
    assert done["ProcessedInputBytes"] == done["TotalInputBytes"]
    (usage,) = done["BulkOperationUsage"]
    assert usage["Table"] == {"BulkPutBytes": 3 * 1024}
    assert usage["GlobalSecondaryIndexes"] == {"by-g": {"BulkPutBytes": 2 * 1024}}
    assert {item["p"]["S"]: item for item in books.items("books")} == {
        "new": {"p": {"S": "new"}, "g": {"S": "y"}, "n": {"N": "1.5"}},
        "other": {"p": {"S": "other"}},
        "old": {"p": {"S": "old"}, "v": {"S": "set"}},
    }
    assert [item["p"]["S"] for item in books.items("books", IndexName="by-g")] == ["new"]
    (unmet,) = report(books, started, "CONDITION_CHECK_FAILURE")
    assert unmet["Item"]["g"] == {"S": "z"}
    assert unmet["ExistingItem"] == {"p": {"S": "old"}, "g": {"S": "x"}}
    assert (unmet["S3Key"], unmet["ItemIndex"]) == ("in/a.json", 1)
    errors = {line["ItemIndex"]: line["ErrorMessage"] for line in report(books, started, "ERROR")}
    assert errors == {
        3: "One or more parameter values were invalid: Missing the key p in the item",
        4: "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N "
        "IndexName: by-g",
        5: errors[5],
        6: "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: p",
        8: "The line is not valid JSON",
    }
    assert "ConditionExpression" in errors[5]
    manifest = f"out/AWSDynamoDB/{started['BulkOperationArn'].rpartition('/')[2]}/manifest-summary.json"
    assert json.loads(books.source.get(manifest))["conditionCheckFailureCount"] == 1
    stream = books.call("DescribeTable", TableName="books")["Table"]["LatestStreamArn"]
    assert records_of(books, stream) == ["INSERT", "INSERT", "INSERT", "MODIFY"]


def records_of(books: Imports, stream: str) -> list[str]:
    events: list[str] = []
    for shard in books.call("DescribeStream", StreamArn=stream)["StreamDescription"]["Shards"]:
        wanted = {"StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = books.call("GetShardIterator", **wanted)["ShardIterator"]
        events += [record["eventName"] for record in books.call("GetRecords", ShardIterator=iterator)["Records"]]
    return sorted(events)


def test_all_is_well(books: Imports) -> None:
    ion = b'{Item:{p:"a"},ConditionExpression:"attribute_not_exists(p)"} {Item:{p:"b",g:"x"}}'
    books.source.put("in/a", gzip.compress(ion))
    configuration = {
        "S3Bucket": "source",
        "S3KeyPrefix": "in/",
        "InputFormat": "ION",
        "InputCompressionType": "GZIP",
    }
    started = begin(books, InputS3Configuration=configuration, PerformanceTier="ACCELERATED", ClientToken="t")
    assert books.run_jobs()
    done = ended(books, started)
    assert (done["BulkOperationStatus"], done["ProcessedItemCount"]) == ("COMPLETED", 2)
    assert (done["FailedItemCount"], done["PerformanceTier"], done["ClientToken"]) == (0, "ACCELERATED", "t")
    assert len(books.items("books")) == 2


def test_only_the_wanted_report_is_written(books: Imports) -> None:
    books.source.put("in/a", lines({"Item": {}}, unless_there({"p": {"S": "a"}}), unless_there({"p": {"S": "a"}})))
    output = {"S3Bucket": "source", "S3KeyPrefix": "out", "OutputType": ["ERROR"]}
    started = begin(books, OutputS3Configuration=output)
    assert books.run_jobs()
    assert len(report(books, started, "ERROR")) == 1
    assert report(books, started, "CONDITION_CHECK_FAILURE") == []


def test_an_operation_that_breaks_off_anywhere_evaluates_each_condition_once(
    new_imports: Callable[..., Imports], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SLICE_RECORDS", 7)
    monkeypatch.setattr(bulk_job, "SLICE_SECONDS", -1.0)  # one item in a transaction
    monkeypatch.setattr(bulk_job, "PENDING_BYTES", 300)
    content = lines(*[unless_there({"p": {"S": f"k{number % 20}"}}) for number in range(25)], {"Item": {}})
    writes = 0
    done = False
    while not done:
        imports = new_imports()
        imports.call("CreateTable", **TABLE)
        imports.source.put("in/a", content)
        imports.source.put("in/b", b'{"Item":\n')
        started = begin(imports)
        done = imports.run_jobs(writes)
        assert imports.run_jobs()
        finished = ended(imports, started)
        assert finished["BulkOperationStatus"] == "COMPLETED_WITH_ERRORS"
        assert (finished["ProcessedItemCount"], finished["FailedItemCount"]) == (27, 2)
        assert finished["ProcessedInputBytes"] == finished["TotalInputBytes"]
        assert len(imports.items("books")) == 20
        unmet = report(imports, started, "CONDITION_CHECK_FAILURE")
        assert [line["ItemIndex"] for line in unmet] == [20, 21, 22, 23, 24]
        assert len(report(imports, started, "ERROR")) == 2
        writes += 1
    assert writes > 25


def test_cancellation_leaves_what_was_written(books: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SLICE_RECORDS", 5)
    books.source.put("in/a", lines(*[{"Item": {"p": {"S": f"k{number}"}}} for number in range(50)]))
    started = begin(books)
    assert not books.run_jobs(writes=4)
    arn = started["BulkOperationArn"]
    for _ in range(2):
        assert books.call("CancelBulkOperation", BulkOperationArn=arn) == {
            "BulkOperationArn": arn,
            "BulkOperationStatus": "CANCELLING",
        }
    assert ended(books, started)["BulkOperationStatus"] == "CANCELLING"
    assert books.run_jobs()
    done = ended(books, started)
    assert (done["BulkOperationStatus"], done["ProcessedItemCount"]) == ("CANCELLED", 15)
    assert done["FailureCode"]
    assert len(books.items("books")) == 15
    assert books.refused("CancelBulkOperation", BulkOperationArn=arn) == (
        "ValidationException",
        "The bulk operation has ended: its status is CANCELLED",
    )


def test_without_a_store_an_operation_waits_and_can_be_cancelled(
    books: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = begin(books)

    def is_gone(*_: object) -> None:
        raise ObjectsUnavailable("the store is gone")

    monkeypatch.setattr(bulk_job, "open_bucket", is_gone)
    monkeypatch.setattr(MemoryObjects, "put", is_gone)
    with pytest.raises(ObjectsUnavailable):
        books.run_jobs()
    assert ended(books, started)["BulkOperationStatus"] == "IN_PROGRESS"
    books.call("CancelBulkOperation", BulkOperationArn=started["BulkOperationArn"])
    assert books.run_jobs()
    assert ended(books, started)["BulkOperationStatus"] == "CANCELLED"


def test_a_report_that_may_not_be_written_fails_before_anything_is(
    books: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.source.put("in/a", lines({"Item": {"p": {"S": "k"}}}))
    started = begin(books)

    def denied(*_: object) -> None:
        raise ObjectsDenied("no")

    monkeypatch.setattr(MemoryObjects, "put", denied)
    assert books.run_jobs()
    done = ended(books, started)
    assert (done["BulkOperationStatus"], done["FailureCode"]) == ("FAILED", "S3AccessDenied")
    assert books.items("books") == []


def test_tokens_and_one_operation_for_a_table(new_imports: Callable[..., Imports]) -> None:
    now = 1_795_900_000.0
    imports = new_imports(clock=lambda: now)
    imports.call("CreateTable", **TABLE)
    first = begin(imports, ClientToken="t")
    assert begin(imports, ClientToken="t") == first
    request = {
        "TableName": "books",
        "InputS3Configuration": {"S3Bucket": "source", "InputFormat": "ION"},
        "OutputS3Configuration": {"S3Bucket": "source", "OutputType": ["ERROR"]},
    }
    code, _ = imports.refused("StartBulkPutItems", **request, ClientToken="t")
    assert code == "IdempotentParameterMismatchException"
    assert imports.refused("StartBulkPutItems", **request) == (
        "LimitExceededException",
        "Subscriber limit exceeded: a bulk operation on table books is in progress",
    )
    assert imports.run_jobs()
    now += 8 * 3600 + 1
    second = begin(imports, ClientToken="t")
    assert second["BulkOperationArn"] != first["BulkOperationArn"]
    listed = imports.call("ListBulkOperations", MaxResults=1)
    assert [each["BulkOperationArn"] for each in listed["BulkOperationsSummaryList"]] == [
        second["BulkOperationArn"]
    ]
    rest = imports.call("ListBulkOperations", NextToken=listed["NextToken"])
    assert [each["BulkOperationArn"] for each in rest["BulkOperationsSummaryList"]] == [first["BulkOperationArn"]]
    assert "NextToken" not in rest
    token = imports.call("ListBulkOperations", MaxResults=1)["NextToken"]
    assert imports.refused("ListImports", NextToken=token)[1].startswith("Invalid Request: Provided nextToken")


def test_tables_and_arns_that_are_not_there(books: Imports) -> None:
    code, _ = books.refused("StartBulkPutItems", **{**start_request(), "TableName": "absent"})
    assert code == "ResourceNotFoundException"
    for arn, code in (
        ("arn:aws:dynamodb:us-east-1:123456789012:table/books", "ValidationException"),
        ("arn:aws:dynamodb:us-east-1:123456789012:table/books/bulk-operation/0", "ResourceNotFoundException"),
        ("arn:aws:dynamodb:us-east-1:000000000000:table/books/bulk-operation/0", "ResourceNotFoundException"),
    ):
        assert books.refused("DescribeBulkOperation", BulkOperationArn=arn)[0] == code
        assert books.refused("CancelBulkOperation", BulkOperationArn=arn)[0] == code
    books.source.put("in/a", lines({"Item": {"p": {"S": "a"}}}))
    begin(books)
    books.call("DeleteTable", TableName="books")
    assert books.run_jobs()
    (summary,) = books.call("ListBulkOperations")["BulkOperationsSummaryList"]
    assert summary["BulkOperationStatus"] == "FAILED"


def test_a_table_whose_index_is_being_created_takes_no_operation(books: Imports) -> None:
    create = {**TABLE["GlobalSecondaryIndexes"][0], "IndexName": "second"}  # type: ignore[index]
    books.call(
        "UpdateTable",
        TableName="books",
        AttributeDefinitions=TABLE["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": create}],
    )
    assert books.refused("StartBulkPutItems", **start_request()) == (
        "ResourceInUseException",
        "Attempt to change a resource which is still in use: Table: books has an index that is being created",
    )


def start_request() -> dict[str, Any]:
    return {
        "TableName": "books",
        "InputS3Configuration": {"S3Bucket": "source", "InputFormat": "ION"},
        "OutputS3Configuration": {"S3Bucket": "source", "OutputType": ["ERROR"]},
    }


def test_the_rate_is_kept(books: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(bulk_job.asyncio, "sleep", sleep)
    assert bulk_job.asyncio is asyncio
    monkeypatch.setattr(bulk_job, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(books.database.tools, "monotonic", lambda: 100.0)
    books.source.put("in/a", lines(*[{"Item": {"p": {"S": f"k{number}"}}} for number in range(64)]))
    begin(books, MaxWriteRequestUnits=1024)
    assert books.run_jobs()
    assert max(slept) == pytest.approx(64 / 1024)  # the clock stands still: the debt adds up
