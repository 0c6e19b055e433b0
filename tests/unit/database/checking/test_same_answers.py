"""A heavy body, checked elsewhere and decoded in slices, gets the answer that it would get without that."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.database.checking.body_check import CheckResult
from blotter.database.model.errors import DynamoDBError
from blotter.database.pipeline import Pipeline
from blotter.database.security.open_access import OpenAccess
from blotter.database.wire import slices
from tests.guarded import GuardedDatabase
from tests.heavy_bodies import CheckerHere, EveryBodyHeavy, heavy_database
from tests.in_process import ACCOUNT, InProcessDatabase

_TABLE = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
_KEY = {"p": {"S": "a"}}
_VALUES = [
    {"S": "ä \n"},
    {"N": "007.50"},
    {"B": "QUJD"},
    {"BOOL": True},
    {"NULL": True},
    {"L": [{"S": "x"}, {"M": {"k": {"N": "1"}}}, {"L": []}]},
    {"M": {"a.b": {"SS": ["b", "a"]}, "ü": {"NS": ["2", "1.0"]}}},
    {"BS": ["QQ==", "QUI="]},
]
_ITEM = _KEY | {f"v{number}": value for number, value in enumerate(_VALUES)}
_PUT = {"TableName": "things", "Item": _ITEM}
_CONDITION = {"ConditionExpression": "#a <> :a", "ExpressionAttributeNames": {"#a": "v1"}}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("PutItem", _PUT | _CONDITION | {"ExpressionAttributeValues": {":a": _VALUES[5]}}),
    ("PutItem", _PUT | {"Expected": {"v9": {"ComparisonOperator": "NULL", "AttributeValueList": []}}}),
    ("GetItem", {"TableName": "things", "Key": _KEY, "ConsistentRead": True, "AttributesToGet": ["v1", "v5"]}),
    (
        "UpdateItem",
        {
            "TableName": "things",
            "Key": _KEY,
            "UpdateExpression": "SET v1 = :a, v9 = :b",
            "ExpressionAttributeValues": {":a": _VALUES[1], ":b": _VALUES[6]},
            "ReturnValues": "ALL_NEW",
        },
    ),
    ("UpdateItem", {"TableName": "things", "Key": _KEY, "AttributeUpdates": {"v3": {"Value": _VALUES[6]}}}),
    ("DeleteItem", {"TableName": "things", "Key": _KEY, "ReturnValues": "ALL_OLD"}),
    (
        "BatchWriteItem",
        {
            "RequestItems": {
                "things": [
                    {"PutRequest": {"Item": _ITEM}},
                    {"DeleteRequest": {"Key": {"p": {"S": "b"}}}},
                    {"PutRequest": {"Item": {"p": {"S": "c"}, "l": {"L": _VALUES}}}},
                ]
            }
        },
    ),
    ("BatchGetItem", {"RequestItems": {"things": {"Keys": [_KEY, {"p": {"S": "b"}}]}}}),
    (
        "TransactWriteItems",
        {
            "ClientRequestToken": "t",
            "TransactItems": [
                {"Put": {"TableName": "things", "Item": _ITEM}},
                {"Delete": {"TableName": "things", "Key": {"p": {"S": "b"}}}},
                {
                    "ConditionCheck": {
                        "TableName": "things",
                        "Key": {"p": {"S": "z"}},
                        "ConditionExpression": "attribute_not_exists(p)",
                    }
                },
            ],
        },
    ),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "things", "Key": _KEY}}]}),
    (
        "Query",
        {
            "TableName": "things",
            "KeyConditions": {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}},
        },
    ),
    ("Scan", {"TableName": "things", "Limit": 3, "ScanFilter": {}}),
    (
        "ExecuteStatement",
        {"Statement": "SELECT * FROM things WHERE p = ? AND v1 <> ?", "Parameters": [{"S": "a"}, _VALUES[5]]},
    ),
    (
        "BatchExecuteStatement",
        {"Statements": [{"Statement": "INSERT INTO things VALUE {'p': ?}", "Parameters": [{"S": "d"}]}]},
    ),
    ("TagResource", {"ResourceArn": "arn:none", "Tags": [{"Key": "a", "Value": "b"}]}),
    ("ListTables", {"Limit": 5}),
    ("DescribeImport", {}),
    ("CreateGlobalTable", {"GlobalTableName": "things", "ReplicationGroup": []}),
]

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 300)
    | st.floats(-2, 2)
    | st.sampled_from(["", "a", "true", "1", "ß"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["S", "N", "B", "L", "M", "SS", "NULL", "p", "Item"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from _places(child, (*path, name))


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], by)
    return copy


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request, often with something wrong in it: a value of another type, a list of another length, a member
    given twice, text that is no JSON or no UTF-8."""
    operation, request = draw(st.sampled_from(REQUESTS))
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from(list(_places(request))[1:] or [()]))
        parent = request
        for name in path[:-1]:
            parent = parent[name]
        old = parent[path[-1]] if path else parent
        if isinstance(old, list) and draw(st.booleans()):
            new = old * draw(st.sampled_from([0, 2, 30, 120]))
        else:
            new = draw(_JSON)
        request = _replaced(request, path, new)
    text = json.dumps(request, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    body = text.encode()
    damage = draw(st.sampled_from(["none"] * 6 + ["twice", "cut", "byte", "surrogate", "nested"]))
    if damage == "twice":
        body = body[:-1].rstrip() + b', "TableName": "none"}' if len(body) > 2 else body
    elif damage == "cut":
        body = body[: draw(st.integers(0, len(body)))]
    elif damage == "byte":
        at = draw(st.integers(0, max(0, len(body) - 1)))
        body = body[:at] + draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
    elif damage == "surrogate":
        body = body.replace(b'"a"', b'"\\ud800"')
    elif damage == "nested":
        body = body.replace(b'"a"', b"[" * 40 + b"]" * 40)
    return operation, body


class _Both:
    def __init__(self, folder: Path) -> None:
        self.databases = [
            InProcessDatabase(folder / "plain", clock=lambda: 1e9, store="memory", background=False),
            heavy_database(folder / "heavy", clock=lambda: 1e9, store="memory", background=False),
        ]
        for database in self.databases:
            assert database.call("CreateTable", _TABLE)[0] == 200

    def answers(self, operation: str, body: bytes, encoding: str = "identity") -> list[tuple[int, dict[str, Any]]]:
        return [database.call_raw(operation, body, encoding) for database in self.databases]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Both]:
    made = _Both(tmp_path_factory.mktemp("both"))
    yield made
    for database in made.databases:
        database.close()


