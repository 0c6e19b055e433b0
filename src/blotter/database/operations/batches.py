"""BatchGetItem and BatchWriteItem: many single requests in one call, each independent, in no promised order.

Limits: 100 keys or 25 writes a call, 16 MB of response or request; keys that do not fit are returned as
UnprocessedKeys. The body of a BatchGetItem:

    {"Responses":{"t":[{"id":{"S":"a"}}]},"UnprocessedKeys":{}}

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html, …_BatchWriteItem.html
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec
import orjson

from blotter.database.expressions import Projection, legacy, refuse_nested_keys
from blotter.database.model.capacity import ConsumedCapacity, read_units
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.keys import table_key
from blotter.database.model.table import Table
from blotter.database.model.values import Item
from blotter.database.operations.answers import Result, answer, encoded, encoded_capacities
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.item_store import read_current, write_item
from blotter.database.operations.items import collection_metrics
from blotter.database.operations.placeholders import expression_attributes
from blotter.database.operations.touches import NOTHING_ELSE, Touch, read_touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.attribute_values import check_item_size, validate_item
from blotter.database.validation.keys import check_item_keys, check_key
from blotter.database.wire import requests as wire
from blotter.database.work_thread import give_way

ANSWER_BYTES = 16 * 1024 * 1024
WRITTEN_BYTES = 32 * 1024 * 1024
"""Bytes as they are stored, in the table and its indexes, after which a BatchWriteItem returns what is left as
UnprocessedItems. Writing more would keep other writers waiting for too long."""


class TableReads(msgspec.Struct, frozen=True, gc=False):
    table: str
    keys: list[Item]
    projection: Projection | None
    consistent: bool
    request: wire.KeysAndAttributes


class BatchGetPlan(msgspec.Struct, frozen=True, gc=False):
    reads: list[TableReads]
    capacity: str | None
    postponed: list[int] = []
    """Numbers of keys, counted over all tables, that are left unprocessed."""

    def touches(self) -> list[Touch]:
        return [
            read_touch("dynamodb:BatchGetItem", read.table, key, read.projection, self.capacity)
            for read in self.reads
            for key in read.keys
        ]

    def postpone(self, numbers: Sequence[int]) -> None:
        self.postponed.extend(numbers)


def prepare_batch_get(request: wire.BatchGetItemInput) -> BatchGetPlan:
    """Raises ValidationException table by table: for a wrong projection, unused placeholders, then wrong keys."""
    reads = []
    for name, wanted in request.RequestItems.items():
        projection: Projection | None = None
        if wanted.ProjectionExpression is not None:
            attributes = expression_attributes(wanted)
            projection = attributes.projection(wanted.ProjectionExpression)
            attributes.finish()
        elif wanted.AttributesToGet is not None:
            projection = legacy.attributes_to_get(wanted.AttributesToGet)
        for key in wanted.Keys:
            give_way()
            validate_item(key)
        reads.append(TableReads(name, wanted.Keys, projection, bool(wanted.ConsistentRead), wanted))
    return BatchGetPlan(reads, request.ReturnConsumedCapacity)


def batch_get(plan: BatchGetPlan, tx: ReadTransaction, context: Context) -> Result:
    """Raises ValidationException for keys given twice, ResourceNotFoundException for a table, then
    ValidationException table by table for keys that do not fit and projections that look inside keys."""
    responses: list[tuple[bytes, bytes]] = []
    unprocessed: dict[str, Any] = {}
    consumed = []
    size = 0
    opened = _opened(plan, tx, context)
    if plan.postponed:
        opened = _without_postponed(opened, frozenset(plan.postponed), unprocessed)
    if len(opened) > 1:
        tx.expect(lambda: [(table.space, key) for _, table, keys in opened for key in keys])
    for read, table, keys in opened:
        found = tx.get_many(table.space, keys, ANSWER_BYTES - size) if size < ANSWER_BYTES else []
        stored = [each for each in found if each is not None]
        size += sum([each[0] for each in stored])
        bodies = [each[1] for each in stored]
        if read.projection is not None:
            tx.note_work(sum(map(len, bodies)))
            bodies = [orjson.dumps(read.projection.project(orjson.loads(body))) for body in bodies]
        responses.append((read.table.encode(), b"[" + b",".join(bodies) + b"]"))
        if len(found) < len(keys):
            later = unprocessed.get(read.table, {}).get("Keys", [])
            unprocessed[read.table] = _unprocessed(read.request, read.keys[len(found) :] + later)
        if found:
            units = sum([read_units(0 if each is None else each[0], read.consistent) for each in found])
            consumed.append(ConsumedCapacity(table.name, False, units))
    body = answer(
        (b"ConsumedCapacity", encoded_capacities(consumed, plan.capacity)),
        (b"Responses", answer(*responses)),
        (b"UnprocessedKeys", encoded(unprocessed)),
    )
    return Result(body, consumed)


def _opened(
    plan: BatchGetPlan, tx: ReadTransaction, context: Context
) -> list[tuple[TableReads, Table, list[bytes]]]:
    """Each table's part with its table and storage keys. Keys given twice are refused before anything else; so
    that only a request that is refused anyway pays for it, they are looked for when another error was found."""
    try:
        opened = [(read, open_table(tx, context, read.table)) for read in plan.reads]
        keyed = [(read, table, _storage_keys(table, read)) for read, table in opened]
    except DynamoDBError:
        for read in plan.reads:
            _refuse_duplicates([orjson.dumps(key, option=orjson.OPT_SORT_KEYS) for key in read.keys])
        raise
    if len(keyed) == 1:
        _refuse_duplicates(keyed[0][2])
    else:
        _refuse_duplicates([(table.space, key) for _, table, keys in keyed for key in keys])
    return keyed


def _without_postponed(
    opened: list[tuple[TableReads, Table, list[bytes]]], postponed: frozenset[int], unprocessed: dict[str, Any]
) -> list[tuple[TableReads, Table, list[bytes]]]:
    """What is read now; the rest goes into `unprocessed`."""
    now, first = [], 0
    for read, table, keys in opened:
        numbers = range(len(read.keys))
        later = [read.keys[n] for n in numbers if first + n in postponed]
        if later:
            unprocessed[read.table] = _unprocessed(read.request, later)
        kept = [n for n in numbers if first + n not in postponed]
        part = msgspec.structs.replace(read, keys=[read.keys[n] for n in kept])
        now.append((part, table, [keys[n] for n in kept]))
        first += len(read.keys)
    return now


def _storage_keys(table: Table, read: TableReads) -> list[bytes]:
    for key in read.keys:
        check_key(table, key)
    refuse_nested_keys(table, read.projection)
    schema = table.keys
    return [table_key(schema, key) for key in read.keys]


def _unprocessed(request: wire.KeysAndAttributes, keys: list[Item]) -> dict[str, Any]:
    """The table's part of the request as it came, with the keys that are left."""
    members = {name: getattr(request, name) for name in request.__struct_fields__}
    return {name: value for name, value in (members | {"Keys": keys}).items() if value is not None}


