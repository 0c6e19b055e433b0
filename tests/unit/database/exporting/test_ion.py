"""Ion text, read back by Amazon's own reader."""

from __future__ import annotations

import string
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import Any

import pytest
from amazon.ion import simpleion
from amazon.ion.core import IonType
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.exporting.ion import ion_item, ion_number, ion_string, ion_symbol
from blotter.database.model.numbers import canonical_number
from blotter.database.model.values import AttributeValue, Item


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0."),
        ("103", "103."),
        ("600", "6d2"),
        ("2000", "2d3"),
        ("-600", "-6d2"),
        ("-1", "-1."),
        ("0.5", "0.5"),
        ("12.5", "12.5"),
        ("100.01", "100.01"),
        ("-0.000001", "-0.000001"),
        ("0.0000001", "1d-7"),
        ("0.00000123", "0.00000123"),
        ("0.000000123", "123d-9"),
        ("1" + "0" * 125, "1d125"),
        ("0." + "0" * 129 + "1", "1d-130"),
    ],
)
def test_numbers_are_decimals_as_java_writes_them(number: str, text: str) -> None:
    assert ion_number(number) == text


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("Id", "Id"),
        ("_x$1", "_x$1"),
        ("$", "$"),
        ("$10", "'$10'"),
        ("$ion", "$ion"),
        ("null", "'null'"),
        ("true", "'true'"),
        ("nan", "'nan'"),
        ("1st", "'1st'"),
        ("by-line", "'by-line'"),
        ("", "''"),
        ("it's", "'it\\'s'"),
        ('say "x"', "'say \"x\"'"),
        ("größe", "'größe'"),
    ],
)
def test_names_are_quoted_where_they_must_be(name: str, symbol: str) -> None:
    assert ion_symbol(name) == symbol


def test_an_item_is_one_line_whatever_is_in_it() -> None:
    everything = "".join(map(chr, range(0x20))) + "\x7f\x85\u2028\u2029\\\"'"
    assert ion_string(everything).isprintable()
    assert simpleion.loads(ion_string(everything)) == everything


# Half surrogates cannot be stored.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NAMES = (
    _TEXTS | st.sampled_from(["null", "nan", "$10", "a b", "x" * 300]) | st.text(string.ascii_letters, min_size=1)
)
_NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=4).map(
    lambda number: canonical_number(format(number, "f"))
) | st.integers(-130, 125).map(lambda power: canonical_number(f"7E{power}"))
_BINARIES = st.binary(max_size=20).map(lambda data: b64encode(data).decode())
_SCALARS: st.SearchStrategy[AttributeValue] = st.one_of(
    st.builds(lambda text: {"S": text}, _TEXTS),
    st.builds(lambda number: {"N": number}, _NUMBERS),
    st.builds(lambda data: {"B": data}, _BINARIES),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda texts: {"SS": texts}, st.lists(_TEXTS, min_size=1, max_size=3, unique=True)),
    st.builds(lambda numbers: {"NS": numbers}, st.lists(_NUMBERS, min_size=1, max_size=3, unique=True)),
    st.builds(lambda data: {"BS": data}, st.lists(_BINARIES, min_size=1, max_size=3, unique=True)),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda values: st.one_of(
        st.builds(lambda members: {"L": members}, st.lists(values, max_size=3)),
        st.builds(lambda members: {"M": members}, st.dictionaries(_NAMES, values, max_size=3)),
    ),
    max_leaves=8,
)


@given(st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=5))
def test_amazons_reader_finds_the_same_item(item: Item) -> None:
    text = ion_item(item)
    assert "\n" not in text
    read: Any = simpleion.loads(f"$ion_1_0 {{Item:{text}}}")
    assert {name: _value(value) for name, value in read["Item"].items()} == item


def _value(value: Any) -> AttributeValue:
    """An Ion value as DynamoDB imports it."""
    sets = {"$dynamodb_SS": "SS", "$dynamodb_NS": "NS", "$dynamodb_BS": "BS"}
    for annotation in value.ion_annotations:
        return {sets[annotation.text]: [next(iter(_value(member).values())) for member in value]}
    kind = value.ion_type
    if kind is IonType.NULL:
        return {"NULL": True}
    if kind is IonType.BOOL:
        return {"BOOL": bool(value)}
    if kind is IonType.DECIMAL:
        return {"N": canonical_number(format(Decimal(value), "f"))}
    if kind is IonType.STRING:
        return {"S": str(value)}
    if kind is IonType.BLOB:
        return {"B": b64encode(bytes(value)).decode()}
    if kind is IonType.LIST:
        return {"L": [_value(member) for member in value]}
    assert kind is IonType.STRUCT
    return {"M": {name: _value(member) for name, member in value.items()}}


def test_blobs_are_whole_base64() -> None:
    assert simpleion.loads(ion_item({"b": {"B": "AAECAw=="}}))["b"] == b64decode("AAECAw==")
