"""A piece of the change log as one object: what a reader of the log keeps after the log itself is trimmed.

    magic (8 bytes) · Zstandard frame of MessagePack · SHA-256 of all before (32 bytes)

A segment holds entries in the order of the log. It covers the log after one entry (`after`) up to another
(`last`); what is not in it did not concern its reader. Objects appear as a whole or not at all and the checksum
covers every byte, so a torn or mixed segment cannot be taken for a whole one; `DamagedSegment` names it. Shards
are not kept: nobody reads a stream from a segment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher
from blotter.database.storage.protocol import NO_SHARD, Change, ChangeKind, Origin

MAGIC: Final = b"BLTRSEG1"
_CHECKSUM_BYTES: Final = 32
_LEVEL: Final = 1
_MOST_BYTES: Final = 1 << 30
"""Unpacked; no writer makes larger ones."""


class DamagedSegment(Exception):
    """The segment is not what was written; the text names it."""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """`source` says whose log it is: the id of a table, or of an archive. Segments of two sources cannot be
    mixed."""

    source: str
    after: int
    last: int
    entries: list[Entry]

    @property
    def changes(self) -> list[Change]:
        return [entry.change() for entry in self.entries]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A `Change` without its shard."""

    sequence: int
    time: float
    table_id: str
    key: bytes
    old: bytes | None
    new: bytes | None
    origin: Origin
    kind: ChangeKind
    version: int | None

    @classmethod
    def of(cls, change: Change) -> Entry:
        return cls(
            change.sequence,
            change.time,
            change.table_id,
            change.key,
            change.old,
            change.new,
            change.origin,
            change.kind,
            change.version,
        )

    def change(self) -> Change:
        return Change(
            self.sequence,
            self.time,
            self.table_id,
            NO_SHARD,
            self.key,
            self.old,
            self.new,
            self.origin,
            self.kind,
            self.version,
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Segment)


def encode_segment(source: str, after: int, last: int, changes: Sequence[Change], cipher: FileCipher) -> bytes:
    """The object of a segment, encrypted as other files beside the data are."""
    from zstandard import ZstdCompressor

    packed = _encoder.encode(Segment(source, after, last, [Entry.of(change) for change in changes]))
    content = MAGIC + ZstdCompressor(level=_LEVEL).compress(packed)
    return cipher.encode(content + hashlib.sha256(content).digest())


def decode_segment(name: str, stored: bytes, cipher: FileCipher) -> Segment:
    """The segment of an object. `name` is for messages. Raises DamagedSegment."""
    from zstandard import ZstdDecompressor, ZstdError

    try:
        content = cipher.decode(stored)
    except DamagedCiphertext as error:
        raise DamagedSegment(f"{name} is damaged: {error}") from None
    body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != checksum:
        raise DamagedSegment(f"{name} is damaged: its checksum does not match")
    try:
        return _decoder.decode(ZstdDecompressor().decompress(body[len(MAGIC) :], max_output_size=_MOST_BYTES))
    except (ZstdError, msgspec.DecodeError) as error:
        raise DamagedSegment(f"{name} is damaged: {error}") from None
