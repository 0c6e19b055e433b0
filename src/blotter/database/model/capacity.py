"""Capacity units: what an operation consumes, and the ConsumedCapacity it reports.

A strongly consistent read unit covers 4 KB, a write unit 1 KB, both rounded up and at least one; an eventually
consistent read costs half. Query and Scan round the sum of what they read, not each item. A transaction costs
twice, once to prepare and once to commit, but only on the table: its index entries cost what they cost anywhere.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html; for indexes
in transactions nubo-db/dynoxide, pull request 188, measured on AWS in August 2026.

Every operation makes a `ConsumedCapacity` for each table it used, whether or not the request wants it in the
response: a name and a few numbers. `render` makes AWS's shape of it when the request wants it. With INDEXES:

    {"TableName": "t", "CapacityUnits": 3.0, "Table": {"CapacityUnits": 1.0},
     "GlobalSecondaryIndexes": {"by-date": {"CapacityUnits": 2.0}}}

TOTAL leaves out the parts. A vector index is metered in bytes, which are no part of the units: INDEXES shows them
for writes as {"VectorIndexes": {"by-meaning": {"VectorWriteRequestBytes": 1024.0}}}. Transactions report
"ReadCapacityUnits" or "WriteCapacityUnits" beside every "CapacityUnits".

A handler may run several times and before the commit, so it counts no metric itself: what it adds with `count` is
counted by `metrics.counting` once the request has succeeded.
"""

from __future__ import annotations

from typing import Any

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024
VECTOR_WRITES = "VectorWriteRequestBytes"
VECTOR_SEARCHES = "VectorSearchRequestBytes"
"""Metrics of a vector index, and members of responses."""


def read_units(size: int, consistent: bool = False) -> float:
    """Units to read `size` bytes (one item, or all items of a page); nothing found costs one unit's worth."""
    units = (size + READ_UNIT_BYTES - 1) // READ_UNIT_BYTES or 1
    return float(units) if consistent else units / 2


def write_units(size: int) -> float:
    """Units to write an item of `size` bytes: the greater of before and after."""
    return float((size + WRITE_UNIT_BYTES - 1) // WRITE_UNIT_BYTES or 1)


class ConsumedCapacity:
    """What one request consumed on one table and its indexes. All units are read units, or with `writes` write
    units; no request consumes both on one table. `transactional` selects the shape in which it is rendered; its
    units are doubled by `Capacities`."""

    __slots__ = (
        "counted",
        "global_indexes",
        "local_indexes",
        "table_name",
        "table_units",
        "transactional",
        "writes",
    )

    def __init__(
        self, table_name: str, writes: bool, table_units: float = 0.0, transactional: bool = False
    ) -> None:
        self.table_name = table_name
        self.writes = writes
        self.table_units = table_units
        self.transactional = transactional
        self.local_indexes: dict[str, float] | None = None
        """Units by index name; None while there are none."""
        self.global_indexes: dict[str, float] | None = None
        self.counted: dict[tuple[str, str], int] | None = None
        """What `count` has added, by metric and vector index ("" for the table); None while there is nothing."""

    def add_index(self, name: str, units: float, *, local: bool) -> None:
        units_by_name = self.local_indexes if local else self.global_indexes
        if units_by_name is None:
            units_by_name = {}
            if local:
                self.local_indexes = units_by_name
            else:
                self.global_indexes = units_by_name
        units_by_name[name] = units_by_name.get(name, 0.0) + units

    def count(self, metric: str, amount: int = 1, vector_index: str = "") -> None:
        """Counts in a metric of `metrics/names.py`, of the table or of one of its vector indexes: one sample for
        the request, the sum of all amounts."""
        counted = self.counted
        if counted is None:
            counted = {}
            self.counted = counted
        place = (metric, vector_index)
        counted[place] = counted.get(place, 0) + amount

    @property
    def vector_bytes(self) -> dict[str, int]:
        """Bytes written to vector indexes, by index name."""
        counted = self.counted or {}
        return {place[1]: amount for place, amount in counted.items() if place[0] == VECTOR_WRITES}

    @property
    def total(self) -> float:
        """The units of the table and of all its indexes."""
        total = self.table_units
        for units_by_name in (self.local_indexes, self.global_indexes):
            if units_by_name is not None:
                total += sum(units_by_name.values())
        return total

    def render(self, mode: str | None) -> dict[str, Any] | None:
        """The member of the response for ReturnConsumedCapacity `mode`; None for NONE or no mode."""
        if mode is None or mode == "NONE":
            return None
        rendered: dict[str, Any] = {"TableName": self.table_name, **self._units(self.total)}
        if mode == "INDEXES":
            rendered["Table"] = self._units(self.table_units)
            if self.local_indexes:
                rendered["LocalSecondaryIndexes"] = self._all_units(self.local_indexes)
            if self.global_indexes:
                rendered["GlobalSecondaryIndexes"] = self._all_units(self.global_indexes)
            if vectors := self.vector_bytes:
                rendered["VectorIndexes"] = {
                    name: {VECTOR_WRITES: float(amount)} for name, amount in vectors.items()
                }
        return rendered

    def _all_units(self, units_by_name: dict[str, float]) -> dict[str, dict[str, float]]:
        return {name: self._units(units) for name, units in units_by_name.items()}

    def _units(self, units: float) -> dict[str, float]:
        if not self.transactional:
            return {"CapacityUnits": units}
        return {"CapacityUnits": units, f"{'Write' if self.writes else 'Read'}CapacityUnits": units}


class Capacities:
    """What a request on several tables consumes, by table, in the order in which it comes to them."""

    __slots__ = ("_by_table", "_transactional", "_writes")

    def __init__(self, *, writes: bool, transactional: bool) -> None:
        self._writes = writes
        self._transactional = transactional
        self._by_table: dict[str, ConsumedCapacity] = {}

    def of(self, table_name: str) -> ConsumedCapacity:
        """The entry of a table, to which units are added as they would cost outside a transaction."""
        consumed = self._by_table.get(table_name)
        if consumed is None:
            consumed = ConsumedCapacity(table_name, self._writes, 0.0, self._transactional)
            self._by_table[table_name] = consumed
        return consumed

    def finish(self) -> list[ConsumedCapacity]:
        """All entries, complete. To be called once, when everything is added."""
        consumed = list(self._by_table.values())
        if self._transactional:
            for each in consumed:
                each.table_units *= 2
        return consumed
