"""PartiQL: statements to what operations execute.

SELECT, INSERT, UPDATE (both forms), DELETE and EXISTS become the conditions, updates and key ranges that the other
operations use. `docs/architecture/expressions.md` describes how.
"""

from __future__ import annotations

from blotter.database.expressions.partiql.columns import Columns
from blotter.database.expressions.partiql.statements import (
    DeleteStatement,
    ExistsStatement,
    InsertStatement,
    OrderTerm,
    Prepared,
    SelectPlan,
    SelectStatement,
    Statement,
    UpdateStatement,
    read,
    refuse_multiple_key_attributes,
)
from blotter.database.expressions.partiql.values import check_parameters
from blotter.database.expressions.partiql.where import Target, Where

__all__ = [
    "Columns",
    "DeleteStatement",
    "ExistsStatement",
    "InsertStatement",
    "OrderTerm",
    "Prepared",
    "SelectPlan",
    "SelectStatement",
    "Statement",
    "Target",
    "UpdateStatement",
    "Where",
    "check_parameters",
    "read",
    "refuse_multiple_key_attributes",
]
