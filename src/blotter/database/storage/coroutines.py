"""What stores share of waiting and calling back: reads that settle at once, long reads in slices, writes from a
coroutine, a store that is opened for one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from blotter.database.storage.protocol import (
    ReadTransaction,
    Settled,
    Slices,
    Snapshot,
    Storage,
    Store,
    WriteTransaction,
)
from blotter.database.storage.submission import Handler, Submission

T = TypeVar("T")


def read_and_settle(
    snapshot: AbstractContextManager[ReadTransaction], handler: Callable[[ReadTransaction], Any], settled: Settled
) -> None:
    """Runs a handler over a snapshot and settles it, once the snapshot is given back."""
    value, error = None, None
    try:
        with snapshot as tx:
            value = handler(tx)
    except Exception as raised:
        error = raised
    settled(value, error)


class SlicedRead:
    """A long read over an open snapshot, a slice in each iteration of the event loop: `submit_slices` of a store
    that has snapshots at once."""

    def __init__(
        self, snapshot: Snapshot, start: Callable[[ReadTransaction], Slices[Any]], settled: Settled
    ) -> None:
        self._snapshot = snapshot
        self._start = start
        self._settled = settled
        self._slices: Slices[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._step)

    def _step(self) -> None:
        try:
            if self._slices is None:
                self._slices = self._start(self._snapshot)
            work = next(self._slices)
        except StopIteration as done:
            self._end(done.value, None)
        except Exception as error:
            self._end(None, error)
        else:
            if work is None:
                self._loop.call_soon(self._step)
            else:
                self._loop.run_in_executor(None, work).add_done_callback(self._worked)

    def _worked(self, done: asyncio.Future[object]) -> None:
        error = done.exception()
        if error is None:
            self._step()
            return
        if self._slices is not None:
            self._slices.close()
        self._end(None, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        self._snapshot.close()
        self._settled(value, error)


def _future_and_settled() -> tuple[asyncio.Future[Any], Settled]:
    """A future, and the callback that gives it its outcome, unless whoever waits was canceled."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settled(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    return future, settled


async def outcome_of(submit: Callable[[Settled], object]) -> Any:
    """What is given to the callback that `submit` gets: returns the value or raises the error."""
    future, settled = _future_and_settled()
    submit(settled)
    return await future


async def read_slices(storage: Storage, start: Callable[[ReadTransaction], Slices[T]]) -> T:
    """`Storage.submit_slices` for coroutines: returns what the read returned or raises what it raised."""
    result: T = await outcome_of(lambda settled: storage.submit_slices(start, settled))
    return result


def nobody_else_leads() -> asyncio.Future[None]:
    """`Storage.lead` of a store that one server uses at a time."""
    return asyncio.get_running_loop().create_future()


async def submit_and_wait(
    submit: Callable[[Handler, Settled], Submission], handler: Callable[[WriteTransaction], T]
) -> T:
    """The handler's result once it is settled; raises what settled it. A coroutine that is canceled withdraws the
    handler if it has not run yet."""
    future, settled = _future_and_settled()
    submission = submit(handler, settled)
    try:
        result: T = await future
        return result
    finally:
        submission.abandoned = True


async def open_and_run(store: Store, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
    storage = store.open()
    try:
        return await work(storage)
    finally:
        await storage.close()
