"""Encrypted database files: SQLite3 Multiple Ciphers, which is built into the `apsw` of apsw-sqlite3mc.

Every page is encrypted and authenticated with AEGIS-256 under a key derived from a data key, with a random nonce
and the page's number: in the database file, in the write-ahead log and in rollback journals. The file begins with
the id of its data key, where SQLite's magic stands otherwise. The eight bytes after it (page size, journal mode,
reserved bytes) are neither encrypted nor authenticated, so they are compared with the only ones they can be.

The library encrypts the log only where its VFS is the topmost one, so `cksumvfs` is not used above it: the
authentication of a page finds all that a checksum does. Its random numbers are not made anew after a fork, and two
processes must not encrypt with the same ones: a process may not use a cipher after its parent has.
Which cipher, and at what price: docs/decisions/0010-encrypted-pages.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import apsw

from blotter.database.encryption.data_keys import DataKey
from blotter.database.storage.protocol import DataDirectoryError

CIPHER: Final = "aegis-256"
_VFS_PREFIX = "multipleciphers-"
_HEADER_AT = 16
_HEADER: Final = bytes.fromhex("1000020240402020")
"""4096 bytes a page; WAL; 64 bytes reserved for nonce and tag; and three constants of SQLite."""

_used = False
_used_by_parent = False


def available() -> bool:
    return hasattr(apsw, "mc_version")


def plain_vfs() -> str:
    """The VFS of plain files, below the library's own."""
    return str(apsw.vfs_names()[0]).removeprefix(_VFS_PREFIX)


def connect(path: str, key: DataKey, *, flags: int, vfs: str | None, **others: Any) -> apsw.Connection:
    """A connection that reads and writes with a data key. Whether the key fits is found by the first read. `vfs`
    is the one below the cipher."""
    global _used
    if not available():
        raise DataDirectoryError(
            "encrypted files need the package apsw-sqlite3mc; the package apsw has been installed over it"
        )
    if _used_by_parent:
        raise RuntimeError("a process whose parent has used a cipher would repeat the parent's random numbers")
    _used = True
    connection = apsw.Connection(path, flags=flags, vfs=f"{_VFS_PREFIX}{vfs or 'unix'}", **others)
    for pragma in (
        "cipher = 'aegis'",
        f"aegis_algorithm = '{CIPHER}'",
        f"key = 'raw:{key.derive('database file').hex()}{key.id.hex()}'",
    ):
        # Run to its end, and its text, which holds the key, is not kept for another time.
        connection.execute(f"PRAGMA {pragma}", can_cache=False).get  # noqa: B018
    return connection


def check_header(path: Path) -> None:
    """Raises DataDirectoryError if what the cipher does not protect has been changed. For a file that has a
    schema."""
    with path.open("rb") as file:
        file.seek(_HEADER_AT)
        if file.read(len(_HEADER)) != _HEADER:
            raise DataDirectoryError(f"{path} is damaged: its header says what it cannot. It was left as it is.")


def _after_fork() -> None:
    global _used_by_parent
    _used_by_parent = _used_by_parent or _used


os.register_at_fork(after_in_child=_after_fork)
