"""Validation of attribute values: what it makes of them, what it measures, and AWS's messages for what it refuses.

Messages: conformance suite nubo-db/dynamodb-conformance, tests/tier3/error-messages/putItem, tests/tier3/limits;
order of several faults: paritysuite/dynamodb-conformance, tests/tier3/validation-ordering/deepRequests.
"""

from __future__ import annotations

from base64 import b64encode
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.size import item_size, value_size
from blotter.database.model.values import AttributeValue, Item, binary
from blotter.database.validation.attribute_values import check_item_size, validate_item, validate_value

INVALID = "One or more parameter values were invalid: "
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
LAST_CHARACTER = "Invalid last non-pad Base64 character dectected"


def refusal(item: Item) -> tuple[str, str]:
    with pytest.raises(DynamoDBError) as refused:
        validate_item(item)
    return refused.value.code, refused.value.message


def deep(levels: int, leaf: AttributeValue | None = None, kind: str = "M") -> AttributeValue:
    value = leaf or {"S": "leaf"}
    for _ in range(levels):
        value = {"M": {"n": value}} if kind == "M" else {"L": [value]}
    return value


scalars: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=5).map(lambda text: {"S": text}),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9).map(
        lambda number: {"N": str(number)}
    ),
    st.binary(max_size=5).map(lambda octets: {"B": b64encode(octets).decode()}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.sets(st.text(max_size=3), min_size=1, max_size=3).map(lambda members: {"SS": list(members)}),
    st.sets(st.integers(-999, 999), min_size=1, max_size=3).map(
        lambda members: {"NS": [f"{m}.0" for m in members]}
    ),
    st.sets(st.binary(max_size=3), min_size=1, max_size=3).map(
        lambda members: {"BS": [b64encode(member).decode() for member in members]}
    ),
)
names = st.text(min_size=1, max_size=4)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: {"L": members})
        | st.dictionaries(names, inner, max_size=3).map(lambda members: {"M": members})
    ),
    max_leaves=6,
)
items = st.dictionaries(names, values, max_size=4)


def encodable(value: Any) -> bool:
    """Python's text may hold halves of surrogate pairs, which no JSON decoder lets through."""
    try:
        str(value).encode()
        repr(value).encode()
    except UnicodeEncodeError:
        return False
    return "\\ud" not in repr(value)


@given(items.filter(encodable))
def test_validation_measures_what_the_size_rules_say_and_is_idempotent(item: Item) -> None:
    before = deepcopy(item)
    validated, size = validate_item(item)
    assert validated is item
    assert size == item_size(item)
    once = deepcopy(item)
    assert validate_item(item) == (once, size)
    assert_same(before, item)


def assert_same(before: Any, after: Any) -> None:
    """The same document, but for the text of numbers and the order of sets."""
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            if key == "N" and isinstance(before[key], str):
                assert Decimal(before[key]) == Decimal(after[key])
            elif key == "NS" and isinstance(before[key], list):
                assert sorted(map(Decimal, before[key])) == [Decimal(text) for text in after[key]]
            elif key == "SS" and isinstance(before[key], list):
                assert sorted(before[key]) == after[key]
            elif key == "BS" and isinstance(before[key], list):
                assert sorted(before[key], key=binary) == after[key]
            else:
                assert_same(before[key], after[key])
    elif isinstance(before, list):
        assert len(before) == len(after)
        for a, b in zip(before, after, strict=True):
            assert_same(a, b)
    else:
        assert before == after


@given(values.filter(encodable))
def test_a_value_alone(value: AttributeValue) -> None:
    size = validate_value(value)
    assert size == value_size(value)


