"""Writing from a coroutine, for stores whose `submit` calls back: what their `write` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from blotter.database.storage.protocol import Settled, WriteTransaction
from blotter.database.storage.submission import Handler, Submission

T = TypeVar("T")


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
