"""Bodies of very many values: a process of their own refuses them, and is replaced when it dies."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import HEADERS, Client
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

_TABLE = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
_TOO_LARGE = "1 validation error detected: Item size has exceeded the maximum allowed size"


def _put(count: int) -> bytes:
    elements = b",".join([b'{"N":"1"}'] * count)
    return b'{"TableName":"things","Item":{"p":{"S":"a"},"l":{"L":[%b]}}}' % elements


def _send(serving: Serving, operation: str, body: bytes, **more: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*serving.address, timeout=120)
    with contextlib.closing(connection):
        headers = HEADERS | {"X-Amz-Target": f"DynamoDB_20120810.{operation}"} | more
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")


def _seconds(pid: int, *, children: bool = False) -> float:
    """Processor time of a process, or of those that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[13:15] if children else fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def serving(serve: Serve) -> Serving:
    running = serve("--workers", "1", "--table-delay", "0")
    assert Client(running.address).call("CreateTable", **_TABLE)[0] == 200
    return running


def test_what_is_refused_costs_the_worker_little(serving: Serving) -> None:
    processes = serving.children()
    worker, checker = processes["serve worker 1"], processes["serve checker"]
    before = _seconds(worker)
    body = _put(300_000)
    for sent, more in ((body, {}), (gzip.compress(body, 1), {"Content-Encoding": "gzip"})):
        status, answer = _send(serving, "PutItem", sent, **more)
        assert (status, answer["message"]) == (400, _TOO_LARGE)
    delete = b'{"Delete":{"TableName":"things","Key":{"p":{"S":"a"}}}}'
    many = b'{"TransactItems":[%b]}' % b",".join([delete] * 50_000)
    status, answer = _send(serving, "TransactWriteItems", many)
    assert (status, answer["message"][:28]) == (400, "1 validation error detected:")
    wait_until(lambda: _seconds(checker, children=True) > 0)
    assert _seconds(worker) - before < _seconds(checker, children=True) / 2
    assert serving.children() == processes


def test_what_is_right_is_stored(serving: Serving) -> None:
    status, _ = _send(serving, "PutItem", _put(100_000))
    assert status == 200
    found = Client(serving.address).call("GetItem", TableName="things", Key={"p": {"S": "a"}})[1]["Item"]
    assert found == {"p": {"S": "a"}, "l": {"L": [{"N": "1"}] * 100_000}}


def test_the_process_is_replaced(serving: Serving) -> None:
    checker = serving.children()["serve checker"]
    os.kill(checker, signal.SIGKILL)
    status, answer = _send(serving, "PutItem", _put(200_000))
    assert (status, answer["message"]) == (400, _TOO_LARGE)
    wait_until(lambda: serving.children().get("serve checker", checker) != checker)


def test_in_memory_too_and_it_stops_in_between(serve: Serve) -> None:
    running = serve("--in-memory", "--table-delay", "0")
    assert Client(running.address).call("CreateTable", **_TABLE)[0] == 200
    assert _send(running, "PutItem", _put(200_000))[1]["message"] == _TOO_LARGE
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()
