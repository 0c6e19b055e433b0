"""Starting an export of a table, and waiting for one.

Every run has a client token of its own, so that a request whose answer was lost starts no second export.
"""

from __future__ import annotations

import json
import uuid
from base64 import b64decode
from datetime import datetime
from typing import Any

import msgspec

from blotter.backups.waiting import start_once, wait_until
from blotter.tables.applying.apply import Step
from blotter.tables.calls.answers import table_name
from blotter.tables.errors import Exit, SetupError
from blotter.tables.planning.observed import describe as describe_table

Answer = dict[str, Any]


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """What to export: the table at `moment` (None: now), or with `since` what has changed up to `until` (None:
    now)."""

    table: str
    bucket: str
    prefix: str | None = None
    bucket_owner: str | None = None
    format: str = "DYNAMODB_JSON"
    moment: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    new_images_only: bool = False
    sse: str | None = None
    kms_key: str | None = None
    filter: Answer | None = None
    """FilterSpecification as boto3 takes it."""


def filter_of(text: str) -> Answer:
    """A FilterSpecification in JSON, as the AWS CLI takes it. Raises SetupError."""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        values = found.get("ExpressionAttributeValues")
        if isinstance(values, dict):
            found["ExpressionAttributeValues"] = {name: _with_bytes(value) for name, value in values.items()}
    except (ValueError, RecursionError) as error:
        raise SetupError(f"--filter is not a FilterSpecification in JSON: {error}", Exit.USAGE) from None
    return found


def _with_bytes(value: Any) -> Any:
    """An attribute value with its binaries, which JSON has as base64, as bytes."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if not isinstance(value, dict):
        return value
    binary = {name: each for name, each in value.items() if name == "B" and isinstance(each, str)}
    binaries = {name: each for name, each in value.items() if name == "BS" and isinstance(each, list)}
    return (
        {name: _with_bytes(each) for name, each in value.items()}
        | {name: b64decode(each, validate=True) for name, each in binary.items()}
        | {name: [b64decode(each, validate=True) for each in several] for name, several in binaries.items()}
    )


def is_export(text: str) -> bool:
    """Whether a text is an export's ARN."""
    return text.startswith("arn:") and ":table/" in text and "/export/" in text


def start(step: Step, wanted: Export) -> Answer:
    """The ExportDescription. Raises SetupError."""
    check(wanted)
    arn = wanted.table
    if not arn.startswith("arn:"):
        arn = start_once(step, wanted.table, lambda: _describe_table(step, wanted.table))["TableArn"]
    parameters = request_of(wanted, arn, str(uuid.uuid4()))

    def request() -> Answer:
        answer: Answer = step.endpoint.call("ExportTableToPointInTime", **parameters)["ExportDescription"]
        return answer

    return start_once(step, table_name(arn), request)


def check(wanted: Export) -> None:
    """Raises SetupError for options that exclude each other."""
    if not wanted.bucket:
        raise SetupError("say where to export to: --bucket NAME", Exit.USAGE)
    if wanted.since is None and (wanted.until is not None or wanted.new_images_only):
        raise SetupError("--until and --new-images-only are about changes: they need --since", Exit.USAGE)
    if wanted.since is not None and wanted.moment is not None:
        raise SetupError("--at is the table at one time, --since what has changed: give one of them", Exit.USAGE)


def request_of(wanted: Export, arn: str, token: str) -> Answer:
    """The parameters of ExportTableToPointInTime. Pure."""
    parameters: Answer = {"TableArn": arn, "S3Bucket": wanted.bucket, "ClientToken": token}
    optional = {
        "S3Prefix": wanted.prefix,
        "S3BucketOwner": wanted.bucket_owner,
        "S3SseAlgorithm": wanted.sse,
        "S3SseKmsKeyId": wanted.kms_key,
        "ExportTime": wanted.moment,
        "FilterSpecification": wanted.filter,
    }
    parameters |= {name: value for name, value in optional.items() if value is not None}
    parameters["ExportFormat"] = wanted.format
    if wanted.since is not None:
        view = "NEW_IMAGE" if wanted.new_images_only else "NEW_AND_OLD_IMAGES"
        period: Answer = {"ExportFromTime": wanted.since, "ExportViewType": view}
        if wanted.until is not None:
            period["ExportToTime"] = wanted.until
        parameters |= {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": period}
    return parameters


def describe(step: Step, arn: str) -> Answer:
    return start_once(step, arn, lambda: _describe(step, arn))


def wait_until_ended(step: Step, export: Answer) -> Answer:
    """The ExportDescription once the export is COMPLETED or FAILED."""
    arn = export["ExportArn"]
    return wait_until(
        step,
        table_name(arn),
        lambda: _describe(step, arn),
        lambda found: str(found["ExportStatus"]),
        lambda found: found["ExportStatus"] != "IN_PROGRESS",
    )


def _describe(step: Step, arn: str) -> Answer:
    answer: Answer = step.endpoint.call("DescribeExport", ExportArn=arn)["ExportDescription"]
    return answer


def _describe_table(step: Step, name: str) -> Answer:
    observed = describe_table(step.endpoint, name)
    if observed is None:
        raise SetupError(f"{name} does not exist", Exit.REFUSED)
    return observed.table
