"""Every operation the database answers: how it is prepared, how it is executed and what it needs of the store.

This table is the whole dispatch. An operation of the service model that is not in it is refused by name
(`pipeline`), and `docs/differences-from-dynamodb.md` lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from blotter.database.operations import (
    batches,
    contributor_insights,
    items,
    reading,
    resource_policies,
    service,
    transactions,
)
from blotter.database.operations.answers import Result
from blotter.database.operations.backups import backups, continuous_backups, point_in_time, restoring
from blotter.database.operations.context import Context
from blotter.database.operations.exports import description as exports
from blotter.database.operations.exports import request as export_request
from blotter.database.operations.imports import bulk, imports
from blotter.database.operations.operation import OnConflict, Operation, Reading, Slicing, Writing
from blotter.database.operations.partiql import batch as partiql_batch
from blotter.database.operations.partiql import select as partiql_select
from blotter.database.operations.partiql import statement as partiql_statement
from blotter.database.operations.partiql import transaction as partiql_transaction
from blotter.database.operations.streams import kinesis_streaming, streams
from blotter.database.operations.tables import lifecycle, tags_and_ttl, update_table
from blotter.database.operations.touches import EVERYTHING, RequestPlan, Touch
from blotter.database.operations.vectors import search
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

R = TypeVar("R")


class _NamesTable(Protocol):
    @property
    def TableName(self) -> str: ...  # noqa: N802


class _NamesResource(Protocol):
    @property
    def ResourceArn(self) -> str: ...  # noqa: N802


class _NamesTableArn(Protocol):
    @property
    def TableArn(self) -> str: ...  # noqa: N802


class _NamesExport(Protocol):
    @property
    def ExportArn(self) -> str: ...  # noqa: N802


class _NamesTarget(Protocol):
    @property
    def TargetTableName(self) -> str: ...  # noqa: N802


class _NamesBackup(Protocol):
    @property
    def BackupArn(self) -> str: ...  # noqa: N802


class _NamesStream(Protocol):
    @property
    def StreamArn(self) -> str: ...  # noqa: N802


def _table(request: _NamesTable) -> str:
    return request.TableName


def _resource(request: _NamesResource) -> str:
    return request.ResourceArn


def _stream(request: _NamesStream) -> str:
    return request.StreamArn


def _table_arn(request: _NamesTableArn) -> str:
    return request.TableArn


def _export(request: _NamesExport) -> str:
    return request.ExportArn


def _backup(request: _NamesBackup) -> str:
    return request.BackupArn


def _target_table(request: _NamesTarget) -> str:
    return request.TargetTableName


def _import(request: wire.DescribeImportInput) -> str:
    return request.ImportArn


def _bulk(request: wire.DescribeBulkOperationInput | wire.CancelBulkOperationInput) -> str:
    return request.BulkOperationArn


def _imported(request: wire.ImportTableInput) -> str:
    return request.TableCreationParameters.TableName


def _everything(_: object) -> str:
    return EVERYTHING


def _reader(
    name: str, handler: Callable[[R, ReadTransaction, Context], bytes], resource: Callable[[R], str]
) -> Operation[R, RequestPlan[R]]:
    """An operation that reads settings: its request is its plan, and it consumes no capacity."""

    def execute(plan: RequestPlan[R], tx: ReadTransaction, context: Context) -> Result:
        return Result(handler(plan.request, tx, context))

    return Operation(name, _preparation(name, resource), Reading(execute))


def _writer(
    name: str,
    handler: Callable[[R, WriteTransaction, Context], bytes],
    resource: Callable[[R], str],
    touches: Callable[[R], Sequence[Touch]] | None = None,
) -> Operation[R, RequestPlan[R]]:
    """An operation that changes settings: its request is its plan, and it consumes no capacity."""

    def execute(plan: RequestPlan[R], tx: WriteTransaction, context: Context) -> Result:
        return Result(handler(plan.request, tx, context))

    return Operation(name, _preparation(name, resource, touches), Writing(execute))


def _preparation(
    name: str, resource: Callable[[R], str], touches: Callable[[R], Sequence[Touch]] | None = None
) -> Callable[[R], RequestPlan[R]]:
    action = f"dynamodb:{name}"
    return lambda request: RequestPlan(request, action, resource(request), touches)


_REFUSE, _CANCEL = OnConflict.REFUSE, OnConflict.CANCEL

_ALL: tuple[Operation[Any, Any], ...] = (
    Operation("GetItem", items.prepare_get, Reading(items.get_item)),
    Operation("PutItem", items.prepare_put, Writing(items.put_item, _REFUSE)),
    Operation("UpdateItem", items.prepare_update, Writing(items.update_item, _REFUSE)),
    Operation("DeleteItem", items.prepare_delete, Writing(items.delete_item, _REFUSE)),
    Operation("Query", reading.prepare_query, Slicing(reading.query)),
    Operation("Scan", reading.prepare_scan, Slicing(reading.scan)),
    Operation("SearchVectors", search.prepare_search, Slicing(search.search_vectors)),
    Operation("BatchGetItem", batches.prepare_batch_get, Reading(batches.batch_get)),
    Operation("BatchWriteItem", batches.prepare_batch_write, Writing(batches.batch_write)),
    Operation(
        "TransactGetItems",
        transactions.prepare_transact_get,
        Reading(transactions.transact_get, _CANCEL),
        many_expressions=True,
    ),
    Operation(
        "TransactWriteItems",
        transactions.prepare_transact_write,
        Writing(transactions.transact_write, _CANCEL),
        many_expressions=True,
    ),
    Operation(
        "ExecuteStatement",
        partiql_statement.prepare_statement,
        {
            partiql_select.StatementReadPlan: Slicing(partiql_select.select),
            partiql_statement.StatementWritePlan: Writing(partiql_statement.execute_write, _REFUSE),
        },
    ),
    Operation(
        "BatchExecuteStatement",
        partiql_batch.prepare_batch,
        {
            partiql_batch.ReadBatchPlan: Reading(partiql_batch.read_batch),
            partiql_batch.WriteBatchPlan: Writing(partiql_batch.write_batch),
        },
        many_expressions=True,
    ),
    Operation(
        "ExecuteTransaction",
        partiql_transaction.prepare_transaction,
        {
            partiql_transaction.ReadTransactionPlan: Reading(partiql_transaction.read_transaction, _CANCEL),
            partiql_transaction.WriteTransactionPlan: Writing(partiql_transaction.write_transaction, _CANCEL),
        },
        many_expressions=True,
    ),
    _writer("CreateTable", lifecycle.create_table, _table, lifecycle.touches_of_create),
    _reader("DescribeTable", lifecycle.describe, _table),
    _reader("ListTables", lifecycle.list_tables, _everything),
    _writer("UpdateTable", update_table.update_table, _table),
    _writer("DeleteTable", lifecycle.delete_table, _table),
    _writer("TagResource", tags_and_ttl.tag_resource, _resource, tags_and_ttl.touches_of_tag),
    _writer("UntagResource", tags_and_ttl.untag_resource, _resource, tags_and_ttl.touches_of_untag),
    _reader("ListTagsOfResource", tags_and_ttl.list_tags, _resource),
    _writer("UpdateTimeToLive", tags_and_ttl.update_time_to_live, _table),
    _reader("DescribeTimeToLive", tags_and_ttl.describe_time_to_live, _table),
    _writer("UpdateContinuousBackups", continuous_backups.update_continuous_backups, _table),
    _reader("DescribeContinuousBackups", continuous_backups.describe_continuous_backups, _table),
    _writer("ExportTableToPointInTime", export_request.export_table, _table_arn, export_request.touches_of_export),
    _reader("DescribeExport", exports.describe_export, _export),
    _reader("ListExports", exports.list_exports, _everything),
    _writer("PutResourcePolicy", resource_policies.put_resource_policy, _resource),
    _reader("GetResourcePolicy", resource_policies.get_resource_policy, _resource),
    _writer("DeleteResourcePolicy", resource_policies.delete_resource_policy, _resource),
    _writer(
        "EnableKinesisStreamingDestination",
        kinesis_streaming.enable,
        _table,
        kinesis_streaming.touches_of_enable,
    ),
    _writer("DisableKinesisStreamingDestination", kinesis_streaming.disable_destination, _table),
    _writer("UpdateKinesisStreamingDestination", kinesis_streaming.update, _table),
    _reader("DescribeKinesisStreamingDestination", kinesis_streaming.describe, _table),
    _writer("UpdateContributorInsights", contributor_insights.update, _table),
    _reader("DescribeContributorInsights", contributor_insights.describe, _table),
    _reader("ListContributorInsights", contributor_insights.list_insights, _everything),
    _writer("CreateBackup", backups.create_backup, _table),
    _reader("DescribeBackup", backups.describe_backup, _backup),
    _reader("ListBackups", backups.list_backups, _everything),
    _writer("DeleteBackup", backups.delete_backup, _backup),
    _writer("RestoreTableFromBackup", restoring.restore_from_backup, _backup, restoring.touches_of_restore),
    _writer(
        "RestoreTableToPointInTime",
        point_in_time.restore_to_point_in_time,
        _target_table,
        point_in_time.touches_of_restore_to_time,
    ),
    _reader("ListStreams", streams.list_streams, _everything),
    _reader("DescribeStream", streams.describe_stream, _stream),
    _reader("GetShardIterator", streams.get_shard_iterator, _stream),
    Operation("GetRecords", streams.prepare_get_records, Slicing(streams.get_records)),
    _writer("ImportTable", imports.import_table, _imported, imports.touches_of_import),
    _reader("DescribeImport", imports.describe_import, _import),
    _reader("ListImports", imports.list_imports, _everything),
    _writer("StartBulkPutItems", bulk.start, _table, bulk.touches_of_start),
    _reader("DescribeBulkOperation", bulk.describe, _bulk),
    _reader("ListBulkOperations", bulk.list_, _everything),
    _writer("CancelBulkOperation", bulk.cancel, _bulk),
    _reader("DescribeLimits", service.describe_limits, _everything),
    _reader("DescribeEndpoints", service.describe_endpoints, _everything),
)

OPERATIONS: dict[str, Operation[Any, Any]] = {operation.name: operation for operation in _ALL}
