"""RestoreTableFromBackup, and what it shares with restores to a point in time: overrides, the target, the limit.

A restored table has the keys, indexes, billing, maxima and encryption of its source, unless they are overridden,
and nothing of its stream, time to live, tags, policy, recovery, table class and deletion protection. It is
CREATING until its job has filled it. As recorded from AWS in the ACK project's notes on DynamoDB (ack-api-quirks,
DDB-TABLE-215 to -219, -272 to -282, -350, -442; 2026-10).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final, Protocol

import orjson
from msgspec.structs import replace

from blotter.database.copies import jobs
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.table import PAST, Index, OnDemandMaxima, RestoreSummary, Table, Throughput
from blotter.database.operations.backups import records
from blotter.database.operations.backups.backups import in_use
from blotter.database.operations.backups.jobs import RESTORE, RestoreState
from blotter.database.operations.backups.records import get_backup, parse_backup_arn
from blotter.database.operations.context import Context
from blotter.database.operations.resource_policies import remove_policies
from blotter.database.operations.tables.description import describe_created
from blotter.database.operations.tables.request import (
    attribute_types_of,
    encryption,
    new_index,
    new_vector_index,
    on_demand_maxima,
)
from blotter.database.operations.touches import Touch
from blotter.database.storage.change_log import readers_of_new_table
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.restoring import Overrides, check_overrides
from blotter.database.wire import requests as wire

MOST_RESTORES: Final = 50
"""At a time, for each account in a region."""

# What a restore does to its table, and needs permission for:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
_ON_ITEMS = ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")


def touches_of_restore(request: wire.RestoreTableFromBackupInput) -> Sequence[Touch]:
    """The backup, the new table, and what the restore does to its items."""
    action = "dynamodb:RestoreTableFromBackup"
    target = request.TargetTableName
    return [Touch(action, request.BackupArn), Touch(action, target), *touches_on_items(target)]


def restore_from_backup(
    request: wire.RestoreTableFromBackupInput, tx: WriteTransaction, context: Context
) -> bytes:
    arn = parse_backup_arn(request.BackupArn, context)
    check_region(request, arn.region, context)
    backup = get_backup(tx, arn, request.BackupArn, arn.region)
    summary = RestoreSummary(backup.table.arn, backup.created_at, backup.arn)
    job_id = new_job_id(context)
    table = restored_table(tx, request, backup.table, summary, job_id, context)
    if backup.restoring is not None:
        raise in_use(f"Backup is being used to restore another table: {request.BackupArn}")
    if not backup.available:
        raise in_use(f"Backup is being created: {request.BackupArn}")
    check_limit(tx, context)
    records.save(tx, replace(backup, restoring=job_id))
    state = RestoreState(context.account, arn.region, backup.id, table.region, table.name, table.id)
    return start_restore(tx, table, jobs.Job.new(job_id, RESTORE, context.now, state), context)


# For every kind of restore


def touches_on_items(target: str) -> list[Touch]:
    return [Touch(f"dynamodb:{name}", target) for name in _ON_ITEMS]


class RestoreRequest(Overrides, Protocol):
    @property
    def TargetTableName(self) -> str: ...  # noqa: N802


def new_job_id(context: Context) -> str:
    """The id of a restore's job. All restores of an account in a region begin alike: see `check_limit`."""
    return f"{RESTORE}/{context.account}/{context.region}/{uuid.uuid4()}"


def check_region(request: Overrides, source_region: str, context: Context) -> None:
    """Raises ValidationException for a source in another region without a choice of encryption (DDB-TABLE-274)."""
    if source_region != context.region and request.SSESpecificationOverride is None:
        raise validation_error(
            "Invalid Request: sseSpecificationOverride must be provided for cross-region restores"
        )


def restored_table(
    tx: WriteTransaction,
    request: RestoreRequest,
    source: Table,
    summary: RestoreSummary,
    job_id: str,
    context: Context,
) -> Table:
    """The new table, which is not saved yet. Raises what the request is refused with: overrides that do not fit
    the source, then a target that is there."""
    source = source.serving
    check_overrides(request, source)
    check_target(tx, request.TargetTableName, context)
    mode = request.BillingModeOverride or source.billing_mode
    on_demand = mode == "PAY_PER_REQUEST"
    throughput = source.throughput
    if request.ProvisionedThroughputOverride is not None:
        wanted = request.ProvisionedThroughputOverride
        throughput = Throughput(wanted.ReadCapacityUnits, wanted.WriteCapacityUnits)
    return Table(
        account=context.account,
        region=context.region,
        name=request.TargetTableName,
        id=str(uuid.uuid4()),
        space=tx.new_space(),
        keys=source.keys,
        created_at=context.now,
        active_at=PAST,
        indexes=_indexes(tx, request, source, on_demand),
        billing_mode=mode,
        on_demand_since=context.now if on_demand else None,
        throughput=Throughput() if on_demand else Throughput(throughput.read, throughput.write),
        on_demand_maxima=_maxima(request, source) if on_demand else None,
        encryption=_encryption(request, source, context),
        log_readers=readers_of_new_table(tx),
        loading=job_id,
        restore=summary,
    )


