"""What CreateTable and UpdateTable can be refused for because of vector indexes, before anything is looked up.

A table has up to five, only when it is billed by request. The vector must not be declared in AttributeDefinitions,
what its search schema names must be. Which of two faults of different kinds AWS finds first is not on record.
Messages: Parity Suite, tests/tier3/error-messages/vectorIndexes; nubo-db/dynoxide, tests/vector_indexes.rs
(eu-west-2 and us-east-1, August 2026); ExtendDB/extenddb, crates/core/src/validation/mod.rs (us-east-1, August
2026) for the number of filters. Limits:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#limits-vector-indexes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from blotter.database.model.errors import DynamoDBError, parameter_error
from blotter.database.wire.requests import (
    AttributeDefinition,
    CreateVectorIndexAction,
    SearchSchemaElement,
    VectorIndex,
    VectorIndexUpdate,
)

MAX_VECTOR_INDEXES: Final = 5
MAX_DIMENSIONS: Final = 4096
MAX_INLINE_FILTERS: Final = 18

AnyVectorIndex = VectorIndex | CreateVectorIndexAction


def check_vector_indexes(
    indexes: Sequence[VectorIndex], definitions: Sequence[AttributeDefinition], *, on_demand: bool
) -> None:
    """The vector indexes of a CreateTable; that their names are not taken is checked with those of other
    indexes."""
    if not indexes:
        raise parameter_error("List of VectorIndexes is empty")
    for index in indexes:
        check_vector_index(index, definitions)
    if len(indexes) > MAX_VECTOR_INDEXES:
        raise parameter_error(f"VectorIndex count exceeds the per-table limit of {MAX_VECTOR_INDEXES}")
    dimensions: dict[str, int] = {}
    for index in indexes:
        name = index.VectorAttribute.AttributeName
        if dimensions.setdefault(name, index.Dimensions) != index.Dimensions:
            raise conflicting_dimensions_error(name)
    if not on_demand:
        raise not_on_demand_error()


def check_vector_index(index: AnyVectorIndex, definitions: Sequence[AttributeDefinition]) -> None:
    """Raises ValidationException for an index that no table can have. `definitions` are those of the request: an
    UpdateTable has to repeat what the search schema names."""
    _check_search_schema(index.SearchSchema or ())
    if index.Dimensions > MAX_DIMENSIONS:
        raise parameter_error(f"Number of dimensions must be between 1 and {MAX_DIMENSIONS} inclusive.")
    defined = {definition.AttributeName for definition in definitions}
    attribute = index.VectorAttribute.AttributeName
    if attribute in defined:
        raise parameter_error(
            f"Conflicting attribute definition for '{attribute}'. An attribute cannot be defined in "
            "AttributeDefinitions when used as a VectorAttribute."
        )
    if any(element.AttributeName not in defined for element in index.SearchSchema or ()):
        raise parameter_error("One element in SearchSchema is not defined in attribute definitions")


def check_vector_index_updates(
    updates: Sequence[VectorIndexUpdate], definitions: Sequence[AttributeDefinition]
) -> None:
    """The vector indexes of an UpdateTable. That an empty list and an entry without an action are refused is not
    on record; it is done as for global secondary indexes."""
    if not updates:
        raise parameter_error("List of VectorIndexUpdates is empty")
    for update in updates:
        if update.Create is None and update.Delete is None:
            raise parameter_error("One of VectorIndexUpdate.Create, VectorIndexUpdate.Delete must not be null")
        if update.Create is not None and update.Delete is not None:
            raise parameter_error("Only one vector index action is allowed per VectorIndexUpdate object")
        if update.Create is not None:
            check_vector_index(update.Create, definitions)


def conflicting_dimensions_error(attribute: str) -> DynamoDBError:
    return parameter_error(
        f"Conflicting attribute definition for '{attribute}'. All VectorIndexes on the same vector attribute must "
        "use the same dimensions."
    )


def not_on_demand_error() -> DynamoDBError:
    return parameter_error("Vector indexes are only supported for PAY_PER_REQUEST tables")


def _check_search_schema(schema: Sequence[SearchSchemaElement]) -> None:
    for role, most in (("HASH", 1), ("INLINE_FILTER", MAX_INLINE_FILTERS)):
        count = sum(element.SearchSchemaElementType == role for element in schema)
        if count > most:
            raise parameter_error(
                f"Value '{count}' at 'SearchSchema' failed to satisfy constraint: Member must have {role} count "
                f"less than or equal to {most}"
            )
    if len({element.AttributeName for element in schema}) < len(schema):
        raise parameter_error("SearchSchema contains a duplicate AttributeName")
