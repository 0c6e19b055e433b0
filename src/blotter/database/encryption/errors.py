"""What can go wrong with keys, each as one line for the operator. No message contains key material."""

from __future__ import annotations


class MasterKeyError(Exception):
    """The master key is missing, malformed, cannot be reached, or is not the one that wrapped the data key.
    Nothing in the data directory was changed."""


class DamagedCiphertext(Exception):
    """An encrypted file or record does not authenticate: it was changed, cut off, or is another one's."""
