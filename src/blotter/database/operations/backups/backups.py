"""CreateBackup, DescribeBackup, ListBackups, DeleteBackup.

As recorded from AWS in the ACK project's notes on DynamoDB (ack-api-quirks, DDB-BACKUP-001 to -029; 2026-10).
CreateBackup fixes the moment and starts a job; the backup is AVAILABLE once that has copied the table. A backup
belongs to no table: it outlives its table, and another one of the same name.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from blotter.database.copies import copier, jobs
from blotter.database.model.errors import DynamoDBError, validation_error
from blotter.database.model.table import Index, Table, TableStatus
from blotter.database.model.timestamps import iso
from blotter.database.operations.backups import records
from blotter.database.operations.backups.jobs import CREATE, DELETE, CreateState, DeleteState, job_id
from blotter.database.operations.backups.records import Backup, get_backup, parse_backup_arn
from blotter.database.operations.context import Context, find_table, table_name
from blotter.database.operations.tables.description import describe_keys, describe_maxima, describe_projection
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

PAGE: Final = 100
"""Backups that ListBackups answers at most."""


def create_backup(request: wire.CreateBackupInput, tx: WriteTransaction, context: Context) -> bytes:
    """A table that is CREATING is not there yet; one that is DELETING still is (DDB-BACKUP-001)."""
    table = find_table(tx, context, request.TableName)
    if table is None or table.status_at(context.now) is TableStatus.CREATING:
        name = table_name(context, request.TableName)
        raise DynamoDBError("TableNotFoundException", f"Table not found: {name}")
    backup = start_backup(tx, table, request.BackupName, context.now)
    return orjson.dumps({"BackupDetails": _details(backup, "CREATING")})


def start_backup(
    tx: WriteTransaction,
    table: Table,
    name: str,
    now: float,
    expires_at: float | None = None,
) -> Backup:
    """Records a backup of the table as it is in this transaction, and starts the job that copies it. With
    `expires_at` it is one of the service's own."""
    own = expires_at is not None
    backup_id = records.new_backup_id(tx, table, now, "00000000" if own else "")
    statistics = tx.statistics(table.space)
    backup = Backup(
        backup_id,
        name,
        "SYSTEM" if own else "USER",
        table,
        records.created_at(backup_id),
        statistics.items,
        statistics.bytes,
        expires_at=expires_at,
    )
    identity = job_id(CREATE, backup)
    moment = copier.begin(tx, table, identity, now)
    records.save(tx, backup)
    state = CreateState(table.account, table.region, backup.id, moment.position)
    jobs.start(tx, jobs.Job.new(identity, CREATE, now, state))
    return backup


def describe_backup(request: wire.DescribeBackupInput, tx: ReadTransaction, context: Context) -> bytes:
    arn = parse_backup_arn(request.BackupArn, context)
    backup = get_backup(tx, arn, request.BackupArn, context.region)
    return orjson.dumps({"BackupDescription": _described(backup, _status(backup), request.BackupArn)})


def delete_backup(request: wire.DeleteBackupInput, tx: WriteTransaction, context: Context) -> bytes:
    """The backup is gone at once (DDB-BACKUP-005); its contents are removed by a job."""
    arn = parse_backup_arn(request.BackupArn, context)
    backup = get_backup(tx, arn, request.BackupArn, context.region)
    if backup.expires_at is not None:
        raise validation_error(
            f"Invalid Request: User is not allowed to delete the system backup with arn {request.BackupArn}. "
            f"It will automatically expire on {iso(backup.expires_at)}"
        )
    if backup.restoring is not None:
        raise in_use(f"Backup is being used to restore table: {request.BackupArn}")
    if not backup.available:
        raise in_use(f"Backup is being created: {request.BackupArn}")
    remove_backup(tx, backup, context.now)
    return orjson.dumps({"BackupDescription": _described(backup, "DELETED", request.BackupArn)})


def remove_backup(tx: WriteTransaction, backup: Backup, now: float) -> None:
    """Removes the record, and has the contents removed."""
    records.remove(tx, backup)
    remove_contents(tx, backup.table.account, backup.table.region, backup.id, now)


def remove_contents(tx: WriteTransaction, account: str, region: str, backup_id: str, now: float) -> None:
    """Starts the job that removes what is in the store of objects."""
    state = DeleteState(records.place_of(account, region, backup_id))
    jobs.start(tx, jobs.Job.new(f"{DELETE}/{account}/{region}/{backup_id}", DELETE, now, state))


