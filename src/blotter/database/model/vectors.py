"""Vectors: lists of numbers as 32-bit floats, which of them an index takes, and what its entry of an item is.

The table keeps a vector as it was written, every number to 38 digits; an index has a copy in 32-bit floats, each
the one nearest to its number. An entry of a vector index has the key

    the partition of its HASH attribute (if its search schema has one) + the item's table key

so that a search limited to one partition reads one contiguous range, and the body

    bytes of the vector as the table counts it (4) + the floats, little-endian + one field for each INLINE_FILTER

A field is the length of the canonical value (4 bytes) and its bytes; an attribute that the item does not have has
the length `_MISSING`. The size noted with an entry is the one that is metered: 4 bytes for each dimension, the
vector's name, and everything else that the index projects.
Sources: paritysuite/dynamodb-conformance, tests/tier2/vectorSearch (consumedCapacity), tests/tier3/error-messages/
vectorWrites; nubo-db/dynoxide, tests/vector_indexes.rs; ExtendDB/extenddb, crates/core/src/vector_capacity.rs,
all measured on AWS between August and October 2026.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from struct import Struct
from sys import byteorder
from typing import Any, Final, NamedTuple

from blotter.database.model.keys import MAX_PARTITION_KEY_BYTES, partition_length, partition_prefix
from blotter.database.model.size import text_size, value_size
from blotter.database.model.table import Index, KeyAttribute, Table, VectorSettings
from blotter.database.model.values import AttributeValue, Item, canonical_bytes

FLOAT_BYTES: Final = 4
MAX_FILTER_BYTES: Final = 10_240
"""The longest value of an INLINE_FILTER attribute (ExtendDB/extenddb, validation/vector_item.rs)."""

NOTHING_KNOWN: Final[Mapping[str, int]] = {}

_OVERFLOW: Final = float(2**128 - 2**103)
"""From here on a number is nearer to 2**128, which is no 32-bit float, than to the greatest one."""
_GREATEST: Final = float(2**128 - 2**104)
_LEAST_NORMAL: Final = 2.0**-126
"""Below this, 32-bit floats are multiples of 2**-149."""
_SUBNORMAL_STEPS: Final = 2**149
_LENGTH: Final = Struct("<I")
_MISSING: Final = 0xFFFFFFFF
# A double halfway between two 32-bit floats ends in 1 and 28 zeros. Its fourth byte then ends in 10000.
_HALFWAY: Final = re.compile(b"[\x10\x30\x50\x70\x90\xb0\xd0\xf0]")
# The last byte of a double that is not zero and less than 2**-111 or so.
_TINY: Final = re.compile(b"[\x01-\x38\x81-\xb8]")


class NotAVector(Exception):
    """A value is not a vector of the wanted number of dimensions. `position` is that of the first wrong element,
    None when the value itself is wrong; `content` is the element's, where its number is out of range."""

    def __init__(self, position: int | None = None, content: str | None = None) -> None:
        super().__init__(position, content)
        self.position = position
        self.content = content


def vector_bytes(elements: Sequence[AttributeValue]) -> bytes:
    """The 32-bit floats nearest to the numbers. Raises NotAVector for an element that is no number, then for one
    that is out of range. Numbers are canonical."""
    try:
        texts: list[str] = [element["N"] for element in elements]
    except KeyError:
        position = next(place for place, element in enumerate(elements) if "N" not in element)
        raise NotAVector(position) from None
    doubles = array("d", map(float, texts))
    if doubles and not (min(doubles) > -_OVERFLOW and max(doubles) < _OVERFLOW):
        for place, number in enumerate(doubles):
            if -_OVERFLOW < number < _OVERFLOW:
                continue
            if abs(Decimal(texts[place])) >= _OVERFLOW:
                raise NotAVector(place, texts[place])
            doubles[place] = math.copysign(_GREATEST, number)  # the number is less, its double is not
    floats = array("f", _singly_rounded(doubles, texts))
    if byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def _singly_rounded(doubles: array[float], texts: list[str]) -> array[float]:
    """The doubles, moved off the middle between two 32-bit floats where the number itself is not there: rounding
    to a double first must not decide how it is rounded to a float."""
    raw = doubles.tobytes() if byteorder == "little" else doubles[::-1].tobytes()[::-1]
    for found in _HALFWAY.finditer(raw[3::8]):
        place = found.start()
        if raw[8 * place : 8 * place + 3] != b"\x00\x00\x00":
            continue
        exact, rounded = Decimal(texts[place]), Decimal(doubles[place])
        if exact != rounded:
            (bits,) = _BITS.unpack(_DOUBLE.pack(doubles[place]))
            farther = (exact > rounded) == (doubles[place] > 0)
            (doubles[place],) = _DOUBLE.unpack(_BITS.pack(bits + (1 if farther else -1)))
    for found in _TINY.finditer(raw[7::8]):
        place = found.start()
        if abs(doubles[place]) < _LEAST_NORMAL:
            doubles[place] = math.ldexp(round(Fraction(texts[place]) * _SUBNORMAL_STEPS), -149)
    return doubles


