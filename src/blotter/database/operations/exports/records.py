"""The record of an export: what was requested, how far it has come, how it ended. It outlives its table.

Records lie in the store's own key space and are found by account, region and id, which begins with the time; so
the newest export of an account is the last. A client token points to the export that it started:

    export/123456789012/us-east-1/01768385930622-efd1a093     the record, as JSON
    export-token/123456789012/us-east-1/4f3a…     under a hash of the token: the export's id, what was requested

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportDescription.html,
…/API_ListExports.html (90 days); how long a token lives: …/API_ExportTableToPointInTime.html.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

import msgspec

from blotter.database.operations.job_records import JobRecord, JobRecords
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, StoredItem, WriteTransaction

ExportStatus = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]

KEPT_SECONDS: Final = 90 * 86_400.0
"""Exports are listed for so long."""
TOKEN_SECONDS: Final = 8 * 3600.0
"""A client token is remembered for so long after the export that it started has ended."""
_TRIMMED_AT_ONCE: Final = 25


class Export(JobRecord, frozen=True, kw_only=True, omit_defaults=True):
    """Times are seconds since the epoch; None is what the request left out."""

    ARN_PART = "export"

    table_id: str
    status: ExportStatus = "IN_PROGRESS"
    started_at: float
    ended_at: float | None = None
    format: Literal["DYNAMODB_JSON", "ION"]
    incremental: bool = False
    moment: float
    """A full export shows the table at this moment; the changes of an incremental one end before it."""
    export_time: float | None = None
    """Of a full export: the moment as the request or, without one, its arrival gave it."""
    from_time: float | None = None
    to_time: float | None = None
    view: Literal["NEW_IMAGE", "NEW_AND_OLD_IMAGES"] | None = None
    filter: dict[str, Any] | None = None
    """FilterSpecification as requested."""
    bucket: str
    bucket_owner: str | None = None
    prefix: str | None = None
    sse_algorithm: Literal["AES256", "KMS"] = "AES256"
    sse_key: str | None = None
    token: str | None = None
    manifest: str | None = None
    items: int | None = None
    billed_bytes: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None

    @property
    def copy_name(self) -> str:
        """The name of its job, and of what holds the change log for it."""
        return f"export-{self.account}-{self.region}-{self.id}"


class DataFile(msgspec.Struct, frozen=True):
    """A data file that has been written. `md5` is that of its compressed bytes, in base64."""

    key: str
    items: int
    md5: str
    etag: str


class ExportState(msgspec.Struct, frozen=True):
    """How far the job of an export has come."""

    account: str
    region: str
    export_id: str
    position: int | None
    """The last change that a full export has; None for one of the past, and for an incremental one."""
    next: bytes = b""
    """The storage key from which on nothing has been exported yet."""
    done: bool = False
    """Whether all data files are written."""
    files: tuple[DataFile, ...] = ()
    billed_bytes: int = 0
    """Bytes of the items, or changes, that were read."""


class _Token(msgspec.Struct, frozen=True):
    export: str
    fingerprint: str


_RECORDS = JobRecords("export", Export)
find_export = _RECORDS.find
save_export = _RECORDS.save
newest_exports = _RECORDS.newest

_read_token = msgspec.json.Decoder(_Token).decode


def export_of_token(
    tx: ReadTransaction, account: str, region: str, token: str, now: float
) -> tuple[Export, str] | None:
    """The export that a token started, with the fingerprint of its request; None for a token that is new, or that
    has been forgotten."""
    stored = tx.get(RECORDS_SPACE, _token_key(account, region, token))
    if stored is None:
        return None
    found = _read_token(stored.body)
    export = find_export(tx, account, region, found.export)
    if export is None or (export.ended_at is not None and now >= export.ended_at + TOKEN_SECONDS):
        return None
    return export, found.fingerprint


def remember_token(tx: WriteTransaction, export: Export, fingerprint: str) -> None:
    if export.token is None:
        return
    key = _token_key(export.account, export.region, export.token)
    body = msgspec.json.encode(_Token(export.id, fingerprint))
    tx.put(RECORDS_SPACE, StoredItem(key, 0, body), tx.get(RECORDS_SPACE, key))


def trim_exports(tx: WriteTransaction, account: str, region: str, now: float) -> None:
    """Removes the oldest records that are no longer listed, some at a time."""
    for export in _RECORDS.oldest(tx, account, region, _TRIMMED_AT_ONCE):
        if export.status == "IN_PROGRESS" or now < export.started_at + KEPT_SECONDS:
            return
        _RECORDS.remove(tx, export)
        if export.token is not None:
            _forget_token(tx, export, export.token)


def _forget_token(tx: WriteTransaction, export: Export, token: str) -> None:
    """A token that has started another export since points there."""
    stored = tx.get(RECORDS_SPACE, _token_key(export.account, export.region, token))
    if stored is not None and _read_token(stored.body).export == export.id:
        tx.delete(RECORDS_SPACE, stored)


def _token_key(account: str, region: str, token: str) -> bytes:
    """Tokens may have any length."""
    digest = hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
    return f"export-token/{account}/{region}/{digest}".encode()
