"""Where the files of an export lie, and what is in its manifests.

    <prefix>/AWSDynamoDB/<id>/_started                  empty: the bucket can be written to
                             /data/<name>.json.gz       of a full export
                             /manifest-files.json, .md5     a line for each data file
                             /manifest-summary.json, .md5   written last
    <prefix>/AWSDynamoDB/data/<name>.json.gz            of incremental exports, which share it

Names of data files follow from the export and the file's number, so that an export that goes on after a crash
replaces what it had begun. Pure.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html (which calls the
checksum files `.checksum`; AWS writes `.md5`); exports of 2026 from AWS (gurre/ddb-pitr, s3exportdata) for the
members and their order, the name of a checksum file and what is in it, and the form of names and etags; prefixes:
ack-api-quirks, DDB-EXPORT-018.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode, b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import orjson

from blotter.database.exporting.lines import SUFFIXES, ExportFormat
from blotter.database.operations.exports.records import DataFile

ExportType = Literal["FULL_EXPORT", "INCREMENTAL_EXPORT"]

_FULL_VERSION = "2020-06-30"
_INCREMENTAL_VERSION = "2023-08-01"


class Places(msgspec.Struct, frozen=True):
    """The keys of an export's files in its bucket."""

    prefix: str
    export_id: str
    type: ExportType
    format: ExportFormat

    @property
    def folder(self) -> str:
        return f"{self._root}{self.export_id}/"

    @property
    def started(self) -> str:
        return f"{self.folder}_started"

    @property
    def files_manifest(self) -> str:
        return f"{self.folder}manifest-files.json"

    @property
    def summary(self) -> str:
        return f"{self.folder}manifest-summary.json"

    def data_file(self, number: int) -> str:
        root = self.folder if self.type == "FULL_EXPORT" else self._root
        digest = hashlib.blake2b(f"{self.export_id}/{number}".encode(), digest_size=16).digest()
        name = b32encode(digest).decode().rstrip("=").lower()
        return f"{root}data/{name}{SUFFIXES[self.format]}"

    @property
    def _root(self) -> str:
        """No store of objects but S3's own has names with empty parts."""
        return "/".join([*filter(None, self.prefix.split("/")), "AWSDynamoDB", ""])


def checksum_key(manifest: str) -> str:
    """The key of a manifest's checksum file."""
    return f"{manifest.removesuffix('.json')}.md5"


def md5_text(content: bytes) -> bytes:
    """What a checksum file holds."""
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest())


def etag_of(md5: bytes) -> str:
    """The ETag that S3 gives an object uploaded as the only part of a multipart upload, as AWS uploads data
    files. `md5`: the digest of its bytes."""
    return f"{hashlib.md5(md5, usedforsecurity=False).hexdigest()}-1"


def files_manifest(files: Iterable[DataFile]) -> bytes:
    """One line of JSON for each data file."""
    lines = (
        orjson.dumps(
            {"itemCount": file.items, "md5Checksum": file.md5, "etag": file.etag, "dataFileS3Key": file.key}
        )
        for file in files
    )
    return b"".join(line + b"\n" for line in lines)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the summary manifest says. Times are seconds since the epoch."""

    export_arn: str
    started_at: float
    ended_at: float
    table_arn: str
    table_id: str
    export_time: float | None
    from_time: float | None
    to_time: float | None
    bucket: str
    prefix: str | None
    sse_algorithm: str
    sse_key: str | None
    files_manifest: str
    billed_bytes: int
    items: int
    format: ExportFormat
    view: str | None


def summary_manifest(summary: Summary) -> bytes:
    """The summary manifest of a full export, or with a `from_time` of an incremental one."""
    incremental = summary.from_time is not None
    members: dict[str, Any] = {
        "version": _INCREMENTAL_VERSION if incremental else _FULL_VERSION,
        "exportArn": summary.export_arn,
        "startTime": manifest_time(summary.started_at),
        "endTime": manifest_time(summary.ended_at),
        "tableArn": summary.table_arn,
        "tableId": summary.table_id,
    }
    if summary.from_time is not None and summary.to_time is not None:
        members["exportFromTime"] = manifest_time(summary.from_time)
        members["exportToTime"] = manifest_time(summary.to_time)
    elif summary.export_time is not None:
        members["exportTime"] = manifest_time(summary.export_time)
    members |= {
        "s3Bucket": summary.bucket,
        "s3Prefix": summary.prefix,
        "s3SseAlgorithm": summary.sse_algorithm,
        "s3SseKmsKeyId": summary.sse_key,
        "manifestFilesS3Key": summary.files_manifest,
        "billedSizeBytes": summary.billed_bytes,
        "itemCount": summary.items,
        "outputFormat": summary.format,
    }
    if incremental:
        members |= {"outputView": summary.view, "exportType": "INCREMENTAL_EXPORT"}
    return orjson.dumps(members)


def manifest_time(seconds: float) -> str:
    """ "2026-01-14T10:18:50.622Z"."""
    milliseconds = round(seconds * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
