"""INSERT, UPDATE and DELETE of one item, and EXISTS, as all three PartiQL operations use them.

A statement takes three steps: `locate` finds its item's key in the table, `evaluate` reads the item, checks the
condition and computes the new item, `apply` writes. Nothing is written before everything is checked, so that a
failed statement of a batch writes nothing and a transaction can be canceled as a whole. Sources:
paritysuite/dynamodb-conformance, tests/tier2/partiql (executeStatement, batchExecuteStatement, writeResponses),
recorded from August to October 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from blotter.database.expressions.condition import Condition
from blotter.database.expressions.partiql import (
    DeleteStatement,
    ExistsStatement,
    InsertStatement,
    UpdateStatement,
)
from blotter.database.model.capacity import ConsumedCapacity, write_units
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.size import item_size
from blotter.database.model.table import Table
from blotter.database.model.values import Item
from blotter.database.operations.context import Context
from blotter.database.operations.item_store import Current, write_item
from blotter.database.operations.items import (
    TOO_DEEP,
    check_update_of_table,
    failed_condition,
    read_item,
    updated_attributes,
    updated_item,
)
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.keys import check_item_keys, check_key

WriteStatement: TypeAlias = InsertStatement | UpdateStatement | DeleteStatement
WriteOrCheck: TypeAlias = WriteStatement | ExistsStatement
"""What a transaction may hold beside reads."""


class Location(NamedTuple):
    """The key of a statement's item (the item itself for an INSERT) and the condition on it."""

    key: Item
    condition: Condition | None


class Write(msgspec.Struct, frozen=True, gc=False):
    """A statement that may be carried out: what is there now and what will be, None for no item. `changes` is
    False for EXISTS. `returned` is what RETURNING selects."""

    table: Table
    key: Item
    current: Current
    new: Item | None
    size: int
    changes: bool = True
    returned: Item | None = None


def locate(statement: WriteOrCheck, table: Table) -> Location:
    """Raises ValidationException for a statement that does not fit the table's keys and indexes."""
    if isinstance(statement, InsertStatement):
        check_item_keys(table, statement.item)
        return Location(statement.item, None)
    location = Location(*statement.target(table.keys))
    check_key(table, location.key)
    if isinstance(statement, UpdateStatement):
        check_update_of_table(table, statement.update)
    return location


def evaluate(
    statement: WriteOrCheck, table: Table, location: Location, tx: ReadTransaction, *, show_item: bool
) -> Write:
    """Raises DuplicateItemException, ConditionalCheckFailedException (which includes the item with `show_item`) or
    ValidationException when the current item does not allow the statement."""
    current = read_item(tx, table, location.key)
    if isinstance(statement, InsertStatement):
        if current.stored is not None:
            raise DynamoDBError("DuplicateItemException", "Duplicate primary key exists in table")
        return Write(table, location.key, current, statement.item, item_size(statement.item))
    if isinstance(statement, DeleteStatement) and current.stored is None:
        # The condition does not matter: there is no item that it could refuse.
        return Write(table, location.key, current, None, 0)
    if location.condition is not None and not location.condition.matches(current.item):
        raise failed_condition(table, current, show_item=show_item)
    return _EVALUATIONS[type(statement)](statement, table, location.key, current)


def _update(statement: UpdateStatement, table: Table, key: Item, current: Current) -> Write:
    new, size = updated_item(table, key, statement.update, current.item, too_deep=TOO_DEEP)
    returned = updated_attributes(statement.returning or "NONE", statement.update, current.item, new)
    return Write(table, key, current, new, size, returned=returned)


def _delete(statement: DeleteStatement, table: Table, key: Item, current: Current) -> Write:
    return Write(table, key, current, None, 0, returned=current.item if statement.returning else None)


def _exists(_: ExistsStatement, table: Table, key: Item, current: Current) -> Write:
    return Write(table, key, current, None, 0, changes=False)


_EVALUATIONS: dict[type, Callable[[Any, Table, Item, Current], Write]] = {
    UpdateStatement: _update,
    DeleteStatement: _delete,
    ExistsStatement: _exists,
}


def apply(write: Write, tx: WriteTransaction, context: Context, consumed: ConsumedCapacity) -> None:
    if write.changes:
        write_item(tx, write.table, write.current, write.new, write.size, context, consumed)
    else:
        consumed.table_units += write_units(write.current.size)
