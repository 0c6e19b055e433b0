"""ExecuteStatement: one PartiQL statement.

`prepare_statement` checks what can be checked without the table; the type of its plan shows whether the statement
reads or writes. A SELECT runs in slices (`select`), any other statement in a write transaction
(`writes`). Parameters are checked before the statement is parsed. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/ APIReference/API_ExecuteStatement.html;
paritysuite/dynamodb-conformance, tests/tier2/partiql and tests/tier3/error-messages/partiql*; Floci's
DynamoDbPartiQLEdgeCaseIntegrationTest, captured from the service in September 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from blotter.database.expressions import partiql
from blotter.database.expressions.partiql import problems
from blotter.database.model.capacity import ConsumedCapacity
from blotter.database.model.errors import parameter_error
from blotter.database.model.size import item_size
from blotter.database.model.values import AttributeValue
from blotter.database.operations.answers import Result, answer, encoded_capacity
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.partiql.select import StatementReadPlan
from blotter.database.operations.partiql.touches import touch_of
from blotter.database.operations.partiql.writes import WriteStatement, apply, evaluate, locate
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import WriteTransaction
from blotter.database.validation.attribute_values import check_item_size, validate_value
from blotter.database.wire import requests as wire


class StatementWritePlan(NamedTuple):
    statement: WriteStatement
    show_item: bool
    """Whether the error of a failed condition includes the item."""
    capacity: str | None

    def touches(self) -> tuple[Touch]:
        return (touch_of(self.statement, self.show_item),)


def prepare_statement(request: wire.ExecuteStatementInput) -> StatementReadPlan | StatementWritePlan:
    """Raises ValidationException for a wrong parameter, then for the statement."""
    validate_parameters(request.Parameters)
    statement = bind(request.Statement, request.Parameters)
    if isinstance(statement, partiql.SelectStatement):
        return StatementReadPlan(
            statement,
            request.Statement,
            request.Parameters,
            bool(request.ConsistentRead),
            request.Limit,
            request.NextToken,
            request.ReturnConsumedCapacity,
        )
    if isinstance(statement, partiql.ExistsStatement):
        raise problems.exists_out_of_place()
    show_item = request.ReturnValuesOnConditionCheckFailure == "ALL_OLD"
    return StatementWritePlan(statement, show_item, request.ReturnConsumedCapacity)


MAX_PARAMETERS = 8192
"""A statement has at most 8,192 characters, and each parameter needs one."""


def validate_parameters(parameters: Sequence[AttributeValue] | None) -> None:
    """Validates a statement's parameters in place. Raises ValidationException, without looking at any of them when
    there are more than the longest statement could have place for."""
    if parameters is not None and len(parameters) > MAX_PARAMETERS:
        raise parameter_error(f"Parameters must not have more than {MAX_PARAMETERS} elements")
    partiql.check_parameters(parameters or ())
    for parameter in parameters or ():
        validate_value(parameter)


def bind(text: str, parameters: Sequence[AttributeValue] | None) -> partiql.Statement:
    """The statement of a text with its parameters. Raises ValidationException for what is wrong whatever the
    table, an item of more than 400 KB included."""
    statement = partiql.read(text).bind(parameters)
    if isinstance(statement, partiql.InsertStatement):
        check_item_size(item_size(statement.item))
    return statement


def execute_write(plan: StatementWritePlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for a statement that
    does not fit it; DuplicateItemException or ConditionalCheckFailedException; ValidationException for an update
    that does not fit the item."""
    statement = plan.statement
    table = open_table(tx, context, statement.table)
    write = evaluate(statement, table, locate(statement, table), tx, show_item=plan.show_item)
    consumed = ConsumedCapacity(table.name, True)
    apply(write, tx, context, consumed)
    body = answer(
        (b"ConsumedCapacity", encoded_capacity(consumed, plan.capacity)),
        (b"Items", b"[]" if not write.returned else b"[" + orjson.dumps(write.returned) + b"]"),
    )
    return Result(body, (consumed,))
