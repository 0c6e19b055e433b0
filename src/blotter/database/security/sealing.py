"""Sealing: what is stored or handed out encrypted and authenticated, with a key of the store.

Secrets of access keys are sealed before they are stored, session tokens before they leave. A sealed value is

    1 byte     the form, 1
    4 bytes    the id of the key, so that a wrong key is recognized
    12 bytes   the nonce, random
    …          AES-256-GCM's ciphertext and tag, authenticated with the value's context

The context (whose secret it is) is not in it: a value that was moved to another place cannot be unsealed there.
The key is the store's (`Store.secret_key`): on disk it is as well protected as the store can.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
