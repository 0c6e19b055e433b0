"""Bulk work: in short slices with rests while others write, in long ones while nobody does; work that reads rests
too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blotter.database.storage import slices
from blotter.database.storage.protocol import Change, StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.slices import (
    LONGEST_REST,
    LONGEST_SECONDS,
    REMEMBERED_SECONDS,
    SliceWriter,
    has_waited,
)
from blotter.database.storage.sqlite import SqliteStorage
from blotter.database.storage.sqlite.bulk import READING_REST, OthersCommits
from tests.faults.storage_power_loss import Record, recording

Run = Callable[[Any], Any]


class _Clock:
    """A writer of slices over a store in which only this clock goes on; `rests` are the pauses it made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.rests: list[float] = []
        self.others = False
        self.waits = 0.0
        monkeypatch.setattr(asyncio, "sleep", self._sleep)
        self.writer = SliceWriter(self._write, self._others, 0.001, 4.0, lambda: self.now)

    async def slice(self, takes: float = 0.0) -> float:
        """How long the next slice may take; it takes so long."""

        def work(_: WriteTransaction, seconds: float) -> float:
            self.now += takes
            return seconds

        return await self.writer.write(work)

    async def _write(self, handler: Callable[[WriteTransaction], Any]) -> Any:
        self.now += self.waits
        return handler(None)  # type: ignore[arg-type]

    def _others(self, waited: float) -> bool:
        return self.others or has_waited(waited)

    async def _sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    return _Clock(monkeypatch)


def test_while_others_write_they_have_most_of_the_time(clock: _Clock, run: Run) -> None:
    clock.others = True
    assert [run(clock.slice(takes)) for takes in (0.001, 0.002, 0.001)] == [0.001] * 3
    assert clock.rests == pytest.approx([0.004, 0.008, 0.004])


def test_on_a_busy_machine_bulk_work_goes_on(clock: _Clock, run: Run) -> None:
    clock.others = True
    run(clock.slice(takes=0.5))
    assert clock.rests == [LONGEST_REST]


def test_while_nobody_writes_slices_become_longer_and_do_not_rest(clock: _Clock, run: Run) -> None:
    clock.now += REMEMBERED_SECONDS
    lengths = [run(clock.slice(0.01)) for _ in range(7)]
    assert lengths == [0.002, 0.004, 0.008, 0.016, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]
    assert clock.rests == []


def test_others_are_remembered_for_a_moment(clock: _Clock, run: Run) -> None:
    clock.now += REMEMBERED_SECONDS
    run(clock.slice())
    clock.waits = slices.WAITED_SECONDS * 2
    assert run(clock.slice()) == 0.001
    clock.waits = 0.0
    assert run(clock.slice()) == 0.001
    clock.now += REMEMBERED_SECONDS
    assert run(clock.slice()) == 0.002


def test_slices_of_a_process_come_one_at_a_time(clock: _Clock, run: Run) -> None:
    clock.others = True

    async def together() -> None:
        await asyncio.gather(*[clock.slice(0.001) for _ in range(3)])

    run(together())
    assert clock.rests == pytest.approx([0.004] * 3)
    assert clock.now == pytest.approx(100.0 + 3 * 0.005)


# On SQLite


def _put(number: int) -> Callable[[WriteTransaction], None]:
    return lambda tx: tx.put(1, StoredItem(b"%03d" % number, 1, b"{}"), None)


def test_writers_of_other_connections_are_noticed(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, other = SqliteStorage.open(tmp_path), SqliteStorage.open(tmp_path)
    noticed: list[bool] = []

    def slice_() -> bool:
        run(storage.write_slice(lambda tx, _: tx.put_new(1, [(b"slice-%d" % len(noticed), 1, b"{}")])))
        return noticed[-1]

    look = OthersCommits.are_new
    monkeypatch.setattr(OthersCommits, "are_new", lambda self: noticed.append(look(self)) or noticed[-1])
    run(storage.write_slice(lambda *_: None))
    slice_()
    assert not slice_()
    run(other.write(_put(1)))
    assert slice_()
    assert not slice_()
    run(storage.write(_put(2)))
    assert slice_()
    for each in (storage, other):
        run(each.close())


def test_work_that_reads_rests_while_others_write(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        rests.append(seconds)

    storage = SqliteStorage.open(tmp_path, monotonic=lambda: now)
    other = SqliteStorage.open(tmp_path)

    def piece(takes: float) -> list[float]:
        """The rests after a piece of work."""
        nonlocal now
        rests.clear()
        now += takes
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "sleep", sleep)
            run(storage.give_way())
        return list(rests)

    assert piece(0.005) == []
    run(other.write(_put(1)))
    assert piece(0.005) == pytest.approx([READING_REST * 0.005])
    assert piece(0.1) == [LONGEST_REST]
    assert piece(REMEMBERED_SECONDS) == []
    now += 0.001
    run(storage.write(_put(2)))  # the progress of the work itself
    run(storage.write_slice(lambda tx, _: _put(3)(tx)))
    assert piece(0.005) == []
    run(other.write(_put(4)))
    assert piece(0.005) != []
    for each in (storage, other):
        run(each.close())


def test_a_slice_waits_for_no_sync_and_is_durable_with_what_comes_later(tmp_path: Path, run: Run) -> None:
    record = Record()
    with recording(record) as vfs:
        storage = SqliteStorage.open(tmp_path, vfs=vfs)
        run(storage.write(_put(0)))

        def syncs() -> int:
            return sum(1 for event in record.events if event[0] == "sync")

        before = syncs()
        for number in range(1, 6):
            run(storage.write_slice(lambda tx, _, number=number: _put(number)(tx)))
        assert syncs() == before
        run(storage.write(_put(9)))
        assert syncs() > before
        run(storage.close())


def test_a_slice_is_refused_as_a_write_is(tmp_path: Path, run: Run) -> None:
    storage = SqliteStorage.open(tmp_path)

    def fail(tx: WriteTransaction, _: float) -> None:
        _put(1)(tx)
        raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        run(storage.write_slice(fail))
    with storage.read() as tx:
        assert tx.get(1, b"001") is None
    change = Change(0, 1.0, "table", -1, b"key", None, b"{}")
    run(storage.write_slice(lambda tx, _: tx.append_change(change)))
    run(storage.write(lambda tx: tx.append_change(change)))
    run(storage.write_slice(lambda tx, _: tx.append_change(change)))
    with storage.read() as tx:
        assert [entry.sequence for entry in tx.log(0, 9)] == [1, 2, 3]
    run(storage.close())
    unused = SqliteStorage.open(tmp_path)
    run(unused.close())
    for closed in (storage, unused):
        with pytest.raises(StorageUnavailable, match="closing"):
            run(closed.write_slice(lambda *_: None))


def test_without_its_directory_a_store_takes_no_slice(tmp_path: Path, run: Run) -> None:
    storage = SqliteStorage.open(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(StorageUnavailable, match="data cannot be used"):
        run(storage.write_slice(lambda *_: None))
    run(storage.close())