def test_numbers_become_canonical_wherever_they_stand() -> None:
    nested: AttributeValue = {"L": [{"M": {"c": {"N": "00042"}}}]}
    item: Item = {"a": {"N": "1.0"}, "b": nested, "d": {"NS": ["1E2", "-0", "9.50"]}}
    validate_item(item)
    assert item == {"a": {"N": "1"}, "b": {"L": [{"M": {"c": {"N": "42"}}}]}, "d": {"NS": ["0", "9.5", "100"]}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, EMPTY),
        ({"X": 1}, EMPTY),
        ({"S": "a", "N": "1"}, SEVERAL),
        ({"S": "a", "N": "x"}, "The parameter cannot be converted to a numeric value: x"),
        ({"N": ""}, "The parameter cannot be converted to a numeric value"),
        ({"N": "1E126"}, OVERFLOW),
        ({"NULL": False}, INVALID + "Null attribute value types must have the value of true"),
        ({"SS": []}, INVALID + "An string set  may not be empty"),
        ({"NS": []}, INVALID + "An number set  may not be empty"),
        ({"BS": []}, INVALID + "Binary sets should not be empty"),
        ({"SS": ["b", "a", "b"]}, INVALID + "Input collection [b, a, b] contains duplicates."),
        ({"SS": ["", ""]}, INVALID + "Input collection [, ] contains duplicates."),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        ({"NS": ["1", "x", "1"]}, "The parameter cannot be converted to a numeric value: x"),
        ({"BS": ["AA==", "AA=="]}, INVALID + "Input collection [AA==, AA==]of type BS contains duplicates."),
        ({"L": [{"S": "a"}, {"SS": []}]}, INVALID + "An string set  may not be empty"),
        ({"M": {"x": {"M": {"y": {"N": "1E126"}}}}}, OVERFLOW),
        ({"M": {"": {"S": "a"}}}, "Empty attribute name"),
    ],
)
def test_refused_values(value: Any, message: str) -> None:
    assert refusal({"pk": {"S": "a"}, "bad": deepcopy(value)}) == ("ValidationException", message)
    with pytest.raises(DynamoDBError) as refused:
        validate_value(value)
    assert (refused.value.code, refused.value.message) == ("ValidationException", message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"B": "abc"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        ({"B": "a=b="}, LAST_CHARACTER),
        ({"B": "AB=="}, LAST_CHARACTER),
        ({"B": "é=="}, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        ({"B": "ééé="}, LAST_CHARACTER),
        ({"B": "AA=\n"}, LAST_CHARACTER),
        ({"BS": ["AA==", "!!!!"]}, LAST_CHARACTER),
        (
            {"L": [{"M": {"x": {"B": "x"}}}]},
            "Base64 encoded length is expected a multiple of 4 bytes but found: 1",
        ),
    ],
)
def test_text_that_is_no_base64(value: Any, message: str) -> None:
    assert refusal({"bad": value}) == ("SerializationException", message)


@pytest.mark.parametrize("kind", ["M", "L"])
def test_nesting(kind: str) -> None:
    validate_item({"a": deep(31, kind=kind)})
    validate_item({"a": deep(31, {kind: {} if kind == "M" else []}, kind=kind)})
    assert refusal({"a": deep(32, kind=kind)}) == ("ValidationException", NESTING)
    assert refusal({"a": deep(150, kind=kind)}) == ("ValidationException", NESTING)


def test_attribute_names() -> None:
    validate_item({"n" * 65535: {"S": "a"}})
    validate_item({"é" * 32767: {"S": "a"}})
    too_large = INVALID + "Attribute name is too large, must be less than 65536 bytes"
    assert refusal({"n" * 65536: {"S": "a"}}) == ("ValidationException", too_large)
    assert refusal({"é" * 32768: {"S": "a"}}) == ("ValidationException", too_large)
    assert refusal({"": {"S": "a"}}) == ("ValidationException", "Empty attribute name")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"d": deep(100), "": {"S": "x"}}, "Empty attribute name"),
        ({"m": {"M": {"": {"S": "x"}}}, "d": deep(40)}, NESTING),
        ({"a": {"N": "x"}, "d": deep(40)}, NESTING),
        ({"a": {"N": "x"}, "b": {"SS": []}}, "The parameter cannot be converted to a numeric value: x"),
    ],
)
def test_which_of_two_faults_is_named(item: Item, message: str) -> None:
    assert refusal(item) == ("ValidationException", message)


def test_undecodable_binaries_come_before_everything_else() -> None:
    assert refusal({"": {"S": "x"}, "a": {"N": "x"}, "b": {"B": "x"}})[0] == "SerializationException"


def test_empty_strings_and_binaries_are_values() -> None:
    assert validate_item({"a": {"S": ""}, "b": {"B": ""}, "c": {"SS": [""]}})[1] == 3


def test_item_size_limit() -> None:
    check_item_size(409_600)
    with pytest.raises(
        DynamoDBError, match=r"^ValidationException: Item size has exceeded the maximum allowed size$"
    ):
        check_item_size(409_601)
    with pytest.raises(DynamoDBError, match="Item size to update has exceeded the maximum allowed size"):
        check_item_size(409_601, update=True)
