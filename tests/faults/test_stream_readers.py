"""Readers of a stream miss nothing and repeat nothing while workers die.

Whether the judge of that sees what is wrong is tested here first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.shared_items import Caller
from tests.faults.stream_judge import Record, StreamedTable, explain_stream
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]


def _records(*lines: tuple[str, int | None, int | None]) -> list[Record]:
    """Of one shard: key, old, new."""
    return [Record("shard", sequence, *line) for sequence, line in enumerate(lines)]


_HISTORY = _records(("x", None, 1), ("y", None, 2), ("x", 1, 3), ("y", 2, None), ("y", None, 4))


def test_a_complete_stream() -> None:
    assert explain_stream(_HISTORY, {"x": 3, "y": 4}, {1, 2, 4}, {1, 2, 3, 4, 5}) == ""


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        (_HISTORY[:-1], "acknowledged and not in the stream"),
        ([*_HISTORY[:2], *_HISTORY[3:]], "acknowledged and not in the stream"),
        (_HISTORY[1:], "does not follow"),
        ([*_HISTORY, _HISTORY[-1]], "does not come after"),
        ([*_HISTORY, Record("other", 9, "y", 4, 4)], "seen before"),
        ([*_HISTORY, Record("other", 9, "y", 4, 7)], "nobody sent"),
        ([_HISTORY[2], _HISTORY[0]], "does not follow"),
        ([*_HISTORY, Record("shard", 9, "y", 4, None)], "ends with"),
    ],
)
def test_a_stream_that_cannot_be(records: list[Record], complaint: str) -> None:
    assert complaint in explain_stream(records, {"x": 3, "y": 4}, {1, 2, 3, 4}, {1, 2, 3, 4})


def _kill_workers(serving: Serving, times: int) -> None:
    for number in range(times):
        victim_name, victim = sorted(serving.workers().items())[number % 2]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda name=victim_name, pid=victim: serving.workers().get(name, pid) != pid)
        Caller([serving.address]).wait_until_served()


def test_readers_miss_and_repeat_nothing_while_workers_die(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    table = StreamedTable([serving.address])
    readers = table.use(writers=3, readers=2, disturb=lambda: _kill_workers(serving, 3))
    assert len(readers[0].records) > 50


@pytest.mark.slow
def test_readers_miss_and_repeat_nothing_for_long(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    StreamedTable([serving.address]).use(writers=6, readers=4, disturb=lambda: _kill_workers(serving, 40))
