"""Capacity units and the shape of ConsumedCapacity.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html; conformance
suite nubo-db/dynamodb-conformance, tests/tier1/getItem/consumedCapacity, tests/tier2/transactions.
"""

from __future__ import annotations

import pytest

from blotter.database.model.capacity import Capacities, ConsumedCapacity, read_units, write_units


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [
        (0, True, 1.0),
        (0, False, 0.5),
        (4096, True, 1.0),
        (4097, True, 2.0),
        (4097, False, 1.0),
        (12288, False, 1.5),
    ],
)
def test_read_units(size: int, consistent: bool, units: float) -> None:
    assert read_units(size, consistent) == units


@pytest.mark.parametrize(("size", "units"), [(0, 1.0), (1024, 1.0), (1025, 2.0), (409600, 400.0)])
def test_write_units(size: int, units: float) -> None:
    assert write_units(size) == units


def test_nothing_is_reported_unless_asked_for() -> None:
    assert ConsumedCapacity("t", writes=False).render(None) is None
    assert ConsumedCapacity("t", writes=False).render("NONE") is None


def test_total_and_breakdown() -> None:
    consumed = ConsumedCapacity("t", writes=True)
    consumed.table_units += 1.0
    consumed.add_index("local", 2.0, local=True)
    consumed.add_index("global", 1.0, local=False)
    consumed.add_index("global", 1.0, local=False)
    assert consumed.render("TOTAL") == {"TableName": "t", "CapacityUnits": 5.0}
    assert consumed.render("INDEXES") == {
        "TableName": "t",
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 1.0},
        "LocalSecondaryIndexes": {"local": {"CapacityUnits": 2.0}},
        "GlobalSecondaryIndexes": {"global": {"CapacityUnits": 2.0}},
    }


def test_indexes_that_cost_nothing_are_left_out() -> None:
    consumed = ConsumedCapacity("t", writes=False)
    consumed.table_units += 0.5
    assert consumed.render("INDEXES") == {"TableName": "t", "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0.5}}


def test_transactions_tell_reads_from_writes_and_cost_twice_on_the_table_alone() -> None:
    capacities = Capacities(writes=True, transactional=True)
    capacities.of("t").table_units += 1.0
    capacities.of("t").add_index("global", 1.0, local=False)
    (consumed,) = capacities.finish()
    assert consumed.render("INDEXES") == {
        "TableName": "t",
        "CapacityUnits": 3.0,
        "WriteCapacityUnits": 3.0,
        "Table": {"CapacityUnits": 2.0, "WriteCapacityUnits": 2.0},
        "GlobalSecondaryIndexes": {"global": {"CapacityUnits": 1.0, "WriteCapacityUnits": 1.0}},
    }
