"""Every operation the database answers: how it is prepared, how it is carried out, and what it needs of the store.

This table is the whole dispatch. An operation of the service model that is not in it is refused by name
(`pipeline`), and `docs/differences-from-dynamodb.md` lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from blotter.database.operations import (
    batches,
    items,
    partiql,
    partiql_batch,
    partiql_transaction,
    reading,
    service,
    streams,
    tables,
    tags_and_ttl,
    transactions,
    update_table,
)
from blotter.database.operations.access import Access


class Operation(NamedTuple):
    """`prepare(request) -> plan`; `execute(plan, transaction, context)` -> the answer's bytes, or a generator that
    returns them (SLICES). Without a `prepare` the request is the plan."""

    access: Access
    execute: Callable[[Any, Any, Any], Any]
    prepare: Callable[[Any], Any] | None = None


OPERATIONS: dict[str, Operation] = {
    "GetItem": Operation(Access.READ, items.get_item, items.prepare_get),
    "PutItem": Operation(Access.WRITE, items.put_item, items.prepare_put),
    "UpdateItem": Operation(Access.WRITE, items.update_item, items.prepare_update),
    "DeleteItem": Operation(Access.WRITE, items.delete_item, items.prepare_delete),
    "Query": Operation(Access.SLICES, reading.query, reading.prepare_query),
    "Scan": Operation(Access.SLICES, reading.scan, reading.prepare_scan),
    "BatchGetItem": Operation(Access.READ, batches.batch_get, batches.prepare_batch_get),
    "BatchWriteItem": Operation(Access.WRITE, batches.batch_write, batches.prepare_batch_write),
    "TransactGetItems": Operation(Access.READ, transactions.transact_get, transactions.prepare_transact_get),
    "TransactWriteItems": Operation(
        Access.WRITE, transactions.transact_write, transactions.prepare_transact_write
    ),
    "ExecuteStatement": Operation(Access.PLANNED, partiql.execute_statement, partiql.prepare_statement),
    "BatchExecuteStatement": Operation(
        Access.PLANNED, partiql_batch.batch_execute_statement, partiql_batch.prepare_batch
    ),
    "ExecuteTransaction": Operation(
        Access.PLANNED, partiql_transaction.execute_transaction, partiql_transaction.prepare_transaction
    ),
    "CreateTable": Operation(Access.WRITE, tables.create_table),
    "DescribeTable": Operation(Access.READ, tables.describe),
    "ListTables": Operation(Access.READ, tables.list_tables),
    "UpdateTable": Operation(Access.WRITE, update_table.update_table),
    "DeleteTable": Operation(Access.WRITE, tables.delete_table),
    "TagResource": Operation(Access.WRITE, tags_and_ttl.tag_resource),
    "UntagResource": Operation(Access.WRITE, tags_and_ttl.untag_resource),
    "ListTagsOfResource": Operation(Access.READ, tags_and_ttl.list_tags),
    "UpdateTimeToLive": Operation(Access.WRITE, tags_and_ttl.update_time_to_live),
    "DescribeTimeToLive": Operation(Access.READ, tags_and_ttl.describe_time_to_live),
    "ListStreams": Operation(Access.READ, streams.list_streams),
    "DescribeStream": Operation(Access.READ, streams.describe_stream),
    "GetShardIterator": Operation(Access.READ, streams.get_shard_iterator),
    "GetRecords": Operation(Access.SLICES, streams.get_records, streams.prepare_get_records),
    "DescribeLimits": Operation(Access.READ, service.describe_limits),
    "DescribeEndpoints": Operation(Access.READ, service.describe_endpoints),
}
