"""Master keys: what `--master-key` names, and how each kind wraps and unwraps data keys.

    file:PATH             a file with 32 random bytes, as they are, in hexadecimal or in base64
    env:NAME              an environment variable with the same in hexadecimal or base64
    aws-kms:KEY-ARN       a symmetric key of AWS KMS, or of anything that speaks its protocol (`aws_kms`)

The option's text names a place and is no secret; the key itself is never an argument of a process. `file` and
`env` are one kind, "local", with an id that is derived from the key: a key may move from a file to a variable.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from blotter.database.encryption.data_keys import KEY_BYTES, derive
from blotter.database.encryption.errors import MasterKeyError

log = logging.getLogger(__name__)

LOCAL: Final = "local"
AWS_KMS: Final = "aws-kms"
FORMS: Final = "file:PATH, env:NAME or aws-kms:KEY-ARN"
_MOST_BYTES = 4096
_NONCE_BYTES = 12
_KMS_ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(key|alias)/[A-Za-z0-9/_-]+\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SHAPE = "must be 32 random bytes, in hexadecimal (64 digits) or base64 (`openssl rand -base64 32` makes one)"


class MasterKey(Protocol):
    """A key that wraps data keys. Making one reads nothing; `wrap`, `unwrap` and `id` do, and raise
    MasterKeyError."""

    kind: str
    text: str
    """As the option has it, for messages."""

    @property
    def id(self) -> str:
        """Which key this is, without saying anything about its value: a fingerprint, or the key's ARN."""

    def wrap(self, material: bytes, context: str) -> bytes:
        """Encrypts a data key. Only the same `context` unwraps it."""

    def unwrap(self, wrapped: bytes, context: str) -> bytes: ...


def parse_master_key(text: str) -> MasterKey:
    """The master key that an option names. Raises ValueError with what it must be, never with the text: somebody
    may have given the key itself."""
    kind, _, place = text.partition(":")
    if kind == "file" and place:
        return LocalKey(text, lambda: _read_file(Path(place)))
    if kind == "env" and _NAME.match(place):
        return LocalKey(text, lambda: _read_variable(place))
    if kind == AWS_KMS and (arn := _KMS_ARN.match(place)):
        from blotter.database.encryption.aws_kms import KmsKey

        return KmsKey(text, place, arn[1])
    raise ValueError(FORMS)


class LocalKey:
    """32 bytes that are read once, when they are first needed. Wraps with AES-256-GCM."""

    kind = LOCAL

    def __init__(self, text: str, read: Callable[[], bytes]) -> None:
        self.text = text
        self._read = read
        self._bytes: bytes | None = None

    def __repr__(self) -> str:
        return f"LocalKey({self.text!r})"

    @property
    def id(self) -> str:
        return derive(self._key(), "master key id")[:8].hex()

    def wrap(self, material: bytes, context: str) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(derive(self._key(), "wrapping")).encrypt(nonce, material, context.encode())

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return AESGCM(derive(self._key(), "wrapping")).decrypt(nonce, sealed, context.encode())
        except (InvalidTag, ValueError):
            raise MasterKeyError("the wrapped data key is damaged: it does not authenticate") from None

    def _key(self) -> bytes:
        if self._bytes is None:
            self._bytes = self._read()
        return self._bytes


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise MasterKeyError(f"the master key {path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        log.warning("the master key %s can be read by other users: make it private (chmod 600)", path)
    # 32 characters that can be typed are no random bytes.
    if len(content) == KEY_BYTES and not all(0x20 <= byte < 0x7F for byte in content):
        return content
    return _decode(content, f"the master key in {path}")


def _read_variable(name: str) -> bytes:
    text = os.environ.get(name)
    if text is None:
        raise MasterKeyError(f"the environment variable {name}, which should hold the master key, is not set")
    return _decode(os.fsencode(text), f"the master key in the environment variable {name}")


def _decode(content: bytes, what: str) -> bytes:
    text = content.strip()
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text.decode("ascii"))
        key = base64.b64decode(text, altchars=b"-_" if b"-" in text or b"_" in text else None, validate=True)
    except (ValueError, binascii.Error):
        raise MasterKeyError(f"{what} {_SHAPE}") from None
    if len(key) != KEY_BYTES:
        raise MasterKeyError(f"{what} {_SHAPE}")
    return key
