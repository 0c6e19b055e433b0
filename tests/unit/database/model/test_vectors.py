"""Vectors as an index holds them: each number as the nearest 32-bit float, and what entries are made of."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blotter.database.model.keys import table_key
from blotter.database.model.numbers import canonical_number
from blotter.database.model.size import value_size
from blotter.database.model.table import Index, KeyAttribute, KeySchema, SearchElement, Table, VectorSettings
from blotter.database.model.values import Item, canonical_bytes
from blotter.database.model.vectors import (
    NotAVector,
    base_key_of,
    entry_key,
    filter_values,
    floats_of,
    java_number,
    metered_size,
    saved_bytes,
    vector_bytes,
    vector_entry,
    vector_sizes,
)

GREATEST = float(np.finfo(np.float32).max)


def nearest(text: str) -> float:
    """The 32-bit float nearest to a number, ties to even, found among the neighbors of a first guess."""
    exact = Fraction(text)
    with np.errstate(over="ignore"):
        guess = np.float32(float(text))
    if np.isinf(guess):
        guess = np.float32(np.copysign(GREATEST, guess))
    with np.errstate(over="ignore"):
        around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    found = [number for number in around if np.isfinite(number)]
    return float(min(found, key=lambda f: (abs(Fraction(float(f)) - exact), int(f.view(np.uint32)) & 1)))


def halfway(bits: int, more: str) -> str:
    """The number in the middle between a positive float and the next, with digits after it."""
    low = np.uint32(bits).view(np.float32)
    high = np.nextafter(low, np.float32(np.inf))
    middle = (Fraction(float(low)) + Fraction(float(high))) / 2
    digits = f"{middle.numerator * 10**180 // middle.denominator:0181d}"
    return canonical_or_cut(f"{digits[:-180]}.{digits[-180:]}", more)


def canonical_or_cut(text: str, more: str) -> str:
    """A number's first digits, up to 30, and others after them."""
    whole, _, fraction = text.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) - (len(whole + fraction) - len(digits))
    return canonical_number(f"0.{digits[:30]}{more}E{exponent}")


# As DynamoDB writes numbers: 38 digits, exponents down to -130.
NUMBERS = st.builds(
    lambda sign, digits, exponent: canonical_number(f"{sign}0.{digits}E{exponent}"),
    st.sampled_from(["", "-"]),
    st.text("0123456789", min_size=1, max_size=38),
    st.integers(-120, 38),
)
HALFWAY = st.builds(halfway, st.integers(1, 0x7F000000), st.sampled_from(["", "00000001", "99999999"]))


@given(st.lists(NUMBERS | HALFWAY, min_size=1, max_size=20))
@example(["16777217", "16777217.00000000000000000001", "16777216.99999999999999999999"])
@example(["16777219", "-16777217.00000000000000000001", "0.000000000000000000000000000000000000000000001"])
@example(["7.0064923216240853546186479164495E-46", "7.0064923216240853546186479164496E-46", "7E-46"])
@example(["34028235677973366163E+19", "-34028235677973366163E+19"])
def test_a_number_becomes_the_nearest_float(texts: list[str]) -> None:
    texts = [canonical_number(text) for text in texts]
    assert np.frombuffer(vector_bytes([{"N": text} for text in texts]), "<f4").tolist() == list(
        map(nearest, texts)
    )


@pytest.mark.parametrize("text", ["34028235677973366164E+19", "-34028235677973366164E+19", "1E+125"])
def test_what_is_nearer_to_no_float_is_out_of_range(text: str) -> None:
    with pytest.raises(NotAVector) as refused:
        vector_bytes([{"N": "1"}, {"N": canonical_number(text)}])
    assert refused.value.position == 1


def test_a_wrong_type_is_found_before_a_number_out_of_range() -> None:
    with pytest.raises(NotAVector) as refused:
        vector_bytes([{"N": canonical_number("1E+39")}, {"S": "1"}])
    assert (refused.value.position, refused.value.content) == (1, None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1E+39", "1E+39"),
        ("-12E+38", "-1.2E+39"),
        ("0.5", "0.5"),
        ("123.25", "123.25"),
        ("1E-7", "1E-7"),
        ("0.000001", "0.000001"),
        ("12E-8", "1.2E-7"),
        ("7", "7"),
    ],
)
def test_numbers_in_messages_are_those_of_java(text: str, shown: str) -> None:
    assert java_number(canonical_number(text)) == shown


