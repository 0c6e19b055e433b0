"""GetItem, PutItem, UpdateItem, DeleteItem.

Each has two halves. `prepare_…` takes a request that `validation` has checked, checks what else can be checked
without the table and returns a plan with its expressions compiled. The handler runs inside a storage transaction
and may run more than once, so it reads the plan and never changes it. Bodies are DynamoDB's JSON, for a GetItem:

    {"ConsumedCapacity":{"TableName":"t","CapacityUnits":0.5},"Item":{"id":{"S":"a"}}}
"""

from __future__ import annotations

import msgspec
import orjson

from blotter.database.expressions import (
    Condition,
    ExpressionAttributes,
    Projection,
    Update,
    legacy,
    refuse_nested_keys,
)
from blotter.database.model.capacity import ConsumedCapacity, read_units, write_units
from blotter.database.model.errors import (
    NESTING,
    DynamoDBError,
    condition_failed,
    item_too_large,
    nesting_error,
)
from blotter.database.model.keys import table_key
from blotter.database.model.size import LimitExceeded, item_size, limited_item_size
from blotter.database.model.table import Table
from blotter.database.model.values import AttributeValue, Item
from blotter.database.model.vectors import metered_size, vector_sizes
from blotter.database.operations.answers import Result, answer, encoded, encoded_capacity
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.item_store import Current, read_current, write_item
from blotter.database.operations.placeholders import expression_attributes
from blotter.database.operations.touches import ItemRead, Touch, read_touch, returned_at_most
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.attribute_values import check_item_size
from blotter.database.validation.keys import check_index_keys, check_item_keys, check_key
from blotter.database.validation.vectors import check_vector_attributes
from blotter.database.wire import requests as wire

TOO_DEEP = "Nesting Levels have exceeded supported limits"
"""What a transaction and a PartiQL statement say of an item that an update makes too deep."""


class GetPlan(ItemRead):
    __slots__ = ("capacity", "consistent", "key", "projection")

    def __init__(
        self, table: str, key: Item, consistent: bool, projection: Projection | None, capacity: str | None
    ) -> None:
        super().__init__(table)
        self.key = key
        self.consistent = consistent
        self.projection = projection
        self.capacity = capacity

    def touches(self) -> tuple[Touch]:
        return (read_touch("dynamodb:GetItem", self.table, self.key, self.projection, self.capacity),)


def prepare_get(request: wire.GetItemInput) -> GetPlan:
    """Raises ValidationException for a wrong projection, then for placeholders that nothing uses."""
    if request.AttributesToGet is not None:
        projection: Projection | None = legacy.attributes_to_get(request.AttributesToGet)
    elif request.ProjectionExpression is not None:
        attributes = expression_attributes(request)
        projection = attributes.projection(request.ProjectionExpression)
        attributes.finish()
    else:
        projection = None
    return GetPlan(
        request.TableName, request.Key, bool(request.ConsistentRead), projection, request.ReturnConsumedCapacity
    )


def get_item(plan: GetPlan, tx: ReadTransaction, context: Context) -> Result:
    """Raises ResourceNotFoundException for the table, ValidationException for a key that does not fit it, then for
    a projection that looks inside a key."""
    table = open_table(tx, context, plan.table)
    check_key(table, plan.key)
    projection = plan.projection
    if projection is not None:
        refuse_nested_keys(table, projection)
    stored = tx.get(table.space, table_key(table.keys, plan.key))
    body = None
    if stored is not None:
        body = stored.body if projection is None else orjson.dumps(projection.project(orjson.loads(stored.body)))
    units = read_units(0 if stored is None else stored.size, plan.consistent)
    consumed = ConsumedCapacity(table.name, False, units)
    if plan.capacity is None:
        return Result(b"{}" if body is None else b'{"Item":%b}' % body, (consumed,))
    capacity = encoded_capacity(consumed, plan.capacity)
    return Result(answer((b"ConsumedCapacity", capacity), (b"Item", body)), (consumed,))


class WriteOptions(msgspec.Struct, frozen=True, gc=False):
    """What PutItem, UpdateItem and DeleteItem have in common beside their item or key."""

    table: str
    condition: Condition | None
    return_values: str
    return_item_on_failure: bool
    capacity: str | None
    collection_metrics: bool

    def touch(self, action: str, key: Item, update: Update | None = None) -> Touch:
        expressions = (self.condition, update)
        return Touch(action, self.table, key, expressions, None, "", self.returned, self.capacity)

    @property
    def returned(self) -> str:
        """What a policy is asked about under ReturnValues: the error of a failed condition may return all of the
        old item too."""
        return returned_at_most(self.return_values, self.return_item_on_failure)


class PutPlan(msgspec.Struct, frozen=True, gc=False):
    options: WriteOptions
    item: Item
    size: int

    def touches(self) -> tuple[Touch]:
        return (self.options.touch("dynamodb:PutItem", self.item),)


