"""Contributor insights past the quota of 100 rules, with `--aws-quotas on`. Recorded from AWS in the ACK project's
notes (ack-api-quirks, DDB-TABLE-337 to -341; 2026-10)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.operations.tables.quotas import RULES, enforce_quotas
from tests.in_process import InProcessDatabase

EXCEPTION = {
    "ExceptionName": "LimitExceededException",
    "ExceptionDescription": "Amazon CloudWatch Contributor Insights rule limit reached. Please disable "
    "Contributor Insights for other tables/indexes OR disable other CloudWatch Contributor Insights rules before "
    "retrying.",
}


class Tables:
    """Tables with a sort key, which have four rules each."""

    def __init__(self, database: InProcessDatabase) -> None:
        self.database = database

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, body = self.database.call(operation, request)
        assert status == 200, body
        return body

    def create(self, name: str) -> None:
        keys = [("id", "HASH"), ("at", "RANGE")]
        self.call(
            "CreateTable",
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        )

    def set(self, name: str, action: str = "ENABLE", **more: Any) -> str:
        answer = self.call("UpdateContributorInsights", TableName=name, ContributorInsightsAction=action, **more)
        return str(answer["ContributorInsightsStatus"])

    def described(self, name: str) -> dict[str, Any]:
        return self.call("DescribeContributorInsights", TableName=name)

    def listed(self, name: str) -> list[str]:
        answer = self.call("ListContributorInsights", TableName=name)
        return [each["ContributorInsightsStatus"] for each in answer["ContributorInsightsSummaries"]]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    database = InProcessDatabase(tmp_path / "data", store="memory")
    tables = Tables(database)
    for number in range(RULES // 4 + 1):
        tables.create(f"table-{number:02d}")
    enforce_quotas(True)
    for number in range(RULES // 4):
        assert tables.set(f"table-{number:02d}") == "ENABLING"
    yield tables
    enforce_quotas(False)
    database.close()


def test_one_too_many_fails_and_stays_so(tables: Tables) -> None:
    last = f"table-{RULES // 4:02d}"
    for _ in range(2):  # trying again is no error, and fails again
        assert tables.set(last) == "ENABLING"
        described = tables.described(last)
        assert described.pop("LastUpdateDateTime")
        assert described == {
            "TableName": last,
            "ContributorInsightsStatus": "FAILED",
            "ContributorInsightsMode": "ACCESSED_AND_THROTTLED_KEYS",
            "FailureException": EXCEPTION,
        }
        assert tables.listed(last) == ["FAILED"]
    tables.set("table-00", "DISABLE")
    assert tables.described(last)["ContributorInsightsStatus"] == "FAILED"  # nothing tries by itself
    assert tables.set(last) == "ENABLING"
    described = tables.described(last)
    assert described["ContributorInsightsStatus"] == "ENABLED"
    assert len(described["ContributorInsightsRuleList"]) == 4
    assert "FailureException" not in described


def test_a_failure_is_cleared_by_disabling(tables: Tables) -> None:
    last = f"table-{RULES // 4:02d}"
    tables.set(last)
    assert tables.set(last, "DISABLE") == "DISABLING"
    described = tables.described(last)
    assert described["ContributorInsightsStatus"] == "DISABLED"
    assert "FailureException" not in described
    assert tables.listed(last) == []
    assert tables.set(last, "DISABLE") == "DISABLED"


def test_fewer_rules_are_always_possible(tables: Tables) -> None:
    assert tables.set("table-00") == "ENABLED"
    assert tables.set("table-00", ContributorInsightsMode="THROTTLED_KEYS") == "ENABLING"
    assert len(tables.described("table-00")["ContributorInsightsRuleList"]) == 2
