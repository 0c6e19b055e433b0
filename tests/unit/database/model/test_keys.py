"""Storage keys: order, uniqueness, ranges and where a read resumes.

The ranges are checked against a plain list of values that is filtered by comparing the values themselves.
"""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.model.keys import (
    any_index_key,
    exclusive_start,
    hash64,
    index_key,
    partition_prefix,
    prefix_end,
    resume_after,
    segment_range,
    sort_prefix,
    sort_range,
    table_key,
)
from blotter.database.model.numbers import canonical_number
from blotter.database.model.table import Index, KeyAttribute, KeySchema, KeyType
from blotter.database.model.values import AttributeValue, Item, compare_values

# Bytes and characters that would expose a missing escape.
text_values = st.text(alphabet="\x00\x01ab\x7fé\uffff😀", max_size=4).map(lambda text: {"S": text})
binary_values = st.lists(st.sampled_from([0, 1, 2, 97, 254, 255]), max_size=4).map(
    lambda octets: {"B": b64encode(bytes(octets)).decode()}
)
number_values = st.one_of(st.integers(-200, 200).map(str), st.decimals(-2, 2, places=2).map(str)).map(
    lambda text: {"N": canonical_number(text)}
)
VALUES: dict[KeyType, st.SearchStrategy[AttributeValue]] = {
    "S": text_values,
    "N": number_values,
    "B": binary_values,
}


def schema(partition: str, sort: str = "") -> KeySchema:
    """ "SN" is two attributes, p0 S and p1 N; sort attributes are s0, s1, …"""
    return KeySchema(_attributes("p", partition), _attributes("s", sort))


def _attributes(letter: str, types: str) -> tuple[KeyAttribute, ...]:
    return tuple(KeyAttribute(f"{letter}{i}", type_) for i, type_ in enumerate(types))  # type: ignore[arg-type]


def index_of(keys: KeySchema) -> Index:
    return Index(name="idx", space=2, local=False, keys=keys, projection="ALL")


def inside(key: bytes, key_range: tuple[bytes, bytes | None]) -> bool:
    start, end = key_range
    return key >= start and (end is None or key < end)


CONDITIONS: dict[str, Callable[[AttributeValue, list[AttributeValue]], bool]] = {
    "=": lambda value, operands: compare(value, operands[0]) == 0,
    "<": lambda value, operands: compare(value, operands[0]) < 0,
    "<=": lambda value, operands: compare(value, operands[0]) <= 0,
    ">": lambda value, operands: compare(value, operands[0]) > 0,
    ">=": lambda value, operands: compare(value, operands[0]) >= 0,
    "BETWEEN": lambda value, operands: compare(operands[0], value) <= 0 <= compare(operands[1], value),
}


def compare(a: AttributeValue, b: AttributeValue) -> int:
    order = compare_values(a, b)
    assert order is not None
    return order


@pytest.mark.parametrize("type_", ["S", "N", "B"])
@given(data=st.data())
def test_table_order_and_ranges_follow_the_values(type_: KeyType, data: st.DataObject) -> None:
    keys = schema("S", type_)
    values = data.draw(st.lists(VALUES[type_], min_size=1, max_size=8))
    operands = data.draw(st.lists(VALUES[type_], min_size=2, max_size=2))
    prefix = partition_prefix(keys, [{"S": "p"}])
    stored = {table_key(keys, {"p0": {"S": "p"}, "s0": value}): value for value in values}
    ordered = [stored[key] for key in sorted(stored)]
    assert all(compare(a, b) < 0 for a, b in itertools.pairwise(ordered))
    for operator, holds in CONDITIONS.items():
        key_range = sort_range(prefix, operator, operands, in_index=False)
        for key, value in stored.items():
            assert inside(key, key_range) == holds(value, operands), operator


