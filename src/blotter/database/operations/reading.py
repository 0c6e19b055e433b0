"""Query and Scan: one page of a table or an index.

`query` and `scan` are generators: `pages` reads the page in slices over one snapshot, and they return its result.
A page that ends before its range does has a LastEvaluatedKey. With ReturnConsumedCapacity INDEXES:

    {"ConsumedCapacity":{…},"Count":1,"Items":[{"p":{"S":"a"}}],
     "LastEvaluatedKey":{"p":{"S":"a"}},"ScannedCount":2}
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from blotter.database.expressions import (
    Condition,
    ExpressionAttributes,
    KeyCondition,
    Projection,
    ResolvedKeyCondition,
    legacy,
    refuse_nested_keys,
)
from blotter.database.expressions.problems import value_text
from blotter.database.model.capacity import read_units
from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.model.keys import (
    exclusive_start,
    partition_prefix,
    resume_after,
    segment_range,
    sort_prefix,
    sort_range,
)
from blotter.database.model.table import Index, KeySchema, Table, is_over
from blotter.database.model.values import Item
from blotter.database.operations.answers import Result, Returned
from blotter.database.operations.context import Context, open_table
from blotter.database.operations.operation import Slices
from blotter.database.operations.pages import KeyRange, PageReader, held_names
from blotter.database.operations.placeholders import expression_attributes
from blotter.database.operations.touches import (
    ALL_ATTRIBUTES,
    ALL_PROJECTED_ATTRIBUTES,
    SPECIFIC_ATTRIBUTES,
    Touch,
)
from blotter.database.storage.protocol import ReadTransaction
from blotter.database.validation.keys import STARTING_KEY_INVALID, check_key_length, check_start_key, has_partition
from blotter.database.wire import requests as wire


class ReadPlan:
    """What Query and Scan have in common."""

    __slots__ = (
        "capacity",
        "consistent",
        "filter",
        "index_name",
        "limit",
        "projection",
        "select",
        "start_key",
        "table",
    )

    def __init__(
        self,
        table: str,
        index_name: str | None,
        limit: int | None,
        start_key: Item | None,
        filter: Condition | None,  # noqa: A002
        projection: Projection | None,
        select: str | None,
        consistent: bool,
        capacity: str | None,
    ) -> None:
        self.table = table
        self.index_name = index_name
        self.limit = limit
        self.start_key = start_key
        self.filter = filter
        self.projection = projection
        self.select = select
        self.consistent = consistent
        self.capacity = capacity

    def touch(self, action: str, key: Item | None, key_condition: KeyCondition | None) -> Touch:
        if self.projection is not None:
            select = SPECIFIC_ATTRIBUTES
        else:
            select = self.select or (ALL_ATTRIBUTES if self.index_name is None else ALL_PROJECTED_ATTRIBUTES)
        expressions = (key_condition, self.projection, self.filter)
        return Touch(action, self.table, key, expressions, self.index_name, select, "", self.capacity)


class QueryPlan:
    __slots__ = ("key_condition", "read", "reverse")

    def __init__(self, read: ReadPlan, key_condition: KeyCondition, reverse: bool) -> None:
        self.read = read
        self.key_condition = key_condition
        self.reverse = reverse

    def touches(self) -> tuple[Touch]:
        clauses = self.key_condition.clauses
        key = {clause.attribute: clause.operands[0] for clause in clauses if clause.operator == "="}
        return (self.read.touch("dynamodb:Query", key, self.key_condition),)


class ScanPlan:
    __slots__ = ("read", "segment", "total_segments")

    def __init__(self, read: ReadPlan, segment: int, total_segments: int) -> None:
        self.read = read
        self.segment = segment
        self.total_segments = total_segments

    def touches(self) -> tuple[Touch]:
        return (self.read.touch("dynamodb:Scan", None, None),)


def prepare_query(request: wire.QueryInput) -> QueryPlan:
    """Raises ValidationException for a wrong key condition, filter, projection, then for placeholders that nothing
    uses, then for what a key condition may not hold."""
    attributes = expression_attributes(request)
    if request.KeyConditionExpression is not None:
        key_condition = attributes.key_condition(request.KeyConditionExpression)
    else:
        key_condition = legacy.key_conditions(request.KeyConditions or {})
    legacy_filter = None
    if request.QueryFilter is not None:
        legacy_filter = legacy.query_filter(request.QueryFilter, request.ConditionalOperator)
    plan = _read_plan(request, attributes, legacy_filter)
    attributes.finish()
    return QueryPlan(plan, key_condition, request.ScanIndexForward is False)


def prepare_scan(request: wire.ScanInput) -> ScanPlan:
    """Raises ValidationException for a wrong filter, projection, then for placeholders that nothing uses."""
    attributes = expression_attributes(request)
    legacy_filter = None
    if request.ScanFilter is not None:
        legacy_filter = legacy.scan_filter(request.ScanFilter, request.ConditionalOperator)
    plan = _read_plan(request, attributes, legacy_filter)
    attributes.finish()
    return ScanPlan(plan, request.Segment or 0, request.TotalSegments or 1)


def _read_plan(
    request: wire.QueryInput | wire.ScanInput, attributes: ExpressionAttributes, legacy_filter: Condition | None
) -> ReadPlan:
    condition = legacy_filter
    if request.FilterExpression is not None:
        condition = attributes.condition("FilterExpression", request.FilterExpression)
    projection: Projection | None = None
    if request.ProjectionExpression is not None:
        projection = attributes.projection(request.ProjectionExpression)
    elif request.AttributesToGet is not None:
        projection = legacy.attributes_to_get(request.AttributesToGet)
    return ReadPlan(
        request.TableName,
        request.IndexName,
        request.Limit,
        request.ExclusiveStartKey,
        condition,
        projection,
        request.Select,
        bool(request.ConsistentRead),
        request.ReturnConsumedCapacity,
    )


def query(plan: QueryPlan, tx: ReadTransaction, context: Context) -> Slices:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for the index, the start
    key and the key condition, key values that are too long, a start key outside of the range, attributes that may
    not be named."""
    read = plan.read
    table, index = _open(tx, context, read, "Query operation not supported on this index type.")
    keys = table.keys if index is None else index.keys
    after = None
    if read.start_key is not None:
        try:
            after = check_start_key(table, index, read.start_key, query=True)
        except DynamoDBError as error:
            # AWS checks the condition along with the key: its errors come before those of later key attributes.
            if error.message != STARTING_KEY_INVALID and has_partition(keys, read.start_key):
                plan.key_condition.resolve(keys)
            raise
    condition = plan.key_condition.resolve(keys)
    _check_lengths(condition)
    key_range = query_range(keys, index, condition)
    if after is not None and read.start_key is not None:
        _check_boundaries(table, index, condition, key_range, read.start_key, after)
        if index is None and not keys.sort:
            raise _nothing_after(read.start_key)
        key_range = resume_after(*key_range, after, reverse=plan.reverse)
    _check_paths(table, index, read, filtered_keys=keys.names)
    page = _page(read, tx, table, index)
    more = yield from page.read(key_range, reverse=plan.reverse)
    return _result(read, page, more and not (index is None and not keys.sort))


