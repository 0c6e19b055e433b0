"""Which part of an item a projection takes.

nubo-db/dynamodb-conformance and paritysuite/dynamodb-conformance, tests/tier1/getItem/projection.test.ts.
"""

from __future__ import annotations

import pytest

from blotter.database.expressions import ExpressionAttributes, Projection

ITEM = {
    "pk": {"S": "k"},
    "m": {"M": {"nested": {"S": "deep"}, "b2": {"N": "42"}, "child": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}}},
    "l": {"L": [{"S": "zero"}, {"M": {"a": {"N": "1"}, "b": {"N": "2"}}}, {"L": [{"S": "p"}, {"S": "q"}]}]},
}


def projection(text: str, **names: str) -> Projection:
    attributes = ExpressionAttributes({f"#{alias}": name for alias, name in names.items()} or None, None)
    projection = attributes.projection(text)
    attributes.finish()
    return projection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pk", {"pk": ITEM["pk"]}),
        ("gone", {}),
        ("pk, gone, l", {"pk": ITEM["pk"], "l": ITEM["l"]}),
        ("m.nested", {"m": {"M": {"nested": {"S": "deep"}}}}),
        ("m.nested, m.b2", {"m": {"M": {"nested": {"S": "deep"}, "b2": {"N": "42"}}}}),
        ("m.child.x, m.child.y, m.child.z", {"m": {"M": {"child": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}}}}),
        ("l[0]", {"l": {"L": [{"S": "zero"}]}}),
        # The list's order, without gaps.
        ("l[2], l[0]", {"l": {"L": [{"L": [{"S": "p"}, {"S": "q"}]}, {"S": "zero"}][::-1]}}),
        ("l[7], l[1].b, l[1].a", {"l": {"L": [{"M": {"b": {"N": "2"}, "a": {"N": "1"}}}]}}),
        ("l[2][1], l[1].a", {"l": {"L": [{"M": {"a": {"N": "1"}}}, {"L": [{"S": "q"}]}]}}),
        # Nothing there, or something of another kind.
        ("m.gone, l[9], pk.x, pk[0], m[0], l.x, m.nested.x", {}),
    ],
)
def test_paths(text: str, expected: dict[str, object]) -> None:
    if "pk.x" in text:
        for path in text.split(", "):
            assert projection(path).project(ITEM) == {}
    else:
        assert projection(text).project(ITEM) == expected


def test_placeholders_stand_for_any_name() -> None:
    item = {"a.b": {"M": {"c[0]": {"S": "x"}, "d": {"S": "y"}}}}
    assert projection("#a.#c", a="a.b", c="c[0]").project(item) == {"a.b": {"M": {"c[0]": {"S": "x"}}}}


def test_what_a_projection_reads() -> None:
    reads = projection("a, b.c, b.d, e[0]")
    assert reads.paths == (("a",), ("b", "c"), ("b", "d"), ("e", 0))
    assert reads.top_level_names == {"a", "b", "e"}
    assert reads.nested_names == ("b", "e")
