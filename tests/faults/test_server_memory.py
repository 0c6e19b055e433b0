"""The memory of a server stays within the formula of docs/settings.md, whatever its clients do.

The server runs under `RLIMIT_AS`, which no process can exceed: an allocation beyond it fails, and with it the
test. What is sent is what took gigabytes before (issue 16, A4): many names, answers that nobody reads, dense
bodies.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import HEADERS, Client
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

_MEGABYTE = 1024 * 1024
# The formula for one worker with these settings, in megabytes.
REQUEST_MEMORY = 64
CONNECTIONS = 200
BASE = 200
WORST = BASE + REQUEST_MEMORY + 700 + CONNECTIONS * 450 // 1024


@pytest.fixture
def serving(serve: Serve) -> Iterator[Serving]:
    """One worker; address space is what it uses after its first write, and the formula beyond its base."""
    running = serve(
        *("--workers", "1", "--request-memory", str(REQUEST_MEMORY), "--max-connections", str(CONNECTIONS))
    )
    (worker,) = running.workers().values()
    client = Client(running.address)
    schema = {
        "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert client.call("CreateTable", TableName="things", **schema)[0] == 200
    # Address space counts more than memory: libraries, what the allocator keeps, and for each thread 136 MB in
    # which it uses next to nothing. The thread that syncs the audit trail is there since the table was made.
    allowed = _address_space(worker) + (WORST - BASE) * _MEGABYTE
    resource.prlimit(worker, resource.RLIMIT_AS, (allowed, allowed))
    yield running
    assert client.call("ListTables") == (200, {"TableNames": ["things"]})
    assert list(running.workers().values()) == [worker], running.log.read_text()
    assert _peak(worker) < WORST * _MEGABYTE
    assert "MemoryError" not in running.log.read_text()


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_reads_with_long_names(serving: Serving) -> None:
    """Each is valid and no two are alike: 591 of them once took 7 GB."""
    client = Client(serving.address)
    for number in range(25):
        names = {f"#n{number}x{index}": "x" * 60_000 + str(index) for index in range(34)}
        status, answer = client.call(
            "GetItem",
            TableName="things",
            Key={"p": {"S": "a"}},
            ProjectionExpression=", ".join(names),
            ExpressionAttributeNames=names,
        )
        assert (status, answer) == (200, {})


def test_clients_that_read_nothing(serving: Serving) -> None:
    """Answers of 16 MB that stay where they are: 500 of these clients took 5.6 GB."""
    client = Client(serving.address)
    keys = [{"p": {"S": f"large-{number}"}} for number in range(45)]
    for key in keys:
        item = {**key, "filling": {"S": "x" * 390_000}}
        assert client.call("PutItem", TableName="things", Item=item)[0] == 200
    silent = []
    for _ in range(12):
        silent.append(socket.create_connection(serving.address, timeout=30))
        silent[-1].sendall(_request("BatchGetItem", {"RequestItems": {"things": {"Keys": keys}}}))
        assert client.call("GetItem", TableName="things", Key=keys[0])[0] == 200
    wait_until(lambda: "clients that did not take their answers were cut off" in serving.log.read_text())
    for connection in silent:
        connection.close()


def test_dense_bodies(serving: Serving) -> None:
    """16 MB of the smallest values: valid JSON that is many times larger once it is decoded."""
    bodies = [
        _filled('{"TransactItems":[', "{}", "]}"),
        _filled('{"TableName":"things","Item":{"p":{"S":"a"},"l":{"L":[', '{"N":"1"}', "]}}}"),
    ]
    for operation, body in zip(("TransactWriteItems", "PutItem"), bodies, strict=True):
        connection = http.client.HTTPConnection(*serving.address, timeout=120)
        headers = HEADERS | {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        assert answer.status == 400
        assert len(answer.read()) < 100_000
        connection.close()


def _filled(start: str, element: str, end: str) -> bytes:
    count = (16_000_000 - len(start) - len(end)) // (len(element) + 1)
    return f"{start}{','.join([element] * count)}{end}".encode()


def _request(operation: str, arguments: dict[str, Any]) -> bytes:
    body = json.dumps(arguments).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    target = f"X-Amz-Target: DynamoDB_20120810.{operation}\r\n"
    return (
        f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}{target}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )
