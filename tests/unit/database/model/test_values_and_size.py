"""Equality, order and size of attribute values.

Sizes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import os
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.model.numbers import canonical_number
from blotter.database.model.size import binary_size, item_size, value_size
from blotter.database.model.values import (
    AttributeValue,
    binary,
    compare_values,
    in_set_order,
    item_bytes,
    set_difference,
    set_union,
    type_of,
    values_equal,
)


def b(content: bytes) -> str:
    return b64encode(content).decode()


@pytest.mark.parametrize(
    ("a", "other"),
    [
        ({"S": "a"}, {"S": "a"}),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}),
        ({"NS": ["1", "2"]}, {"NS": ["2", "1"]}),
        ({"L": [{"SS": ["a", "b"]}]}, {"L": [{"SS": ["b", "a"]}]}),
        (
            {"M": {"x": {"BS": ["AA==", "AQ=="]}, "y": {"N": "1"}}},
            {"M": {"y": {"N": "1"}, "x": {"BS": ["AQ==", "AA=="]}}},
        ),
        ({"NULL": True}, {"NULL": True}),
    ],
)
def test_equal(a: AttributeValue, other: AttributeValue) -> None:
    assert values_equal(a, other)
    assert values_equal(other, a)


@pytest.mark.parametrize(
    ("a", "other"),
    [
        ({"S": "1"}, {"N": "1"}),
        ({"S": "a"}, {"S": "b"}),
        ({"SS": ["a"]}, {"SS": ["a", "b"]}),
        ({"SS": ["a"]}, {"L": [{"S": "a"}]}),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
        ({"L": [{"S": "a"}]}, {"L": []}),
        ({"M": {"a": {"S": "a"}}}, {"M": {"b": {"S": "a"}}}),
        ({"M": {"a": {"S": "a"}}}, {"M": {"a": {"S": "b"}}}),
        ({"BOOL": True}, {"BOOL": False}),
    ],
)
def test_not_equal(a: AttributeValue, other: AttributeValue) -> None:
    assert not values_equal(a, other)
    assert not values_equal(other, a)


@given(st.text(), st.text())
def test_strings_order_by_utf8(a: str, other: str) -> None:
    try:
        x, y = a.encode(), other.encode()
    except UnicodeEncodeError:
        return
    assert compare_values({"S": a}, {"S": other}) == (x > y) - (x < y)


@given(st.binary(), st.binary())
def test_binaries_order_by_their_bytes(a: bytes, other: bytes) -> None:
    assert compare_values({"B": b(a)}, {"B": b(other)}) == (a > other) - (a < other)


def test_only_scalars_of_one_type_have_an_order() -> None:
    assert compare_values({"N": "10"}, {"N": "9"}) == 1
    assert compare_values({"S": "10"}, {"N": "9"}) is None
    assert compare_values({"BOOL": True}, {"BOOL": False}) is None
    assert compare_values({"SS": ["a"]}, {"SS": ["b"]}) is None


def test_sets() -> None:
    assert set_union("SS", ["b", "a"], ["c", "a"]) == ["a", "b", "c"]
    assert set_difference("SS", ["c", "a", "b"], ["a", "x"]) == ["b", "c"]
    assert set_difference("SS", ["a"], ["a"]) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), unique=True))
def test_texts_and_binaries_are_sorted_by_their_bytes(texts: list[str]) -> None:
    assert in_set_order("SS", list(texts)) == sorted(texts, key=str.encode)
    binaries = [b(text.encode()) for text in texts]
    assert list(map(binary, in_set_order("BS", binaries))) == sorted(map(str.encode, texts))


@given(st.lists(st.integers(-300, 300) | st.decimals(-30, 30, places=2), max_size=8))
def test_numbers_of_a_set_are_sorted_by_value(numbers: list[Decimal | int]) -> None:
    texts = sorted({canonical_number(str(number)) for number in numbers})
    assert [Decimal(text) for text in in_set_order("NS", texts)] == sorted(map(Decimal, texts))


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "é€😀"}, 9),
        ({"N": "12.5"}, 3),
        ({"B": ""}, 0),
        ({"B": b(b"a")}, 1),
        ({"B": b(b"ab")}, 2),
        ({"B": b(b"abc")}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "100"]}, 4),
        ({"BS": [b(b"a"), b(b"bcd")]}, 4),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": True}]}, 3 + 2 + 3),
        ({"M": {"ké": {"S": "ab"}}}, 3 + 1 + 3 + 2),
    ],
)
def test_value_sizes(value: AttributeValue, size: int) -> None:
    assert value_size(value) == size


def test_item_size_counts_names_in_utf8() -> None:
    assert item_size({"pk": {"S": "abc"}, "é": {"N": "1"}}) == 2 + 3 + 2 + 2


@given(st.binary(max_size=50))
def test_binary_size_is_that_of_the_bytes(content: bytes) -> None:
    assert binary_size(b(content)) == len(content)


def test_type_of() -> None:
    value: Any = {"SS": ["a"]}
    assert type_of(value) == "SS"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_items_that_are_kept_take_no_more_than_their_bytes() -> None:
    """Kept as orjson returns them, 20,000 of these took 82 MB."""
    before = _memory()
    kept = [item_bytes({"a": {"S": "x" * 120}}) for _ in range(20_000)]
    assert _memory() - before < 5 * sum(map(len, kept))


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
