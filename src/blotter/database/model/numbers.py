"""DynamoDB's numbers as text: canonical form, arithmetic, comparison, size and an ordered encoding.

A number has at most 38 significant digits and a magnitude of 1E-130 … 9.99…E+125. Its canonical form is the plain
notation in which DynamoDB returns it: no exponent, no sign for zero, no leading or trailing zeros. Everything but
`canonical_number` takes canonical text only, so that equal numbers have equal text. The encoding is base 100 with
an excess exponent, one byte each, complemented for negative numbers: byte order is numeric order, and a terminator
makes it self-delimiting. 1234.5 is c2 0d 23 33 00: exponent, the digit pairs 12 34 50 each plus one, terminator.
The size DynamoDB meters is that of the same form. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html ("Numbers")
and https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html. Small integers
have a fast path everywhere, because most numbers are small integers.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from blotter.database.model.errors import DynamoDBError, validation_error

MAX_DIGITS = 38
MAX_EXPONENT = 125
MIN_EXPONENT = -130

_NOTATION = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?", re.ASCII)
# What is canonical already when it is short enough: no zero that could go, and not zero itself.
_PLAIN_DECIMAL = re.compile(r"-?(?:[1-9][0-9]*(?:\.[0-9]*[1-9])?|0\.[0-9]*[1-9])", re.ASCII).fullmatch
# An exponent beyond a 64-bit integer makes the text no number to AWS; below that, its range decides.
_MAX_EXPONENT_DIGITS = 19
_MAX_EXPONENT = (1 << 63) - 1

# Wide enough that a sum of any two numbers is exact: 1E+125 beside 1E-130 less 37 more digits.
_EXACT = Context(prec=400)

# Two decimal digits in one byte, as fromhex leaves them, to the encoding's digit: 1 … 100, negative 101 … 2.
_TO_DIGIT = bytes((byte >> 4) * 10 + (byte & 15) + 1 if byte < 0x9A else 0 for byte in range(256))
_TO_COMPLEMENT = bytes(102 - digit for digit in _TO_DIGIT)
_POSITIVE_HEADS = tuple(bytes((193 + exponent,)) for exponent in range(63))
_OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
_UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
_NOT_A_NUMBER = "The parameter cannot be converted to a numeric value"
_ZERO = b"\x80\x00"

# The older layer's exponents: 32-bit integers, of ten digits with all their zeros.
_MAX_INT = (1 << 31) - 1
_OLDER_EXPONENT_DIGITS = 10


def canonical_number(text: str) -> str:
    """The number in DynamoDB's plain notation.

    Raises ValidationException, in both wordings (`wire.layers`), when the text is no number, is out of range or
    has too many digits.
    """
    if len(text) <= MAX_DIGITS:  # checked first: isdigit() takes 4 ms over a million digits
        # isdigit() alone would let other scripts' digits through.
        if text.isdigit():
            if text.isascii() and (text[0] != "0" or text == "0"):
                return text
        elif _PLAIN_DECIMAL(text) is not None:
            return text
    try:
        return _read(text)
    except DynamoDBError as error:
        raise validation_error(_older_message(text, error.message), current=error.message) from None


def _read(text: str) -> str:
    """`canonical_number` of any text; its errors have the current wording alone."""
    match = _NOTATION.fullmatch(text)
    if match is None:
        raise _not_a_number(text)
    sign, whole, fraction, bare_fraction, exponent_text = match.groups()
    exponent = 0
    if exponent_text is not None:
        if len(exponent_text.lstrip("+-0")) > _MAX_EXPONENT_DIGITS:
            raise _not_a_number(text)
        exponent = int(exponent_text)
        if abs(exponent) > _MAX_EXPONENT:
            raise _not_a_number(text)
    whole = whole or ""
    digits = whole + (fraction or bare_fraction or "")
    significant = digits.lstrip("0")
    if not significant:
        # Zero is held to the range by the exponent it is written with.
        _check_range(exponent)
        return "0"
    # The power of ten of the first significant digit.
    leading = exponent + len(whole) - 1 - (len(digits) - len(significant))
    significant = significant.rstrip("0")
    _check_range(leading)
    if len(significant) > MAX_DIGITS:
        raise _too_many_digits()
    return _plain(sign == "-", significant, leading)


def _older_message(text: str, current: str) -> str:
    """What the older layer says of a text that is no number to DynamoDB. It reads it as java.math.BigDecimal
    does, whose exponent and scale are 32-bit integers, and limits precision less scale in 32-bit arithmetic, which
    wraps. Source: paritysuite/dynamodb-conformance, tests/tier3/error-messages/valueLayers.test.ts and
    partiqlParameterNumbers.test.ts, October 2026."""
    if not text:
        return _NOT_A_NUMBER
    match = _NOTATION.fullmatch(text)
    if match is None:
        return current
    whole, fraction = match[2] or "", match[3] or match[4] or ""
    exponent_text = match[5] or "0"
    not_a_number = f"{_NOT_A_NUMBER}: {text}"
    if len(exponent_text.lstrip("+-")) > _OLDER_EXPONENT_DIGITS:
        return not_a_number
    exponent = int(exponent_text)
    scale = len(fraction) - exponent
    if abs(exponent) > _MAX_INT or abs(scale) > _MAX_INT:
        return not_a_number
    magnitude = len((whole + fraction).lstrip("0") or "0") - scale
    if abs(magnitude) > _MAX_INT:
        # Past 32 bits a huge number looks tiny, and a tiny one huge.
        return _UNDERFLOW if magnitude > 0 else _OVERFLOW
    return current


def add(a: str, b: str) -> str:
    """a + b, exact. A sum that is out of range or has more than 38 digits raises ValidationException."""
    if len(a) < 19 and len(b) < 19:
        try:
            return str(int(a) + int(b))
        except ValueError:
            pass
    return _result(_EXACT.add(Decimal(a), Decimal(b)))


def subtract(a: str, b: str) -> str:
    """a - b, exact; raises like `add`."""
    if len(a) < 19 and len(b) < 19:
        try:
            return str(int(a) - int(b))
        except ValueError:
            pass
    return _result(_EXACT.subtract(Decimal(a), Decimal(b)))


def compare_numbers(a: str, b: str) -> int:
    """-1, 0 or 1 as a is less than, equal to or greater than b."""
    if a == b:
        return 0
    if a.isdigit() and b.isdigit():
        if len(a) != len(b):
            return -1 if len(a) < len(b) else 1
        return -1 if a < b else 1
    return -1 if Decimal(a) < Decimal(b) else 1


def sort_numbers(numbers: list[str]) -> None:
    """Sorts canonical numbers by value, in place."""
    if _are_ascending_naturals(numbers):
        return
    try:
        numbers.sort(key=int)
    except ValueError:
        numbers.sort(key=Decimal)


def _are_ascending_naturals(numbers: list[str]) -> bool:
    """Whether the canonical numbers are what a client mostly sends: integers from 0, sorted already."""
    before = ""
    for text in numbers:
        if not text.isdigit():
            return False
        if len(text) <= len(before) and (len(text) < len(before) or text < before):
            return False
        before = text
    return True


def encode_number(text: str) -> bytes:
    """2 to 22 bytes whose order is the numbers' order; no number's encoding is a prefix of another's."""
    if text.isdigit():
        if text == "0":
            return _ZERO
        length = len(text)
        pairs = bytes.fromhex("0" + text if length & 1 else text).translate(_TO_DIGIT)
        return _POSITIVE_HEADS[(length - 1) >> 1] + pairs.rstrip(b"\x01") + b"\x00"
    digits, leading, negative = _decompose(text)
    if not leading & 1:
        digits = "0" + digits
    if len(digits) & 1:
        digits += "0"
    exponent = leading >> 1
    if negative:
        return b"%c%b\x66" % (62 - exponent, bytes.fromhex(digits).translate(_TO_COMPLEMENT))
    return b"%c%b\x00" % (193 + exponent, bytes.fromhex(digits).translate(_TO_DIGIT))


