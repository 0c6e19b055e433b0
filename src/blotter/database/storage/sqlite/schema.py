"""What is on disk: the tables of the one SQLite file, its versions, and how a file is made, checked and opened.

Owns every DDL statement and every PRAGMA. No SQLite table belongs to one DynamoDB table: a DynamoDB table is a
row of `catalog` and some numbers of key spaces, so creating one never changes SQLite's schema, on which every
prepared statement of every process depends. A file names the program that wrote it (`application_id`), in which
format (`user_version`) and by which key layout (`meta`); a file of a newer format, of another program or another
key layout is refused before anything is written, one of an older format is upgraded when it is opened. Pages
carry checksums wherever SQLite's shim for them is available (`checksums`), and `meta` records it. Why these tables
and this page size: docs/decisions/0001-item-layout.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from blotter.database.durable_files import sync_directory
from blotter.database.encryption.data_keys import DataKey
from blotter.database.model.keys import KEY_FORMAT
from blotter.database.storage.change_log import STREAMS
from blotter.database.storage.protocol import LOG_SPACE, DataDirectoryError
from blotter.database.storage.sqlite import checksums, cipher

FILE_NAME = "blotter.db"
APPLICATION_ID = 0x426C6F74  # "Blot"
FORMAT_VERSION = 3
_MAGIC = b"SQLite format 3\0"
PAGE_SIZE = 4096
INLINE_BYTES = 500
"""An item whose key and body are longer together has its body in `bodies`; `items.outside` names it there."""

# Rows of `meta` that say how the file is protected.
CHECKSUMS = "page_checksums"
ENCRYPTION = "encryption"

# Rows of `counters`: numbers that only rise.
CATALOG_GENERATION = 1
LAST_SPACE = 2
# The change log's. Appending to it writes none of them: the newest entry says how far the log has come, as long as
# there is one, and how many entries of how many bytes there have been.
LAST_CHANGE = 3
"""No number up to this one is given again: the last that was trimmed, or more."""
TRIMMED_ENTRIES = 4
TRIMMED_BYTES = 5
"""How many entries were trimmed, of those that `changes.entries` and `changes.bytes` count."""

_LOG_SCHEMA = """
CREATE INDEX changes_of_shard ON changes (table_id, shard, sequence) WHERE shard >= 0;
CREATE TABLE log_readers (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, retention REAL, progressed_at REAL NOT NULL, lost_at REAL)
    WITHOUT ROWID;
"""

_SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO counters VALUES ({CATALOG_GENERATION}, 1), ({LAST_SPACE}, 0), ({LAST_CHANGE}, 0),
    ({TRIMMED_ENTRIES}, 0), ({TRIMMED_BYTES}, 0);

CREATE TABLE catalog (
    account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, description BLOB NOT NULL,
    PRIMARY KEY (account, region, name)) WITHOUT ROWID;

CREATE TABLE items (
    space INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, body BLOB, outside INTEGER, version INTEGER,
    PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE statistics (space INTEGER PRIMARY KEY, items INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE dropped_spaces (space INTEGER PRIMARY KEY);

CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY, time REAL NOT NULL, table_id TEXT NOT NULL, shard INTEGER NOT NULL,
    key BLOB NOT NULL, old BLOB, new BLOB, origin TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'item',
    version INTEGER, entries INTEGER, bytes INTEGER);
{_LOG_SCHEMA}
INSERT INTO log_readers VALUES ('{STREAMS.name}', 0, {STREAMS.retention}, 0, NULL);
"""

Migration = Callable[[apsw.Connection], None]


def _to_format_2(connection: apsw.Connection) -> None:
    """Entries of the change log get a kind and a version, the log gets readers, items can have versions. Only the
    log's index is built anew; the cost does not grow with the items."""
    connection.execute(
        f"""
        ALTER TABLE items ADD COLUMN version INTEGER;
        ALTER TABLE doomed RENAME TO dropped_spaces;
        ALTER TABLE changes ADD COLUMN kind TEXT NOT NULL DEFAULT 'item';
        ALTER TABLE changes ADD COLUMN version INTEGER;
        DROP INDEX changes_of_shard;
        {_LOG_SCHEMA}
        INSERT INTO log_readers
            SELECT '{STREAMS.name}', coalesce(min(sequence) - 1, 0), {STREAMS.retention}, 0, NULL FROM changes;
        INSERT INTO statistics
            SELECT {LOG_SPACE}, count(*), sum(length(key) + coalesce(length(old), 0) + coalesce(length(new), 0))
            FROM changes HAVING count(*) > 0;
        """
    )


