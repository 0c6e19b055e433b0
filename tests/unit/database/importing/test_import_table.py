"""ImportTable from request to table: formats, indexes, errors, tokens, names that are taken, interruptions."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard

from blotter.database.copies import sorting
from blotter.database.copies.jobs import all_jobs, end
from blotter.database.copies.objects import FolderObjects
from blotter.database.importing import error_log, reading

Imports = Any  # of conftest.py; test modules cannot import it

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "NONE": bytes,
    "GZIP": gzip.compress,
    "ZSTD": zstandard.ZstdCompressor().compress,
}

ITEMS: list[dict[str, Any]] = [
    {
        "p": {"S": f"key-{number}"},
        "n": {"N": str(number)},
        "s": {"S": "x" * (number % 40)},
        "b": {"B": "AAEC"},
        "l": {"L": [{"BOOL": True}, {"NULL": True}, {"M": {"ns": {"NS": ["1", "2"]}}}]},
    }
    for number in range(400)
]
BY_NUMBER = {
    "AttributeDefinitions": [
        {"AttributeName": "p", "AttributeType": "S"},
        {"AttributeName": "n", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-n",
            "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": "by-p-and-n",
            "KeySchema": [
                {"AttributeName": "p", "KeyType": "HASH"},
                {"AttributeName": "n", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        },
    ],
}


def json_lines(items: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in items)


def ion(items: list[dict[str, Any]]) -> bytes:
    lines = (
        f'$ion_1_0 {{Item:{{p:"{item["p"]["S"]}",n:{item["n"]["N"]}.,s:"{item["s"]["S"]}",b:{{{{AAEC}}}},'
        "l:[true,null,{ns:$dynamodb_NS::[1.,2.]}]}}"
        for item in items
    )
    return "\n".join(lines).encode()


def by_key(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["p"]["S"]: item for item in items}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("form", ["DYNAMODB_JSON", "ION"])
def test_every_format_and_compression_with_all_indexes(imports: Imports, form: str, compression: str) -> None:
    write = json_lines if form == "DYNAMODB_JSON" else ion
    for number in range(4):
        content = write(ITEMS[number * 100 : number * 100 + 100])
        imports.source.put(f"data/{number}", COMPRESS[compression](content))
    imports.source.put("data/empty", b"")
    imports.source.put("other/x", b"garbage")
    started = imports.begin("books", "data/", form, InputCompressionType=compression, creation=BY_NUMBER)
    assert started["ImportStatus"] == "IN_PROGRESS"
    assert "EndTime" not in started
    assert "ProcessedSizeBytes" not in started
    assert imports.refused("DescribeTable", TableName="books")[0] == "ResourceNotFoundException"
    assert imports.run_jobs()
    ended = imports.ended(started)
    assert ended["ImportStatus"] == "COMPLETED"
    assert ended["ProcessedItemCount"] == ended["ImportedItemCount"] == 400
    assert ended["ErrorCount"] == 0
    assert ended["ProcessedSizeBytes"] == sum(len(write(ITEMS[n * 100 : n * 100 + 100])) for n in range(4))
    assert "FailureCode" not in ended
    table = imports.call("DescribeTable", TableName="books")["Table"]
    assert (table["TableStatus"], table["TableId"]) == ("ACTIVE", started["TableId"])
    assert [index["IndexStatus"] for index in table["GlobalSecondaryIndexes"]] == ["ACTIVE", "ACTIVE"]
    assert [index["ItemCount"] for index in table["GlobalSecondaryIndexes"]] == [400, 400]
    assert by_key(imports.items("books")) == by_key(ITEMS)
    assert by_key(imports.items("books", IndexName="by-p-and-n")) == by_key(ITEMS)
    assert len(imports.items("books", IndexName="by-n")) == 400
    assert not imports.log_of(started)


def test_csv_with_options(imports: Imports) -> None:
    imports.source.put("files/a.csv", b"p;n;text\na;1.50;x\nb;;\n")
    imports.source.put("files/b.csv", b'p;n;text\nc;7;"say ""x;y"""\n')
    options = {"Csv": {"Delimiter": ";"}}
    started = imports.begin("books", "files/", "CSV", InputFormatOptions=options, creation=BY_NUMBER)
    imports.source.put("list/x", b"d;4;z\n")
    listed = {"Csv": {"Delimiter": ";", "HeaderList": ["p", "n", "text"]}}
    other = imports.begin("other", "list/", "CSV", InputFormatOptions=listed, creation=BY_NUMBER, token="2")
    assert imports.run_jobs()
    assert imports.ended(other)["InputFormatOptions"] == listed
    assert imports.items("other") == [{"p": {"S": "d"}, "n": {"N": "4"}, "text": {"S": "z"}}]
    assert imports.ended(started)["ImportStatus"] == "COMPLETED"
    assert by_key(imports.items("books")) == {
        "a": {"p": {"S": "a"}, "n": {"N": "1.5"}, "text": {"S": "x"}},
        "b": {"p": {"S": "b"}},
        "c": {"p": {"S": "c"}, "n": {"N": "7"}, "text": {"S": 'say "x;y"'}},
    }


