"""Attribute values in the form in which they are sent: a dict of one entry, type to value.

{"S": str} {"N": canonical number text} {"B": canonical base64 text} {"BOOL": bool} {"NULL": True} {"L":
[value]} {"M": {name: value}} {"SS": [str]} {"NS": [number text]} {"BS": [base64 text]}. Values are validated
once (`validation.attribute_values`), which makes their text canonical and sorts their sets, and are never changed
in place after that; so equal scalars have equal text here. Sets need more than `==`, because items that earlier
versions stored hold theirs in the order in which they came.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterable
from typing import Any, TypeAlias

import orjson

from blotter.database.model.numbers import compare_numbers, sort_numbers

AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]

SCALAR_TYPES = frozenset(("S", "N", "B", "BOOL", "NULL"))
SET_TYPES = frozenset(("SS", "NS", "BS"))
ORDERED_TYPES = frozenset(("S", "N", "B"))
TYPES = SCALAR_TYPES | SET_TYPES | {"M", "L"}


def type_of(value: AttributeValue) -> str:
    """The type letter(s) of a validated value."""
    for type_ in value:
        return type_
    raise ValueError("an attribute value without a type")


def binary(text: str) -> bytes:
    """The bytes of a B value's text."""
    return a2b_base64(text)


def values_equal(a: AttributeValue, b: AttributeValue) -> bool:
    """DynamoDB's equality: same type and value, sets without order, documents member by member."""
    return a == b or _equal_without_order(a, b)


def _equal_without_order(a: AttributeValue, b: AttributeValue) -> bool:
    """Looks at each member once: `==` at every level would look at the innermost ones once for each level."""
    ((type_, x),) = a.items()
    y = b.get(type_)
    if y is None:
        return False
    if type_ in SCALAR_TYPES:
        return bool(x == y)
    if len(x) != len(y):
        return False
    if type_ in SET_TYPES:
        return set(x) == set(y)
    if type_ == "L":
        return all(map(_equal_without_order, x, y))
    return all(name in y and _equal_without_order(member, y[name]) for name, member in x.items())


def item_bytes(item: Item) -> bytes:
    """An item as it is stored, as JSON. What orjson returns takes 4 KB for as long as it lives: the buffer in
    which it was written. A copy takes its length; this is the quickest way to make one."""
    return b"{" + orjson.dumps(item)[1:]


def canonical_bytes(value: AttributeValue) -> bytes:
    """Bytes that two values share exactly when they are equal (`values_equal`): JSON with the members of maps and
    sets in order. {"M": {"b": {"SS": ["y", "x"]}}} → b'{"M":{"b":{"SS":["x","y"]}}}'."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    # Within strings the quotes are escaped, and a map's member is never an array: only sets look like this.
    if b'"SS":[' in text or b'"NS":[' in text or b'"BS":[' in text:
        text = orjson.dumps(_with_sorted_sets(value), option=orjson.OPT_SORT_KEYS)
    return text


def comparable(value: AttributeValue) -> tuple[str, Any]:
    """A hashable that two values share exactly when they are equal."""
    ((type_, content),) = value.items()
    return (type_, content if type_ in SCALAR_TYPES else canonical_bytes(value))


def _with_sorted_sets(value: AttributeValue) -> AttributeValue:
    ((type_, content),) = value.items()
    if type_ in SET_TYPES:
        return {type_: sorted(content)}
    if type_ == "L":
        return {"L": [_with_sorted_sets(member) for member in content]}
    if type_ == "M":
        return {"M": {name: _with_sorted_sets(member) for name, member in content.items()}}
    return value


def compare_values(a: AttributeValue, b: AttributeValue) -> int | None:
    """-1, 0 or 1 for two strings (by UTF-8), numbers or binaries (by unsigned bytes); None for anything else."""
    ((type_, x),) = a.items()
    y = b.get(type_)
    if y is None or type_ not in ORDERED_TYPES:
        return None
    if x == y:
        return 0
    if type_ == "N":
        return compare_numbers(x, y)
    if type_ == "B":
        return -1 if a2b_base64(x) < a2b_base64(y) else 1
    # Code point order is UTF-8 byte order.
    return -1 if x < y else 1


def in_set_order(type_: str, members: list[str]) -> list[str]:
    """The same list, sorted in place as DynamoDB returns the members of a set of this type: texts by their UTF-8,
    binaries by their bytes, numbers by value. A list that is sorted already costs one pass. Source:
    paritysuite/dynamodb-conformance, tests/tier1/updateItem/basic.test.ts, October 2026."""
    if type_ == "SS":
        members.sort()  # Code point order is UTF-8 byte order.
    elif type_ == "NS":
        sort_numbers(members)
    else:
        members.sort(key=a2b_base64)
    return members


def set_union(type_: str, base: Iterable[str], more: Iterable[str]) -> list[str]:
    """The members of both, in their order."""
    return in_set_order(type_, list(dict.fromkeys((*base, *more))))


def set_difference(type_: str, base: Iterable[str], less: Iterable[str]) -> list[str]:
    """The members of `base` that are not in `less`, in their order; may be empty, which DynamoDB stores as no
    attribute."""
    gone = less if isinstance(less, frozenset) else set(less)
    return in_set_order(type_, [member for member in base if member not in gone])
