"""The one format of copies: a table at one exact moment, as rows in key order, in parts, compressed.

    <folder>/part-000001      a part: magic (8 bytes), id of the copy (16), number (4), blocks
    <folder>/part-000002      …
    <folder>/manifest         JSON, written last: without it there is no copy

    block = length (4 bytes, big-endian), a Zstandard frame of MessagePack: [[key, size, body], …]

The manifest says what the copy holds (the table's description, the moment) and for every part its range of keys,
its counts and the SHA-256 of its content, and carries a SHA-256 of itself. Every part names its copy and its
number. So a part that is missing, damaged, cut short, or from another copy is refused by name before a row of it
is given out. Parts are written through the data directory's cipher, and checksums are of what is inside it: a
change of keys does not touch them. The rows are those of the store: `key_format` says how their keys were made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from blotter.database.copies.objects import ObjectNotFound, Objects
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher
from blotter.database.model.keys import KEY_FORMAT
from blotter.database.model.table import Table
from blotter.database.storage.protocol import Row

if TYPE_CHECKING:
    from zstandard import ZstdCompressor

FORMAT: Final = 1
MANIFEST: Final = "manifest"
MAGIC: Final = b"BLTRCPY1"
ID_BYTES: Final = 16
PART_BYTES: Final = 8 * 1024 * 1024
"""A part is full when its compressed blocks have this many bytes,"""
PART_RAW_BYTES: Final = 64 * 1024 * 1024
"""or its rows this many."""

_HEADER_BYTES = len(MAGIC) + ID_BYTES + 4
_LENGTH_BYTES = 4
_LEVEL = 1
_LARGEST_BLOCK = 1 << 30
"""No block is larger: a length beyond it is damage."""

_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(list[tuple[bytes, int, bytes]]).decode


class DamagedCopy(Exception):
    """A copy cannot be read; the text names the object and what is wrong with it."""


class Part(msgspec.Struct, frozen=True):
    """One part as the manifest has it."""

    number: int
    """From 1 on."""
    first: bytes
    """The first key and"""
    last: bytes
    """the last."""
    items: int
    size: int
    """The items' sizes by DynamoDB's rules, together."""
    stored: int
    """The length of the content, before the cipher."""
    sha256: str

    @property
    def name(self) -> str:
        return part_name(self.number)


class Manifest(msgspec.Struct, frozen=True):
    """What a copy is and consists of."""

    format: int
    id: str
    """32 hexadecimal digits, in every part."""
    key_format: str
    table: Table
    """The table's description at the moment."""
    sequence: int
    """The last change that the copy has."""
    time: float
    """The moment, in seconds since the epoch."""
    parts: tuple[Part, ...]
    items: int
    size: int

    @classmethod
    def of(cls, copy_id: str, table: Table, sequence: int, time: float, parts: Sequence[Part]) -> Manifest:
        items, size = sum(part.items for part in parts), sum(part.size for part in parts)
        return cls(FORMAT, copy_id, KEY_FORMAT, table, sequence, time, tuple(parts), items, size)


class _Envelope(msgspec.Struct):
    sha256: str
    copy: msgspec.Raw


class PartWriter:
    """Compresses the rows of one part, block by block. Not for two threads at once."""

    def __init__(self, copy_id: str, number: int) -> None:
        self._number = number
        self._pieces = [MAGIC + bytes.fromhex(copy_id) + number.to_bytes(4, "big")]
        self._compressor = _compressor()
        self._stored = self._raw = 0
        self._items = self._size = 0
        self._first: bytes | None = None
        self._last = b""

    @property
    def is_full(self) -> bool:
        return self._stored >= PART_BYTES or self._raw >= PART_RAW_BYTES

    @property
    def is_empty(self) -> bool:
        return self._first is None

    @property
    def last(self) -> bytes:
        """The last key so far."""
        return self._last

    def add(self, rows: Sequence[Row]) -> None:
        """Adds a block of rows, which continue the part in key order."""
        if not rows:
            return
        raw = _encode_rows(rows)
        block = self._compressor.compress(raw)
        self._pieces += (len(block).to_bytes(_LENGTH_BYTES, "big"), block)
        self._raw += len(raw)
        self._stored += len(block)
        self._items += len(rows)
        self._size += sum([row[1] for row in rows])
        if self._first is None:
            self._first = rows[0][0]
        self._last = rows[-1][0]

    def finish(self) -> tuple[Part, bytes]:
        """The part and its content, to be written by `write_part`."""
        content = b"".join(self._pieces)
        digest = hashlib.sha256(content).hexdigest()
        part = Part(self._number, self._first or b"", self._last, self._items, self._size, len(content), digest)
        return part, content


