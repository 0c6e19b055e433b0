"""What a PartiQL statement touches. IAM has actions of its own for PartiQL; EXISTS reads, as a SELECT does.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
"""

from __future__ import annotations

from blotter.database.expressions.partiql import (
    DeleteStatement,
    ExistsStatement,
    InsertStatement,
    SelectStatement,
    Statement,
    UpdateStatement,
)
from blotter.database.expressions.partiql.where import Where
from blotter.database.model.values import Item
from blotter.database.operations.touches import (
    ALL_ATTRIBUTES,
    ALL_PROJECTED_ATTRIBUTES,
    NOTHING_ELSE,
    SPECIFIC_ATTRIBUTES,
    NamesAttributes,
    Touch,
    returned_at_most,
)


def touch_of(statement: Statement, show_item: bool = False) -> Touch:
    """`show_item`: whether the error of a failed condition includes the item."""
    if isinstance(statement, InsertStatement):
        table, item = statement.table, statement.item
        returned = returned_at_most("NONE", show_item)
        return Touch("dynamodb:PartiQLInsert", table, item, NOTHING_ELSE, return_values=returned)
    if isinstance(statement, UpdateStatement):
        returned = returned_at_most(statement.returning or "NONE", show_item)
        return _write("dynamodb:PartiQLUpdate", statement.table, statement.where, statement.update, returned)
    if isinstance(statement, DeleteStatement):
        returned = returned_at_most(statement.returning or "NONE", show_item)
        return _write("dynamodb:PartiQLDelete", statement.table, statement.where, None, returned)
    if isinstance(statement, ExistsStatement):
        # It returns no attribute, only whether there is such an item, or all of one that is not such.
        return _select(statement.select, ALL_ATTRIBUTES if show_item else SPECIFIC_ATTRIBUTES)
    if statement.columns is not None:
        return _select(statement, SPECIFIC_ATTRIBUTES)
    return _select(statement, ALL_ATTRIBUTES if statement.index is None else ALL_PROJECTED_ATTRIBUTES)


def _write(action: str, table: str, where: Where | None, other: NamesAttributes | None, returned: str) -> Touch:
    return Touch(action, table, _key(where), (_condition(where), other), return_values=returned)


def _select(statement: SelectStatement, select: str) -> Touch:
    where = statement.where
    expressions = (_condition(where), statement.columns)
    return Touch(
        "dynamodb:PartiQLSelect", statement.table, _key(where), expressions, statement.index, select, where=where
    )


def _key(where: Where | None) -> Item | None:
    return None if where is None else where.equalities() or None


def _condition(where: Where | None) -> NamesAttributes | None:
    return None if where is None else where.condition
