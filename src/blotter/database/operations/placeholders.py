"""The placeholders of a request, made ready for its expressions."""

from __future__ import annotations

from typing import Any

from blotter.database.expressions import ExpressionAttributes
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.validation.attribute_values import admit_value


def expression_attributes(request: Any) -> ExpressionAttributes:
    """ExpressionAttributeNames and …Values of a request or of one of its actions; it may know neither."""
    values = getattr(request, "ExpressionAttributeValues", None)
    for placeholder, value in (values or {}).items():
        try:
            admit_value(value)
        except DynamoDBError as error:
            if error.code != "ValidationException":
                raise
            raise validation_error(
                f"ExpressionAttributeValues contains invalid value: {error.message} for key {placeholder}"
            ) from None
    return ExpressionAttributes(getattr(request, "ExpressionAttributeNames", None), values)
