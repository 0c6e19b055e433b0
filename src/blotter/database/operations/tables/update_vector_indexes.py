"""Vector indexes that UpdateTable adds or deletes, and attributes that are a key and a vector at once.

The life of a vector index is that of a global secondary index (`update_indexes`): allocation, backfilling, ACTIVE,
DELETING, one at a time on a table. Messages: nubo-db/dynoxide, tests/vector_indexes.rs (eu-west-2 and us-east-1,
2026-08-12); ExtendDB/extenddb, crates/core/src/types/table.rs (us-east-1, 2026-08-13) for the limit of five, for
what the request has to define, and for a key that is to be a vector.
"""

from __future__ import annotations

from msgspec.structs import replace

from blotter.database.model.errors import DynamoDBError, parameter_error, table_not_found, validation_error
from blotter.database.model.table import Index, KeyAttribute, KeySchema, Table
from blotter.database.operations.context import Context
from blotter.database.operations.tables.request import AttributeTypes, attribute_types, new_vector_index
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.vector_indexes import (
    MAX_VECTOR_INDEXES,
    conflicting_dimensions_error,
    not_on_demand_error,
)
from blotter.database.wire import requests as wire


def added_vector_index(
    table: Table,
    create: wire.CreateVectorIndexAction,
    request: wire.UpdateTableInput,
    tx: WriteTransaction,
    context: Context,
) -> Table:
    """The table with a new vector index, which is filled by background work."""
    if table.billing_mode != "PAY_PER_REQUEST":
        raise not_on_demand_error()
    if table.index(create.IndexName) is not None:
        raise validation_error("Attempting to create an index which already exists")
    if len(table.vector_indexes) >= MAX_VECTOR_INDEXES:
        raise limit_error(f"Number of vector secondary indexes exceeds per-table limit of {MAX_VECTOR_INDEXES}")
    attribute = create.VectorAttribute.AttributeName
    new = f"VectorIndexSchema:[VectorAttribute: key{{{attribute}:L:{create.Dimensions}}}]"
    stored: AttributeTypes = {key.name: key.type for key in table.key_attributes}
    if attribute in stored:
        raise redefined_error(existing_schema(table, attribute), new)
    for index in table.vector_indexes:
        vector = index.vector
        if vector is not None and vector.attribute == attribute and vector.dimensions != create.Dimensions:
            raise conflicting_dimensions_error(attribute)
    given = attribute_types(request.AttributeDefinitions)
    for element in create.SearchSchema or ():
        name = element.AttributeName
        if stored.get(name, given[name]) != given[name]:
            shown = f"Schema:[SchemaElement: key{{{name}:{given[name]}:{element.SearchSchemaElementType}}}]"
            raise redefined_error(existing_schema(table, name), shown)
        refuse_vector_as_key(table, KeySchema((_key(name, given),)))
    index = new_vector_index(create, given, tx, context.settled_at, backfilling=True)
    return replace(table, indexes=(*table.indexes, index))


def vector_index(table: Table, name: str) -> Index:
    """The vector index that a request wants to delete."""
    index = table.index(name)
    if index is None or index.vector is None:
        raise table_not_found(f"Requested resource not found: Index {name} for table {table.name}")
    return index


def refuse_vector_as_key(table: Table, keys: KeySchema) -> None:
    """Raises ValidationException when a new key has an attribute that a vector index reads as its vector."""
    for index in table.vector_indexes:
        if index.vector is not None and index.vector.attribute in keys.names:
            raise redefined_error(_vector_schema(index), schema_text(keys))


def redefined_error(existing: str, new: str) -> DynamoDBError:
    return parameter_error(
        "Attributes cannot be redefined. Please check that your attribute has the same type as previously "
        f"defined. Existing schema: {existing} New schema: {new}"
    )


def existing_schema(table: Table, name: str) -> str:
    """The schema of the table or index that gave an attribute its type, as messages show it."""
    for keys in (table.keys, *(index.keys for index in table.indexes)):
        if name in keys.names:
            return schema_text(keys)
    for index in table.vector_indexes:
        for element in () if index.vector is None else index.vector.schema:
            if element.attribute.name == name:
                key = element.attribute
                return f"Schema:[SchemaElement: key{{{key.name}:{key.type}:{element.role}}}]"
    raise ValueError(f"{name} has no type in {table.name}")


def schema_text(keys: KeySchema) -> str:
    """A key schema as messages show it: `Schema:[SchemaElement: key{x:S:HASH}]`."""
    elements = [(attribute, "HASH") for attribute in keys.partition]
    elements += [(attribute, "RANGE") for attribute in keys.sort]
    shown = ", ".join(f"SchemaElement: key{{{key.name}:{key.type}:{kind}}}" for key, kind in elements)
    return f"Schema:[{shown}]"


def limit_error(what: str) -> DynamoDBError:
    return DynamoDBError("LimitExceededException", f"Subscriber limit exceeded: {what}")


def _vector_schema(index: Index) -> str:
    vector = index.vector
    if vector is None:
        raise ValueError(f"{index.name} is not a vector index")
    return f"VectorIndexSchema:[VectorAttribute: key{{{vector.attribute}:L:{vector.dimensions}}}]"


def _key(name: str, types: AttributeTypes) -> KeyAttribute:
    return KeyAttribute(name, types[name])
