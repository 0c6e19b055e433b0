"""Conflicts of transactions: an item belongs to one write transaction from its arrival until its commit.

A transaction that touches an item of another one is canceled with the reason TransactionConflict; a single write
that does is refused with TransactionConflictException. The keys are held in this process: between the workers of
one server there is no conflict, only order, because every write waits for the write lock and sees what is
committed (docs/differences-from-dynamodb.md). A single write pays one lookup in an empty set. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.keys import table_key
from blotter.database.model.table import Table
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.operation import OnConflict, Reading, Writing
from blotter.database.operations.touches import Plan, Touch
from blotter.database.operations.transactions import canceled
from blotter.database.storage.protocol import ReadTransaction

ItemPlace = tuple[int, bytes]
"""Key space and storage key of an item."""

Targets: TypeAlias = "list[ItemPlace | None]"
"""The item of each touch of a plan; None for one that names no item, or none of its table."""

NOTHING_HELD: frozenset[ItemPlace] = frozenset()

_PROCEED, _CANCEL = OnConflict.PROCEED, OnConflict.CANCEL
_ONGOING = "Transaction is ongoing for the item"
_CONFLICT = {"Code": "TransactionConflict", "Message": _ONGOING}


class OngoingTransactions:
    """The items that write transactions of this process hold."""

    def __init__(self) -> None:
        self._held: set[ItemPlace] = set()

    def concern_read(self, reading: Reading[Plan]) -> bool:
        """Whether `refuse` may find a conflict."""
        return bool(self._held) and reading.on_conflict is _CANCEL

    def concern_write(self, writing: Writing[Plan]) -> bool:
        """Whether `hold` has anything to do."""
        return writing.on_conflict is _CANCEL or (bool(self._held) and writing.on_conflict is not _PROCEED)

    def refuse(self, plan: Plan, tx: ReadTransaction, context: Context) -> None:
        """Raises TransactionCanceledException for a transaction that reads an item held by another one."""
        self._cancel(targets_of(plan.touches(), tx, context))

    def hold(self, writing: Writing[Plan], targets: Targets) -> frozenset[ItemPlace]:
        """Holds a write transaction's items until `release`; a single write holds nothing.

        Raises TransactionCanceledException for a transaction and TransactionConflictException for a single write
        that touches an item held by a transaction. A plan whose table or key is wrong passes: executing it finds
        the right error.
        """
        if writing.on_conflict is not _CANCEL:
            if any(target in self._held for target in targets):
                raise DynamoDBError("TransactionConflictException", _ONGOING)
            return NOTHING_HELD
        self._cancel(targets)
        held = frozenset([target for target in targets if target is not None])
        self._held |= held
        return held

    def release(self, held: frozenset[ItemPlace]) -> None:
        if held:
            self._held -= held

    def conflict(self, plan: Plan) -> DynamoDBError:
        """The error of a transaction whose items other writes keep changing."""
        return canceled([_CONFLICT for _ in plan.touches()])

    def _cancel(self, targets: Targets) -> None:
        if not any(target in self._held for target in targets):
            return
        raise canceled([_CONFLICT if target in self._held else {"Code": "None"} for target in targets])


def targets_of(touches: Sequence[Touch], tx: ReadTransaction, context: Context) -> Targets:
    """The item of each touch; None for one that names no item, or none of its table."""
    targets: Targets = []
    resource, table = "", None
    for touch in touches:
        if touch.resource != resource:  # most transactions are about one table
            resource = touch.resource
            table = _find_table(resource, tx, context)
        targets.append(None if table is None else _target(touch, table))
    return targets


def _find_table(resource: str, tx: ReadTransaction, context: Context) -> Table | None:
    try:
        return open_table(tx, context, resource)
    except DynamoDBError:
        return None


def _target(touch: Touch, table: Table) -> ItemPlace | None:
    key = touch.key
    if key is None or touch.index is not None:
        return None
    try:
        return table.space, table_key(table.keys, key)
    except KeyError:
        return None
