"""What protects the tables on disk, for SSEDescription: one master key for all of them, as the server was started.

With a master key of AWS KMS every table is shown as one that is encrypted with a key of KMS, and with this one
unless it asked for another. With another master key, or none, a table is shown as one with a key that AWS owns:
not at all. Set once, before a process answers its first request.
"""

from __future__ import annotations

_kms_key: str | None = None


def set_kms_key(arn: str | None) -> None:
    global _kms_key
    _kms_key = arn


def kms_key() -> str | None:
    return _kms_key


def described(arn: str) -> dict[str, str | float]:
    """SSEDescription of a table that is encrypted with a key of KMS."""
    return {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}
