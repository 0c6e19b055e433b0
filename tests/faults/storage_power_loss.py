"""Power loss against the store: at any write or sync, with any part of what was not synced lost.

A recording VFS under SQLite takes down every write, truncation, sync and deletion of a mixed workload in the order
in which they were made, and when each transaction was acknowledged. Then the record is replayed: a crash is set
after some event, and a disk is made up that has what was synced and, of what was not, each write whole, torn at a
sector, or not at all, as a seed decides; a deleted file may come back until its directory is synced. The store is
opened from that disk, without the shared-memory file, and must hold exactly the state after some number of
transactions, no fewer than had been acknowledged: items, long bodies, statistics, catalog and change log together.
`blotter check`'s checks of the file must pass.

    python tests/faults/storage_power_loss.py [--crashes 2000] [--transactions 600] [--seed 1] [--encrypted]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from blotter.database.encryption.data_keys import DataKey
from blotter.database.model.table import KeyAttribute, KeySchema, Table
from blotter.database.storage.protocol import (
    LOG_SPACE,
    Change,
    SpaceStatistics,
    StoredItem,
    WriteTransaction,
    change_size,
)
from blotter.database.storage.sqlite import SqliteStorage, checkpoints, schema
from blotter.database.storage.sqlite.file_check import FILE_CHECKS

SPACE = 1
LAST = b"last transaction"
SECTOR = 512
State = dict[str, Any]

# Recording


@dataclass
class Record:
    """Events as (kind, file, number, data), in order. The number is an offset, a size or the event at which a sync
    began. Other kinds are marks of the workload, for instance what was acknowledged; of those the
    greatest counts."""

    events: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, name: str, number: int = 0, data: bytes = b"") -> None:
        with self.lock:
            self.events.append((kind, name, number, data))


class RecordedFile(apsw.VFSFile):
    def __init__(self, record: Record, name: Any, flags: list[int]) -> None:
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.name = Path(filename).name if filename else ""
        self.record = record
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self.record.add("write", self.name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self.record.add("truncate", self.name, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        # Before the real sync: what others write meanwhile may or may not be covered, so it does not count.
        with self.record.lock:
            begun = len(self.record.events)
        super().xSync(flags)
        self.record.add("sync", self.name, begun)


class RecordingVFS(apsw.VFS):
    def __init__(self, record: Record) -> None:
        self.record = record
        self.name = f"recording-{next(_NUMBERS)}"  # never used again: the cipher's VFS above it stays
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> RecordedFile:  # noqa: N802
        return RecordedFile(self.record, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802
        super().xDelete(name, sync)
        self.record.add("delete", Path(name).name, int(sync))


_NUMBERS = itertools.count()


@contextmanager
def recording(record: Record) -> Iterator[str]:
    """The name of a VFS that writes down what the store does meanwhile, with many checkpoints and a WAL that is
    started over often."""
    vfs = RecordingVFS(record)
    kept = schema.sync_directory, checkpoints.STEP_BYTES, checkpoints.LIMIT_BYTES
    schema.sync_directory = lambda _: record.add("sync directory", "")
    checkpoints.STEP_BYTES, checkpoints.LIMIT_BYTES = 1 << 17, 3 << 17
    try:
        yield vfs.name
    finally:
        schema.sync_directory, checkpoints.STEP_BYTES, checkpoints.LIMIT_BYTES = kept
        vfs.unregister()


# The workload, and what the store should hold after each transaction


class Workload:
    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        self.state: State = {"items": {}, "tables": {}, "changes": []}
        self.states: list[State] = [self.copy()]

    def copy(self) -> State:
        return {key: type(value)(value) for key, value in self.state.items()}

    def transaction(self) -> Callable[[WriteTransaction], int]:
        """A handler that changes a few things and remembers the state it leaves. Handlers run in commit order."""

        def handler(tx: WriteTransaction) -> int:
            number = len(self.states)
            for _ in range(self.choice.randint(1, 4)):
                self.change(tx, number)
            self.put(tx, LAST, b"%d" % number)
            self.states.append(self.copy())
            return number

        return handler

    def change(self, tx: WriteTransaction, number: int) -> None:
        key = b"%d" % self.choice.randint(0, 30)
        kind = self.choice.random()
        if kind < 0.7:
            self.put(tx, key, b"%d " % number + b"x" * self.choice.choice([0, 50, 700, 5000, 20000]))
        elif kind < 0.9:
            previous = tx.get(SPACE, key)
            if previous is not None:
                tx.delete(SPACE, previous)
                del self.state["items"][key]
        else:
            self.change_table(tx, f"t{number % 3}", number)

    def put(self, tx: WriteTransaction, key: bytes, body: bytes) -> None:
        item = StoredItem(key, len(body), body)
        tx.put(SPACE, item, tx.get(SPACE, key))
        self.state["items"][key] = item
        change = Change(0, 1.0, "id", 0, key, None, body[:10])
        tx.append_change(change)
        self.state["changes"].append((tx.last_change(), key, body[:10]))

    def change_table(self, tx: WriteTransaction, name: str, number: int) -> None:
        if name in self.state["tables"]:
            tx.remove_table(self.state["tables"].pop(name))
            return
        key = KeyAttribute("id", "S")
        space = SPACE + tx.new_space()
        tx.put(space, StoredItem(b"k", 1, b"x" * 900), None)
        table = Table("a", "r", name, f"id{number}", space, KeySchema((key,)), 1.0, 1.0)
        tx.save_table(table)
        self.state["tables"][name] = table

    async def run(
        self, directory: Path, record: Record, vfs: str, transactions: int, key: DataKey | None = None
    ) -> None:
        while len(self.states) <= transactions:
            storage = SqliteStorage.open(directory, vfs=vfs, key=key)

            async def caller(storage: SqliteStorage = storage) -> None:
                for _ in range(20):
                    number = await storage.write(self.transaction())
                    record.add("acknowledged", "", number)

            await asyncio.gather(*(caller() for _ in range(self.choice.choice([1, 4, 8]))))
            await storage.close()


# Replaying


class Disk:
    """The files as a disk may have them: what is durable, and what was only written."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.pending: dict[str, list[tuple[int, str, int, bytes]]] = {}
        self.ghosts: dict[str, bytearray] = {}
        """Deleted files whose deletion may not have become durable."""

    def add(self, at: int, kind: str, name: str, number: int, data: bytes) -> None:
        if kind in ("write", "truncate"):
            self.pending.setdefault(name, []).append((at, kind, number, data))
            self.ghosts.pop(name, None)
        elif kind == "sync":
            if name not in self.durable and not name.endswith(".db"):
                self.ghosts.clear()  # SQLite syncs the directory with the first sync of a new WAL or journal
            content = self.durable.setdefault(name, bytearray())
            waiting = self.pending.get(name, [])
            for _, *event in [each for each in waiting if each[0] < number]:
                apply(content, *event)
            self.pending[name] = [each for each in waiting if each[0] >= number]
        elif kind == "sync directory":
            self.ghosts.clear()
        elif kind == "delete":
            self.pending.pop(name, None)
            if name in self.durable:
                self.ghosts[name] = self.durable.pop(name)

    def crashed(self, choice: random.Random) -> dict[str, bytes]:
        files = {name: bytes(ghost) for name, ghost in self.ghosts.items() if choice.random() < 0.5}
        for name in self.durable.keys() | self.pending.keys():
            content = bytearray(self.durable.get(name, b""))
            kept = choice.choice([0.0, 0.5, 0.9, 1.0])
            for _, kind, number, data in self.pending.get(name, []):
                if choice.random() < kept:
                    torn = kind == "write" and choice.random() < 0.1
                    part = data[: choice.randrange(0, len(data) + 1, SECTOR)] if torn else data
                    apply(content, kind, number, part)
            if name in self.durable or content:
                files[name] = bytes(content)
        return files