def part_name(number: int) -> str:
    return f"part-{number:06d}"


def write_part(objects: Objects, cipher: FileCipher, part: Part, content: bytes) -> None:
    """Raises ObjectsUnavailable."""
    objects.put(part.name, cipher.encode(content))


def write_manifest(objects: Objects, cipher: FileCipher, manifest: Manifest) -> None:
    """Completes the copy: all its parts were written. Raises ObjectsUnavailable."""
    content = msgspec.json.encode(manifest)
    envelope = _Envelope(hashlib.sha256(content).hexdigest(), msgspec.Raw(content))
    objects.put(MANIFEST, cipher.encode(msgspec.json.encode(envelope)))


def read_manifest(objects: Objects, cipher: FileCipher) -> Manifest:
    """Raises DamagedCopy and ObjectsUnavailable."""
    name = f"{objects.place}/{MANIFEST}"
    content = _read(objects, cipher, MANIFEST)
    try:
        envelope = msgspec.json.decode(content, type=_Envelope)
        if hashlib.sha256(envelope.copy).hexdigest() != envelope.sha256:
            raise DamagedCopy(f"{name} is damaged: its checksum does not match")
        found = msgspec.json.decode(envelope.copy, type=_Version)
        if found.format != FORMAT or found.key_format != KEY_FORMAT:
            raise DamagedCopy(
                f"{name} has format {found.format} with keys of {found.key_format!r}; this version of blotter "
                f"reads format {FORMAT} with keys of {KEY_FORMAT!r}"
            )
        return msgspec.json.decode(envelope.copy, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedCopy(f"{name} is damaged: {error}") from None


def read_part(objects: Objects, cipher: FileCipher, manifest: Manifest, part: Part) -> Iterator[list[Row]]:
    """The rows of a part, block by block, once the whole part has proved to be what the manifest says. Holds one
    part in memory, compressed. Raises DamagedCopy and ObjectsUnavailable."""
    name = f"{objects.place}/{part.name}"
    content = _read(objects, cipher, part.name)
    if content[:_HEADER_BYTES] != MAGIC + bytes.fromhex(manifest.id) + part.number.to_bytes(4, "big"):
        raise DamagedCopy(f"{name} is not part {part.number} of copy {manifest.id}: damaged, or of another copy")
    if len(content) != part.stored or hashlib.sha256(content).hexdigest() != part.sha256:
        raise DamagedCopy(f"{name} is damaged: its checksum does not match the manifest's")
    items = 0
    for rows in _blocks(content, name):
        items += len(rows)
        yield rows
    if items != part.items:
        raise DamagedCopy(f"{name} has {items} items, not {part.items} as the manifest says")


class _Version(msgspec.Struct):
    format: int
    key_format: str


def _blocks(content: bytes, name: str) -> Iterator[list[Row]]:
    decompress, error_type = _decompressor()
    position = _HEADER_BYTES
    view = memoryview(content)
    while position < len(content):
        length = int.from_bytes(view[position : position + _LENGTH_BYTES], "big")
        position += _LENGTH_BYTES
        try:
            yield _decode_rows(decompress(view[position : position + length], max_output_size=_LARGEST_BLOCK))
        except (error_type, msgspec.DecodeError) as error:
            raise DamagedCopy(f"{name} is damaged at byte {position}: {error}") from None
        position += length


def _read(objects: Objects, cipher: FileCipher, name: str) -> bytes:
    try:
        return cipher.decode(objects.get(name))
    except ObjectNotFound as error:
        raise DamagedCopy(f"{error} is missing") from None
    except DamagedCiphertext as error:
        raise DamagedCopy(f"{objects.place}/{name} is damaged: {error}") from None


def _compressor() -> ZstdCompressor:
    from zstandard import ZstdCompressor

    return ZstdCompressor(level=_LEVEL)


def _decompressor() -> tuple[Any, type[Exception]]:
    from zstandard import ZstdDecompressor, ZstdError

    return ZstdDecompressor().decompress, ZstdError
