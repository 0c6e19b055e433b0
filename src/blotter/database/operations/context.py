"""What an operation knows beside its request: who asks, where, and when.

One value per request, made by the pipeline. Time comes from here and nowhere else, so that a test can set it.
"""

from __future__ import annotations

import re

import msgspec

from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.table import PAST, Table
from blotter.database.storage.protocol import Origin, ReadTransaction

_TABLE_ARN = re.compile(r"arn:[^:]+:dynamodb:(?P<region>[^:]*):(?P<account>[^:]*):table/(?P<name>[^/]+)")


class Context(msgspec.Struct, frozen=True, gc=False):
    """`now` in seconds since the epoch; `table_delay` is how long CREATING, UPDATING and DELETING last; `origin`
    says in the change log on whose behalf is written; `host` is where the request was sent to, if it said so."""

    account: str
    region: str
    now: float
    table_delay: float = 0.0
    origin: Origin = "user"
    host: str = ""

    @property
    def settled_at(self) -> float:
        """When a state that begins now ends."""
        return self.now + self.table_delay if self.table_delay > 0 else PAST


def table_name(context: Context, name_or_arn: str) -> str:
    """The name in a TableName, which may also be an ARN of the caller's own account and region."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    match = _TABLE_ARN.fullmatch(name_or_arn)
    if match is None:
        raise validation_error(f"Invalid table ARN: {name_or_arn}")
    if match["region"] != context.region or match["account"] != context.account:
        raise DynamoDBError(
            "AccessDeniedException",
            f"The table {name_or_arn} belongs to another account or region than the request "
            f"({context.account}, {context.region}).",
        )
    return match["name"]


def find_table(tx: ReadTransaction, context: Context, name_or_arn: str) -> Table | None:
    """The table in whatever status, or None when there is none or its deletion is over. Indexes whose deletion is
    over are not in it: save a changed one with `catalog.save_table`."""
    table = tx.find_table(context.account, context.region, table_name(context, name_or_arn))
    return None if table is None else table.at(context.now)


def get_table(tx: ReadTransaction, context: Context, name_or_arn: str) -> Table:
    """The table in whatever status, for the control plane, whose message names it."""
    table = find_table(tx, context, name_or_arn)
    if table is None:
        name = table_name(context, name_or_arn)
        raise table_not_found(f"Requested resource not found: Table: {name} not found")
    return table


def open_table(tx: ReadTransaction, context: Context, name_or_arn: str) -> Table:
    """The table ready for items: ACTIVE or UPDATING, with the indexes that take entries. A table still CREATING or
    already DELETING is not found."""
    name = table_name(context, name_or_arn) if name_or_arn.startswith("arn:") else name_or_arn
    table = tx.find_table(context.account, context.region, name)
    if table is None or not table.has_items_at(context.now):
        raise table_not_found()
    return table.serving