def _to_format_3(connection: apsw.Connection) -> None:
    """The log's newest entry takes over what its statistics were. Earlier entries stay as they are: their totals
    are never read."""
    connection.execute(
        f"""
        ALTER TABLE changes ADD COLUMN entries INTEGER;
        ALTER TABLE changes ADD COLUMN bytes INTEGER;
        UPDATE changes SET (entries, bytes) = (SELECT items, bytes FROM statistics WHERE space = {LOG_SPACE})
            WHERE sequence = (SELECT max(sequence) FROM changes);
        DELETE FROM statistics WHERE space = {LOG_SPACE};
        INSERT INTO counters VALUES ({TRIMMED_ENTRIES}, 0), ({TRIMMED_BYTES}, 0);
        """
    )


MIGRATIONS: dict[int, Migration] = {1: _to_format_2, 2: _to_format_3}
"""Format → what converts a file from it to the next format. A change of the format raises FORMAT_VERSION, changes
`_SCHEMA` and adds a migration, which runs inside a transaction that it must not end, while no other process uses
the file."""

log = logging.getLogger(__name__)


def open_file(
    path: str, key: DataKey | None, *, flags: int, vfs: str | None = None, **others: Any
) -> apsw.Connection:
    """A connection that verifies what it reads: by the checksums of a plain file, or by the cipher of an encrypted
    one. The one place that opens database files."""
    if key is not None:
        return cipher.connect(path, key, flags=flags, vfs=vfs, **others)
    checksums.load_shim()
    return apsw.Connection(path, flags=flags, vfs=vfs, **others)


def connect(
    path: Path, *, key: DataKey | None = None, vfs: str | None = None, cache_bytes: int = 8 << 20
) -> apsw.Connection:
    """A connection to an existing file, set up as every connection of the store must be. `key` is the one that the
    file is encrypted under. `vfs` names a VFS registered with apsw, for tests that crash, tear or refuse I/O."""
    connection = open_file(str(path), key, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs, statementcachesize=64)
    # The plan of a statement must not depend on its bindings: apsw's SQLite has STAT4, with which a range such as
    # `key >= ?` would be prepared again for every execution. We never ANALYZE, so no plan is worse.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    # Only a recovery after another process's death is waited for; our own writers queue at a lock of their own.
    connection.set_busy_timeout(5000)
    for pragma in (
        "synchronous = FULL",  # a commit returns when the WAL is synced
        "fullfsync = ON",  # macOS: fsync alone stops at the drive's cache
        "checkpoint_fullfsync = ON",
        "wal_autocheckpoint = 0",
        f"cache_size = {-(cache_bytes // 1024)}",
        "temp_store = MEMORY",
        # The default of the library that encrypts: it would write zeros over what is deleted.
        "secure_delete = OFF",
        "trusted_schema = OFF",
        "cell_size_check = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").get  # noqa: B018 (runs it to its end)
    return connection


def create_or_check(path: Path, *, key: DataKey | None = None, vfs: str | None = None) -> None:
    """Makes the file when there is none, and otherwise checks that this program may use it and upgrades it.

    Raises DataDirectoryError. The caller holds the writer's lock, so only one process creates or upgrades. After
    a crash of all processes this connection is the first to recover the WAL and the last to close it, which syncs
    and copies it: what was written but not yet synced is durable before it can be read.
    """
    check_sizes(path, encrypted=key is not None)
    try:
        # Made by us, so that it is private whatever the umask; SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        connection = open_file(str(path), key, flags=flags, vfs=vfs)
        connection.set_busy_timeout(5000)
        try:
            if _is_empty(connection):
                _create(connection, path, key)
                sync_directory(path.parent)
            else:
                _check(connection, path, key)
        finally:
            connection.close()
    except apsw.NotADBError as error:
        raise not_a_database(path, key, error) from error
    except apsw.Error as error:
        raise DataDirectoryError(f"{path} cannot be opened: {checksums.error_text(error)}") from error


def not_a_database(path: Path, key: DataKey | None, error: apsw.Error) -> DataDirectoryError:
    if key is not None:
        return DataDirectoryError(f"{path} is damaged: its first page does not authenticate")
    return DataDirectoryError(f"{path} is not a SQLite file, or is encrypted and has lost its keys.json: {error}")


