"""Working storage of one job: keys in order with a value each, of which the first one stays.

It grows beyond memory and is gone with the process. On disk it is a SQLite file without a name, made by the store,
so that it is encrypted when the data are. For one task at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import apsw

CACHE_BYTES: Final = 32 << 20
"""What stays in memory, and"""
AT_ONCE_BYTES: Final = 4 << 20
"""how much an `add` may write to the disk once there is more."""

_SCHEMA = "CREATE TABLE scratch (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
_ADD = "INSERT OR IGNORE INTO scratch VALUES (?, ?)"
_FROM = "SELECT key, value FROM scratch WHERE key >= ? ORDER BY key LIMIT ?"
_RANGE = "SELECT key, value FROM scratch WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"


class Scratch:
    """`connection`: to an empty database that nobody else uses. `take` is called with a number of bytes before
    they may be written to the disk, and raises what `add` raises then."""

    def __init__(self, connection: apsw.Connection, take: Callable[[int], None] | None = None) -> None:
        self._connection = connection
        self._take = take
        cache = f"cache_size = {-(CACHE_BYTES >> 10)}"
        for pragma in ("journal_mode = OFF", "synchronous = OFF", cache, "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}").get  # noqa: B018 (runs it to its end)
        page = int(connection.execute("PRAGMA page_size").get)
        self._pages_in_memory = CACHE_BYTES // page
        connection.execute(_SCHEMA)
        connection.execute("BEGIN")  # never committed: pages are written only when the cache is full

    @classmethod
    def in_memory(cls) -> Scratch:
        return cls(apsw.Connection(":memory:"))

    def add(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Adds what is not there yet. A value may be None."""
        if self._take is not None and self._connection.execute("PRAGMA page_count").get > self._pages_in_memory:
            self._take(AT_ONCE_BYTES)
        self._connection.executemany(_ADD, cast(Any, rows))

    def items(self, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes | None]]:
        """The first keys with start <= key < end, with their values; `end` None is the end."""
        if end is None:
            rows = self._connection.execute(_FROM, (start, limit))
        else:
            rows = self._connection.execute(_RANGE, (start, end, limit))
        return cast("list[tuple[bytes, bytes | None]]", rows.fetchall())

    def close(self) -> None:
        self._connection.close(True)
