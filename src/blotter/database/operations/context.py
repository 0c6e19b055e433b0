"""What an operation gets beside its request: the caller, the operation's name, account, region and time.

One value per request, made by the pipeline. Time comes from here and nowhere else, so that a test can set it.
"""

from __future__ import annotations

from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.table import PAST, Table
from blotter.database.security.identity import Identity
from blotter.database.storage.protocol import Origin, ReadTransaction


class Context:
    """`now` is when the request arrived, in seconds since the epoch; `table_delay` is how long CREATING, UPDATING
    and DELETING last; `origin` is recorded in the change log; `host` is the request's Host header, empty without
    one. `operation` and `caller` are empty and None for work of the server's own. `owners` names the accounts of
    opened tables that belong to others."""

    __slots__ = ("account", "caller", "host", "now", "operation", "origin", "owners", "region", "table_delay")

    def __init__(
        self,
        account: str,
        region: str,
        now: float,
        table_delay: float = 0.0,
        origin: Origin = "user",
        host: str = "",
        operation: str = "",
        caller: Identity | None = None,
    ) -> None:
        self.account = account
        self.region = region
        self.now = now
        self.table_delay = table_delay
        self.origin = origin
        self.host = host
        self.operation = operation
        self.caller = caller
        self.owners: dict[str, str] | None = None

    @property
    def reaches(self) -> bool:
        """Whether the request may be about tables of other accounts: policies have allowed it then."""
        return self.caller is not None and self.caller.principal is not None

    @property
    def settled_at(self) -> float:
        """When a state that begins now ends."""
        return self.now + self.table_delay if self.table_delay > 0 else PAST


def table_name(context: Context, name_or_arn: str) -> str:
    """The table's name in a TableName, which may also be an ARN of the caller's own account and region. Raises
    ValidationException for what is no table's ARN, then AccessDeniedException for one from elsewhere."""
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    arn = parse_arn(name_or_arn)
    if arn is None or not arn.is_table:
        raise validation_error(f"Invalid table ARN: {name_or_arn}")
    if arn.region != context.region or arn.account != context.account:
        raise _from_elsewhere(context, name_or_arn)
    return arn.table


def table_place(context: Context, name_or_arn: str) -> tuple[str, str]:
    """Account and name of the table in a TableName. An ARN may be of another account, if access to it was
    authorized. Raises as `table_name`."""
    if not name_or_arn.startswith("arn:"):
        return context.account, name_or_arn
    arn = parse_arn(name_or_arn)
    if arn is None or not arn.is_table:
        raise validation_error(f"Invalid table ARN: {name_or_arn}")
    if arn.region != context.region or (arn.account != context.account and not context.reaches):
        raise _from_elsewhere(context, name_or_arn)
    return arn.account, arn.table


def _from_elsewhere(context: Context, arn: str) -> DynamoDBError:
    return DynamoDBError(
        "AccessDeniedException",
        f"The table {arn} belongs to another account or region than the request "
        f"({context.account}, {context.region}).",
    )


def find_table(tx: ReadTransaction, context: Context, name_or_arn: str) -> Table | None:
    """The table in any status; None when there is none, or its deletion is complete. Indexes whose deletion is
    complete are not in it: save a changed one with `catalog.save_table`."""
    account, name = table_place(context, name_or_arn)
    table = tx.find_table(account, context.region, name)
    return None if table is None else table.at(context.now)


def get_table(tx: ReadTransaction, context: Context, name_or_arn: str, *, even_restoring: bool = False) -> Table:
    """The table in any status, for the control plane, whose ResourceNotFoundException names the table. One that is
    being restored is there for those who ask for it (ack-api-quirks, DDB-TABLE-217)."""
    table = find_table(tx, context, name_or_arn)
    if table is None or (table.restore is not None and not even_restoring):
        _, name = table_place(context, name_or_arn)
        raise table_not_found(f"Requested resource not found: Table: {name} not found")
    return table


def open_table(tx: ReadTransaction, context: Context, name_or_arn: str) -> Table:
    """The table ready for items, with the indexes that take entries. Raises ResourceNotFoundException unless it is
    ACTIVE or UPDATING."""
    account, name = context.account, name_or_arn
    if name_or_arn.startswith("arn:"):
        account, name = table_place(context, name_or_arn)
        if account != context.account:
            context.owners = {**(context.owners or {}), name: account}
    table = tx.find_table(account, context.region, name)
    if table is None or not table.has_items_at(context.now):
        raise table_not_found()
    return table.serving
