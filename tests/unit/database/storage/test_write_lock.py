"""The write lock between stores that share a directory: they exclude each other as processes do."""

from __future__ import annotations

import asyncio
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from blotter.database.storage.protocol import StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import Shared, SqliteStorage
from blotter.database.storage.sqlite.locks import (
    PASSING_SECONDS,
    PATIENCE_SECONDS,
    NotificationPipe,
    WriteLock,
)
from tests.waiting import until


def _is_notified(pipe: NotificationPipe) -> bool:
    return bool(select.select([pipe], [], [], 0)[0])


def _increment(tx: WriteTransaction) -> None:
    found = tx.get(1, b"counter")
    body = b"%d" % (1 + (0 if found is None else int(found.body)))
    tx.put(1, StoredItem(b"counter", 1, body), found)


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_lock_goes_to_the_process_that_is_next(tmp_path: Path) -> None:
    pipe = NotificationPipe()
    one, two, three = (WriteLock(tmp_path, pipe, _Clock()) for _ in range(3))
    assert one.try_acquire()
    assert not one.others_wait()
    assert not two.try_acquire()
    assert two.is_next
    assert one.others_wait()
    assert not three.try_acquire()
    assert not three.is_next
    assert not _is_notified(pipe)
    one.release()
    assert _is_notified(pipe)
    assert not one.try_acquire(), "the process that waited comes first"
    assert two.try_acquire()
    assert not one.try_acquire()
    assert one.is_next
    two.release()
    pipe.clear()
    assert one.try_acquire()
    one.release()
    assert not _is_notified(pipe), "nobody waits"
    for lock in (one, two, three):
        lock.close()


def test_a_process_that_does_not_come_is_passed_and_gets_another_chance(tmp_path: Path) -> None:
    clock = _Clock()
    busy, late = WriteLock(tmp_path, None, clock), WriteLock(tmp_path, None, clock)
    assert busy.try_acquire()
    assert not late.try_acquire()
    busy.release()
    assert not busy.try_acquire()
    clock.now += PATIENCE_SECONDS
    passed = 0
    while busy.try_acquire():
        busy.release()
        passed += 1
        clock.now += PASSING_SECONDS / 10
        assert passed < 100
    assert passed >= 9, "having waited once, it goes on without waiting"
    assert not busy.try_acquire(), "another chance"
    clock.now += PATIENCE_SECONDS
    assert busy.try_acquire()
    assert not late.try_acquire()
    busy.release()
    assert late.try_acquire()
    assert not busy.try_acquire()
    assert busy.is_next
    busy.close()
    late.close()


def test_nobody_is_late_while_another_process_writes(tmp_path: Path) -> None:
    clock = _Clock()
    writing, following, third = (WriteLock(tmp_path, None, clock) for _ in range(3))
    assert writing.try_acquire()
    assert not following.try_acquire()
    assert not third.try_acquire()
    clock.now += PATIENCE_SECONDS
    assert not third.try_acquire()
    writing.release()
    assert not third.try_acquire(), "the lock has only now become free"
    assert following.try_acquire()
    following.release()
    for lock in (writing, following, third):
        lock.close()


