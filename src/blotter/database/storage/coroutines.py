"""What stores share of waiting and calling back: reads that settle at once, writes from a coroutine, a store that
is opened for one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from blotter.database.storage.protocol import ReadTransaction, Settled, Storage, Store, WriteTransaction
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


async def submit_and_wait(
    submit: Callable[[Handler, Settled], Submission], handler: Callable[[WriteTransaction], T]
) -> T:
    """The handler's result once it is settled; raises what settled it. A coroutine that is canceled withdraws the
    handler if it has not run yet."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def settled(value: T, error: BaseException | None) -> None:
        if future.done():  # canceled, and not abandoned yet
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    submission = submit(handler, settled)
    try:
        return await future
    finally:
        submission.abandoned = True


async def open_and_run(store: Store, work: Callable[[Storage], Coroutine[Any, Any, T]]) -> T:
    storage = store.open()
    try:
        return await work(storage)
    finally:
        await storage.close()
