"""The request log: a line of JSON for each request, without the values of items."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.request_log import RequestLog
from tests.in_process import InProcessDatabase

LOGGER = "blotter.database.request_log"
TABLE = {
    "TableName": "notes",
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def _clock() -> float:
    return 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[InProcessDatabase]:
    caplog.set_level(logging.DEBUG, LOGGER)
    database = InProcessDatabase(tmp_path / "data", _clock, account=RequestLog(_clock))
    database.call("CreateTable", TABLE)
    yield database
    database.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == LOGGER]


def test_a_line_says_what_was_asked_what_it_cost_and_how_it_ended(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.call("PutItem", {"TableName": "notes", "Item": {"p": {"S": "secret"}}})
    assert lines(caplog)[-1] == {
        "id": "",
        "operation": "PutItem",
        "account": "123456789012",
        "region": "us-east-1",
        "caller": "local",
        "tables": ["notes"],
        "status": 200,
        "milliseconds": 0.0,
        "consumed": [{"table": "notes", "write": 1.0}],
    }
    assert "secret" not in caplog.text


def test_a_refused_request_is_logged_with_its_error(
    database: InProcessDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.call("GetItem", {"TableName": "absent", "Key": {"p": {"S": "a"}}})
    line = lines(caplog)[-1]
    assert (line["status"], line["error"], line["tables"]) == (400, "ResourceNotFoundException", ["absent"])


def test_the_log_is_off_unless_the_level_is_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    assert not RequestLog.wanted()
    caplog.set_level(logging.DEBUG, LOGGER)
    assert RequestLog.wanted()
