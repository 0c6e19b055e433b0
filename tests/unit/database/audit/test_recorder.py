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

    def __init__(self, folder: Path, data_events: bool = False) -> None:
        self.database = InProcessDatabase(folder, store="memory")
        self.trail = MemoryTrail()
        recorder = Recorder(self.trail, ACCOUNT, "us-east-1", lambda *_: ("pk",), data_events=data_events)
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


def test_data_events_by_choice_without_what_a_message_repeats(tmp_path: Path) -> None:
    recorded = _Recorded(tmp_path, data_events=True)
    recorded.call("CreateTable", _TABLE)
    assert recorded.call("PutItem", _PUT) == 200
    wrong = {"TableName": "music", "Item": {"pk": {"S": "a"}, "v": {"N": "secret"}}}
    assert recorded.call("PutItem", wrong) == 400
    _, put, refused = recorded.events()
    assert put["requestParameters"] == {"tableName": "music", "key": {"pk": "a"}, "item": ["pk", "v"]}
    assert refused["errorCode"] == "ValidationException"
    assert "secret" not in json.dumps(recorded.events())
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
