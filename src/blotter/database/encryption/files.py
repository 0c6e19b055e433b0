"""Files beside the database, encrypted: whole files and the records of a journal.

    magic (8 bytes) · id of the data key (16) · salt (32) · chunk · chunk · …

A journal consists of frames: 4 bytes of length, big-endian, and an encoded record. It is known by its first byte,
which is 0: records are shorter than 16 MB, and no other file begins so.

The content is encrypted in chunks of 64 KB with AES-256-GCM, under a key derived from the data key and the salt,
so that nonces can be counted: a chunk's nonce is its number and whether it is the last (the STREAM construction of
Hoang, Reyhanitabar, Rogaway and Vizár, 2015). Chunks cannot be reordered, left out or cut off unnoticed. Reading
and writing take bounded memory. In a plain directory content is left as it is.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from blotter.database.encryption.data_keys import ID_BYTES, DataKey, derive
from blotter.database.encryption.errors import DamagedCiphertext

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"BLTRENC1"
CHUNK_BYTES: Final = 64 * 1024
_TAG_BYTES = 16
_SALT_BYTES = 32
HEADER_BYTES: Final = len(MAGIC) + ID_BYTES + _SALT_BYTES
FRAME_LENGTH_BYTES: Final = 4


class FileCipher:
    """Encrypts under one key, decrypts under any that the directory has. Holds no state: for every process and
    thread. `key` None: a plain directory."""

    def __init__(self, key: DataKey | None, keys: Callable[[bytes], DataKey | None]) -> None:
        self.key = key
        self._find = keys

    def encode(self, content: bytes) -> bytes:
        """The content as it is to be stored."""
        if self.key is None:
            return content
        target = io.BytesIO()
        self.copy_in(io.BytesIO(content), target)
        return target.getvalue()

    def decode(self, stored: bytes) -> bytes:
        """The content of what was stored. What was stored in a plain directory is returned as it is. Raises
        DamagedCiphertext."""
        return b"".join(self.read(io.BytesIO(stored)))

    def copy_in(self, source: BinaryIO, target: BinaryIO) -> None:
        """Encodes a whole file, in bounded memory."""
        if self.key is None:
            while content := source.read(CHUNK_BYTES):
                target.write(content)
            return
        salt = secrets.token_bytes(_SALT_BYTES)
        seal = _aes(self.key, salt).encrypt
        target.write(MAGIC + self.key.id + salt)
        number, chunk = 0, source.read(CHUNK_BYTES)
        while True:
            following = source.read(CHUNK_BYTES)
            target.write(seal(_nonce(number, last=not following), chunk, None))
            if not following:
                return
            number, chunk = number + 1, following

    def read(self, source: BinaryIO) -> Iterator[bytes]:
        """Decodes a whole file, in pieces. What was given out before an error is genuine, but not all."""
        head = source.read(HEADER_BYTES)
        if not head.startswith(MAGIC):
            yield head
            while content := source.read(CHUNK_BYTES):
                yield content
            return
        key = self._find(key_of(head))
        if key is None or len(head) < HEADER_BYTES:
            raise DamagedCiphertext("it is encrypted under a data key that this directory does not have")
        yield from _opened(source, key, head[-_SALT_BYTES:])


def key_of(head: bytes) -> bytes:
    """The id of the data key in the beginning of an encoded file, b"" if the file is plain."""
    return head[len(MAGIC) : len(MAGIC) + ID_BYTES] if head.startswith(MAGIC) else b""


def frame(stored: bytes) -> bytes:
    """An encoded record as it is appended to a journal."""
    return len(stored).to_bytes(FRAME_LENGTH_BYTES, "big") + stored


def read_frames(source: BinaryIO) -> Iterator[bytes]:
    """The encoded records of a journal, in order. A torn last one, which a crash leaves, ends it."""
    while len(length := source.read(FRAME_LENGTH_BYTES)) == FRAME_LENGTH_BYTES:
        size = int.from_bytes(length, "big")
        stored = source.read(size)
        if len(stored) < size:
            return
        yield stored


def is_under(stored: bytes, key: DataKey | None) -> bool:
    """Whether a file with this beginning (a journal's: its first record's) is under a key, or plain for None."""
    head = stored[FRAME_LENGTH_BYTES:] if _is_journal(stored) else stored
    return key_of(head) == (b"" if key is None else key.id)


def convert(source: BinaryIO, target: BinaryIO, cipher: FileCipher) -> None:
    """Writes the content of a file, whichever of the directory's keys it is under, as the cipher encodes it.
    Raises DamagedCiphertext."""
    first = source.read(1)
    source.seek(0)
    if _is_journal(first):
        for stored in read_frames(source):
            target.write(frame(cipher.encode(cipher.decode(stored))))
    else:
        cipher.copy_in(cast("BinaryIO", _Decoded(cipher.read(source))), target)


class _Decoded(io.RawIOBase):
    """Decoded pieces as a file, for `copy_in`, which reads CHUNK_BYTES at a time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size and (piece := next(self._pieces, None)) is not None:
            self._left += piece
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _is_journal(stored: bytes) -> bool:
    return stored[:1] == b"\x00"


def _opened(source: BinaryIO, key: DataKey, salt: bytes) -> Iterator[bytes]:
    from cryptography.exceptions import InvalidTag

    unseal = _aes(key, salt).decrypt
    number, chunk = 0, source.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = source.read(CHUNK_BYTES + _TAG_BYTES)
        try:
            yield unseal(_nonce(number, last=not following), chunk, None)
        except (InvalidTag, ValueError):
            raise DamagedCiphertext(f"it does not authenticate after {number * CHUNK_BYTES} bytes") from None
        if not following:
            return
        number, chunk = number + 1, following


def _aes(key: DataKey, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(derive(key.derive("files"), "file", salt))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
