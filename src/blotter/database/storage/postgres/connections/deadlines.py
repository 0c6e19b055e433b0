"""A deadline for statements, without asking the server to cancel them.

asyncpg answers the cancellation of a statement with a request to the server, over a connection of its own: on a
silent network that hangs as well, and a commit that waits for standbys must not be canceled. So a connection whose
time is over is ended, and the statement gets an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_GRACE: Final = 0.2
"""Seconds for an answer that is there and was not read yet, because this process did not run."""


async def within(seconds: float, connection: Any, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns or raises. Raises TimeoutError after so many seconds, with the connection ended."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_ignore)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            await asyncio.wait({task}, timeout=_GRACE)
        in_time = task.done()
    finally:
        if not task.done():
            connection.terminate()
            await asyncio.wait({task})
            task.exception()  # of the ended connection
    if not in_time:
        raise TimeoutError
    return task.result()


def _ignore(task: asyncio.Task[Any]) -> None:
    """The error of a connection that was ended here is of no interest, also where the caller was canceled."""
    if not task.cancelled():
        task.exception()