def check_sizes(path: Path, *, encrypted: bool = False) -> None:
    """Refuses remains that SQLite would take for a beginning, or fill up with zeros."""
    wal = path.with_name(f"{path.name}-wal")
    size, wal_size = (file.stat().st_size if file.exists() else 0 for file in (path, wal))
    if not size and wal_size:  # SQLite would delete the log and begin anew.
        raise DataDirectoryError(
            f"{path} is missing or empty, but its log {wal.name} is there; both were left alone"
        )
    if not wal_size and size > PAGE_SIZE and size % PAGE_SIZE:
        with path.open("rb") as file:
            if encrypted or file.read(len(_MAGIC)) == _MAGIC:
                raise DataDirectoryError(f"{path} has been cut short: its {size} bytes end within a page")


def _is_empty(connection: apsw.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_schema").get)


def _create(connection: apsw.Connection, path: Path, key: DataKey | None) -> None:
    summed = key is None and checksums.reserve(connection)
    if not summed and key is None:
        log.warning("%s is made without checksums on its pages: apsw's cksumvfs cannot be had here", path)
    # Page size and WAL mode cannot be set inside a transaction; a crash between them and the schema leaves an
    # empty file, which the next start finishes.
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode = WAL").get  # noqa: B018
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = OFF").get  # noqa: B018
    with connection:
        connection.execute(_SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('key_format', ?)", (KEY_FORMAT,))
        if summed:
            connection.execute("INSERT INTO meta VALUES (?, 'cksumvfs')", (CHECKSUMS,))
        if key is not None:
            connection.execute("INSERT INTO meta VALUES (?, ?)", (ENCRYPTION, cipher.CIPHER))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def _check(connection: apsw.Connection, path: Path, key: DataKey | None) -> None:
    version = _check_origin(connection, path, key)
    if version < FORMAT_VERSION:
        _upgrade(connection, path, version)
    else:
        _check_keys(connection, path)


def check_current(connection: apsw.Connection, path: Path, key: DataKey | None = None) -> None:
    """For a file that is only read: raises DataDirectoryError unless it has today's format."""
    version = _check_origin(connection, path, key)
    if version < FORMAT_VERSION:
        raise DataDirectoryError(
            f"{path} has format {version}, this version of blotter reads format {FORMAT_VERSION}: "
            "a server that starts on it upgrades it"
        )
    _check_keys(connection, path)


def _check_origin(connection: apsw.Connection, path: Path, key: DataKey | None) -> int:
    """The format of a file that is ours and not of a later version."""
    if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
        raise DataDirectoryError(f"{path} is a SQLite file of another program")
    version = int(connection.execute("PRAGMA user_version").get)
    if version > FORMAT_VERSION:
        raise DataDirectoryError(
            f"{path} has format {version}; this version of blotter knows formats up to {FORMAT_VERSION}. "
            "It was left as it is: start a newer blotter on it."
        )
    if key is None:
        _check_checksums(connection, path)
    else:
        cipher.check_header(path)
    return version


def _check_checksums(connection: apsw.Connection, path: Path) -> None:
    """Refuses to read a file without comparing the sums it has: it may be damaged, and what is written without the
    shim has wrong ones. `meta` is read because one flipped bit of the header switches the shim off."""
    summed = connection.execute("SELECT value FROM meta WHERE name = ?", (CHECKSUMS,)).get is not None
    if summed and not checksums.verified(connection):
        raise DataDirectoryError(
            f"{path} has checksums on its pages, which cannot be verified: either its header is damaged, or "
            "apsw was installed without cksumvfs. It was left as it is."
        )


def _check_keys(connection: apsw.Connection, path: Path) -> None:
    key_format = connection.execute("SELECT value FROM meta WHERE name = 'key_format'").get
    if key_format != KEY_FORMAT:
        raise DataDirectoryError(
            f"{path} has keys of layout {key_format!r}; this version of blotter knows {KEY_FORMAT!r}"
        )


def _upgrade(connection: apsw.Connection, path: Path, version: int) -> None:
    """From one format to today's in one transaction: a crash, a full disk or a refusal leaves the file as it was,
    and the next start begins again."""
    steps = range(version, FORMAT_VERSION)
    if any(step not in MIGRATIONS for step in steps):
        raise DataDirectoryError(
            f"{path} has format {version}, which this version of blotter cannot upgrade to {FORMAT_VERSION}. "
            "It was left as it is."
        )
    log.warning("upgrading %s from format %d to %d", path, version, FORMAT_VERSION)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            MIGRATIONS[step](connection)
        _check_keys(connection, path)
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
