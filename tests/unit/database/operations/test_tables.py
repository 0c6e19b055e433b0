"""What a table shows while it changes, and where endpoint discovery leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.in_process import InProcessDatabase


def throughput(answer: dict[str, Any]) -> tuple[str, int, int]:
    table = answer.get("Table") or answer["TableDescription"]
    units = table["ProvisionedThroughput"]
    return table["TableStatus"], units["ReadCapacityUnits"], units["WriteCapacityUnits"]


def test_a_table_shows_its_old_throughput_until_it_is_updated(tmp_path: Path) -> None:
    """As dynalite's recorded tests (updateTable) have it."""
    now = 1_000_000.0
    database = InProcessDatabase(tmp_path / "data", clock=lambda: now, table_delay=1.0)
    request: dict[str, Any] = {
        "TableName": "notes",
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    }
    _, answer = database.call("CreateTable", request)
    assert throughput(answer) == ("CREATING", 1, 1)
    now += 1
    units = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 2}
    _, answer = database.call("UpdateTable", {"TableName": "notes", "ProvisionedThroughput": units})
    assert throughput(answer) == ("UPDATING", 1, 1)
    now += 1
    _, answer = database.call("DescribeTable", {"TableName": "notes"})
    assert throughput(answer) == ("ACTIVE", 3, 2)
    assert "LastIncreaseDateTime" in answer["Table"]["ProvisionedThroughput"]
    database.close()


def test_endpoint_discovery_leads_back_here(tmp_path: Path) -> None:
    database = InProcessDatabase(tmp_path / "data")
    _, answer = database.call("DescribeEndpoints", {})
    assert answer["Endpoints"][0]["Address"] == "127.0.0.1"
    database.close()
