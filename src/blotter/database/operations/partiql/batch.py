"""BatchExecuteStatement: up to 25 PartiQL statements, all reads or all writes, each independent.

What is wrong with one statement becomes its Error and does not affect the others. A SELECT names one item by its
key; writes see those before them in the batch. ReturnValuesOnConditionCheckFailure does nothing here. Sources:
nubo-db/dynamodb-conformance, tests/tier2/partiql/batchExecuteStatement.test.ts, recorded in August 2026;
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html. The error message
for a batch that mixes reads and writes is recorded nowhere; it follows that of ExecuteTransaction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from blotter.database.expressions import partiql
from blotter.database.expressions.partiql import problems
from blotter.database.model.capacity import Capacities, ConsumedCapacity, read_units
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.keys import table_key
from blotter.database.model.table import Table
from blotter.database.model.values import Item
from blotter.database.operations.answers import Result, answer, encoded, encoded_capacities
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.item_store import LARGE_BODY
from blotter.database.operations.partiql.statement import bind, validate_parameters
from blotter.database.operations.partiql.touches import touch_of
from blotter.database.operations.partiql.writes import WriteStatement, apply, evaluate, locate
from blotter.database.operations.touches import Touch
from blotter.database.operations.transactions import reason_of
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.keys import check_key
from blotter.database.wire import requests as wire

_OPERATION = "BatchExecuteStatement"


class BatchStatement(NamedTuple):
    """A statement, or why it cannot be carried out."""

    statement: partiql.SelectStatement | WriteStatement | DynamoDBError
    consistent: bool


class ReadBatchPlan(NamedTuple):
    """Statements that all read; also a batch in which every statement is refused."""

    members: list[BatchStatement]
    capacity: str | None

    def touches(self) -> list[Touch]:
        return _touches(self.members)

    def refuse(self, number: int, error: DynamoDBError) -> None:
        _refuse(self.members, number, error)


class WriteBatchPlan(NamedTuple):
    members: list[BatchStatement]
    capacity: str | None

    def touches(self) -> list[Touch]:
        return _touches(self.members)

    def refuse(self, number: int, error: DynamoDBError) -> None:
        _refuse(self.members, number, error)


def _touches(members: list[BatchStatement]) -> list[Touch]:
    """One for each statement that can be carried out."""
    return [touch_of(statement) for statement, _ in members if not isinstance(statement, DynamoDBError)]


def _refuse(members: list[BatchStatement], number: int, error: DynamoDBError) -> None:
    places = [place for place, (statement, _) in enumerate(members) if not isinstance(statement, DynamoDBError)]
    members[places[number]] = BatchStatement(error, members[places[number]].consistent)


def prepare_batch(request: wire.BatchExecuteStatementInput) -> ReadBatchPlan | WriteBatchPlan:
    """Raises ValidationException for a batch that both reads and writes."""
    members = [BatchStatement(_bound(member), bool(member.ConsistentRead)) for member in request.Statements]
    reads = [
        isinstance(statement, partiql.SelectStatement)
        for statement, _ in members
        if not isinstance(statement, DynamoDBError)
    ]
    if any(reads) and not all(reads):
        raise validation_error(
            f"{_OPERATION} API does not support both read and write operations in the same request."
        )
    if reads and not any(reads):
        return WriteBatchPlan(members, request.ReturnConsumedCapacity)
    return ReadBatchPlan(members, request.ReturnConsumedCapacity)


def _bound(request: wire.BatchStatementRequest) -> partiql.SelectStatement | WriteStatement | DynamoDBError:
    try:
        validate_parameters(request.Parameters)
        statement = bind(request.Statement, request.Parameters)
    except DynamoDBError as error:
        return error
    return problems.exists_out_of_place() if isinstance(statement, partiql.ExistsStatement) else statement


def read_batch(plan: ReadBatchPlan, tx: ReadTransaction, context: Context) -> Result:
    capacities = Capacities(writes=False, transactional=False)
    return _result(
        [_response(member, tx, context, capacities) for member in plan.members], capacities, plan.capacity
    )


def write_batch(plan: WriteBatchPlan, tx: WriteTransaction, context: Context) -> Result:
    capacities = Capacities(writes=True, transactional=False)
    return _result(
        [_response(member, tx, context, capacities) for member in plan.members], capacities, plan.capacity
    )


def _result(responses: list[bytes], capacities: Capacities, mode: str | None) -> Result:
    consumed = capacities.finish()
    body = answer(
        (b"ConsumedCapacity", encoded_capacities(consumed, mode)),
        (b"Responses", b"[" + b",".join(responses) + b"]"),
    )
    return Result(body, consumed)


def _response(member: BatchStatement, tx: Any, context: Context, capacities: Capacities) -> bytes:
    """The response to one statement. A failed one names its table only when it has got as far as its item."""
    table_name: str | None = None
    try:
        if isinstance(member.statement, DynamoDBError):
            raise member.statement
        table = open_table(tx, context, member.statement.table)
        if isinstance(member.statement, partiql.SelectStatement):
            key = _key(member.statement, table)
            table_name = table.name
            item = _read(member, table, key, tx, capacities.of(table.name))
        else:
            location = locate(member.statement, table)
            table_name = table.name
            write = evaluate(member.statement, table, location, tx, show_item=False)
            apply(write, tx, context, capacities.of(table.name))
            item = orjson.dumps(write.returned) if write.returned else None
    except DynamoDBError as error:
        return answer((b"Error", encoded(reason_of(error))), (b"TableName", encoded(table_name)))
    return answer((b"Item", item), (b"TableName", encoded(table_name)))


def _key(statement: partiql.SelectStatement, table: Table) -> Item:
    index = None if statement.index is None else table.index(statement.index)
    if index is not None:
        partiql.refuse_multiple_key_attributes(index.keys)
    key = statement.key(table.keys, _OPERATION)
    check_key(table, key)
    return key


def _read(
    member: BatchStatement, table: Table, key: Item, tx: ReadTransaction, consumed: ConsumedCapacity
) -> bytes | None:
    stored = tx.get(table.space, table_key(table.keys, key))
    consumed.table_units += read_units(0 if stored is None else stored.size, member.consistent)
    if stored is None:
        return None
    if len(stored.body) > LARGE_BODY:
        tx.note_work(len(stored.body))
    return selected(member.statement, stored.body)


def selected(statement: Any, body: bytes) -> bytes | None:
    """The part of an item that a SELECT projects; None when that is empty."""
    if statement.columns is None:
        return body
    item = statement.columns.project(orjson.loads(body))
    return orjson.dumps(item) if item else None
