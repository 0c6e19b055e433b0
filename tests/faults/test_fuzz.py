"""Whatever arrives is answered or refused: HTTP, expressions, PartiQL, numbers and bodies, damaged at random.

`corpus/<kind>/` keeps cases as plain files: what is legal, what has been clever, what once went wrong. Each is
replayed as it is; then hypothesis cuts, doubles, joins and sprinkles them. A kind's check asserts what must hold
for any input at all: no InternalServerError, a refusal changes nothing, pieces are read as the whole is. A
failure's input belongs in the corpus, under a name that describes it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.database.http.limits import Limits
from blotter.database.http.reader import MemoryBudget, Refused, RequestReader
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.numbers import canonical_number, compare_numbers, encode_number
from tests.in_process import InProcessDatabase
from tests.unit.database.operations.model import IndexModel, Item, multiset

CORPUS = Path(__file__).parent / "corpus"
Check = Callable[[InProcessDatabase, bytes, str], None]

# HTTP

_LIMITS = Limits(head=1 << 20)
_STATUSES = {None, 400, 405, 413, 417, 501}


def _read(pieces: list[bytes]) -> tuple[list[Any], int | None]:
    """The requests without their ids, and the status of a refusal. All that the reader held is given back."""
    budget, numbers = MemoryBudget(_LIMITS.buffered), count()
    reader = RequestReader(_LIMITS, budget, lambda: f"id-{next(numbers)}")
    status = None
    try:
        for piece in pieces:
            reader.feed(piece)
    except Refused as refused:
        status = refused.status
    requests = [(each.method, each.target, each.headers, each.body) for each in reader.requests]
    reader.release()
    assert budget.used == 0
    return requests, status


def _check_http(_: InProcessDatabase, data: bytes, __: str) -> None:
    whole = _read([data])
    assert whole[1] in _STATUSES
    assert _read([data[at : at + 1] for at in range(len(data))]) == whole
    cuts = sorted(random.Random(data).choices(range(len(data) + 1), k=3))
    assert _read([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]) == whole


# Expressions

BY_A = IndexModel("by-a", ("a",), ("b",), "ALL")
KEY = {"p": {"S": "k"}, "s": {"N": "1"}}
ITEM: Item = {
    **KEY,
    "a": {"S": "x"},
    "b": {"N": "5"},
    "n": {"N": "1"},
    "l": {"L": [{"N": "1"}, {"S": "x"}]},
    "m": {"M": {"x": {"M": {"y": {"L": [{"L": [{"N": "1"}, {"M": {}}]}]}}}}},
    "t": {"SS": ["a", "b"]},
}
VALUES = {":v": {"S": "x"}, ":w": {"S": "y"}, ":n": {"N": "1"}, ":t": {"SS": ["a"]}, ":l": {"L": [{"N": "2"}]}}
_REFUSALS = {"ValidationException", "ConditionalCheckFailedException"}


def _placeholders(text: str) -> dict[str, Any]:
    """Those that the text uses; what it invents is the server's to refuse."""
    values = {name: value for name, value in VALUES.items() if name in text}
    given_members = {
        "ExpressionAttributeValues": values,
        "ExpressionAttributeNames": {"#y": "y"} if "#y" in text else {},
    }
    return {member: content for member, content in given_members.items() if content}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _ask(database: InProcessDatabase, operation: str, **request: Any) -> tuple[int, dict[str, Any]]:
    status, answer = database.call(operation, {"TableName": "fuzz", **request})
    assert status == 200 or (status == 400 and answer["__type"].split("#")[1] in _REFUSALS), (status, answer)
    return status, answer


def _items(database: InProcessDatabase) -> list[Item]:
    items: list[Item] = database.call("Scan", {"TableName": "fuzz"})[1]["Items"]
    return items


def _check_index(database: InProcessDatabase) -> None:
    entries = [BY_A.entry(item, ("p", "s")) for item in _items(database)]
    held = database.call("Scan", {"TableName": "fuzz", "IndexName": "by-a"})[1]["Items"]
    assert multiset(held) == multiset(entry for entry in entries if entry is not None)


