"""An import that the endpoint does by itself: ImportTable from S3, and waiting until it has ended."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from blotter.config import ConfiguredTable
from blotter.tables.calls.endpoint import Caller
from blotter.tables.calls.wait import Backoff, Clock, Deadline
from blotter.tables.declaring.declaration import TableDeclaration
from blotter.tables.errors import Exit, Retry, SetupError
from blotter.tables.planning.desired import create_parameters

INPUT_FORMATS: Final = {"csv": "CSV", "dynamodb-json": "DYNAMODB_JSON", "ion": "ION"}
_URL = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9.\-_]*)(?:/(?P<prefix>.*))?", re.DOTALL)
_IMPORT_ARN = re.compile(r"arn:[^:]+:dynamodb:[^:]*:[^:]*:table/[A-Za-z0-9_.-]+/import/[A-Za-z0-9-]+")
_KEY = re.compile(r"(?P<name>.+):(?P<type>[SNB])", re.DOTALL)

# What ImportTable takes of CreateTable's parameters; the rest can only be set once the table is there.
_TAKEN: Final = (
    "TableName", "AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput", "OnDemandThroughput",
    "SSESpecification", "GlobalSecondaryIndexes", "VectorIndexes",
)  # fmt: skip

LONGEST_PAUSE_S: Final = 20.0


def is_url(source: str) -> bool:
    return source.startswith("s3://")


def is_import_arn(source: str) -> bool:
    return _IMPORT_ARN.fullmatch(source) is not None


def bucket_source(url: str, owner: str | None) -> dict[str, str]:
    """S3BucketSource of s3://BUCKET/PREFIX. Raises SetupError."""
    match = _URL.fullmatch(url)
    if match is None:
        raise SetupError(f"{url} is not of the form s3://BUCKET/PREFIX", Exit.USAGE)
    source = {"S3BucketOwner": owner, "S3Bucket": match["bucket"], "S3KeyPrefix": match["prefix"]}
    return {name: value for name, value in source.items() if value}


def declared_creation(table: ConfiguredTable, declared: TableDeclaration) -> tuple[dict[str, Any], list[str]]:
    """TableCreationParameters of a declared table, and what has to be set afterwards. Raises SetupError for a
    local index, which no import can make and which cannot be added later."""
    parameters = create_parameters(table.name, declared)
    if "LocalSecondaryIndexes" in parameters:
        raise SetupError(
            f"{table.label} declares a local index, which ImportTable cannot make: import a file into the table"
            " that `blotter tables apply` makes, or leave the index out",
            Exit.REFUSED,
        )
    taken = {name: value for name, value in parameters.items() if name in _TAKEN}
    return taken, sorted(set(parameters) - set(taken))


def simple_creation(name: str, partition_key: str, sort_key: str | None) -> dict[str, Any]:
    """TableCreationParameters of an on-demand table with the keys given as NAME:TYPE. Raises SetupError."""
    parts = [("HASH", partition_key)] + ([("RANGE", sort_key)] if sort_key else [])
    keys = []
    for kind, text in parts:
        match = _KEY.fullmatch(text)
        if match is None:
            raise SetupError(f"{text!r} is no key; write NAME:S, NAME:N or NAME:B", Exit.USAGE)
        keys.append((kind, match["name"], match["type"]))
    return {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": type_} for _, name, type_ in keys],
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for kind, name, _ in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }


def import_request(
    source: dict[str, str],
    form: str,
    compression: str,
    csv: dict[str, Any],
    creation: dict[str, Any],
    token: str | None,
) -> dict[str, Any]:
    """The parameters of ImportTable. Without a token of the user's each request has its own: a token stands for
    its import even after the table was deleted, and would only give back the old one."""
    request: dict[str, Any] = {
        "S3BucketSource": source,
        "InputFormat": INPUT_FORMATS[form],
        "InputCompressionType": compression,
        "TableCreationParameters": creation,
    }
    if csv:
        request["InputFormatOptions"] = {"Csv": csv}
    return {**request, "ClientToken": token or str(uuid.uuid4())}


def wait_for_import(
    endpoint: Caller, arn: str, clock: Clock, deadline: Deadline, notify: Callable[[str], None]
) -> dict[str, Any]:
    """Returns DescribeImport's description of an import that has ended. Raises SetupError."""
    backoff = Backoff(clock, last=LONGEST_PAUSE_S)
    failures = 0
    while True:
        try:
            described: dict[str, Any] = endpoint.call("DescribeImport", ImportArn=arn)["ImportTableDescription"]
            failures = 0
        except SetupError as error:
            failures += 1
            if error.retry is Retry.NEVER or (error.retry is Retry.BRIEFLY and failures > 5):
                raise
        else:
            if described["ImportStatus"] not in ("IN_PROGRESS", "CANCELLING"):
                return described
            notify(f"import {described['ImportStatus'].lower().replace('_', ' ')}")
        if deadline.left() <= 0:
            raise SetupError(
                f"the import has not ended within {deadline.seconds:.0f} s; it goes on:"
                f" `blotter import {arn} --wait` waits for it",
                Exit.TIMED_OUT,
            )
        clock.sleep(backoff.next())
