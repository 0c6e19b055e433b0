"""A server that would lose acknowledged writes, or that Blotter does not know, is refused with one line."""

from __future__ import annotations

import os
from errno import ECONNREFUSED, ENETUNREACH
from typing import Any

import pytest

from blotter.database.storage.postgres.connections.refusals import refusal, why

_FINE = {
    "version": 150000,
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "encoding": "UTF8",
    "mark": "m",
}


def test_a_server_of_the_oldest_version_with_safe_settings_is_used() -> None:
    assert refusal(_FINE, "m") is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("version", 140011, "it is PostgreSQL 14; 15 or newer is needed"),
        ("fsync", "off", "its setting fsync is off: a crash would lose writes"),
        ("full_page_writes", "off", "its setting full_page_writes is off"),
        ("synchronous_commit", "off", "its setting synchronous_commit is off"),
        ("encoding", "SQL_ASCII", "its encoding is SQL_ASCII; a database with encoding UTF8 is needed"),
        ("mark", None, "a connection pooler (such as PgBouncer) is between"),
        ("mark", "of another session", "a connection pooler (such as PgBouncer) is between"),
    ],
)
def test_each_reason_is_one_line(name: str, value: Any, expected: str) -> None:
    refused = refusal({**_FINE, name: value}, "m")
    assert refused is not None
    assert refused.startswith(expected)
    assert "\n" not in refused


@pytest.mark.parametrize("value", ["local", "remote_write", "remote_apply"])
def test_weaker_waiting_is_no_reason_because_connections_raise_it(value: str) -> None:
    assert refusal({**_FINE, "synchronous_commit": value}, "m") is None


_REFUSED, _UNREACHABLE = os.strerror(ECONNREFUSED), os.strerror(ENETUNREACH)


def _failed(*numbers: int) -> OSError:
    """As asyncio raises it when no address of a name can be connected to."""
    each = ", ".join(f"[Errno {number}] Connect call failed ('127.0.0.1', 5432)" for number in numbers)
    return OSError(f"Multiple exceptions: {each}")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(ECONNREFUSED, "Connect call failed ('127.0.0.1', 5432)"), _REFUSED),
        (_failed(ECONNREFUSED, ECONNREFUSED), _REFUSED),
        (_failed(ENETUNREACH, ECONNREFUSED), f"{_UNREACHABLE}, {_REFUSED}"),
        (OSError("something else"), "something else"),
        (TimeoutError(), "no answer in time"),
    ],
)
def test_why_a_connection_failed_is_said_in_the_words_of_the_system(error: OSError, expected: str) -> None:
    assert why(error) == expected
