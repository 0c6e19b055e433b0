"""ExecuteTransaction: up to 100 PartiQL statements, all reads or all writes, all or none.

A statement that is wrong whatever the table refuses the request, "Validation failed in TransactStatements[n]"; a
missing table, a key that does not fit and a failed condition cancel it with a reason for each statement, as in
TransactWriteItems. A ClientRequestToken works as there. The response to a transaction of writes has no Responses.
Sources: nubo-db/dynamodb-conformance, tests/tier2/partiql/executeTransaction.test.ts; paritysuite/
dynamodb-conformance, tests/tier2/partiql/writeResponses.test.ts and tests/tier3/error-messages/partiql*;
Floci's DynamoDbPartiQLEdgeCaseIntegrationTest and …DocumentedSyntaxIntegrationTest. All were recorded from the
service in 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from blotter.database.expressions import partiql
from blotter.database.expressions.partiql import problems
from blotter.database.model.capacity import Capacities, ConsumedCapacity, read_units
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.keys import table_key
from blotter.database.model.table import Table
from blotter.database.operations.answers import Result, answer, encoded_capacities
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.item_store import LARGE_BODY
from blotter.database.operations.partiql.batch import selected
from blotter.database.operations.partiql.statement import bind, validate_parameters
from blotter.database.operations.partiql.touches import touch_of
from blotter.database.operations.partiql.writes import Location, Write, apply, evaluate, locate
from blotter.database.operations.request_tokens import fingerprint, remember, repetition
from blotter.database.operations.touches import Touch
from blotter.database.operations.transactions import (
    Outcomes,
    all_or_canceled,
    cancellation,
    refuse_repeated,
    refuse_too_large,
)
from blotter.database.storage.protocol import ReadTransaction, StoredItem, WriteTransaction
from blotter.database.validation.keys import SCHEMA_MISMATCH, check_key
from blotter.database.wire import requests as wire

_OPERATION = "ExecuteTransaction"


class TransactionStatement(NamedTuple):
    statement: Any
    show_item: bool
    """Whether the error of a failed condition includes the item."""


class ReadTransactionPlan(NamedTuple):
    members: list[TransactionStatement]
    capacity: str | None

    def touches(self) -> list[Touch]:
        return [touch_of(member.statement, member.show_item) for member in self.members]

    def cancellation(self, refused: Mapping[int, DynamoDBError]) -> DynamoDBError:
        return cancellation(refused, len(self.members))


class WriteTransactionPlan(NamedTuple):
    members: list[TransactionStatement]
    capacity: str | None
    token: str | None
    fingerprint: bytes

    def touches(self) -> list[Touch]:
        return [touch_of(member.statement, member.show_item) for member in self.members]

    def cancellation(self, refused: Mapping[int, DynamoDBError]) -> DynamoDBError:
        return cancellation(refused, len(self.members))


class Opened(NamedTuple):
    """A statement with its table and the place of its item."""

    table: Table
    location: Location

    @property
    def target(self) -> tuple[int, bytes]:
        return self.table.space, table_key(self.table.keys, self.location.key)


def prepare_transaction(
    request: wire.ExecuteTransactionInput,
) -> ReadTransactionPlan | WriteTransactionPlan:
    for statement in request.TransactStatements:
        validate_parameters(statement.Parameters)
    members = []
    for number, statement in enumerate(request.TransactStatements):
        with _validation_of(number):
            bound = bind(statement.Statement, statement.Parameters)
            members.append(TransactionStatement(bound, statement.ReturnValuesOnConditionCheckFailure == "ALL_OLD"))
    reads = [isinstance(member.statement, partiql.SelectStatement) for member in members]
    if any(reads) and not all(reads):
        raise validation_error(
            f"{_OPERATION} API does not support both read and write operations in the same request."
        )
    if any(reads):
        return ReadTransactionPlan(members, request.ReturnConsumedCapacity)
    token = request.ClientRequestToken
    return WriteTransactionPlan(
        members,
        request.ReturnConsumedCapacity,
        token,
        b"" if token is None else fingerprint(request.TransactStatements),
    )


@contextmanager
def _validation_of(number: int) -> Iterator[None]:
    try:
        yield
    except DynamoDBError as error:
        if error.code != "ValidationException":
            raise
        message = f"Validation failed in TransactStatements[{number}]: {error.message}"
        raise validation_error(message) from None


def _open_all(
    members: list[TransactionStatement], tx: ReadTransaction, context: Context
) -> list[Opened | DynamoDBError]:
    return [_open(number, member.statement, tx, context) for number, member in enumerate(members)]


def _open(number: int, statement: Any, tx: ReadTransaction, context: Context) -> Opened | DynamoDBError:
    """The statement with its table, or the error that becomes its cancellation reason. Raises the error that
    refuses the request as a whole."""
    try:
        table = open_table(tx, context, statement.table)
    except DynamoDBError as error:
        return error
    with _validation_of(number):
        _refuse_within_transactions(statement)
        if isinstance(statement, partiql.SelectStatement | partiql.ExistsStatement):
            return _open_read(statement, table)
    try:
        return Opened(table, locate(statement, table))
    except problems.KeyMismatch:
        return validation_error(SCHEMA_MISMATCH)
    except DynamoDBError as error:
        return error


def _refuse_within_transactions(statement: Any) -> None:
    if getattr(statement, "returning", None) is not None:
        raise validation_error("RETURNING clause is not supported in ExecuteTransaction.")
    if getattr(statement, "index", None) is not None:
        raise validation_error("Reads on indices are not supported within transactions.")


def _open_read(
    statement: partiql.SelectStatement | partiql.ExistsStatement, table: Table
) -> Opened | DynamoDBError:
    try:
        if isinstance(statement, partiql.ExistsStatement):
            return Opened(table, locate(statement, table))
        key = statement.key(table.keys, _OPERATION)
        check_key(table, key)
        return Opened(table, Location(key, None))
    except problems.KeyMismatch:
        return validation_error(SCHEMA_MISMATCH)


def write_transaction(plan: WriteTransactionPlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, in this order: ValidationException for a statement that no transaction may hold;
    IdempotentParameterMismatchException; ValidationException for an item named twice;
    TransactionCanceledException; ValidationException for more than 4 MB."""
    opened = _open_all(plan.members, tx, context)
    consumed: list[ConsumedCapacity] | None = None
    if plan.token is not None:
        consumed = repetition(tx, context, plan.token, plan.fingerprint)
    if consumed is None:
        refuse_repeated(part.target for part in opened if isinstance(part, Opened))
        outcomes = Outcomes()
        for member, part in zip(plan.members, opened, strict=True):
            outcomes.add(_evaluate(member, part, tx))
        writes: list[Write] = all_or_canceled(outcomes.all)
        refuse_too_large([write.size for write in writes])
        capacities = Capacities(writes=True, transactional=True)
        for write in writes:
            apply(write, tx, context, capacities.of(write.table.name))
        consumed = capacities.finish()
        if plan.token is not None:
            sizes = [(write.table.name, max(write.current.size, write.size)) for write in writes]
            remember(tx, context, plan.token, plan.fingerprint, sizes)
    body = answer((b"ConsumedCapacity", encoded_capacities(consumed, plan.capacity)), (b"Responses", b"[]"))
    return Result(body, consumed)


