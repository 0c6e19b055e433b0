"""Key conditions: what they may hold, and how they fit a key."""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import ExpressionAttributes, KeyClause, ResolvedKeyCondition
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import KeyAttribute, KeySchema

A, B, ONE, TWO = {"S": "a"}, {"S": "b"}, {"N": "1"}, {"N": "2"}

HASH = KeySchema((KeyAttribute("pk", "S"),))
RANGE = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "S"),))
NUMBER = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "N"),))
MANY = KeySchema(
    (KeyAttribute("h", "S"), KeyAttribute("i", "N")),
    tuple(KeyAttribute(name, "S") for name in ("a", "b", "c", "d")),
)


def resolve(keys: KeySchema, text: str, **values: Any) -> ResolvedKeyCondition:
    attributes = ExpressionAttributes(None, {f":{name}": value for name, value in values.items()} or None)
    condition = attributes.key_condition(text)
    attributes.finish()
    return condition.resolve(keys)


def message(keys: KeySchema, text: str, **values: Any) -> str:
    with pytest.raises(DynamoDBError) as refusal:
        resolve(keys, text, **values)
    assert refusal.value.code == "ValidationException"
    return refusal.value.message


@pytest.mark.parametrize(
    ("text", "operator", "operands"),
    [
        ("sk = :a", "=", (A,)),
        ("sk < :a", "<", (A,)),
        (":a < sk", ">", (A,)),
        (":a <= sk", ">=", (A,)),
        (":a > sk", "<", (A,)),
        (":a >= sk", "<=", (A,)),
        (":a = sk", "=", (A,)),
        ("(sk) >= (:a)", ">=", (A,)),
        ("sk BETWEEN :a AND :b", "BETWEEN", (A, B)),
        ("begins_with(sk, :a)", "begins_with", (A,)),
    ],
)
@pytest.mark.parametrize("order", ["pk = :b AND ({})", "{} AND :b = pk", "(pk = :b AND {})"])
def test_a_condition_on_the_sort_key(text: str, operator: Any, operands: Any, order: str) -> None:
    assert resolve(RANGE, order.format(text), a=A, b=B) == ResolvedKeyCondition(
        (B,), (KeyClause("sk", operator, operands),)
    )


