"""TransactWriteItems and TransactGetItems: up to 100 actions, all or none, on any tables of an account and region.

A write transaction checks every action against the state before it, then applies all of them in the same storage
transaction. An action that cannot be applied cancels the transaction; the reasons are in the order of the actions.
A request repeated with its ClientRequestToken within ten minutes succeeds without a second effect. The body of a
TransactGetItems, and the error of a canceled transaction:

    {"Responses":[{"Item":{"id":{"S":"a"}}},{}]}
    {"__type":"…#TransactionCanceledException","CancellationReasons":[{"Code":"None"},
     {"Code":"ConditionalCheckFailed","Message":"The conditional request failed"}],"Message":"Transaction
     cancelled, …"}

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html and the
conformance suite nubo-db/dynamodb-conformance (tests/tier2/transactions, tests/tier3/error-messages/transact*)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec.structs import replace

from blotter.database.expressions import Projection, Update, refuse_nested_keys
from blotter.database.model.capacity import Capacities, read_units, write_units
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.keys import table_key
from blotter.database.model.table import Table
from blotter.database.model.values import Item
from blotter.database.operations.answers import Result, answer, encoded, encoded_capacities
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.item_store import Current, read_current, write_item
from blotter.database.operations.items import (
    TOO_DEEP,
    WriteOptions,
    check_condition_paths,
    check_update_of_table,
    collection_metrics,
    prepare_action_options,
    require_condition,
    updated_item,
)
from blotter.database.operations.placeholders import expression_attributes
from blotter.database.operations.request_tokens import fingerprint, remember, repetition, token_record
from blotter.database.operations.touches import Touch, read_touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.attribute_values import check_item_size, validate_item
from blotter.database.validation.key_errors import EmptyKeyError
from blotter.database.validation.keys import check_item_keys, check_key
from blotter.database.validation.transactions import check_action
from blotter.database.wire import requests as wire
from blotter.database.work_thread import give_way

TRANSACTION_BYTES = 4 * 1024 * 1024

_Outcome = TypeVar("_Outcome")


class TransactWriteAction(msgspec.Struct, frozen=True, gc=False):
    """One action: `key` holds the item of a Put, else the key; `update` is set for an Update."""

    kind: str
    options: WriteOptions
    key: Item
    size: int
    update: Update | None


# Kind of an action → what IAM calls it.
_ACTIONS = {
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Delete": "dynamodb:DeleteItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
}


class TransactWritePlan(msgspec.Struct, frozen=True, gc=False):
    actions: list[TransactWriteAction]
    capacity: str | None
    collection_metrics: bool
    token: str | None
    fingerprint: bytes

    def touches(self) -> list[Touch]:
        return [
            Touch(
                _ACTIONS[action.kind],
                action.options.table,
                action.key,
                (action.options.condition, action.update),
                None,
                "",
                action.options.returned,
                self.capacity,
            )
            for action in self.actions
        ]

    def cancellation(self, refused: Mapping[int, DynamoDBError]) -> DynamoDBError:
        return cancellation(refused, len(self.actions))


class _Prepared(msgspec.Struct, frozen=True, gc=False):
    """An action that may be applied: what is there now, and what will be."""

    action: TransactWriteAction
    table: Table
    current: Current
    new: Item | None
    size: int


def prepare_transact_write(request: wire.TransactWriteItemsInput) -> TransactWritePlan:
    """Raises ValidationException for the first action that is wrong whatever its table (`_prepare_action`)."""
    actions = [_prepare_action(item) for item in request.TransactItems]
    token = request.ClientRequestToken
    return TransactWritePlan(
        actions,
        request.ReturnConsumedCapacity,
        request.ReturnItemCollectionMetrics == "SIZE",
        token,
        b"" if token is None else fingerprint(request.TransactItems),
    )


def _prepare_action(item: wire.TransactWriteItem) -> TransactWriteAction:
    """Raises what is wrong with an action whatever its table: its parameters and expression values, then its
    expressions, placeholders that nothing uses, and its item or key."""
    give_way()
    kind, request = _given(item)
    check_action(kind, request)
    attributes = expression_attributes(request)
    update = attributes.update(request.UpdateExpression) if kind == "Update" else None
    options = prepare_action_options(request, attributes)
    attributes.finish()
    key, size = validate_item(request.Item if kind == "Put" else request.Key)
    if kind == "Put":
        check_item_size(size)
    return TransactWriteAction(kind, options, key, size, update)


def _given(item: wire.TransactWriteItem) -> tuple[str, Any]:
    """The one action that an element has, as `check_transact_write_items` has made sure."""
    if item.Put is not None:
        return "Put", item.Put
    if item.Update is not None:
        return "Update", item.Update
    if item.Delete is not None:
        return "Delete", item.Delete
    return "ConditionCheck", item.ConditionCheck


def transact_write(plan: TransactWritePlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, in this order: ResourceNotFoundException for a table; IdempotentParameterMismatchException;
    ValidationException for an empty key value; TransactionCanceledException for the first action that does not fit
    its table; ValidationException for an item named twice; TransactionCanceledException with the reasons of all
    actions; ValidationException for more than 4 MB."""
    names = dict.fromkeys([action.options.table for action in plan.actions])
    tables = {name: open_table(tx, context, name) for name in names}
    opened = [(action, tables[action.options.table]) for action in plan.actions]
    tx.expect(lambda: _expected(plan, opened, context))
    if plan.token is not None:
        consumed = repetition(tx, context, plan.token, plan.fingerprint)
        if consumed is not None:
            return Result(answer((b"ConsumedCapacity", encoded_capacities(consumed, plan.capacity))), consumed)
    keys = _action_keys(opened)
    refuse_repeated([(table.space, key) for (_, table), key in zip(opened, keys, strict=True)])
    outcomes = Outcomes()
    for (action, table), key in zip(opened, keys, strict=True):
        outcome = _evaluate(action, table, key, tx)
        outcomes.add(outcome)
        # AWS looks at no action after one that is not valid.
        if isinstance(outcome, DynamoDBError) and outcome.code == "ValidationException":
            break
    prepared: list[_Prepared] = all_or_canceled(outcomes.all, len(opened))
    refuse_too_large([part.size for part in prepared])
    result = _apply(plan, prepared, tx, context)
    if plan.token is not None:
        sizes = [(part.table.name, max(part.current.size, part.size)) for part in prepared]
        remember(tx, context, plan.token, plan.fingerprint, sizes)
    return result


