"""What UpdateExpressions weigh: paritysuite/dynamodb-conformance, tests/tier3/limits/itemSizeBySurface."""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import ExpressionAttributes


@pytest.mark.parametrize(
    ("text", "values", "charge"),
    [
        ("SET b = :v", {":v": {"S": "x" * 100}}, 3 + 19 + 1 + 100),
        ("SET b = :v, c = :v", {":v": {"S": "y"}}, 3 + 2 * (19 + 1 + 1)),
        ("SET #long = :v", {":v": {"S": "y"}}, 3 + 19 + 1 + 1),
        ("SET d.leaf = :v", {":v": {"S": "y"}}, 3 + 19 + 1 + 4 + 4 + 1),
        ("SET d[10] = :v", {":v": {"S": "y"}}, 3 + 19 + 1 + 4 + 2 + 1),
        ("SET c = big", {}, 3 + 19 + 1 + 1 + 14 + 3),
        ("SET c = m.z[10]", {}, 3 + 19 + 1 + 1 + (14 + 1) + (14 + 1) + (14 + 2)),
        ("SET n = n + :one", {":one": {"N": "1"}}, 3 + 19 + 1 + 34 + 16 + 2),
        ("SET n = n - :one", {":one": {"N": "1"}}, 3 + 19 + 1 + 37 + 16 + 2),
        ("SET c = if_not_exists(c, :v)", {":v": {"S": "v"}}, 3 + 19 + 1 + 39 + 16 + 1),
        ("SET l = list_append(l, :l)", {":l": {"L": [{"S": "0123456789"}]}}, 3 + 19 + 1 + 37 + 16 + 3 + 1 + 10),
        ("ADD abcdefghij :one", {":one": {"N": "1"}}, 3 + 19 + 10 + 2),
        ("REMOVE m.yyyyyyyyyy", {}, 3 + 1 + 1 + 4 + 10),
        ("REMOVE l[10]", {}, 3 + 1 + 1 + 4 + 2),
        ("DELETE ss :rm", {":rm": {"SS": ["q" * 20]}}, 3 + 1 + 2),
    ],
)
def test_charge(text: str, values: dict[str, Any], charge: int) -> None:
    names = {"#long": "b"} if "#long" in text else None
    assert ExpressionAttributes(names, values).update(text).charge == charge
