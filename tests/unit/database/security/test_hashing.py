"""Both implementations of SHA-256 are SHA-256."""

from __future__ import annotations

import hashlib
import sys

import pytest

from blotter.database.security import hashing
from blotter.database.security.hashing import SHORT, short_sha256


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, SHORT, 3 * SHORT])
def test_the_short_one_gives_what_hashlib_gives(length: int) -> None:
    text = bytes(number % 251 for number in range(length))
    assert short_sha256(text).hexdigest() == hashlib.sha256(text).hexdigest()
    begun = short_sha256(text[: length // 2])
    copied = begun.copy()
    copied.update(text[length // 2 :])
    assert copied.digest() == hashlib.sha256(text).digest()
    assert begun.digest() == hashlib.sha256(text[: length // 2]).digest()


def test_a_python_without_it_uses_hashlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, module, None)
    assert hashing._find() is hashlib.sha256
