"""Capacity units: what an operation costs, and the ConsumedCapacity it reports.

A strongly consistent read unit covers 4 KB, a write unit 1 KB, both rounded up and at least one; an eventually
consistent read costs half, a transactional operation twice. Query and Scan round the sum of what they read, not
each item. `ConsumedCapacity` adds up for one table and renders AWS's shape: TOTAL gives the sum, INDEXES splits
it into the table and each index; only transactions tell read units from write units.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

from typing import Any

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024


def read_units(size: int, consistent: bool = False, transactional: bool = False) -> float:
    """Units to read `size` bytes (one item, or all items of a page); nothing found costs one unit's worth."""
    units = (size + READ_UNIT_BYTES - 1) // READ_UNIT_BYTES or 1
    if transactional:
        return units * 2.0
    return float(units) if consistent else units / 2


def write_units(size: int, transactional: bool = False) -> float:
    """Units to write an item of `size` bytes: the greater of before and after."""
    units = (size + WRITE_UNIT_BYTES - 1) // WRITE_UNIT_BYTES or 1
    return units * 2.0 if transactional else float(units)


class ConsumedCapacity:
    """What one operation consumed on one table. `direction` is set for transactions, which report
    ReadCapacityUnits or WriteCapacityUnits beside the total."""

    __slots__ = ("direction", "global_indexes", "local_indexes", "table", "table_name")

    def __init__(self, table_name: str, direction: str | None = None) -> None:
        self.table_name = table_name
        self.direction = direction
        self.table = 0.0
        self.local_indexes: dict[str, float] = {}
        self.global_indexes: dict[str, float] = {}

    def add_table(self, units: float) -> None:
        self.table += units

    def add_index(self, name: str, units: float, *, local: bool) -> None:
        target = self.local_indexes if local else self.global_indexes
        target[name] = target.get(name, 0.0) + units

    def doubled(self) -> ConsumedCapacity:
        """What the same would have consumed in a transaction, which prepares and commits."""
        twice = ConsumedCapacity(self.table_name, self.direction)
        twice.table = self.table * 2
        twice.local_indexes = {name: units * 2 for name, units in self.local_indexes.items()}
        twice.global_indexes = {name: units * 2 for name, units in self.global_indexes.items()}
        return twice

    @property
    def total(self) -> float:
        return self.table + sum(self.local_indexes.values()) + sum(self.global_indexes.values())

    def render(self, mode: str | None) -> dict[str, Any] | None:
        """The member of the answer for ReturnConsumedCapacity `mode`; None for NONE or nothing asked."""
        if mode is None or mode == "NONE":
            return None
        rendered: dict[str, Any] = {"TableName": self.table_name, **self._units(self.total)}
        if mode == "INDEXES":
            rendered["Table"] = self._units(self.table)
            if self.local_indexes:
                rendered["LocalSecondaryIndexes"] = self._all_units(self.local_indexes)
            if self.global_indexes:
                rendered["GlobalSecondaryIndexes"] = self._all_units(self.global_indexes)
        return rendered

    def _all_units(self, indexes: dict[str, float]) -> dict[str, dict[str, float]]:
        return {name: self._units(units) for name, units in indexes.items()}

    def _units(self, units: float) -> dict[str, float]:
        if self.direction is None:
            return {"CapacityUnits": units}
        return {"CapacityUnits": units, f"{self.direction}CapacityUnits": units}
