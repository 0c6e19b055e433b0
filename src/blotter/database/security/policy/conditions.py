"""The Condition element: one operator on one context key, ready to be tested against a request's context.

    {"ForAllValues:StringLikeIfExists": {"dynamodb:LeadingKeys": ["a", "b*"]}}
      quantifier   operator    if_exists        key                values

A condition holds as AWS documents it: a key that the request lacks fails a positive operator and satisfies a
negated one; ForAllValues is satisfied by no values, ForAnyValue is not; without either, a key of several values
satisfies nothing. A variable without a value equals nothing. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from blotter.database.security.policy.patterns import ARN_PARTS, ArnPattern, Template

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Context = Mapping[str, tuple[str, ...]]
Quantifier = Literal["", "all", "any"]


class Operator:
    """A base operator with a document's values. `negated`: NotEquals, NotLike, NotIpAddress."""

    __slots__ = ("names", "negated")

    def __init__(self, negated: bool, names: Sequence[str] = ()) -> None:
        self.negated: Final = negated
        self.names: Final = tuple(names)
        """The context keys of the variables in the values."""

    def matches(self, value: str, context: Context) -> bool:
        """Whether one value of the request satisfies the operator."""
        raise NotImplementedError


class _Equals(Operator):
    __slots__ = ("_fold", "_values")

    def __init__(self, values: Sequence[Template], negated: bool, fold: bool) -> None:
        super().__init__(negated, [name for value in values for name in value.names])
        self._values: Final = values
        self._fold: Final = fold

    def matches(self, value: str, context: Context) -> bool:
        for template in self._values:
            text = template.value(context)
            if text is not None and (text == value or (self._fold and text.lower() == value.lower())):
                return not self.negated
        return self.negated


class _Like(Operator):
    __slots__ = ("_values",)

    def __init__(self, values: Sequence[Template], negated: bool) -> None:
        super().__init__(negated, [name for value in values for name in value.names])
        self._values: Final = values

    def matches(self, value: str, context: Context) -> bool:
        for template in self._values:
            glob = template.glob(context)
            if glob is not None and glob.matches(value):
                return not self.negated
        return self.negated


class _ArnLike(Operator):
    __slots__ = ("_readable", "_values")

    def __init__(self, values: Sequence[ArnPattern], negated: bool) -> None:
        super().__init__(negated, [name for value in values for name in value.names])
        self._values: Final = values
        self._readable: Final = all(value.text == "*" or value.text.count(":") >= _COLONS for value in values)

    def matches(self, value: str, context: Context) -> bool:
        # What is no ARN is neither like nor unlike one, as what is no number is neither equal nor unequal to one.
        if value.count(":") < _COLONS or (self.negated and not self._readable):
            return False
        for pattern in self._values:
            if pattern.matches(value, context):
                return not self.negated
        return self.negated


class _Ordered(Operator):
    """Numbers or times: what both sides are read as is compared. What cannot be read satisfies nothing."""

    __slots__ = ("_compare", "_read", "_values")

    def __init__(
        self,
        values: Sequence[Decimal | None],
        read: Callable[[str], Decimal | None],
        compare: str,
        negated: bool,
    ) -> None:
        super().__init__(negated)
        self._values: Final = values
        self._read: Final = read
        self._compare: Final = compare

    def matches(self, value: str, context: Context) -> bool:  # noqa: ARG002
        found = self._read(value)
        if found is None:
            return False
        if self.negated:
            return all(wanted is not None and found != wanted for wanted in self._values)
        return any(wanted is not None and self._holds(found, wanted) for wanted in self._values)

    def _holds(self, found: Decimal, wanted: Decimal) -> bool:
        compare = self._compare
        if compare == "equals":
            return found == wanted
        if compare == "lessthan":
            return found < wanted
        if compare == "lessthanequals":
            return found <= wanted
        if compare == "greaterthan":
            return found > wanted
        return found >= wanted


class _Bool(Operator):
    __slots__ = ("_values",)

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(False)
        self._values: Final = [value.lower() for value in values if value.lower() in ("true", "false")]

    def matches(self, value: str, context: Context) -> bool:  # noqa: ARG002
        return value.lower() in self._values


class _Binary(Operator):
    __slots__ = ("_values",)

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(False)
        self._values: Final = [read for value in values if (read := read_binary(value)) is not None]

    def matches(self, value: str, context: Context) -> bool:  # noqa: ARG002
        return read_binary(value) in self._values


class _IpAddress(Operator):
    __slots__ = ("_values",)

    def __init__(self, values: Sequence[str], negated: bool) -> None:
        super().__init__(negated)
        self._values: Final = [read_network(value) for value in values]

    def matches(self, value: str, context: Context) -> bool:  # noqa: ARG002
        address = read_address(value)
        if address is None or None in self._values:
            return False
        inside = any(network is not None and address in network for network in self._values)
        return inside != self.negated