def test_the_partition_key_alone() -> None:
    for keys in (HASH, RANGE):
        assert resolve(keys, "pk = :a", a=A) == ResolvedKeyCondition((A,), ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [  # architect/dynalite, test/query.js; the prefix since then: paritysuite/dynamodb-conformance
        ("a > b and size(b) > c or a > c", "Invalid operator used in KeyConditionExpression: OR"),
        ("a in (b, size(c), d)", "Invalid operator used in KeyConditionExpression: IN"),
        ("attribute_exists(a)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("contains(a.d, b)", "Invalid operator used in KeyConditionExpression: contains"),
        ("not a > b", "Invalid operator used in KeyConditionExpression: NOT"),
        ("a <> b", "Invalid operator used in KeyConditionExpression: <>"),
        (
            ":a between size(b) and size(a) and b > :b",
            "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its "
            "first operand",
        ),
        (
            "begins_with(:a, b) and a > :b",
            "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its "
            "first operand",
        ),
        ("size(b) > a AND a.b > b AND b > c", "KeyConditionExpressions cannot contain nested operations"),
        ("a > size(b.d)", "KeyConditionExpressions cannot contain nested operations"),
        ("a between size(b) and size(a)", "KeyConditionExpressions cannot contain nested operations"),
        *(
            (text, "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
            for text in ("b > a.b", "b between c[1] and d", "a between b and size(a)", "begins_with(a, b)")
        ),
        *(
            (text, "KeyConditionExpressions cannot have conditions on nested attributes")
            for text in ("b.d > a AND c.d > e.f", "a.d > c", "b[0] > a")
        ),
        (":b > :a AND a < :b", "Invalid condition in KeyConditionExpression: No key attribute specified"),
        ("b > :a AND b < :b and c = :a", "KeyConditionExpressions must only contain one condition per key"),
        (
            "(a > :a and b > :b) and (b > :a and c > :a)",
            "KeyConditionExpressions must only contain one condition per key",
        ),
    ],
)
def test_what_a_key_condition_may_not_hold(text: str, problem: str) -> None:
    values = {name: A for name in "ab" if f":{name}" in text}
    assert message(RANGE, text, **values) == f"Invalid KeyConditionExpression: {problem}"


@pytest.mark.parametrize(
    ("keys", "text", "values", "expected"),
    [
        # nubo-db/dynamodb-conformance, tests/tier3/error-messages/query.test.ts
        (RANGE, "sk = :a", {"a": A}, "Query condition missed key schema element: pk"),
        (RANGE, "attr1 = :a", {"a": A}, "Query condition missed key schema element: pk"),
        (RANGE, "x = :a AND y = :a", {"a": A}, "Query condition missed key schema element: pk"),
        # scylladb/scylladb, test_key_condition_expression.py
        (RANGE, "pk = :a AND x < :a", {"a": A}, "Query condition missed key schema element: sk"),
        (RANGE, "pk < :a", {"a": A}, "Query key condition not supported"),
        (HASH, "begins_with(pk, :a)", {"a": A}, "Query key condition not supported"),
        (HASH, "pk between :a and :b", {"a": A, "b": B}, "Query key condition not supported"),
        # paritysuite/dynamodb-conformance, queryKeyConditionOperands.test.ts
        (
            NUMBER,
            "pk = :a AND sk > :n AND extra = :n",
            {"a": A, "n": ONE},
            "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
        ),
        (
            HASH,
            "pk = :a AND sk = :a",
            {"a": A},
            "The number of query conditions (2) exceeds the number of key attributes defined in the schema (1)",
        ),
        *(
            (
                keys,
                text,
                values,
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            )
            for keys, text, values in (
                (NUMBER, "pk = :a AND begins_with(sk, :a)", {"a": A}),
                (NUMBER, "pk = :a AND sk = :t", {"a": A, "t": {"BOOL": True}}),
                (HASH, ":n > pk", {"n": ONE}),
                (RANGE, "pk = :a AND sk BETWEEN :n AND :m", {"a": A, "n": ONE, "m": TWO}),
            )
        ),
        (
            HASH,
            "pk = :e",
            {"e": {"S": ""}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            "empty string value. Key: pk",
        ),
    ],
)
def test_what_does_not_fit_the_key(keys: KeySchema, text: str, values: dict[str, Any], expected: str) -> None:
    assert message(keys, text, **values) == expected


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("", ()),
        ("a = :s", (("a", "="),)),
        ("b > :s AND a = :s", (("a", "="), ("b", ">"))),
        (
            "c = :s AND a = :s AND begins_with(d, :s) AND b = :s",
            (("a", "="), ("b", "="), ("c", "="), ("d", "begins_with")),
        ),
    ],
)
def test_a_key_of_several_attributes(text: str, sort: Any) -> None:
    # paritysuite/dynamodb-conformance, tests/tier1/query/multiAttributeGsiKey.test.ts
    resolved = resolve(MANY, "i = :n AND h = :s" + (f" AND {text}" if text else ""), s=A, n=ONE)
    assert resolved.partition == (A, ONE)
    assert tuple((clause.attribute, clause.operator) for clause in resolved.sort) == sort


@pytest.mark.parametrize(
    ("text", "without", "present"),
    [
        ("a = :s AND c = :s", "b", "c"),
        ("a = :s AND b > :s AND c = :s", "b", "c"),
        ("b = :s", "a", "b"),
        ("c = :s", "a, b", "c"),
    ],
)
def test_a_gap_in_the_sort_attributes(text: str, without: str, present: str) -> None:
    assert message(MANY, f"h = :s AND i = :n AND {text}", s=A, n=ONE) == (
        f"RANGE key attributes {without} must have equality conditions specified in the query because a condition "
        f"is present on key attribute {present}"
    )


def test_every_partition_attribute_needs_an_equality() -> None:
    needed = "must have equality conditions specified in the query"
    assert message(MANY, "h = :s AND a = :s", s=A) == f"HASH key attributes i {needed}"
    assert message(MANY, "h = :s AND i > :n", s=A, n=ONE) == f"HASH key attributes i {needed}"
    assert message(MANY, "a = :s", s=A) == f"HASH key attributes h, i {needed}"