def _expected(
    plan: TransactWritePlan, opened: Sequence[tuple[TransactWriteAction, Table]], context: Context
) -> Iterator[tuple[int, bytes]]:
    """What a transaction reads, as far as its keys are right."""
    if plan.token is not None:
        yield token_record(plan.token, context)
    for action, table in opened:
        try:
            key = _action_key(action, table)
        except EmptyKeyError:
            continue
        if isinstance(key, bytes):
            yield table.space, key


def _action_keys(opened: Sequence[tuple[TransactWriteAction, Table]]) -> list[bytes]:
    """The storage keys of the actions. Raises EmptyKeyError, wherever there is one; then
    TransactionCanceledException when the key of an action, or what it does whatever the item, does not fit its
    table: only the first such action has a reason, and AWS compares no keys and looks at no condition before.
    Source: floci-io/floci#3674, observed on AWS in September 2026."""
    keys: list[bytes] = []
    invalid: list[dict[str, Any]] = []
    for number, (action, table) in enumerate(opened):
        key = _action_key(action, table)
        if isinstance(key, bytes):
            keys.append(key)
        elif not invalid:
            invalid = [*[{"Code": "None"}] * number, reason_of(key)]
    if invalid:
        raise canceled([*invalid, *[{"Code": "None"}] * (len(opened) - len(invalid))])
    return keys


def _action_key(action: TransactWriteAction, table: Table) -> bytes | DynamoDBError:
    """The storage key, or the error that becomes the action's cancellation reason. Raises EmptyKeyError, which
    refuses the request as a whole."""
    try:
        if action.kind == "Put":
            check_item_keys(table, action.key)
        else:
            check_key(table, action.key)
        if action.update is not None:
            check_update_of_table(table, action.update)
        check_condition_paths(table, action.options)
        return table_key(table.keys, action.key)
    except EmptyKeyError:
        raise
    except DynamoDBError as error:
        return error


def refuse_repeated(targets: Iterable[tuple[int, bytes | DynamoDBError]]) -> None:
    """Raises ValidationException when two actions are about one item. `targets` are key spaces and storage keys;
    wrong keys, which are errors, are ignored."""
    items = [target for target in targets if isinstance(target[1], bytes)]
    if len(set(items)) < len(items):
        raise validation_error("Transaction request cannot include multiple operations on one item")


