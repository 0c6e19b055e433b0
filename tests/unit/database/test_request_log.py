"""The request log: a line of JSON for each request, without the values of items."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.metrics.counting import Counters
from blotter.database.metrics.shared import SharedCounters
from blotter.database.request_log import RequestLog, SlowRequests, both
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


class _Clock:
    """A tenth of a second later each time."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


@pytest.mark.parametrize("counted", [False, True], ids=["alone", "measured by the counters"])
def test_slow_requests_are_logged_with_what_they_were_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, counted: bool
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    clock = _Clock()
    slow = SlowRequests(0.05, clock)
    counters = None
    if counted:
        counters = Counters(SharedCounters(1, "1", "r").slot(0), "1", "r", clock, slow_after=0.05)
        counters.slow = slow.report
    account = None if counted else both(None, slow)
    database = InProcessDatabase(tmp_path / "data", clock, account=account, counters=counters, store="memory")
    database.call("CreateTable", TABLE)
    caplog.clear()
    database.call("PutItem", {"TableName": "notes", "Item": {"p": {"S": "secret"}}})
    database.call("GetItem", {"TableName": "absent", "Key": {"p": {"S": "a"}}})
    database.call("Nonsense", {})
    put, get = (record for record in caplog.records if record.name == LOGGER)
    message = put.getMessage()
    assert message.startswith("request  was slow: PutItem of notes took 0.")
    assert message.endswith(" s and consumed 1 write units")
    fields = put.__dict__["fields"]
    assert (fields["operation"], fields["tables"], fields["status"]) == ("PutItem", ["notes"], 200)
    assert fields["consumed"] == [{"table": "notes", "write": 1.0}]
    assert get.getMessage().endswith("consumed nothing (ResourceNotFoundException)")
    assert "secret" not in caplog.text
    database.close()


def test_quick_requests_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    database = InProcessDatabase(tmp_path / "data", _clock, account=SlowRequests(0.05, _clock), store="memory")
    database.call("CreateTable", TABLE)
    assert not [record for record in caplog.records if record.name == LOGGER]
    database.close()
