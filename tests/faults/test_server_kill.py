"""kill -9 under load: every acknowledged write is there after it, and locks do not stay held.

Clients put numbered items, and move a counter in transactions, over several connections; each request is sent
again until it is answered. Meanwhile a worker is killed, or the background process, the supervisor alone, or
everything at once. Whatever is left goes on: a connection made after the death is served at the first try. Whoever
died is replaced; a server that died is started again on its directory. Then every item is read back, and the
counter has moved once for each transaction, though some were sent more than once. The short version runs always,
the long one with `-m slow`.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.front_ends import is_dead
from tests.faults.writers import Writers, create_table, put_once
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

# Besides "supervisor" and "everything", a kind is part of the names that `Serving.children` gives.


def _kill_a_child(serving: Serving, victim: str) -> None:
    """The others serve on, the dead one is replaced."""
    before = serving.children()[victim]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: is_dead(before))
    status, answer = put_once(serving.address, "witness", 1)
    assert status == 200, answer
    wait_until(lambda: serving.children().get(victim, before) != before)


def _kill_the_server(serving: Serving, kind: str) -> None:
    children = list(serving.children().values())
    if kind == "supervisor":
        serving.process.kill()  # Its children leave by themselves.
    else:
        os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    wait_until(lambda: all(is_dead(pid) for pid in children))


def _kill(serve: Serve, kinds: Iterable[str], seed: int, data_dir: Path) -> None:
    chance = random.Random(seed)
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=data_dir)
    create_table(serving.address)
    writers = Writers([serving.address], 4, watchers=1)
    try:
        for kind in kinds:
            time.sleep(chance.uniform(0, 0.3))  # Any moment will do.
            if kind in ("supervisor", "everything"):
                _kill_the_server(serving, kind)
                serving = serve("--workers", "2", "--table-delay", "0", data_dir=data_dir)
                writers.check(serving.address)
                writers.addresses = [serving.address]
            else:
                _kill_a_child(serving, chance.choice([name for name in serving.children() if kind in name]))
            answered = writers.acknowledged
            wait_until(lambda answered=answered: writers.acknowledged > answered or writers.failures)
    finally:
        writers.stop()
    assert len(writers.last) == 4
    writers.check(serving.address)
    assert serving.stop() == 0


def test_kills_lose_nothing_that_was_acknowledged(serve: Serve, tmp_path: Path) -> None:
    kinds = ["worker", "backgroun", "worker", "supervisor", "worker", "everything"]
    _kill(serve, kinds, seed=1, data_dir=tmp_path / "data")


@pytest.mark.slow
def test_two_hundred_and_fifty_kills(serve: Serve, tmp_path: Path) -> None:
    chance = random.Random(2)
    kinds = chance.choices(("worker", "backgroun", "supervisor", "everything"), weights=(5, 1, 2, 2), k=250)
    _kill(serve, kinds, seed=2, data_dir=tmp_path / "data")
