"""Checks the attributes of items that vector indexes read: vectors and what search schemas name.

A missing attribute is no error: it keeps the item out of the index, or out of the results of a filtered search.
One that is there must fit, in every index of the table, the ones that are being filled included. An update is
checked for what it changes: an item may be older than the index that could not take it. Messages, punctuation
included: Parity Suite, tests/tier3/error-messages/vectorWrites (eu-west-2, 2026-08 to 2026-10); nubo-db/dynoxide,
tests/vector_indexes.rs (eu-west-2 and us-east-1, 2026-08-12 and -13) for values out of range and of another type;
ExtendDB/extenddb, validation/vector_item.rs for the limits of sizes.
"""

from __future__ import annotations

from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.model.keys import MAX_PARTITION_KEY_BYTES
from blotter.database.model.size import value_size
from blotter.database.model.table import Index, SearchElement, Table, VectorSettings
from blotter.database.model.values import AttributeValue, Item, type_of
from blotter.database.model.vectors import MAX_FILTER_BYTES, NotAVector, java_number, vector_of
from blotter.database.validation.key_errors import empty_index_key_error

_INVALID = "One or more parameter values were invalid."


def check_vector_attributes(table: Table, item: Item, old: Item | None = None, *, update: bool = False) -> None:
    """Raises ValidationException for an attribute that a vector index of the table cannot take. What is as it was
    in `old` is not looked at; `update` is for an item that an update expression has made."""
    for index in table.vector_indexes:
        vector = index.vector
        if vector is None:
            continue
        value = _changed(vector.attribute, item, old)
        if value is not None:
            _check_vector(index, vector, value)
        for element in vector.schema:
            value = _changed(element.attribute.name, item, old)
            if value is not None:
                _check_element(index, element, value, update=update)


def check_given_partitions(table: Table, given: Item) -> None:
    """Raises ValidationException for an empty value that an update gives to the HASH attribute of a vector index:
    that is found before the item is read."""
    for index in table.vector_indexes:
        for attribute in index.keys.partition:
            if given.get(attribute.name, {}).get(attribute.type) == "":
                raise empty_index_key_error(index.name, attribute, update=True)


def _changed(name: str, item: Item, old: Item | None) -> AttributeValue | None:
    value = item.get(name)
    return None if value is None or (old is not None and old.get(name) == value) else value


def _check_vector(index: Index, vector: VectorSettings, value: AttributeValue) -> None:
    name = vector.attribute
    elements = value.get("L")
    if elements is None:
        raise validation_error(
            f"{_INVALID} Invalid type for parameter {name}, Expected: 32-bit floating point number list "
            f"IndexName: {index.name}"
        )
    if len(elements) != vector.dimensions:
        raise validation_error(
            f"{_INVALID} Invalid size for parameter {name}, Expected: {vector.dimensions}, "
            f"Actual: {len(elements)} IndexName: {index.name}"
        )
    try:
        vector_of(value, vector.dimensions)
    except NotAVector as wrong:
        raise _element_error(index, f"{name}[{wrong.position}]", wrong, elements[wrong.position or 0]) from None


def _element_error(index: Index, place: str, wrong: NotAVector, element: AttributeValue) -> DynamoDBError:
    if wrong.content is None:
        return validation_error(
            f"{_INVALID} Invalid type for parameter {place}, Expected: 32-bit floating point number, "
            f"Actual: {type_of(element)}. IndexName: {index.name}"
        )
    return validation_error(
        f"{_INVALID} Invalid value for parameter {place}, Value: {java_number(wrong.content)} is outside valid "
        f"range [-3.4028235E38, 3.4028235E38]. IndexName: {index.name}"
    )


def _check_element(index: Index, element: SearchElement, value: AttributeValue, *, update: bool) -> None:
    attribute = element.attribute
    content = value.get(attribute.type)
    if content is None:
        raise validation_error(
            f"{_INVALID} Attribute '{attribute.name}' type mismatch. Expected: {attribute.type}, "
            f"Actual: {type_of(value)}. IndexName: {index.name}"
        )
    if element.role == "HASH":
        if content == "":
            raise empty_index_key_error(index.name, attribute, update=update)
        if value_size(value) > MAX_PARTITION_KEY_BYTES:
            raise parameter_error(
                f"Aggregate size for HASH key attributes exceeds the maximum of {MAX_PARTITION_KEY_BYTES} bytes"
            )
    elif value_size(value) > MAX_FILTER_BYTES:
        raise parameter_error(
            f"Size limit exceeded for SearchSchema attribute '{attribute.name}': maximum {MAX_FILTER_BYTES} bytes"
        )