TENANT = KeyAttribute("tenant", "S")
COLOR, PRICE = KeyAttribute("color", "S"), KeyAttribute("price", "N")


def indexed(projection: str = "KEYS_ONLY", *included: str, hashed: bool = True) -> tuple[Table, Index]:
    schema = [SearchElement(TENANT, "HASH")] if hashed else []
    schema += [SearchElement(attribute, "INLINE_FILTER") for attribute in (COLOR, PRICE)]
    settings = VectorSettings("v", 2, "COSINE", 3, tuple(schema))
    keys = KeySchema((TENANT,) if hashed else (), ())
    index = Index("vix", 2, False, keys, projection, included=included, vector=settings)  # type: ignore[arg-type]
    table = Table(
        account="1", region="r", name="t", id="i", space=1, created_at=0.0, active_at=0.0,
        keys=KeySchema((KeyAttribute("id", "S"),), ()), indexes=(index,),
    )  # fmt: skip
    return table, index


ITEM: Item = {
    "id": {"S": "a"},
    "tenant": {"S": "acme"},
    "color": {"S": "red"},
    "v": {"L": [{"N": "1.5"}, {"N": "-2"}]},
    "more": {"S": "text"},
}


def test_an_entry_holds_floats_filters_and_the_key_of_the_item() -> None:
    table, index = indexed()
    key = table_key(table.keys, ITEM)
    entry = vector_entry(table, index, ITEM, key)
    assert entry is not None
    assert index.vector is not None
    assert np.frombuffer(floats_of(entry.body, index.vector), "<f4").tolist() == [1.5, -2.0]
    assert list(filter_values(entry.body, index.vector)) == [canonical_bytes({"S": "red"}), None]
    assert (entry_key(index, ITEM, key), base_key_of(index, entry.key)) == (entry.key, key)
    assert base_key_of(index, b"short") is None
    # id + tenant + color, names included; the vector by its dimensions.
    assert entry.size == 3 + 10 + 8 + (1 + 2 * 4)
    assert saved_bytes(entry.body, index.vector) == value_size(ITEM["v"]) - 8
    assert metered_size(table, 100, vector_sizes(table, ITEM)) == 100 - saved_bytes(entry.body, index.vector)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": {"L": [{"N": "1"}]}}, "dimensions"),
        ({"v": {"L": [{"N": "1"}, {"S": "2"}]}}, "element"),
        ({"v": {"L": [{"N": "1"}, {"N": canonical_number("1E+39")}]}}, "range"),
        ({"v": {"NS": ["1", "2"]}}, "type"),
        ({"v": None}, "absent"),
        ({"tenant": None}, "no partition"),
        ({"tenant": {"S": ""}}, "empty partition"),
        ({"tenant": {"N": "1"}}, "partition of another type"),
        ({"tenant": {"S": "x" * 2049}}, "long partition"),
        ({"color": {"N": "1"}}, "filter of another type"),
        ({"color": {"S": "x" * 10_241}}, "long filter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_index_cannot_hold_is_not_in_it(change: dict[str, object], reason: str) -> None:
    table, index = indexed()
    item: Item = {name: value for name, value in {**ITEM, **change}.items() if value is not None}  # type: ignore[misc]
    assert vector_entry(table, index, item, b"key") is None, reason


@pytest.mark.parametrize(
    ("projection", "included", "size"),
    [("KEYS_ONLY", (), 30), ("INCLUDE", ("more",), 38), ("INCLUDE", ("v",), 30), ("ALL", (), 38)],
)
def test_the_size_of_an_entry_follows_its_projection(
    projection: str, included: tuple[str, ...], size: int
) -> None:
    table, index = indexed(projection, *included)
    entry = vector_entry(table, index, ITEM, b"key")
    assert entry is not None
    assert entry.size == size


def test_without_a_partition_entries_have_the_keys_of_their_items() -> None:
    _, index = indexed(hashed=False)
    assert entry_key(index, ITEM, b"key") == b"key"
    assert base_key_of(index, b"key") == b"key"