def number_size(text: str) -> int:
    """The bytes DynamoDB counts for the number: 1 for the exponent, 1 for each pair of digits aligned at the
    decimal point, 1 more for a negative number; 21 at most."""
    if text.isdigit():
        length = len(text)
        return 1 + ((len(text.rstrip("0")) + 1 + (length & 1)) >> 1) if text != "0" else 1
    digits, leading, negative = _decompose(text)
    pairs = (len(digits) + 1 + (not leading & 1)) >> 1
    return 1 + pairs + (negative and pairs < 20)


def _result(exact: Decimal) -> str:
    """The canonical text of a sum. To AWS one with too many digits is an overflow as well."""
    if len(exact.normalize(_EXACT).as_tuple().digits) > MAX_DIGITS:
        raise _overflow()
    return canonical_number(str(exact))


def _check_range(exponent: int) -> None:
    if exponent > MAX_EXPONENT:
        raise _overflow()
    if exponent < MIN_EXPONENT:
        raise _underflow()


def _decompose(text: str) -> tuple[str, int, bool]:
    """Canonical text as significant digits, power of ten of the first one, and whether it is negative."""
    negative = text[0] == "-"
    if negative:
        text = text[1:]
    if "." not in text:
        return text.rstrip("0"), len(text) - 1, negative
    whole, fraction = text.split(".")
    if whole != "0":
        return whole + fraction, len(whole) - 1, negative
    digits = fraction.lstrip("0")
    return digits, len(digits) - len(fraction) - 1, negative


def _plain(negative: bool, digits: str, leading: int) -> str:
    """Digits without zeros at either end, and the power of ten of the first, in plain notation."""
    if leading < 0:
        text = "0." + "0" * (-leading - 1) + digits
    elif len(digits) <= leading + 1:
        text = digits + "0" * (leading + 1 - len(digits))
    else:
        text = digits[: leading + 1] + "." + digits[leading + 1 :]
    return "-" + text if negative else text


def _not_a_number(text: str) -> DynamoDBError:
    return validation_error(f"{_NOT_A_NUMBER}: {text}")


def _overflow() -> DynamoDBError:
    return validation_error(_OVERFLOW)


def _underflow() -> DynamoDBError:
    return validation_error(_UNDERFLOW)


def _too_many_digits() -> DynamoDBError:
    return validation_error("Attempting to store more than 38 significant digits in a Number")
