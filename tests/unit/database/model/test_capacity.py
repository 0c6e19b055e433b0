"""Capacity units and the shape of ConsumedCapacity.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html; conformance
suite nubo-db/dynamodb-conformance, tests/tier1/getItem/consumedCapacity, tests/tier2/transactions.
"""

from __future__ import annotations

import pytest

from blotter.database.model.capacity import ConsumedCapacity, read_units, write_units


@pytest.mark.parametrize(
    ("size", "consistent", "transactional", "units"),
    [
        (0, True, False, 1.0),
        (0, False, False, 0.5),
        (4096, True, False, 1.0),
        (4097, True, False, 2.0),
        (4097, False, False, 1.0),
        (12288, False, False, 1.5),
        (4096, False, True, 2.0),
        (4097, True, True, 4.0),
    ],
)
def test_read_units(size: int, consistent: bool, transactional: bool, units: float) -> None:
    assert read_units(size, consistent, transactional) == units


@pytest.mark.parametrize(
    ("size", "transactional", "units"),
    [(0, False, 1.0), (1024, False, 1.0), (1025, False, 2.0), (1025, True, 4.0), (409600, False, 400.0)],
)
def test_write_units(size: int, transactional: bool, units: float) -> None:
    assert write_units(size, transactional) == units


def test_nothing_is_reported_unless_asked_for() -> None:
    assert ConsumedCapacity("t").render(None) is None
    assert ConsumedCapacity("t").render("NONE") is None


def test_total_and_breakdown() -> None:
    consumed = ConsumedCapacity("t")
    consumed.add_table(1.0)
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
    consumed = ConsumedCapacity("t")
    consumed.add_table(0.5)
    assert consumed.render("INDEXES") == {"TableName": "t", "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0.5}}


def test_transactions_tell_reads_from_writes() -> None:
    consumed = ConsumedCapacity("t", "Write")
    consumed.add_table(2.0)
    assert consumed.render("INDEXES") == {
        "TableName": "t",
        "CapacityUnits": 2.0,
        "WriteCapacityUnits": 2.0,
        "Table": {"CapacityUnits": 2.0, "WriteCapacityUnits": 2.0},
    }