@pytest.mark.parametrize("type_", ["S", "N", "B"])
@given(data=st.data())
def test_index_ranges_follow_the_values_behind_a_leading_equality(type_: KeyType, data: st.DataObject) -> None:
    keys = schema("S", "S" + type_ + "S")
    table = schema("N")
    leading = data.draw(text_values)
    others = data.draw(st.lists(text_values, max_size=2))
    values = data.draw(st.lists(VALUES[type_], min_size=1, max_size=6))
    operands = data.draw(st.lists(VALUES[type_], min_size=2, max_size=2))
    prefix = sort_prefix(partition_prefix(keys, [{"S": "p"}]), [leading])
    stored: dict[bytes, tuple[AttributeValue, AttributeValue]] = {}
    for first in [leading, *others]:
        for number, value in enumerate(values):
            item: Item = {"p0": {"S": "p"}, "s0": first, "s1": value, "s2": {"S": "\x00"}}
            base_key = table_key(table, {"p0": {"N": str(number)}})
            key = any_index_key(index_of(keys), item, base_key)
            assert key is not None
            stored[key] = (first, value)
    for operator, holds in CONDITIONS.items():
        key_range = sort_range(prefix, operator, operands, in_index=True)
        for key, (first, value) in stored.items():
            wanted = first == leading and holds(value, operands)
            assert inside(key, key_range) == wanted, operator
    everything = sort_range(partition_prefix(keys, [{"S": "p"}]), None, [leading], in_index=True)
    assert all(inside(key, everything) == (first == leading) for key, (first, _) in stored.items())


@pytest.mark.parametrize("index", [False, True])
@given(values=st.lists(text_values, min_size=1, max_size=8), start=text_values)
def test_begins_with(index: bool, values: list[AttributeValue], start: AttributeValue) -> None:
    keys = schema("S", "S")
    key_range = sort_range(partition_prefix(keys, [{"S": "p"}]), "begins_with", [start], in_index=index)
    for value in values:
        item: Item = {"p0": {"S": "p"}, "s0": value}
        key = any_index_key(index_of(keys), item, b"base") if index else table_key(keys, item)
        assert key is not None
        assert inside(key, key_range) == value["S"].startswith(start["S"])


@given(st.lists(st.tuples(text_values, text_values), min_size=2, max_size=2, unique_by=repr))
def test_partitions_of_several_attributes_do_not_mix(pairs: list[tuple[AttributeValue, AttributeValue]]) -> None:
    keys = schema("SS")
    one, other = (partition_prefix(keys, pair) for pair in pairs)
    assert not one.startswith(other)
    assert not other.startswith(one)


@given(text_values, text_values)
def test_a_partition_holds_its_keys_and_no_others(a: AttributeValue, b: AttributeValue) -> None:
    keys = schema("S", "S")
    prefix = partition_prefix(keys, [a])
    for partition in (a, b):
        key = table_key(keys, {"p0": partition, "s0": {"S": "x"}})
        assert key.startswith(prefix) == (partition == a)


@pytest.mark.parametrize(
    "item",
    [
        {"s0": {"N": "1"}},
        {"p0": {"S": "a"}},
        {"p0": {"N": "1"}, "s0": {"N": "1"}},
        {"p0": {"S": "a"}, "s0": {"S": "1"}},
    ],
)
def test_an_item_without_an_index_key_is_not_in_the_index(item: Item) -> None:
    assert index_key(index_of(schema("S", "N")), item, b"base") is None


@pytest.mark.parametrize(
    ("parts", "values", "fits"),
    [
        (("S",), [{"S": "x" * 2048}], True),
        (("S",), [{"S": "x" * 2049}], False),
        (("S",), [{"S": "é" * 1024}], True),
        (("S",), [{"S": "é" * 1025}], False),
        (("S",), [{"S": ""}], False),
        (("B",), [{"B": ""}], False),
        (("B",), [{"B": "A" * 2732}], False),  # 2,049 bytes
        (("B",), [{"B": "A" * 2728}], True),  # 2,046 bytes
        (("S", "S"), [{"S": "p"}, {"S": "x" * 1024}], True),
        (("S", "S"), [{"S": "p"}, {"S": "x" * 1025}], False),
        (("S", "S"), [{"S": "p"}, {"S": "\x00" * 1024}], True),
        (("N", "N"), [{"N": "1"}, {"N": "-" + "9" * 38 + "0" * 88}], True),
        (("SS",), [{"S": "x" * 1024}, {"S": "x" * 1024}], True),
        (("SS",), [{"S": "x" * 1024}, {"S": "x" * 1025}], False),
        (("S", "SSS"), [{"S": "p"}, {"S": "x" * 400}, {"S": "x" * 400}, {"S": "x" * 224}], True),
        (("S", "SSS"), [{"S": "p"}, {"S": "x" * 400}, {"S": "x" * 400}, {"S": "x" * 225}], False),
    ],
)
def test_what_may_be_a_key_of_an_index(parts: tuple[str, ...], values: list[AttributeValue], fits: bool) -> None:
    keys = schema(*parts)
    item = {attribute.name: value for attribute, value in zip(keys.attributes, values, strict=True)}
    index = index_of(keys)
    assert (index_key(index, item, b"base") is not None) is fits
    if fits:
        assert index_key(index, item, b"base") == any_index_key(index, item, b"base")