def test_vector_indexes_are_filled(imports: Imports) -> None:
    items = [{"p": {"S": f"k{n}"}, "v": {"L": [{"N": str(n)}, {"N": "1"}]}} for n in range(20)]
    imports.source.put("x", json_lines(items))
    index = {
        "IndexName": "by-v",
        "VectorAttribute": {"AttributeName": "v"},
        "Projection": {"ProjectionType": "ALL"},
        "Dimensions": 2,
        "DistanceFunction": "EUCLIDEAN",
    }
    started = imports.begin("books", creation={"VectorIndexes": [index]})
    assert imports.run_jobs()
    assert imports.ended(started)["ImportStatus"] == "COMPLETED"
    table = imports.call("DescribeTable", TableName="books")["Table"]
    assert table["VectorIndexes"][0]["ItemCount"] == 20


def test_bad_items_leave_a_table_with_the_good_ones_and_a_log(imports: Imports) -> None:
    imports.source.put("data/0-good", json_lines(ITEMS[:2]) + b"\n   \n")
    for number, line in enumerate(
        (
            b'{"NotAnItem": {"p": {"S": "x"}}}',
            b'{"Item": {"c": {"N": "1"}}}',
            b'{"Item": {"p": {"N": "1"}}}',
            b'{"Item": ',
            b'{"Item": {"p": {"S": "x"}, "": {"S": "v"}}}',
        ),
        1,
    ):
        imports.source.put(f"data/{number}-bad", line + b"\n")
    started = imports.begin("books", "data/")
    assert imports.run_jobs()
    ended = imports.ended(started)
    assert (ended["ImportStatus"], ended["FailureCode"]) == ("FAILED", "ItemValidationError")
    assert ended["FailureMessage"] == (
        "Some of the items failed validation checks and were not imported. "
        "Please check CloudWatch error logs for more details."
    )
    counts = [ended[f"{name}Count"] for name in ("ProcessedItem", "ImportedItem", "Error")]
    assert counts == [7, 2, 5]
    assert by_key(imports.items("books")) == by_key(ITEMS[:2])
    log = imports.log_of(started)
    assert [line["itemS3Pointer"]["key"] for line in log] == [f"data/{n}-bad" for n in range(1, 6)]
    assert log[1] == {
        "itemS3Pointer": {"bucket": "source", "key": "data/2-bad", "itemIndex": 0, "line": 1},
        "importArn": started["ImportArn"],
        "errorMessages": ["One or more parameter values were invalid: Missing the key p in the item"],
    }


def test_the_log_is_bounded(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_log, "MOST_LINES", 10)
    monkeypatch.setattr(error_log, "OBJECT_BYTES", 100)
    monkeypatch.setattr(reading, "SLICE_RECORDS", 3)
    imports.source.put("x", b'{"Item": {}}\n' * 50)
    started = imports.begin("books")
    assert imports.run_jobs()
    assert imports.ended(started)["ErrorCount"] == 50
    log = imports.log_of(started)
    assert len(log) == 11
    assert log[-1] == {"errorMessages": ["40 further errors are not logged"]}


def test_duplicates_count_and_the_last_one_stays(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "MEMORY_BYTES", 10_000)
    monkeypatch.setattr(reading, "SLICE_RECORDS", 20)
    rows = [{"p": {"S": f"k{n % 50}"}, "n": {"N": str(n)}} for n in range(500)]
    imports.source.put("x", json_lines(rows))
    started = imports.begin("books", creation=BY_NUMBER)
    assert imports.run_jobs()
    assert imports.ended(started)["ImportedItemCount"] == 500
    assert by_key(imports.items("books")) == by_key(rows)
    assert len(imports.items("books", IndexName="by-n")) == 50


