"""A data key: 32 random bytes with an id, from which the keys for single purposes are derived.

The id is random and public: 16 bytes that stand at the beginning of everything encrypted under the key, in the
database file in place of SQLite's magic. So what a file needs is read from the file itself, also in the middle of
a change of keys.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

KEY_BYTES: Final = 32
ID_BYTES: Final = 16


class DataKey:
    """Compared by identity; its representation shows the id only."""

    __slots__ = ("_material", "id")

    def __init__(self, key_id: bytes, material: bytes) -> None:
        if len(key_id) != ID_BYTES or len(material) != KEY_BYTES:
            raise ValueError("a data key has an id of 16 bytes and 32 bytes of material")
        self.id = key_id
        self._material = material

    @classmethod
    def generate(cls) -> DataKey:
        return cls(secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES))

    @property
    def material(self) -> bytes:
        """For wrapping; everything else uses `derive`."""
        return self._material

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose."""
        return derive(self._material, purpose)

    def __repr__(self) -> str:
        return f"DataKey({self.id.hex()})"


def derive(material: bytes, purpose: str, salt: bytes = b"") -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869, section 2.3) for one block of output. `material` is random over its
    whole length, so the extraction step is not needed (section 3.3)."""
    info = b"blotter 1 " + purpose.encode() + b"\x00" + salt
    return hmac.new(material, info + b"\x01", hashlib.sha256).digest()
