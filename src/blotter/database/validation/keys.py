"""Checks keys against a table's schema: of whole items, of Key parameters, of start keys.

An item must carry its table's key attributes, of the right type, not empty and not too long; where it carries
index key attributes, those must fit their indexes too. A Key parameter holds the table's key attributes and
nothing else.
Everything here works on validated values; the caller chooses the table or index. Whether an item that
is already stored belongs into an index is decided by `model.keys.index_key`, by the same limits.
Limits: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html (2,048 bytes for
partition keys, 1,024 for sort keys); messages: conformance suite nubo-db/dynamodb-conformance and dynalite's
recorded tests.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.model.keys import (
    MAX_PARTITION_KEY_BYTES,
    MAX_SORT_KEY_BYTES,
    SURELY_SHORT,
    exclusive_start,
    key_size,
)
from blotter.database.model.size import value_size
from blotter.database.model.table import Index, KeyAttribute, KeySchema, Table
from blotter.database.model.values import AttributeValue, Item, type_of
from blotter.database.validation.key_errors import empty_index_key_error, empty_key_error
from blotter.database.validation.vectors import check_given_partitions, check_vector_attributes

SCHEMA_MISMATCH = "The provided key element does not match the schema"
STARTING_KEY_INVALID = "The provided starting key is invalid"


class _IndexKey(NamedTuple):
    index_name: str
    attribute: KeyAttribute
    partition: bool


def check_item_keys(table: Table, item: Item, *, batch: bool = False) -> None:
    """Raises ValidationException when the item's table keys or index keys do not fit; AWS's messages and order.
    A batch write reports a missing or mistyped table key like a Key parameter."""
    for attribute in table.keys.attributes:
        value = item.get(attribute.name)
        content = None if value is None else value.get(attribute.type)
        if value is None or content is None:
            raise validation_error(SCHEMA_MISMATCH) if batch else _key_error(attribute, value)
        if len(content) > SURELY_SHORT or not content:
            _check_content(attribute, value, content, partition=attribute is table.keys.partition[0])
    if table.indexes:
        check_index_keys(table, item)


def _key_error(attribute: KeyAttribute, value: AttributeValue | None) -> DynamoDBError:
    if value is None:
        return parameter_error(f"Missing the key {attribute.name} in the item")
    return parameter_error(
        f"Type mismatch for key {attribute.name} expected: {attribute.type} actual: {type_of(value)}"
    )


def check_index_keys(table: Table, item: Item, *, update: bool = False, computed: bool = False) -> None:
    """Raises ValidationException when an attribute that an index is keyed by has another type, is empty or is
    too long. An attribute that is missing keeps the item out of the index, which is no error. `update` is for the
    values that an update expression gives, `computed` for what it makes of the old item, whose type only shows
    then."""
    for name, attribute, partition in _index_keys(table.indexes):
        value = item.get(attribute.name)
        if value is None:
            continue
        content = value.get(attribute.type)
        if content is None:
            if computed:
                raise validation_error(
                    "The update expression attempted to update the secondary index key to unsupported type"
                )
            raise parameter_error(
                f"Type mismatch for Index Key {attribute.name} Expected: {attribute.type} "
                f"Actual: {type_of(value)} IndexName: {name}"
            )
        if not content:
            raise empty_index_key_error(name, attribute, update=update or computed)
        if len(content) > SURELY_SHORT:
            _check_size(value_size(value), partition)
    for attributes, partition in _compound_keys(table.indexes):
        if all(attribute.name in item for attribute in attributes):
            _check_size(key_size(attributes, [item[each.name][each.type] for each in attributes]), partition)
    if table.vector_indexes and not computed:
        if update:
            check_given_partitions(table, item)
        else:
            check_vector_attributes(table, item)


def check_key(table: Table, key: Item) -> None:
    """Raises ValidationException when a Key parameter is not exactly the table's key."""
    attributes = table.keys.attributes
    if len(key) != len(attributes):
        raise validation_error(SCHEMA_MISMATCH)
    for attribute in attributes:
        value = key.get(attribute.name)
        content = None if value is None else value.get(attribute.type)
        if not content or len(content) > SURELY_SHORT:
            _check_key_values(table.keys, key)
            return