_DOUBLE: Final = Struct("<d")
_BITS: Final = Struct("<Q")


def vector_of(value: AttributeValue | None, dimensions: int) -> bytes:
    """The floats of a vector with so many dimensions. Raises NotAVector for what is none."""
    elements = None if value is None else value.get("L")
    if elements is None or len(elements) != dimensions:
        raise NotAVector
    return vector_bytes(elements)


def java_number(text: str) -> str:
    """A canonical number as AWS shows it in the messages about vectors, where it is Java's BigDecimal: "1E+39"."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, fraction = digits.partition(".")
    unscaled, exponent = (whole + fraction).lstrip("0") or "0", -len(fraction)
    if not fraction:
        trimmed = unscaled.rstrip("0") or "0"
        exponent = len(unscaled) - len(trimmed)
        unscaled = trimmed
    if exponent == 0:
        return sign + unscaled
    adjusted = exponent + len(unscaled) - 1
    if exponent < 0 and adjusted >= -6:
        return text
    mantissa = unscaled if len(unscaled) == 1 else f"{unscaled[0]}.{unscaled[1:]}"
    return f"{sign}{mantissa}E{adjusted:+d}"


class VectorEntry(NamedTuple):
    """The entry of an item in a vector index."""

    key: bytes
    size: int
    body: bytes
    projected: Item
    """What the index projects beside the vector."""


def entry_key(index: Index, item: Item, base_key: bytes) -> bytes | None:
    """The key of an item's entry, if it has one; None when it has no vector, or no HASH value that can be one."""
    vector = index.vector
    if vector is None or vector.attribute not in item:
        return None
    prefix = partition_of(index, item)
    return None if prefix is None else prefix + base_key


def partition_of(index: Index, item: Item) -> bytes | None:
    """What the keys of all entries begin with that have the HASH value of an item; None when the item has none
    that an index can hold."""
    attributes = index.keys.partition
    if not attributes:
        return b""
    (attribute,) = attributes
    value = item.get(attribute.name)
    if value is None or not value.get(attribute.type) or value_size(value) > MAX_PARTITION_KEY_BYTES:
        return None
    return partition_prefix(index.keys, (value,))


def base_key_of(index: Index, key: bytes) -> bytes | None:
    """The table key in an entry's key; None if the key is too short to hold one."""
    start = partition_length(key) if index.keys.partition else 0
    return None if start is None else key[start:] or None


def vector_entry(
    table: Table, index: Index, item: Item, base_key: bytes, size: int | None = None
) -> VectorEntry | None:
    """The entry of an item in a vector index, or None when it does not belong there: no vector, or one of another
    shape, a HASH attribute that is missing, or an attribute of the search schema that the index cannot hold. A
    write of such an item is refused (`validation.vectors`), unless it has no vector or no HASH attribute; one that
    is older than the index is left out. `size` is that of the vector, if it is known."""
    vector = index.vector
    if vector is None:
        raise ValueError(f"{index.name} is not a vector index")
    key = entry_key(index, item, base_key)
    if key is None:
        return None
    fields: list[bytes] = []
    for attribute in vector.filters:
        field = _field(attribute, item.get(attribute.name))
        if field is None:
            return None
        fields.append(field)
    try:
        floats = vector_of(item[vector.attribute], vector.dimensions)
    except NotAVector:
        return None
    projected = projected_beside(table, index, item)
    metered = FLOAT_BYTES * vector.dimensions + text_size(vector.attribute)
    metered += sum([text_size(name) + value_size(value) for name, value in projected.items()])
    if size is None:
        size = value_size(item[vector.attribute])
    body = _LENGTH.pack(size) + floats + b"".join(fields)
    return VectorEntry(key, metered, body, projected)


