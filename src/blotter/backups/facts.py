"""What a backup, a restored table and an export are, as JSON facts and as lines for people. Pure.

The JSON forms are part of the commands' interface (docs/backups.md). Values come from boto3's answers.
"""

from __future__ import annotations

from typing import Any

from blotter.backups.times import shown

Answer = dict[str, Any]


def backup_facts(details: Answer, table: Answer | None = None) -> dict[str, Any]:
    """Of BackupDetails with SourceTableDetails, or of a BackupSummary."""
    table = details if table is None else table
    return {
        "arn": details["BackupArn"],
        "name": details.get("BackupName"),
        "table": table.get("TableName"),
        "table_arn": table.get("TableArn"),
        "table_id": table.get("TableId"),
        "status": details.get("BackupStatus"),
        "type": details.get("BackupType"),
        "created_at": shown(details.get("BackupCreationDateTime")),
        "expires_at": shown(details.get("BackupExpiryDateTime")),
        "size_bytes": details.get("BackupSizeBytes"),
        "item_count": table.get("ItemCount"),
    }


def backup_text(facts: dict[str, Any]) -> list[str]:
    rows = {
        "table": facts["table"],
        "ARN": facts["arn"],
        "created": facts["created_at"],
        "expires": facts["expires_at"],
        "items": None if facts["item_count"] is None else f"{facts['item_count']:,}",
        "size": _size(facts["size_bytes"]),
    }
    kind = "" if facts["type"] in (None, "USER") else f" ({facts['type']})"
    return [f"{facts['name']} {facts['status']}{kind}", *_rows(rows)]


def backup_line(facts: dict[str, Any]) -> str:
    """One line of a list."""
    parts = (facts["created_at"], facts["status"], facts["type"], facts["table"], facts["name"], facts["arn"])
    return "  ".join(str(part) for part in parts if part is not None)


def table_facts(table: Answer) -> dict[str, Any]:
    """Of a TableDescription that a restore has made."""
    summary = table.get("RestoreSummary") or {}
    return {
        "table": table["TableName"],
        "arn": table.get("TableArn"),
        "status": table["TableStatus"],
        "item_count": table.get("ItemCount"),
        "size_bytes": table.get("TableSizeBytes"),
        "indexes": sorted(
            index["IndexName"]
            for kind in ("Local", "Global")
            for index in table.get(f"{kind}SecondaryIndexes") or ()
        ),
        "source_backup": summary.get("SourceBackupArn"),
        "source_table": summary.get("SourceTableArn"),
        "restored_to": shown(summary.get("RestoreDateTime")),
    }


def table_text(facts: dict[str, Any]) -> list[str]:
    rows = {
        "ARN": facts["arn"],
        "from": facts["source_backup"] or facts["source_table"],
        "as of": facts["restored_to"],
        "items": None if facts["item_count"] is None else f"{facts['item_count']:,}",
        "indexes": ", ".join(facts["indexes"]) or None,
    }
    return [f"{facts['table']} {facts['status']}", *_rows(rows)]


def export_facts(export: Answer) -> dict[str, Any]:
    """Of an ExportDescription."""
    period = export.get("IncrementalExportSpecification") or {}
    return {
        "arn": export["ExportArn"],
        "status": export["ExportStatus"],
        "table_arn": export.get("TableArn"),
        "bucket": export.get("S3Bucket"),
        "prefix": export.get("S3Prefix"),
        "manifest": export.get("ExportManifest"),
        "format": export.get("ExportFormat"),
        "type": export.get("ExportType") or ("INCREMENTAL_EXPORT" if period else "FULL_EXPORT"),
        "at": shown(export.get("ExportTime")),
        "from": shown(period.get("ExportFromTime")),
        "to": shown(period.get("ExportToTime")),
        "view": period.get("ExportViewType"),
        "started_at": shown(export.get("StartTime")),
        "ended_at": shown(export.get("EndTime")),
        "item_count": export.get("ItemCount"),
        "billed_bytes": export.get("BilledSizeBytes"),
        "failure_code": export.get("FailureCode"),
        "failure_message": export.get("FailureMessage"),
    }


def export_text(facts: dict[str, Any]) -> list[str]:
    period = f"{facts['from']} to {facts['to']}" if facts["from"] else None
    place = f"s3://{facts['bucket']}/{facts['manifest'] or facts['prefix'] or ''}"
    rows = {
        "ARN": facts["arn"],
        "as of": facts["at"],
        "changes of": period,
        "manifest" if facts["manifest"] else "to": place,
        "items": None if facts["item_count"] is None else f"{facts['item_count']:,}",
        "format": facts["format"],
    }
    return [f"export {facts['status']}", *_rows(rows)]


def _size(count: int | None) -> str | None:
    return None if count is None else f"{count:,} bytes"


def _rows(rows: dict[str, Any]) -> list[str]:
    return [f"  {title:<10} {value}" for title, value in rows.items() if value is not None]
