"""The units of a table or global index that is scaled: what they are, and how they are set.

They are set by the code of UpdateTable, so all that it checks holds here too: a table that is being changed, or
quotas, refuse it.
"""

from __future__ import annotations

import msgspec

from blotter.database.model.table import Index, Table, TableStatus, Throughput, is_over
from blotter.database.operations.context import Context
from blotter.database.operations.tables.update_table import update_table
from blotter.database.services.autoscaling.records import Place
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire


class Scaled(msgspec.Struct, frozen=True):
    """The table or index of a place, and its units now. `table` is None when it is not there; `index` is its name,
    None for the table itself."""

    name: str
    index: str | None
    writes: bool
    table: Table | None = None
    units: Throughput | None = None
    """None while there is nothing to scale: no such index, or a table on demand."""
    settled: bool = True
    """Whether the table and its index are ACTIVE."""

    @property
    def capacity(self) -> int | None:
        if self.units is None:
            return None
        return self.units.write if self.writes else self.units.read

    @property
    def side(self) -> str:
        return "write" if self.writes else "read"


def look_up(tx: ReadTransaction, place: Place, now: float) -> Scaled:
    parts = place.resource.split("/")
    name, index_name = parts[1], parts[3] if len(parts) == 4 else None
    writes = place.dimension.endswith(":WriteCapacityUnits")
    table = tx.find_table(place.account, place.region, name)
    table = None if table is None else table.at(now)
    if table is None:
        return Scaled(name, index_name, writes)
    index: Index | None = None
    if index_name is not None:
        index = table.index(index_name)
        if index is None or not index.is_global or index.deleting:
            return Scaled(name, index_name, writes, table)
    units = None
    if table.billing_mode == "PROVISIONED":
        units = table.throughput if index is None else index.throughput
    settled = table.status_at(now) is TableStatus.ACTIVE
    if index is not None:
        settled = settled and not index.backfilling and is_over(index.active_at, now)
        settled = settled and is_over(index.updating_until, now)
    return Scaled(name, index_name, writes, table, units, settled)


def set_capacity(tx: WriteTransaction, scaled: Scaled, capacity: int, context: Context) -> None:
    """Raises DynamoDBError for what UpdateTable refuses."""
    if scaled.units is None:
        raise ValueError(f"{scaled.name} has no units")
    read, write = scaled.units.read, scaled.units.write
    if scaled.writes:
        write = capacity
    else:
        read = capacity
    units = wire.ProvisionedThroughput(ReadCapacityUnits=read, WriteCapacityUnits=write)
    if scaled.index is None:
        request = wire.UpdateTableInput(TableName=scaled.name, ProvisionedThroughput=units)
    else:
        change = wire.UpdateGlobalSecondaryIndexAction(IndexName=scaled.index, ProvisionedThroughput=units)
        request = wire.UpdateTableInput(
            TableName=scaled.name, GlobalSecondaryIndexUpdates=[wire.GlobalSecondaryIndexUpdate(Update=change)]
        )
    update_table(request, tx, context)
