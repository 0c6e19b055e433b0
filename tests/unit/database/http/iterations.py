"""Waiting without sleeping: iterations of the running event loop, each of which runs what was ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def iterate_once() -> None:
    """Lets the loop run once."""
    loop = asyncio.get_running_loop()
    reached = loop.create_future()
    loop.call_soon(reached.set_result, None)
    await reached


async def iterate(count: int = 20) -> None:
    """Long enough for anything that needs neither I/O nor time."""
    for _ in range(count):
        await iterate_once()


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until something holds; the caller bounds the time."""
    while not condition():
        await iterate_once()
