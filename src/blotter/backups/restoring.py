"""Restoring a backup, or the past of a table, into a new table.

A restore takes no client token. When an answer is lost and the target is there, it is ours if it says that it was
restored from the same source.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from blotter.backups.waiting import start_once
from blotter.tables.applying.apply import Step, together
from blotter.tables.applying.destroy import wait_until_ready as waiting_until_ready
from blotter.tables.calls.answers import table_name
from blotter.tables.planning.observed import describe

Answer = dict[str, Any]


class Restore(msgspec.Struct, frozen=True, kw_only=True):
    """What to restore: `backup_arn`, or `source`, a table's name or ARN, as it was at `moment` (None: the latest
    time that can be restored)."""

    target: str
    backup_arn: str | None = None
    source: str | None = None
    moment: datetime | None = None
    without_indexes: bool = False
    billing_mode: str | None = None


def start(step: Step, wanted: Restore) -> Answer:
    """The TableDescription of the new table. Raises SetupError."""
    operation, parameters = request_of(wanted)

    def request() -> Answer:
        answer: Answer = step.endpoint.call(operation, **parameters)["TableDescription"]
        return answer

    def found() -> Answer | None:
        observed = describe(step.endpoint, wanted.target)
        if observed is None:
            return None
        summary = observed.table.get("RestoreSummary") or {}
        source = summary.get("SourceBackupArn" if wanted.backup_arn else "SourceTableArn", "")
        ours = source == wanted.backup_arn if wanted.backup_arn else _same_table(source, wanted.source or "")
        return observed.table if ours else None

    return start_once(step, table_name(wanted.target), request, found)


def request_of(wanted: Restore) -> tuple[str, Answer]:
    """The operation and its parameters. Pure."""
    parameters: Answer = {"TargetTableName": wanted.target}
    if wanted.backup_arn is not None:
        operation = "RestoreTableFromBackup"
        parameters["BackupArn"] = wanted.backup_arn
    else:
        operation = "RestoreTableToPointInTime"
        source = wanted.source or ""
        parameters["SourceTableArn" if source.startswith("arn:") else "SourceTableName"] = source
        if wanted.moment is None:
            parameters["UseLatestRestorableTime"] = True
        else:
            parameters["RestoreDateTime"] = wanted.moment
    if wanted.without_indexes:
        parameters |= {"GlobalSecondaryIndexOverride": [], "LocalSecondaryIndexOverride": []}
    if wanted.billing_mode is not None:
        parameters["BillingModeOverride"] = wanted.billing_mode
    return operation, parameters


def wait_until_ready(step: Step, name: str) -> Answer:
    """The table once it and its indexes are ACTIVE."""
    done, errors = together({name: waiting_until_ready(name, step)}, step.clock, step.deadline)
    for error in errors.values():
        raise error
    return done[name].table


def _same_table(arn: str, source: str) -> bool:
    return arn == source if source.startswith("arn:") else table_name(arn) == source
