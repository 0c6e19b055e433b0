"""Checksums on the pages of the file: SQLite's own VFS shim, `cksumvfs`, which comes with apsw.

The shim puts a sum into the last eight bytes of each page that is written to the database file and compares it
whenever a page is read from there; what differs fails with SQLITE_IOERR_DATA instead of being served. The log is
left out: its frames have checksums of their own, compared when it is recovered. The shim does something only where
a file has exactly eight reserved bytes a page, which is settled when the file is made. Once loaded it is the
process's default VFS, above which others are put; forked processes have it from their parent.
Why, and at what price: docs/decisions/0007-page-checksums.md.
"""

from __future__ import annotations

import functools

import apsw
import apsw.sqlite_extra

from blotter.database.storage.sqlite import cipher

_SUM_BYTES = 8


@functools.cache
def load_shim() -> bool:
    """Once in a process, before the first file is opened. False where apsw was built without the shim."""
    apsw.set_default_vfs(cipher.plain_vfs())  # what encrypts is not needed below it
    connection = apsw.Connection(":memory:")
    try:
        apsw.sqlite_extra.load(connection, "cksumvfs")  # switches loading off again
    except (apsw.sqlite_extra.NotAvailable, LookupError, OSError, apsw.Error):
        return False
    finally:
        connection.close()
    return True


def reserve(connection: apsw.Connection) -> bool:
    """Whether the file this connection is about to make will have checksums."""
    if connection.execute("PRAGMA checksum_verification").get is None:  # no shim below it
        return False
    connection.reserve_bytes("main", _SUM_BYTES)
    return True


def verified(connection: apsw.Connection) -> bool:
    """Whether the pages that this connection reads are compared with their sums."""
    return bool(connection.execute("PRAGMA checksum_verification").get == "1")


def is_damage(error: BaseException) -> bool:
    """Whether SQLite failed because of the file's contents, not because of the disk or the system. Of an encrypted
    file, the first page is "not a database" when it does not authenticate."""
    return isinstance(error, apsw.CorruptError | apsw.NotADBError) or _is_wrong_sum(error)


def error_text(error: BaseException) -> str:
    """The error as text for the log: SQLite has no message of its own for a wrong checksum."""
    return f"{error}: a page of the file does not match its checksum" if _is_wrong_sum(error) else str(error)


def _is_wrong_sum(error: BaseException) -> bool:
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
