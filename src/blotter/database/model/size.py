"""The size of an item as DynamoDB meters and limits it, to the byte.

Attribute names and strings count their UTF-8 bytes, binaries their decoded bytes, numbers
`numbers.number_size`, BOOL and NULL one byte; sets the sum of their members; a list or map 3 bytes and one more
for each member, beside the members themselves (and, in a map, their names).
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.numbers import number_size
from blotter.database.model.values import AttributeValue, Item

MAX_ITEM_SIZE = 400 * 1024
MAX_DEPTH = 32
"""Levels of a document, the attribute itself being the first."""

DOCUMENT_OVERHEAD = 3
MEMBER_OVERHEAD = 1


def text_size(text: str) -> int:
    """The UTF-8 bytes of a string or name."""
    return len(text) if text.isascii() else len(text.encode())


def binary_size(text: str) -> int:
    """The bytes that canonical base64 text encodes."""
    return len(text) // 4 * 3 - (text.count("=", -2) if text else 0)


def value_size(value: AttributeValue) -> int:
    """Bytes of one validated attribute value, without a name."""
    ((type_, content),) = value.items()
    return _SIZES[type_](content)


def item_size(item: Item) -> int:
    """Bytes of a validated item: its attribute names and values."""
    size = 0
    for name, value in item.items():
        ((type_, content),) = value.items()
        size += (len(name) if name.isascii() else len(name.encode())) + _SIZES[type_](content)
    return size


class LimitExceeded(Exception):
    """An item is larger or deeper than an item may be; `deep` tells the two apart."""

    def __init__(self, *, deep: bool) -> None:
        super().__init__(deep)
        self.deep = deep


def limited_item_size(item: Item) -> int:
    """Bytes of an item that was computed and may be of any size and depth: its parts may be one value many times.
    Raises LimitExceeded after work that is bounded by the limits."""
    size = 0
    for name, value in item.items():
        ((type_, content),) = value.items()
        size += len(name) if name.isascii() else len(name.encode())
        if type_ == "M" or type_ == "L":
            size += _limited(value, 1, MAX_ITEM_SIZE - size)
        else:
            size += _SIZES[type_](content)
    if size > MAX_ITEM_SIZE:
        raise LimitExceeded(deep=False)
    return size


def _limited(value: AttributeValue, depth: int, left: int) -> int:
    """Bytes of a value at a depth, when it has no more than `left`."""
    ((type_, content),) = value.items()
    if type_ not in ("L", "M"):
        return _SIZES[type_](content)
    if content and depth >= MAX_DEPTH:
        raise LimitExceeded(deep=True)
    # The members' overhead comes first: no more members are looked at than there are bytes.
    size = DOCUMENT_OVERHEAD + MEMBER_OVERHEAD * len(content)
    if type_ == "M":
        size += sum(map(text_size, content))
    for member in content if type_ == "L" else content.values():
        if size > left:
            raise LimitExceeded(deep=False)
        size += _limited(member, depth + 1, left - size)
    return size


def _one(_: bool) -> int:
    return 1


def _list_size(members: list[AttributeValue]) -> int:
    return DOCUMENT_OVERHEAD + MEMBER_OVERHEAD * len(members) + sum(map(value_size, members))


def _map_size(members: Item) -> int:
    return DOCUMENT_OVERHEAD + MEMBER_OVERHEAD * len(members) + item_size(members)


_SIZES: dict[str, Callable[[Any], int]] = {
    "S": text_size,
    "N": number_size,
    "B": binary_size,
    "BOOL": _one,
    "NULL": _one,
    "M": _map_size,
    "L": _list_size,
    "SS": lambda members: sum(map(text_size, members)),
    "NS": lambda members: sum(map(number_size, members)),
    "BS": lambda members: sum(map(binary_size, members)),
}
