"""The signed list of all journals and files of the trail, in the order in which they came to be.

    <data-dir>/audit/digests      frames, each an entry and its signature
    <data-dir>/audit/head         the number and the hash of the last entry, signed

An entry carries the hash of the one before it. A journal is entered when it is opened, before its first record,
and when it is closed, with the files it became and their hashes. So a file or a journal that is removed, changed
or added is found, and so is an entry; `head` shows whether entries are missing at the end. `head` is replaced
after an entry was synced, so that a crash may leave it one behind. Several processes append, one after another.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from blotter.database.audit.files import (
    frames,
    locked,
    open_private,
    write_all,
    write_whole,
)
from blotter.database.audit.keys import AuditKeys
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher, frame

log = logging.getLogger(__name__)

FILE_NAME = "digests"
HEAD_NAME = "head"
_LOCK_NAME = "digests.lock"
_NO_HASH = ""
UNREADABLE = (DamagedCiphertext, msgspec.MsgspecError, UnicodeDecodeError)
"""What decoding raises for content that was changed."""


class FileDigest(msgspec.Struct, frozen=True):
    """A file in CloudTrail's layout. `path` is relative to the trail's folder; the hash is of its content before
    it is encrypted; times are those of its first and last event."""

    path: str
    sha256: str
    records: int
    first: str
    last: str


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """`damage` says what was wrong with a journal when it was closed, or with the chain when it was continued."""

    number: int
    time: str
    previous: str
    kind: Literal["opened", "closed", "continued"]
    journal: str = ""
    files: tuple[FileDigest, ...] = ()
    records: int = 0
    damage: str = ""


class _Head(msgspec.Struct, frozen=True):
    number: int
    hash: str


class Chain:
    """The chain as one process extends it. Any thread may call it, one at a time."""

    def __init__(self, folder: Path, keys: AuditKeys, cipher: FileCipher, now: Callable[[], str]) -> None:
        self._folder = folder
        self._keys = keys
        self._cipher = cipher
        self._now = now
        self._offset = 0
        self._number = 0
        self._hash = _NO_HASH
        self._closed: set[str] = set()

    def opened(self, journal: str) -> None:
        """Enters a new journal. Raises OSError."""
        with locked(self._folder / _LOCK_NAME):
            self._catch_up()
            self._append("opened", journal)

    def closed(self, journal: str, files: tuple[FileDigest, ...], records: int, damage: str) -> None:
        """Enters that a journal was closed, unless it is entered already. Raises OSError."""
        with locked(self._folder / _LOCK_NAME):
            self._catch_up()
            if journal not in self._closed:
                self._append("closed", journal, files, records, damage)

    def is_closed(self, journal: str) -> bool:
        with locked(self._folder / _LOCK_NAME):
            self._catch_up()
            return journal in self._closed

    def _catch_up(self) -> None:
        """Reads what other processes have appended, removes a torn end, and notes when entries are missing."""
        path = self._folder / FILE_NAME
        size = path.stat().st_size if path.exists() else 0
        if size > self._offset:
            self._read_on(path)
        if size > self._offset:
            os.truncate(path, self._offset)
        head = _read_head(self._folder, self._keys, self._cipher)
        missing = size < self._offset or (head is not None and head.number > self._number)
        if missing:
            expected = max(self._number, 0 if head is None else head.number)
            self._offset, self._number, self._hash = 0, 0, _NO_HASH
            self._read_on(path)
            damage = f"{expected} entries were expected, {self._number} were found"
            log.error("the audit trail was changed: %s (blotter audit verify)", damage)
            self._append("continued", damage=damage)

    def _read_on(self, path: Path) -> None:
        """Reads the entries after those that are known. One that cannot be read counts all the same: the chain
        goes on after it, and whoever verifies it will find it."""
        if not path.exists():
            return
        for part, at in frames(path.read_bytes(), self._offset):
            try:
                self._follow(self._cipher.decode(part))
            except UNREADABLE:
                self._number, self._hash = self._number + 1, _NO_HASH
                log.error(
                    "entry %d of the audit trail's chain cannot be read (blotter audit verify)", self._number
                )
            self._offset = at

    def _follow(self, content: bytes) -> None:
        entry, _ = unpack(content)
        self._number, self._hash = entry.number, hash_of(content)
        if entry.kind == "closed":
            self._closed.add(entry.journal)

    def _append(
        self,
        kind: Literal["opened", "closed", "continued"],
        journal: str = "",
        files: tuple[FileDigest, ...] = (),
        records: int = 0,
        damage: str = "",
    ) -> None:
        entry = Entry(self._number + 1, self._now(), self._hash, kind, journal, files, records, damage)
        encoded = msgspec.json.encode(entry)
        content = encoded + b"\n" + self._keys.sign(encoded).encode()
        written = frame(self._cipher.encode(content))
        descriptor = open_private(self._folder / FILE_NAME, os.O_WRONLY | os.O_APPEND)
        try:
            try:
                write_all(descriptor, written)
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, self._offset)
                raise
        finally:
            os.close(descriptor)
        self._offset += len(written)
        self._follow(content)
        head = msgspec.json.encode(_Head(self._number, self._hash))
        signed = head + b"\n" + self._keys.sign(head).encode()
        write_whole(self._folder / HEAD_NAME, self._cipher.encode(signed), durable=False)


class Found(msgspec.Struct):
    """A chain as it was read: its entries and what is wrong with it."""

    entries: list[Entry]
    problems: list[str]


def read_chain(folder: Path, keys: AuditKeys, cipher: FileCipher) -> Found:
    """Reads and checks a chain, which may be in use. Raises OSError."""
    head_stored = (folder / HEAD_NAME).exists()
    head = _read_head(folder, keys, cipher)  # Before the entries: it names no more than there are later.
    path = folder / FILE_NAME
    entries: list[Entry] = []
    hashes: list[str] = []
    problems: list[str] = []
    for number, (part, _) in enumerate(frames(path.read_bytes() if path.exists() else b""), 1):
        try:
            content = cipher.decode(part)
            entry, signature = unpack(content)
        except UNREADABLE:
            problems.append(f"entry {number} of the chain cannot be read; no later one was")
            break
        if not keys.verifies(content.rpartition(b"\n")[0], signature):
            problems.append(f"entry {number} of the chain has a wrong signature")
        if entry.number != number or entry.previous != (hashes[-1] if hashes else _NO_HASH):
            problems.append(f"entry {number} of the chain does not follow the one before it")
        if entry.kind == "continued":
            problems.append(f"the chain had been changed by {entry.time}: {entry.damage}")
        entries.append(entry)
        hashes.append(hash_of(content))
    if head is None:
        if head_stored or len(entries) > 1:
            problems.append("the head of the chain is missing or was changed")
    elif head.number > len(entries):
        problems.append(f"the chain was cut: {head.number - len(entries)} of {head.number} entries are missing")
    elif head.number and head.hash != hashes[head.number - 1]:
        problems.append("the head of the chain names another chain")
    return Found(entries, problems)


def unpack(content: bytes) -> tuple[Entry, str]:
    """An entry and its signature. Raises one of UNREADABLE."""
    encoded, _, signature = content.rpartition(b"\n")
    return msgspec.json.decode(encoded, type=Entry), signature.decode("ascii", "replace")


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_head(folder: Path, keys: AuditKeys, cipher: FileCipher) -> _Head | None:
    """None if it is missing or was changed."""
    try:
        encoded, _, signature = cipher.decode((folder / HEAD_NAME).read_bytes()).rpartition(b"\n")
    except (FileNotFoundError, DamagedCiphertext):
        return None
    if not keys.verifies(encoded, signature.decode("ascii", "replace")):
        return None
    return msgspec.json.decode(encoded, type=_Head)