def apply(content: bytearray, kind: str, number: int, data: bytes) -> None:
    if kind == "truncate":
        del content[number:]
        return
    if len(content) < number:
        content.extend(bytes(number - len(content)))
    content[number : number + len(data)] = data


Marks = dict[tuple[str, str], int]
DISK_EVENTS = frozenset({"write", "truncate", "sync", "sync directory", "delete"})


def crashes(
    record: Record, points: Iterable[int], choice: random.Random, forgotten: str = "nothing"
) -> Iterator[tuple[int, dict[str, bytes], Marks]]:
    """For each of the points, ascending: the files after a crash there, and the greatest number of every mark
    before it. The syncs of files whose names end in `forgotten` do nothing: a disk that lies."""
    disk, done = Disk(), 0
    marks: Marks = {}
    for point in sorted(points):
        for at in range(done, point):
            kind, name, number, data = record.events[at]
            if kind not in DISK_EVENTS:
                marks[kind, name] = max(number, marks.get((kind, name), 0))
            elif kind != "sync" or not name.endswith(forgotten):
                disk.add(at, kind, name, number, data)
        done = point
        yield point, disk.crashed(choice), marks


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def check_integrity(database: Path, key: DataKey | None = None) -> None:
    """What `blotter check` reports about the file, apart from the meaning of its tables."""
    connection = schema.connect(database, key=key)
    problems = [problem for find in FILE_CHECKS.values() for problem in find(connection)]
    connection.close()
    assert not problems, problems


