"""Numbers against Python's decimal, which shares no code with them.

Messages and limits: conformance suite nubo-db/dynamodb-conformance, tests/tier3/limits/numberPrecision,
numberExponent, numberByteSize; the sizes of literals there were bisected against the service.
"""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.numbers import (
    add,
    canonical_number,
    compare_numbers,
    encode_number,
    number_size,
    subtract,
)

OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
TOO_MANY_DIGITS = "Attempting to store more than 38 significant digits in a Number"
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"

EXACT = Context(prec=400)


@st.composite
def valid_numbers(draw: st.DrawFn) -> str:
    """Any number DynamoDB can store, in one of the notations it accepts."""
    digits = draw(st.integers(0, 10**38 - 1))
    exponent = draw(st.integers(-130, 125 - len(str(digits)) + 1))
    sign = draw(st.sampled_from(["", "-", "+"]))
    notation = draw(st.sampled_from(["{sign}{digits}E{exponent}", "{sign}{digits}e{exponent:+d}", "plain"]))
    if notation != "plain":
        return notation.format(sign=sign, digits=digits, exponent=exponent)
    return sign + format(Decimal(digits).scaleb(exponent, EXACT), "f")


small_numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.decimals(-1000, 1000, places=3).map(str),
)
numbers = st.one_of(valid_numbers(), small_numbers)


@given(numbers)
def test_canonical_text_has_the_same_value_and_is_plain(text: str) -> None:
    canonical = canonical_number(text)
    assert Decimal(canonical) == Decimal(text)
    assert "E" not in canonical
    assert canonical == "0" or not canonical.lstrip("-").startswith("00")
    if "." in canonical:
        assert not canonical.endswith(("0", "."))


@given(numbers)
def test_canonical_text_stays_as_it_is(text: str) -> None:
    canonical = canonical_number(text)
    assert canonical_number(canonical) == canonical


@given(numbers, numbers)
def test_equal_numbers_have_equal_text(a: str, b: str) -> None:
    assert (canonical_number(a) == canonical_number(b)) == (Decimal(a) == Decimal(b))


@given(numbers, numbers)
def test_comparison_and_encoding_order_like_the_values(a: str, b: str) -> None:
    x, y = Decimal(a), Decimal(b)
    a, b = canonical_number(a), canonical_number(b)
    assert compare_numbers(a, b) == (x > y) - (x < y)
    assert (encode_number(a) < encode_number(b)) == (x < y)


@given(numbers, numbers, st.binary(max_size=3), st.binary(max_size=3))
def test_encodings_order_whatever_follows_them(a: str, b: str, tail_a: bytes, tail_b: bytes) -> None:
    a, b = canonical_number(a), canonical_number(b)
    if a != b:
        assert (encode_number(a) + tail_a < encode_number(b) + tail_b) == (Decimal(a) < Decimal(b))


@given(numbers, numbers)
def test_sums_are_exact_or_overflow(a: str, b: str) -> None:
    x, y = Decimal(a), Decimal(b)
    a, b = canonical_number(a), canonical_number(b)
    for operation, exact in ((add, EXACT.add(x, y)), (subtract, EXACT.subtract(x, y))):
        fits = not exact or (
            len(exact.normalize(EXACT).as_tuple().digits) <= 38 and -130 <= exact.adjusted() <= 125
        )
        if fits:
            assert Decimal(operation(a, b)) == exact
        else:
            with pytest.raises(DynamoDBError, match=r"overflow|underflow"):
                operation(a, b)


@given(numbers)
def test_size_is_that_of_the_digit_pairs(text: str) -> None:
    """The rule the conformance suite derived: one byte, one for each two digits left and right of the point,
    rounded up each, one for a minus sign; 21 at most."""
    canonical = canonical_number(text)
    if canonical == "0":
        assert number_size(canonical) == 1
        return
    whole, _, fraction = canonical.lstrip("-").partition(".")
    if fraction:
        # Pairs are counted from the point; leading zeros of a bare fraction cost nothing in whole pairs.
        pairs = [fraction[i : i + 2].ljust(2, "0") for i in range(0, len(fraction), 2)]
        if whole == "0":
            while pairs[0] == "00":
                pairs.pop(0)
        count = len(pairs) + (0 if whole == "0" else (len(whole) + 1) // 2)
    else:
        padded = whole if len(whole) % 2 == 0 else "0" + whole
        while padded.endswith("00"):
            padded = padded[:-2]
        count = len(padded) // 2
    assert number_size(canonical) == min(1 + count + canonical.startswith("-"), 21)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("0e125", "0"),
        ("00042", "42"),
        ("1.0", "1"),
        ("3.1400", "3.14"),
        ("0042.1200", "42.12"),
        ("1.5E2", "150"),
        ("+3", "3"),
        (".123", "0.123"),
        ("-17.4E37", "-174" + "0" * 36),
        ("5.", "5"),
        ("100", "100"),
        ("1E125", "1" + "0" * 125),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert canonical_number(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e126", OVERFLOW),
        ("-1E+126", OVERFLOW),
        ("11e125", OVERFLOW),
        ("1e2147483646", OVERFLOW),
        ("0e126", OVERFLOW),
        ("1e-131", UNDERFLOW),
        ("0.9e-130", UNDERFLOW),
        ("1e-2147483647", UNDERFLOW),
        ("0e-131", UNDERFLOW),
        ("123456789012345678901234567890123456789", TOO_MANY_DIGITS),
        ("3.14159265358979323846264338327950288419", TOO_MANY_DIGITS),
        ("abc", f"{NOT_NUMERIC}: abc"),
        ("1.2.3", f"{NOT_NUMERIC}: 1.2.3"),
        (" 1", f"{NOT_NUMERIC}:  1"),
        ("1 ", f"{NOT_NUMERIC}: 1 "),
        ("0x10", f"{NOT_NUMERIC}: 0x10"),
        ("1e", f"{NOT_NUMERIC}: 1e"),
        ("NaN", f"{NOT_NUMERIC}: NaN"),
        ("-Infinity", f"{NOT_NUMERIC}: -Infinity"),
        ("1_000", f"{NOT_NUMERIC}: 1_000"),
        ("٣", f"{NOT_NUMERIC}: ٣"),
        ("1e9223372036854775808", f"{NOT_NUMERIC}: 1e9223372036854775808"),
        ("1e" + "9" * 5000, f"{NOT_NUMERIC}: 1e" + "9" * 5000),
    ],
)
def test_refused_text(text: str, message: str) -> None:
    with pytest.raises(DynamoDBError) as refused:
        canonical_number(text)
    error = refused.value
    assert (error.code, error.message, error.current) == ("ValidationException", message, message)


@pytest.mark.parametrize(
    ("text", "older", "current"),
    [
        ("", NOT_NUMERIC, f"{NOT_NUMERIC}: "),
        ("1e2147483647", UNDERFLOW, OVERFLOW),
        ("10e2147483646", UNDERFLOW, OVERFLOW),
        ("1e2147483648", f"{NOT_NUMERIC}: 1e2147483648", OVERFLOW),
        ("-1e99999999999", f"{NOT_NUMERIC}: -1e99999999999", OVERFLOW),
        ("1e-2147483648", f"{NOT_NUMERIC}: 1e-2147483648", UNDERFLOW),
        ("1.5e-2147483647", f"{NOT_NUMERIC}: 1.5e-2147483647", UNDERFLOW),
    ],
)
def test_text_that_the_layers_refuse_differently(text: str, older: str, current: str) -> None:
    # paritysuite/dynamodb-conformance, tier3/error-messages/{valueLayers,partiqlParameterNumbers}, October 2026.
    with pytest.raises(DynamoDBError) as refused:
        canonical_number(text)
    assert (refused.value.message, refused.value.current) == (older, current)


def test_a_sum_with_too_many_digits_is_an_overflow_to_aws() -> None:
    # Observed on the service: 1e50 + 1 (scylladb/scylladb, test/alternator/test_number.py).
    with pytest.raises(DynamoDBError, match=OVERFLOW):
        add("1" + "0" * 50, "1")


# Measured on the service by putting items of 409,600 and 409,601 bytes (numberByteSize of the conformance suite).
MEASURED_SIZES = {
    "0": 1, "1": 2, "12": 2, "123": 3, "1234": 3, "12345678901234567890123456789012345678": 20, "0042": 2,
    "100": 2,
    "1010": 3, "0.0000001": 2, "1E125": 2, "1E-100": 2, "1.5": 3, "15": 2, "1.2": 3, "1.200": 3, "1.234": 4,
    "3.14159": 5, "123456": 4, "100.5": 4, "0.15": 2, "-42": 3, "-0": 1,
}  # fmt: skip


@pytest.mark.parametrize(("text", "size"), MEASURED_SIZES.items())
def test_sizes_measured_on_the_service(text: str, size: int) -> None:
    assert number_size(canonical_number(text)) == size


def test_encoding_separates_zero_from_its_neighbours() -> None:
    texts = ["-1E-130", "0", "1E-130", "1", "1.01", "1.1", "2", "99", "100", "1E125"]
    encoded = [encode_number(canonical_number(text)) for text in texts]
    assert encoded == sorted(encoded)
    assert len(set(encoded)) == len(texts)
