"""Every item operation against `model.py`: random steps on a table with indexes of every kind and projection, sent
plain or compressed.

After each step the answer is that of the model, and in the end every index holds what follows from the items, in
the order of its keys, whole and page by page.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.in_process import InProcessDatabase
from tests.postgres_storage import open_on_postgres
from tests.unit.database.operations.model import (
    IndexModel,
    Item,
    TableModel,
    Test,
    comparable,
    in_order,
    key_schema,
    multiset,
    united,
    updated,
)

INDEXES = (
    IndexModel("by-a", ("a",), (), "ALL"),
    IndexModel("by-a-b", ("a",), ("b",), ("d",)),
    IndexModel("by-b-a", ("b",), ("a",), "KEYS_ONLY"),
    IndexModel("by-a-c-and-b-p", ("a", "c"), ("b", "p"), ("d", "e")),
    IndexModel("local-b", ("p",), ("b",), ("d",), local=True),
    IndexModel("local-c", ("p",), ("c",), "KEYS_ONLY", local=True),
)
TYPES = {"p": "S", "s": "N", "a": "S", "b": "N", "c": "S"}
NAMES = itertools.count()

letters = st.sampled_from(["x", "y", "xy"]).map(lambda text: {"S": text})
digits = st.sampled_from(["-1", "0", "2", "10", "0.5"]).map(lambda text: {"N": text})
keys = st.fixed_dictionaries({"p": st.sampled_from([{"S": "x"}, {"S": "y"}]), "s": digits})
attributes = {"a": letters, "b": digits, "c": letters, "d": letters, "e": digits}


def _sets(kind: str, members: list[str]) -> st.SearchStrategy[Item]:
    return st.lists(st.sampled_from(members), min_size=1, unique=True).map(lambda chosen: {kind: chosen})


sets = {
    "strings": _sets("SS", ["", "a", "B", "é", "ﬀ", "😀"]),
    "numbers": _sets("NS", ["-20", "-1.5", "0", "0.1", "9", "10", "100"]),
    "binaries": _sets("BS", ["", "AA==", "AAA=", "AQ==", "/w=="]),
}
some_sets = st.fixed_dictionaries({}, optional=sets)
rest = st.fixed_dictionaries({}, optional={**attributes, **sets})
items = st.tuples(keys, rest).map(lambda parts: {**parts[0], **parts[1]})
conditions = st.one_of(
    st.none(),
    st.sampled_from(["a", "b", "d"]).map(lambda name: ("attribute_exists", name)),
    st.sampled_from(["a", "b", "p"]).map(lambda name: ("attribute_not_exists", name)),
    digits.map(lambda value: ("b >", value)),
)
puts = st.tuples(st.just("Put"), items, conditions)
deletes = st.tuples(st.just("Delete"), keys, conditions)
updates = st.tuples(
    st.just("Update"),
    keys,
    conditions,
    st.fixed_dictionaries({}, optional={"a": letters, "c": letters, "d": letters}),
    st.fixed_dictionaries({}, optional={"b": st.integers(-2, 2), "e": st.integers(0, 1)}),
    st.sets(st.sampled_from(sorted(attributes))),
    some_sets,
    some_sets,
)
checks = st.tuples(st.just("ConditionCheck"), keys, conditions.filter(lambda condition: condition is not None))
steps = st.one_of(
    puts,
    updates,
    updates,
    deletes,
    st.tuples(st.just("batch"), st.lists(st.one_of(puts, deletes), min_size=1, max_size=4)),
    st.tuples(st.just("transaction"), st.lists(st.one_of(puts, updates, deletes, checks), min_size=1, max_size=4)),
)


@pytest.fixture(
    scope="module", params=["sqlite", "memory", "heavy", pytest.param("postgres", marks=pytest.mark.slow)]
)
def database(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[InProcessDatabase]:
    store = open_on_postgres if request.param == "postgres" else request.param
    database = InProcessDatabase(tmp_path_factory.mktemp("model") / "data", store=store)
    yield database
    database.close()


_PACKED: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


class Table:
    """The table and its model side by side."""

    def __init__(self, database: InProcessDatabase, encoding: str) -> None:
        self._encoding = encoding
        self.name = f"table-{next(NAMES)}"
        self.model = TableModel("p", "s", INDEXES)
        self._database = database
        self.call(
            "CreateTable",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=key_schema(("p",), ("s",)),
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in TYPES.items()],
            GlobalSecondaryIndexes=[index.request() for index in INDEXES if not index.local],
            LocalSecondaryIndexes=[index.request() for index in INDEXES if index.local],
        )

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        status, answer = self.answer(operation, TableName=self.name, **members)
        assert status == 200, (operation, members, answer)
        return answer

    def answer(self, operation: str, **members: Any) -> tuple[int, dict[str, Any]]:
        body = json.dumps(members).encode()
        return self._database.call_raw(operation, _PACKED[self._encoding](body), self._encoding)


def _condition(condition: Any) -> tuple[dict[str, Any], Test]:
    """The members of a request that ask for a condition, and the condition itself."""
    if condition is None:
        return {}, lambda _: True
    kind, operand = condition
    if kind == "b >":
        members = {"ConditionExpression": "b > :b", "ExpressionAttributeValues": {":b": operand}}
        return members, lambda item: "b" in item and comparable(item["b"]) > comparable(operand)
    exists = kind == "attribute_exists"
    return {"ConditionExpression": f"{kind}({operand})"}, lambda item: (operand in item) is exists


def _action(model: TableModel, step: Any) -> tuple[dict[str, Any], Item, Test, Item | None]:
    """The members of a write, its key, its condition, and the item it leaves."""
    kind, subject, condition, *change = step
    members, test = _condition(condition)
    key = {name: subject[name] for name in model.keys}
    old = model.get(key)
    if kind == "Put":
        return {"Item": subject, **members}, key, test, in_order(subject)
    if kind == "Delete":
        return {"Key": key, **members}, key, test, None
    if kind == "ConditionCheck":
        return {"Key": key, **members}, key, test, old
    sets, adds, removes, unions, differences = change
    removes = removes - {*sets, *adds}
    differences = {name: value for name, value in differences.items() if name not in unions}
    values = {f":s{name}": value for name, value in sets.items()}
    values |= {f":a{name}": {"N": str(amount)} for name, amount in adds.items()}
    values |= {f":u{name}": value for name, value in unions.items()}
    values |= {f":d{name}": value for name, value in differences.items()}
    sections = {
        "SET": ", ".join(f"{name} = :s{name}" for name in sets),
        "ADD": ", ".join([*(f"{name} :a{name}" for name in adds), *(f"{name} :u{name}" for name in unions)]),
        "DELETE": ", ".join(f"{name} :d{name}" for name in differences),
        "REMOVE": ", ".join(sorted(removes)),
    }
    text = " ".join(f"{keyword} {actions}" for keyword, actions in sections.items() if actions)
    if not text:
        text = "REMOVE nothing"
    values |= members.pop("ExpressionAttributeValues", {})
    if values:
        members["ExpressionAttributeValues"] = values
    new = updated(key, old, sets, adds, removes)
    if new is None and unions:
        new = key
    if new is not None:
        new = united(new, unions, differences)
    return {"Key": key, "UpdateExpression": text, **members}, key, test, new


def _single(table: Table, step: Any) -> None:
    model = table.model
    members, key, test, new = _action(model, step)
    old = model.get(key)
    wanted = "ALL_NEW" if step[0] == "Update" else "ALL_OLD"
    status, answer = table.answer(
        f"{step[0]}Item",
        TableName=table.name,
        ReturnValues=wanted,
        ReturnConsumedCapacity="INDEXES",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
        **members,
    )
    if not test(old or {}):
        assert status == 400
        assert answer["__type"].endswith("#ConditionalCheckFailedException")
        assert answer.get("Item") == old
        return
    assert status == 200, answer
    assert answer.get("Attributes") == (new if wanted == "ALL_NEW" else old)
    consumed = answer["ConsumedCapacity"]
    units = {"": consumed["Table"]["CapacityUnits"]}
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        units |= {name: part["CapacityUnits"] for name, part in consumed.get(kind, {}).items()}
    assert units == model.write(key, new)
    assert consumed["CapacityUnits"] == sum(units.values())


def _batch(table: Table, writes: list[Any]) -> None:
    model = table.model
    requests, seen = [], []
    for step in writes:
        members, key, _, new = _action(model, (*step[:2], None))
        requests.append({f"{step[0]}Request": members})
        seen.append((key, new))
    status, answer = table.answer("BatchWriteItem", RequestItems={table.name: requests})
    if len({model.key(key) for key, _ in seen}) < len(seen):
        assert (status, answer["message"]) == (400, "Provided list of item keys contains duplicates")
        return
    assert (status, answer) == (200, {"UnprocessedItems": {}})
    for key, new in seen:
        model.write(key, new)


def _transaction(table: Table, actions: list[Any]) -> None:
    model = table.model
    requests, checked = [], []
    for step in actions:
        members, key, test, new = _action(model, step)
        requests.append({step[0]: {"TableName": table.name, **members}})
        checked.append((key, new, test(model.get(key) or {})))
    status, answer = table.answer("TransactWriteItems", TransactItems=requests)
    if len({model.key(key) for key, _, _ in checked}) < len(checked):
        assert answer["message"] == "Transaction request cannot include multiple operations on one item"
    elif all(passed for _, _, passed in checked):
        assert status == 200, answer
        for key, new, _ in checked:
            model.write(key, new)
    else:
        assert [reason["Code"] for reason in answer["CancellationReasons"]] == [
            "None" if passed else "ConditionalCheckFailed" for _, _, passed in checked
        ]


def _pages(table: Table, operation: str, limit: int | None, **members: Any) -> list[Item]:
    found: list[Item] = []
    more: dict[str, Any] = {} if limit is None else {"Limit": limit}
    while True:
        answer = table.call(operation, **members, **more)
        found += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return found
        assert limit is not None
        assert answer["ScannedCount"] == limit
        more["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _check_contents(table: Table, limit: int | None, bound: Item, operator: str, *, forward: bool) -> None:
    """Scan and query every index, and the table, and compare with the model."""
    model = table.model
    for index in (None, *INDEXES):
        which = {} if index is None else {"IndexName": index.name}
        assert multiset(_pages(table, "Scan", limit, **which)) == multiset(model.entries(index)), which
        partition = ("p",) if index is None else index.partition
        sort = ("s",) if index is None else index.sort
        for entry in model.entries(index)[:2]:
            equal = {name: entry[name] for name in partition}
            text = " AND ".join(f"{name} = :{name}" for name in partition)
            values = {f":{name}": value for name, value in equal.items()}
            test: Test = lambda _: True  # noqa: E731
            if sort and operator:
                first = sort[0]
                value = bound["b" if TYPES[first] == "N" else "a"]
                text += f" AND {first} {operator} :bound"
                values[":bound"] = value
                test = _bounded(first, operator, value)
            wanted = model.query(index, equal, test, forward=forward)
            found = _pages(
                table,
                "Query",
                limit,
                KeyConditionExpression=text,
                ExpressionAttributeValues=values,
                ScanIndexForward=forward,
                **which,
            )
            assert [[comparable(item[name]) for name in sort] for item in found] == [place for place, _ in wanted]
            assert multiset(found) == multiset(item for _, item in wanted)


def _bounded(name: str, operator: str, value: Any) -> Test:
    compare = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        "=": lambda a, b: a == b,
        ">=": lambda a, b: a >= b,
        ">": lambda a, b: a > b,
    }[operator]
    return lambda entry: bool(compare(comparable(entry[name]), comparable(value)))


def _check_reads(table: Table, wanted: list[Item]) -> None:
    """GetItem, BatchGetItem and TransactGetItems of the same keys."""
    model = table.model
    unique = {model.key(key): key for key in wanted}
    expected = [model.items.get(key) for key in unique]
    keys = list(unique.values())
    assert [table.call("GetItem", Key=key).get("Item") for key in keys] == expected
    _, batch = table.answer("BatchGetItem", RequestItems={table.name: {"Keys": keys}})
    assert multiset(batch["Responses"][table.name]) == multiset(item for item in expected if item is not None)
    gets = [{"Get": {"TableName": table.name, "Key": key}} for key in keys]
    _, together = table.answer("TransactGetItems", TransactItems=gets)
    assert [part.get("Item") for part in together["Responses"]] == expected


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    script=st.lists(steps, min_size=3, max_size=12),
    wanted=st.lists(keys, min_size=1, max_size=4),
    limit=st.sampled_from([None, 1, 2, 3]),
    bound=st.fixed_dictionaries({"a": letters, "b": digits}),
    operator=st.sampled_from(["", "<", "<=", "=", ">=", ">"]),
    forward=st.booleans(),
    encoding=st.sampled_from(sorted(_PACKED)),
)
def test_operations_do_what_the_model_does(
    database: InProcessDatabase,
    script: list[Any],
    wanted: list[Item],
    limit: int | None,
    bound: Item,
    operator: str,
    forward: bool,
    encoding: str,
) -> None:
    table = Table(database, encoding)
    for step in script:
        if step[0] == "batch":
            _batch(table, step[1])
        elif step[0] == "transaction":
            _transaction(table, step[1])
        else:
            _single(table, step)
    _check_reads(table, wanted)
    _check_contents(table, limit, bound, operator, forward=forward)
    table.call("DeleteTable")
