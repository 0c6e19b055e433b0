"""Sealing: what is stored or handed out encrypted and authenticated, with a key that lies beside the data.

Secrets of access keys are sealed before they are stored, session tokens before they leave. A sealed value is

    1 byte     the form, 1
    4 bytes    the id of the key, so that a wrong key is recognized
    12 bytes   the nonce, random
    …          AES-256-GCM's ciphertext and tag, authenticated with the value's context

The context (whose secret it is) is not in it: a value that was moved to another place cannot be unsealed there.
The key is in `<data-dir>/sealing-key`, readable by the owner only; the store in memory has one in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from blotter.database.storage.protocol import DataDirectoryError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FILE_NAME = "sealing-key"
_KEY_BYTES = 32
_FORM = b"\x01"
_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_FORM) + _ID_BYTES + _NONCE_BYTES


class Unsealable(Exception):
    """The value was not sealed with this key for this context, or was changed since."""


class Sealer:
    """Seals and unseals with one key, which `load_key` gives when it is needed for the first time. `load_key` may
    raise DataDirectoryError."""

    def __init__(self, load_key: Callable[[], bytes]) -> None:
        self._load_key = load_key
        self._cipher: AESGCM | None = None
        self._id = b""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        cipher = self._ready()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + self._id + nonce + cipher.encrypt(nonce, plain, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Raises Unsealable."""
        from cryptography.exceptions import InvalidTag

        cipher = self._ready()
        head, nonce = _FORM + self._id, sealed[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES]
        if not sealed.startswith(head):
            raise Unsealable("sealed with another key")
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], context)
        except (InvalidTag, ValueError):
            raise Unsealable("sealed for something else, or changed") from None

    def prepare(self) -> None:
        """Loads the key now. Raises DataDirectoryError."""
        self._ready()

    def _ready(self) -> AESGCM:
        if self._cipher is None:
            # 20 ms, which only a server that seals anything pays.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            key = self._load_key()
            self._id = hashlib.sha256(b"blotter sealing key" + key).digest()[:_ID_BYTES]
            self._cipher = AESGCM(key)
        return self._cipher


def sealer_in_memory() -> Sealer:
    """A sealer whose key ends with the process (and with those forked from it)."""
    key = secrets.token_bytes(_KEY_BYTES)
    return Sealer(lambda: key)


def sealer_in(directory: Path) -> Sealer:
    """The sealer of a data directory. Its key is made when it is needed and there is none yet."""
    return Sealer(lambda: _read_key(directory / FILE_NAME) or _make_key(directory))


def has_key(directory: Path) -> bool:
    return (directory / FILE_NAME).exists()


def _read_key(path: Path) -> bytes | None:
    """The key in a file; None without a file. Raises DataDirectoryError."""
    try:
        text = path.read_bytes()[:1024]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be read: {error.strerror}") from None
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise DataDirectoryError(f"{path} is damaged: it must hold {2 * _KEY_BYTES} hexadecimal digits")
    return key


def _make_key(directory: Path) -> bytes:
    """Makes the key's file, whole and synced before it has its name; of two processes that do it at once, the
    second takes the first one's key."""
    path = directory / FILE_NAME
    temporary = directory / f".{FILE_NAME}.{secrets.token_hex(8)}"
    try:
        write_private_file(temporary, f"{secrets.token_hex(_KEY_BYTES)}\n".encode())
        try:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink()
        sync_directory(directory)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be written: {error.strerror}") from None
    key = _read_key(path)
    if key is None:
        raise DataDirectoryError(f"{path} was removed while it was made")
    return key


def write_private_file(path: Path, content: bytes) -> None:
    """Makes a file that only its owner can read, whatever the umask is, and syncs it. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
