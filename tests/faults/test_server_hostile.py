"""Clients that are slow, broken or greedy: bounded memory, and the others are still served."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.plain_client import HEADERS, post
from tests.waiting import wait_until

Serving = Any  # tests/conftest.py
Serve = Callable[..., Serving]

_HEALTH = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_MEGABYTE = 1024 * 1024


def _memory(serving: Serving) -> int:
    """Resident bytes of all workers together."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in serving.workers().values()]
    return sum(pages) * 4096


def _is_healthy(serving: Serving) -> bool:
    with socket.create_connection(serving.address, timeout=30) as client:
        client.sendall(_HEALTH)
        return client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


def _is_healthy_in_time(serving: Serving) -> bool:
    """Where the time for a head is so short that a busy machine may exceed it."""
    try:
        return _is_healthy(serving)
    except ConnectionError:
        return False


def _status_then_end(client: socket.socket) -> int | None:
    """The status of the answer after which the server closes; None when it closes without one."""
    with client:
        data = b""
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            data += part
    return int(data[9:12]) if data else None


def test_slow_headers_and_bodies_run_out_of_time(serve: Serve) -> None:
    serving = serve("--workers", "1", "--header-timeout", "0.5", "--body-timeout", "0.5", "--idle-timeout", "0.5")
    heads = [socket.create_connection(serving.address, timeout=30) for _ in range(20)]
    for client in heads:
        client.sendall(b"POST / HTTP/1.1\r\nHost: loc")
    body = socket.create_connection(serving.address, timeout=30)
    body.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    silent = socket.create_connection(serving.address, timeout=30)
    wait_until(lambda: _is_healthy_in_time(serving))
    # Without a status for who was slower than the time-out already in sending the beginning; never all of them.
    statuses = [_status_then_end(client) for client in [*heads, body]]
    assert 408 in statuses
    assert set(statuses) <= {408, None}
    assert _status_then_end(silent) is None
    wait_until(lambda: _is_healthy_in_time(serving))


def test_noise_and_damaged_requests_never_stop_it(serve: Serve) -> None:
    serving = serve("--workers", "1")
    pid = next(iter(serving.workers().values()))
    chance = random.Random(20261122)
    request = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
        b"X-Amz-Target: DynamoDB_20120810.ListTables\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    for _ in range(300):
        damaged = bytearray(request if chance.random() < 0.7 else chance.randbytes(200))
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with (
            socket.create_connection(serving.address, timeout=30) as client,
            contextlib.suppress(ConnectionError),
        ):
            client.sendall(bytes(damaged))
            with contextlib.suppress(OSError):  # The server may have closed it already.
                client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    assert _is_healthy(serving)
    assert list(serving.workers().values()) == [pid]
    assert "Traceback" not in serving.log.read_text()


def test_a_pipelined_flood_is_answered_in_bounded_memory_while_others_are_served(serve: Serve) -> None:
    serving = serve("--workers", "1")
    assert _is_healthy(serving)
    before = _memory(serving)
    flood = socket.create_connection(serving.address, timeout=30)
    flood.setblocking(False)
    sent = 0
    block = _HEALTH * 2000
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            sent += flood.send(block[sent % len(_HEALTH) :])
        except BlockingIOError:
            break  # The answers are not read, so the server has stopped reading requests.
    else:
        pytest.fail("the server read requests without end though its answers were not read")
    assert _is_healthy(serving)
    assert _memory(serving) - before < 16 * _MEGABYTE
    flood.close()
    assert _is_healthy(serving)


def test_many_large_bodies_at_once_are_bounded(serve: Serve) -> None:
    serving = serve("--workers", "1", "--request-memory", "64")
    assert _is_healthy(serving)
    before = _memory(serving)
    half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n" + b"x" * 15_000_000
    clients = []
    for _ in range(24):
        client = socket.create_connection(serving.address, timeout=30)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(half)
        clients.append(client)
    assert _is_healthy(serving)
    assert _memory(serving) - before < 160 * _MEGABYTE
    for client in clients:
        client.close()
    assert _is_healthy(serving)


def test_a_client_that_sends_too_much_can_read_why(serve: Serve) -> None:
    """Though it sends to the end before it looks."""
    serving = serve("--workers", "1")
    with socket.create_connection(serving.address, timeout=30) as client:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
        client.sendall(head + b"x" * 20_000_000)
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_the_refused_leave_nothing_behind(serve: Serve) -> None:
    serving = serve("--workers", "1")
    too_much = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 100_000
    assert _is_healthy(serving)
    before = _memory(serving)
    for _ in range(500):
        client = socket.create_connection(serving.address, timeout=30)
        client.sendall(too_much)
        assert _status_then_end(client) == 413
    assert _memory(serving) - before < 16 * _MEGABYTE


