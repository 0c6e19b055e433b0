"""What BatchGetItem and BatchWriteItem can be refused for before their tables are known.

The service model limits how many keys one table's list may hold; how many the request may hold is checked
here.
Order and messages: dynalite's recorded tests, conformance suite nubo-db/dynamodb-conformance
(tier3/error-messages); limits:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html, …_BatchWriteItem.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.validation.parameters import (
    PROJECTION,
    check_attributes_to_get,
    check_names_and_values,
    check_parameters,
    mixed_parameters_error,
)
from blotter.database.wire.requests import BatchGetItemInput, BatchWriteItemInput

MAX_KEYS = 100
MAX_WRITES = 25


def check_batch_get_item(request: BatchGetItemInput) -> None:
    reads = request.RequestItems.values()
    if not reads:
        raise validation_error(
            "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1"
        )
    for read in reads:
        check_parameters(read, PROJECTION)
        check_attributes_to_get(read.AttributesToGet)
        check_names_and_values(read.ExpressionAttributeNames, None)
    # Each table's part may be right, and the request still mix both ways of naming attributes.
    if any(read.AttributesToGet is not None for read in reads) and any(
        read.ProjectionExpression is not None for read in reads
    ):
        raise mixed_parameters_error(["AttributesToGet"], ["ProjectionExpression"])
    if sum(len(read.Keys) for read in reads) > MAX_KEYS:
        raise validation_error("Too many items requested for the BatchGetItem call")


def check_batch_write_item(request: BatchWriteItemInput) -> None:
    if not request.RequestItems:
        raise validation_error("The requestItems parameter is required for BatchWriteItem")
    for writes in request.RequestItems.values():
        for write in writes:
            if (write.PutRequest is None) == (write.DeleteRequest is None):
                raise validation_error(
                    "Supplied AttributeValue has more than one datatypes set, "
                    "must contain exactly one of the supported datatypes"
                )
    if sum(map(len, request.RequestItems.values())) > MAX_WRITES:
        raise validation_error("Too many items requested for the BatchWriteItem call")


CHECKS: dict[str, Callable[[Any], None]] = {
    "BatchGetItem": check_batch_get_item,
    "BatchWriteItem": check_batch_write_item,
}
