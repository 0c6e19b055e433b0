"""Times as the result item writes them: ISO 8601 in UTC with milliseconds, so that text order is time order.

Owns the one format and nothing else.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def text_of(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-31T08:05:00.250Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_text() -> str:
    return text_of(time.time())


def find_time(text: str | None) -> float | None:
    """The inverse of `text_of`; None for other text, which another program may have written."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
