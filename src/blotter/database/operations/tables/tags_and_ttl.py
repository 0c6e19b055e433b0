"""Settings of a table beside its schema: tags and time to live.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TagResource.html,
…/API_UpdateTimeToLive.html; messages as recorded in the ACK project's notes (ack-api-quirks, DDB-TABLE-070, -071,
-107, -108, -442; 2026-10).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.table import Table, TableStatus, TimeToLive
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, find_table, get_table
from blotter.database.operations.tables.catalog import save_table
from blotter.database.operations.tables.request import tag_pairs
from blotter.database.operations.tables.under_way import check_settled
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.validation.tags import check_tag_set
from blotter.database.wire import requests as wire


def touches_of_tag(request: wire.TagResourceInput) -> Sequence[Touch]:
    return (Touch("dynamodb:TagResource", request.ResourceArn, tags=tuple(tag_pairs(request.Tags))),)


def touches_of_untag(request: wire.UntagResourceInput) -> Sequence[Touch]:
    tags = tuple((key, None) for key in request.TagKeys)
    return (Touch("dynamodb:UntagResource", request.ResourceArn, tags=tags),)


def tag_resource(request: wire.TagResourceInput, tx: WriteTransaction, context: Context) -> bytes:
    table = _resource(request.ResourceArn, tx, context)
    _check_present(table, context)
    tags = dict(table.tags) | dict(tag_pairs(request.Tags))
    check_tag_set(tags.items())
    _save_tags(tx, table, tags.items())
    return b""


def untag_resource(request: wire.UntagResourceInput, tx: WriteTransaction, context: Context) -> bytes:
    table = _resource(request.ResourceArn, tx, context)
    _check_present(table, context)
    gone = set(request.TagKeys)
    _save_tags(tx, table, [(key, value) for key, value in table.tags if key not in gone])
    return b""


def _check_present(table: Table, context: Context) -> None:
    """Tags can change while a table is UPDATING too, but not while it is CREATING or DELETING."""
    if table.status_at(context.now) is not TableStatus.UPDATING:
        check_settled(table, context)


def list_tags(request: wire.ListTagsOfResourceInput, tx: ReadTransaction, context: Context) -> bytes:
    table = _resource(request.ResourceArn, tx, context)
    return answer((b"Tags", encoded([{"Key": key, "Value": value} for key, value in table.tags])))


def _save_tags(tx: WriteTransaction, table: Table, tags: Iterable[tuple[str, str]]) -> None:
    save_table(tx, replace(table, tags=tuple(tags)))


def _resource(text: str, tx: ReadTransaction, context: Context) -> Table:
    """The table of an ARN that was validated. Raises ValidationException for another region,
    AccessDeniedException for another account, ResourceNotFoundException for a table that is not there, or
    something of a table."""
    arn = parse_arn(text)
    if arn is None or arn.region != context.region:
        raise validation_error(f"Invalid TableArn: Invalid ResourceArn provided as input {text}")
    if arn.account != context.account:
        raise DynamoDBError("AccessDeniedException", "Access is denied")
    table = find_table(tx, context, arn.table) if arn.is_table else None
    if table is None or table.restore is not None:
        raise table_not_found(f"Requested resource not found: ResourceArn: {text} not found")
    return table


def update_time_to_live(request: wire.UpdateTimeToLiveInput, tx: WriteTransaction, context: Context) -> bytes:
    table = get_table(tx, context, request.TableName)
    if table.status_at(context.now) is TableStatus.CREATING:
        raise table_not_found(f"Requested resource not found: Table: {table.name} not found")
    wanted = request.TimeToLiveSpecification
    current = table.time_to_live
    if current is not None and current.enabled:
        if wanted.AttributeName != current.attribute:
            raise validation_error(
                f"TimeToLive is active on a different AttributeName: current AttributeName is {current.attribute}"
            )
        if wanted.Enabled:
            raise validation_error("TimeToLive is already enabled")
    elif not wanted.Enabled:
        raise validation_error("TimeToLive is already disabled")
    save_table(tx, replace(table, time_to_live=TimeToLive(wanted.AttributeName, wanted.Enabled, context.now)))
    return answer(
        (
            b"TimeToLiveSpecification",
            encoded({"AttributeName": wanted.AttributeName, "Enabled": wanted.Enabled}),
        )
    )


def describe_time_to_live(request: wire.DescribeTimeToLiveInput, tx: ReadTransaction, context: Context) -> bytes:
    table = get_table(tx, context, request.TableName)
    status = table.status_at(context.now)
    if status in (TableStatus.CREATING, TableStatus.DELETING):
        raise validation_error(
            f"Cannot describe time to live while table is in {status} state: Current table state is {status}"
        )
    current = table.time_to_live
    if current is None or not current.enabled:
        description = {"TimeToLiveStatus": "DISABLED"}
    else:
        description = {"AttributeName": current.attribute, "TimeToLiveStatus": "ENABLED"}
    return answer((b"TimeToLiveDescription", encoded(description)))
