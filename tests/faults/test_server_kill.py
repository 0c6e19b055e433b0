"""kill -9 under load: every acknowledged write is there after it, and locks do not stay held.

Clients put numbered items, and move a counter in transactions, over several connections; each request is sent
again until it is answered. Meanwhile a worker is killed, or the background process, the supervisor alone, or
everything at once. Whatever is left goes on: a connection made after the death is served at the first try. Whoever
died is replaced; a server that died is started again on its directory. Then every item is read back, and the
counter has moved once for each transaction, though some were sent more than once. The short version runs always,
the long one with `-m slow`.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import Client

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

KEYS = 50
# Besides "supervisor" and "everything", a kind is part of the names that `Serving.children` gives.


class _Writers:
    """Threads that write until stopped, to the server's current `address`. Every write is sent until
    it is acknowledged; `sent` and `last` have each writer's last one that was sent, and acknowledged."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self.address = address
        self.failures: list[str] = []
        self.sent: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        return sum(self.last.values())

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        name = f"{'counter' if number == 0 else 'writer'}-{number}"
        write = _count if number == 0 else _put
        address = self.address
        client = Client(address)
        value = 1
        while not self._stop.is_set():
            if address != self.address:
                address = self.address
                client = Client(address)
            self.sent[name] = value
            try:
                status, answer = write(client, name, value)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
                continue
            if status == 200:
                self.last[name] = value
                value += 1
            elif status != 500:
                self.failures.append(f"{status} {answer}")
                return


def _put(client: Client, name: str, value: int) -> tuple[int, Any]:
    item = {"pk": {"S": f"{name}-{value % KEYS}"}, "v": {"N": str(value)}}
    return client.call("PutItem", TableName="killed", Item=item)


def _count(client: Client, name: str, value: int) -> tuple[int, Any]:
    """A transaction with a token, so that it counts once however often it is sent."""
    adding = {
        "TableName": "killed",
        "Key": {"pk": {"S": name}},
        "UpdateExpression": "ADD v :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    item = {"pk": {"S": f"{name}-{value % KEYS}"}, "v": {"N": str(value)}}
    actions = [{"Update": adding}, {"Put": {"TableName": "killed", "Item": item}}]
    return client.call("TransactWriteItems", TransactItems=actions, ClientRequestToken=f"{name}-{value}")


def _create_table(client: Client) -> None:
    status, answer = client.call(
        "CreateTable",
        TableName="killed",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert status == 200, answer


def _value(client: Client, key: str) -> int:
    status, answer = client.call("GetItem", TableName="killed", Key={"pk": {"S": key}}, ConsistentRead=True)
    assert status == 200, answer
    return int(answer["Item"]["v"]["N"]) if "Item" in answer else 0


def _check(address: tuple[str, int], writers: _Writers) -> None:
    """Every acknowledged value is there, or a later one that its writer has sent since."""
    client = Client(address)
    for name, last in dict(writers.last).items():
        for value in range(max(1, last - KEYS + 1), last + 1):
            stored = _value(client, f"{name}-{value % KEYS}")
            assert stored in range(value, writers.sent[name] + 1, KEYS), (
                f"{name}: {value} acknowledged, not {stored}"
            )
        if name.startswith("counter"):
            assert last <= _value(client, name) <= writers.sent[name], (
                "a transaction was done twice, or not at all"
            )


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _kill_a_child(serving: Serving, victim: str) -> None:
    """The others serve on, the dead one is replaced."""
    before = serving.children()[victim]
    os.kill(before, signal.SIGKILL)
    _until(lambda: _dead(before))
    status, answer = _put(Client(serving.address), "witness", 1)
    assert status == 200, answer
    _until(lambda: serving.children().get(victim, before) != before)


def _kill_the_server(serving: Serving, kind: str) -> None:
    children = list(serving.children().values())
    if kind == "supervisor":
        serving.process.kill()  # Its children leave by themselves.
    else:
        os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.wait()
    _until(lambda: all(_dead(pid) for pid in children))


def _kill(serve: Serve, kinds: Iterable[str], seed: int, data_dir: Path) -> None:
    chance = random.Random(seed)
    serving = serve("--workers", "2", "--table-delay", "0", data_dir=data_dir)
    _create_table(Client(serving.address))
    writers = _Writers(serving.address, 4)
    try:
        for kind in kinds:
            time.sleep(chance.uniform(0, 0.3))  # Any moment will do.
            if kind in ("supervisor", "everything"):
                _kill_the_server(serving, kind)
                serving = serve("--workers", "2", "--table-delay", "0", data_dir=data_dir)
                _check(serving.address, writers)
                writers.address = serving.address
            else:
                _kill_a_child(serving, chance.choice([name for name in serving.children() if kind in name]))
            answered = writers.acknowledged
            _until(lambda answered=answered: writers.acknowledged > answered or writers.failures)
    finally:
        writers.stop()
    assert writers.failures == []
    assert len(writers.last) == 4
    _check(serving.address, writers)
    assert serving.stop() == 0


def test_kills_lose_nothing_that_was_acknowledged(serve: Serve, tmp_path: Path) -> None:
    kinds = ["worker", "backgroun", "worker", "supervisor", "worker", "everything"]
    _kill(serve, kinds, seed=1, data_dir=tmp_path / "data")


@pytest.mark.slow
def test_two_hundred_and_fifty_kills(serve: Serve, tmp_path: Path) -> None:
    chance = random.Random(2)
    kinds = chance.choices(("worker", "backgroun", "supervisor", "everything"), weights=(5, 1, 2, 2), k=250)
    _kill(serve, kinds, seed=2, data_dir=tmp_path / "data")
