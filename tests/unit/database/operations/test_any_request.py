"""No request whatever makes an InternalServerError: every operation is sent requests made from the service model's
shapes, well-formed for the most part, with members missing, of a wrong type or of a wrong value here and there.

What the answers are is not looked at; a wish that is refused is as good as one that is granted. Tables of every
kind are there under the names that requests use, so that many get past the first checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blotter.database.operations.registry import OPERATIONS
from blotter.database.wire.service_model import Shape, service_model
from tests.examples import examples
from tests.in_process import InProcessDatabase

HASH = [{"AttributeName": "p", "KeyType": "HASH"}]
RANGE = [*HASH, {"AttributeName": "s", "KeyType": "RANGE"}]
TABLES: list[dict[str, Any]] = [
    {
        "TableName": "hash",
        "KeySchema": HASH,
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
    },
    {
        "TableName": "range",
        "KeySchema": RANGE,
        "AttributeDefinitions": [
            {"AttributeName": "p", "AttributeType": "S"},
            {"AttributeName": "s", "AttributeType": "N"},
            {"AttributeName": "a", "AttributeType": "S"},
            {"AttributeName": "b", "AttributeType": "B"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "global",
                "KeySchema": [
                    {"AttributeName": "a", "KeyType": "HASH"},
                    {"AttributeName": "b", "KeyType": "RANGE"},
                    {"AttributeName": "s", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "local",
                "KeySchema": [*HASH, {"AttributeName": "b", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["c"]},
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    },
]

NAMES = st.sampled_from(["p", "s", "a", "b", "c", "d", "", "size", "é", "x" * 300])
TEXTS = st.sampled_from(["", "a", "b", "é\u0000", "\ud83d", "x" * 1025, "x" * 2049])
NUMBERS = st.sampled_from(["0", "1", "-1", "1.50", "1E126", "1e-131", "9" * 38, "9" * 39, "abc", "", "NaN", " 1"])
BINARIES = st.sampled_from(["", "AA==", "/w==", "AA", "?", "AAAA" * 800])
SCALARS = st.one_of(
    TEXTS.map(lambda text: {"S": text}),
    NUMBERS.map(lambda text: {"N": text}),
    BINARIES.map(lambda text: {"B": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.booleans().map(lambda value: {"NULL": value}),
    st.lists(TEXTS, max_size=3).map(lambda texts: {"SS": texts}),
    st.lists(NUMBERS, max_size=3).map(lambda texts: {"NS": texts}),
    st.lists(BINARIES, max_size=3).map(lambda texts: {"BS": texts}),
    st.sampled_from([{}, {"S": "a", "N": "1"}, {"X": 1}, {"S": None}, {"M": None}]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(NAMES, inner, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=6,
)
GOOD = st.sampled_from([{"S": "a"}, {"S": "b"}, {"N": "1"}, {"N": "2"}, {"B": "AA=="}, {"L": [{"S": "a"}]}])
ITEMS = st.one_of(
    st.fixed_dictionaries(
        {"p": st.just({"S": "a"})},
        optional={"s": st.just({"N": "1"}), "a": GOOD, "b": GOOD, "c": VALUES, "d": GOOD},
    ),
    st.dictionaries(NAMES, VALUES, max_size=4),
)
KEYS = st.one_of(
    st.sampled_from([{"p": {"S": "a"}}, {"p": {"S": "a"}, "s": {"N": "1"}}, {"p": {"S": "b"}, "s": {"N": "2"}}]),
    st.sampled_from(
        [
            {"p": {"S": "a"}, "s": {"N": "1"}, "a": {"S": "a"}, "b": {"B": "AA=="}},
            {"p": {"S": "a"}, "q": {"S": "a"}},
        ]
    ),
    ITEMS,
)
PATHS = st.sampled_from(
    ["p", "s", "a", "b", "c", "d", "#n", "#m", "c.d", "c[0]", "#n[1].a", "p.a", "b[0]", "size"]
)
OPERANDS = st.one_of(PATHS, st.sampled_from([":v", ":w", "size(c)", ":x"]))
COMPARISONS = st.tuples(OPERANDS, st.sampled_from(["=", "<>", "<", ">=", "IN", ""]), OPERANDS).map(
    lambda parts: f"{parts[0]} IN ({parts[2]})" if parts[1] == "IN" else " ".join(parts)
)
CONDITIONS = st.one_of(
    COMPARISONS,
    st.tuples(COMPARISONS, st.sampled_from([" AND ", " OR ", " AND NOT "]), COMPARISONS).map("".join),
    PATHS.map("attribute_exists({})".format),
    st.tuples(OPERANDS, OPERANDS).map(lambda two: f"begins_with({two[0]}, {two[1]})"),
    st.tuples(OPERANDS, OPERANDS).map(lambda two: f"{two[0]} BETWEEN {two[1]} AND :w"),
    st.sampled_from(
        ["", "(", "p = :v", "p = :v AND s = :w", "p = :v AND s > :w", "a = :v AND b = :w", "((p = :v))"]
    ),
)
UPDATES = st.one_of(
    st.tuples(PATHS, OPERANDS).map(lambda two: f"SET {two[0]} = {two[1]}"),
    st.tuples(PATHS, OPERANDS, OPERANDS).map(lambda three: f"SET {three[0]} = {three[1]} + {three[2]}"),
    st.tuples(PATHS, OPERANDS).map(lambda two: f"SET {two[0]} = if_not_exists({two[0]}, {two[1]}) REMOVE d"),
    st.tuples(PATHS, OPERANDS).map(lambda two: f"SET {two[0]} = list_append({two[0]}, {two[1]})"),
    st.tuples(st.sampled_from(["ADD", "DELETE"]), PATHS).map(lambda two: f"{two[0]} {two[1]} :v"),
    PATHS.map("REMOVE {}".format),
    st.sampled_from(["", "SET", "SET a = :v, a = :w", "REMOVE a SET b = :v", "ADD a"]),
)
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/"
TABLE_NAMES = st.sampled_from(
    [
        "hash",
        "range",
        "range",
        "new",
        "absent",
        "",
        "x!",
        "ab",
        ARN + "hash",
        ARN + "range/stream/1",
        "arn:aws:x",
        "y" * 256,
    ]
)
# Strings of shapes that mean something; every other one is any text.
STRINGS: dict[str, st.SearchStrategy[Any]] = {
    "TableName": TABLE_NAMES,
    "TableArn": TABLE_NAMES,
    "IndexName": st.sampled_from(["global", "local", "new", "ab", "absent", "i!"]),
    "ConditionExpression": CONDITIONS,
    "KeyExpression": CONDITIONS,
    "ProjectionExpression": st.lists(PATHS, max_size=3).map(", ".join),
    "UpdateExpression": UPDATES,
    "ResourceArnString": st.sampled_from([ARN + "hash", ARN + "range", ARN + "absent", "arn:x", ""]),
    "StreamArn": st.sampled_from([ARN + "range/stream/2026-01-01T00:00:00.000", "arn:x", ARN + "hash"]),
    "KeySchemaAttributeName": NAMES,
    "NonKeyAttributeName": NAMES,
    "AttributeName": NAMES,
    "TimeToLiveAttributeName": NAMES,
    "ExpressionAttributeNameVariable": st.sampled_from(["#n", "#m", "#", "n"]),
    "ExpressionAttributeValueVariable": st.sampled_from([":v", ":w", ":", "v"]),
    "ClientRequestToken": st.sampled_from(["token", "token", "x" * 37, ""]),
}
STRAY: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "text", 0, -1, 1.5, True, [], {}, [None], {"": None}, [[]], [{}], 2**63]
)


def requests(operation: str) -> st.SearchStrategy[Any]:
    return made(f"{operation}Input")


def made(name: str) -> st.SearchStrategy[Any]:
    """Values of a shape; about one in thirty is something else altogether."""
    right = _right(name, service_model().shapes[name])
    return st.integers(0, 29).flatmap(lambda roll: STRAY if roll == 0 else right)


def _right(name: str, shape: Shape) -> st.SearchStrategy[Any]:
    if name == "AttributeValue":
        return st.one_of(GOOD, VALUES)
    if name in ("PutItemInputAttributeMap", "AttributeMap"):
        return ITEMS
    if name == "Key":
        return KEYS
    match shape.type:
        case "structure":
            # A member that is required is there, most others are not: expressions and legacy parameters exclude
            # each other, and what is mixed is refused before it runs.
            members = {m: st.deferred(lambda s=s: made(s)) for m, s in shape.members.items()}
            required = {m: s for m, s in members.items() if m in shape.required}
            optional = [m for m in members if m not in shape.required]
            if not optional:
                return st.fixed_dictionaries(required)
            structures = st.lists(st.sampled_from(optional), unique=True, max_size=4).flatmap(
                lambda chosen: st.fixed_dictionaries({**required, **{m: members[m] for m in chosen}})
            )
            return st.tuples(structures, st.integers(0, 3), GOOD, VALUES).map(lambda drawn: _completed(*drawn))
        case "list":
            return st.lists(st.deferred(lambda: made(shape.member)), max_size=3)
        case "map":
            return st.dictionaries(
                st.deferred(lambda: _right(shape.key, service_model().shapes[shape.key])),
                st.deferred(lambda: made(shape.value)),
                max_size=3,
            )
        case "string":
            if shape.enum:
                return st.sampled_from([*shape.enum, *shape.enum, "BOGUS"])
            return STRINGS.get(name, st.one_of(NAMES, TEXTS))
        case "integer" | "long":
            return st.sampled_from([0, 1, 1, 2, 3, 5, -1, 10**6, 10**12])
        case "boolean":
            return st.booleans()
        case "double" | "timestamp":
            return st.sampled_from([0, 1.5, -1])
        case _:
            return BINARIES


def _completed(structure: dict[str, Any], roll: int, one: Any, other: Any) -> dict[str, Any]:
    """Expressions with the placeholders they use, three times out of four."""
    text = " ".join(str(text) for member, text in structure.items() if member.endswith("Expression"))
    if not text or roll == 0:
        return structure
    names = {name: attribute for name, attribute in (("#n", "c"), ("#m", "d")) if name in text}
    values = {name: value for name, value in ((":v", one), (":w", other), (":x", {"S": "a"})) if name in text}
    given = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return {**structure, **{member: content for member, content in given.items() if content}}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path_factory.mktemp("any") / "data")
    yield database
    database.close()


def prepare(database: InProcessDatabase) -> None:
    """The tables and an item or two, if an example took them away."""
    for table in TABLES:
        status, _ = database.call("DescribeTable", {"TableName": table["TableName"]})
        if status != 200:
            assert database.call("CreateTable", {**table, "BillingMode": "PAY_PER_REQUEST"})[0] == 200
    item = {"p": {"S": "a"}, "s": {"N": "1"}, "a": {"S": "a"}, "b": {"B": "AA=="}, "c": {"L": [{"S": "a"}]}}
    for table in TABLES:
        database.call("PutItem", {"TableName": table["TableName"], "Item": item})


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_is_an_internal_error(operation: str, database: InProcessDatabase, data: st.DataObject) -> None:
    prepare(database)
    body = json.dumps(data.draw(requests(operation)))
    status, answer = database.call_raw(operation, body.encode("utf-8", "surrogatepass"))
    assert status in (200, 400), f"{operation} {body} answered {status} {answer}"
