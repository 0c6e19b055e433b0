"""What Query, Scan and SearchVectors can be refused for before the table is known.

After a check every attribute value of the request is validated, start keys included, and expressions are what is
left to check. Whether a start key fits a table or index is `keys.check_start_key`.
Order: dynalite's recorded tests; messages: conformance suite nubo-db/dynamodb-conformance (tier3/error-messages,
tier1/query/select, tier1/scan/select).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.values import Item
from blotter.database.validation.attribute_values import validate_item
from blotter.database.validation.keys import STARTING_KEY_INVALID
from blotter.database.validation.legacy import check_conditional_operator, check_conditions
from blotter.database.validation.parameters import (
    Parameters,
    check_attributes_to_get,
    check_names_and_values,
    check_parameters,
)
from blotter.database.wire.requests import QueryInput, ScanInput, SearchVectorsInput

MAX_KEY_CONDITIONS = 8
MAX_NEIGHBORS = 100
"""The greatest TopK."""

_QUERY = Parameters(
    ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
    ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
    with_values=("FilterExpression", "KeyConditionExpression"),
)
_SCAN = Parameters(
    ("ProjectionExpression", "FilterExpression"),
    ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
    with_values=("FilterExpression",),
)
_SEARCH = Parameters(
    ("SearchConditionExpression", "ProjectionExpression"), (), with_values=("SearchConditionExpression",)
)
_WITHOUT_PREFIX = re.compile(
    "contains duplicates|number set|numeric value|significant digits|number with magnitude"
)


def check_query(request: QueryInput) -> None:
    check_parameters(request, _QUERY)
    _check_select(request, envelope="1 validation error detected: ")
    check_conditions(request.QueryFilter)
    if request.QueryFilter is not None or request.KeyConditions is None:
        check_conditional_operator(request.ConditionalOperator, request.QueryFilter)
    check_attributes_to_get(request.AttributesToGet)
    if request.ExclusiveStartKey is not None:
        validate_start_key(request.ExclusiveStartKey)
    if request.KeyConditions is None and request.KeyConditionExpression is None:
        raise validation_error(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    check_names_and_values(request.ExpressionAttributeNames, request.ExpressionAttributeValues)
    if request.KeyConditions is not None:
        check_conditions(request.KeyConditions)
        # An index of several attributes takes more than the two that the message still names.
        if not 1 <= len(request.KeyConditions) <= MAX_KEY_CONDITIONS:
            raise validation_error("Conditions can be of length 1 or 2 only")


def check_scan(request: ScanInput) -> None:
    check_parameters(request, _SCAN)
    _check_select(request, envelope="")
    check_attributes_to_get(request.AttributesToGet)
    check_conditions(request.ScanFilter)
    check_conditional_operator(request.ConditionalOperator, request.ScanFilter)
    if request.ExclusiveStartKey is not None:
        validate_start_key(request.ExclusiveStartKey)
    _check_segment(request.Segment, request.TotalSegments)
    check_names_and_values(request.ExpressionAttributeNames, request.ExpressionAttributeValues)


def check_search_vectors(request: SearchVectorsInput) -> None:
    """Order of the first two checks: nubo-db/dynoxide, src/actions/search_vectors.rs."""
    if request.TopK > MAX_NEIGHBORS:
        raise validation_error(
            f"Provided TopK value '{request.TopK}' is out of valid range. The value must be between 1 and "
            f"{MAX_NEIGHBORS} inclusive"
        )
    check_parameters(request, _SEARCH)
    check_names_and_values(request.ExpressionAttributeNames, request.ExpressionAttributeValues)


def validate_start_key(key: Item) -> None:
    """Validates an ExclusiveStartKey in place; most messages get a prefix of their own, but not all."""
    try:
        validate_item(key)
    except DynamoDBError as error:
        if error.code != "ValidationException" or _WITHOUT_PREFIX.search(error.message):
            raise
        raise validation_error(f"{STARTING_KEY_INVALID}: {error.message}") from None


def _check_segment(segment: int | None, total: int | None) -> None:
    if segment is None and total is None:
        return
    if total is None:
        raise validation_error(
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present"
        )
    if segment is None:
        raise validation_error(
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present"
        )
    if segment >= total:
        raise validation_error(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )


def _check_select(request: QueryInput | ScanInput, envelope: str) -> None:
    """Select against what names the attributes. `envelope` begins the message, which differs between Query and
    Scan: getmoto/moto, tests/test_dynamodb/test_dynamodb_select.py, verified in us-east-1 in August 2026."""
    select = request.Select
    if select is None:
        return
    named = (
        "ProjectionExpression"
        if request.ProjectionExpression is not None
        else "AttributesToGet"
        if request.AttributesToGet is not None
        else None
    )
    if select == "SPECIFIC_ATTRIBUTES":
        if named is None:
            raise validation_error(
                f"{envelope}Must specify the AttributesToGet or ProjectionExpression "
                "when choosing to get SPECIFIC_ATTRIBUTES"
            )
        return
    if named is not None:
        what = "only the Count" if select == "COUNT" else select
        raise validation_error(f"{envelope}Cannot specify the {named} when choosing to get {what}")
    if select == "ALL_PROJECTED_ATTRIBUTES" and request.IndexName is None:
        raise validation_error(
            f"{envelope}ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
        )


CHECKS: dict[str, Callable[[Any], None]] = {
    "Query": check_query,
    "Scan": check_scan,
    "SearchVectors": check_search_vectors,
}
