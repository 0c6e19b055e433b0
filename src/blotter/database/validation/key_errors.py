"""The errors about key values that are empty."""

from __future__ import annotations

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import KeyAttribute

_EMPTY = {"S": "string", "B": "binary"}


class EmptyKeyError(DynamoDBError):
    """A key attribute whose value is empty: the one fault of a key that refuses a whole transaction at once, where
    any other cancels it with a reason (conformance suite, tier3/error-messages/transact*)."""


def empty_key_error(attribute: KeyAttribute) -> DynamoDBError:
    return EmptyKeyError(
        "ValidationException",
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
        f"empty {_EMPTY[attribute.type]} value. Key: {attribute.name}",
    )


def empty_index_key_error(index_name: str, attribute: KeyAttribute, *, update: bool) -> DynamoDBError:
    """The message for updates names no index: Parity Suite, tier3/error-messages/indexKeyValues (2026-10)."""
    empty = f"The AttributeValue for a key attribute cannot contain an empty {_EMPTY[attribute.type]} value."
    if update:
        return EmptyKeyError(
            "ValidationException",
            "One or more parameter values are not valid. The update expression attempted to update a secondary "
            f"index key to a value that is not supported. {empty}",
        )
    return EmptyKeyError(
        "ValidationException",
        "One or more parameter values are not valid. A value specified for a secondary index key is not "
        f"supported. {empty} IndexName: {index_name}, IndexKey: {attribute.name}",
    )
