"""What may begin while another change of a table is under way, and what the table shows until it is complete.

Recorded from AWS in the ACK project's notes on DynamoDB (ack-api-quirks, 2026-10): DDB-TABLE-002, -063, -064,
-065, -119, -120, -134, -140, -155, -163, -175, -179, -284, -286, -369, -370, -375, -444, -450, -452, -458, -459,
-462.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcessDatabase

DELAY = 10.0
ON_STREAM = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}
ON_CLASS = {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
ON_ENCRYPTION = {"SSESpecification": {"Enabled": True}}
ON_WARMTH = {"WarmThroughput": {"ReadUnitsPerSecond": 13_000}}
ON_MAXIMA = {"OnDemandThroughput": {"MaxReadRequestUnits": 9}}
ON_PROTECTION = {"DeletionProtectionEnabled": False}
ON_INDEX = {
    "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
    "GlobalSecondaryIndexUpdates": [
        {
            "Create": {
                "IndexName": "by-a",
                "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        }
    ],
}


def units(number: int) -> dict[str, Any]:
    return {"ProvisionedThroughput": {"ReadCapacityUnits": number, "WriteCapacityUnits": number}}


UNITS_OF_INDEX = {"Update": {"IndexName": "by-a", **units(1)}}
ON_BILLING = {"BillingMode": "PROVISIONED", **units(1)}
ON_DEMAND = {"BillingMode": "PAY_PER_REQUEST"}
DELETE: dict[str, Any] = {}
ACCEPTED = ""


class Tables:
    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.database = InProcessDatabase(folder, store="memory", clock=lambda: self.now, table_delay=DELAY)

    def create(self, **settings: Any) -> dict[str, Any]:
        body = self.call(
            "CreateTable",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            **(settings or {"BillingMode": "PAY_PER_REQUEST"}),
        )
        self.settle()
        return body["TableDescription"]  # type: ignore[no-any-return]

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, {"TableName": "books", **request})
        return body if status == 200 else {"refused": body["message"]}

    def update(self, change: dict[str, Any]) -> dict[str, Any]:
        body = self.call("UpdateTable", **change)
        return body.get("TableDescription", body)  # type: ignore[no-any-return]

    def describe(self) -> dict[str, Any]:
        return self.call("DescribeTable")["Table"]  # type: ignore[no-any-return]

    def settle(self) -> None:
        self.now += DELAY
        self.database.call("ListTables", {})


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    tables = Tables(tmp_path)
    yield tables
    tables.database.close()


IOPS = "Table IOPS are currently being updated. Table: books"
STREAM_BESIDE_IOPS = "Can't enable or disable stream while table IOPS are being updated. Table: books"
UPDATED = "Table: books is in the process of being updated."
CLASS = "TableClassUpdateInProgress: STANDARD_INFREQUENT_ACCESS"
CLASS_BESIDE_CLASS = f"Can't update table class when a table class update is in progress. Table: books {CLASS}"
STREAM_BESIDE_CLASS = f"Can't change stream status when a table class update is in progress. Table: books {CLASS}"
MAXIMA_BESIDE_CLASS = f"OnDemandThroughput cannot be updated while TableClass update is in progress. {CLASS}"
INDEX_BESIDE_IOPS = "Can't create or delete indexes while table IOPS are being updated. Table: books"
INDEX_BESIDE_CLASS = (
    f"Can't create or delete an index when a table class update is in progress. Table: books {CLASS}"
)
MAXIMA_BESIDE_INDEX = (
    "OnDemandThroughput cannot be updated while index creation is in progress for indexes: [by-a]"
)
STREAM = "Table: books Stream: <label> Operation: ENABLE"
INDEX_BESIDE_STREAM = f"Can't create or delete an index when stream status is being updated. {STREAM}"
IOPS_BESIDE_INDEX = "Can't change table IOPS when an index is being created. Table: books Indexes: [by-a]"
STREAM_BESIDE_INDEX = "Can't change stream status when an index is being created. Table: books Indexes: [by-a]"


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (ON_STREAM, DELETE, "Cannot delete table while stream is being enabled/disabled."),
        (ON_STREAM, ON_CLASS, f"Can't update table class when stream status is being updated. {STREAM}"),
        (ON_STREAM, ON_BILLING, f"Can't change table IOPS when stream status is being updated. {STREAM}"),
        (ON_STREAM, ON_STREAM, f"A stream status change is currently in progress. {STREAM}"),
        (ON_STREAM, ON_INDEX, INDEX_BESIDE_STREAM),
        (ON_STREAM, ON_MAXIMA, "OnDemandThroughput cannot be updated while stream status update is in progress"),
        (ON_STREAM, ON_ENCRYPTION, ACCEPTED),
        (ON_STREAM, ON_WARMTH, ACCEPTED),
        (ON_STREAM, ON_PROTECTION, ACCEPTED),
        (ON_BILLING, units(2), IOPS),
        (ON_BILLING, ON_STREAM, STREAM_BESIDE_IOPS),
        (ON_BILLING, ON_MAXIMA, "OnDemandThroughput cannot be updated while BillingMode update is in progress"),
        (ON_BILLING, ON_INDEX, INDEX_BESIDE_IOPS),
        (ON_BILLING, DELETE, UPDATED),
        (ON_BILLING, ON_WARMTH, ACCEPTED),
        (ON_BILLING, ON_PROTECTION, ACCEPTED),
        (ON_CLASS, ON_CLASS, CLASS_BESIDE_CLASS),
        (ON_CLASS, ON_STREAM, STREAM_BESIDE_CLASS),
        (ON_CLASS, ON_MAXIMA, MAXIMA_BESIDE_CLASS),
        (ON_CLASS, ON_INDEX, INDEX_BESIDE_CLASS),
        (ON_CLASS, DELETE, UPDATED),
        (ON_CLASS, ON_ENCRYPTION, ACCEPTED),
        (ON_ENCRYPTION, DELETE, UPDATED),
        (ON_ENCRYPTION, ON_STREAM, ACCEPTED),
        (ON_ENCRYPTION, ON_CLASS, ACCEPTED),
        (ON_ENCRYPTION, ON_ENCRYPTION, ACCEPTED),
        (ON_ENCRYPTION, {"SSESpecification": {"Enabled": False}}, "Server-Side Encryption is still being updated"),
        (ON_WARMTH, DELETE, UPDATED),
        (ON_WARMTH, ON_MAXIMA, ACCEPTED),
        (ON_INDEX, ON_BILLING, IOPS_BESIDE_INDEX),
        (ON_INDEX, ON_STREAM, STREAM_BESIDE_INDEX),
        (ON_INDEX, ON_MAXIMA, MAXIMA_BESIDE_INDEX),
        (ON_INDEX, ON_ENCRYPTION, ACCEPTED),
    ],
)  # fmt: skip
def test_admission_goes_by_what_is_under_way(
    tables: Tables, first: dict[str, Any], second: dict[str, Any], refused: str
) -> None:
    tables.create()
    assert "refused" not in tables.update(first)
    answer = tables.call("DeleteTable") if second is DELETE else tables.update(second)
    if refused == ACCEPTED:
        assert "refused" not in answer
    else:
        refused = refused.replace("<label>", tables.describe().get("LatestStreamLabel", ""))
        assert answer["refused"] == f"Attempt to change a resource which is still in use: {refused}"
    tables.settle()
    assert "refused" not in tables.update({"DeletionProtectionEnabled": True})


@pytest.mark.parametrize(
    ("second", "refused"),
    [(units(3), IOPS), (ON_DEMAND, IOPS), (ON_STREAM, STREAM_BESIDE_IOPS), (DELETE, UPDATED)],
)
def test_units_change_alone(tables: Tables, second: dict[str, Any], refused: str) -> None:
    tables.create(**units(1))
    tables.update(units(2))
    answer = tables.call("DeleteTable") if second is DELETE else tables.update(second)
    assert answer["refused"] == f"Attempt to change a resource which is still in use: {refused}"


def test_an_index_that_is_not_there_yet_cannot_be_changed_and_one_that_goes_cannot_come_back(
    tables: Tables,
) -> None:
    tables.create()
    tables.update(ON_INDEX)
    maxima = {"Update": {"IndexName": "by-a", "OnDemandThroughput": {"MaxReadRequestUnits": 5}}}
    deletion = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-a"}}]}
    busy = "Attempt to change a resource which is still in use: "
    assert tables.update({"GlobalSecondaryIndexUpdates": [maxima]})["refused"] == (
        f"{busy}Index is being created but is not backfilling yet.  Table: books Index: by-a"
    )
    tables.settle()
    tables.update(deletion)
    for change in (deletion, ON_INDEX):
        assert tables.update(change)["refused"] == f"{busy}Index is being deleted. Table: books Index: by-a"
    assert tables.update(ON_STREAM)["refused"] == (
        f"{busy}Can't change stream status when an index is being deleted. Table: books Indexes: [by-a]"
    )


def test_an_index_that_goes_excludes_maxima_but_not_the_mode_that_the_table_has(tables: Tables) -> None:
    tables.create()
    tables.update(ON_INDEX)
    tables.settle()
    tables.update({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-a"}}]})
    assert tables.update(ON_MAXIMA)["refused"] == (
        "Attempt to change a resource which is still in use: "
        "OnDemandThroughput cannot be updated while index deletion is in progress for indexes: [by-a]"
    )
    assert tables.update(ON_DEMAND)["TableStatus"] == "UPDATING"
    tables.settle()
    assert "GlobalSecondaryIndexes" not in tables.describe()


def test_the_response_to_a_change_of_encryption_says_active_whatever_is_under_way(tables: Tables) -> None:
    tables.create()
    for first in (ON_STREAM, ON_INDEX, ON_BILLING | {"GlobalSecondaryIndexUpdates": [UNITS_OF_INDEX]}):
        tables.update(first)
        assert tables.update(ON_ENCRYPTION)["TableStatus"] == "ACTIVE"
        assert tables.describe()["TableStatus"] == "UPDATING"
        tables.settle()
        tables.settle()


def test_an_index_is_warmed_up_while_it_is_active(tables: Tables) -> None:
    tables.create()
    tables.update(ON_INDEX)
    tables.settle()

    def warm(reads: int) -> dict[str, Any]:
        units = {"IndexName": "by-a", "WarmThroughput": {"ReadUnitsPerSecond": reads}}
        return {"GlobalSecondaryIndexUpdates": [{"Update": units}]}

    cold = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "UPDATING"}
    shown = tables.update(warm(12_001))
    assert shown["TableStatus"] == "ACTIVE"
    for index in (shown["GlobalSecondaryIndexes"][0], tables.describe()["GlobalSecondaryIndexes"][0]):
        assert (index["IndexStatus"], index["WarmThroughput"]) == ("ACTIVE", cold)
    tables.settle()
    done = {**cold, "ReadUnitsPerSecond": 12_001, "Status": "ACTIVE"}
    assert tables.describe()["GlobalSecondaryIndexes"][0]["WarmThroughput"] == done
    # The same again changes nothing.
    assert tables.update(warm(12_001))["GlobalSecondaryIndexes"][0]["WarmThroughput"] == done


def test_units_show_when_they_are_changed_and_in_the_response_when_that_was_requested(tables: Tables) -> None:
    tables.create(**units(1))
    shown = tables.update(units(2))
    before = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    assert shown["ProvisionedThroughput"] == before | {"LastIncreaseDateTime": tables.now}
    during = tables.describe()
    assert during["ProvisionedThroughput"] == before
    assert during["WarmThroughput"] == {"ReadUnitsPerSecond": 1, "WriteUnitsPerSecond": 1, "Status": "ACTIVE"}
    tables.settle()
    assert tables.describe()["ProvisionedThroughput"]["ReadCapacityUnits"] == 2
    assert tables.describe()["WarmThroughput"]["ReadUnitsPerSecond"] == 2


def test_a_switch_of_the_billing_mode_shows_at_once_but_for_its_time(tables: Tables) -> None:
    tables.create(**units(1))
    shown = tables.update(ON_DEMAND)
    assert shown["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert shown["ProvisionedThroughput"]["LastDecreaseDateTime"] == tables.now
    during = tables.describe()
    assert during["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert during["WarmThroughput"]["ReadUnitsPerSecond"] == 1
    tables.settle()
    after = tables.describe()
    assert after["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] == tables.now
    assert after["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0,
    }  # fmt: skip
    assert after["WarmThroughput"]["ReadUnitsPerSecond"] == 12_000


def test_a_switch_back_to_on_demand_mode_is_accepted_and_dropped(tables: Tables) -> None:
    tables.create()
    tables.update(ON_BILLING)
    shown = tables.update(ON_DEMAND)
    assert (shown["TableStatus"], shown["BillingModeSummary"]) == ("UPDATING", {"BillingMode": "PAY_PER_REQUEST"})
    tables.settle()
    after = tables.describe()
    assert after["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert after["ProvisionedThroughput"]["ReadCapacityUnits"] == 1


def test_the_other_way_around_it_is_refused(tables: Tables) -> None:
    tables.create(**units(1))
    tables.update(ON_DEMAND)
    for change in (ON_BILLING, ON_DEMAND):
        assert tables.update(change)["refused"].endswith(IOPS)


def test_a_table_class_shows_when_it_is_there(tables: Tables) -> None:
    tables.create()
    assert "TableClassSummary" not in tables.update({"TableClass": "STANDARD"})
    assert tables.describe()["TableStatus"] == "ACTIVE"
    assert "TableClassSummary" not in tables.update(ON_CLASS)
    assert "TableClassSummary" not in tables.describe()
    tables.settle()
    expected = {"TableClass": "STANDARD_INFREQUENT_ACCESS", "LastUpdateDateTime": tables.now}
    assert tables.describe()["TableClassSummary"] == expected
    assert tables.update({"TableClass": "STANDARD"})["TableClassSummary"] == expected


def test_warm_throughput_shows_when_it_is_there_and_the_last_request_wins(tables: Tables) -> None:
    tables.create()
    cold = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "UPDATING"}
    assert tables.update(ON_WARMTH)["WarmThroughput"] == cold
    shown = tables.update({"WarmThroughput": {"ReadUnitsPerSecond": 14_000}})
    assert (shown["WarmThroughput"], shown["TableStatus"]) == (cold, "ACTIVE")
    assert tables.describe()["WarmThroughput"] == cold
    tables.settle()
    assert tables.describe()["WarmThroughput"] == {**cold, "ReadUnitsPerSecond": 14_000, "Status": "ACTIVE"}


def test_encryption_shows_the_key_of_before_until_it_is_complete(tables: Tables) -> None:
    tables.create()
    assert tables.update(ON_ENCRYPTION)["SSEDescription"] == {"Status": "UPDATING"}
    assert tables.describe()["SSEDescription"] == {"Status": "UPDATING"}
    tables.settle()
    first = tables.describe()["SSEDescription"]
    assert first["Status"] == "ENABLED"
    other = {"SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/other"}}
    assert tables.update(other)["SSEDescription"] == {**first, "Status": "UPDATING"}
    tables.settle()
    assert tables.describe()["SSEDescription"]["KMSMasterKeyArn"] != first["KMSMasterKeyArn"]
    tables.update({"SSESpecification": {"Enabled": False}})
    tables.settle()
    assert "SSEDescription" not in tables.describe()


def test_the_response_to_create_table_lacks_what_aws_adds_later(tables: Tables) -> None:
    created = tables.create()
    assert "WarmThroughput" not in created
    assert created["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    described = tables.describe()
    assert described["WarmThroughput"]["Status"] == "ACTIVE"
    assert "LastUpdateToPayPerRequestDateTime" in described["BillingModeSummary"]


def test_a_new_index_shows_its_warm_throughput_only_later(tables: Tables) -> None:
    index = ON_INDEX["GlobalSecondaryIndexUpdates"][0]["Create"]  # type: ignore[index]
    created = tables.call(
        "CreateTable",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "a")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[{**index, "WarmThroughput": {"ReadUnitsPerSecond": 13_000}}],
    )["TableDescription"]
    assert "WarmThroughput" not in created["GlobalSecondaryIndexes"][0]
    requested = {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 4_000}
    assert tables.describe()["GlobalSecondaryIndexes"][0]["WarmThroughput"] == {**requested, "Status": "UPDATING"}
    tables.settle()
    assert tables.describe()["GlobalSecondaryIndexes"][0]["WarmThroughput"] == {**requested, "Status": "ACTIVE"}


def test_contributor_insights_wait_for_a_table_and_an_index_that_come_but_not_for_changes(tables: Tables) -> None:
    enable = {"ContributorInsightsAction": "ENABLE"}
    tables.call(
        "CreateTable",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert tables.call("UpdateContributorInsights", **enable)["refused"] == (
        "Table or Index is not in a valid state to update Key Access Insights: "
        "TableStatus must be ACTIVE to enable ContributorInsights."
    )
    tables.settle()
    tables.update(ON_INDEX)
    assert tables.call("UpdateContributorInsights", IndexName="by-a", **enable)["refused"] == (
        "Table or Index is not in a valid state to update Key Access Insights: "
        "IndexStatus must be ACTIVE to enable ContributorInsights."
    )
    assert tables.describe()["TableStatus"] == "UPDATING"
    assert tables.call("UpdateContributorInsights", **enable)["ContributorInsightsStatus"] == "ENABLING"
    tables.settle()
    of_index = tables.call("UpdateContributorInsights", IndexName="by-a", **enable)
    assert of_index["ContributorInsightsStatus"] == "ENABLING"