class TableWrites(msgspec.Struct, frozen=True, gc=False):
    """Each write is (item or key, size): a size of None is a deletion."""

    table: str
    writes: list[tuple[Item, int | None]]


class BatchWritePlan(msgspec.Struct, frozen=True, gc=False):
    tables: list[TableWrites]
    capacity: str | None
    collection_metrics: bool
    postponed: list[int]
    """Numbers of writes, counted over all tables, that are left unprocessed."""

    def touches(self) -> list[Touch]:
        return [
            Touch("dynamodb:BatchWriteItem", writes.table, item, NOTHING_ELSE, None, "", "NONE", self.capacity)
            for writes in self.tables
            for item, _ in writes.writes
        ]

    def postpone(self, numbers: Sequence[int]) -> None:
        self.postponed.extend(numbers)


def prepare_batch_write(request: wire.BatchWriteItemInput) -> BatchWritePlan:
    """Raises ValidationException for the first write whose item or key holds a wrong value or is too large."""
    tables = []
    for name, requests in request.RequestItems.items():
        writes: list[tuple[Item, int | None]] = []
        for write in requests:
            give_way()
            if write.PutRequest is not None:
                item, size = validate_item(write.PutRequest.Item)
                check_item_size(size)
                writes.append((item, size))
            elif write.DeleteRequest is not None:
                writes.append((validate_item(write.DeleteRequest.Key)[0], None))
        tables.append(TableWrites(name, writes))
    return BatchWritePlan(
        tables, request.ReturnConsumedCapacity, request.ReturnItemCollectionMetrics == "SIZE", []
    )


def batch_write(plan: BatchWritePlan, tx: WriteTransaction, context: Context) -> Result:
    """Raises, table by table: ResourceNotFoundException, then ValidationException for keys that do not fit, then
    for an item written twice. Nothing is written unless all of them pass. What is postponed and what exceeds
    `WRITTEN_BYTES` is left unprocessed."""
    checked = []
    for writes in plan.tables:
        table = open_table(tx, context, writes.table)
        checked.append((writes, table, [_checked(table, *write) for write in writes.writes]))
        # Over all tables so far: a table may be named twice, by its name and by its ARN.
        _refuse_duplicates([(table.space, key) for _, table, keys in checked for key in keys])
    tx.expect(lambda: [(table.space, key) for _, table, keys in checked for key in keys])
    consumed = []
    metrics: dict[str, list[Any]] = {}
    written = number = 0
    postponed = frozenset(plan.postponed)
    unprocessed: dict[str, list[dict[str, Any]]] = {}
    for writes, table, keys in checked:
        on_table = ConsumedCapacity(table.name, True)
        consumed.append(on_table)
        for (item, size), key in zip(writes.writes, keys, strict=True):
            number += 1
            if written >= WRITTEN_BYTES or number - 1 in postponed:
                unprocessed.setdefault(writes.table, []).append(_unprocessed_write(item, size))
                continue
            current = read_current(tx, table.space, key)
            new = None if size is None else item
            written += write_item(tx, table, current, new, size or 0, context, on_table)
            measured = collection_metrics(table, item) if plan.collection_metrics else None
            if measured is not None:
                metrics.setdefault(writes.table, []).append(measured)
    body = answer(
        (b"ConsumedCapacity", encoded_capacities(consumed, plan.capacity)),
        (b"ItemCollectionMetrics", encoded(metrics) if metrics else None),
        (b"UnprocessedItems", encoded(unprocessed)),
    )
    return Result(body, consumed)


def _unprocessed_write(item: Item, size: int | None) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": item}} if size is None else {"PutRequest": {"Item": item}}


def _checked(table: Table, item: Item, size: int | None) -> bytes:
    if size is None:
        check_key(table, item)
    else:
        check_item_keys(table, item, batch=True)
    return table_key(table.keys, item)


def _refuse_duplicates(keys: Sequence[Hashable]) -> None:
    if len(set(keys)) < len(keys):
        raise validation_error("Provided list of item keys contains duplicates")
