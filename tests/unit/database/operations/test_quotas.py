"""The quotas of `--aws-quotas on`: each is met exactly, in AWS's words, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.operations.tables import quotas
from tests.in_process import InProcessDatabase

REFER = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(1_791_505_254.0)  # Friday, October 9, 2026, 12:20:54 AM


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[InProcessDatabase]:
    database = InProcessDatabase(tmp_path, clock, store="memory")
    quotas.enforce_quotas(True)
    yield database
    quotas.enforce_quotas(False)
    database.close()


def units(read: int, write: int) -> dict[str, int]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def create(database: InProcessDatabase, name: str = "things", **members: Any) -> tuple[int, dict[str, Any]]:
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        **members,
    }
    if "BillingMode" not in members:
        request.setdefault("ProvisionedThroughput", units(10, 10))
    return database.call("CreateTable", request)


def update(database: InProcessDatabase, **members: Any) -> str:
    """The message of the refusal, or ""."""
    status, body = database.call("UpdateTable", {"TableName": "things", **members})
    assert status == 200 or body["__type"].endswith("#LimitExceededException"), body
    return "" if status == 200 else str(body["message"])


def decrease(database: InProcessDatabase, read: int, write: int) -> str:
    return update(database, ProvisionedThroughput=units(read, write))


def test_after_four_decreases_one_is_allowed_every_hour_or_the_next_day(
    database: InProcessDatabase, clock: Clock
) -> None:
    create(database)
    for read in (9, 8, 7, 6):
        clock.now += 10
        assert decrease(database, read, 10) == ""
    message = (
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After "
        "the first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every "
        "3600 seconds. Number of decreases today: 4. Last decrease at Friday, October 9, 2026 at 12:21:34 AM "
        "Coordinated Universal Time. Next decrease can be made at Friday, October 9, 2026 at 1:21:34 AM "
        "Coordinated Universal Time"
    )
    assert decrease(database, 5, 10) == message
    assert decrease(database, 5, 20) == message  # up and down
    assert decrease(database, 6, 20) == ""
    clock.now += 3599
    assert decrease(database, 5, 20) != ""
    clock.now += 1
    assert decrease(database, 5, 20) == ""
    assert "Number of decreases today: 5" in decrease(database, 4, 20)
    clock.now = 1_791_590_399.0  # a second before midnight
    assert decrease(database, 4, 20) == ""
    assert "at 12:00:00 AM Coordinated" in decrease(database, 3, 20)
    clock.now += 1
    for read in (3, 2, 1):
        assert decrease(database, read, 20) == ""


def test_indexes_have_decreases_of_their_own(database: InProcessDatabase) -> None:
    index = {
        "IndexName": "by-kind",
        "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        "ProvisionedThroughput": units(10, 10),
    }
    names = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "kind")]
    create(database, AttributeDefinitions=names, GlobalSecondaryIndexes=[index])
    for read in (9, 8, 7, 6):
        assert decrease(database, read, 10) == ""
    for read in (9, 8, 7, 6, 5):
        change = {"Update": {"IndexName": "by-kind", "ProvisionedThroughput": units(read, 10)}}
        refused = update(database, GlobalSecondaryIndexUpdates=[change])
        assert (refused != "") is (read == 5)


def test_a_switch_of_the_billing_mode_is_no_decrease(database: InProcessDatabase) -> None:
    create(database)
    for read in (9, 8, 7, 6):
        assert decrease(database, read, 10) == ""
    assert update(database, BillingMode="PAY_PER_REQUEST") == ""


def test_a_table_switches_to_on_demand_four_times_a_day(database: InProcessDatabase, clock: Clock) -> None:
    create(database)
    for _ in range(4):
        assert update(database, BillingMode="PAY_PER_REQUEST") == ""
        clock.now += 600
        assert update(database, BillingMode="PROVISIONED", ProvisionedThroughput=units(1, 1)) == ""
    assert update(database, BillingMode="PAY_PER_REQUEST") == (
        "Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s). Last update "
        "at Fri Oct 09 00:50:54 UTC 2026. Next update can be made at Sat Oct 10 00:20:54 UTC 2026"
    )
    clock.now += 86_400 - 4 * 600
    assert update(database, BillingMode="PAY_PER_REQUEST") == ""


def test_the_table_class_changes_twice_in_30_days(database: InProcessDatabase, clock: Clock) -> None:
    create(database)
    assert update(database, TableClass="STANDARD_INFREQUENT_ACCESS") == ""
    assert update(database, TableClass="STANDARD") == ""
    message = "Subscriber limit exceeded: Updates to TableClass are limited to 2 times in 30 day(s)."
    assert update(database, TableClass="STANDARD") == message
    clock.now += 30 * 86_400
    assert update(database, TableClass="STANDARD_INFREQUENT_ACCESS") == ""


def test_encryption_changes_four_times_a_day_then_every_six_hours(
    database: InProcessDatabase, clock: Clock
) -> None:
    create(database)
    for enabled in (True, False, True, False):
        assert update(database, SSESpecification={"Enabled": enabled}) == ""
        clock.now += 60
    assert update(database, SSESpecification={"Enabled": True}) == (
        "Subscriber limit exceeded: Encryption mode changes are limited in the 24h window ending at "
        "2026-10-10T00:20:54.000Z. After the first 4 change, each subsequent change in the same window can be "
        "performed at most once every 21600 seconds. Number of updates today: 4. Last change at "
        "2026-10-09T00:23:54.000Z. Next changes can be made at 2026-10-09T06:23:54.000Z."
    )
    clock.now += 21_600
    assert update(database, SSESpecification={"Enabled": True}) == ""
    assert update(database, SSESpecification={"Enabled": False}) != ""


def test_a_table_made_anew_has_its_changes_again(database: InProcessDatabase) -> None:
    create(database)
    for _ in range(3):
        update(database, TableClass="STANDARD")
    database.call("DeleteTable", {"TableName": "things"})
    create(database)
    assert update(database, TableClass="STANDARD") == ""


def test_units_of_a_table_and_of_an_account(database: InProcessDatabase) -> None:
    status, body = create(database, ProvisionedThroughput=units(1, 40_001))
    assert (status, body["message"]) == (
        400,
        "The requested WriteCapacityUnits, 40001, is above the per table maximum for the account in us-east-1. "
        f"Per table maximum: 40000. {REFER}",
    )
    index = {
        "IndexName": "by-id",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        "ProvisionedThroughput": units(40_001, 1),
    }
    status, body = create(database, GlobalSecondaryIndexes=[index])
    assert (status, body["message"]) == (
        400,
        "The requested ReadCapacityUnits for index by-id, 40001, is above the per index maximum for the account "
        f"in us-east-1. Per table maximum: 40000. {REFER}",
    )
    assert create(database, ProvisionedThroughput=units(40_000, 1))[0] == 200
    assert create(database, "others", ProvisionedThroughput=units(40_000, 1))[0] == 200
    status, body = create(database, "third", ProvisionedThroughput=units(7, 1))
    assert (status, body["message"]) == (
        400,
        "This request would have caused the ReadCapacityUnits limit to be exceeded for the account in us-east-1. "
        f"Current ReadCapacityUnits reserved by the account: 80000. Limit: 80000. Requested: 7. {REFER}",
    )
    assert (
        "Current ReadCapacityUnits" in create(database, "third", ProvisionedThroughput=units(1, 1))[1]["message"]
    )
    assert decrease(database, 39_000, 1) == ""
    assert create(database, "third", ProvisionedThroughput=units(7, 1))[0] == 200


def test_maxima_of_a_table_on_demand(database: InProcessDatabase) -> None:
    create(database, BillingMode="PAY_PER_REQUEST")
    assert update(database, OnDemandThroughput={"MaxReadRequestUnits": 40_001}) == (
        "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for table exceeds "
        "TableMaxReadCapacityUnits of the account in region us-east-1"
    )
    assert update(database, OnDemandThroughput={"MaxReadRequestUnits": 40_000}) == ""


def test_warm_throughput_of_a_table_and_of_an_index(database: InProcessDatabase) -> None:
    index = {
        "IndexName": "by-id",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    create(database, BillingMode="PAY_PER_REQUEST", GlobalSecondaryIndexes=[index])
    assert update(database, WarmThroughput={"ReadUnitsPerSecond": 40_001}) == (
        "Subscriber limit exceeded: Requested ReadUnitsPerSecond for WarmThroughput for table exceeds "
        "TableMaxReadCapacityUnits of the account in region us-east-1"
    )
    change = {"Update": {"IndexName": "by-id", "WarmThroughput": {"WriteUnitsPerSecond": 40_001}}}
    assert update(database, GlobalSecondaryIndexUpdates=[change]) == (
        "Subscriber limit exceeded: Requested WriteUnitsPerSecond for WarmThroughput for index by-id exceeds "
        "TableMaxWriteCapacityUnits of the account in region us-east-1"
    )
    assert update(database, WarmThroughput={"ReadUnitsPerSecond": 40_000}) == ""


def test_an_account_has_so_many_tables(database: InProcessDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "TABLES", 2)
    assert [create(database, name)[0] for name in ("one", "two", "three")] == [200, 200, 400]
    assert (
        create(database, "three")[1]["message"]
        == "Subscriber limit exceeded: There is a limit of 2 tables per subscriber"
    )
    database.call("DeleteTable", {"TableName": "one"})
    assert create(database, "three")[0] == 200


def test_only_so_many_tables_change_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "SIMULTANEOUS", 2)
    monkeypatch.setattr(quotas, "_enforced", True)
    clock = Clock(1_791_505_254.0)
    database = InProcessDatabase(tmp_path, clock, table_delay=60.0, store="memory")
    assert [create(database, name)[0] for name in ("one", "two", "three")] == [200, 200, 400]
    message = "Subscriber limit exceeded: Only 2 tables can be created, updated, or deleted simultaneously"
    assert create(database, "three")[1]["message"] == message
    clock.now += 60
    assert create(database, "three")[0] == 200
    database.close()


def test_without_the_setting_nothing_is_refused(database: InProcessDatabase) -> None:
    quotas.enforce_quotas(False)
    create(database, ProvisionedThroughput=units(90_000, 90_000))
    for read in range(20, 0, -1):
        assert decrease(database, read, 1) == ""
    for _ in range(5):
        assert update(database, SSESpecification={"Enabled": True}) == ""
        assert update(database, SSESpecification={"Enabled": False}) == ""
