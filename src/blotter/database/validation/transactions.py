"""What TransactWriteItems and TransactGetItems can be refused for before their tables are known.

AWS reads the actions one by one, each completely (parameters, values of expressions, expressions, then the item or
key) before the next, so the operation calls `check_action` for one after another; only the form of the list is
checked here at once. Order and messages: conformance suite nubo-db/dynamodb-conformance (tier2/transactions,
tier3/error-messages).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.validation.parameters import Parameters, check_names_and_values, check_parameters
from blotter.database.wire.requests import TransactWriteItemsInput

# A transaction's expression values may have a level more than an item has: recorded in us-east-1, October 2026
# (paritysuite/dynamodb-conformance, tests/tier3/limits/nestingDepth.test.ts).
_DEPTH = 0

_CONDITION = Parameters(("ConditionExpression",), (), with_values=("ConditionExpression",))
_ACTIONS = {
    "ConditionCheck": _CONDITION,
    "Delete": _CONDITION,
    "Get": Parameters(("ProjectionExpression",), ()),
    "Put": _CONDITION,
    "Update": Parameters(
        ("UpdateExpression", "ConditionExpression"), (), with_values=("UpdateExpression", "ConditionExpression")
    ),
}


def check_transact_write_items(request: TransactWriteItemsInput) -> None:
    for item in request.TransactItems:
        given = sum([each is not None for each in (item.ConditionCheck, item.Put, item.Delete, item.Update)])
        if given == 0:
            raise validation_error(
                "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
            )
        if given > 1:
            raise validation_error("TransactItems can only contain one of Check, Put, Update or Delete")


def check_action(kind: str, action: Any) -> None:
    """Checks the parameters of one action ("Put", "Update", "Delete", "ConditionCheck", "Get") and validates its
    expression values in place."""
    check_parameters(action, _ACTIONS[kind])
    check_names_and_values(
        action.ExpressionAttributeNames, None if kind == "Get" else action.ExpressionAttributeValues, _DEPTH
    )


CHECKS: dict[str, Callable[[Any], None]] = {
    "TransactWriteItems": check_transact_write_items,
}