def test_no_object_and_no_bucket(new_imports: Callable[..., Imports], tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    imports = new_imports(objects=folder.as_uri())
    FolderObjects(folder / "source").put("elsewhere/x", b"garbage")
    empty = imports.begin("books", "data/")
    missing = imports.begin("other", S3BucketSource={"S3Bucket": "nowhere"})
    owned = imports.begin("third", S3BucketSource={"S3Bucket": "source", "S3BucketOwner": "000000000000"})
    outside = imports.begin("fourth", S3BucketSource={"S3Bucket": "source", "S3KeyPrefix": "../source/"})
    assert imports.run_jobs()
    ended = imports.ended(empty)
    assert (ended["ImportStatus"], ended["ProcessedItemCount"]) == ("COMPLETED", 0)
    assert imports.items("books") == []
    for described, table, code, message in (
        (missing, "other", "S3NoSuchBucket", "The specified bucket does not exist"),
        (owned, "third", "S3AccessDenied", "Access Denied"),
    ):
        ended = imports.ended(described)
        assert (ended["ImportStatus"], ended["FailureCode"]) == ("FAILED", code)
        assert ended["FailureMessage"].startswith(message)
        assert ended["TableId"]
        assert imports.refused("DescribeTable", TableName=table)[0] == "ResourceNotFoundException"
    assert imports.ended(outside)["ImportStatus"] == "COMPLETED"


def test_tokens(imports: Imports) -> None:
    first = imports.begin("books", "a/", token="t")
    assert imports.begin("books", "b/", "CSV", token="t") == first
    conflict = imports.refused("ImportTable", **request_of("other", "t"))
    assert conflict == (
        "ImportConflictException",
        "Import conflict: Duplicate request detected with conflicting parameters",
    )
    assert imports.run_jobs()
    taken = ("ResourceInUseException", "Table already exists: books")
    assert imports.refused("ImportTable", **request_of("books", "t")) == taken
    assert imports.refused("ImportTable", **request_of("books", "new")) == taken
    imports.call("DeleteTable", TableName="books")
    again = imports.begin("books", "a/", token="t")
    assert (again["ImportArn"], again["ImportStatus"]) == (first["ImportArn"], "COMPLETED")
    assert imports.run_jobs()
    assert imports.refused("DescribeTable", TableName="books")[0] == "ResourceNotFoundException"
    assert imports.begin("books", "a/", token="new")["ImportArn"] != first["ImportArn"]


def request_of(table: str, token: str) -> dict[str, Any]:
    return {
        "ClientToken": token,
        "S3BucketSource": {"S3Bucket": "source"},
        "InputFormat": "CSV",
        "TableCreationParameters": {
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        },
    }


def test_a_token_stands_for_its_import_for_eight_hours(new_imports: Callable[..., Imports]) -> None:
    now = 1_795_900_000.0
    imports = new_imports(clock=lambda: now)
    first = imports.begin("books", token="t")
    now += 8 * 3600 - 1
    assert imports.begin("books", token="t")["ImportArn"] == first["ImportArn"]
    now += 2
    assert imports.begin("books", token="t")["ImportArn"] != first["ImportArn"]


def test_of_several_imports_into_one_table_one_wins(imports: Imports) -> None:
    imports.source.put("x", json_lines(ITEMS[:3]))
    started = [imports.begin("books", token=f"t{number}") for number in range(3)]
    assert len({each["ImportArn"] for each in started}) == 3
    assert imports.run_jobs()
    ended = [imports.ended(each) for each in started]
    assert sorted(each["ImportStatus"] for each in ended) == ["COMPLETED", "FAILED", "FAILED"]
    assert {each.get("FailureCode") for each in ended} == {None, "TableAlreadyExists"}
    assert len(imports.items("books")) == 3


def test_lists_are_newest_first_and_outlive_the_tables(new_imports: Callable[..., Imports]) -> None:
    now = 1_795_900_000.0
    imports = new_imports(clock=lambda: now)
    arns = []
    for number in range(23):
        now += 1
        arns.append(imports.begin(f"table-{number % 20:02}", token=str(number))["ImportArn"])
    first = imports.call("ListImports")
    assert len(first["ImportSummaryList"]) == 10
    assert len(first["NextToken"]) >= 112
    listed: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = imports.call("ListImports", PageSize=4, **more)
        listed += [each["ImportArn"] for each in page["ImportSummaryList"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert listed == arns[::-1]
    arn = arns[1].partition("/import/")[0]
    of_one = imports.call("ListImports", TableArn=arn)["ImportSummaryList"]
    assert [each["ImportArn"] for each in of_one] == [arns[21], arns[1]]
    assert set(of_one[0]) == {
        *("ImportArn", "ImportStatus", "TableArn", "S3BucketSource", "CloudWatchLogGroupArn"),
        *("InputFormat", "StartTime"),
    }
    now += 91 * 86_400
    imports.begin("late", token="late")
    assert len(imports.call("ListImports", PageSize=25)["ImportSummaryList"]) == 1


def test_fifty_at_a_time(imports: Imports) -> None:
    for number in range(50):
        imports.begin(f"table-{number}", token=str(number))
    assert imports.refused("ImportTable", **request_of("one-more", "one-more")) == (
        "LimitExceededException",
        "Subscriber limit exceeded: There is a limit of 50 concurrent imports per subscriber",
    )
    assert imports.run_jobs()
    imports.begin("one-more")


def test_an_import_that_breaks_off_anywhere_ends_as_if_it_had_not(
    new_imports: Callable[..., Imports], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SLICE_RECORDS", 50)
    monkeypatch.setattr(sorting, "MEMORY_BYTES", 30_000)
    # 100 rows in each slice.
    monkeypatch.setattr("blotter.database.storage.slices.LONGEST_SECONDS", 1e-9)
    monkeypatch.setattr("blotter.database.backups.loading.ROWS_A_SECOND", 1e11)
    content = json_lines([*ITEMS, *ITEMS[:30]]) + b'{"Item": {}}\n'
    writes = 0
    done = False
    while not done:
        imports = new_imports()
        imports.source.put("x", content)
        started = imports.begin("books", creation=BY_NUMBER)
        done = imports.run_jobs(writes)
        if not done:
            described = imports.ended(started)
            assert described["ImportStatus"] == "IN_PROGRESS"
            if writes > 0:
                table = imports.call("DescribeTable", TableName="books")["Table"]
                assert (table["TableStatus"], table["TableId"]) == ("CREATING", started["TableId"])
                put = {"TableName": "books", "Item": ITEMS[0]}
                assert imports.refused("PutItem", **put)[0] == "ResourceNotFoundException"
                assert imports.refused("DeleteTable", TableName="books")[0] == "ResourceInUseException"
            assert imports.run_jobs()
        ended = imports.ended(started)
        assert (ended["ProcessedItemCount"], ended["ImportedItemCount"], ended["ErrorCount"]) == (431, 430, 1)
        assert by_key(imports.items("books")) == by_key(ITEMS)
        assert by_key(imports.items("books", IndexName="by-p-and-n")) == by_key(ITEMS)
        assert len(imports.items("books", IndexName="by-n")) == 400
        assert len(imports.log_of(started)) == 1
        writes += 1
    assert writes > 10


def test_an_import_that_an_archive_knew_but_not_its_job_has_failed(imports: Imports) -> None:
    begun = imports.begin("books")
    storage = imports.database.storage
    (job,) = imports.database.run(storage.fetch(all_jobs))
    imports.database.run(storage.write(partial(end, job_id=job.id)))
    ended = imports.ended(begun)
    assert (ended["ImportStatus"], ended["FailureCode"]) == ("FAILED", "InternalServerError")
    assert ended["FailureMessage"] == "The server that did this was replaced by another, from an archive"
    assert imports.call("ListImports")["ImportSummaryList"][0]["ImportStatus"] == "FAILED"


def test_a_source_that_changes_under_the_import(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    imports.source.put("a", json_lines(ITEMS[:5]))
    imports.source.put("b", json_lines(ITEMS[5:9]))
    started = imports.begin("books")
    listed = list(imports.source.list())
    imports.source.delete("b")
    with monkeypatch.context() as patch:
        patch.setattr(type(imports.source), "list", lambda _self, _prefix="": iter(listed))
        assert imports.run_jobs()
    ended = imports.ended(started)
    assert (ended["ImportStatus"], ended["ImportedItemCount"], ended["ErrorCount"]) == ("FAILED", 5, 1)
    assert imports.log_of(started)[0]["errorMessages"] == ["The object is not there any more"]
