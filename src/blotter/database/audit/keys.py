"""The keys that protect the trail, derived from one secret of the data directory.

Journals carry a MAC for each record; the chain's entries carry an Ed25519 signature, which anyone who has the
public key can check. Whoever has the secret can write a trail of their own: it is as safe as the data directory's
keys are (0600, or wrapped by the master key).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "audit"
"""The trail's place in a data directory."""
SECRET = "audit trail"
"""The purpose of the trail's secret (`Store.secret_key`)."""
MAC_BYTES = 32


class AuditKeys:
    """`secret` has 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        self._mac_key = hmac.digest(secret, b"audit journal", "sha256")
        self._seed = hmac.digest(secret, b"audit signature", "sha256")
        self._signing: Ed25519PrivateKey | None = None

    def mac(self, *parts: bytes) -> bytes:
        """32 bytes. Each part but the last must have a fixed length."""
        return hmac.digest(self._mac_key, b"".join(parts), "sha256")

    def sign(self, content: bytes) -> str:
        return self._key().sign(content).hex()

    def verifies(self, content: bytes, signature: str) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key().public_key().verify(bytes.fromhex(signature), content)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _key(self) -> Ed25519PrivateKey:
        if self._signing is None:
            # 40 ms, which no start has to wait for.
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            self._signing = Ed25519PrivateKey.from_private_bytes(self._seed)
        return self._signing
