"""The parameters that expressions replaced.

nubo-db/dynamodb-conformance, tests/tier3/legacy-api; scylladb/scylladb, test/alternator/test_expected.py;
architect/dynalite, test/query.js and test/updateItem.js.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blotter.database.expressions import legacy
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import KeyAttribute, KeySchema

ITEM = {
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "ss": {"SS": ["a", "b"]},
    "l": {"L": [{"N": "1"}]},
    "status": {"S": "active"},
    "#odd.name": {"S": "odd"},
}

A = {"S": "a"}


class Entry(msgspec.Struct, frozen=True):
    """An entry of any of the legacy parameters."""

    ComparisonOperator: Any = None
    AttributeValueList: list[dict[str, Any]] | None = None
    Value: dict[str, Any] | None = None
    Exists: bool | None = None
    Action: str | None = None


def compare(operator: str, *values: dict[str, Any]) -> Entry:
    return Entry(operator, list(values) or None)


def holds(name: str, operator: str, *values: dict[str, Any]) -> bool:
    results = set()
    for make in (legacy.expected, legacy.query_filter, legacy.scan_filter):
        condition = make({name: compare(operator, *values)}, None)
        assert condition is not None
        results.add(condition.matches(ITEM))
    assert len(results) == 1
    return results.pop()


@pytest.mark.parametrize(
    ("name", "operator", "values", "expected"),
    [
        ("s", "EQ", [{"S": "hello"}], True),
        ("s", "EQ", [{"S": "x"}], False),
        ("ss", "EQ", [{"SS": ["b", "a"]}], True),
        ("gone", "EQ", [{"S": "x"}], False),
        ("s", "NE", [{"S": "hello"}], False),
        ("s", "NE", [{"N": "1"}], True),
        ("gone", "NE", [{"S": "x"}], True),
        ("n", "LT", [{"N": "10"}], True),
        ("n", "LT", [{"S": "10"}], False),
        ("n", "LE", [{"N": "5"}], True),
        ("n", "GT", [{"N": "5"}], False),
        ("n", "GE", [{"N": "5"}], True),
        ("n", "BETWEEN", [{"N": "5"}, {"N": "6"}], True),
        ("gone", "BETWEEN", [{"N": "0"}, {"N": "100"}], False),
        ("n", "IN", [{"N": "1"}, {"N": "5"}], True),
        ("ss", "IN", [{"S": "a"}], False),
        ("gone", "NULL", [], True),
        ("s", "NULL", [], False),
        ("s", "NOT_NULL", [], True),
        ("s", "CONTAINS", [{"S": "ell"}], True),
        ("ss", "CONTAINS", [{"S": "b"}], True),
        ("l", "CONTAINS", [{"N": "1"}], True),
        ("s", "CONTAINS", [{"N": "1"}], False),
        ("s", "NOT_CONTAINS", [{"S": "dog"}], True),
        ("s", "NOT_CONTAINS", [{"N": "1"}], True),
        ("ss", "NOT_CONTAINS", [{"S": "b"}], False),
        # Neither holds for an attribute that is not there.
        ("gone", "NOT_CONTAINS", [{"S": "x"}], False),
        ("gone", "CONTAINS", [{"S": "x"}], False),
        ("s", "BEGINS_WITH", [{"S": "hell"}], True),
        ("n", "BEGINS_WITH", [{"S": "5"}], False),
        # Any text is a name here: reserved words, and what would be a placeholder in an expression.
        ("status", "EQ", [{"S": "active"}], True),
        ("#odd.name", "EQ", [{"S": "odd"}], True),
    ],
)
def test_comparison_operators(name: str, operator: str, values: list[Any], expected: bool) -> None:
    assert holds(name, operator, *values) is expected


def test_expected_without_an_operator() -> None:
    def matches(item: Any, **entries: Entry) -> bool:
        condition = legacy.expected(entries, None)
        assert condition is not None
        return condition.matches(item)

    assert matches(None, pk=Entry(Exists=False))
    assert not matches({"pk": A}, pk=Entry(Exists=False))
    assert matches({"a": A}, a=Entry(Value=A))
    assert matches({"a": A}, a=Entry(Value=A, Exists=True))
    assert not matches(None, a=Entry(Value=A))
    assert matches({"a": A}, a=Entry(ComparisonOperator="LE", Value=A))


def test_conditional_operator() -> None:
    entries = {"s": compare("EQ", {"S": "hello"}), "n": compare("EQ", {"N": "0"})}
    for operator, expected in ((None, False), ("AND", False), ("OR", True)):
        condition = legacy.scan_filter(entries, operator)
        assert condition is not None
        assert condition.matches(ITEM) is expected


def test_no_entries_are_no_condition() -> None:
    assert legacy.expected({}, None) is None
    assert legacy.query_filter({}, None) is None
    assert legacy.scan_filter({}, None) is None


def test_a_query_filter_may_not_read_the_key() -> None:
    condition = legacy.query_filter({"x": compare("NULL"), "a": compare("EQ", A)}, None)
    assert condition is not None
    with pytest.raises(DynamoDBError) as refusal:
        condition.refuse_keys(("a",))
    assert (
        refusal.value.message
        == "QueryFilter can only contain non-primary key attributes: Primary key attribute: a"
    )


def test_attributes_to_get() -> None:
    projection = legacy.attributes_to_get(["s", "gone", "#odd.name"])
    assert projection.project(ITEM) == {"s": {"S": "hello"}, "#odd.name": {"S": "odd"}}
    assert legacy.attributes_to_get(["a.b"]).project({"a": {"M": {"b": A}}}) == {}


KEYS = KeySchema((KeyAttribute("a", "S"),), (KeyAttribute("b", "S"),))


def key_message(**entries: Entry) -> str:
    with pytest.raises(DynamoDBError) as refusal:
        legacy.key_conditions(entries).resolve(KEYS)
    return refusal.value.message


def test_key_conditions() -> None:
    resolved = legacy.key_conditions({"b": compare("BETWEEN", A, {"S": "c"}), "a": compare("EQ", A)}).resolve(KEYS)
    assert resolved.partition == (A,)
    ((clause),) = resolved.sort
    assert (clause.attribute, clause.operator, clause.operands) == ("b", "BETWEEN", (A, {"S": "c"}))


@pytest.mark.parametrize("operator", ["NULL", "NOT_NULL", "NE", "CONTAINS", "NOT_CONTAINS", "IN"])
def test_operators_that_no_key_answers(operator: str) -> None:
    entry = compare(operator, *([] if "NULL" in operator else [A]))
    not_indexable = "Attempted conditional constraint is not an indexable operation"
    assert key_message(a=entry) == not_indexable
    assert key_message(a=compare("EQ", A), b=entry) == not_indexable
    assert key_message(z=entry) == "Query condition missed key schema element: a"


def test_key_conditions_that_do_not_fit() -> None:
    assert key_message() == "Conditions can be of length 1 or 2 only"
    assert key_message(b=compare("EQ", A)) == "Query condition missed key schema element: a"
    for operator in ("LT", "LE", "GT", "GE", "BEGINS_WITH"):
        assert key_message(a=compare(operator, A)) == "Query key condition not supported"
    assert key_message(a=compare("EQ", {"N": "1"})) == (
        "One or more parameter values were invalid: Condition parameter type does not match schema type"
    )


def test_attribute_updates() -> None:
    update = legacy.attribute_updates(
        {
            "name": Entry(Action="PUT", Value={"S": "new"}),
            "plain": Entry(Value={"S": "put"}),
            "count": Entry(Action="ADD", Value={"N": "9"}),
            "fresh": Entry(Action="ADD", Value={"N": "1"}),
            "tags": Entry(Action="ADD", Value={"SS": ["b", "c"]}),
            "list": Entry(Action="ADD", Value={"L": [A]}),
            "less": Entry(Action="DELETE", Value={"SS": ["a"]}),
            "emptied": Entry(Action="DELETE", Value={"NS": ["1"]}),
            "nowhere": Entry(Action="DELETE", Value={"NS": ["1"]}),
            "extra": Entry(Action="DELETE"),
        }
    )
    item = {
        "pk": A,
        "name": {"S": "old"},
        "count": {"N": "1"},
        "tags": {"SS": ["a", "b"]},
        "list": {"L": [A]},
        "less": {"SS": ["a", "b"]},
        "emptied": {"NS": ["1"]},
        "extra": {"S": "x"},
    }
    after = update.apply(item)
    assert after == {
        "pk": A,
        "name": {"S": "new"},
        "plain": {"S": "put"},
        "count": {"N": "10"},
        "fresh": {"N": "1"},
        "tags": {"SS": ["a", "b", "c"]},
        "list": {"L": [A, A]},
        "less": {"SS": ["b"]},
    }
    assert item["count"] == {"N": "1"}
    assert update.updated_old(item, after)["name"] == {"S": "old"}
    assert "pk" not in update.updated_new(item, after)


def test_attribute_updates_of_the_wrong_type() -> None:
    for action, value in (
        ("DELETE", {"NS": ["1"]}),
        ("ADD", {"NS": ["1"]}),
        ("ADD", {"N": "1"}),
    ):
        with pytest.raises(DynamoDBError) as refusal:
            legacy.attribute_updates({"b": Entry(Action=action, Value=value)}).apply({"b": {"SS": ["1"]}})
        assert refusal.value.message == "Type mismatch for attribute to update"


def test_which_attribute_updates_make_an_item() -> None:
    # scylladb/scylladb, test/alternator/test_item.py
    assert legacy.attribute_updates({}).creates
    assert legacy.attribute_updates({"a": Entry(Value=A)}).creates
    assert not legacy.attribute_updates({"a": Entry(Action="DELETE")}).creates
    assert not legacy.attribute_updates({"a": Entry(Action="DELETE", Value={"SS": ["a"]})}).creates


def test_key_attributes_are_not_updated() -> None:
    with pytest.raises(DynamoDBError) as refusal:
        legacy.attribute_updates({"pk": Entry(Value=A)}).refuse_keys(("pk",))
    assert refusal.value.message == (
        "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"
    )
