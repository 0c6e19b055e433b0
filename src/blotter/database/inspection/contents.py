"""What is in a data directory, as values: file, tables, indexes, change log. For `blotter inspect`.

Everything is read in one short snapshot; counts and sizes come from the statistics, so that the cost grows with
the number of tables and not with that of items.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from blotter.database.encryption.directory_keys import DirectoryKeys
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.model.table import Index, KeySchema, Table
from blotter.database.storage.protocol import LOG_SPACE, RECORDS_SPACE, LogReader, ReadTransaction
from blotter.database.storage.sqlite import checksums, cipher
from blotter.database.storage.sqlite.read_only import ReadOnlyFile

_META = "SELECT value FROM meta WHERE name = ?"


class IndexContents(msgspec.Struct, frozen=True):
    name: str
    kind: str
    """ "global", "local" or "vector"."""
    keys: str
    """As in "id (S), at (N)"; of a vector index the vector and its search schema."""
    state: str
    items: int
    bytes: int


class TableContents(msgspec.Struct, frozen=True):
    arn: str
    state: str
    keys: str
    """As in "id (S), at (N)"."""
    items: int
    bytes: int
    """DynamoDB's item sizes, without the overhead of the file."""
    indexes: tuple[IndexContents, ...]
    stream: str | None
    """The view type of an enabled stream."""
    time_to_live: str | None
    """The attribute, if it is enabled."""
    log_readers: tuple[str, ...]


class LogContents(msgspec.Struct, frozen=True):
    entries: int
    bytes: int
    first: int
    """The smallest sequence that is kept; after the last one when the log is empty."""
    last: int
    oldest: float | None
    """When the oldest entry was made, in seconds since the epoch."""
    readers: tuple[LogReader, ...]


class EncryptionContents(msgspec.Struct, frozen=True):
    cipher: str
    data_key: str | None
    """The id of the key that everything is under; None while a plain directory is being encrypted."""
    created: str | None
    master_key: str | None
    """Kind and id of what wraps it."""
    wrapped_at: str | None
    changing: bool
    """Whether a change of keys is to be finished by `blotter keys`."""


class Contents(msgspec.Struct, frozen=True):
    path: str
    server: str | None
    """The id of the process that serves the directory."""
    format: int
    key_format: str
    checksums: bool
    encryption: EncryptionContents | None
    page_bytes: int
    file_bytes: int
    free_bytes: int
    """Of the file, what is used again before it grows."""
    wal_bytes: int
    dropped_spaces: int
    """Key spaces of deleted tables and indexes that still have to be emptied."""
    own_records: int
    tables: tuple[TableContents, ...]
    log: LogContents


def read_contents(
    directory: Path, master_key: MasterKey | None = None, clock: Callable[[], float] = time.time
) -> Contents:
    """Raises DataDirectoryError if the directory holds no database of this format, DamagedFile for one that cannot
    be opened, and apsw's errors for one that cannot be read."""
    file = ReadOnlyFile(directory, master_key)
    try:
        with file.snapshot() as tx:
            connection = file.connection

            def pragma(name: str) -> int:
                return int(connection.execute(f"PRAGMA {name}").get)

            page = pragma("page_size")
            return Contents(
                path=str(file.path),
                server=file.server,
                format=pragma("user_version"),
                key_format=str(connection.execute(_META, ("key_format",)).get),
                checksums=checksums.verified(connection),
                encryption=_encryption(file.keys),
                page_bytes=page,
                file_bytes=pragma("page_count") * page,
                free_bytes=pragma("freelist_count") * page,
                wal_bytes=file.wal_bytes,
                dropped_spaces=int(connection.execute("SELECT count(*) FROM dropped_spaces").get),
                own_records=tx.statistics(RECORDS_SPACE).items,
                tables=tuple(_table(tx, table, clock()) for table in sorted(tx.tables(), key=lambda t: t.arn)),
                log=_log(tx),
            )
    finally:
        file.close()


def _encryption(keys: DirectoryKeys) -> EncryptionContents | None:
    if keys.file is None:
        return None
    changing, current = keys.file.changing, keys.file.current
    if current is None:
        return EncryptionContents(cipher.CIPHER, None, None, None, None, changing)
    key = keys.file.key(current)
    master = f"{key.master_key_kind} {key.master_key_id}"
    return EncryptionContents(cipher.CIPHER, key.id, key.created, master, key.wrapped_at, changing)


def _table(tx: ReadTransaction, table: Table, now: float) -> TableContents:
    statistics = tx.statistics(table.space)
    stream, ttl = table.stream, table.time_to_live
    return TableContents(
        table.arn,
        str(table.status_at(now)),
        _keys(table.keys),
        statistics.items,
        statistics.bytes,
        tuple(_index(tx, index) for index in table.indexes),
        stream.view_type if stream is not None and stream.enabled else None,
        ttl.attribute if ttl is not None and ttl.enabled else None,
        table.log_readers,
    )


def _index(tx: ReadTransaction, index: Index) -> IndexContents:
    statistics = tx.statistics(index.space)
    state = "deleting" if index.deleting else "backfilling" if index.backfilling else "active"
    kind = "local" if index.local else "global" if index.is_global else "vector"
    return IndexContents(index.name, kind, _index_keys(index), state, statistics.items, statistics.bytes)


def _index_keys(index: Index) -> str:
    vector = index.vector
    if vector is None:
        return _keys(index.keys)
    shown = [f"{vector.attribute} ({vector.dimensions} dimensions, {vector.distance})"]
    shown += [f"{element.attribute.name} ({element.attribute.type}, {element.role})" for element in vector.schema]
    return ", ".join(shown)


def _keys(keys: KeySchema) -> str:
    return ", ".join(f"{attribute.name} ({attribute.type})" for attribute in keys.attributes)


def _log(tx: ReadTransaction) -> LogContents:
    statistics = tx.statistics(LOG_SPACE)
    oldest = tx.log_times(0, 1)
    return LogContents(
        statistics.items,
        statistics.bytes,
        tx.first_change(),
        tx.last_change(),
        oldest[0][1] if oldest else None,
        tuple(tx.log_readers()),
    )
