"""The form of time in which AWS's policies, audit records and XML answers have it."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_milliseconds(seconds: float) -> str:
    """ "2026-11-28T21:15:00.123Z", for seconds since the epoch."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def iso(seconds: float) -> str:
    """ "2026-11-28T21:15:00Z", for seconds since the epoch."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"
