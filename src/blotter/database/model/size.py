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

DOCUMENT_OVERHEAD = 3
MEMBER_OVERHEAD = 1


def text_size(text: str) -> int:
    """The UTF-8 bytes of a string or name."""
    return len(text) if text.isascii() else len(text.encode())


def binary_size(text: str) -> int:
    """The bytes behind canonical base64 text."""
    return len(text) // 4 * 3 - (text.count("=", -2) if text else 0)


def value_size(value: AttributeValue) -> int:
    """Bytes of one admitted attribute value, without a name."""
    ((type_, content),) = value.items()
    return _SIZES[type_](content)


def item_size(item: Item) -> int:
    """Bytes of an admitted item: its attribute names and values."""
    size = 0
    for name, value in item.items():
        ((type_, content),) = value.items()
        size += (len(name) if name.isascii() else len(name.encode())) + _SIZES[type_](content)
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