class DeletePlan(msgspec.Struct, frozen=True, gc=False):
    options: WriteOptions
    key: Item

    def touches(self) -> tuple[Touch]:
        return (self.options.touch("dynamodb:DeleteItem", self.key),)


class UpdatePlan(msgspec.Struct, frozen=True, gc=False):
    options: WriteOptions
    key: Item
    update: Update | None

    def touches(self) -> tuple[Touch]:
        return (self.options.touch("dynamodb:UpdateItem", self.key, self.update),)


AnyWriteInput = wire.PutItemInput | wire.UpdateItemInput | wire.DeleteItemInput
AnyWriteAction = wire.Put | wire.Update | wire.Delete | wire.ConditionCheck


def prepare_put(request: wire.PutItemInput) -> PutPlan:
    """Raises ValidationException for a wrong condition, then for placeholders that nothing uses."""
    attributes = expression_attributes(request)
    options = prepare_options(request, attributes)
    attributes.finish()
    return PutPlan(options, request.Item, item_size(request.Item))


def prepare_delete(request: wire.DeleteItemInput) -> DeletePlan:
    """Raises ValidationException for a wrong condition, then for placeholders that nothing uses."""
    attributes = expression_attributes(request)
    options = prepare_options(request, attributes)
    attributes.finish()
    return DeletePlan(options, request.Key)


def prepare_update(request: wire.UpdateItemInput) -> UpdatePlan:
    """Raises ValidationException for a wrong update, a wrong condition, then for placeholders that nothing
    uses."""
    attributes = expression_attributes(request)
    update: Update | None = None
    if request.UpdateExpression is not None:
        update = attributes.update(request.UpdateExpression)
    elif request.AttributeUpdates is not None:
        update = legacy.attribute_updates(request.AttributeUpdates)
    options = prepare_options(request, attributes)
    attributes.finish()
    return UpdatePlan(options, request.Key, update)


def prepare_options(request: AnyWriteInput, attributes: ExpressionAttributes) -> WriteOptions:
    """The options of a single write. Raises ValidationException for a wrong condition."""
    condition: Condition | None = None
    if request.ConditionExpression is not None:
        condition = attributes.condition("ConditionExpression", request.ConditionExpression)
    elif request.Expected is not None:
        condition = legacy.expected(request.Expected, request.ConditionalOperator)
    return WriteOptions(
        request.TableName,
        condition,
        request.ReturnValues or "NONE",
        request.ReturnValuesOnConditionCheckFailure == "ALL_OLD",
        request.ReturnConsumedCapacity,
        request.ReturnItemCollectionMetrics == "SIZE",
    )


def prepare_action_options(request: AnyWriteAction, attributes: ExpressionAttributes) -> WriteOptions:
    """`prepare_options` for one action of a transaction. It has only some of the members, and asking for one that
    is not there takes longer than all the others together."""
    condition: Condition | None = None
    if request.ConditionExpression is not None:
        condition = attributes.condition("ConditionExpression", request.ConditionExpression)
    returns_item = request.ReturnValuesOnConditionCheckFailure == "ALL_OLD"
    return WriteOptions(request.TableName, condition, "NONE", returns_item, None, False)


