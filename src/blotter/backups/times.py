"""Points in time on the command line, and times in reports. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

_LATEST_YEAR = 9999


class Moment(click.ParamType[datetime]):
    """A date with a time, in UTC unless it says otherwise, or seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            if text.isascii() and text.replace(".", "", 1).isdigit():
                return datetime.fromtimestamp(float(text), UTC)
            moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is not a time; write 2026-11-28T09:30:00, with Z or +01:00 for a time zone (UTC"
                " without), or seconds since the epoch",
                param,
                ctx,
            )
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def shown(moment: Any) -> str | None:
    """ "2026-11-28T09:30:00Z", with milliseconds if there are any; None for no time."""
    if not isinstance(moment, datetime):
        return None
    there = moment.astimezone(UTC)
    text = there.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{there.microsecond // 1000:03d}Z" if there.microsecond >= 1000 else f"{text}Z"
