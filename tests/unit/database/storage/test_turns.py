"""Whose turn it is to write, between stores that share a directory: they exclude each other as processes do."""

from __future__ import annotations

import asyncio
import select
from pathlib import Path

import pytest

from blotter.database.storage.protocol import StorageUnavailable, StoredItem, WriteTransaction
from blotter.database.storage.sqlite import SqliteStorage, TurnBell
from blotter.database.storage.sqlite.locks import TurnLock


def _rings(bell: TurnBell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def _increment(tx: WriteTransaction) -> None:
    found = tx.get(1, b"counter")
    body = b"%d" % (1 + (0 if found is None else int(found.body)))
    tx.put(1, StoredItem(b"counter", 1, body), found)


def test_the_turn_goes_to_the_one_at_the_door(tmp_path: Path) -> None:
    bell = TurnBell()
    one, two, three = (TurnLock(tmp_path, bell) for _ in range(3))
    assert one.try_acquire()
    assert not one.others_wait()
    assert not two.try_acquire()
    assert two.at_door
    assert one.others_wait()
    assert not three.try_acquire()
    assert not three.at_door
    assert not _rings(bell)
    one.release()
    assert _rings(bell)
    assert not one.try_acquire(), "the one who waited comes first"
    assert two.try_acquire()
    assert not one.try_acquire()
    assert one.at_door
    two.release()
    bell.hush()
    assert one.try_acquire()
    one.release()
    assert not _rings(bell), "nobody waits"
    for turn in (one, two, three):
        turn.close()


def test_who_gives_up_waiting_leaves_the_door(tmp_path: Path) -> None:
    one, two = TurnLock(tmp_path), TurnLock(tmp_path)
    assert one.try_acquire()
    assert not two.try_acquire()
    two.give_up()
    assert not one.others_wait()
    one.release()
    assert one.try_acquire()
    one.close()
    two.close()


@pytest.mark.parametrize("at_door", [False, True])
def test_a_lock_that_fails_refuses_what_waits_and_nothing_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_door: bool
) -> None:
    """No locks left, an I/O error: those who wait are told, the door is open, the next write tries anew."""
    store, other = SqliteStorage.open(tmp_path), SqliteStorage.open(tmp_path)
    real = store._turn.try_acquire

    def failing() -> bool:
        if at_door:
            other._turn.acquire()
            assert not real()
            other._turn.release()
        raise OSError("injected: no locks available")

    async def work() -> None:
        monkeypatch.setattr(store._turn, "try_acquire", failing)
        with pytest.raises(StorageUnavailable):
            await store.write(_increment)
        monkeypatch.undo()
        await asyncio.wait_for(other.write(_increment), 30)
        await asyncio.wait_for(store.write(_increment), 30)
        await store.close()
        await other.close()

    asyncio.run(work())


def test_waiting_in_a_thread_keeps_the_place_at_the_door(tmp_path: Path) -> None:
    one, two = TurnLock(tmp_path), TurnLock(tmp_path)
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


def test_a_bell_that_nobody_hears_blocks_nobody() -> None:
    bell = TurnBell()
    for _ in range(100_000):
        bell.ring()
    assert _rings(bell)
    bell.hush()


@pytest.mark.parametrize("with_bell", [False, True])
def test_stores_take_turns_and_lose_nothing(tmp_path: Path, with_bell: bool) -> None:
    """One more than can stand at the door, each with more to write than a turn holds."""
    bell = TurnBell() if with_bell else None

    async def work() -> None:
        stores = [SqliteStorage.open(tmp_path, bell=bell) for _ in range(3)]
        writes = [store.write(_increment) for _ in range(300) for store in stores]
        await asyncio.wait_for(asyncio.gather(*writes), 60)
        with stores[0].read() as tx:
            found = tx.get(1, b"counter")
        assert found is not None
        assert found.body == b"900"
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_a_holder_that_gives_up_the_turn_in_silence_is_found_out(tmp_path: Path) -> None:
    store = SqliteStorage.open(tmp_path, bell=TurnBell())
    silent = TurnLock(tmp_path)  # it knows no bell; one that dies does not ring either
    assert silent.try_acquire()

    async def work() -> None:
        waiting = asyncio.create_task(store.write(_increment))
        while not silent.others_wait():
            await asyncio.sleep(0.001)
        silent.release()
        await asyncio.wait_for(waiting, 30)
        await store.close()

    asyncio.run(work())
    silent.close()