def put_item(plan: PutPlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for keys of the table or
    of an index that do not fit, then for a condition that looks inside a key; ConditionalCheckFailedException."""
    options = plan.options
    table = open_table(tx, context, options.table)
    check_item_keys(table, plan.item)
    check_condition_paths(table, options)
    current = read_item(tx, table, plan.item)
    require_condition(table, options, current)
    consumed = ConsumedCapacity(table.name, True)
    write_item(tx, table, current, plan.item, plan.size, context, consumed)
    return _write_answer(options, table, consumed, plan.item, _replaced_body(options, current))


def delete_item(plan: DeletePlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for a key that does not
    fit, then for a condition that looks inside a key; ConditionalCheckFailedException."""
    options = plan.options
    table = open_table(tx, context, options.table)
    check_key(table, plan.key)
    check_condition_paths(table, options)
    current = read_item(tx, table, plan.key)
    require_condition(table, options, current)
    consumed = ConsumedCapacity(table.name, True)
    write_item(tx, table, current, None, 0, context, consumed)
    return _write_answer(options, table, consumed, plan.key, _replaced_body(options, current))


def update_item(plan: UpdatePlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for a key that does not
    fit, for an update that no item of the table may get (`check_update_of_table`), for values over 400 KB, for a
    condition that looks inside a key; ConditionalCheckFailedException; ValidationException for an update that does
    not fit the item (`updated_item`)."""
    options = plan.options
    table = open_table(tx, context, options.table)
    check_key(table, plan.key)
    if plan.update is not None:
        check_update_of_table(table, plan.update)
        check_item_size(plan.update.charge, update=True)
    check_condition_paths(table, options)
    current = read_item(tx, table, plan.key)
    require_condition(table, options, current)
    new, size = updated_item(table, plan.key, plan.update, current.item)
    consumed = ConsumedCapacity(table.name, True)
    write_item(tx, table, current, new, size, context, consumed)
    returned = updated_attributes(options.return_values, plan.update, current.item, new)
    return _write_answer(options, table, consumed, plan.key, None if not returned else orjson.dumps(returned))


def read_item(tx: ReadTransaction, table: Table, item_or_key: Item) -> Current:
    return read_current(tx, table.space, table_key(table.keys, item_or_key))


def _replaced_body(options: WriteOptions, current: Current) -> bytes | None:
    """The stored bytes of the item that a put replaced or a deletion removed, when ReturnValues is ALL_OLD."""
    return current.stored.body if current.stored is not None and options.return_values == "ALL_OLD" else None


def check_update_of_table(table: Table, update: Update) -> None:
    """Raises ValidationException for an update that no item of the table may get: it writes the key, gives an
    index key a value that the index cannot hold, or looks inside a key. Order: dynalite's recorded tests
    (updateItem)."""
    update.refuse_keys(table.keys.names)
    if table.indexes:
        check_index_keys(table, update.given, update=True)
    refuse_nested_keys(table, update)


def check_condition_paths(table: Table, options: WriteOptions) -> None:
    condition = options.condition
    if condition is not None and any(len(path) > 1 for path in condition.paths):
        refuse_nested_keys(table, condition)


def require_condition(table: Table, options: WriteOptions, current: Current) -> None:
    """Raises ConditionalCheckFailedException unless the write's condition holds for the current item."""
    condition = options.condition
    if condition is not None and not condition.matches(current.item):
        raise failed_condition(table, current, show_item=options.return_item_on_failure)


def failed_condition(table: Table, current: Current, *, show_item: bool) -> DynamoDBError:
    """A write whose condition fails consumes what it would have consumed to write the item that is there. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""
    size = current.size
    if table.vector_indexes:
        size = metered_size(table, size, vector_sizes(table, current.item))
    consumed = ConsumedCapacity(table.name, True, write_units(size))
    return condition_failed(current.item if show_item else None, (consumed,))


def updated_item(
    table: Table, key: Item, update: Update | None, old: Item | None, *, too_deep: str = NESTING
) -> tuple[Item | None, int]:
    """The item after an update, and its size. An item that did not exist starts as its key alone; it is not made
    (None) when the update only removes attributes, wherever they would be.

    Raises ValidationException when the update does not fit the item, makes an index key that cannot be one, or an
    item that is too deep (`too_deep` is the message) or too large, in this order.
    """
    base = key if old is None else old
    if update is None:
        new = base
    elif old is None and not update.creates:
        return None, 0
    else:
        new = update.apply(base)
    if table.indexes and update is not None:
        check_index_keys(table, _written(table, update, old, new), computed=True)
        if table.vector_indexes:
            check_vector_attributes(table, new, old, update=True)
    try:
        return new, limited_item_size(new)
    except LimitExceeded as limit:
        raise (nesting_error(too_deep) if limit.deep else item_too_large(update=True)) from None


def _written(table: Table, update: Update, old: Item | None, new: Item) -> Item:
    """The attributes of the new item that can put it into an index in which it was not: those that the update
    names, all of an item that did not exist, and those that form one key together with a named one. An item may
    have values that an index made later cannot hold; they stay as they are."""
    if old is None:
        return new
    names = update.written_names
    written = {name: new[name] for name in names if name in new}
    for index in table.indexes:
        for part in (index.keys.partition, index.keys.sort):
            if len(part) > 1 and any(attribute.name in written for attribute in part):
                written |= {a.name: new[a.name] for a in part if a.name in new and a.type in new[a.name]}
    return written


def updated_attributes(
    return_values: str, update: Update | None, old: Item | None, new: Item | None
) -> dict[str, AttributeValue] | None:
    """What an update returns for ReturnValues; None or empty: no Attributes in the response."""
    if return_values == "ALL_OLD":
        return old
    if return_values == "ALL_NEW":
        return new
    if update is None or new is None or return_values == "NONE":
        return None
    shown = update.updated_new if return_values == "UPDATED_NEW" else update.updated_old
    return shown(old or {}, new)


def _write_answer(
    options: WriteOptions, table: Table, consumed: ConsumedCapacity, key: Item, attributes: bytes | None
) -> Result:
    metrics = collection_metrics(table, key) if options.collection_metrics else None
    body = answer(
        (b"Attributes", attributes),
        (b"ConsumedCapacity", encoded_capacity(consumed, options.capacity)),
        (b"ItemCollectionMetrics", encoded(metrics)),
    )
    return Result(body, (consumed,))


def collection_metrics(table: Table, key: Item) -> dict[str, object] | None:
    """Only tables with a local secondary index have item collections that AWS measures."""
    if not any(index.local for index in table.indexes):
        return None
    partition = table.keys.partition[0].name
    return {"ItemCollectionKey": {partition: key[partition]}, "SizeEstimateRangeGB": [0.0, 1.0]}
