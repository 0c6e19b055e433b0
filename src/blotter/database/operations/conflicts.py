"""Transactions that meet: an item belongs to one transaction from its admission until its commit.

A transaction that wants an item of another one is cancelled with TransactionConflict; a single write that does is
refused with TransactionConflictException. The keys are held in this process: between the workers of one server
there is no conflict, only order, because every write waits for the turn and sees what is committed
(docs/differences-from-dynamodb.md). Storing nothing, it costs a single write one look at an empty set.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
"""

from __future__ import annotations

from typing import Any

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.keys import table_key
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.items import DeletePlan, PutPlan, UpdatePlan
from blotter.database.operations.partiql import WritePlan
from blotter.database.operations.partiql_transaction import TransactionPlan, find_target
from blotter.database.operations.transactions import TransactGetPlan, TransactWritePlan, cancelled
from blotter.database.storage.protocol import ReadTransaction

Target = tuple[int, bytes]
"""Key space and storage key of an item."""

_TRANSACTIONS = (TransactWritePlan, TransactionPlan)
_ONGOING = "Transaction is ongoing for the item"


class OngoingTransactions:
    """The items that transactions of this process hold."""

    def __init__(self) -> None:
        self._held: set[Target] = set()

    def concern(self, plan: Any) -> bool:
        """Whether `hold` has anything to do for a plan: quick, for every request."""
        return bool(self._held) or isinstance(plan, _TRANSACTIONS)

    def hold(self, plan: Any, tx: ReadTransaction, context: Context) -> frozenset[Target]:
        """Holds a write transaction's items, which the caller releases; any other plan holds nothing.

        Raises TransactionCanceledException for a transaction and TransactionConflictException for a single write
        that meets another one. A plan whose table or key is wrong passes: its own checks find better words.
        """
        if isinstance(plan, TransactWritePlan):
            return self._hold(
                _targets([(action.options.table, action.key) for action in plan.actions], tx, context)
            )
        if isinstance(plan, TransactionPlan):
            targets = [find_target(member.statement, tx, context) for member in plan.members]
            if plan.writes:
                return self._hold(targets)
            self._refuse(targets)
        if isinstance(plan, TransactGetPlan):
            self._refuse(_targets([(get.table, get.key) for get in plan.gets], tx, context))
        elif isinstance(plan, PutPlan | UpdatePlan | DeletePlan):
            key = plan.item if isinstance(plan, PutPlan) else plan.key
            self._refuse_single(_target(plan.options.table, key, tx, context))
        elif isinstance(plan, WritePlan):
            self._refuse_single(find_target(plan.statement, tx, context))
        return frozenset()

    def _hold(self, targets: list[Target | None]) -> frozenset[Target]:
        self._refuse(targets)
        held = frozenset(target for target in targets if target is not None)
        self._held |= held
        return held

    def release(self, held: frozenset[Target]) -> None:
        if held:
            self._held -= held

    def _refuse_single(self, target: Target | None) -> None:
        if target in self._held:
            raise DynamoDBError("TransactionConflictException", _ONGOING)

    def _refuse(self, targets: list[Target | None]) -> None:
        if not any(target in self._held for target in targets):
            return
        conflict = {"Code": "TransactionConflict", "Message": _ONGOING}
        raise cancelled([conflict if target in self._held else {"Code": "None"} for target in targets])


def _targets(items: list[tuple[str, Any]], tx: ReadTransaction, context: Context) -> list[Target | None]:
    return [_target(table, item, tx, context) for table, item in items]


def _target(table_name: str, item: Any, tx: ReadTransaction, context: Context) -> Target | None:
    try:
        table = open_table(tx, context, table_name)
        return table.space, table_key(table.keys, item)
    except (DynamoDBError, KeyError):
        return None
