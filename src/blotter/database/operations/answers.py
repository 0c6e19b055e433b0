"""Answers as bytes: members of a JSON object glued together, so that stored items are copied, never re-encoded."""

from __future__ import annotations

from typing import Any

import orjson


def answer(*members: tuple[bytes, bytes | None]) -> bytes:
    """A JSON object of the members that have a value: names without quotes, values as encoded JSON."""
    return b"{" + b",".join([b'"%b":%b' % (name, value) for name, value in members if value is not None]) + b"}"


def encoded(value: Any) -> bytes | None:
    """JSON of a value, or None for "leave the member out"."""
    return None if value is None else orjson.dumps(value)
