"""UpdateContinuousBackups and DescribeContinuousBackups: point-in-time recovery of a table, on or off.

Both take effect at once, as on AWS. Recovery that is switched off and on again begins anew, with the period's
default. While it is on, every change of the table is logged for the reader RECOVERY (`copies.recovery`).
ContinuousBackupsStatus is no flag of recovery: it is ENABLED for every table that is there.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContinuousBackups.html; order,
messages and members as recorded in the ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-083 to -086,
-088, -111, -115 to -118, -217; 2026-10).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from blotter.database.copies.history_index import RECOVERY
from blotter.database.copies.recovery import ensure_reader, without_recovery
from blotter.database.model.errors import DynamoDBError
from blotter.database.model.recovery import LONGEST_PERIOD_DAYS, recovery_window, with_period
from blotter.database.model.table import Recovery, Table, TableStatus
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.backups.system_backups import call_off
from blotter.database.operations.context import Context, find_table
from blotter.database.operations.tables.catalog import save_table
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire


def update_continuous_backups(
    request: wire.UpdateContinuousBackupsInput, tx: WriteTransaction, context: Context
) -> bytes:
    table = _table(request.TableName, tx, context)
    if table.status_at(context.now) is TableStatus.CREATING:
        raise DynamoDBError(
            "ContinuousBackupsUnavailableException",
            f"Backups are being enabled for the table: {table.name}. Please retry later",
        )
    wanted = request.PointInTimeRecoverySpecification
    if wanted.PointInTimeRecoveryEnabled:
        changed = _enabled(table, wanted.RecoveryPeriodInDays, tx, context)
    else:
        if table.deleting_until is not None:
            call_off(tx, table)
            table = tx.find_table(table.account, table.region, table.name) or table
        changed = without_recovery(table)
    if changed != table:
        save_table(tx, changed)
    return _answer(changed, context)


def describe_continuous_backups(
    request: wire.DescribeContinuousBackupsInput, tx: ReadTransaction, context: Context
) -> bytes:
    return _answer(_table(request.TableName, tx, context), context)


def table_not_found(name: str) -> DynamoDBError:
    """What operations on backups call a table that is not there."""
    return DynamoDBError("TableNotFoundException", f"Table not found: {name}")


def _enabled(table: Table, period: int | None, tx: WriteTransaction, context: Context) -> Table:
    if table.recovery is not None:
        days = table.recovery.period_days if period is None else period
        return replace(table, recovery=with_period(table.recovery, days, context.now))
    ensure_reader(tx, context.now)
    recovery = Recovery(LONGEST_PERIOD_DAYS if period is None else period, context.now, tx.last_change())
    return replace(table, recovery=recovery, log_readers=(*table.log_readers, RECOVERY))


def _table(name: str, tx: ReadTransaction, context: Context) -> Table:
    """One that is being restored is not there yet (DDB-TABLE-217)."""
    table = find_table(tx, context, name)
    if table is None or table.restore is not None:
        raise table_not_found(name)
    return table


def _answer(table: Table, context: Context) -> bytes:
    description: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    window = recovery_window(table, context.now)
    if window is not None and table.recovery is not None:
        description = {
            "EarliestRestorableDateTime": round(window.earliest, 3),
            "LatestRestorableDateTime": round(window.latest, 3),
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": table.recovery.period_days,
        }
    backups = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": description}
    return answer((b"ContinuousBackupsDescription", encoded(backups)))
