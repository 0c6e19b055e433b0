"""kill -9 against the store: whatever was acknowledged must be there after it.

Each round starts child processes on one data directory that write as fast as they can and report on a pipe what
was acknowledged to them, and kills them, at different random moments. Then it opens the store again and checks:
every acknowledged value or a later one of the same writer; nothing that was never written; each group of items
that one transaction writes is whole; statistics equal the items; the change log has one entry for every version;
SQLite's integrity check. Rounds go on in the same directory, so recovery meets the remains of all earlier deaths.

    python tests/faults/storage_kill.py [--rounds 200] [--writers 2] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from blotter.database.storage.protocol import Change, SpaceStatistics, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage

SPACE = 1
KEYS = 40
GROUP = 3
"""Items that one transaction writes together, always with the same version."""


def key(writer: int, number: int, member: int) -> bytes:
    return b"%d/%d/%d" % (writer, number, member)


def body(version: int, number: int) -> bytes:
    return b"%d " % version + b"x" * (number * 97 % 2600)


def version_of(item: StoredItem) -> int:
    return int(item.body.split(b" ", 1)[0])


# The child


async def write_forever(directory: str, writer: int) -> None:
    storage = SqliteStorage.open(directory)

    def put(number: int, version: int) -> Callable[[WriteTransaction], None]:
        return lambda tx: put_group(tx, number, version)

    def put_group(tx: WriteTransaction, number: int, version: int) -> None:
        for member in range(GROUP):
            name = key(writer, number, member)
            content = body(version, number)
            tx.put(SPACE, StoredItem(name, len(content), content), tx.get(SPACE, name))
        tx.append_change(Change(0, time.time(), str(writer), 0, key(writer, number, 0), None, b"%d" % version))

    async def client(number: int) -> None:
        with storage.read() as tx:
            found = tx.get(SPACE, key(writer, number, 0))
        version = version_of(found) if found else 0
        while True:
            version += 1
            await storage.write(put(number, version))
            os.write(1, b"%d %d %d\n" % (writer, number, version))

    await asyncio.gather(*(client(number) for number in range(KEYS)))


# The check


def start(directory: Path, writer: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--write", str(directory), "--writer", str(writer)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def run_round(
    directory: Path, writers: int, choice: random.Random, acknowledged: dict[tuple[int, int], int]
) -> None:
    children = [start(directory, writer) for writer in range(writers)]
    outputs = []
    for child in children:
        assert child.stdout is not None
        outputs.append(child.stdout.readline())  # alive and writing
    for child in choice.sample(children, len(children)):
        time.sleep(choice.uniform(0, 0.25))
        child.send_signal(signal.SIGKILL)
    for child, first in zip(children, outputs, strict=True):
        assert child.stdout is not None
        lines = (first + child.stdout.read()).split(b"\n")
        child.wait()
        child.stdout.close()
        for line in lines[:-1]:  # the last one is empty, or torn
            writer, number, version = map(int, line.split())
            acknowledged[writer, number] = version


async def check(directory: Path, acknowledged: dict[tuple[int, int], int]) -> None:
    storage = SqliteStorage.open(directory)
    with storage.read() as tx:
        for (writer, number), version in acknowledged.items():
            group = [tx.get(SPACE, key(writer, number, member)) for member in range(GROUP)]
            assert None not in group, f"lost: {writer}/{number} version {version}"
            versions = {version_of(item) for item in group if item}
            assert len(versions) == 1, f"half a transaction: {writer}/{number} has {versions}"
            stored = versions.pop()
            assert version <= stored <= version + 1, f"{writer}/{number}: {version} acknowledged, {stored} stored"
            assert all(item and item.body == body(stored, number) for item in group), "a body that nobody wrote"
        items = [StoredItem(*row) for row in tx.items(SPACE, b"", None, 1 << 30)]
        assert tx.statistics(SPACE) == SpaceStatistics(len(items), sum(item.size for item in items))
        logged: dict[bytes, list[int]] = {}
        for writer in {writer for writer, _ in acknowledged}:
            for change in tx.changes(str(writer), 0, 0, 1 << 30):
                logged.setdefault(change.key, []).append(int(change.new or b"0"))
        for item in items:
            if item.key.endswith(b"/0"):
                assert logged[item.key] == list(range(1, version_of(item) + 1)), "the change log differs"
    await storage.close()
    connection = apsw.Connection(str(storage.path))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    bodies = connection.execute("SELECT id FROM bodies ORDER BY id").fetchall()
    outside = connection.execute("SELECT outside FROM items WHERE outside IS NOT NULL ORDER BY 1").fetchall()
    assert bodies == outside, "a body without its item, or an item without its body"
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--writer", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        asyncio.run(write_forever(arguments.write, arguments.writer))
        return
    choice = random.Random(arguments.seed)
    acknowledged: dict[tuple[int, int], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            run_round(Path(folder), arguments.writers, choice, acknowledged)
            asyncio.run(check(Path(folder), acknowledged))
            print(f"round {number + 1}: {sum(acknowledged.values())} acknowledged, all there", flush=True)


if __name__ == "__main__":
    main()
