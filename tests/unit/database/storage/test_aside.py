"""The queue of long reads: results and errors come back in order, and a full queue refuses."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

import pytest

from blotter.database.storage import aside
from blotter.database.storage.protocol import StorageUnavailable


def test_reads_run_in_order_and_a_full_queue_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MAX_WAITING", 2)
    settled: list[tuple[Any, str]] = []
    go_on = Event()

    async def scenario() -> None:
        loop, queue = asyncio.get_running_loop(), aside.LongReadQueue()
        ended = asyncio.Event()

        def settle(result: Any, error: BaseException | None) -> None:
            settled.append((result, str(error or "")))
            if len(settled) == 2:
                ended.set()

        def fail() -> None:
            raise ValueError("unreadable")

        queue.submit(loop, lambda: go_on.wait(30), settle)
        queue.submit(loop, fail, settle)
        with pytest.raises(StorageUnavailable, match="too many long reads are waiting"):
            queue.submit(loop, fail, settle)
        go_on.set()
        await asyncio.wait_for(ended.wait(), 30)
        closed: list[bool] = []
        await queue.stop_after(lambda: closed.append(True))
        await queue.stop_after(lambda: closed.append(False))
        assert closed == [True]

    asyncio.run(scenario())
    assert settled == [(True, ""), (None, "unreadable")]


def test_a_queue_that_was_never_used_has_no_thread_to_stop() -> None:
    aside.LongReadQueue().stop()