def list_backups(request: wire.ListBackupsInput, tx: ReadTransaction, context: Context) -> bytes:
    """In the order of their creation; the table need not exist. Bounds of time, the cursor and the last page:
    DDB-BACKUP-014."""
    after = "" if request.ExclusiveStartBackupArn is None else _cursor(request.ExclusiveStartBackupArn, context)
    name = None if request.TableName is None else table_name(context, request.TableName)
    kind = request.BackupType or "USER"
    limit = request.Limit or PAGE
    low = float("-inf") if request.TimeRangeLowerBound is None else request.TimeRangeLowerBound
    high = float("inf") if request.TimeRangeUpperBound is None else request.TimeRangeUpperBound
    found: list[Backup] = []
    for backup in records.backups(tx, context.account, context.region, after):
        if (
            (name is None or backup.table.name == name)
            and kind in ("ALL", backup.type)
            and low <= backup.created_at < high
        ):
            found.append(backup)
            if len(found) > limit:
                break
    body: dict[str, Any] = {"BackupSummaries": [_summary(backup) for backup in found[:limit]]}
    if len(found) > limit:
        body["LastEvaluatedBackupArn"] = found[limit - 1].arn
    return orjson.dumps(body)


def in_use(message: str) -> DynamoDBError:
    return DynamoDBError("BackupInUseException", message)


def _cursor(text: str, context: Context) -> str:
    arn = parse_backup_arn(text, context)
    if arn.region != context.region:
        raise validation_error("Invalid Request: The supplied ExclusiveStartBackupArn does not match the region")
    return arn.id


def _status(backup: Backup) -> str:
    return "AVAILABLE" if backup.available else "CREATING"


def _details(backup: Backup, status: str, arn: str | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "BackupArn": arn or backup.arn,
        "BackupName": backup.name,
        "BackupSizeBytes": backup.size,
        "BackupStatus": status,
        "BackupType": backup.type,
        "BackupCreationDateTime": backup.created_at,
    }
    if backup.expires_at is not None:
        details["BackupExpiryDateTime"] = backup.expires_at
    return details


def _summary(backup: Backup) -> dict[str, Any]:
    table = backup.table
    names = {"TableName": table.name, "TableId": table.id, "TableArn": table.arn}
    return names | _details(backup, _status(backup))


def _described(backup: Backup, status: str, arn: str) -> dict[str, Any]:
    """BackupDescription, with the ARN as it was sent (DDB-BACKUP-012)."""
    return {
        "BackupDetails": _details(backup, status, arn),
        "SourceTableDetails": _source(backup),
        # Of the service's own backups AWS shows none (DDB-BACKUP-015).
        "SourceTableFeatureDetails": {} if backup.type == "SYSTEM" else _features(backup.table),
    }


def _source(backup: Backup) -> dict[str, Any]:
    table = backup.table
    details: dict[str, Any] = {
        "TableName": table.name,
        "TableId": table.id,
        "TableArn": table.arn,
        "TableSizeBytes": backup.size,
        "KeySchema": describe_keys(table.keys),
        "TableCreationDateTime": round(table.created_at, 3),
        "ProvisionedThroughput": _units(table.throughput.read, table.throughput.write),
        "ItemCount": backup.items,
        "BillingMode": table.billing_mode,
    }
    if table.on_demand_maxima:
        details["OnDemandThroughput"] = describe_maxima(table.on_demand_maxima)
    return details


def _features(table: Table) -> dict[str, Any]:
    """What the table had, as the backup records it: nothing of tags, policies, recovery, table class and deletion
    protection (DDB-BACKUP-009, -021)."""
    features: dict[str, Any] = {}
    kept = table.serving.indexes
    if locals_ := [_index(index) for index in kept if index.local]:
        features["LocalSecondaryIndexes"] = locals_
    if globals_ := [_index(index) for index in kept if index.is_global]:
        features["GlobalSecondaryIndexes"] = globals_
    if table.stream is not None and table.stream.enabled:
        features["StreamDescription"] = {"StreamEnabled": True, "StreamViewType": table.stream.view_type}
    if table.time_to_live is not None and table.time_to_live.enabled:
        name = table.time_to_live.attribute
        features["TimeToLiveDescription"] = {"TimeToLiveStatus": "ENABLED", "AttributeName": name}
    if table.encryption is not None:
        features["SSEDescription"] = table.encryption
    if vectors := [_vector_index(index) for index in kept if index.vector is not None]:
        features["VectorIndexes"] = vectors
    return features


def _index(index: Index) -> dict[str, Any]:
    described: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": describe_keys(index.keys),
        "Projection": describe_projection(index),
    }
    if index.is_global:
        described["ProvisionedThroughput"] = _units(index.throughput.read, index.throughput.write)
        if index.on_demand_maxima:
            described["OnDemandThroughput"] = describe_maxima(index.on_demand_maxima)
    return described


def _vector_index(index: Index) -> dict[str, Any]:
    vector: Any = index.vector
    described: dict[str, Any] = {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": vector.attribute},
        "Projection": describe_projection(index),
        "Dimensions": vector.dimensions,
        "DistanceFunction": vector.distance,
    }
    if vector.schema:
        described["SearchSchema"] = [
            {"AttributeName": element.attribute.name, "SearchSchemaElementType": element.role}
            for element in vector.schema
        ]
    return described


def _units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}
