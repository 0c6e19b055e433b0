"""Where a page ends: at Limit, after the item with which what was read reaches 1 MB, or at the end of the range,
as a naive reading of the rule has it, however the store's answers are cut into slices.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcessDatabase

MEGABYTE = 1024 * 1024
_OVERHEAD = len("p") + len("x") + len("s") + len("0000") + len("f")
# Pages of exactly a megabyte, one byte less and one more; many small items; one slice's bytes exactly.
SIZES = (
    *[MEGABYTE // 4] * 4,
    *[MEGABYTE // 4] * 3,
    MEGABYTE // 4 - 1,
    50,
    *[50] * 700,
    *[64 * 1024] * 3,
    *[400 * 1024] * 4,
    *[4096] * 300,
    9,
)
KEYS = [f"{number:04d}" for number in range(len(SIZES))]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    folder: Path = tmp_path_factory.mktemp("pages")
    database = InProcessDatabase(folder / "data")
    names = {"p": "HASH", "s": "RANGE"}
    database.call(
        "CreateTable",
        {
            "TableName": "pages",
            "KeySchema": [{"AttributeName": name, "KeyType": type_} for name, type_ in names.items()],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    for number, size in enumerate(SIZES):
        item = {**key(KEYS[number]), "f": {"S": "y" * (size - _OVERHEAD)}}
        assert database.call("PutItem", {"TableName": "pages", "Item": item})[0] == 200
    yield database
    database.close()


def key(sort: str) -> dict[str, Any]:
    return {"p": {"S": "x"}, "s": {"S": sort}}


def expected_pages(numbers: list[int], limit: int | None) -> list[list[str]]:
    pages: list[list[str]] = [[]]
    size = 0
    for number in numbers:
        pages[-1].append(KEYS[number])
        size += SIZES[number]
        if len(pages[-1]) == limit or size >= MEGABYTE:
            pages.append([])
            size = 0
    return pages


def sorts(items: list[dict[str, Any]]) -> list[str]:
    return [item["s"]["S"] for item in items]


LIMITS = (None, 1000, 256, 300)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_of_a_query(database: InProcessDatabase, limit: int | None, reverse: bool) -> None:
    request: dict[str, Any] = {
        "TableName": "pages",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": "x"}},
        "ScanIndexForward": not reverse,
        "ProjectionExpression": "s",
        **({} if limit is None else {"Limit": limit}),
    }
    found = list(pages(database, "Query", request))
    numbers = list(range(len(SIZES)))
    expected = expected_pages(numbers[::-1] if reverse else numbers, limit)
    assert [sorts(page["Items"]) for page in found] == expected
    assert (
        [page["ScannedCount"] for page in found] == [page["Count"] for page in found] == list(map(len, expected))
    )
    for page in found[:-1]:
        assert page["LastEvaluatedKey"] == key(page["Items"][-1]["s"]["S"])


@pytest.mark.parametrize("limit", LIMITS)
def test_pages_of_a_scan_count_what_a_filter_refuses(database: InProcessDatabase, limit: int | None) -> None:
    request: dict[str, Any] = {
        "TableName": "pages",
        "FilterExpression": "s >= :s",
        "ExpressionAttributeValues": {":s": {"S": "0500"}},
        **({} if limit is None else {"Limit": limit}),
    }
    found = list(pages(database, "Scan", request))
    expected = expected_pages(list(range(len(SIZES))), limit)
    assert [page["ScannedCount"] for page in found] == list(map(len, expected))
    assert [sorts(page["Items"]) for page in found] == [[s for s in page if s >= "0500"] for page in expected]


@pytest.mark.parametrize("limit", LIMITS)
def test_pages_of_a_select(database: InProcessDatabase, limit: int | None) -> None:
    request: dict[str, Any] = {
        "Statement": "SELECT s FROM pages WHERE p = 'x'",
        **({} if limit is None else {"Limit": limit}),
    }
    found = []
    while True:
        status, page = database.call("ExecuteStatement", request)
        assert status == 200, page
        found.append(sorts(page["Items"]))
        if "NextToken" not in page:
            break
        request["NextToken"] = page["NextToken"]
    assert found == expected_pages(list(range(len(SIZES))), limit)


def pages(database: InProcessDatabase, operation: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        status, page = database.call(operation, request)
        assert status == 200, page
        yield page
        if "LastEvaluatedKey" not in page:
            return
        request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}


def test_a_batch_ends_behind_the_item_that_reaches_16_megabytes(tmp_path: Path) -> None:
    database = InProcessDatabase(tmp_path / "data")
    database.call(
        "CreateTable",
        {
            "TableName": "large",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    keys = [{"k": {"S": f"{number:02d}"}} for number in range(45)]
    for each in keys:
        item = {**each, "f": {"S": "y" * (400 * 1024 - len("k00f"))}}
        assert database.call("PutItem", {"TableName": "large", "Item": item})[0] == 200
    wanted = [*keys[:3], {"k": {"S": "absent"}}, *keys[3:]]
    request = {"RequestItems": {"large": {"Keys": wanted, "ProjectionExpression": "k"}}}
    status, answer = database.call("BatchGetItem", {**request, "ReturnConsumedCapacity": "TOTAL"})
    assert status == 200
    assert answer["Responses"]["large"] == keys[:41]  # 40 of them have 16,384,000 bytes
    assert answer["UnprocessedKeys"] == {"large": {"Keys": keys[41:], "ProjectionExpression": "k"}}
    assert answer["ConsumedCapacity"] == [{"TableName": "large", "CapacityUnits": 41 * 50 + 0.5}]
    status, answer = database.call("BatchGetItem", {"RequestItems": answer["UnprocessedKeys"]})
    assert answer == {"Responses": {"large": keys[41:]}, "UnprocessedKeys": {}}
    database.close()
