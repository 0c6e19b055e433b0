"""A copy of a store's file, of one moment, while a server may be writing to it: SQLite's online backup, in slices.

The source's snapshot is held from the first page to the last: SQLite would begin again whenever somebody writes.
So the copy is of one moment, and the server's write-ahead log grows by what is written meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw

from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite import checksums
from blotter.database.storage.sqlite.read_only import ReadOnlyFile
from blotter.database.storage.sqlite.schema import PAGE_SIZE, open_file

SLICE_PAGES = 256

Progress = Callable[[int, int], None]
"""Called after every slice with the bytes copied so far and those of the whole file."""


def copy_file(source: ReadOnlyFile, target: Path, progress: Progress) -> None:
    """Copies into a new, private file and syncs it. Raises DataDirectoryError if the disk has no room for it, and
    apsw's errors: a damaged page is not copied."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with source.snapshot():
            _reserve_room(source, target)
            _copy(source, target, progress)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve_room(source: ReadOnlyFile, target: Path) -> None:
    needed = source.connection.execute("PRAGMA page_count").get * PAGE_SIZE
    found = os.statvfs(target.parent)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise DataDirectoryError(f"the copy needs {needed:,} bytes; {target.parent.parent} has {free:,} free")


def _copy(file: ReadOnlyFile, target: Path, progress: Progress) -> None:
    source = file.connection
    connection = open_file(str(target), file.key, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        # The file counts for nothing until it is complete and synced.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF").get  # noqa: B018 (runs it to its end)
        if checksums.verified(source):
            # Pages in the log have wrong sums. The shim makes them, if the file has room for sums from the start.
            checksums.reserve(connection)
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA user_version = 1")
        with connection.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(SLICE_PAGES)
                done = backup.page_count - backup.remaining
                progress(done * PAGE_SIZE, backup.page_count * PAGE_SIZE)
    finally:
        connection.close(True)
