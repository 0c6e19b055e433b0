"""Provisioned units on a running server: two workers share them, exactly, also when one is killed."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.plain_client import Client

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

CONNECTIONS = 8
BURST_SECONDS = 300


def create(serving: Serving, units: int) -> None:
    status, body = Client(serving.address).call(
        "CreateTable",
        TableName="things",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": units, "WriteCapacityUnits": units},
    )
    assert status == 200, body


class Writers:
    """Connections that write as fast as they can, each until `over` says so after a refusal."""

    def __init__(self, serving: Serving, over: Callable[[int], bool], pause: float = 0.0) -> None:
        self.written = 0
        self.lost = 0
        """Requests without an answer."""
        self._over = over
        self._pause = pause
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(serving, n)) for n in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _write(self, serving: Serving, number: int) -> None:
        client, refused = Client(serving.address), 0
        item = {"id": {"S": str(number)}}
        while True:
            try:
                status, body = client.call("PutItem", TableName="things", Item=item)
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.lost += 1
                continue
            if status == 200:
                with self._lock:
                    self.written += 1
                continue
            assert body["__type"].endswith("#ProvisionedThroughputExceededException"), body
            refused += 1
            if self._over(refused):
                return
            time.sleep(self._pause)


def test_two_workers_give_the_burst_once(serve: Serve) -> None:
    serving = serve("--workers", "2")
    create(serving, 4)
    started = time.monotonic()
    writers = Writers(serving, lambda refused: refused >= 3)
    writers.join()
    least = 4 * BURST_SECONDS
    assert least <= writers.written <= least + 4 * (time.monotonic() - started) + 1


def test_a_killed_worker_loses_at_most_what_its_requests_had_taken(serve: Serve) -> None:
    serving = serve("--workers", "2")
    create(serving, 8)
    started = time.monotonic()
    writers = Writers(serving, lambda refused: refused >= 3)
    while writers.written < 500:
        time.sleep(0.001)
    os.kill(next(iter(serving.workers().values())), signal.SIGKILL)
    writers.join()
    least = 8 * BURST_SECONDS - writers.lost
    assert least <= writers.written <= 8 * (BURST_SECONDS + time.monotonic() - started) + 1


@pytest.mark.slow
def test_over_five_minutes_two_workers_give_what_is_provisioned(serve: Serve) -> None:
    serving = serve("--workers", "2")
    create(serving, 50)
    Writers(serving, lambda refused: refused >= 3).join()
    started = time.monotonic()
    writers = Writers(serving, lambda _: time.monotonic() - started > BURST_SECONDS, pause=0.005)
    writers.join()
    assert writers.written / (time.monotonic() - started) == pytest.approx(50, rel=0.02)
