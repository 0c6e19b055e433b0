"""Which items a condition holds for.

Behavior for missing attributes and mixed types: test/alternator/test_condition_expression.py in
scylladb/scylladb, which its authors run against the service; size() of strings:
paritysuite/dynamodb-conformance.
"""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.expressions import Condition, ExpressionAttributes
from blotter.database.model.errors import DynamoDBError

ITEM = {
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "b": {"B": "aGkgdGhlcmU="},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "ss": {"SS": ["dog", "cat"]},
    "ns": {"NS": ["2", "4.5"]},
    "bs": {"BS": ["AQ==", "Ag=="]},
    "l": {"L": [{"N": "2"}, {"SS": ["x", "y"]}, {"L": [{"N": "3"}]}]},
    "m": {"M": {"x": {"N": "1"}, "seq": {"L": [{"N": "-1"}, {"N": "2"}]}}},
    "and": {"S": "conjunction"},
    "emoji": {"S": "a😀é"},
}


def condition(text: str, **values: Any) -> Condition:
    attributes = ExpressionAttributes(
        {"#and": "and"} if "#and" in text else None, {f":{name}": value for name, value in values.items()} or None
    )
    condition = attributes.condition("ConditionExpression", text)
    attributes.finish()
    return condition


def holds(text: str, **values: Any) -> bool:
    return condition(text, **values).matches(ITEM)


EVERY_TYPE = [name for name in ITEM if name not in ("and", "emoji")]


@pytest.mark.parametrize("name", EVERY_TYPE)
@pytest.mark.parametrize("other", EVERY_TYPE)
def test_equality_is_of_type_and_value(name: str, other: str) -> None:
    same = name == other
    assert holds(f"{name} = :v", v=ITEM[other]) is same
    assert holds(f":v = {name}", v=ITEM[other]) is same
    assert holds(f"{name} <> :v", v=ITEM[other]) is not same
    assert holds(f"{name} IN (:v)", v=ITEM[other]) is same


def test_sets_are_equal_whatever_their_order_and_nested_ones_too() -> None:
    assert holds("ss = :v", v={"SS": ["cat", "dog"]})
    assert not holds("ss <> :v", v={"SS": ["cat", "dog"]})
    assert holds("l[1] = :v", v={"SS": ["y", "x"]})
    assert holds("l = :v", v={"L": [{"N": "2"}, {"SS": ["y", "x"]}, {"L": [{"N": "3"}]}]})
    assert not holds("ss = :v", v={"SS": ["cat"]})


@pytest.mark.parametrize(
    ("name", "smaller", "greater"),
    [
        ("s", {"S": "hell"}, {"S": "help"}),
        ("n", {"N": "-10"}, {"N": "10"}),
        ("b", {"B": "AAAA"}, {"B": "/w=="}),
        ("m.x", {"N": "0.9"}, {"N": "1.1"}),
    ],
)
def test_order(name: str, smaller: Any, greater: Any) -> None:
    assert holds(f"{name} > :v", v=smaller)
    assert holds(f"{name} >= :v", v=smaller)
    assert not holds(f"{name} < :v", v=smaller)
    assert holds(f":v < {name}", v=smaller)
    assert holds(f"{name} < :v", v=greater)
    assert holds(f"{name} <= :v", v=greater)
    assert not holds(f":v < {name}", v=greater)
    assert holds(f"{name} BETWEEN :a AND :b", a=smaller, b=greater)
    assert holds(f":v BETWEEN {name} AND :b", v=greater, b=greater)
    assert not holds(f"{name} BETWEEN :a AND :b", a=greater, b=greater)


def test_strings_order_by_their_utf8_bytes() -> None:
    # In UTF-16 the emoji's surrogates would sort before the letter.
    text = "s < :v"
    assert condition(text, v={"S": "😀"}).matches({"s": {"S": "ﬀ"}})


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "="])
def test_what_is_missing_or_of_another_type_is_never_less_equal_or_greater(operator: str) -> None:
    assert not holds(f"gone {operator} :v", v={"S": "17"})
    assert not holds(f":v {operator} gone", v={"S": "17"})
    assert not holds(f"gone {operator} absent")
    assert not holds(f"n {operator} :v", v={"S": "17"})
    assert not holds(f"l {operator} :v", v={"N": "1"})
    assert not holds(f"n {operator} s")


def test_what_is_missing_is_not_equal_to_anything() -> None:
    assert holds("gone <> :v", v={"N": "1"})
    assert holds("gone <> absent")
    assert holds("NOT gone < :v", v={"N": "1"})
    assert not holds("gone BETWEEN :a AND :a", a={"N": "1"})
    assert not holds("gone IN (:a, absent)", a={"N": "1"})


def test_bounds_from_the_item_are_not_checked() -> None:
    assert not holds("n BETWEEN m.x AND :v", v={"N": "0"})
    assert not holds("n BETWEEN s AND :v", v={"N": "0"})
    assert holds("n BETWEEN m.x AND :v", v={"N": "5"})


