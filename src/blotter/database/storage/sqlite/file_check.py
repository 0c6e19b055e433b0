"""What must hold in the file whatever the tables in it mean: pages, long bodies, statistics, counters, the log.

Used by `blotter check` and by the power-loss tests. Each check is a function from a connection to the problems it
finds, and reads in short transactions, so that it can run beside a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from blotter.database.storage.protocol import METRICS_SPACE
from blotter.database.storage.sqlite import checksums, schema
from blotter.database.storage.sqlite.reading import LOG_STATISTICS

Problems = Iterator[str]

# Keys that are no blobs sort before all others, where no range finds them.
_COUNT = "SELECT count(*), coalesce(sum(size), 0) FROM items WHERE space = ? AND key >= x''"


def check_pages(connection: apsw.Connection) -> Problems:
    """Every page that is in use: its checksum, and SQLite's own check of structure, order and indexes."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    for (table,) in tables:
        try:
            for (line,) in connection.execute(f"PRAGMA integrity_check('{table}')"):
                if line != "ok":
                    yield f"in {table}: {line}"
        except apsw.Error as error:
            if not checksums.is_damage(error):
                raise
            yield f"in {table}: {checksums.error_text(error)}"


def check_bodies(connection: apsw.Connection) -> Problems:
    """Every long body belongs to exactly one item."""
    with _transaction(connection):
        missing = (
            "SELECT space, outside FROM items WHERE outside NOT NULL AND outside NOT IN (SELECT id FROM bodies)"
        )
        for space, body in connection.execute(missing):
            yield f"an item of key space {space} names body {body}, which does not exist"
        shared = "SELECT outside FROM items WHERE outside NOT NULL GROUP BY outside HAVING count(*) > 1"
        for (body,) in connection.execute(shared):
            yield f"body {body} belongs to several items"
        unused = "SELECT id FROM bodies WHERE id NOT IN (SELECT outside FROM items WHERE outside NOT NULL)"
        for (body,) in connection.execute(unused):
            yield f"body {body} belongs to no item"


def check_statistics(connection: apsw.Connection) -> Problems:
    """The item count and size of every key space, and those of the log, are those of what is stored."""
    for space in spaces_in_use(connection):
        with _transaction(connection):
            if connection.execute("SELECT 1 FROM dropped_spaces WHERE space = ?", (space,)).get is not None:
                continue
            stored = _row(connection, "SELECT items, bytes FROM statistics WHERE space = ?", space)
            counted = _row(connection, _COUNT, space)
        if stored != counted:
            yield f"key space {space} has {_counts(counted)}, its statistics say {_counts(stored)}"
    with _transaction(connection):
        totals: Any = connection.execute(LOG_STATISTICS).fetchone() or (0, 0)
        counted = _row(
            connection,
            "SELECT count(*), coalesce(sum(length(key) + coalesce(length(old), 0) + coalesce(length(new), 0)), 0)"
            " FROM changes WHERE sequence > ?",
            0,
        )
    if totals != counted:
        yield f"the change log has {_counts(counted)}, its newest entry says {_counts(totals)}"


def check_counters(connection: apsw.Connection) -> Problems:
    """Numbers that only rise are not below what was already given, and readers not ahead of the log."""
    with _transaction(connection):
        counters: dict[Any, Any] = dict(connection.execute("SELECT id, value FROM counters"))
        generation = counters.get(schema.CATALOG_GENERATION, 0)
        last_space = counters.get(schema.LAST_SPACE, -1)
        newest = connection.execute("SELECT coalesce(max(sequence), 0) FROM changes").get
        readers = connection.execute("SELECT name, position FROM log_readers").fetchall()
    if generation < 1:
        yield "the catalog has no generation"
    if last_space < 0:
        yield "the number of the last key space is missing"
    for counter in (schema.LAST_CHANGE, schema.TRIMMED_ENTRIES, schema.TRIMMED_BYTES):
        if counters.get(counter, -1) < 0:
            yield f"counter {counter} of the log is missing"
    last_change = max(newest, counters.get(schema.LAST_CHANGE, 0))
    for name, position in readers:
        if position > last_change:
            yield f"the log's reader {name} stands at {position}, after the last sequence {last_change}"


FILE_CHECKS: dict[str, Callable[[apsw.Connection], Problems]] = {
    "pages": check_pages,
    "long bodies": check_bodies,
    "statistics": check_statistics,
    "counters": check_counters,
}


def spaces_in_use(connection: apsw.Connection) -> Iterator[int]:
    """Key spaces with items or statistics, ascending. One step for each, however many items they have."""
    space = METRICS_SPACE - 1
    while True:
        found = connection.execute(
            "SELECT min(space) FROM (SELECT min(space) AS space FROM items WHERE space > ?1"
            " UNION ALL SELECT min(space) FROM statistics WHERE space > ?1)",
            (space,),
        ).get
        if found is None:
            return
        space = int(found)
        yield space


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """One snapshot for several statements. SQLite ends it by itself when it meets damage."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _row(connection: apsw.Connection, query: str, space: int) -> tuple[int, int]:
    row: Any = connection.execute(query, (space,)).fetchone()
    return (0, 0) if row is None else row


def _counts(row: tuple[int, int]) -> str:
    return f"{row[0]} items of {row[1]} bytes"
