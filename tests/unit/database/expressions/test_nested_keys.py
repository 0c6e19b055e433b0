"""Key attributes are scalars: dynalite's tests, getItem.js, query.js, scan.js and updateItem.js."""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import ExpressionAttributes, refuse_nested_keys
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import Index, KeyAttribute, KeySchema, Table

A, B, C, D = (KeyAttribute(name, "S") for name in "abcd")
TABLE = Table(
    account="000000000000",
    region="eu-west-2",
    name="t",
    id="t",
    space=1,
    keys=KeySchema((A,), (B,)),
    created_at=0.0,
    active_at=0.0,
    indexes=(
        Index("local", 2, local=True, keys=KeySchema((A,), (C,)), projection="ALL"),
        Index("global", 3, local=False, keys=KeySchema((D,)), projection="ALL"),
    ),
)


def condition(text: str) -> Any:
    return ExpressionAttributes({"#a": "a", "#d": "d"}, {":v": {"N": "1"}}).condition("FilterExpression", text)


def projection(text: str) -> Any:
    return ExpressionAttributes({"#a": "a", "#d": "d"}, None).projection(text)


def update(text: str) -> Any:
    return ExpressionAttributes(None, {":v": {"N": "1"}}).update(text)


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        (condition("attribute_exists(a.b.c) and #a = b"), "Key: a"),
        (condition("attribute_exists(#a[0])"), "Key: a"),
        (condition("d[1] = :v"), "IndexKey: d"),
        (condition("e = :v AND b.x = :v"), "Key: b"),
        (projection("#a.b.c"), "Key: a"),
        (projection("x, c[0], #d[0], b"), "IndexKey: d"),
        (projection("x.y, c[0]"), "IndexKey: c"),
        (update("ADD d.b :v"), "IndexKey: d"),
        (update("SET e = list_append(a, b), f = d[1]"), "IndexKey: d"),
    ],
)
def test_a_part_of_a_key_is_refused(expression: Any, key: str) -> None:
    with pytest.raises(DynamoDBError) as refused:
        refuse_nested_keys(TABLE, None, expression)
    assert refused.value.message == (
        f"Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {key}"
    )


def test_whole_keys_and_other_documents_are_fine() -> None:
    refuse_nested_keys(TABLE, condition("a = :v AND x.a = :v"), projection("a, b, c, x.d"), update("SET x.a = d"))