def check_target(tx: WriteTransaction, name: str, context: Context) -> None:
    """Raises TableAlreadyExistsException, or TableInUseException for a table that is being restored."""
    existing = tx.find_table(context.account, context.region, name)
    if existing is None:
        return
    if existing.is_gone_at(context.now):
        remove_policies(tx, existing)
        tx.remove_table(existing)
    elif existing.restore is not None:
        origin = existing.restore.source_backup_arn or existing.restore.source_table_arn
        raise DynamoDBError(
            "TableInUseException", f"Table: {name} is already being restored from backup: {origin}"
        )
    else:
        raise DynamoDBError("TableAlreadyExistsException", f"Table already exists: {name}")


def check_limit(tx: ReadTransaction, context: Context) -> None:
    """Raises LimitExceededException when as many restores as may be are under way (DDB-TABLE-350)."""
    if jobs.count(tx, f"{RESTORE}/{context.account}/{context.region}/", MOST_RESTORES) >= MOST_RESTORES:
        raise DynamoDBError(
            "LimitExceededException",
            f"Subscriber limit exceeded: Only {MOST_RESTORES} restore operations can be done simultaneously",
        )


def start_restore(tx: WriteTransaction, table: Table, job: jobs.Job, context: Context) -> bytes:
    """Saves the table, starts the job that fills it, and answers the request."""
    tx.save_table(table)
    jobs.start(tx, job)
    return orjson.dumps({"TableDescription": describe_created(tx, table, context.now)})


def _maxima(request: RestoreRequest, source: Table) -> OnDemandMaxima | None:
    """The override replaces what the source has, as far as it names it (DDB-TABLE-405, -456)."""
    return on_demand_maxima(request.OnDemandThroughputOverride, source.on_demand_maxima)


def _encryption(request: RestoreRequest, source: Table, context: Context) -> dict[str, str | float] | None:
    """Without an override that of the source; an empty override is a key that AWS owns (DDB-TABLE-463)."""
    override = request.SSESpecificationOverride
    return source.encryption if override is None else encryption(override, context)


def _indexes(tx: WriteTransaction, request: RestoreRequest, source: Table, on_demand: bool) -> tuple[Index, ...]:
    """The indexes of the source, or those of the overrides, which have been found to match them; an empty list
    drops all of its kind (DDB-TABLE-279)."""
    types = attribute_types_of(source)
    kept: list[Index] = []
    if request.LocalSecondaryIndexOverride is None:
        kept += [_same(tx, index, on_demand) for index in source.indexes if index.local]
    else:
        kept += [new_index(each, types, tx, PAST, local=True) for each in request.LocalSecondaryIndexOverride]
    if request.GlobalSecondaryIndexOverride is None:
        kept += [_same(tx, index, on_demand) for index in source.indexes if index.is_global]
    else:
        kept += [new_index(each, types, tx, PAST, local=False) for each in request.GlobalSecondaryIndexOverride]
    if request.VectorIndexOverride is None:
        kept += [_same(tx, index, on_demand) for index in source.indexes if index.vector is not None]
    else:
        kept += [new_vector_index(each, types, tx, PAST, backfilling=True) for each in request.VectorIndexOverride]
    return tuple(kept)


def _same(tx: WriteTransaction, index: Index, on_demand: bool) -> Index:
    """An index of the source, without entries."""
    vector = index.vector
    return Index(
        name=index.name,
        space=tx.new_space(),
        local=index.local,
        keys=index.keys,
        projection=index.projection,
        included=index.included,
        throughput=Throughput() if on_demand else Throughput(index.throughput.read, index.throughput.write),
        on_demand_maxima=index.on_demand_maxima if on_demand else None,
        active_at=PAST,
        backfilling=vector is not None,
        verified=True,
        vector=None if vector is None else replace(vector, journal=tx.new_space()),
    )