def test_an_entry_that_cannot_have_been_made_has_no_key() -> None:
    index = index_of(schema("S"))
    assert any_index_key(index, {"p0": {"S": "x" * 70_000}}, b"base") is None
    assert any_index_key(index, {"p0": {"S": "é" * 40_000}}, b"base") is None
    assert any_index_key(index, {"p0": {"S": "x" * 3_000}}, b"base") is not None


def test_index_keys_are_unique_by_the_table_key() -> None:
    index = index_of(schema("S"))
    item: Item = {"p0": {"S": "same"}}
    assert index_key(index, item, b"a" * 12) != index_key(index, item, b"b" * 12)


def test_the_layout_on_disk_stays() -> None:
    """Another layout needs another KEY_FORMAT: these bytes are in people's files."""
    keys = schema("S", "N")
    key = table_key(keys, {"p0": {"S": "customer"}, "s0": {"N": "-12.5"}})
    assert key.hex() == "d315f3ab1c1ba36a0008637573746f6d65723e593366"
    found = index_key(
        index_of(schema("N", "SB")), {"p0": {"N": "7"}, "s0": {"S": "a\x00b"}, "s1": {"B": "/w=="}}, b"!"
    )
    assert found is not None
    assert found.hex() == "ee43666483f3bc4b0003c108006100ff620001ff000121"


@given(st.binary(max_size=6), st.binary(max_size=8))
def test_prefix_end(prefix: bytes, key: bytes) -> None:
    end = prefix_end(prefix)
    assert (key >= prefix and (end is None or key < end)) == key.startswith(prefix)


@given(st.integers(1, 1000), st.lists(st.binary(min_size=0, max_size=20), max_size=5))
def test_segments_divide_all_keys(total: int, partitions: list[bytes]) -> None:
    segments = [segment_range(segment, total) for segment in range(total)]
    for partition in partitions:
        key = hash64(partition) + b"rest"
        assert sum(inside(key, segment) for segment in segments) == 1
    assert segments[0][0] == bytes(8)
    assert segments[-1][1] is None
    assert all(a[1] == b[0] for a, b in itertools.pairwise(segments))


def test_the_hash_spreads_sequential_keys() -> None:
    counts = [0] * 16
    for number in range(4096):
        counts[hash64(b"customer#%d" % number)[0] >> 4] += 1
    # 256 each on average; the seventh standard deviation is far outside of these bounds.
    assert min(counts) > 150
    assert max(counts) < 370


def test_exclusive_start_is_the_key_itself() -> None:
    keys, index = schema("S", "N"), Index("idx", 2, False, KeySchema(_attributes("s", "N"), ()), "ALL")
    item: Item = {"p0": {"S": "a"}, "s0": {"N": "1"}}
    base = table_key(keys, item)
    assert exclusive_start(keys, None, item) == base
    assert exclusive_start(keys, index, item) == index_key(index, item, base)
    with pytest.raises(ValueError, match="unchecked"):
        exclusive_start(keys, index_of(schema("SS")), item)


@given(
    st.lists(st.binary(min_size=1, max_size=3), max_size=8, unique=True),
    st.binary(max_size=3),
    st.none() | st.binary(max_size=3),
    st.binary(max_size=3),
    st.booleans(),
)
def test_resuming_leaves_exactly_what_lies_behind(
    keys: list[bytes], start: bytes, end: bytes | None, after: bytes, reverse: bool
) -> None:
    if end is not None and end < start:
        start, end = end, start
    left = resume_after(start, end, after, reverse=reverse)
    for key in keys:
        behind = key < after if reverse else key > after
        assert inside(key, left) == (inside(key, (start, end)) and behind)


def test_unknown_operators_are_refused() -> None:
    operand: Any = {"S": "a"}
    with pytest.raises(ValueError, match="contains"):
        sort_range(b"p", "contains", [operand], in_index=False)
