"""The life of a table: CreateTable, DescribeTable, ListTables, DeleteTable. UpdateTable lives in update_table.py.

A table's state follows from timestamps in the catalog (`Table.status_at`), so nothing is forgotten by a restart.
A deleted table stays DELETING for the configured delay and is then gone for every reader; background work
(`background.tables`) takes its rows away later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from blotter.database.model.errors import resource_in_use, validation_error
from blotter.database.model.table import Table, TableStatus
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, find_table, get_table, table_name
from blotter.database.operations.contributor_insights import remove_insights_of
from blotter.database.operations.resource_policies import attach, remove_policies
from blotter.database.operations.streams.kinesis_destinations import remove_destinations
from blotter.database.operations.streams.registry import disable_stream
from blotter.database.operations.tables import quotas
from blotter.database.operations.tables.catalog import save_table
from blotter.database.operations.tables.description import describe_created, describe_table
from blotter.database.operations.tables.request import new_table, refuse_unimplemented, tag_pairs
from blotter.database.operations.tables.under_way import check_may_delete, in_use_error, still_in_use
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.resource_policies import parse_resource_policy
from blotter.database.wire import requests as wire

LIST_TABLES_PAGE = 100


def touches_of_create(request: wire.CreateTableInput) -> Sequence[Touch]:
    """Tags and a resource policy need the permissions that setting them later needs. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-create-table.html"""
    tags: tuple[tuple[str, str | None], ...] = tuple(tag_pairs(request.Tags or ()))
    touches = [Touch("dynamodb:CreateTable", request.TableName, tags=tags)]
    if tags:
        touches.append(Touch("dynamodb:TagResource", request.TableName, tags=tags))
    if request.ResourcePolicy is not None:
        touches.append(Touch("dynamodb:PutResourcePolicy", request.TableName))
    return touches


def create_table(request: wire.CreateTableInput, tx: WriteTransaction, context: Context) -> bytes:
    refuse_unimplemented(request, "CreateTable")
    policy = None
    if request.ResourcePolicy is not None:
        policy = parse_resource_policy(request.ResourcePolicy, stream=False)
    name = table_name(context, request.TableName)
    existing = tx.find_table(context.account, context.region, name)
    if existing is not None:
        if existing.is_gone_at(context.now):
            remove_policies(tx, existing)
            remove_destinations(tx, existing, context.now)
            remove_insights_of(tx, existing)
            tx.remove_table(existing)
        elif existing.restore is not None:
            raise still_in_use(f"Table is being used: {name}")  # ack-api-quirks, DDB-TABLE-444
        elif existing.status_at(context.now) is TableStatus.CREATING:
            raise in_use_error(TableStatus.CREATING, name)
        else:
            raise resource_in_use(f"Table already exists: {name}")
    table = new_table(request, name, tx, context)
    quotas.check_new_table(tx, table, context)
    save_table(tx, table)
    if policy is not None:
        attach(tx, context, table.arn, policy)
    return answer((b"TableDescription", encoded(describe_created(tx, table, context.now))))


def describe(request: wire.DescribeTableInput, tx: ReadTransaction, context: Context) -> bytes:
    table = get_table(tx, context, request.TableName, even_restoring=True)
    return answer((b"Table", encoded(describe_table(tx, table, context.now))))


def list_tables(request: wire.ListTablesInput, tx: ReadTransaction, context: Context) -> bytes:
    """Names in byte order. A page holds `Limit` names (100 at most); the key of the next page is its last name."""
    limit = request.Limit or LIST_TABLES_PAGE
    names: list[str] = []
    after = request.ExclusiveStartTableName or ""
    more = True
    while more and len(names) <= limit:
        page = tx.table_names(context.account, context.region, after, limit + 1)
        names += [name for name in page if find_table(tx, context, name) is not None]
        more = len(page) > limit
        after = page[-1] if page else after
    body: dict[str, Any] = {"TableNames": names[:limit]}
    if len(names) > limit:
        body["LastEvaluatedTableName"] = names[limit - 1]
    return orjson.dumps(body)


def delete_table(request: wire.DeleteTableInput, tx: WriteTransaction, context: Context) -> bytes:
    """Order and messages: ack-api-quirks, DDB-TABLE-006, -444, and `under_way`."""
    table = get_table(tx, context, request.TableName, even_restoring=True)
    check_may_delete(table, context)
    if table.deletion_protection:
        raise validation_error(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    quotas.check_deletion(tx, context)
    table = disable_stream(tx, table, context)
    deleting = msgspec.structs.replace(table, deleting_until=context.settled_at)
    save_table(tx, deleting)
    return answer((b"TableDescription", encoded(_describe_deleting(tx, deleting, context.now))))


# What DeleteTable's response still shows of a table: its schema is already gone.
_DELETING_MEMBERS = (
    "TableName", "TableStatus", "ProvisionedThroughput", "TableSizeBytes", "ItemCount", "TableArn", "TableId",
    "BillingModeSummary", "DeletionProtectionEnabled",
)  # fmt: skip


def _describe_deleting(tx: ReadTransaction, table: Table, now: float) -> dict[str, Any]:
    description = describe_table(tx, table, now)
    return {name: description[name] for name in _DELETING_MEMBERS if name in description}
