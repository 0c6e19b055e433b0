"""Measures table layouts and page sizes for the item store: the ground of docs/decisions/0001.

For each item size it loads the same random keys into each layout and page size and times, in this order: synced
puts (sixteen to a commit, new and replaced keys half and half), point reads in random order, range reads of a
hundred items and a whole scan; beside them the file's bytes per item and the WAL's bytes per put. Every
transaction is synced, checkpoints run between the phases and are not timed. The files fit the page cache: the
figures show what SQLite and the memory bus cost, not what a slow disk costs.

    python benchmarks/storage_layout.py [--rows 200000] [--sizes 200,2000] [--bytes 400000000]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

COLUMNS = "space INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL"
LAYOUTS = {
    "clustered": [f"CREATE TABLE items ({COLUMNS}, PRIMARY KEY (space, key)) WITHOUT ROWID"],
    "rowid+index": [f"CREATE TABLE items (id INTEGER PRIMARY KEY, {COLUMNS}, UNIQUE (space, key))"],
}
GET = "SELECT size, body FROM items WHERE space = ? AND key = ?"
PUT = (
    "INSERT INTO items (space, key, size, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (space, key) DO UPDATE SET size = excluded.size, body = excluded.body"
)
RANGE = "SELECT key, size, body FROM items WHERE space = ? AND key >= ? ORDER BY key LIMIT ?"
BATCH = 16
SPACE = 7


def open_file(path: Path, layout: str, page_size: int) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_size}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA cache_size = -16384")
    for statement in LAYOUTS[layout]:
        connection.execute(statement)
    return connection


def timed(work: Callable[[], object], times: int) -> float:
    """Microseconds for one of `times` pieces of work that `work` does together."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / times * 1e6


def load(connection: apsw.Connection, keys: list[bytes], size: int) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    for at in range(0, len(keys), 1000):
        with connection:
            rows = ((SPACE, key, size, random.randbytes(size)) for key in keys[at : at + 1000])
            connection.executemany(PUT, rows)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.execute("PRAGMA synchronous = FULL")


def put_all(connection: apsw.Connection, keys: list[bytes], body: bytes) -> None:
    for at in range(0, len(keys), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        for key in keys[at : at + BATCH]:
            connection.execute(PUT, (SPACE, key, len(body), body))
        connection.execute("COMMIT")


def measure(layout: str, page_size: int, size: int, rows: int) -> dict[str, float]:
    random.seed(size)
    keys = [random.randbytes(8) + b"\x00\x10" + random.randbytes(16) for _ in range(rows)]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "layout.db"
        connection = open_file(path, layout, page_size)
        load(connection, keys, size)
        figures = {"file B/item": path.stat().st_size / rows}

        puts = min(rows, max(320, min(6400, 160_000_000 // size)))
        new = [random.randbytes(8) + b"\x00\x10" + random.randbytes(16) for _ in range(puts // 2)]
        mixed = [key for pair in zip(new, random.sample(keys, puts // 2), strict=True) for key in pair]
        body = random.randbytes(size)
        figures["put us"] = timed(lambda: put_all(connection, mixed, body), len(mixed))
        figures["WAL B/put"] = path.with_name("layout.db-wal").stat().st_size / len(mixed)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

        reads = random.choices(keys, k=max(500, min(50_000, 400_000_000 // size)))
        figures["get us"] = timed(lambda: [connection.execute(GET, (SPACE, key)).get for key in reads], len(reads))
        ranges = random.choices(keys, k=max(5, min(300, 100_000_000 // (size * 100))))
        work = lambda: [connection.execute(RANGE, (SPACE, key, 100)).fetchall() for key in ranges]  # noqa: E731
        figures["range us/item"] = timed(work, len(ranges) * 100)
        scan = lambda: sum(1 for _ in connection.execute(RANGE, (SPACE, b"", -1)))  # noqa: E731
        figures["scan us/item"] = timed(scan, rows + len(new))
        connection.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=400_000_000, help="at most this much data in one file")
    parser.add_argument("--sizes", default="200,2000,50000,400000")
    parser.add_argument("--pages", default="4096,8192,16384")
    arguments = parser.parse_args()
    heading = None
    for size in map(int, arguments.sizes.split(",")):
        rows = min(arguments.rows, arguments.bytes // size)
        for layout in LAYOUTS:
            for page_size in map(int, arguments.pages.split(",")):
                figures = measure(layout, page_size, size, rows)
                if heading is None:
                    heading = ["item B", "rows", "layout", "page", *figures]
                    print("| " + " | ".join(heading) + " |\n" + "|---" * len(heading) + "|")
                cells = [str(size), str(rows), layout, str(page_size), *(f"{v:,.1f}" for v in figures.values())]
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
