"""Records back from the trail's files: archived ones and those of journals that are in use.

What was changed is not looked for here (`verification`). A journal that is being closed may be read twice, as a
journal and as a file, but never not at all: journals are listed first, and events are told apart by their ids.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from blotter.database.audit.archive import CURRENT, LAYOUT, file_content, records_in
from blotter.database.audit.chain import UNREADABLE
from blotter.database.audit.journal import SUFFIX, raw_records
from blotter.database.encryption.files import FileCipher

Wanted = Callable[[bytes], bool]
"""Whether a record may be looked for, by its JSON, before it is decoded."""


class Reader:
    """The trail in `folder`. Its methods read files; none raises for one that vanishes or is damaged meanwhile."""

    def __init__(self, folder: Path, cipher: FileCipher) -> None:
        self._folder = folder
        self._cipher = cipher

    def newest_first(
        self, start: str, end: str, wanted: Wanted, account: str = "*", region: str = "*"
    ) -> Iterator[dict[str, Any]]:
        """The events from `start` to `end` (ISO times, both included), the last one first. Reads a day's files
        when it comes to them."""
        current = [record for record in self.current() if wanted(record) and start <= time_of(record) <= end]
        found = self._days(account, region)
        days = {day for day in found if start[:10] <= day <= end[:10]} | {time_of(each)[:10] for each in current}
        for day in sorted(days, reverse=True):
            # A file's name has the minute of its last record: those of all later names are older.
            files = sorted(((minute_of(path), path) for path in found.get(day, ())), reverse=True)
            waiting = ordered((each for each in current if time_of(each)[:10] == day), start, end, account, region)
            for number, (_, path) in enumerate(files):
                records = filter(wanted, self.records(path))
                waiting = merged(waiting, ordered(records, start, end, account, region))
                older = files[number + 1][0] if number + 1 < len(files) else ""
                while waiting and waiting[-1]["eventTime"][:16] > older:
                    yield waiting.pop()
            yield from reversed(waiting)

    def current(self) -> Iterator[bytes]:
        """The records that are in no file yet."""
        for path in self.journals():
            yield from self.records(path)

    def journals(self) -> list[Path]:
        return sorted((self._folder / CURRENT).glob(f"*{SUFFIX}"))

    def files(self, account: str = "*", region: str = "*") -> list[Path]:
        """All archived files, in the order of their days."""
        return [path for _, paths in sorted(self._days(account, region).items()) for path in paths]

    def records(self, path: Path) -> Iterator[bytes]:
        """The records of a journal or a file."""
        with suppress(OSError, EOFError, KeyError, zlib.error, *UNREADABLE):
            if path.suffix == SUFFIX:
                yield from raw_records(path, self._cipher)
            else:
                yield from map(bytes, records_in(file_content(path, self._cipher)))

    def _days(self, account: str, region: str) -> dict[str, list[Path]]:
        days: dict[str, list[Path]] = {}
        pattern = f"{LAYOUT}/{account}/CloudTrail/{region}/*/*/*/*_CloudTrail_*_*.json.gz"
        for path in sorted(self._folder.glob(pattern)):
            days.setdefault("-".join(path.parts[-4:-1]), []).append(path)
        return days


def ordered(records: Iterable[bytes], start: str, end: str, account: str, region: str) -> list[dict[str, Any]]:
    """The events from `start` to `end`, in the order of their times and ids, each once."""
    inside = (record for record in records if start <= time_of(record) <= end)
    events = {
        event["eventID"]: event
        for event in decoded(inside)
        if account in ("*", event["recipientAccountId"]) and region in ("*", event["awsRegion"])
    }
    return sorted(events.values(), key=order_of)


def merged(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Both, in order, each event once."""
    if not first or not second:
        return first or second
    return sorted({event["eventID"]: event for event in (*first, *second)}.values(), key=order_of)


def decoded(records: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of records, but for those that were changed so that they are none any more."""
    for record in records:
        with suppress(orjson.JSONDecodeError, TypeError):
            event = orjson.loads(record)
            if isinstance(event, dict) and all(isinstance(event.get(member), str) for member in _NEEDED):
                yield event


_NEEDED = ("eventTime", "eventID", "eventName", "awsRegion", "recipientAccountId", "eventCategory")


def order_of(event: dict[str, Any]) -> tuple[str, str]:
    return event["eventTime"], event["eventID"]


_TIME = b'"eventTime":"'
_TIME_LENGTH = len("2026-11-28T21:15:00Z")


def time_of(record: bytes) -> str:
    """When it happened, found without decoding it; "" for what is no record."""
    at = record.find(_TIME) + len(_TIME)
    return record[at : at + _TIME_LENGTH].decode("ascii", "replace") if at >= len(_TIME) else ""


def minute_of(path: Path) -> str:
    """The minute of a file's last record, as times begin: "2026-11-28T21:15"."""
    text = path.name.split("_")[-2]
    return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}"