def _nothing_after(key: Item) -> DynamoDBError:
    """A query of a table without sort key finds one item at most. So it cannot be started after one, and never
    shows a LastEvaluatedKey."""
    shown = ", ".join([f"{name}={value_text(value)}" for name, value in key.items()])
    return validation_error(f"The provided exclusive start key is invalid: ExclusiveStartKey: {{{shown}}}")


def scan(plan: ScanPlan, tx: ReadTransaction, context: Context) -> Slices:
    """Raises, in this order: ResourceNotFoundException for the table; ValidationException for the index, the start
    key, a start key outside of the segment, attributes that may not be named."""
    read = plan.read
    table, index = _open(tx, context, read, "Scan operation not supported on this index type")
    start, end = segment_range(plan.segment, plan.total_segments)
    if read.start_key is not None:
        try:
            after = check_start_key(table, index, read.start_key)
        except DynamoDBError as error:
            # What a global index does not hold comes before the table's part of the key.
            if index is not None and error.message.startswith(f"{STARTING_KEY_INVALID}: "):
                _check_projected(table, index, read)
            raise
        if after < start or (end is not None and after >= end):
            raise validation_error(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
                f"with correct Segment. TotalSegments: {plan.total_segments} Segment: {plan.segment}"
            )
        start, end = resume_after(start, end, after)
    _check_paths(table, index, read)
    page = _page(read, tx, table, index)
    more = yield from page.read((start, end))
    return _result(read, page, more)


def _open(tx: ReadTransaction, context: Context, read: ReadPlan, of_vectors: str) -> tuple[Table, Index | None]:
    """`of_vectors` is the message about a vector index (nubo-db/dynoxide, tests/vector_indexes.rs, 2026-08-19)."""
    table = open_table(tx, context, read.table)
    if read.index_name is None:
        return table, None
    index = table.index(read.index_name)
    if index is None:
        raise validation_error(f"The table does not have the specified index: {read.index_name}")
    if index.local:
        return table, index
    if read.consistent:
        raise validation_error("Consistent reads are not supported on global secondary indexes")
    if index.vector is not None:
        raise validation_error(of_vectors)
    if index.backfilling or not is_over(index.active_at, context.now):
        raise validation_error(f"Cannot read from backfilling global secondary index: {index.name}")
    return table, index


def _check_paths(table: Table, index: Index | None, read: ReadPlan, *, filtered_keys: Sequence[str] = ()) -> None:
    """Raises ValidationException for attributes that the projection or the filter may not name, in AWS's order:
    keys that the projection looks inside of, keys of a query in its filter, what the index does not hold, keys
    that the filter looks inside of. Order: dynalite's recorded tests (query, scan)."""
    if index is None and read.projection is None and read.filter is None:
        return
    refuse_nested_keys(table, read.projection)
    if read.filter is not None and filtered_keys:
        read.filter.refuse_keys(filtered_keys)
    if index is not None:
        _check_projected(table, index, read)
        if read.filter is not None and filtered_keys:
            _check_filtered(table, index, read.filter)
    refuse_nested_keys(table, read.filter)


