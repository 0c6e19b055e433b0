"""Measures the store by itself, without HTTP: point reads and synced puts through the Storage protocol.

Puts of 200-byte items with random keys, at several numbers of concurrent callers, in one process and in two that
pass the write lock to each other; beside them what raw SQLite does in the same file format with the same number of
puts to a commit, which is the limit to compare the protocol's overhead with.

    python benchmarks/storage_speed.py [--seconds 3] [--callers 1,16,64] [--rows 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apsw
import uvloop

from blotter.database.storage.protocol import StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage
from blotter.database.storage.sqlite.schema import FILE_NAME, connect

SPACE = 1
BODY = b'{"file_key":{"S":"0123456789abcdef"},"status":{"S":"COMPLETED"},"text":{"S":"' + b"x" * 110 + b'"}}'


def random_key() -> bytes:
    return random.randbytes(8) + b"\x00\x10" + random.randbytes(16)


async def put_for(storage: SqliteStorage, callers: int, seconds: float) -> list[float]:
    """The latencies in seconds of all puts."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (started := time.perf_counter()) < end:
            item = StoredItem(random_key(), 200, BODY)

            def handler(tx: WriteTransaction, item: StoredItem = item) -> None:
                tx.put(SPACE, item, tx.get(SPACE, item.key))

            await storage.write(handler)
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return latencies


async def put_process(directory: str, callers: int, seconds: float) -> None:
    storage = SqliteStorage.open(directory)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    latencies = await put_for(storage, callers, seconds)
    print(json.dumps([latencies, time.process_time() - started]))
    await storage.close()


def measure_puts(directory: Path, processes: int, callers: int, seconds: float) -> str:
    command = [sys.executable, __file__, "--child", str(directory), "--callers", str(callers // processes)]
    children = [
        subprocess.Popen([*command, "--seconds", str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    latencies: list[float] = []
    cpu = 0.0
    outputs = [child.stdin and child.stdin.write(b"go\n") and child.stdin.flush() for child in children]
    for child, _ in zip(children, outputs, strict=True):
        more, used = json.loads(child.communicate()[0])
        latencies += more
        cpu += used
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
    rate = len(latencies) / seconds
    return (
        f"{rate:9,.0f}/s  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  max {latencies[-1] * 1000:6.1f} ms"
        f"  CPU {cpu / len(latencies) * 1e6:5.0f} us/put"
    )


def measure_raw_puts(directory: Path, batch: int, seconds: float) -> float:
    connection = connect(directory / FILE_NAME, cache_bytes=16 << 20)
    execute = connection.cursor().execute
    statement = "INSERT OR REPLACE INTO items (space, key, size, body) VALUES (?, ?, ?, ?)"
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        execute("BEGIN IMMEDIATE")
        for _ in range(batch):
            execute(statement, (SPACE, random_key(), 200, BODY))
        execute("COMMIT")
        count += batch
        if count % 20_000 < batch:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    return count / seconds


async def fill(directory: Path, rows: int) -> list[bytes]:
    storage = SqliteStorage.open(directory)
    keys = [random_key() for _ in range(rows)]

    def handler(tx: WriteTransaction, part: list[bytes]) -> None:
        for key in part:
            tx.put(SPACE, StoredItem(key, 200, BODY), None)

    for at in range(0, rows, 1000):
        await storage.write(lambda tx, part=keys[at : at + 1000]: handler(tx, part))
    await storage.close()
    return keys


def measure_reads(directory: Path, keys: list[bytes], seconds: float) -> float:
    storage = SqliteStorage.open(directory)
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key in random.choices(keys, k=1000):
            with storage.read() as tx:
                tx.find_table("000000000000", "us-east-1", "none")
                tx.get(SPACE, key)
        count += 1000
    asyncio.run(storage.close())
    return count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--callers", default="1,16,64")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        uvloop.run(put_process(arguments.child, int(arguments.callers), arguments.seconds))
        return
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        keys = asyncio.run(fill(directory, arguments.rows))
        print(f"point reads       {measure_reads(directory, keys, arguments.seconds):9,.0f}/s")
        for callers in map(int, arguments.callers.split(",")):
            raw = measure_raw_puts(directory, callers, arguments.seconds)
            print(f"puts, {callers:3} callers  raw SQLite   {raw:9,.0f}/s")
            for processes in (1, 2):
                if callers >= processes:
                    line = measure_puts(directory, processes, callers, arguments.seconds)
                    print(
                        f"                   {processes} process{'es' if processes > 1 else '  '}  {line}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