@pytest.fixture(params=[1, 30, slices.PIECE])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PIECE", request.param)


@pytest.mark.usefixtures("piece")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_bodies(), st.booleans())
def test_a_random_body(both: _Both, named: tuple[str, bytes], compressed: bool) -> None:
    operation, body = named
    if compressed:
        plain, heavy = both.answers(operation, gzip.compress(body), "gzip")
    else:
        plain, heavy = both.answers(operation, body)
    assert heavy == plain


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    ("operation", "request_"), REQUESTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_right_request(both: _Both, operation: str, request_: dict[str, Any]) -> None:
    plain, heavy = both.answers(operation, json.dumps(request_).encode())
    assert heavy == plain
    assert plain[0] == 200 or operation in ("TagResource", "DescribeImport", "CreateGlobalTable"), plain


def test_a_request_that_the_service_converts(both: _Both) -> None:
    """ "true" is no Boolean and null no member: the quick way refuses both, the service does not."""
    both.answers("PutItem", json.dumps(_PUT).encode())
    body = json.dumps(
        {"TableName": "things", "Key": {"p": {"S": "a", "N": None}}, "ConsistentRead": "true", "Limit": None}
    )
    plain, heavy = both.answers("GetItem", body.encode())
    assert heavy == plain
    assert (plain[0], "Item" in plain[1]) == (200, True)


def test_an_operation_that_does_not_exist(both: _Both) -> None:
    for body in (b"{}", b"{", b""):
        plain, heavy = both.answers("Nothing", body)
        assert heavy == plain


def test_the_caller_is_authorized(tmp_path: Path) -> None:
    database = GuardedDatabase(tmp_path, store="memory")
    database.call("CreateTable", _TABLE)
    pipeline = database.pipeline
    database.pipeline = EveryBodyHeavy(pipeline)  # type: ignore[assignment]
    try:
        assert database.call("PutItem", _PUT)[0] == 200
        database.as_(database.principal.__class__("user", ACCOUNT, "arn:aws:iam::1:user/x", "AIDAX", "x"))
        assert database.call("PutItem", _PUT)[1]["__type"].endswith("#AccessDeniedException")
    finally:
        database.close()


class _FailingAudit:
    def ends(self, operation: str, ends: Any) -> Any:  # noqa: ARG002
        return ends

    def check(self) -> None:
        raise DynamoDBError("InternalServerError", "not recorded", 500)


def test_what_cannot_be_recorded_is_refused_between_the_checks(tmp_path: Path) -> None:
    """A fault that is found before the preparation comes first, one that it finds comes after."""
    database = InProcessDatabase(tmp_path, store="memory")
    authenticate = OpenAccess(ACCOUNT).authenticate
    arguments = (database.storage, authenticate)
    plain = Pipeline(*arguments, audit=_FailingAudit())
    heavy = EveryBodyHeavy(Pipeline(*arguments, audit=_FailingAudit(), checker=CheckerHere()))
    wrong = {"ExpressionAttributeValues": {":a": {"S": "a"}}}
    unparsed = {"ConditionExpression": "(("}
    answers = []
    for pipeline in (plain, heavy):
        database.pipeline = pipeline  # type: ignore[assignment]
        answers.append([database.call("PutItem", _PUT | more) for more in ({}, wrong, unparsed)])
    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [500, 400, 500]
    database.close()


@pytest.mark.parametrize(("operation", "request_"), [("PutItem", _PUT), ("GetItem", REQUESTS[2][1])])
def test_it_is_executed_on_a_thread(
    operation: str, request_: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the event loop nor in the write lock: an expression may compare a million values of a request."""
    database = heavy_database(tmp_path, store="memory")
    assert database.call("CreateTable", _TABLE)[0] == 200
    aside, handled = database.storage.submit_aside, []

    def recorded(handler: Any, settled: Any) -> None:
        handled.append(operation)
        aside(handler, settled)

    monkeypatch.setattr(database.storage, "submit_aside", recorded)
    assert database.call(operation, request_)[0] == 200
    database.close()
    assert handled == [operation]


def test_without_a_checker_any_more(tmp_path: Path) -> None:
    """The server stops: bodies are decoded like others."""

    class Gone:
        def check(self, target: str | None, body: bytes) -> CheckResult | None:  # noqa: ARG002
            return None

    database = InProcessDatabase(tmp_path, store="memory", checker=Gone())
    database.pipeline = EveryBodyHeavy(database.pipeline)  # type: ignore[assignment]
    assert database.call("CreateTable", _TABLE)[0] == 200
    assert database.call("PutItem", _PUT)[0] == 200
    assert database.call("PutItem", {"TableName": "things"})[0] == 400
    assert database.call("Nothing", {})[1]["__type"].endswith("#UnknownOperationException")
    database.close()
