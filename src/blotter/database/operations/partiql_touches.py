"""What a PartiQL statement touches. IAM has actions of its own for PartiQL; EXISTS reads, as a SELECT does.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
"""

from __future__ import annotations

from collections.abc import Iterable

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
from blotter.database.operations.touches import NamesAttributes, Touch, names_of


def touch_of(statement: Statement) -> Touch:
    if isinstance(statement, InsertStatement):
        return Touch("dynamodb:PartiQLInsert", statement.table, statement.item, names_of(statement.item))
    if isinstance(statement, UpdateStatement):
        key, names = _asked(statement.where, statement.update)
        return Touch("dynamodb:PartiQLUpdate", statement.table, key, names)
    if isinstance(statement, DeleteStatement):
        key, names = _asked(statement.where)
        return Touch("dynamodb:PartiQLDelete", statement.table, key, names)
    if isinstance(statement, ExistsStatement):
        key, names = _asked(statement.select.where)
        return Touch("dynamodb:PartiQLSelect", statement.table, key, names)
    return _select(statement)


def _select(statement: SelectStatement) -> Touch:
    key, names = _asked(statement.where, statement.columns)
    attributes = None if statement.columns is None else names
    return Touch("dynamodb:PartiQLSelect", statement.table, key, attributes, statement.index)


def _asked(where: Where | None, *others: NamesAttributes | None) -> tuple[Item | None, frozenset[str]]:
    """The values a WHERE clause requires, and every attribute that is named."""
    if where is None:
        return None, names_of((), *others)
    named: Iterable[str] = where.condition.top_level_names
    return where.equalities() or None, names_of(named, *others)
