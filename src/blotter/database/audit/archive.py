"""Closed journals become files in CloudTrail's layout, one for each account, region and day.

    <data-dir>/audit/AWSLogs/<account>/CloudTrail/<region>/2026/11/28/
        <account>_CloudTrail_<region>_20261128T2115Z_<16 characters>.json.gz      {"Records":[…]}

Closing can be repeated at whatever point it was interrupted: the names of the files follow from the journal, the
chain takes a journal's end once, and the journal is removed last.
Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
"""

from __future__ import annotations

import base64
import fcntl
import gzip
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from blotter.database.audit.chain import Chain, FileDigest
from blotter.database.audit.files import make_private_folder, write_whole
from blotter.database.audit.journal import SUFFIX, TAIL_SUFFIX, Contents, read_journal
from blotter.database.audit.keys import AuditKeys
from blotter.database.encryption.files import FileCipher

log = logging.getLogger(__name__)

CURRENT = "current"
LAYOUT = "AWSLogs"
_FILES_BYTES = 64 << 10
"""More than what a journal's files take beyond the journal, with the entry of their chain."""
_PART = re.compile(r"[a-zA-Z0-9-]{1,64}", re.ASCII)
_OPEN = b'{"Records":['
_CLOSE = b"]}"


class Place(msgspec.Struct, frozen=True):
    """What decides in which file a record lies. Decoded from the record itself."""

    eventTime: str  # noqa: N815
    awsRegion: str  # noqa: N815
    recipientAccountId: str  # noqa: N815

    @property
    def day(self) -> str:
        return self.eventTime[:10]


class Archive:
    """Closes journals. Any thread may call it, one at a time."""

    def __init__(
        self,
        folder: Path,
        keys: AuditKeys,
        cipher: FileCipher,
        chain: Chain,
        has_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._cipher = cipher
        self._chain = chain
        self._has_room = has_room

    def close(self, path: Path) -> None:
        """Closes a journal whose lock the caller holds, if there is room for its files; else it is left to
        `adopt`. Raises OSError."""
        if not self._has_room(path.stat().st_size + _FILES_BYTES):
            return
        if not self._chain.is_closed(path.stem):
            contents = read_journal(path, self._keys, self._cipher)
            if contents.problem:
                log.error("the audit trail was changed: %s: %s (blotter audit verify)", path, contents.problem)
            if contents.head is not None or contents.problem:
                files = tuple(self._write_files(path.stem, contents))
                self._chain.closed(path.stem, files, len(contents.records), contents.problem)
        path.with_suffix(TAIL_SUFFIX).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def adopt(self) -> None:
        """Closes what processes have left behind that were killed. Raises OSError."""
        for path in sorted((self._folder / CURRENT).glob(f"*{SUFFIX}")):
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if path.exists():  # Another process may just have closed it.
                        self.close(path)
                except BlockingIOError:
                    pass  # Its process lives.
                finally:
                    os.close(descriptor)

    def _write_files(self, journal: str, contents: Contents) -> Iterator[FileDigest]:
        groups: dict[tuple[str, str, str], list[tuple[str, bytes]]] = {}
        for record in contents.records:
            place = msgspec.json.decode(record, type=Place)
            where = (_safe(place.recipientAccountId), _safe(place.awsRegion), place.day)
            groups.setdefault(where, []).append((place.eventTime, record))
        for (account, region, day), records in groups.items():
            yield self._write_file(journal, account, region, day, records)

    def _write_file(
        self, journal: str, account: str, region: str, day: str, records: list[tuple[str, bytes]]
    ) -> FileDigest:
        times = [time for time, _ in records]
        first, last = min(times), max(times)  # Not the order of writing: a clock may have been set back.
        minute = last[:16].replace("-", "").replace(":", "")
        name = f"{account}_CloudTrail_{region}_{minute}Z_{unique_part(journal, account, region, day)}.json.gz"
        path = Path(LAYOUT, account, "CloudTrail", region, *day.split("-"), name)
        make_private_folder((self._folder / path).parent)
        stored = gzip.compress(_OPEN + b",".join(record for _, record in records) + _CLOSE, 6, mtime=0)
        write_whole(self._folder / path, self._cipher.encode(stored))
        return FileDigest(str(path), hashlib.sha256(stored).hexdigest(), len(records), first, last)


def unique_part(journal: str, account: str, region: str, day: str) -> str:
    """The end of the name of a journal's file: the same whenever the journal is closed again."""
    digest = hashlib.sha256(f"{journal}/{account}/{region}/{day}".encode()).digest()
    return base64.b32encode(digest)[:16].decode()


def file_content(path: Path, cipher: FileCipher) -> bytes:
    """What is hashed of a file: its compressed JSON. Raises OSError and DamagedCiphertext."""
    return cipher.decode(path.read_bytes())


def records_in(content: bytes) -> list[msgspec.Raw]:
    """The records of a file, as JSON. Raises OSError or msgspec.MsgspecError for what is no such file."""
    return msgspec.json.decode(gzip.decompress(content), type=dict[str, list[msgspec.Raw]])["Records"]


def make_folders(folder: Path) -> None:
    make_private_folder(folder / CURRENT)


def _safe(part: str) -> str:
    """A part of a path: accounts and regions come from requests."""
    return part if _PART.fullmatch(part) else "unknown"
