"""Storage keys: where an item lies in the key space of its table and of each index.

Table key = hash of the partition (8 bytes) + length of the partition (2) + partition + sort key. Index key =
the same for the index's own attributes, its sort parts self-delimiting, followed by the table key, which makes
it unique. So a key space is in hash order, one partition is one contiguous range, and inside it byte order is
DynamoDB's: strings by UTF-8, binaries by unsigned bytes, numbers by value. Scans, parallel segments and the
distribution over partitions all follow from the first 8 bytes.

A part that is not last in its key is delimited: numbers are so by nature, strings and binaries have 0x00
written as 0x00 0xFF and end in 0x00 0x01. What is written here is on disk: another layout needs another
`KEY_FORMAT`. The table key of {"p": {"S": "ab"}, "s": {"N": "7"}}:

    0e 52 b5 f1 87 de 10 88   00 02   61 62   c1 08 00
    hash of "ab"              length  "ab"    the number 7

Why a hash first:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.Partitions.html

Which items an index holds is decided in one place, `index_key`: every backfill, write and
deletion uses it and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from blotter.database.model.numbers import encode_number
from blotter.database.model.size import value_size
from blotter.database.model.table import Index, KeyAttribute, KeySchema
from blotter.database.model.values import AttributeValue, Item, binary

KEY_FORMAT = "blake2b-64/1"
"""Name of the hash function and the layout; stores write it beside their data and refuse another."""

HASH_BYTES = 8

MAX_PARTITION_KEY_BYTES = 2048
"""All partition key attributes together.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""
MAX_SORT_KEY_BYTES = 1024
"""All sort key attributes together."""
SURELY_SHORT = MAX_SORT_KEY_BYTES // 4
"""A value of no more characters than this cannot be longer than any key may be."""

_MAX_PARTITION_FIELD = 0xFFFF  # two bytes hold a partition's length
_SPACE_SIZE = 1 << 64
_EMPTY_HASH = blake2b(digest_size=HASH_BYTES)
_END = b"\x00\x01"


def hash64(partition: bytes) -> bytes:
    """8 bytes, spread evenly over their range whatever the keys look like. 0.3 µs; MD5 through OpenSSL takes 0.5,
    a CRC 0.1, but clients could choose keys that all fall into one place."""
    hasher = _EMPTY_HASH.copy()  # costs less than making one
    hasher.update(partition)
    return hasher.digest()


def table_key(keys: KeySchema, item: Item) -> bytes:
    """The storage key of an item (or of its key attributes alone), whose keys have been checked."""
    attribute = keys.partition[0]
    type_ = attribute.type
    value = item[attribute.name][type_]
    partition = value.encode() if type_ == "S" else _encode(type_, value)
    hasher = _EMPTY_HASH.copy()  # `hash64` without a call
    hasher.update(partition)
    length = len(partition).to_bytes(2)
    sort_attributes = keys.sort
    if not sort_attributes:
        return b"".join((hasher.digest(), length, partition))
    attribute = sort_attributes[0]
    type_ = attribute.type
    value = item[attribute.name][type_]
    sort = value.encode() if type_ == "S" else _encode(type_, value)
    return b"".join((hasher.digest(), length, partition, sort))


def index_key(index: Index, item: Item, base_key: bytes) -> bytes | None:
    """The storage key of an item in an index, or None when the item does not belong there: an index key attribute
    is missing, has another type, is empty, or the partition or the sort key is too long. `base_key` is the item's
    table key."""
    keys = index.keys
    partition_values = _key_values(keys.partition, item, MAX_PARTITION_KEY_BYTES)
    if partition_values is None:
        return None
    sort_values = _key_values(keys.sort, item, MAX_SORT_KEY_BYTES)
    if sort_values is None:
        return None
    return _index_key(keys, partition_values, sort_values, base_key)


def any_index_key(index: Index, item: Item, base_key: bytes) -> bytes | None:
    """`index_key` without its limits. Versions of this database before 0.2 filled new indexes from items with
    empty and too long values; under this key such an entry is found and removed."""
    keys = index.keys
    contents: list[str] = []
    for attribute in keys.attributes:
        content = item.get(attribute.name, _NO_VALUE).get(attribute.type)
        if content is None or len(content) > _MAX_PARTITION_FIELD:
            return None
        contents.append(content)
    partitions = len(keys.partition)
    try:
        return _index_key(keys, contents[:partitions], contents[partitions:], base_key)
    except OverflowError:  # too long for the length field: no such entry was ever made
        return None


def key_size(attributes: Sequence[KeyAttribute], contents: Sequence[str]) -> int:
    """Bytes of the attributes of a partition or sort key together."""
    total = 0
    for attribute, content in zip(attributes, contents, strict=True):
        total += value_size({attribute.type: content})
    return total


def partition_prefix(keys: KeySchema, values: Sequence[AttributeValue]) -> bytes:
    """What every key of the partition begins with, and no key of another, in a table and in an index alike.
    `values` are those of all partition attributes in schema order."""
    attributes = keys.partition
    if len(attributes) == 1:
        type_ = attributes[0].type
        return _partition_head(_encode(type_, values[0][type_]))
    contents = [value[attribute.type] for attribute, value in zip(attributes, values, strict=True)]
    return _head(attributes, contents)


def partition_length(key: bytes) -> int | None:
    """How many bytes of a key are those of its partition; None for what is too short to be a key."""
    if len(key) < HASH_BYTES + 2:
        return None
    length = HASH_BYTES + 2 + int.from_bytes(key[HASH_BYTES : HASH_BYTES + 2], "big")
    return length if length <= len(key) else None


