"""The append-only file that one process writes its records to, and how it is read back.

    <data-dir>/audit/current/<id>.journal    frames: a head, then the records, in order
    <data-dir>/audit/current/<id>.tail       how many records are synced, and the MAC of the last one

A frame holds 32 bytes of MAC, over the MAC of the frame before and the content, and the content. So no record can
be changed, left out, inserted or moved without the key. The tail is written after each sync and is not synced
itself: after a power cut it may name fewer records than there are, never more. What follows the records it names
may be torn, by a crash; what it names must be there. The file is locked while its process lives; a journal that is
not locked was left behind by a process that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from blotter.database.audit.files import frames, open_private, write_all
from blotter.database.audit.keys import MAC_BYTES, AuditKeys
from blotter.database.durable_files import sync_directory
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher, frame

SUFFIX = ".journal"
TAIL_SUFFIX = ".tail"
_START = bytes(MAC_BYTES)
_TAIL_FORM = b"T1"
_COUNT_BYTES = 8
_NAMED_BYTES = len(_TAIL_FORM) + _COUNT_BYTES + MAC_BYTES
_TAIL_BYTES = _NAMED_BYTES + MAC_BYTES


class Head(msgspec.Struct, frozen=True):
    """The first frame. `opened` is in seconds since the epoch."""

    journal: str
    opened: float
    process: int


class Journal:
    """A journal that this process appends to, on one thread at a time."""

    def __init__(self, path: Path, descriptor: int, tail: int, head: Head, keys: AuditKeys, cipher: FileCipher):
        self.path = path
        self.head = head
        self.records = 0
        self.size = 0
        self.first_at = 0.0
        """When the first record was written, for rotation by age."""
        self._descriptor = descriptor
        self._tail = tail
        self._keys = keys
        self._cipher = cipher
        self._mac = _START

    @classmethod
    def create(cls, folder: Path, keys: AuditKeys, cipher: FileCipher, now: float) -> Journal:
        """A new one, locked and synced, without a record. Raises OSError."""
        head = Head(secrets.token_hex(16), now, os.getpid())
        path = folder / f"{head.journal}{SUFFIX}"
        # Under its name it is seen by others, who would take a journal without a lock for one left behind.
        draft = folder / f".{head.journal}"
        descriptor = open_private(draft, os.O_RDWR | os.O_EXCL)
        tail = -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            tail = open_private(path.with_suffix(TAIL_SUFFIX), os.O_RDWR | os.O_EXCL)
            journal = cls(path, descriptor, tail, head, keys, cipher)
            journal._write([msgspec.json.encode(head)])
            journal._write_tail()
            draft.rename(path)
            sync_directory(folder)
        except BaseException:
            os.close(descriptor)
            if tail >= 0:
                os.close(tail)
            with contextlib.suppress(OSError):
                for made in (draft, path, path.with_suffix(TAIL_SUFFIX)):
                    made.unlink(missing_ok=True)
            raise
        return journal

    def append(self, records: Sequence[bytes], now: float) -> None:
        """Writes records and syncs them. Raises OSError; none of them is in the journal then."""
        self._write(records)
        if not self.records:
            self.first_at = now
        self.records += len(records)
        self._write_tail()

    def close(self) -> None:
        """Gives up the lock."""
        os.close(self._descriptor)
        os.close(self._tail)

    def _write(self, contents: Sequence[bytes]) -> None:
        mac, parts = self._mac, []
        for content in contents:
            mac = self._keys.mac(mac, content)
            parts.append(frame(self._cipher.encode(mac + content)))
        written = b"".join(parts)
        try:
            write_all(self._descriptor, written)
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # What stays would be a torn end, which readers leave out.
                os.ftruncate(self._descriptor, self.size)
                os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += len(written)
        self._mac = mac

    def _write_tail(self) -> None:
        named = _TAIL_FORM + self.records.to_bytes(_COUNT_BYTES, "big") + self._mac
        os.pwrite(self._tail, named + self._keys.mac(b"tail" + self.head.journal.encode(), named), 0)


class Contents(msgspec.Struct, frozen=True):
    """What a journal holds. `problem` says what was changed, "" if nothing was; `torn`: bytes at its end that a
    crash left."""

    head: Head | None
    records: list[bytes]
    problem: str = ""
    torn: int = 0


def read_journal(path: Path, keys: AuditKeys, cipher: FileCipher) -> Contents:
    """Reads and checks a journal, which may be in use. Raises OSError."""
    tail = _read_tail(
        path, keys, cipher
    )  # Before the records: it names no more than there are at any later moment.
    stored = path.read_bytes()
    mac, end, contents, foreign = _START, 0, [], False
    macs: list[bytes] = []
    for part, at in frames(stored):
        try:
            opened = cipher.decode(part)
        except DamagedCiphertext:
            break
        content = opened[MAC_BYTES:]
        if opened[:MAC_BYTES] != (mac_of := keys.mac(mac, content)):
            foreign = content.startswith(b"{")
            break
        mac, end = mac_of, at
        contents.append(content)
        macs.append(mac)
    if not contents:
        return Contents(None, [], "its head was changed" if tail is not None else "", len(stored))
    head = msgspec.json.decode(contents[0], type=Head)
    return Contents(head, contents[1:], _problem(head, path, macs, tail, foreign), len(stored) - end)


def raw_records(path: Path, cipher: FileCipher) -> Iterator[bytes]:
    """The records of a journal, unchecked. Raises OSError."""
    for number, (part, _) in enumerate(frames(path.read_bytes())):
        if number:
            try:
                yield cipher.decode(part)[MAC_BYTES:]
            except DamagedCiphertext:
                return


def _read_tail(path: Path, keys: AuditKeys, cipher: FileCipher) -> tuple[int, bytes] | None:
    """Count and MAC; None if the tail is missing or was changed. It holds no secret and is written as it is, but
    is encrypted with everything else when a directory is."""
    try:
        stored = cipher.decode(path.with_suffix(TAIL_SUFFIX).read_bytes())
    except (FileNotFoundError, DamagedCiphertext):
        return None
    named = stored[:_NAMED_BYTES]
    if len(stored) != _TAIL_BYTES or stored[_NAMED_BYTES:] != keys.mac(b"tail" + path.stem.encode(), named):
        return None
    count = named[len(_TAIL_FORM) : -MAC_BYTES]
    return int.from_bytes(count, "big"), named[-MAC_BYTES:]


def _problem(head: Head, path: Path, macs: list[bytes], tail: tuple[int, bytes] | None, foreign: bool) -> str:
    if head.journal != path.stem:
        return f"it is the journal {head.journal} under another name"
    if tail is None:
        return "its tail is missing or was changed"
    count, mac = tail
    if len(macs) <= count:
        return f"{count - len(macs) + 1} of {count} records were changed or removed"
    if macs[count] != mac:
        return "its tail is that of another journal"
    return "a record was inserted that the server did not write" if foreign else ""
