"""What PutItem, GetItem, UpdateItem and DeleteItem can be refused for before the table is known.

After a check every attribute value of the request is validated (canonical and well-formed), and expressions are
the only thing left to check; `CHECKS` maps an operation to its check.
Order: dynalite's recorded tests; messages: conformance suite nubo-db/dynamodb-conformance (tier3/error-messages).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.validation.attribute_values import check_item_size, validate_item
from blotter.database.validation.legacy import check_attribute_updates, check_conditional_operator, check_expected
from blotter.database.validation.parameters import (
    PROJECTION,
    Parameters,
    check_attributes_to_get,
    check_names_and_values,
    check_parameters,
)
from blotter.database.wire.requests import DeleteItemInput, GetItemInput, PutItemInput, UpdateItemInput

_CONDITION = Parameters(
    ("ConditionExpression",), ("Expected", "ConditionalOperator"), with_values=("ConditionExpression",)
)
_UPDATE = Parameters(
    ("UpdateExpression", "ConditionExpression"),
    ("AttributeUpdates", "Expected", "ConditionalOperator"),
    with_values=("UpdateExpression", "ConditionExpression"),
)


def check_put_item(request: PutItemInput) -> int:
    """Returns the size of the item in bytes."""
    check_parameters(request, _CONDITION)
    _, size = validate_item(request.Item)
    if request.ReturnValues is not None:
        check_old_values_only(request.ReturnValues)
    check_item_size(size)
    _check_condition(request)
    return size


def check_delete_item(request: DeleteItemInput) -> None:
    check_parameters(request, _CONDITION)
    validate_item(request.Key)
    if request.ReturnValues is not None:
        check_old_values_only(request.ReturnValues)
    _check_condition(request)


def check_update_item(request: UpdateItemInput) -> None:
    check_parameters(request, _UPDATE)
    validate_item(request.Key)
    check_attribute_updates(request.AttributeUpdates)
    _check_condition(request)


def check_get_item(request: GetItemInput) -> None:
    check_parameters(request, PROJECTION)
    validate_item(request.Key)
    check_attributes_to_get(request.AttributesToGet)
    check_names_and_values(request.ExpressionAttributeNames, None)


def check_old_values_only(return_values: str) -> None:
    """Raises ValidationException for ReturnValues that a put or a delete does not know."""
    if return_values not in ("ALL_OLD", "NONE"):
        raise validation_error("ReturnValues can only be ALL_OLD or NONE")


def _check_condition(request: PutItemInput | DeleteItemInput | UpdateItemInput) -> None:
    check_expected(request.Expected)
    check_conditional_operator(request.ConditionalOperator, request.Expected)
    check_names_and_values(request.ExpressionAttributeNames, request.ExpressionAttributeValues)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "DeleteItem": check_delete_item,
    "GetItem": check_get_item,
    "PutItem": check_put_item,
    "UpdateItem": check_update_item,
}
