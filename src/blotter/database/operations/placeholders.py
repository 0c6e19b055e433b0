"""The placeholders of a request, for its expressions."""

from __future__ import annotations

from typing import Any

from blotter.database.expressions import ExpressionAttributes


def expression_attributes(request: Any) -> ExpressionAttributes:
    """ExpressionAttributeNames and …Values of a request or of one of its actions, which may have neither. The
    values were validated before (`validation.CHECKS`, for an action of a transaction `check_action`)."""
    return ExpressionAttributes(
        getattr(request, "ExpressionAttributeNames", None), getattr(request, "ExpressionAttributeValues", None)
    )