class Outcomes:
    """What becomes of the actions of a transaction, in their order: each a `_Prepared`, a `Write` or an error,
    without what need not be kept: decoded items, and new ones once they make the transaction too large, so that it
    is refused in any case."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._size = 0

    def add(self, outcome: Any) -> None:
        if isinstance(outcome, DynamoDBError):
            self.all.append(outcome.without_trace())
            return
        outcome.current.forget_large()
        self._size += outcome.size
        self.all.append(outcome if self._size <= TRANSACTION_BYTES else replace(outcome, new=None))


def refuse_too_large(sizes: Iterable[int]) -> None:
    """Raises ValidationException when the items of a transaction have more than 4 MB together. That the message
    has "size cannot exceed" is what is recorded of it (paritysuite/dynamodb-conformance, October 2026)."""
    if sum(sizes) > TRANSACTION_BYTES:
        raise validation_error("Transaction item size cannot exceed 4 MB")


def _evaluate(
    action: TransactWriteAction, table: Table, key: bytes, tx: ReadTransaction
) -> _Prepared | DynamoDBError:
    current = read_current(tx, table.space, key)
    try:
        require_condition(table, action.options, current)
        if action.kind == "Put":
            return _Prepared(action, table, current, action.key, action.size)
        if action.kind == "Update":
            new, size = updated_item(table, action.key, action.update, current.item, too_deep=TOO_DEEP)
            return _Prepared(action, table, current, new, size)
    except DynamoDBError as error:
        return error
    return _Prepared(action, table, current, None, 0)


# Error code of a refused action → code of its cancellation reason, and of a statement's error in a batch.
REASON_CODES = {
    "AccessDeniedException": "AccessDenied",
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "DuplicateItemException": "DuplicateItem",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "ResourceNotFoundException": "ResourceNotFound",
    "ThrottlingException": "ThrottlingError",
    "TransactionConflictException": "TransactionConflict",
    "ValidationException": "ValidationError",
}


def reason_of(error: DynamoDBError) -> dict[str, Any]:
    """The cancellation reason that an action's refusal becomes."""
    return {
        "Code": REASON_CODES.get(error.code, error.code),
        "Message": error.message,
        **{name: value for name, value in (error.members or {}).items() if name == "Item"},
    }


def all_or_canceled(outcomes: list[_Outcome | DynamoDBError], count: int = 0) -> list[_Outcome]:
    """The outcomes, all of them successes. Raises TransactionCanceledException with a reason for each, in their
    order, when one of them is an error; of `count` actions those without an outcome have no reason either."""
    accepted = [outcome for outcome in outcomes if not isinstance(outcome, DynamoDBError)]
    if len(accepted) < len(outcomes):
        reasons = [reason_of(each) if isinstance(each, DynamoDBError) else {"Code": "None"} for each in outcomes]
        raise canceled([*reasons, *[{"Code": "None"}] * (count - len(reasons))])
    return accepted


def cancellation(refused: Mapping[int, DynamoDBError], count: int) -> DynamoDBError:
    """The error of a transaction of `count` actions, some of which are refused before it is executed."""
    return canceled([reason_of(refused[n]) if n in refused else {"Code": "None"} for n in range(count)])


def canceled(reasons: list[dict[str, Any]]) -> DynamoDBError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return DynamoDBError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        members={"CancellationReasons": reasons},
    )


def _apply(plan: TransactWritePlan, prepared: list[_Prepared], tx: WriteTransaction, context: Context) -> Result:
    capacities = Capacities(writes=True, transactional=True)
    metrics: dict[str, list[Any]] = {}
    for part in prepared:
        table = part.table
        consumed = capacities.of(table.name)
        if part.action.kind == "ConditionCheck":
            consumed.table_units += write_units(part.current.size)
            continue
        write_item(tx, table, part.current, part.new, part.size, context, consumed)
        measured = collection_metrics(table, part.action.key) if plan.collection_metrics else None
        if measured is not None:
            metrics.setdefault(table.name, []).append(measured)
    consumed_by_all = capacities.finish()
    body = answer(
        (b"ConsumedCapacity", encoded_capacities(consumed_by_all, plan.capacity)),
        (b"ItemCollectionMetrics", encoded(metrics) if metrics else None),
    )
    return Result(body, consumed_by_all)


