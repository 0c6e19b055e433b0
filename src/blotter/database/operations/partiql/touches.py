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
from blotter.database.operations.touches import NOTHING_ELSE, NamesAttributes, Touch


def touch_of(statement: Statement) -> Touch:
    if isinstance(statement, InsertStatement):
        return Touch("dynamodb:PartiQLInsert", statement.table, statement.item, NOTHING_ELSE)
    if isinstance(statement, UpdateStatement):
        return _touch("dynamodb:PartiQLUpdate", statement.table, statement.where, statement.update)
    if isinstance(statement, DeleteStatement):
        return _touch("dynamodb:PartiQLDelete", statement.table, statement.where, None)
    if isinstance(statement, ExistsStatement):
        return _touch("dynamodb:PartiQLSelect", statement.table, statement.select.where, None)
    return _select(statement)


def _touch(action: str, table: str, where: Where | None, other: NamesAttributes | None) -> Touch:
    return Touch(action, table, _key(where), (_condition(where), other))


def _select(statement: SelectStatement) -> Touch:
    key, columns = _key(statement.where), statement.columns
    expressions = None if columns is None else (_condition(statement.where), columns)
    return Touch("dynamodb:PartiQLSelect", statement.table, key, expressions, statement.index)


def _key(where: Where | None) -> Item | None:
    return None if where is None else where.equalities() or None


def _condition(where: Where | None) -> NamesAttributes | None:
    return None if where is None else where.condition
