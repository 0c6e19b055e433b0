"""Threads that compute let the event loop go first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from blotter.database import work_thread
from blotter.database.work_thread import WorkThread, give_way, let_serve


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


def _served_while(computes: bool, seconds: list[float], monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a loop is let serve by a thread that calls `give_way` at these moments, beside before its work."""
    served: list[object] = []
    clock = iter([0.0, *[moment for each in seconds for moment in (each, each)]])
    monkeypatch.setattr(work_thread, "let_serve", served.append)
    monkeypatch.setattr(work_thread, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    thread = WorkThread("computing", computes=computes)
    loop = cast(asyncio.AbstractEventLoop, RecordedLoop())
    done: list[object] = []
    thread.run(loop, lambda: [give_way() for _ in seconds], done.append)
    thread.stop()
    assert done == [None]
    return len(served) - computes


def test_a_thread_that_computes_gives_way_after_some_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _served_while(True, [0.001], monkeypatch) == 0
    assert _served_while(True, [0.006], monkeypatch) == 1


def test_other_threads_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _served_while(False, [1.0, 2.0], monkeypatch) == 0
    give_way()