_LONG = 8 * _MEGABYTE
_KEY = '{"TableName": "hurt", "Key": {"pk": {"S": "x"}}, '
_PAINFUL = {
    "lists in lists": ("PutItem", '{"TableName": "hurt", "Item": ' + "[" * _LONG),
    "objects in objects": ("PutItem", '{"TableName": "hurt", "Item": ' + '{"a":' * (_LONG // 5)),
    "lists in attributes": ("PutItem", '{"TableName": "hurt", "Item": {"pk": ' + '{"L": [' * (_LONG // 7)),
    "closed, too": (
        "PutItem",
        '{"TableName": "hurt", "Item": {"pk": ' + '{"L": [' * 100_000 + "]}" * 100_000 + "}}",
    ),
    "a long number": ("PutItem", '{"TableName": "hurt", "Item": {"pk": {"N": "' + "9" * _LONG + '"}}}'),
    "a number for JSON": ("GetItem", '{"TableName": "hurt", "Limit": ' + "9" * _LONG + "}"),
    "an exponent": ("PutItem", '{"TableName": "hurt", "Item": {"pk": {"N": "1E' + "9" * _LONG + '"}}}'),
    "a long key": ("GetItem", '{"TableName": "hurt", "Key": {"pk": {"S": "' + "k" * _LONG + '"}}}'),
    "a long name": ("GetItem", '{"TableName": "hurt", "Key": {"' + "k" * _LONG + '": {"S": "x"}}}'),
    "a long table": ("GetItem", '{"TableName": "' + "t" * _LONG + '", "Key": {"pk": {"S": "x"}}}'),
    "many attributes": (
        "PutItem",
        '{"TableName": "hurt", "Item": {'
        + ",".join(f'"{number}": {{"N": "1"}}' for number in range(300_000))
        + "}}",
    ),
    "brackets in a condition": ("DeleteItem", _KEY + '"ConditionExpression": "' + "(" * _LONG + '"}'),
    "negations": ("DeleteItem", _KEY + '"ConditionExpression": "' + "NOT " * (_LONG // 4) + 'a"}'),
    "a path": ("GetItem", _KEY + '"ProjectionExpression": "a' + "[0]" * (_LONG // 3) + '"}'),
    "a statement": ("ExecuteStatement", '{"Statement": "SELECT * FROM hurt WHERE ' + "(" * _LONG + '"}'),
    "a value in a statement": (
        "ExecuteStatement",
        '{"Statement": "SELECT * FROM hurt WHERE a = ' + "[" * _LONG + '"}',
    ),
    "escapes": ("GetItem", '{"TableName": "' + "\\u0041" * (_LONG // 6) + '", "Key": {}}'),
}


def test_bodies_made_to_hurt_are_refused_in_bounded_memory(serve: Serve) -> None:
    serving = serve("--workers", "1", "--table-delay", "0")
    create: dict[str, Any] = {
        "TableName": "hurt",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    connection = http.client.HTTPConnection(*serving.address, timeout=60)
    assert post(connection, "CreateTable", **create)[0] == 200
    (pid,) = serving.workers().values()
    before = _memory(serving)
    for name, (operation, body) in _PAINFUL.items():
        headers = HEADERS | {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 400, (name, content[:300])
        assert len(content) < 10_000 + 2 * len(body), name
    assert list(serving.workers().values()) == [pid]
    assert _peak(pid) - before < 256 * _MEGABYTE
    assert "Traceback" not in serving.log.read_text()


def _peak(pid: int) -> int:
    """The most bytes that a process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


def _hold(serving: Serving, wanted: int) -> list[socket.socket]:
    clients = []
    for number in range(wanted):
        client = socket.create_connection(serving.address, timeout=30)
        if number % 2:
            client.sendall(b"POST / HTTP/1.1\r\nHost")
        clients.append(client)
    return clients


def test_idle_connections_cost_little_and_stop_nobody(serve: Serve) -> None:
    serving = serve("--workers", "2")
    assert _is_healthy(serving)
    before = _memory(serving)
    clients = _hold(serving, 500)
    assert _is_healthy(serving)
    assert _memory(serving) - before < 16 * _MEGABYTE
    for client in clients:
        client.close()


def test_past_the_limit_the_idlest_make_room(serve: Serve) -> None:
    serving = serve("--workers", "1", "--max-connections", "50")
    clients = _hold(serving, 200)
    assert _is_healthy(serving)
    for client in clients:
        client.close()


@pytest.mark.slow
def test_ten_thousand_idle_connections(serve: Serve) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 11_000:
        pytest.skip(f"this machine allows {hard} open files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (11_000, hard))
    serving = serve("--workers", "2", "--header-timeout", "600", "--idle-timeout", "600")
    assert _is_healthy(serving)
    before = _memory(serving)
    clients = _hold(serving, 10_000)
    for _ in range(20):
        assert _is_healthy(serving)
    assert _memory(serving) - before < 200 * _MEGABYTE
    for client in clients:
        client.close()
