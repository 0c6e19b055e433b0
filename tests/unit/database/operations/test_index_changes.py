"""Random items, among them such as no index can hold, in a table whose indexes come and go.

After every step each index holds exactly the items that can be in it, can be read to its end page by page with its
own LastEvaluatedKeys, and every item can be changed and deleted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.in_process import InProcessDatabase

NAMES = itertools.count()
Item = dict[str, dict[str, Any]]

TYPES = {"a": "S", "b": "B", "c": "N"}
KEYS = st.sampled_from(["1", "2", "3", "4"]).map(lambda key: {"S": key})
VALUES = st.sampled_from(
    [
        {"S": "x"},
        {"S": ""},
        {"S": "x" * 1024},
        {"S": "x" * 1025},
        {"S": "é" * 1024},
        {"S": "\x00" * 2048},
        {"S": "x" * 2049},
        {"S": "x" * 70_000},
        {"B": "AAAA"},
        {"B": ""},
        {"B": "A" * 1400},
        {"B": "A" * 2736},
        {"B": "A" * 90_000},
        {"N": "1"},
        {"N": "-9.9E+125"},
        {"M": {}},
        {"SS": ["x"]},
        {"NULL": True},
    ]
)
ITEMS = st.builds(
    lambda key, rest: {"p": key, **rest}, KEYS, st.fixed_dictionaries({}, optional=dict.fromkeys(TYPES, VALUES))
)
INDEX_KEYS = {
    "a": (("a",), ()),
    "b": (("b",), ()),
    "c-a": (("c",), ("a",)),
    "a-p": (("a",), ("p",)),
    "p-b": (("p",), ("b",)),
    "a-b and c": (("a", "b"), ("c",)),
    "c and a-p-b": (("c",), ("a", "p", "b")),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), ITEMS),
        st.tuples(st.just("put"), ITEMS),
        st.tuples(st.just("set"), KEYS, st.sampled_from([*TYPES, "other"]), VALUES),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("add"), st.sampled_from(sorted(INDEX_KEYS))),
        st.tuples(st.just("add"), st.sampled_from(sorted(INDEX_KEYS))),
        st.tuples(st.just("remove"), st.sampled_from(sorted(INDEX_KEYS))),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path_factory.mktemp("model") / "data")
    yield database
    database.close()


def size(value: dict[str, Any]) -> int:
    ((type_, content),) = value.items()
    if type_ == "S":
        return len(content.encode())
    return len(content) // 4 * 3 if type_ == "B" else 21


def belongs(name: str, item: Item) -> bool:
    """The rule, written again: of the type, not empty, not too long together."""
    for part, most in zip(INDEX_KEYS[name], (2048, 1024), strict=True):
        values = [item.get(attribute, {}) for attribute in part]
        types = [TYPES.get(attribute, "S") for attribute in part]
        if not all(value.get(type_) for value, type_ in zip(values, types, strict=True)):
            return False
        if sum(map(size, values)) > most:
            return False
    return True


def violates(name: str, item: Item, names: set[str]) -> bool:
    """Whether a write of these attributes of the item is refused for the sake of an index."""
    return any(
        not belongs_alone(part, most, item)
        for part, most in zip(INDEX_KEYS[name], (2048, 1024), strict=True)
        if names & set(part)
    )


def belongs_alone(part: tuple[str, ...], most: int, item: Item) -> bool:
    given = [(item[attribute], TYPES.get(attribute, "S")) for attribute in part if attribute in item]
    if any(not value.get(type_) or size(value) > most for value, type_ in given):
        return False
    return len(given) < len(part) or sum(size(value) for value, _ in given) <= most


class Table:
    def __init__(self, database: InProcessDatabase) -> None:
        self.name = f"table-{next(NAMES)}"
        self.database = database
        self.items: dict[str, Item] = {}
        self.indexes: set[str] = set()
        self.call(
            "CreateTable",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        )

    def answer(self, operation: str, **members: Any) -> tuple[int, dict[str, Any]]:
        return self.database.call(operation, {"TableName": self.name, **members})

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        status, body = self.answer(operation, **members)
        assert status == 200, (operation, body)
        return body

    def put(self, item: Item) -> None:
        status, body = self.answer("PutItem", Item=item)
        refused = any(violates(name, item, {*item}) for name in self.indexes)
        assert status == (400 if refused else 200), body
        if not refused:
            self.items[item["p"]["S"]] = item

    def set(self, key: dict[str, str], name: str, value: dict[str, Any]) -> None:
        new = {**self.items.get(key["S"], {"p": key}), name: value}
        status, body = self.answer(
            "UpdateItem",
            Key={"p": key},
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": value},
        )
        if status == 200:
            self.items[key["S"]] = new
            return
        assert status == 400, body
        assert any(violates(index, new, {name, "p"}) for index in self.indexes), body

    def delete(self, key: dict[str, str]) -> None:
        self.call("DeleteItem", Key={"p": key})
        self.items.pop(key["S"], None)

    def add(self, name: str) -> None:
        partition, sort = INDEX_KEYS[name]
        if name in self.indexes:
            return
        index = {
            "IndexName": name.replace(" ", "_") + "_index",
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "KeySchema": [{"AttributeName": each, "KeyType": "HASH"} for each in partition]
            + [{"AttributeName": each, "KeyType": "RANGE"} for each in sort],
        }
        definitions = [
            {"AttributeName": each, "AttributeType": TYPES.get(each, "S")} for each in (*partition, *sort)
        ]
        self.call("UpdateTable", AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[{"Create": index}])
        self.indexes.add(name)

    def remove(self, name: str) -> None:
        if name in self.indexes:
            index = {"IndexName": name.replace(" ", "_") + "_index"}
            self.call("UpdateTable", GlobalSecondaryIndexUpdates=[{"Delete": index}])
            self.indexes.remove(name)

    def check(self) -> None:
        described = self.call("DescribeTable")["Table"].get("GlobalSecondaryIndexes", [])
        assert {index["IndexStatus"] for index in described} <= {"ACTIVE"}
        for name in self.indexes:
            assert self.keys(name) == sorted(key for key, item in self.items.items() if belongs(name, item))

    def keys(self, name: str) -> list[str]:
        """What the index holds, read one item at a time."""
        found: list[str] = []
        start: dict[str, Any] = {}
        while True:
            page = self.call("Scan", IndexName=name.replace(" ", "_") + "_index", Limit=1, **start)
            found += [item["p"]["S"] for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return sorted(found)
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_indexes_hold_what_they_can(database: InProcessDatabase, steps: list[Any]) -> None:
    table = Table(database)
    for step, *arguments in steps:
        getattr(table, step)(*arguments)
        if step in ("add", "set"):
            table.check()
    table.check()
    for key in list(table.items):
        table.delete({"S": key})
    table.check()
    table.call("DeleteTable")