class Condition:
    """One operator on one context key."""

    __slots__ = ("_if_exists", "_key", "_operator", "_presence", "_quantifier", "names")

    def __init__(self, operator: str, key: str, values: Sequence[str], *, variables: bool) -> None:
        """`operator` is a known one, as the document spells it; `variables` as in `Template`."""
        quantifier, base, if_exists = split_operator(operator)
        self._quantifier: Final = quantifier
        self._if_exists: Final = if_exists
        self._key: Final = key.lower()
        self._presence: Final = [value.lower() for value in values] if base == "Null" else None
        self._operator: Final = None if base == "Null" else OPERATORS[base](values, variables)
        self.names: Final = (key, *(() if self._operator is None else self._operator.names))
        """The context keys that it refers to, as the document spells them."""

    def holds(self, context: Context) -> bool:
        values = context.get(self._key)
        operator = self._operator
        if operator is None:
            return ("false" if values else "true") in (self._presence or ())
        if not values:
            if self._quantifier == "all":
                return True
            return self._if_exists or (operator.negated and self._quantifier == "")
        if self._quantifier == "":
            return len(values) == 1 and operator.matches(values[0], context)
        if self._quantifier == "all":
            return all(operator.matches(value, context) for value in values)
        return any(operator.matches(value, context) for value in values)


def split_operator(operator: str) -> tuple[Quantifier, str, bool]:
    """Quantifier, base operator and whether it ends with IfExists."""
    prefix, colon, base = operator.partition(":")
    if not colon:
        prefix, base = "", operator
    quantifier: Quantifier = _QUANTIFIERS.get(prefix, "")
    if colon and prefix not in _QUANTIFIERS:
        base = operator
    if base.endswith("IfExists"):
        return quantifier, base.removesuffix("IfExists"), True
    return quantifier, base, False


def is_operator(operator: str) -> bool:
    _, base, if_exists = split_operator(operator)
    return base in OPERATORS or (base == "Null" and not if_exists)


def read_number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_time(text: str) -> Decimal | None:
    """Seconds since the epoch of a time in ISO 8601 (W3C's profile) or in seconds since the epoch."""
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    if _MONTH.fullmatch(text):
        text = f"{text}-01"
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Decimal(repr(moment.timestamp()))


def read_binary(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def read_network(text: str) -> IPv4Network | IPv6Network | None:
    from ipaddress import ip_network

    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import ip_address

    try:
        return ip_address(text)
    except ValueError:
        return None


_COLONS: Final = ARN_PARTS - 1
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")
_QUANTIFIERS: Final[dict[str, Quantifier]] = {"ForAllValues": "all", "ForAnyValue": "any"}


def _texts(values: Sequence[str], variables: bool, wildcards: bool = False) -> list[Template]:
    return [Template(value, variables=variables, wildcards=wildcards) for value in values]


def _arns(values: Sequence[str], variables: bool) -> list[ArnPattern]:
    return [ArnPattern(value, variables=variables, beyond_colons=False) for value in values]


def _numbers(compare: str, negated: bool = False) -> Callable[[Sequence[str], bool], Operator]:
    return lambda values, _: _Ordered([read_number(value) for value in values], read_number, compare, negated)


def _times(compare: str, negated: bool = False) -> Callable[[Sequence[str], bool], Operator]:
    return lambda values, _: _Ordered([read_time(value) for value in values], read_time, compare, negated)


# Variables mean something to operators on strings and ARNs only.
OPERATORS: Final[dict[str, Callable[[Sequence[str], bool], Operator]]] = {
    "StringEquals": lambda values, variables: _Equals(_texts(values, variables), False, False),
    "StringNotEquals": lambda values, variables: _Equals(_texts(values, variables), True, False),
    "StringEqualsIgnoreCase": lambda values, variables: _Equals(_texts(values, variables), False, True),
    "StringNotEqualsIgnoreCase": lambda values, variables: _Equals(_texts(values, variables), True, True),
    "StringLike": lambda values, variables: _Like(_texts(values, variables, True), False),
    "StringNotLike": lambda values, variables: _Like(_texts(values, variables, True), True),
    "NumericEquals": _numbers("equals"),
    "NumericNotEquals": _numbers("equals", True),
    "NumericLessThan": _numbers("lessthan"),
    "NumericLessThanEquals": _numbers("lessthanequals"),
    "NumericGreaterThan": _numbers("greaterthan"),
    "NumericGreaterThanEquals": _numbers("greaterthanequals"),
    "DateEquals": _times("equals"),
    "DateNotEquals": _times("equals", True),
    "DateLessThan": _times("lessthan"),
    "DateLessThanEquals": _times("lessthanequals"),
    "DateGreaterThan": _times("greaterthan"),
    "DateGreaterThanEquals": _times("greaterthanequals"),
    "Bool": lambda values, _: _Bool(values),
    "BinaryEquals": lambda values, _: _Binary(values),
    "IpAddress": lambda values, _: _IpAddress(values, False),
    "NotIpAddress": lambda values, _: _IpAddress(values, True),
    "ArnEquals": lambda values, variables: _ArnLike(_arns(values, variables), False),
    "ArnLike": lambda values, variables: _ArnLike(_arns(values, variables), False),
    "ArnNotEquals": lambda values, variables: _ArnLike(_arns(values, variables), True),
    "ArnNotLike": lambda values, variables: _ArnLike(_arns(values, variables), True),
}