class TransactGet(msgspec.Struct, frozen=True, gc=False):
    table: str
    key: Item
    projection: Projection | None


class TransactGetPlan(msgspec.Struct, frozen=True, gc=False):
    gets: list[TransactGet]
    capacity: str | None

    def touches(self) -> list[Touch]:
        return [
            read_touch("dynamodb:GetItem", get.table, get.key, get.projection, self.capacity) for get in self.gets
        ]

    def cancellation(self, refused: Mapping[int, DynamoDBError]) -> DynamoDBError:
        return cancellation(refused, len(self.gets))


def prepare_transact_get(request: wire.TransactGetItemsInput) -> TransactGetPlan:
    """Raises ValidationException for the first element that is wrong whatever its table: parameters, projection,
    unused placeholders, then the key's values."""
    gets = []
    for item in request.TransactItems:
        get = item.Get
        projection: Projection | None = None
        check_action("Get", get)
        if get.ProjectionExpression is not None:
            attributes = expression_attributes(get)
            projection = attributes.projection(get.ProjectionExpression)
            attributes.finish()
        validate_item(get.Key)
        gets.append(TransactGet(get.TableName, get.Key, projection))
    return TransactGetPlan(gets, request.ReturnConsumedCapacity)


def transact_get(plan: TransactGetPlan, tx: ReadTransaction, context: Context) -> Result:
    """Raises, in this order: ResourceNotFoundException for a table; ValidationException for an empty key value;
    TransactionCanceledException for keys and projections that do not fit; ValidationException for an item named
    twice, then for more than 4 MB."""
    tables = {name: open_table(tx, context, name) for name in dict.fromkeys([get.table for get in plan.gets])}
    targets = all_or_canceled([_get_target(get, tables[get.table]) for get in plan.gets])
    refuse_repeated(targets)
    tx.expect(lambda: targets)
    found = _read_all(tx, targets)
    refuse_too_large([0 if stored is None else stored[0] for stored in found])
    wanted = list(zip(plan.gets, found, strict=True))
    projected = [len(stored[1]) for get, stored in wanted if stored is not None and get.projection is not None]
    tx.note_work(sum(projected))
    responses = [_response(get.projection, stored) for get, stored in wanted]
    capacities = Capacities(writes=False, transactional=True)
    for get, stored in wanted:
        units = read_units(0 if stored is None else stored[0], consistent=True)
        capacities.of(tables[get.table].name).table_units += units
    consumed = capacities.finish()
    capacity = encoded_capacities(consumed, plan.capacity)
    return Result(
        answer((b"ConsumedCapacity", capacity), (b"Responses", b"[" + b",".join(responses) + b"]")), consumed
    )


def _read_all(tx: ReadTransaction, targets: list[tuple[int, bytes]]) -> list[tuple[int, bytes] | None]:
    """Size and body of each item, None where there is none; perhaps not all, when they exceed a transaction's
    size."""
    keys: dict[int, list[bytes]] = {}
    for space, key in targets:
        keys.setdefault(space, []).append(key)
    found: dict[tuple[int, bytes], tuple[int, bytes] | None] = {}
    for space, of_space in keys.items():
        for key, stored in zip(of_space, tx.get_many(space, of_space, TRANSACTION_BYTES + 1), strict=False):
            found[space, key] = stored
    return [found.get(target) for target in targets]


def _get_target(get: TransactGet, table: Table) -> tuple[int, bytes] | DynamoDBError:
    """Key space and storage key of an item, or the error that becomes its cancellation reason. Raises
    EmptyKeyError, which refuses the request as a whole."""
    try:
        check_key(table, get.key)
        if get.projection is not None:
            refuse_nested_keys(table, get.projection)
        return table.space, table_key(table.keys, get.key)
    except EmptyKeyError:
        raise
    except DynamoDBError as error:
        return error


def _response(projection: Projection | None, stored: tuple[int, bytes] | None) -> bytes:
    """One item's part of the response: without an Item when there is none, or the projection of it is empty."""
    if stored is None:
        return b"{}"
    if projection is None:
        return b'{"Item":%b}' % stored[1]
    projected = projection.project(orjson.loads(stored[1]))
    return answer((b"Item", encoded(projected or None)))