def _check_condition(database: InProcessDatabase, data: bytes, _: str) -> None:
    """A condition holds for an item where a filter of the same text lets it pass, and nowhere else."""
    text = _text(data)
    key = "p = :key AND s = :sort"
    given_members = _placeholders(text)
    values = {**given_members.get("ExpressionAttributeValues", {}), ":key": KEY["p"], ":sort": KEY["s"]}
    query = {**given_members, "ExpressionAttributeValues": values}
    filtered, answer = _ask(database, "Query", KeyConditionExpression=key, FilterExpression=text, **query)
    put, refusal = _ask(database, "PutItem", Item=ITEM, ConditionExpression=text, **given_members)
    if filtered == 200:
        assert (put == 200) is (answer["Count"] == 1), refusal
    assert database.call("GetItem", {"TableName": "fuzz", "Key": KEY})[1]["Item"] == ITEM


def _check_update(database: InProcessDatabase, data: bytes, _: str) -> None:
    text = _text(data)
    status, _answer = _ask(database, "UpdateItem", Key=KEY, UpdateExpression=text, **_placeholders(text))
    item = database.call("GetItem", {"TableName": "fuzz", "Key": KEY})[1]["Item"]
    assert {name: item[name] for name in KEY} == KEY
    assert status == 200 or item == ITEM, "a refused update changed something"
    _check_index(database)


def _check_projection(database: InProcessDatabase, data: bytes, _: str) -> None:
    text = _text(data)
    members = {member: content for member, content in _placeholders(text).items() if member.endswith("Names")}
    _ask(database, "GetItem", Key=KEY, ProjectionExpression=text, **members)


def _check_key_condition(database: InProcessDatabase, data: bytes, _: str) -> None:
    text = _text(data)
    _ask(database, "Query", KeyConditionExpression=text, **_placeholders(text))


def _check_partiql(database: InProcessDatabase, data: bytes, _: str) -> None:
    text = _text(data)
    before = _items(database)
    values = [{"S": "k"}, {"N": "1"}][: text.count("?")]
    request = {"Statement": text, **({"Parameters": values} if values else {})}
    status, answer = database.call("ExecuteStatement", request)
    assert status in (200, 400), answer
    if status == 400:
        assert multiset(_items(database)) == multiset(before), "a refused statement changed something"
    _check_index(database)


# Numbers and bodies


def _is_number(text: str) -> bool:
    """By Python's decimals, which know nothing of Blotter's."""
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text, re.ASCII):
        return False
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent.lstrip("+-0")) > 9:
        return False
    value = Decimal(mantissa)
    if not value:
        return -130 <= int(exponent or 0) <= 125
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    return len(digits) <= 38 and -130 <= value.adjusted() + int(exponent or 0) <= 125


def _check_number(_: InProcessDatabase, data: bytes, __: str) -> None:
    text = _text(data)
    try:
        canonical = canonical_number(text)
    except DynamoDBError as error:
        assert error.code == "ValidationException"  # noqa: PT017 - either way out is right
        assert not _is_number(text)
        return
    assert _is_number(text)
    assert canonical_number(canonical) == canonical
    assert Decimal(canonical) == Decimal(re.sub(r"([eE][+-]?)0+(?=[0-9])", r"\1", text))
    for other in ("0", "-1", "0.5", "1", "99", "1" + "0" * 125, "-" + "9" * 38):
        difference = (Decimal(canonical) > Decimal(other)) - (Decimal(canonical) < Decimal(other))
        mine, theirs = encode_number(canonical), encode_number(other)
        assert (mine > theirs) - (mine < theirs) == compare_numbers(canonical, other) == difference


def _check_body(database: InProcessDatabase, data: bytes, name: str) -> None:
    operation = name.split(".")[0]
    status, answer = database.call_raw(operation, data)
    assert status in (200, 400), answer
    assert database.call_raw(operation, data)[0] in (200, 400)
    _check_index(database)


