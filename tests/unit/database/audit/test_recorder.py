"""What is recorded of requests, and what a trail that cannot be written refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.audit.memory_trail import MemoryTrail
from blotter.database.audit.recorder import Recorder
from blotter.database.pipeline import Pipeline
from blotter.database.security.open_access import OpenAccess
from blotter.database.serving import audit as audit_setup
from blotter.database.serving.audit import key_names
from blotter.database.storage.protocol import StorageUnavailable
from tests.in_process import ACCOUNT, InProcessDatabase

_TABLE = {
    "TableName": "music",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
_PUT = {"TableName": "music", "Item": {"pk": {"S": "a"}, "v": {"S": "secret"}}}


class _Recorded:
    """A database whose requests are recorded in memory."""

    def __init__(self, folder: Path, data_events: bool = False, store: str = "memory") -> None:
        self.database = InProcessDatabase(folder, store=store)
        self.trail = MemoryTrail()
        recorder = Recorder(
            self.trail,
            ACCOUNT,
            "us-east-1",
            key_names(self.database.storage),
            data_events=data_events,
            submit_read=self.database.storage.submit_read,
        )
        authenticate = OpenAccess(ACCOUNT).authenticate
        self.database.pipeline = Pipeline(self.database.storage, authenticate, audit=recorder)

    def call(self, operation: str, request: dict[str, Any]) -> int:
        return self.database.call(operation, request)[0]

    def events(self) -> list[dict[str, Any]]:
        return list(self.trail.newest_first("", "9", lambda _: True))[::-1]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[_Recorded]:
    made = _Recorded(tmp_path)
    yield made
    made.database.close()


def test_management_events_alone_are_recorded(recorded: _Recorded) -> None:
    for operation, request in (
        ("CreateTable", _TABLE),
        ("PutItem", _PUT),
        ("DescribeTable", {"TableName": "none"}),
    ):
        recorded.call(operation, request)
    assert [(event["eventName"], event.get("errorCode")) for event in recorded.events()] == [
        ("CreateTable", None),
        ("DescribeTable", "ResourceNotFoundException"),
    ]


@pytest.mark.parametrize("store", ["memory", "distant"])
def test_data_events_by_choice_without_what_a_message_repeats(tmp_path: Path, store: str) -> None:
    recorded = _Recorded(tmp_path, data_events=True, store=store)
    recorded.call("CreateTable", _TABLE)
    assert recorded.call("PutItem", _PUT) == 200
    wrong = {"TableName": "music", "Item": {"pk": {"S": "a"}, "v": {"N": "secret"}}}
    assert recorded.call("PutItem", wrong) == 400
    _, put, refused = recorded.events()
    assert put["requestParameters"] == {"tableName": "music", "key": {"pk": "a"}, "item": ["pk", "v"]}
    assert refused["errorCode"] == "ValidationException"
    assert "secret" not in json.dumps(recorded.events())
    recorded.database.close()


def test_a_store_that_does_not_answer_costs_values_but_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = _Recorded(tmp_path, data_events=True, store="distant")
    recorded.call("CreateTable", _TABLE)

    def fail(*_: Any) -> None:
        raise StorageUnavailable("gone")

    monkeypatch.setattr(audit_setup, "_names", fail)
    assert recorded.call("PutItem", _PUT) == 200
    assert recorded.events()[1]["requestParameters"] == {"tableName": "music", "key": {}, "item": ["pk", "v"]}
    assert "the names of a table's key are not known to the audit trail: gone" in caplog.text
    recorded.database.close()


def test_what_cannot_be_recorded_is_not_done(recorded: _Recorded) -> None:
    """Management operations are refused before they do anything; operations on items go on."""
    assert recorded.call("CreateTable", _TABLE) == 200
    recorded.trail.failing = True
    assert recorded.call("DeleteTable", {"TableName": "music"}) == 500
    assert recorded.call("CreateTable", _TABLE | {"TableName": "films"}) == 500
    assert recorded.call("PutItem", _PUT) == 200
    recorded.trail.failing = False
    assert recorded.call("DescribeTable", {"TableName": "music"}) == 200
    assert recorded.call("DescribeTable", {"TableName": "films"}) == 400
