"""Measures table layouts and page sizes for the item store: the ground of docs/decisions/0001-item-layout.md.

For each item size it loads the same random keys into each layout and page size and takes, in this order: synced
puts (sixteen to a commit; new keys and replaced ones half and half), point reads in random order, range reads of a
hundred items, and a whole scan; beside them the file's bytes per item and the WAL's bytes per put. Times are the
process's CPU time, so that a busy machine disturbs them little; what a disk adds to a put follows from the WAL's
bytes. The files fit into the system's page cache. Checkpoints run between the phases and are not timed.

    python benchmarks/storage_layout.py [--rows 200000] [--sizes 200,2000] [--pages 4096,8192]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

COLUMNS = "space INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL"
GET = "SELECT size, body FROM items WHERE space = ? AND key = ?"
PUT = "INSERT OR REPLACE INTO items (space, key, size, body) VALUES (?, ?, ?, ?)"
RANGE = "SELECT key, size, body FROM items WHERE space = ? AND key >= ? ORDER BY key LIMIT ?"
BATCH = 16
SPACE = 7


class Clustered:
    """One B-tree in key order that holds everything."""

    ddl = f"CREATE TABLE items ({COLUMNS}, body BLOB NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID"
    get = GET
    range = RANGE

    def __init__(self, connection: apsw.Connection) -> None:
        self.execute = connection.cursor().execute

    def put(self, key: bytes, body: bytes, replaces: bool) -> None:  # noqa: ARG002
        self.execute(PUT, (SPACE, key, len(body), body))


class RowidAndIndex(Clustered):
    """Rows in the order of their insertion, and a unique index over the keys."""

    ddl = f"CREATE TABLE items (id INTEGER PRIMARY KEY, {COLUMNS}, body BLOB NOT NULL, UNIQUE (space, key))"
    upsert = (
        "INSERT INTO items (space, key, size, body) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (space, key) DO UPDATE SET size = excluded.size, body = excluded.body"
    )

    def put(self, key: bytes, body: bytes, replaces: bool) -> None:  # noqa: ARG002
        self.execute(self.upsert, (SPACE, key, len(body), body))


class ClusteredAndBodies(Clustered):
    """One B-tree in key order; bodies that would not fit into one of its cells lie in a table beside it."""

    inline = 500  # a cell of a 4 KB page holds 1,002 bytes; four to a page would be a slow tree
    ddl = (
        f"CREATE TABLE items ({COLUMNS}, body BLOB, outside INTEGER, PRIMARY KEY (space, key)) WITHOUT ROWID;"
        "CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL)"
    )
    body = "coalesce(body, (SELECT bodies.body FROM bodies WHERE id = outside))"
    get = GET.replace("body", body, 1)
    range = RANGE.replace("body", body, 1)

    def put(self, key: bytes, body: bytes, replaces: bool) -> None:
        if len(key) + len(body) <= self.inline:
            self.execute(PUT, (SPACE, key, len(body), body))
        elif replaces:
            where = "WHERE id = (SELECT outside FROM items WHERE space = ? AND key = ?)"
            self.execute(f"UPDATE bodies SET body = ? {where}", (body, SPACE, key))
        else:
            self.execute("INSERT INTO bodies (body) VALUES (?)", (body,))
            columns = "INSERT OR REPLACE INTO items (space, key, size, outside)"
            self.execute(f"{columns} VALUES (?, ?, ?, last_insert_rowid())", (SPACE, key, len(body)))


LAYOUTS: dict[str, type[Clustered]] = {
    "clustered": Clustered,
    "rowid+index": RowidAndIndex,
    "clustered+bodies": ClusteredAndBodies,
}


def open_file(path: Path, layout: type[Clustered], page_size: int) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_size}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute(layout.ddl)
    return connection


def timed(work: Callable[[], object], times: int, rounds: int = 1) -> float:
    """CPU microseconds for one of `times` pieces of work that `work` does together; the median of the rounds."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken) / times * 1e6


def random_keys(count: int) -> list[bytes]:
    return [random.randbytes(8) + b"\x00\x10" + random.randbytes(16) for _ in range(count)]


def load(connection: apsw.Connection, layout: Clustered, keys: list[bytes], size: int) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    for at in range(0, len(keys), 1000):
        with connection:
            for key in keys[at : at + 1000]:
                layout.put(key, random.randbytes(size), False)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.execute("PRAGMA synchronous = FULL")


def put_all(connection: apsw.Connection, layout: Clustered, puts: list[tuple[bytes, bool]], body: bytes) -> None:
    for at in range(0, len(puts), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        for key, replaces in puts[at : at + BATCH]:
            layout.put(key, body, replaces)
        connection.execute("COMMIT")


def measure(name: str, page_size: int, size: int, rows: int) -> dict[str, float]:
    random.seed(size)
    keys = random_keys(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layout.db"
        connection = open_file(path, LAYOUTS[name], page_size)
        layout = LAYOUTS[name](connection)
        load(connection, layout, keys, size)
        figures = {"file B/item": path.stat().st_size / rows}

        count = min(rows, max(320, min(6400, 160_000_000 // size))) // 2
        new = [(key, False) for key in random_keys(count)]
        old = [(key, True) for key in random.sample(keys, count)]
        puts = [put for pair in zip(new, old, strict=True) for put in pair]
        body = random.randbytes(size)
        figures["put us"] = timed(lambda: put_all(connection, layout, puts, body), len(puts))
        figures["WAL B/put"] = path.with_name("layout.db-wal").stat().st_size / len(puts)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

        def gets() -> None:
            for key in reads:
                connection.execute(layout.get, (SPACE, key)).get  # noqa: B018

        def ranges() -> None:
            for key in starts:
                connection.execute(layout.range, (SPACE, key, 100)).fetchall()

        def scan() -> None:
            for _ in connection.execute(layout.range, (SPACE, b"", -1)):
                pass

        reads = random.choices(keys, k=max(500, min(50_000, 400_000_000 // size)))
        figures["get us"] = timed(gets, len(reads), 3)
        starts = random.choices(keys, k=max(5, min(300, 100_000_000 // (size * 100))))
        figures["range us/item"] = timed(ranges, len(starts) * 100, 3)
        figures["scan us/item"] = timed(scan, rows + count, 3)
        connection.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=400_000_000, help="at most this much data in one file")
    parser.add_argument("--sizes", default="200,2000,50000,400000")
    parser.add_argument("--pages", default="4096,8192,16384")
    arguments = parser.parse_args()
    heading: list[str] = []
    for size in map(int, arguments.sizes.split(",")):
        rows = min(arguments.rows, arguments.bytes // size)
        for name in LAYOUTS:
            for page_size in map(int, arguments.pages.split(",")):
                figures = measure(name, page_size, size, rows)
                if not heading:
                    heading = ["item B", "rows", "layout", "page", *figures]
                    print("| " + " | ".join(heading) + " |\n" + "|---" * len(heading) + "|")
                cells = [str(size), str(rows), name, str(page_size), *(f"{v:,.1f}" for v in figures.values())]
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
