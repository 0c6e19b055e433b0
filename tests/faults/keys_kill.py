"""`blotter keys` killed with SIGKILL before any of its steps: the directory can be used, and the command goes on.

A step is a sync, a replaced or removed file, a slice of the copy. For each change (encrypt, rekey, decrypt) a
child process does it in a copy of a directory and kills itself before the chosen step. Then a second opens the
store as a server does and must find everything; a third repeats the command; a fourth must find everything again,
all of it under the right key: the known texts are in no file, or in every one that held them.

    python tests/faults/keys_kill.py [--rounds 20] [--seed 1]        (0 rounds: every step once)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blotter.database.encryption.master_keys import MasterKey, parse_master_key
from blotter.database.rekeying.change import Goal, change, status
from blotter.database.storage.protocol import NO_SHARD, Change, Storage, StoredItem
from blotter.database.storage.sqlite import SqliteStore, conversion

TEXT = b"a well-known text"
ITEMS = 400
RECORD = b"one record, " + TEXT
SLICE_BYTES = 40_000
GOALS: tuple[tuple[Goal, bool], ...] = (("encrypt", False), ("rekey", True), ("decrypt", True))
"""Each change, and whether the directory is encrypted before."""


def in_child(work: Callable[[], object]) -> int:
    """The exit status of a forked process, negative for a signal. This process uses no cipher, see `cipher`."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    _, found = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(found)


def make(directory: Path, master: MasterKey | None) -> None:
    async def fill(storage: Storage) -> None:
        def handler(tx: Any) -> None:
            for number in range(ITEMS):
                body = b"%d " % number + TEXT * (1 + number % 40 * 3)
                tx.put(1, StoredItem(b"%05d" % number, len(body), body), None)
                tx.append_change(Change(0, 1.0, "id", NO_SHARD, b"%d" % number, None, body[:100]))

        await storage.write(handler)
        await storage.close()

    store = SqliteStore(directory, master)
    store.claim()
    asyncio.run(fill(store.open()))
    folder = directory / "audit" / "2026"
    folder.mkdir(parents=True)
    cipher = store.file_cipher()
    (folder / "whole.json").write_bytes(cipher.encode(b"{" + RECORD * 9000 + b"}"))
    from blotter.database.encryption.files import frame

    (folder / "journal").write_bytes(b"".join(frame(cipher.encode(RECORD)) for _ in range(20)))
    (directory / "secret").write_bytes(store.secret_key("test")[:8])
    store.release()


def verify(directory: Path, master: MasterKey) -> None:
    """Opens the directory as a server with the right settings does."""
    from blotter.database.encryption.files import read_frames

    async def read(storage: Storage) -> None:
        with storage.read() as tx:  # type: ignore[union-attr]
            rows = tx.items(1, b"", None, 1 << 30)
            assert len(rows) == ITEMS, len(rows)
            assert all(body == b"%d " % int(key) + TEXT * (1 + int(key) % 40 * 3) for key, _, body in rows)
            assert tx.statistics(1).items == ITEMS
            assert tx.last_change() == ITEMS
            assert len(tx.log(0, 1 << 30)) == ITEMS
        await storage.close()

    store = SqliteStore(directory, None if status(directory).file is None else master)
    store.claim()
    asyncio.run(read(store.open()))
    cipher = store.file_cipher()
    assert cipher.decode((directory / "audit/2026/whole.json").read_bytes()) == b"{" + RECORD * 9000 + b"}"
    with (directory / "audit/2026/journal").open("rb") as journal:
        assert [cipher.decode(stored) for stored in read_frames(journal)] == [RECORD] * 20
    assert store.secret_key("test")[:8] == (directory / "secret").read_bytes()
    store.release()


def verify_end(directory: Path, master: MasterKey, goal: Goal) -> None:
    verify(directory, master)
    found = status(directory)
    assert found.unfinished is None
    assert (found.file is None) == (goal == "decrypt")
    held = {path.name for path in directory.rglob("*") if path.is_file() and TEXT in path.read_bytes()}
    assert held == ({"blotter.db", "whole.json", "journal"} if goal == "decrypt" else set()), held
    names = {path.name for path in directory.rglob("*") if path.is_file() and not path.name.endswith(".lock")}
    keys = {"secret-key"} if goal == "decrypt" else {"keys.json"}
    assert names == {"blotter.db", "whole.json", "journal", "secret", *keys}, names


class Steps:
    """Kills this process before step number `fatal`; counts only, for 0."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.count = 0

    def step(self, *_: object) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, place: Any, name: str) -> None:
        original = getattr(place, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.step()
            return original(*arguments, **named)

        setattr(place, name, wrapped)

    def run(self, directory: Path, master: MasterKey, goal: Goal) -> int:
        conversion.SLICE_BYTES = SLICE_BYTES
        for place, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
            self.before(place, name)
        change(directory, master, goal, self.step)
        return self.count


def steps_of(prepared: Path, master: MasterKey, goal: Goal, folder: Path) -> int:
    """How many steps a change has."""
    directory, receiver, sender = folder / "count", *os.pipe()
    shutil.copytree(prepared, directory)
    assert in_child(lambda: os.write(sender, b"%d" % Steps(0).run(directory, master, goal))) == 0
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        return int(pipe.read())


def killed(prepared: Path, master: MasterKey, goal: Goal, fatal: int, directory: Path) -> None:
    shutil.copytree(prepared, directory)
    assert in_child(lambda: Steps(fatal).run(directory, master, goal)) == -signal.SIGKILL
    (directory / "server.lock").unlink(missing_ok=True)  # a copy would be refused for it
    assert in_child(lambda: verify(directory, master)) == 0, "it could not be used after the kill"
    assert in_child(lambda: change(directory, master, goal, lambda *_: None)) == 0, "it did not go on"
    assert in_child(lambda: verify_end(directory, master, goal)) == 0
    shutil.rmtree(directory)


def rounds(counts: dict[Goal, int], number: int, seed: int) -> Iterator[tuple[Goal, int]]:
    every = [(goal, step) for goal, count in counts.items() for step in range(1, count + 1)]
    yield from every if number == 0 else random.Random(seed).sample(every, min(number, len(every)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "master").write_bytes(b"%064x" % 12345)
        (folder / "master").chmod(0o600)
        master = parse_master_key(f"file:{folder / 'master'}")
        counts: dict[Goal, int] = {}
        for goal, encrypted in GOALS:
            prepared = folder / goal
            assert in_child(lambda at=prepared, key=master if encrypted else None: make(at, key)) == 0  # type: ignore[misc]
            (prepared / "server.lock").unlink()
            counts[goal] = steps_of(prepared, master, goal, folder)
            shutil.rmtree(folder / "count")
        done = 0
        for goal, fatal in rounds(counts, arguments.rounds, arguments.seed):
            try:
                killed(folder / goal, master, goal, fatal, folder / "directory")
            except BaseException as error:
                raise AssertionError(f"{goal}, killed before step {fatal} of {counts[goal]}") from error
            done += 1
    print(f"killed before {done} of {sum(counts.values())} steps {counts}: nothing was lost")


if __name__ == "__main__":
    main()
