"""kill -9 under load: whatever a client was told is written is there afterwards, and locks do not stay held.

Clients write numbered items over several connections and remember each that was acknowledged. Meanwhile a worker
is killed, or the supervisor, or everything at once; clients connect again and go on. Then every remembered item is
read back. The short version runs always, the long one with `-m slow`.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import Client

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]


class _Writers:
    """Threads that put items until told to stop. `acknowledged` maps key to the last value acknowledged."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self.acknowledged: dict[str, int] = {}
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(address, number)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, address: tuple[str, int], number: int) -> None:
        client = Client(address)
        value = 0
        while not self._stop.is_set():
            value += 1
            key = f"writer-{number}-{value % 50}"
            item = {"pk": {"S": key}, "v": {"N": str(value)}}
            try:
                status, answer = client.call("PutItem", TableName="killed", Item=item)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
                continue
            if status == 200:
                self.acknowledged[key] = value
            elif status != 500:
                self.failures.append(f"{status} {answer}")


def _create_table(client: Client) -> None:
    status, answer = client.call(
        "CreateTable",
        TableName="killed",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert status == 200, answer


def _check(address: tuple[str, int], acknowledged: dict[str, int]) -> None:
    """Every acknowledged value is there, or a later one of the same writer that was not answered in time."""
    client = Client(address)
    for key, value in acknowledged.items():
        status, answer = client.call("GetItem", TableName="killed", Key={"pk": {"S": key}}, ConsistentRead=True)
        assert status == 200, answer
        assert int(answer["Item"]["v"]["N"]) >= value, key


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _kill_workers(serving: Serving, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    writers = _Writers(serving.address, 4)
    for _ in range(rounds):
        time.sleep(chance.uniform(0.05, 0.4))
        before = serving.workers()
        victim = chance.choice(sorted(before))
        os.kill(before[victim], signal.SIGKILL)
        _until(
            lambda victim=victim, before=before: serving.workers().get(victim, before[victim]) != before[victim]
        )
        answered = len(writers.acknowledged), sum(writers.acknowledged.values())
        _until(
            lambda answered=answered: (len(writers.acknowledged), sum(writers.acknowledged.values())) != answered
        )
    writers.stop()
    assert writers.failures == []
    _check(serving.address, writers.acknowledged)


def _kill_everything(serve: Serve, rounds: int, seed: int, data_dir: Path) -> None:
    chance = random.Random(seed)
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=data_dir)
    _create_table(Client(serving.address))
    for round_number in range(rounds):
        writers = _Writers(serving.address, 4)
        _until(lambda writers=writers: len(writers.acknowledged) >= 8)
        time.sleep(chance.uniform(0, 0.4))
        children = list(serving.children().values())
        if round_number % 2:
            serving.process.kill()  # The supervisor alone: its children leave by themselves.
        else:
            os.killpg(serving.process.pid, signal.SIGKILL)
        serving.process.wait()
        _until(lambda children=children: not any(Path(f"/proc/{pid}").exists() for pid in children))
        writers.stop()
        assert writers.failures == []
        serving = serve("--workers", "2", "--table-delay", "0", data_dir=data_dir)
        _check(serving.address, writers.acknowledged)


def test_a_killed_worker_loses_nothing_that_was_acknowledged(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    _create_table(Client(serving.address))
    _kill_workers(serving, 4, seed=1)


def test_nor_does_a_killed_server(serve: Serve, tmp_path: Path) -> None:
    _kill_everything(serve, 2, seed=2, data_dir=tmp_path / "data")


@pytest.mark.slow
def test_workers_killed_two_hundred_times(serve: Serve) -> None:
    serving = serve("--workers", "2", "--table-delay", "0")
    _create_table(Client(serving.address))
    _kill_workers(serving, 200, seed=3)


@pytest.mark.slow
def test_servers_killed_fifty_times(serve: Serve, tmp_path: Path) -> None:
    _kill_everything(serve, 50, seed=4, data_dir=tmp_path / "data")
