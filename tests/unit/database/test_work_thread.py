"""Threads that compute let the event loop go first."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from blotter.database.work_thread import let_serve


class RecordedLoop:
    """Runs at once what it is given, and keeps how it was given it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def call_soon_threadsafe(self, callback: Any, *arguments: Any) -> None:
        self.calls.append("from the thread")
        callback(*arguments)

    def call_soon(self, callback: Any, *arguments: Any) -> None:
        self.calls.append("an iteration later")
        callback(*arguments)


def test_the_loop_has_a_whole_iteration() -> None:
    loop = RecordedLoop()
    let_serve(cast(asyncio.AbstractEventLoop, loop))
    assert loop.calls == ["from the thread", "an iteration later"]


def test_a_closed_loop_is_not_waited_for() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    let_serve(loop)
