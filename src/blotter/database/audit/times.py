"""The form of time inside of CloudTrail's parameters and elements."""

from __future__ import annotations

from datetime import UTC, datetime


def shown(seconds: float) -> str | float:
    """A time inside of parameters and elements: "Nov 28, 2026 9:15:00 PM". What a request gives for one may be no
    time at all; it stays as it is."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return seconds
    return f"{moment:%b} {moment.day}, {moment.year} {moment.hour % 12 or 12}:{moment:%M:%S %p}"
