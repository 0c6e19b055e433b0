"""The write lock between stores that share a directory: they exclude each other as processes do."""

from __future__ import annotations

import asyncio
import select
from pathlib import Path

import pytest

from blotter.database.storage.protocol import StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import Shared, SqliteStorage
from blotter.database.storage.sqlite.locks import NotificationPipe, WriteLock
from tests.waiting import until


def _is_notified(pipe: NotificationPipe) -> bool:
    return bool(select.select([pipe], [], [], 0)[0])


def _increment(tx: WriteTransaction) -> None:
    found = tx.get(1, b"counter")
    body = b"%d" % (1 + (0 if found is None else int(found.body)))
    tx.put(1, StoredItem(b"counter", 1, body), found)


def test_the_lock_goes_to_the_process_that_is_next(tmp_path: Path) -> None:
    pipe = NotificationPipe()
    one, two, three = (WriteLock(tmp_path, pipe) for _ in range(3))
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


def test_waiting_in_a_thread_keeps_the_place_in_the_queue(tmp_path: Path) -> None:
    one, two = WriteLock(tmp_path), WriteLock(tmp_path)
    assert one.try_acquire()
    assert not two.try_acquire()
    waiting = asyncio.new_event_loop()
    got = waiting.run_in_executor(None, two.acquire)
    one.release()
    assert not one.try_acquire()
    waiting.run_until_complete(got)
    two.release()
    assert one.try_acquire()
    waiting.run_until_complete(waiting.shutdown_default_executor())
    waiting.close()
    one.close()
    two.close()


def test_a_full_pipe_blocks_nobody() -> None:
    pipe = NotificationPipe()
    for _ in range(100_000):
        pipe.notify()
    assert _is_notified(pipe)
    pipe.clear()


@pytest.mark.parametrize("notified", [False, True])
def test_stores_alternate_and_lose_nothing(tmp_path: Path, notified: bool) -> None:
    """One more than can be next, each with more to write than fits between two releases."""
    shared = Shared(NotificationPipe(), NotificationPipe()) if notified else None

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
    store = SqliteStorage.open(tmp_path, shared=Shared(NotificationPipe(), NotificationPipe()))
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
