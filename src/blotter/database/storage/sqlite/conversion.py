"""A store's file, written anew under another key: from plain to encrypted, back, or from one data key to another.

The rows are copied into a second file, in slices that are committed one by one: a run that is interrupted goes on
after the last slice. The copy names the file that it is made of; if that has been written to since, the copy
begins again. When every check of the file finds the copy sound, it is synced and takes the place of the original,
in one step. The caller has claimed the directory: nobody else writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from blotter.database.durable_files import sync_directory
from blotter.database.encryption.data_keys import DataKey
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite import checksums, schema
from blotter.database.storage.sqlite.file_check import FILE_CHECKS

SUFFIX: Final = ".new"
SLICE_BYTES: Final = 32 << 20
_MARK: Final = "copy_of"
"""The row of `meta` that names the original."""
_KEYS: Final = {"items": ("space", "key"), "bodies": ("id",), "changes": ("sequence",)}
"""Tables that may be large, with their primary keys. All others are copied at the end, at once."""
_ROOM_FOR_LOG: Final = 4 * SLICE_BYTES

Progress = Callable[[int, int], None]
"""Called after every slice with the bytes written so far and those expected."""


def convert(path: Path, source: DataKey | None, target: DataKey | None, progress: Progress) -> None:
    """Puts the file under another key. Raises DataDirectoryError, before anything is replaced, if there is no room
    or the file is damaged. `progress` may raise as well."""
    try:
        schema.create_or_check(path, key=source)  # recovers and removes a log, upgrades an old format
        _copy_and_check(path, source, target, progress)
    except apsw.Error as error:
        raise DataDirectoryError(
            f"{path} cannot be converted: {checksums.error_text(error)}; nothing was replaced. `blotter check` "
            "looks for damage"
        ) from error
    copy = _copy_of(path)
    if any(wal.exists() for wal in (_wal(path), _wal(copy))):
        raise DataDirectoryError(f"{path} is in use by another program; nothing was replaced")
    _sync(copy)
    copy.replace(path)
    sync_directory(path.parent)


def discard(path: Path) -> None:
    """Removes a copy that was begun."""
    for file in (_copy_of(path), _wal(_copy_of(path)), path.with_name(f"{path.name}{SUFFIX}-shm")):
        file.unlink(missing_ok=True)


def _copy_and_check(path: Path, source: DataKey | None, target: DataKey | None, progress: Progress) -> None:
    copy = _copy_of(path)
    found = path.stat()
    original = f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
    if not _is_begun(copy, target, original):
        discard(path)
        _require_room(path, found.st_size)
        _begin(copy, target, original)
    reader = schema.connect(path, key=source)
    writer = schema.connect(copy, key=target, cache_bytes=SLICE_BYTES)
    try:
        # Slices need not be synced: what is lost is copied again. The whole is synced before it counts.
        writer.execute("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000")
        reader.execute("BEGIN")
        for table, key in _KEYS.items():
            _copy_large(reader, writer, table, key, lambda: progress(_size(writer), found.st_size))
        with writer:
            for table in _tables(reader):
                if table not in _KEYS:
                    _copy_small(reader, writer, table)
        writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        progress(found.st_size, found.st_size)
        _check(path, writer)
    finally:
        reader.close(True)
        writer.close(True)


def _copy_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _is_begun(copy: Path, target: DataKey | None, original: str) -> bool:
    """Whether there is a copy of this original under this key."""
    if not copy.exists():
        return False
    try:
        schema.create_or_check(copy, key=target)
        connection = schema.connect(copy, key=target)
        try:
            return bool(connection.execute("SELECT value FROM meta WHERE name = ?", (_MARK,)).get == original)
        finally:
            connection.close(True)
    except (DataDirectoryError, apsw.Error):  # under another key, or torn by a power failure
        return False


def _begin(copy: Path, target: DataKey | None, original: str) -> None:
    schema.create_or_check(copy, key=target)
    connection = schema.connect(copy, key=target)
    try:
        connection.execute("INSERT INTO meta VALUES (?, ?)", (_MARK, original))
    finally:
        connection.close(True)


def _require_room(path: Path, size: int) -> None:
    found = os.statvfs(path.parent)
    free = found.f_bavail * found.f_frsize
    needed = size + size // 32 + _ROOM_FOR_LOG
    if free < needed:
        raise DataDirectoryError(
            f"the new file needs {needed:,} bytes beside the old one; {path.parent} has {free:,} free; nothing "
            "was replaced"
        )


def _tables(connection: apsw.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [str(name) for (name,) in connection.execute(query)]


def _copy_large(
    reader: apsw.Connection, writer: apsw.Connection, table: str, key: tuple[str, ...], copied: Callable[[], None]
) -> None:
    """In the order of the primary key, so that the last key that is there says what is left."""
    names, downwards = ", ".join(key), ", ".join(f"{name} DESC" for name in key)
    last = writer.execute(f"SELECT {names} FROM {table} ORDER BY {downwards} LIMIT 1").fetchone()
    where = "" if last is None else f" WHERE ({names}) > ({', '.join('?' for _ in key)})"
    rows = _Slices(reader.execute(f"SELECT * FROM {table}{where} ORDER BY {names}", last or ()))
    insert = f"INSERT INTO {table} VALUES ({', '.join('?' for _ in _columns(reader, table))})"
    while not rows.ended:
        with writer:
            writer.executemany(insert, rows.next_slice())
        copied()


def _copy_small(reader: apsw.Connection, writer: apsw.Connection, table: str) -> None:
    kept = ""
    if table == "meta":  # what belongs to the file and not to what is in it
        kept = f" WHERE name NOT IN ('{_MARK}', '{schema.CHECKSUMS}', '{schema.ENCRYPTION}')"
    writer.execute(f"DELETE FROM {table}{kept}")
    columns = ", ".join("?" for _ in _columns(reader, table))
    rows: Iterable[Any] = reader.execute(f"SELECT * FROM {table}{kept}")
    writer.executemany(f"INSERT INTO {table} VALUES ({columns})", rows)


def _columns(connection: apsw.Connection, table: str) -> list[Any]:
    return list(connection.execute(f"PRAGMA table_info({table})"))


class _Slices:
    """The rows of one statement, SLICE_BYTES at a time."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.ended = False

    def next_slice(self) -> Iterator[tuple[Any, ...]]:
        size = 0
        for row in self._rows:
            yield row
            size += 40 + sum([len(value) for value in row if isinstance(value, bytes)])
            if size >= SLICE_BYTES:
                return
        self.ended = True


def _size(connection: apsw.Connection) -> int:
    return int(connection.execute("PRAGMA page_count").get) * schema.PAGE_SIZE


def _check(path: Path, copy: apsw.Connection) -> None:
    for name, find in FILE_CHECKS.items():
        for problem in find(copy):
            raise DataDirectoryError(
                f"{path} cannot be converted: its copy is not sound ({name}: {problem}); nothing was replaced. "
                "`blotter check` says what is wrong"
            )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