_CHECKS: dict[str, Check] = {
    "http": _check_http,
    "condition": _check_condition,
    "update": _check_update,
    "projection": _check_projection,
    "key_condition": _check_key_condition,
    "partiql": _check_partiql,
    "number": _check_number,
    "body": _check_body,
}
# What grammars stumble over, sprinkled anywhere.
_CRUMBS = [
    b"", b" ", b"(", b")", b"[", b"]", b"[0]", b",", b".", b"#", b"#y", b":", b":v", b":n", b"'", b'"', b"\\u0000",
    b"\x00", b"\xff", b"\xc3\xa9", b"\r\n", b"\n", b"\r\n\r\n", b"0", b"1", b"-", b"E", b"9" * 40, b" AND ",
    b" NOT ", b" SET ", b" IN ", b"size(", b"{", b"}", b"{}", b"null", b"?", b"<<", b">>", b"--", b"chunked",
    b"Content-Length: 1\r\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path_factory.mktemp("fuzz") / "data")
    schema = [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}]
    by_a = [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}]
    types = {"p": "S", "s": "N", "a": "S", "b": "N"}
    status, answer = database.call(
        "CreateTable",
        {
            "TableName": "fuzz",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": schema,
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in types.items()],
            "GlobalSecondaryIndexes": [
                {"IndexName": "by-a", "KeySchema": by_a, "Projection": {"ProjectionType": "ALL"}}
            ],
        },
    )
    assert status == 200, answer
    yield database
    database.close()


def _check(kind: str, database: InProcessDatabase, data: bytes, name: str) -> None:
    if kind not in ("http", "number"):
        assert database.call("PutItem", {"TableName": "fuzz", "Item": ITEM})[0] == 200
    _CHECKS[kind](database, data, name)


def _cases(kind: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((CORPUS / kind).iterdir())}


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> tuple[str, bytes]:
    """A case of the corpus after a few accidents; the name is that of the case it began as."""
    cases = {name: data for name, data in _cases(kind).items() if len(data) < 1000}
    name = draw(st.sampled_from(sorted(cases)))
    data = cases[name]
    for _ in range(draw(st.integers(1, 4))):
        at, until = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        accident = draw(st.sampled_from(["crumb", "crumb", "noise", "cut", "double", "graft"]))
        if accident == "crumb":
            middle = draw(st.sampled_from(_CRUMBS))
            until = draw(st.sampled_from([at, min(at + 1, len(data))]))
        elif accident == "noise":
            middle, until = draw(st.binary(min_size=1, max_size=3)), at
        elif accident == "cut":
            middle = b""
        elif accident == "double":
            middle = data[at:until] * 2
        else:
            other = cases[draw(st.sampled_from(sorted(cases)))]
            middle = other[draw(st.integers(0, len(other))) :]
        data = (data[:at] + middle + data[until:])[:4000]
    return name, data


@pytest.mark.parametrize("kind", sorted(_CHECKS))
def test_the_corpus(kind: str, database: InProcessDatabase) -> None:
    for name, data in _cases(kind).items():
        try:
            _check(kind, database, data, name)
        except AssertionError as error:
            raise AssertionError(f"corpus/{kind}/{name}") from error


def _fuzz(kind: str, database: InProcessDatabase, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=damaged(kind))
    def checked(case: tuple[str, bytes]) -> None:
        _check(kind, database, case[1], case[0])

    checked()


@pytest.mark.parametrize("kind", sorted(_CHECKS))
def test_damaged_cases(kind: str, database: InProcessDatabase) -> None:
    _fuzz(kind, database, 100)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(_CHECKS))
def test_many_damaged_cases(kind: str, database: InProcessDatabase) -> None:
    _fuzz(kind, database, 5000)


def test_every_kind_of_case_has_a_check() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} == _CHECKS.keys()
    assert json.loads(_cases("body")["GetItem.whole"])["TableName"] == "fuzz"
