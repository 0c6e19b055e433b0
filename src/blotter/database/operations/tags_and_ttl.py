"""Settings of a table beside its schema: tags and time to live.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TagResource.html,
…/API_UpdateTimeToLive.html; words as recorded in dynalite's tests (tagResource, updateTimeToLive).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec.structs import replace

from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.table import Table, TimeToLive
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.catalog import save_table
from blotter.database.operations.context import Context, find_table, get_table
from blotter.database.operations.tables import check_settled
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

MAXIMUM_TAGS = 50
_RESERVED_TAGS = "aws:"

_RESOURCE_ARN = re.compile(r"arn:[^:]+:dynamodb:[^:]*:[^:]*:table/[A-Za-z0-9_.-]{3,255}(/.*)?")


def tag_resource(request: wire.TagResourceInput, tx: WriteTransaction, context: Context) -> bytes:
    table = _resource(request.ResourceArn, "TagResource", tx, context)
    if not request.Tags:
        raise validation_error("Atleast one Tag needs to be provided as Input.")
    for tag in request.Tags:
        if tag.Key.lower().startswith(_RESERVED_TAGS):
            raise validation_error(f"Tag keys that start with {_RESERVED_TAGS} are reserved for AWS: {tag.Key}")
    tags = dict(table.tags) | {tag.Key: tag.Value for tag in request.Tags}
    if len(tags) > MAXIMUM_TAGS:
        raise validation_error(f"Cannot have more than {MAXIMUM_TAGS} tags per resource: {request.ResourceArn}")
    _save_tags(tx, table, tags.items())
    return b""


def untag_resource(request: wire.UntagResourceInput, tx: WriteTransaction, context: Context) -> bytes:
    try:
        table = _resource(request.ResourceArn, "UntagResource", tx, context)
    except DynamoDBError as error:
        # Only this one of the three does not say what was not found.
        raise table_not_found() if error.code == "ResourceNotFoundException" else error from None
    if not request.TagKeys:
        raise validation_error("Atleast one Tag Key needs to be provided as Input.")
    gone = set(request.TagKeys)
    _save_tags(tx, table, [(key, value) for key, value in table.tags if key not in gone])
    return b""


def list_tags(request: wire.ListTagsOfResourceInput, tx: ReadTransaction, context: Context) -> bytes:
    table = _resource(request.ResourceArn, "ListTagsOfResource", tx, context)
    return answer((b"Tags", encoded([{"Key": key, "Value": value} for key, value in table.tags])))


def _save_tags(tx: WriteTransaction, table: Table, tags: Iterable[tuple[str, str]]) -> None:
    save_table(tx, replace(table, tags=tuple(tags)))


def _resource(arn: str, action: str, tx: ReadTransaction, context: Context) -> Table:
    if not _RESOURCE_ARN.fullmatch(arn):
        if arn.count(":") < 5 or "/" not in arn.split(":", 5)[5]:
            raise _access_denied(arn, action, context)
        raise validation_error(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    _, _, _, region, account, resource = arn.split(":", 5)
    if (region, account) != (context.region, context.account):
        raise _access_denied(arn, action, context)
    table = find_table(tx, context, resource.split("/")[1])
    if table is None:
        raise table_not_found(f"Requested resource not found: ResourcArn: {arn} not found")
    return table


def _access_denied(arn: str, action: str, context: Context) -> DynamoDBError:
    return DynamoDBError(
        "AccessDeniedException",
        f"User: arn:aws:iam::{context.account}:root is not authorized to perform: "
        f"dynamodb:{action} on resource: {arn or '*'}",
    )


def update_time_to_live(request: wire.UpdateTimeToLiveInput, tx: WriteTransaction, context: Context) -> bytes:
    table = get_table(tx, context, request.TableName)
    check_settled(table, context)
    wanted = request.TimeToLiveSpecification
    current = table.time_to_live
    enabled = current is not None and current.enabled
    if wanted.Enabled and enabled:
        raise validation_error("TimeToLive is already enabled")
    if not wanted.Enabled and not enabled:
        raise validation_error("TimeToLive is already disabled")
    if current is not None and wanted.AttributeName != current.attribute and enabled:
        raise validation_error(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {current.attribute}"
        )
    save_table(tx, replace(table, time_to_live=TimeToLive(wanted.AttributeName, wanted.Enabled, context.now)))
    return answer(
        (
            b"TimeToLiveSpecification",
            encoded({"AttributeName": wanted.AttributeName, "Enabled": wanted.Enabled}),
        )
    )


def describe_time_to_live(request: wire.DescribeTimeToLiveInput, tx: ReadTransaction, context: Context) -> bytes:
    table = get_table(tx, context, request.TableName)
    current = table.time_to_live
    if current is None or not current.enabled:
        description = {"TimeToLiveStatus": "DISABLED"}
    else:
        description = {"AttributeName": current.attribute, "TimeToLiveStatus": "ENABLED"}
    return answer((b"TimeToLiveDescription", encoded(description)))
