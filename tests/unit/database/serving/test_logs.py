"""What the server writes: lines for people, or JSON that says which request a line is about."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from blotter.database.serving import logs


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_format", logs.TEXT)


def line_of(message: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("blotter.x", logging.WARNING, __file__, 1, message, arguments, None)
    record.__dict__ |= more
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_a_line_about_a_request_has_its_id() -> None:
    line = line_of("request %s: storage unavailable: %s", "4TS", "disk\nfull")
    assert line["request_id"] == "4TS"
    assert line["message"] == "request 4TS: storage unavailable: disk\nfull"
    assert (line["level"], line["name"]) == ("warning", "blotter.x")
    assert line["time"].endswith("Z")
    assert "request_id" not in line_of("checkpoint failed: %s", "busy")


def test_fields_are_members_of_the_line() -> None:
    line = line_of("request %s was slow", "4TS", fields={"operation": "Query", "odd": {1}}, brief="slow request")
    assert (line["message"], line["operation"], line["request_id"]) == ("slow request", "Query", "4TS")


def test_exceptions_stay_on_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        line = line_of("request %s failed", "4TS", exc_info=sys.exc_info())
    assert "ValueError: two\nlines" in line["exception"]


def test_what_the_server_says_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    logs.say("ready", file=text)
    assert text.getvalue() == "blotter serve: ready\n"
    monkeypatch.setattr(logs, "_format", logs.JSON)
    text = io.StringIO()
    logs.say("ready", file=text)
    assert json.loads(text.getvalue())["message"] == "ready"
