"""What is kept of an import: the request, how far it has come, and how it ended; for 90 days.

A record outlives its table, so that DescribeImport and ListImports still tell of it (ack-api-quirks,
DDB-IMPORT-008). Its id begins with the time, so that the order of the keys is that of the imports. A client token
stands for its import for eight hours (`client_tokens`).

    import/123456789012/us-east-1/01795911600000-1f2e3d4c          {"id": …, "table": "books", "status": …}
"""

from __future__ import annotations

from typing import Final, Literal

from blotter.database.operations.imports import client_tokens
from blotter.database.operations.job_records import JobRecord, JobRecords
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

RECORD_SECONDS: Final = 90 * 86_400.0

ImportStatus = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]


class Import(JobRecord, frozen=True):
    """One import. Counters are 0 until it has ended, as on AWS."""

    ARN_PART = "import"

    table_id: str
    request: wire.ImportTableInput
    started_at: float
    status: ImportStatus = "IN_PROGRESS"
    ended_at: float | None = None
    processed: int = 0
    imported: int = 0
    errors: int = 0
    size: int = 0
    """Bytes of the source, unpacked."""
    failure_code: str | None = None
    failure_message: str | None = None


_RECORDS = JobRecords("import", Import)
find_import = _RECORDS.find
save_import = _RECORDS.save
newest_imports = _RECORDS.newest


def forget_old_imports(tx: WriteTransaction, account: str, region: str, now: float) -> None:
    """Removes some of the records that have outlived their 90 days."""
    _RECORDS.forget_before(tx, account, region, import_time(now - RECORD_SECONDS))


def import_time(now: float) -> str:
    """The beginning of the ids of imports that start at a time."""
    return f"{max(0, round(now * 1000)):014d}"


def import_of_token(tx: ReadTransaction, account: str, region: str, token: str, now: float) -> Import | None:
    """The import that was started under a client token in the last eight hours."""
    found = client_tokens.remembered(tx, "import", account, region, token, now)
    return None if found is None else find_import(tx, account, region, found[0])


def remember_token(tx: WriteTransaction, record: Import, token: str, now: float) -> None:
    client_tokens.remember(tx, "import", record.account, record.region, token, now, record.id)
