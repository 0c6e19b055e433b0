"""The data and the requests that every server gets, built before anything is measured.

`bench`: 10,000 items of about 200 bytes, 100 partitions of 100. `ycsb`: 2,000 records of ten fields of 100 bytes,
as YCSB's core workloads have them; keys are drawn by a zipfian distribution (constant 0.99), for D by recency.
What YCSB calls read-modify-write (F) is a GetItem followed by an UpdateItem; each counts as one request.
Transactions and batches never share an item with a request that may be under way at the same time: no server is
measured at refusing conflicts. Every list is the same in every run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

PARTITIONS, SORTS = 100, 100
RECORDS = 2000
REQUESTS = 4000
FILLER = "x" * 150
_BIG = "y" * 100

Key = dict[str, Any]
Call = tuple[str, dict[str, Any]]

TABLES: tuple[dict[str, Any], ...] = (
    {
        "TableName": "bench",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    },
    {
        "TableName": "ycsb",
        "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    },
)


def key(number: int) -> Key:
    """The key of an item of `bench`."""
    return {"pk": {"S": f"partition-{number // SORTS:06d}"}, "sk": {"S": f"sort-{number % SORTS:04d}"}}


def item(number: int) -> Key:
    return {**key(number), "n": {"N": str(number % 97)}, "filler": {"S": FILLER}}


def record_key(number: int) -> Key:
    return {"key": {"S": f"user{number * 7919 % 1_000_003:010d}"}}


def record(number: int) -> Key:
    return {**record_key(number), **{f"field{field}": {"S": _BIG} for field in range(10)}}


def loading() -> Iterator[Call]:
    """The requests that fill both tables."""
    for table, count, made in (("bench", PARTITIONS * SORTS, item), ("ycsb", RECORDS, record)):
        for at in range(0, count, 25):
            puts = [{"PutRequest": {"Item": made(number)}} for number in range(at, min(at + 25, count))]
            yield "BatchWriteItem", {"RequestItems": {table: puts}}


def get(number: int) -> Call:
    return "GetItem", {"TableName": "bench", "Key": key(number)}


def put(number: int) -> Call:
    return "PutItem", {"TableName": "bench", "Item": item(number)}


def update(number: int) -> Call:
    return "UpdateItem", {
        "TableName": "bench",
        "Key": key(number),
        "UpdateExpression": "SET n = n + :one",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }


def query(number: int) -> Call:
    """Ten of the hundred items of a partition."""
    start = key(number // SORTS * SORTS + number % (SORTS - 10))
    return "Query", {
        "TableName": "bench",
        "KeyConditionExpression": "pk = :pk AND sk >= :sk",
        "ExpressionAttributeValues": {":pk": start["pk"], ":sk": start["sk"]},
        "Limit": 10,
    }


def scan(number: int) -> Call:
    """A page of a hundred items, from anywhere in the table."""
    return "Scan", {"TableName": "bench", "ExclusiveStartKey": key(number), "Limit": 100}


def batch_get(numbers: list[int]) -> Call:
    return "BatchGetItem", {"RequestItems": {"bench": {"Keys": [key(number) for number in numbers]}}}


def batch_write(numbers: list[int]) -> Call:
    puts = [{"PutRequest": {"Item": item(number)}} for number in numbers]
    return "BatchWriteItem", {"RequestItems": {"bench": puts}}


def transact_write(numbers: list[int]) -> Call:
    puts = [{"Put": {"TableName": "bench", "Item": item(number)}} for number in numbers]
    return "TransactWriteItems", {"TransactItems": puts}


def _single(made: Callable[[int], Call]) -> Callable[[], list[Call]]:
    def calls() -> list[Call]:
        return [made(number) for number in random.Random(1).sample(range(PARTITIONS * SORTS), REQUESTS)]

    return calls


def _grouped(made: Callable[[list[int]], Call], size: int) -> Callable[[], list[Call]]:
    def calls() -> list[Call]:
        numbers = list(range(PARTITIONS * SORTS))
        random.Random(2).shuffle(numbers)
        return [made(numbers[at : at + size]) for at in range(0, min(len(numbers), 1000 * size), size)]

    return calls


def _read(number: int) -> Call:
    return "GetItem", {"TableName": "ycsb", "Key": record_key(number)}


def _write_field(number: int, field: int) -> Call:
    return "UpdateItem", {
        "TableName": "ycsb",
        "Key": record_key(number),
        "UpdateExpression": f"SET field{field} = :value",
        "ExpressionAttributeValues": {":value": {"S": _BIG}},
    }


def _ycsb(reads: float, *, latest: bool = False, modify: bool = False) -> Callable[[], list[Call]]:
    def calls() -> list[Call]:
        choose = random.Random(3)
        weights = [1 / (rank + 1) ** 0.99 for rank in range(RECORDS)]
        ranks = choose.choices(range(RECORDS), weights, k=REQUESTS)
        order = list(range(RECORDS))
        choose.shuffle(order)
        made: list[Call] = []
        inserted = RECORDS
        for rank in ranks:
            number = inserted - 1 - rank if latest else order[rank]
            if choose.random() < reads:
                made.append(_read(number))
            elif latest:
                made.append(("PutItem", {"TableName": "ycsb", "Item": record(inserted)}))
                inserted += 1
            elif modify:
                made += [_read(number), _write_field(number, choose.randrange(10))]
            else:
                made.append(_write_field(number, choose.randrange(10)))
        return made

    return calls


OPERATIONS: dict[str, Callable[[], list[Call]]] = {
    "GetItem": _single(get),
    "PutItem": _single(put),
    "UpdateItem": _single(update),
    "Query 10 of 100": _single(query),
    "BatchGetItem 25": _grouped(batch_get, 25),
    "BatchWriteItem 25": _grouped(batch_write, 25),
    "TransactWriteItems 4": _grouped(transact_write, 4),
    "Scan 100": _single(scan),
}
YCSB: dict[str, Callable[[], list[Call]]] = {
    "YCSB A": _ycsb(0.5),
    "YCSB B": _ycsb(0.95),
    "YCSB C": _ycsb(1.0),
    "YCSB D": _ycsb(0.95, latest=True),
    "YCSB F": _ycsb(0.5, modify=True),
}
