"""SHA-256 for short texts: Python's own implementation, not OpenSSL's.

OpenSSL's is faster for each byte, but makes, copies and frees a context through much code, which is out of the
processor's caches by the time of the next request (docs/decisions/0011-signers.md has the figures). A Python
without the module gets `hashlib`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

SHORT: Final = 512
"""Bytes up to which `short_sha256` is the better choice."""


def _find() -> Callable[[bytes], Any]:
    for module in ("_sha2", "_sha256"):  # since Python 3.12, before
        with suppress(ImportError, AttributeError):
            found: Callable[[bytes], Any] = import_module(module).sha256
            return found
    return hashlib.sha256


short_sha256: Final = _find()
"""As `hashlib.sha256`."""