def _field(attribute: KeyAttribute, value: AttributeValue | None) -> bytes | None:
    """An INLINE_FILTER value in an entry; None for one that the index cannot hold."""
    if value is None:
        return _LENGTH.pack(_MISSING)
    if attribute.type not in value or value_size(value) > MAX_FILTER_BYTES:
        return None
    content = canonical_bytes(value)
    return _LENGTH.pack(len(content)) + content


def projected_beside(table: Table, index: Index, item: Item) -> Item:
    """What a vector index projects of an item, without the vector."""
    vector = index.vector
    attribute = "" if vector is None else vector.attribute
    if index.projection == "ALL":
        return {name: value for name, value in item.items() if name != attribute}
    names = held_beside(table, index)
    return {name: value for name, value in item.items() if name in names}


def held_beside(table: Table, index: Index) -> set[str]:
    """The attributes beside the vector that a vector index holds whose projection is not ALL."""
    vector = index.vector
    if vector is None:
        raise ValueError(f"{index.name} is not a vector index")
    names = {*table.keys.names, *index.included, *(element.attribute.name for element in vector.schema)}
    names.discard(vector.attribute)
    return names


def projects_vector(index: Index) -> bool:
    vector = index.vector
    return vector is not None and (index.projection == "ALL" or vector.attribute in index.included)


# Reading entries


def floats_of(body: bytes, vector: VectorSettings) -> bytes:
    return body[_LENGTH.size : _LENGTH.size + FLOAT_BYTES * vector.dimensions]


def saved_bytes(body: bytes, vector: VectorSettings) -> int:
    """By how much an item is metered less on a write, and in the table's size, than its numbers take."""
    size: int = _LENGTH.unpack_from(body)[0]
    return size - FLOAT_BYTES * vector.dimensions


def filter_values(body: bytes, vector: VectorSettings) -> Iterator[bytes | None]:
    """The canonical values of the INLINE_FILTER attributes in the order of the search schema, None for one that is
    missing."""
    place = _LENGTH.size + FLOAT_BYTES * vector.dimensions
    while place < len(body):
        (length,) = _LENGTH.unpack_from(body, place)
        place += _LENGTH.size
        if length == _MISSING:
            yield None
        else:
            yield body[place : place + length]
            place += length


def vector_sizes(
    table: Table, item: Item | None, like: Item | None = None, known: Mapping[str, int] = NOTHING_KNOWN
) -> dict[str, int]:
    """What the numbers of an item's vectors take, by attribute, for every vector that an index of the table reads.
    `known` are the sizes of another item, for vectors that both have."""
    sizes: dict[str, int] = {}
    if item is None:
        return sizes
    for index in table.vector_indexes:
        vector: Any = index.vector
        name = vector.attribute
        value = item.get(name)
        if value is None or name in sizes or not _looks_like_vector(value, vector.dimensions):
            continue
        same = like is not None and name in known and like[name] == value
        sizes[name] = known[name] if same else value_size(value)
    return sizes


def metered_size(table: Table, size: int, sizes: Mapping[str, int]) -> int:
    """The bytes of an item as writes are metered on a table with vector indexes: a vector that an index reads
    counts 4 bytes for each dimension, whatever its numbers take. Reads and the limit of 400 KB count the
    numbers. `sizes` are the item's `vector_sizes`."""
    for name, dimensions in {
        index.vector.attribute: index.vector.dimensions for index in table.vector_indexes if index.vector
    }.items():
        if name in sizes:
            size += FLOAT_BYTES * dimensions - sizes[name]
    return size


def _looks_like_vector(value: AttributeValue, dimensions: int) -> bool:
    elements = value.get("L")
    return elements is not None and len(elements) == dimensions and all("N" in element for element in elements)
