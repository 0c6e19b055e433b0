"""What `Storage.write` promises when handlers refuse, fail midway, are repeated or lose their callers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from blotter.database.storage.protocol import Change, SpaceStatistics, Storage, StoredItem, WriteTransaction

from .conftest import make_table

Run = Callable[[Any], Any]
Handler = Callable[[WriteTransaction], Any]


class Refused(Exception):
    pass


def put(key: bytes, body: bytes = b"{}") -> Handler:
    def handler(tx: WriteTransaction) -> bytes:
        tx.put(1, StoredItem(key, 10, body), tx.get(1, key))
        return key

    return handler


def put_new(key: bytes) -> Handler:
    """A conditional put: refused when the key is there."""

    def handler(tx: WriteTransaction) -> bytes:
        if tx.get(1, key) is not None:
            raise Refused
        tx.put(1, StoredItem(key, 10, b"{}"), None)
        return key

    return handler


def breaking_off(key: bytes) -> Handler:
    """Writes everything that can be written, then raises."""

    def handler(tx: WriteTransaction) -> None:
        put(key)(tx)
        tx.append_change(Change(0, 1.0, "t", 0, key, None, b"{}"))
        tx.save_table(make_table("broken", tx.new_space()))
        raise Refused

    return handler


def keys(storage: Storage) -> list[bytes]:
    with storage.read() as tx:
        return [key for key, _, _ in tx.items(1, b"", None, 1 << 30)]


def together(storage: Storage, *handlers: Handler) -> Any:
    """Submits all at once, so that they share a batch where the backend has batches."""

    async def use() -> list[Any]:
        return await asyncio.gather(*(storage.write(handler) for handler in handlers), return_exceptions=True)

    return use()


def test_a_refusal_leaves_the_others_of_its_batch(storage: Storage, run: Run) -> None:
    results = run(together(storage, put(b"a"), put_new(b"a"), put_new(b"b"), put_new(b"b")))
    assert results[0::2] == [b"a", b"b"]
    assert [type(result) for result in results[1::2]] == [Refused, Refused]
    assert keys(storage) == [b"a", b"b"]


def test_what_a_handler_wrote_before_it_raised_is_not_stored(storage: Storage, run: Run) -> None:
    handlers = [put(b"a"), breaking_off(b"x"), put(b"b"), breaking_off(b"y"), put(b"c")]
    results = run(together(storage, *handlers))
    assert [results[n] for n in (0, 2, 4)] == [b"a", b"b", b"c"]
    assert isinstance(results[1], Refused)
    assert isinstance(results[3], Refused)
    assert keys(storage) == [b"a", b"b", b"c"]
    with storage.read() as tx:
        assert tx.statistics(1) == SpaceStatistics(3, 30)
        assert tx.last_change() == 0
        assert tx.find_table("000000000000", "us-east-1", "broken") is None
    assert run(storage.write(lambda tx: tx.new_space())) == 1


def test_a_batch_of_nothing_but_broken_handlers_stores_nothing(storage: Storage, run: Run) -> None:
    results = run(together(storage, *(breaking_off(b"%d" % n) for n in range(5))))
    assert [type(result) for result in results] == [Refused] * 5
    assert keys(storage) == []


def test_a_handler_sees_its_predecessors_of_the_same_batch(storage: Storage, run: Run) -> None:
    def increment(tx: WriteTransaction) -> int:
        found = tx.get(1, b"n")
        value = int(found.body) + 1 if found else 1
        tx.put(1, StoredItem(b"n", 1, b"%d" % value), found)
        return value

    assert run(together(storage, *[increment] * 100)) == list(range(1, 101))


def test_a_handler_may_read_what_it_makes_up(storage: Storage, run: Run) -> None:
    """Such as the id of something new, another one in each run; the others of its batch are stored too."""

    def handler(tx: WriteTransaction) -> bytes:
        return put(b"made up " + secrets.token_bytes(8))(tx)  # type: ignore[no-any-return]

    found = run(together(storage, put(b"a"), handler, handler, put(b"b")))
    assert sorted(found) == keys(storage)


def test_a_cancelled_caller_does_not_break_the_batch(storage: Storage, run: Run) -> None:
    async def use() -> list[Any]:
        tasks = [asyncio.ensure_future(storage.write(put(b"%02d" % n))) for n in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        late = asyncio.ensure_future(storage.write(put(b"late")))
        for _ in range(3):  # long enough to be in a batch
            await asyncio.sleep(0)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert await storage.write(put(b"zz")) == b"zz"
        return results

    results = run(use())
    assert results[1::2] == [b"%02d" % n for n in range(1, 20, 2)]
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert set(keys(storage)) >= {b"%02d" % n for n in range(1, 20, 2)} | {b"zz"}


def test_a_refusal_by_an_uncommitted_predecessor_leaves_after_its_commit(storage: Storage, run: Run) -> None:
    """A caller that learns of an item by a refusal finds it in every later snapshot."""

    async def use() -> None:
        async def refused(n: int) -> None:
            with pytest.raises(Refused):
                await storage.write(put_new(b"%d" % n))
            with storage.read() as tx:
                assert tx.get(1, b"%d" % n) is not None

        for n in range(20):
            await asyncio.gather(storage.write(put_new(b"%d" % n)), refused(n), refused(n))

    run(use())


@pytest.mark.parametrize("error", [StopIteration("x"), KeyError("x"), asyncio.CancelledError()])
def test_any_exception_of_a_handler_reaches_its_caller_only(
    storage: Storage, run: Run, error: BaseException
) -> None:
    def handler(tx: WriteTransaction) -> None:
        tx.put(1, StoredItem(b"x", 1, b"{}"), None)
        raise error

    results = run(together(storage, put(b"a"), handler, put(b"b")))
    assert results[0] == b"a"
    assert isinstance(results[1], BaseException)
    assert results[2] == b"b"
    assert keys(storage) == [b"a", b"b"]


def test_many_writers_at_once_all_get_their_own_answer(storage: Storage, run: Run) -> None:
    async def use() -> list[Any]:
        return await asyncio.gather(*(storage.write(put(b"%05d" % n)) for n in range(2000)))

    assert run(use()) == [b"%05d" % n for n in range(2000)]
    with storage.read() as tx:
        assert tx.statistics(1) == SpaceStatistics(2000, 20000)


def test_reads_go_on_while_a_batch_commits(storage: Storage, run: Run) -> None:
    run(storage.write(put(b"a")))

    async def use() -> int:
        reads = 0
        write = asyncio.ensure_future(storage.write(put(b"b")))
        while not write.done():
            with storage.read() as tx:
                assert tx.get(1, b"a") is not None
            reads += 1
            await asyncio.sleep(0)
        return reads

    assert run(use()) > 0


def test_what_is_settled_can_be_read_in_the_same_iteration(storage: Storage, run: Run) -> None:
    found: list[bool] = []

    async def use() -> None:
        settled = asyncio.Event()

        def look(_value: Any, error: BaseException | None) -> None:
            assert error is None
            with storage.read() as tx:
                found.append(tx.get(1, b"a") is not None)
            settled.set()

        storage.submit(put(b"a"), look)
        await settled.wait()

    run(use())
    assert found == [True]


# Actions after the commit


def acting(key: bytes, done: list[bytes], then: Handler = lambda tx: None) -> Handler:  # noqa: ARG005
    """Puts an item, registers two actions, goes on with `then`."""

    def handler(tx: WriteTransaction) -> bytes:
        put(key)(tx)
        tx.after_commit(lambda: done.append(key))
        tx.after_commit(lambda: done.append(key + b"!"))
        then(tx)
        return key

    return handler


def refuse(_: WriteTransaction) -> None:
    raise Refused


def test_an_action_runs_once_after_the_commit_and_before_the_caller_is_told(storage: Storage, run: Run) -> None:
    seen: list[str] = []

    def look() -> None:
        asyncio.get_running_loop()
        with storage.read() as tx:
            seen.append("action, stored" if tx.get(1, b"a") else "action, not stored")

    def handler(tx: WriteTransaction) -> None:
        tx.after_commit(look)
        put(b"a")(tx)

    async def use() -> None:
        told = asyncio.Event()

        def settled(*_: Any) -> None:
            seen.append("told")
            told.set()

        storage.submit(handler, settled)
        await told.wait()
        await storage.write(put(b"b"))

    run(use())
    assert seen == ["action, stored", "told"]


def test_actions_of_a_batch_run_in_the_order_of_its_handlers(storage: Storage, run: Run) -> None:
    done: list[bytes] = []
    run(together(storage, *(acting(b"%02d" % n, done) for n in range(50))))
    assert done == [b"%02d" % n + mark for n in range(50) for mark in (b"", b"!")]


def test_a_repeated_handler_acts_once_and_one_that_raised_never(storage: Storage, run: Run) -> None:
    """The third handler raises after having written, so that the two before it are run again."""
    done: list[bytes] = []
    runs: list[bytes] = []

    def refused_before_it_wrote(tx: WriteTransaction) -> None:
        tx.after_commit(lambda: done.append(b"refused"))
        raise Refused

    def counted(handler: Handler, key: bytes) -> Handler:
        def count(tx: WriteTransaction) -> Any:
            runs.append(key)
            return handler(tx)

        return count

    handlers = [
        counted(acting(b"a", done), b"a"),
        refused_before_it_wrote,
        acting(b"x", done, refuse),
        counted(acting(b"b", done), b"b"),
    ]
    results = run(together(storage, *handlers))
    assert [type(result) for result in results] == [bytes, Refused, Refused, bytes]
    assert runs.count(b"a") > 1, "the test is about repeated handlers"
    assert done == [b"a", b"a!", b"b", b"b!"]


def test_an_action_of_a_handler_that_wrote_nothing_runs_too(storage: Storage, run: Run) -> None:
    done: list[str] = []
    run(storage.write(lambda tx: tx.after_commit(lambda: done.append("done"))))
    assert done == ["done"]


def test_an_action_runs_though_its_caller_is_gone(storage: Storage, run: Run) -> None:
    done: list[bytes] = []

    async def use() -> None:
        task: asyncio.Future[Any]

        def leave(_: WriteTransaction) -> None:
            task.cancel()

        task = asyncio.ensure_future(storage.write(acting(b"a", done, leave)))
        await asyncio.gather(task, return_exceptions=True)
        await storage.write(put(b"b"))

    run(use())
    assert b"a" in keys(storage)
    assert done == [b"a", b"a!"]


def test_an_action_that_raises_costs_nobody_anything(
    storage: Storage, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[bytes] = []

    def handler(tx: WriteTransaction) -> bytes:
        put(b"a")(tx)
        tx.after_commit(lambda: refuse(tx))
        tx.after_commit(lambda: done.append(b"a"))
        return b"a"

    assert run(together(storage, handler, acting(b"b", done))) == [b"a", b"b"]
    assert done == [b"a", b"b", b"b!"]
    assert "an action after a commit failed" in caplog.text