def check_key_length(value: AttributeValue, *, partition: bool) -> None:
    """Raises ValidationException when a query has a key value longer than any item's can be."""
    for content in value.values():
        if len(content) > SURELY_SHORT:
            _check_size(value_size(value), partition)


def check_start_key(table: Table, index: Index | None, key: Item, *, query: bool = False) -> bytes:
    """The storage key of an ExclusiveStartKey, for a read of the table (`index` None) or of an index.

    Raises ValidationException when it is not exactly the key attributes of the table and of the index. A query,
    and a scan of an index, check the attributes they are keyed by first, with messages of their own; then the
    table's key must be whole.
    """
    read = table.keys if index is None else index.keys
    if query or index is not None:
        if len(key) != len({*table.keys.names, *read.names}):
            raise validation_error(STARTING_KEY_INVALID)
        _check_key_values(read, key, missing=STARTING_KEY_INVALID)
    try:
        own = key if index is None else {name: key[name] for name in table.keys.names if name in key}
        check_key(table, own)
    except DynamoDBError as error:
        raise validation_error(f"{STARTING_KEY_INVALID}: {error.message}") from None
    return exclusive_start(table.keys, index, key)


def has_partition(keys: KeySchema, key: Item) -> bool:
    """Whether a start key has well-formed partition attributes, however wrong the rest of it may be."""
    return all(attribute.type in key.get(attribute.name, {}) for attribute in keys.partition)


def _check_key_values(keys: KeySchema, key: Item, *, missing: str = SCHEMA_MISMATCH) -> None:
    """Each attribute in schema order; `missing` is AWS's message when it is not there."""
    partitions = len(keys.partition)
    for position, attribute in enumerate(keys.attributes):
        value = key.get(attribute.name)
        if value is None:
            raise validation_error(missing)
        content = value.get(attribute.type)
        if content is None:
            raise validation_error(SCHEMA_MISMATCH)
        if len(content) > SURELY_SHORT or not content:
            _check_content(attribute, value, content, partition=position < partitions)


def _check_content(attribute: KeyAttribute, value: AttributeValue, content: str, *, partition: bool) -> None:
    if not content:
        raise empty_key_error(attribute)
    _check_size(value_size(value), partition)


def _check_size(size: int, partition: bool) -> None:
    if partition and size > MAX_PARTITION_KEY_BYTES:
        # The missing space is the service's.
        raise parameter_error(
            f"Size of hashkey has exceeded the maximum size limit of{MAX_PARTITION_KEY_BYTES} bytes"
        )
    if not partition and size > MAX_SORT_KEY_BYTES:
        raise parameter_error(
            f"Aggregated size of all range keys has exceeded the size limit of {MAX_SORT_KEY_BYTES} bytes"
        )


@lru_cache(maxsize=256)
def _index_keys(indexes: tuple[Index, ...]) -> tuple[_IndexKey, ...]:
    """The key attributes of all secondary indexes, global ones first; a local index shares its table's partition
    key."""
    found: list[_IndexKey] = []
    for index in sorted(indexes, key=lambda index: index.local):
        if index.vector is not None:
            continue
        attributes = index.keys.sort if index.local else index.keys.attributes
        found.extend(
            _IndexKey(index.name, attribute, attribute in index.keys.partition) for attribute in attributes
        )
    return tuple(found)


@lru_cache(maxsize=256)
def _compound_keys(indexes: tuple[Index, ...]) -> tuple[tuple[tuple[KeyAttribute, ...], bool], ...]:
    """The partition keys (True) and sort keys of several attributes, whose sizes count together."""
    parts = [
        (part, part is keys.partition)
        for keys in (index.keys for index in indexes)
        for part in (keys.partition, keys.sort)
    ]
    return tuple(part for part in parts if len(part[0]) > 1)