async def check(
    files: dict[str, bytes], states: list[State], acknowledged: int, key: DataKey | None = None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        storage = SqliteStorage.open(folder, key=key)
        with storage.read() as tx:
            last = tx.get(SPACE, LAST)
            number = int(last.body) if last else 0
            assert number >= acknowledged, (
                f"transaction {acknowledged} was acknowledged, {number} is the last there"
            )
            expected = states[number]
            items = {row[0]: StoredItem(*row) for row in tx.items(SPACE, b"", None, 1 << 30)}
            assert items == expected["items"], f"the items are not those after transaction {number}"
            assert tx.statistics(SPACE) == SpaceStatistics(len(items), sum(item.size for item in items.values()))
            assert {table.name: table for table in tx.tables()} == expected["tables"]
            for table in expected["tables"].values():
                assert tx.get(table.space, b"k") is not None
                assert tx.statistics(table.space) == SpaceStatistics(1, 1)
            changes = [(change.sequence, change.key, change.new) for change in tx.changes("id", 0, 0, 1 << 30)]
            assert changes == expected["changes"]
            log = tx.log(0, 1 << 30)
            assert [each.sequence for each in log] == list(range(1, tx.last_change() + 1))
            assert tx.statistics(LOG_SPACE) == SpaceStatistics(len(log), sum(map(change_size, log)))
        await storage.write(lambda tx: tx.new_space())
        await storage.close()
        check_integrity(storage.path, key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crashes", type=int, default=2000)
    parser.add_argument("--transactions", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--encrypted", action="store_true")
    arguments = parser.parse_args()
    key = DataKey.generate() if arguments.encrypted else None
    record = Record()
    workload = Workload(arguments.seed)
    with tempfile.TemporaryDirectory() as folder, recording(record) as vfs:
        asyncio.run(workload.run(Path(folder), record, vfs, arguments.transactions, key))
    choice = random.Random(arguments.seed)
    points = choice.choices(range(1, len(record.events) + 1), k=arguments.crashes)
    for point, files, marks in crashes(record, points, choice):
        try:
            asyncio.run(check(files, workload.states, marks.get(("acknowledged", ""), 0), key))
        except BaseException as error:
            raise AssertionError(
                f"crash after event {point} of {len(record.events)}, seed {arguments.seed}"
            ) from error
    kinds = sorted({kind for kind, *_ in record.events})
    print(f"{arguments.crashes} crashes among {len(record.events)} events ({', '.join(kinds)}): nothing was lost")


if __name__ == "__main__":
    main()