def _evaluate(
    member: TransactionStatement, part: Opened | DynamoDBError, tx: ReadTransaction
) -> Write | DynamoDBError:
    if isinstance(part, DynamoDBError):
        return part
    try:
        return evaluate(member.statement, part.table, part.location, tx, show_item=member.show_item)
    except DynamoDBError as error:
        return error


def read_transaction(plan: ReadTransactionPlan, tx: ReadTransaction, context: Context) -> Result:
    """Raises, in this order: ValidationException for a statement that no transaction may hold;
    TransactionCanceledException; ValidationException for an item named twice, then for more than 4 MB."""
    found = all_or_canceled(_open_all(plan.members, tx, context))
    refuse_repeated(part.target for part in found)
    items: list[StoredItem | None] = []
    sizes: list[int] = []
    for part in found:
        stored = tx.get(*part.target)
        items.append(stored)
        sizes.append(0 if stored is None else stored.size)
        refuse_too_large(sizes)
        if stored is not None and len(stored.body) > LARGE_BODY:
            tx.note_work(len(stored.body))
    capacities = Capacities(writes=False, transactional=True)
    for part, size in zip(found, sizes, strict=True):
        capacities.of(part.table.name).table_units += read_units(size, consistent=True)
    consumed = capacities.finish()
    rows = [
        None if stored is None else selected(member.statement, stored.body)
        for member, stored in zip(plan.members, items, strict=True)
    ]
    body = answer(
        (b"ConsumedCapacity", encoded_capacities(consumed, plan.capacity)),
        (b"Responses", b"[" + b",".join(answer((b"Item", row)) for row in rows) + b"]"),
    )
    return Result(body, consumed)
