"""How a synchronous handler waits for PostgreSQL: it runs in a greenlet, which the event loop suspends.

A handler reads through a transaction whose methods call `wait_for`; that switches to the event loop, which awaits
the statement and switches back with its result. One stack for each handler that waits, no thread. SQLAlchemy's
asyncio extension works the same way. Costs some 20 microseconds for each handler, so what a request does most
often (points, batches) is done without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import greenlet

T = TypeVar("T")


class _Suspendable(greenlet.greenlet):  # type: ignore[misc]
    """A greenlet in which `wait_for` may be called."""


def wait_for(awaitable: Awaitable[T]) -> T:
    """The result of an awaitable, inside of a handler that `run_suspendable` runs."""
    current = greenlet.getcurrent()
    if not isinstance(current, _Suspendable):
        close = getattr(awaitable, "close", None)
        if close is not None:
            close()
        raise RuntimeError("this transaction can be read only where the event loop runs its handler")
    assert current.parent is not None
    result: T = current.parent.switch(awaitable)
    return result


async def run_suspendable(function: Callable[[], T]) -> T:
    """What the function returns or raises; it may call `wait_for`."""
    runner = _Suspendable(function)
    value: Any = runner.switch()
    while not runner.dead:
        try:
            result = await value
        except BaseException as error:
            value = runner.throw(error)
        else:
            value = runner.switch(result)
    final: T = value
    return final