def sort_prefix(prefix: bytes, values: Sequence[AttributeValue]) -> bytes:
    """The prefix narrowed by equality on the first sort attributes of an index that has several."""
    return prefix + b"".join(_delimited(*_only(value)) for value in values)


def sort_range(
    prefix: bytes, operator: str | None, operands: Sequence[AttributeValue], *, in_index: bool
) -> tuple[bytes, bytes | None]:
    """The keys under a prefix whose next sort attribute satisfies a condition, as start <= key < end.

    `operator` is "=", "<", "<=", ">", ">=", "BETWEEN", "begins_with", or None for no condition; `operands` one
    value, for BETWEEN two, for None those of a leading equality. For an index with several sort attributes, the
    prefix is `sort_prefix(partition_prefix, leading values)`. `end` None is the end of the key space.
    """
    if operator is None:
        prefix = sort_prefix(prefix, operands)
        return prefix, prefix_end(prefix)
    if operator == "begins_with":
        type_, content = _only(operands[0])
        start = prefix + (_escaped(_encode(type_, content)) if in_index else _encode(type_, content))
        return start, prefix_end(start)
    first = _sort_bytes(prefix, operands[0], in_index)
    if operator == "=":
        return first, _after(first, in_index)
    if operator == "<":
        return prefix, first
    if operator == "<=":
        return prefix, _after(first, in_index)
    if operator == ">=":
        return first, prefix_end(prefix)
    if operator == ">":
        # No key comes after the last possible prefix: an empty range.
        after = _after(first, in_index)
        end = prefix_end(prefix)
        return (after, end) if after is not None else (first, first)
    if operator == "BETWEEN":
        return first, _after(_sort_bytes(prefix, operands[1], in_index), in_index)
    raise ValueError(f"no range for the operator {operator}")


def prefix_end(prefix: bytes) -> bytes | None:
    """The first byte string after all that begin with the prefix; None when there is none."""
    trimmed = prefix.rstrip(b"\xff")
    if not trimmed:
        return None
    return trimmed[:-1] + bytes((trimmed[-1] + 1,))


def segment_range(segment: int, total: int) -> tuple[bytes, bytes | None]:
    """The keys of one segment of a parallel scan, as start <= key < end: an equal share of the hash range."""
    start = (_SPACE_SIZE * segment // total).to_bytes(HASH_BYTES)
    if segment + 1 == total:
        return start, None
    return start, (_SPACE_SIZE * (segment + 1) // total).to_bytes(HASH_BYTES)


def exclusive_start(keys: KeySchema, index: Index | None, key: Item) -> bytes:
    """The storage key of a LastEvaluatedKey, in the table (`index` None) or in the index. `keys` are the
    table's; the key has been checked. The item itself need not exist any more."""
    base_key = table_key(keys, key)
    if index is None:
        return base_key
    found = any_index_key(index, key, base_key)
    if found is None:
        raise ValueError("an unchecked exclusive start key")
    return found


def resume_after(
    start: bytes, end: bytes | None, after: bytes, *, reverse: bool = False
) -> tuple[bytes, bytes | None]:
    """What is left of start <= key < end after the storage key `after`, in reading direction. A key outside of
    the range leaves all of it or, as start == end, nothing."""
    if reverse:
        end = after if end is None or after < end else end
        return (start, end) if start < end else (start, start)
    start = max(start, after + b"\x00")
    return (start, end) if end is None or start < end else (end, end)


def _encode(type_: str, content: str) -> bytes:
    if type_ == "S":
        return content.encode()
    if type_ == "N":
        return encode_number(content)
    return binary(content)


def _escaped(content: bytes) -> bytes:
    return content.replace(b"\x00", b"\x00\xff")


def _delimited(type_: str, content: str) -> bytes:
    if type_ == "N":
        return encode_number(content)
    return _escaped(_encode(type_, content)) + _END


def _only(value: AttributeValue) -> tuple[str, str]:
    ((type_, content),) = value.items()
    return type_, content


def _sort_bytes(prefix: bytes, value: AttributeValue, in_index: bool) -> bytes:
    ((type_, content),) = value.items()
    return prefix + (_delimited(type_, content) if in_index else _encode(type_, content))


def _after(key: bytes, in_index: bool) -> bytes | None:
    """The first key after all with exactly this sort value: in a table that is one key, in an index a range."""
    return prefix_end(key) if in_index else key + b"\x00"


def _head(attributes: tuple[KeyAttribute, ...], contents: Sequence[str]) -> bytes:
    if len(attributes) == 1:
        partition = _encode(attributes[0].type, contents[0])
    else:
        partition = b"".join(
            _delimited(attribute.type, content) for attribute, content in zip(attributes, contents, strict=True)
        )
    return _partition_head(partition)


def _partition_head(partition: bytes) -> bytes:
    return hash64(partition) + len(partition).to_bytes(2) + partition


def _index_key(keys: KeySchema, partition: Sequence[str], sort: Sequence[str], base_key: bytes) -> bytes:
    parts = [_head(keys.partition, partition)]
    for attribute, value in zip(keys.sort, sort, strict=True):
        parts.append(_delimited(attribute.type, value))
    parts.append(base_key)
    return b"".join(parts)


_NO_VALUE: AttributeValue = {}


def _key_values(attributes: tuple[KeyAttribute, ...], item: Item, most: int) -> list[str] | None:
    """The contents of the attributes, None when they cannot be a key of at most `most` bytes."""
    values: list[str] = []
    characters = 0
    for attribute in attributes:
        value = item.get(attribute.name)
        if value is None:
            return None
        content = value.get(attribute.type)
        if not content:  # another type, or empty
            return None
        characters += len(content)
        values.append(content)
    if characters > SURELY_SHORT and key_size(attributes, values) > most:
        return None
    return values