def _check_filtered(table: Table, index: Index, condition: Condition) -> None:
    """A query's filter may name only what its index holds, be it global or local; to the filter of a scan, an
    attribute that the index does not hold does not exist.
    Message: paritysuite/dynamodb-conformance, tests/tier3/error-messages/partiqlIndexQualifier; users of
    AppSync."""
    if index.projection == "ALL":
        return
    missing = sorted(condition.top_level_names - held_names(table, index))
    if missing:
        raise parameter_error(
            f"Secondary index {index.name} does not project one or more filter attributes: [{', '.join(missing)}]"
        )


def _check_projected(table: Table, index: Index, read: ReadPlan) -> None:
    """A global index returns only what it holds; a local one gets the rest from its table."""
    if index.local or index.projection == "ALL":
        return
    if read.select == "ALL_ATTRIBUTES":
        raise parameter_error(
            f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} "
            "because its projection type is not ALL"
        )
    if read.projection is not None:
        held = held_names(table, index)
        missing = [name for name in read.projection.top_level_names if name not in held]
        if missing:
            raise parameter_error(
                f"Global secondary index {index.name} does not project [{', '.join(sorted(missing))}]"
            )


def _check_lengths(condition: ResolvedKeyCondition) -> None:
    for value in condition.partition:
        check_key_length(value, partition=True)
    for clause in condition.sort:
        if clause.operator == "=":
            check_key_length(clause.operands[0], partition=False)


def query_range(keys: KeySchema, index: Index | None, condition: ResolvedKeyCondition) -> KeyRange:
    """Equality on the leading sort attributes, and any condition on the next one."""
    prefix = partition_prefix(keys, condition.partition)
    if not condition.sort:
        return sort_range(prefix, None, (), in_index=index is not None)
    last = condition.sort[-1]
    if len(condition.sort) > 1:
        prefix = sort_prefix(prefix, [clause.operands[0] for clause in condition.sort[:-1]])
    return sort_range(prefix, last.operator, last.operands, in_index=index is not None)


def _check_boundaries(
    table: Table,
    index: Index | None,
    condition: ResolvedKeyCondition,
    key_range: KeyRange,
    start_key: Item,
    after: bytes,
) -> None:
    """Raises ValidationException for a start key that no item within the query's range can have. Messages:
    dynalite's recorded tests (query)."""
    names = [attribute.name for attribute in (table.keys if index is None else index.keys).partition]
    same_partition = [start_key[name] for name in names] == list(condition.partition)
    if not condition.sort:
        if not same_partition:
            raise validation_error(
                "The provided starting key is outside query boundaries based on provided conditions"
            )
        return
    if not same_partition:
        moved = start_key | dict(zip(names, condition.partition, strict=True))
        after = exclusive_start(table.keys, index, moved)
    start, end = key_range
    if after < start or (end is not None and after >= end):
        raise validation_error("The provided starting key does not match the range key predicate")
    if not same_partition:
        raise validation_error("The query can return at most one row and cannot be restarted")


def _page(read: ReadPlan, tx: ReadTransaction, table: Table, index: Index | None) -> PageReader:
    return PageReader(
        tx,
        table,
        index,
        limit=read.limit,
        consistent=read.consistent,
        condition=read.filter,
        projection=read.projection,
        fetch=index is not None and _fetches_from_table(read, table, index),
        filter_fetched=True,
    )


def _fetches_from_table(read: ReadPlan, table: Table, index: Index) -> bool:
    """A local index gets from the table what it does not hold itself; a global one was refused before."""
    if not index.local or index.projection == "ALL":
        return False
    if read.select == "ALL_ATTRIBUTES":
        return True
    held = held_names(table, index)
    return read.projection is not None and any(name not in held for name in read.projection.top_level_names)


def _result(read: ReadPlan, page: PageReader, more: bool) -> Result:
    """Joined in one go: a page may have a megabyte. `more`: the page ended before its range."""
    consumed = page.consumed(read_units(page.size, read.consistent))
    pieces = [b"{"]
    if read.capacity is not None and read.capacity != "NONE":
        pieces += b'"ConsumedCapacity":', orjson.dumps(consumed.render(read.capacity)), b","
    pieces.append(b'"Count":%d,' % len(page.bodies))
    if read.select != "COUNT":
        pieces += b'"Items":[', b",".join(page.bodies), b"],"
    if more:
        pieces += b'"LastEvaluatedKey":', orjson.dumps(page.last_evaluated_key()), b","
    pieces.append(b'"ScannedCount":%d}' % page.scanned)
    return Result(b"".join(pieces), (consumed,), Returned(len(page.bodies)))