_WAITING_PROCESS = """
import asyncio, sys
from blotter.database.storage.sqlite import SqliteStorage
from tests.unit.database.storage.test_write_lock import _increment

async def work():
    store = SqliteStorage.open(sys.argv[1])
    print("open", flush=True)
    sys.stdin.readline()
    waiting = asyncio.ensure_future(store.write(_increment))
    while not store._write_lock.is_next:
        await asyncio.sleep(0)
    print("next", flush=True)
    sys.stdin.readline()  # the loop is busy for so long
    await waiting
    await store.close()

asyncio.run(work())
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_waiting_process_whose_loop_is_busy_or_that_is_stopped_keeps_nobody_waiting(
    tmp_path: Path, stopped: bool
) -> None:
    store = SqliteStorage.open(tmp_path, shared=Shared.make())
    holder = WriteLock(tmp_path)
    command = [sys.executable, "-c", _WAITING_PROCESS, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None

    async def work() -> None:
        for _ in range(200):
            await asyncio.wait_for(store.write(_increment), 30)
        assert process.poll() is None
        assert holder.others_wait(), "the other one is still next"

    try:
        assert process.stdout.readline() == "open\n"
        holder.acquire()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "next\n"
        if stopped:
            process.send_signal(signal.SIGSTOP)
        holder.release()
        asyncio.run(work())
        process.send_signal(signal.SIGCONT)
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
    with store.read() as tx:
        found = tx.get(1, b"counter")
    assert found is not None
    assert found.body == b"201"
    asyncio.run(store.close())
    holder.close()


def test_a_slow_commit_does_not_keep_the_lock_for_a_busy_loop(tmp_path: Path) -> None:
    slow, other = SqliteStorage.open(tmp_path), SqliteStorage.open(tmp_path)
    slow._batches.transaction.commit_seconds = 1.0  # a thread commits
    free = threading.Event()
    blocked = threading.Event()

    def block() -> None:
        blocked.set()
        assert free.wait(60)

    def handler(tx: WriteTransaction) -> None:
        _increment(tx)
        asyncio.get_running_loop().call_soon(block)

    async def write_and_close() -> None:
        await slow.write(handler)
        await slow.close()

    async def write_others() -> None:
        for _ in range(20):
            await asyncio.wait_for(other.write(_increment), 30)
        await other.close()

    thread = threading.Thread(target=lambda: asyncio.run(write_and_close()))
    thread.start()
    try:
        assert blocked.wait(60)
        asyncio.run(write_others())
    finally:
        free.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_process_that_stops_waiting_lets_others_pass(tmp_path: Path) -> None:
    one, two = WriteLock(tmp_path), WriteLock(tmp_path)
    assert one.try_acquire()
    assert not two.try_acquire()
    two.stop_waiting()
    assert not one.others_wait()
    one.release()
    assert one.try_acquire()
    one.close()
    two.close()


@pytest.mark.parametrize("is_next", [False, True])
def test_a_lock_that_fails_refuses_what_waits_and_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_next: bool
) -> None:
    """No locks left, an I/O error: the waiting writes fail, the queue is free, the next write tries again."""
    store, other = SqliteStorage.open(tmp_path), SqliteStorage.open(tmp_path)
    real = store._write_lock.try_acquire

    def failing() -> bool:
        if is_next:
            other._write_lock.acquire()
            assert not real()
            other._write_lock.release()
        raise OSError("injected: no locks available")

    async def work() -> None:
        monkeypatch.setattr(store._write_lock, "try_acquire", failing)
        with pytest.raises(StorageUnavailable):
            await store.write(_increment)
        monkeypatch.undo()
        await asyncio.wait_for(other.write(_increment), 30)
        await asyncio.wait_for(store.write(_increment), 30)
        await store.close()
        await other.close()

    asyncio.run(work())


def test_a_full_pipe_blocks_nobody() -> None:
    pipe = NotificationPipe()
    for _ in range(100_000):
        pipe.notify()
    assert _is_notified(pipe)
    pipe.clear()


@pytest.mark.parametrize("notified", [False, True])
def test_stores_alternate_and_lose_nothing(tmp_path: Path, notified: bool) -> None:
    """One more than can be next, each with more to write than fits between two releases."""
    shared = Shared.make() if notified else None

    async def work() -> None:
        stores = [SqliteStorage.open(tmp_path, shared=shared) for _ in range(3)]
        writes = [store.write(_increment) for _ in range(300) for store in stores]
        await asyncio.wait_for(asyncio.gather(*writes), 60)
        with stores[0].read() as tx:
            found = tx.get(1, b"counter")
        assert found is not None
        assert found.body == b"900"
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_a_lock_released_without_notification_is_noticed(tmp_path: Path) -> None:
    store = SqliteStorage.open(tmp_path, shared=Shared.make())
    silent = WriteLock(tmp_path)  # it has no pipe; a process that dies notifies nobody either
    assert silent.try_acquire()

    async def work() -> None:
        waiting = asyncio.create_task(store.write(_increment))
        await until(silent.others_wait)
        silent.release()
        await asyncio.wait_for(waiting, 30)
        await store.close()

    asyncio.run(work())
    silent.close()
