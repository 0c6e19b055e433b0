"""Trails for tests: a folder with keys, records, and journals that were closed or left behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blotter.database.audit.archive import CURRENT, Archive, make_folders
from blotter.database.audit.chain import Chain
from blotter.database.audit.events import event_id
from blotter.database.audit.journal import Journal
from blotter.database.audit.keys import AuditKeys
from blotter.database.audit.reading import Reader
from blotter.database.audit.verification import Verdict, verify
from blotter.database.encryption.files import FileCipher

KEYS = AuditKeys(b"k" * 32)
NOW = "2026-11-28T21:15:00Z"
PLAIN = FileCipher(None, lambda _: None)


def record(name: str, time: str = NOW, **more: Any) -> bytes:
    event = {
        "eventTime": time,
        "eventName": name,
        "eventSource": "dynamodb.amazonaws.com",
        "awsRegion": "us-east-1",
        "recipientAccountId": "123456789012",
        "userIdentity": {"type": "Root", "principalId": "123456789012", "accessKeyId": "AKIA"},
        "eventID": event_id(),
        "readOnly": False,
        "eventCategory": "Management",
    }
    return json.dumps(event | more, separators=(",", ":")).encode()


class OnDisk:
    """A trail in a folder, as processes write it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folders(folder)
        self.chain = Chain(folder, KEYS, PLAIN, lambda: NOW)
        self.archive = Archive(folder, KEYS, PLAIN, self.chain)

    def open(self) -> Journal:
        journal = Journal.create(self.folder / CURRENT, KEYS, PLAIN, 0.0)
        try:
            self.chain.opened(journal.head.journal)
        except BaseException:
            journal.close()
            raise
        return journal

    def write(self, records: Iterable[bytes], *, close: bool) -> Journal:
        """A journal with records; one that is not closed is left behind, as by a process that was killed."""
        journal = self.open()
        journal.append(list(records), 0.0)
        if close:
            self.archive.close(journal.path)
        journal.close()
        return journal

    def names(self) -> list[str]:
        """The names of all events, in the order of their ids."""
        events = Reader(self.folder, PLAIN).newest_first("", "9", lambda _: True)
        return [event["eventName"] for event in events][::-1]

    def verdict(self) -> Verdict:
        return verify(self.folder, KEYS, PLAIN)