def test_attribute_functions() -> None:
    assert holds("attribute_exists(m.seq[1])")
    assert not holds("attribute_exists(m.seq[2])")
    assert not holds("attribute_exists(m[1])")
    assert not holds("attribute_exists(l.x)")
    assert not holds("attribute_exists(s.x)")
    assert holds("attribute_not_exists(m.y)")
    assert holds("attribute_exists(#and)")
    for name in EVERY_TYPE:
        (type_,) = ITEM[name]
        assert holds(f"attribute_type({name}, :t)", t={"S": type_})
        assert not holds(f"attribute_type({name}, :t)", t={"S": "B" if type_ == "S" else "S"})
    assert not holds("attribute_type(gone, :t)", t={"S": "NULL"})


def test_begins_with() -> None:
    assert holds("begins_with(s, :v)", v={"S": "hell"})
    assert holds("begins_with(s, :v)", v={"S": ""})
    assert not holds("begins_with(s, :v)", v={"S": "hello!"})
    assert holds("begins_with(b, :v)", v={"B": "aGk="})
    assert not holds("begins_with(b, :v)", v={"S": "aGk="})
    assert holds("begins_with(:v, s)", v={"S": "hello, world"})
    assert not holds("begins_with(n, s)")
    assert not holds("begins_with(gone, :v)", v={"S": "a"})


def test_contains() -> None:
    assert holds("contains(s, :v)", v={"S": "ell"})
    assert not holds("contains(s, :v)", v={"N": "1"})
    assert holds("contains(b, :v)", v={"B": "aGVyZQ=="})
    assert not holds("contains(b, :v)", v={"B": "ZG9n"})
    assert holds("contains(ss, :v)", v={"S": "cat"})
    assert not holds("contains(ss, :v)", v={"S": "ca"})
    assert holds("contains(ns, :v)", v={"N": "4.5"})
    assert not holds("contains(ns, :v)", v={"S": "2"})
    assert holds("contains(bs, :v)", v={"B": "Ag=="})
    assert holds("contains(l, :v)", v={"N": "2"})
    assert holds("contains(l, :v)", v={"SS": ["y", "x"]})
    assert holds("contains(l, :v)", v={"L": [{"N": "3"}]})
    assert not holds("contains(m, :v)", v={"S": "x"})
    assert not holds("contains(n, :v)", v={"N": "5"})
    assert not holds("contains(gone, :v)", v={"S": "x"})


@pytest.mark.parametrize(
    ("name", "size"),
    [("s", 5), ("b", 8), ("ss", 2), ("ns", 2), ("bs", 2), ("l", 3), ("m", 2), ("m.seq", 2), ("emoji", 4)],
)
def test_size(name: str, size: int) -> None:
    assert holds(f"size({name}) = :v", v={"N": str(size)})
    assert holds(f":v >= size({name})", v={"N": str(size)})
    assert holds(f"size({name}) < :v", v={"N": str(size + 1)})
    assert holds(f"size({name}) BETWEEN :v AND :v", v={"N": str(size)})
    assert holds(f"size({name}) IN (:v)", v={"N": str(size)})
    assert not holds(f"size({name}) = :v", v={"S": str(size)})


@pytest.mark.parametrize("name", ["n", "yes", "nothing", "gone"])
def test_what_has_no_size_matches_none(name: str) -> None:
    assert not holds(f"size({name}) = :v", v={"N": "1"})
    assert not holds(f"size({name}) < :v", v={"N": "100"})


def test_logic_and_precedence() -> None:
    true, false = "attribute_exists(s)", "attribute_exists(gone)"
    assert holds(f"{true} OR {false} AND {false}")
    assert not holds(f"({true} OR {false}) AND {false}")
    assert not holds(f"NOT {true} AND {false}")
    assert holds(f"NOT ({true} AND {false})")
    assert holds(f"NOT NOT {true}")
    assert holds(f"{true} AND {true} AND NOT {false}")
    assert not holds(f"{true} AND {true} AND {false}")
    assert holds(f"{false} OR {false} OR {true}")
    assert holds("n BETWEEN m.x AND n2 OR n = :v AND s <> gone", v={"N": "5"})


def test_an_item_that_does_not_exist_has_no_attributes() -> None:
    assert condition("attribute_not_exists(pk)").matches(None)
    assert not condition("attribute_exists(pk)").matches(None)
    assert condition("pk <> :v", v={"S": "a"}).matches(None)


def test_what_a_condition_reads() -> None:
    reads = condition("a.b = :v AND NOT (size(c[0]) IN (d, e.f) OR begins_with(#and, :v))", v={"S": "x"})
    assert reads.paths == (("a", "b"), ("c", 0), ("d",), ("e", "f"), ("and",))
    assert reads.top_level_names == {"a", "c", "d", "e", "and"}
    assert reads.nested_names == ("a", "c", "e")


def test_a_filter_may_not_read_the_key() -> None:
    # architect/dynalite, test/query.js
    filter_ = condition("attribute_exists(b) AND a[1] = :v", v={"N": "1"})
    filter_.refuse_keys(("pk", "sk"))
    with pytest.raises(DynamoDBError) as refusal:
        filter_.refuse_keys(("a",))
    assert refusal.value.message == (
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: a"
    )
